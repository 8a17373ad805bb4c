"""Files of the run folder: exact, whole, and refused when they do not fit."""

import json

import keras
import numpy as np
import pytest

from transformer import checkpoints
from transformer.config import ConfigError


def variables(values):
    return {name: keras.Variable(np.asarray(value, "float32")) for name, value in values.items()}


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path):
    saved = variables({"a": [[1.5, -2.25]], "b": 3.1})
    saved["seed"] = keras.Variable(np.array([7, 2**32 - 1], "uint32"), dtype="uint32", trainable=False)
    checkpoints.save_checkpoint(tmp_path / "x.safetensors", saved, {"step": 12, "best": None})
    arrays, progress = checkpoints.read_checkpoint(tmp_path / "x.safetensors")
    assert progress == {"step": 12, "best": None}
    other = {name: keras.Variable(np.zeros_like(value.numpy()), dtype=value.dtype) for name, value in saved.items()}
    checkpoints.restore(other, arrays)
    for name in saved:
        assert other[name].numpy().tobytes() == saved[name].numpy().tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_short_or_foreign_file_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoints.save_checkpoint(path, variables({"a": np.ones(100)}), {})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ConfigError, match="whole safetensors file.*x.safetensors"):
        checkpoints.read_checkpoint(path)


def test_a_checkpoint_of_another_model_is_refused_before_anything_changes():
    target = variables({"a": [1.0], "b": [[2.0]]})
    with pytest.raises(ConfigError, match=r"b is \(1, 1\). Received: \(2,\)"):
        checkpoints.restore(target, {"a": np.zeros(1), "b": np.zeros(2)})
    assert float(target["a"].numpy()[0]) == 1.0


def test_the_newest_are_kept_and_averaged(tmp_path):
    for step, value in ((5, 1.0), (10, 2.0), (20, 6.0), (100, 4.0)):
        path = checkpoints.checkpoint_path(tmp_path, step)
        checkpoints.save_checkpoint(path, variables({"a": [value, 0.5]}), {"step": step})
    (tmp_path / "checkpoints" / "best.safetensors").write_bytes(b"")
    checkpoints.remove_old_checkpoints(tmp_path, 3)
    paths = checkpoints.list_checkpoints(tmp_path)
    assert [path.name for path in paths] == [f"step-{step:08d}.safetensors" for step in (10, 20, 100)]
    assert checkpoints.average_weights(paths, ["a"])["a"].tolist() == [4.0, 0.5]


def test_a_run_folder_holds_one_configuration(tmp_path):
    run = tmp_path / "run"
    sections = {"model": {"d_model": 8}, "training": {"seed": 1, "train_steps": 5}, "decoding": {"beam_size": 4}}
    assert checkpoints.claim_run(run, {"model": {"d_model": 4}}) is False
    assert checkpoints.claim_run(run, sections) is False  # nothing was learnt yet: another configuration may have it
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(run, 5), variables({"a": 1.0}), {})
    assert checkpoints.claim_run(run, sections) is True
    free = {**sections, "training": {"seed": 1, "train_steps": 9}, "decoding": {"beam_size": 1}}
    assert checkpoints.claim_run(run, free) is True
    assert checkpoints.check_run(run, {"training": {"seed": 1}}) is True
    with pytest.raises(ConfigError, match="d_model: 8 there, 16 now"):
        checkpoints.claim_run(run, {**sections, "model": {"d_model": 16}})
    assert json.loads((run / "config.json").read_text())["model"] == {"d_model": 8}


def test_a_folder_with_other_files_is_no_run_folder(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="must be new or hold a run"):
        checkpoints.claim_run(tmp_path, {"model": {}})
    with pytest.raises(ConfigError, match="must be writable. Received: .*letter.txt"):
        checkpoints.check_run(tmp_path / "letter.txt" / "run", {})
