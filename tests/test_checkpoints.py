"""Files of the run folder: exact, whole, and refused when they do not fit."""

import dataclasses
import errno
import json
import os
import threading

import keras
import numpy as np
import pytest

from tests.programs import run_apart
from transformer import checkpoints
from transformer.config import ConfigError, TrainingConfig


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


def test_wherever_it_is_cut_or_a_bit_is_flipped_it_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoints.save_checkpoint(path, variables({"a": np.linspace(0, 1, 100), "b": 3.0}), {"step": 12})
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    arrays = {name: array.tobytes() for name, array in checkpoints.read_checkpoint(path)[0].items()}
    for cut in (0, 5, 50, len(whole) - 10, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(checkpoints.BrokenCheckpointError, match="whole safetensors file.*x.safetensors"):
            checkpoints.read_checkpoint(path)
    harmless = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found, progress = checkpoints.read_checkpoint(path)
        except checkpoints.BrokenCheckpointError as error:  # so that the one before is used
            assert "x.safetensors" in str(error)
        else:
            harmless += 1  # the order of keys, a space
            assert progress == {"step": 12} and {name: array.tobytes() for name, array in found.items()} == arrays
    assert harmless < 20


def test_the_newest_whole_one_is_read_and_the_broken_ones_are_named(tmp_path, capsys):
    assert checkpoints.read_newest(tmp_path) is None
    paths = [checkpoints.checkpoint_path(tmp_path, step) for step in (5, 10, 15)]
    for step, path in zip((5, 10, 15), paths):
        checkpoints.save_checkpoint(path, variables({"a": [step]}), {"step": step})
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    arrays, progress = checkpoints.read_newest(tmp_path)
    assert progress["step"] == 10 and arrays["a"] == [10]
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1 and "step-00000015.safetensors" in said
    weights, count = checkpoints.average_weights(paths, ["a"])
    assert (weights["a"], count) == ([7.5], 2) and "step-00000015.safetensors" in capsys.readouterr().err
    for path in paths[:2]:
        path.write_bytes(b"")
    with pytest.raises(ConfigError, match="one must be whole. Received: .*step-00000005.*step-00000015.*Put back a copy of one"):
        checkpoints.read_newest(tmp_path)
    with pytest.raises(ConfigError, match="one must be whole"):
        checkpoints.average_weights(paths, ["a"])


def test_values_are_those_of_the_moment_of_saving(tmp_path, monkeypatch):
    saved, progress, go_on = variables({"a": [1.0]}), {"step": 1}, threading.Event()
    write = checkpoints._write
    monkeypatch.setattr(checkpoints, "_write", lambda *arguments: (go_on.wait(10), write(*arguments)))
    writer = checkpoints.BackgroundWriter()
    writer.save(tmp_path / "x.safetensors", saved, progress, lambda: (tmp_path / "then").touch())
    saved["a"].assign([2.0])
    progress["step"] = 2
    assert not (tmp_path / "x.safetensors").exists()  # and the caller was not held up
    go_on.set()
    writer.wait()
    arrays, progress = checkpoints.read_checkpoint(tmp_path / "x.safetensors")
    assert (arrays["a"], progress) == ([1.0], {"step": 1}) and (tmp_path / "then").exists()


def test_what_went_wrong_in_the_thread_is_raised_by_the_next_call(tmp_path, monkeypatch):
    path, writer = tmp_path / "x.safetensors", checkpoints.BackgroundWriter()
    checkpoints.save_checkpoint(path, variables({"a": [1.0]}), {})
    before, replace = path.read_bytes(), os.replace
    for call in (writer.check, writer.wait, lambda: writer.save(path, {}, {})):
        monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")))
        writer.save(path, variables({"a": [2.0]}), {})
        writer.pending.exception()
        with pytest.raises(ConfigError, match=r"must have room and be writable. Received: .*x.safetensors \(Read-only file system\)"):
            call()
        monkeypatch.setattr(os, "replace", replace)
        writer.wait()  # said once
    assert path.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_disk_that_is_full_leaves_the_old_file_and_no_other(tmp_path):
    """The kernel refuses files of more than 4 KiB, to checkpoints and texts alike."""
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
import numpy as np, types
from transformer import checkpoints, files
from transformer.config import ConfigError
for size in (10, 10_000):
    try:
        variables = dict(a=types.SimpleNamespace(numpy=lambda: np.full(size, 1.0)))
        checkpoints.save_checkpoint({str(tmp_path / "x.safetensors")!r}, variables, dict(step=size))
        files.write_text({str(tmp_path / "x.txt")!r}, size * "a")
    except ConfigError as error:
        print(error)
try:
    files.write_text({str(tmp_path / "x.txt")!r}, "b" * 5000)
except ConfigError as error:
    print(error)
"""
    done = run_apart("-c", code)
    first, second = done.stdout.splitlines()
    assert "x.safetensors" in first and "File too large" in first and "x.txt (File too large)" in second, done.stderr
    assert checkpoints.read_checkpoint(tmp_path / "x.safetensors")[1] == {"step": 10}
    assert (tmp_path / "x.txt").read_text() == 10 * "a" and len([*tmp_path.iterdir()]) == 2


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
    checkpoints.remove_old_checkpoints(tmp_path, 100, every=5, keep=3)
    paths = checkpoints.list_checkpoints(tmp_path)
    assert [path.name for path in paths] == [f"step-{step:08d}.safetensors" for step in (10, 20, 100)]
    weights, count = checkpoints.average_weights(paths, ["a"])
    assert (weights["a"].tolist(), count) == ([4.0, 0.5], 3)


@pytest.mark.parametrize("there, step, keep, left", [
    ((5, 10, 13), 13, 3, [5, 10, 13]),  # stopped by a signal
    ((5, 10, 13, 15), 15, 3, [5, 10, 15]),  # as if it had never stopped
    ((5, 10, 15, 25), 15, 3, [5, 10, 15]),  # 25 is broken, and the training began again behind it
    ((10, 15), 15, 1, [15]), ((13,), 13, 1, [13]),
])  # fmt: skip
def test_where_a_training_was_stopped_does_not_show_in_what_is_kept(tmp_path, there, step, keep, left):
    for number in there:
        path = checkpoints.checkpoint_path(tmp_path, number)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    checkpoints.remove_old_checkpoints(tmp_path, step, every=5, keep=keep)
    assert checkpoints.list_checkpoints(tmp_path) == [checkpoints.checkpoint_path(tmp_path, number) for number in left]


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


def test_a_field_that_an_older_version_did_not_have_counts_as_its_default(tmp_path):
    config = TrainingConfig(seed=7)
    checkpoints.claim_run(tmp_path, {"training": config, "task": {"labels": ["a"]}})
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(tmp_path, 5), variables({"a": 1.0}), {})
    sections = json.loads((tmp_path / "config.json").read_text())
    assert sections == {"training": dataclasses.asdict(config), "task": {"labels": ["a"]}}
    del sections["training"]["clip_norm"]
    (tmp_path / "config.json").write_text(json.dumps(sections))
    assert checkpoints.check_run(tmp_path, {"training": config}) is True
    with pytest.raises(ConfigError, match="differs in\n  clip_norm: 0.0 there, 1.0 now\n"):
        checkpoints.check_run(tmp_path, {"training": dataclasses.replace(config, clip_norm=1.0)})


def test_a_run_that_was_killed_before_it_wrote_anything_can_begin(tmp_path):
    (tmp_path / "config.tmp.json").touch()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ConfigError, match="must be new or hold a run"):
        checkpoints.claim_run(tmp_path, {"model": {}})
    (tmp_path / "checkpoints").rmdir()
    (tmp_path / "config.tmp.json").touch()
    assert checkpoints.claim_run(tmp_path, {"model": {}}) is False
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_what_a_killed_run_began_to_write_is_removed(tmp_path):
    checkpoints.claim_run(tmp_path, {})
    (tmp_path / "checkpoints").mkdir()
    for name in ("checkpoints/step-5.tmp.safetensors", "checkpoints/.tmp0ksEK1", "scores.tmp.json"):  # the second by safetensors
        (tmp_path / name).touch()
    (tmp_path / "checkpoints" / "step-4.safetensors").touch()
    assert checkpoints.claim_run(tmp_path, {}) is True
    assert {path.name for path in tmp_path.rglob("*")} == {"config.json", "checkpoints", "step-4.safetensors"}


def test_a_checkpoint_of_another_format_says_what_changed(tmp_path):
    from safetensors.numpy import save_file

    for number, said in (("1", "format 1, in which queries, keys and values of self-attention were three matrices. Continue with"),
                         ("99", "format 99: it is damaged, or of a version to come")):  # fmt: skip
        save_file({"a": np.zeros(1)}, tmp_path / "x.safetensors", {"format": number, "progress": "{}"})
        with pytest.raises(ConfigError, match=f"must have format 3, or 2. Received: .*x.safetensors, {said}"):
            checkpoints.read_checkpoint(tmp_path / "x.safetensors")


def test_a_folder_with_other_files_is_no_run_folder(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="must be new or hold a run"):
        checkpoints.claim_run(tmp_path, {"model": {}})
    with pytest.raises(ConfigError, match="must be writable. Received: .*letter.txt"):
        checkpoints.check_run(tmp_path / "letter.txt" / "run", {})
