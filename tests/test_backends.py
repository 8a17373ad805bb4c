"""The model, its losses and its decoding are pure Keras: their tests pass with the JAX backend too."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PURE = ["attention", "dropout", "positions", "layers", "model", "losses", "optimization", "decoding", "generation", "encoders"]


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed (the test extra brings it)")
def test_the_same_tests_pass_with_jax():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", *(f"tests/test_{name}.py" for name in PURE)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
