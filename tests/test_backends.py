"""The model, its losses and its decoding are pure Keras: their tests pass with the JAX backend
too, and it trains with it."""

import importlib.util
import os
import re

import numpy as np
import pytest
from keras.saving import load_model

import transformer.model.transformer  # noqa: F401  (registers what a file holds)
from tests.programs import run_apart

PURE = [
    "model/test_attention",
    "model/test_positions",
    "model/test_transformer",
    "model/test_losses",
    "training/test_optimizers",
    "generation/test_search",
    "pretrained/test_encoders",
]
# By their names, the tests that compare with formulas, NumPy or plain Python: what is the same
# there needs no second look.
COMPARED = (
    "equal or formula or plain_python or by_hand or hand_worked or ties or samples_come or schedule"
)
# What takes long to compile: parameter counts, and options which the other tests have one by one.
LEFT_OUT = (
    "presets or several_hypotheses or low_precision or search_in_pieces or whatever_the_options"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("jax"),
        reason="jax is not installed (the test extra brings it)",
    ),
]


def on_backend(backend, *arguments, **environment):
    """What a process prints, with variables of its environment."""
    environment |= {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    return run_apart(*arguments, environment={**os.environ, **environment}).stdout


def with_jax(*arguments, devices=1):
    """What pytest prints; quick to compile and slow to compute."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    return on_backend(
        "jax",
        "-m",
        "pytest",
        "-q",
        "-x",
        *arguments,
        JAX_DISABLE_MOST_OPTIMIZATIONS="1",
        XLA_FLAGS=flags,
    )


def test_the_same_tests_pass_with_jax():
    files = [f"tests/{name}.py" for name in PURE]
    output = with_jax("-k", f"({COMPARED}) and not ({LEFT_OUT})", *files)
    # A test that is given another name would be left out without a word.
    assert int(re.search(r"(\d+) passed", output)[1]) >= 160


def test_training_on_eight_devices():
    assert " passed" in with_jax("tests/training/test_step_jax.py", devices=8)


def test_train_py_learns_with_jax_what_it_learns_with_tensorflow(tmp_path):
    """From the same weights the same weights."""
    flags = [
        "--corpus=reverse",
        "--corpus_size=400",
        "--max_tokens=480",
        "--eval_every=10",
        "--eval_decode=9",
        "--beam_size=1",
        "--average_checkpoints=1",
        "--keep_best_metric=loss",
        "--log_every=5",
        "--learning_rate=2e-3",
        "--warmup_steps=2",
    ]
    size = [
        "--tokenizer=character",
        "--d_model=16",
        "--num_heads=2",
        "--num_layers=1",
        "--ffn_dim=32",
        "--dropout=0",
    ]
    on_backend(
        "tensorflow", "train.py", *flags, *size, "--train_steps=1", f"--run={tmp_path}/first"
    )
    more, weights = ["--train_steps=10", f"--initial_run={tmp_path}/first"], {}
    for backend in ("tensorflow", "jax"):
        assert "test scores" in on_backend(
            backend, "train.py", *flags, *more, f"--run={tmp_path}/{backend}"
        )
        weights[backend] = load_model(tmp_path / backend / "model.keras").get_weights()
    # A bias of keys has no gradient but for rounding, which Adam makes as large as any.
    change = [
        np.abs(a - b).max() for a, b in zip(weights["jax"], weights["tensorflow"]) if a.ndim > 1
    ]
    assert max(change) < 1e-5, change
