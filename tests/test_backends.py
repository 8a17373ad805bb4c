"""The model, its losses and its decoding are pure Keras: their tests pass with the JAX backend too."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PURE = ["attention", "positions", "model", "losses", "optimization", "decoding", "generation", "encoders"]
# What says little of a backend and takes long to compile: the article's class, parameter counts, each weight's gradient.
LEFT_OUT = ("Article or presets or a_gradient_reaches or trained_within or one_output_for_each or several_hypotheses or "
            "low_precision or search_in_pieces or row_of_padding")  # fmt: skip


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed (the test extra brings it)")
def test_the_same_tests_pass_with_jax():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-k", f"not ({LEFT_OUT})", *(f"tests/test_{name}.py" for name in PURE)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
