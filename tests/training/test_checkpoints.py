"""Tests of the files of the run folder.

They must be exact and complete, and they are refused if they do not fit.
"""

import dataclasses
import errno
import hashlib
import json
import os
import threading
import types

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies

from data.config import DataConfig
from tests.programs import run_apart
from transformer.config import (
    ConfigError,
    FinetuningConfig,
    ModelConfig,
    TaskConfig,
    TokenizerConfig,
    TrainingConfig,
)
from transformer.training import checkpoints


def variables(values):
    return {name: keras.Variable(np.asarray(value, "float32")) for name, value in values.items()}


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path):
    saved = variables({"a": [[1.5, -2.25]], "b": 3.1})
    saved["seed"] = keras.Variable(
        np.array([7, 2**32 - 1], "uint32"), dtype="uint32", trainable=False
    )
    checkpoints.save_checkpoint(tmp_path / "x.safetensors", saved, {"step": 12, "best": None})
    arrays, progress = checkpoints.read_checkpoint(tmp_path / "x.safetensors")
    assert progress == {"step": 12, "best": None}
    other = {
        name: keras.Variable(np.zeros_like(value.numpy()), dtype=value.dtype)
        for name, value in saved.items()
    }
    checkpoints.restore(other, arrays)
    for name in saved:
        assert other[name].numpy().tobytes() == saved[name].numpy().tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_wherever_it_is_cut_or_a_bit_is_flipped_it_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    checkpoints.save_checkpoint(
        path, variables({"a": np.linspace(0, 1, 100), "b": 3.0}), {"step": 12}
    )
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    arrays = {name: array.tobytes() for name, array in checkpoints.read_checkpoint(path)[0].items()}
    for cut in (0, 5, 50, len(whole) - 10, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(
            checkpoints.BrokenCheckpointError, match="or is not a safetensors file.*x.safetensors"
        ):
            checkpoints.read_checkpoint(path)
    harmless = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found, progress = checkpoints.read_checkpoint(path)
        # The caller catches this error and uses the checkpoint before.
        except checkpoints.BrokenCheckpointError as error:
            assert "x.safetensors" in str(error)
        else:
            # Some bits do not matter, such as a space or the order of keys.
            harmless += 1
            assert (
                progress == {"step": 12}
                and {name: array.tobytes() for name, array in found.items()} == arrays
            )
    assert harmless < 20


VALUES = {
    "a": np.linspace(0, 1, 30, dtype="float32").reshape(5, 6),
    "b": np.float32(3.0),
    "n": np.arange(4, dtype="uint32"),
}


def stored_values(path):
    """Writes a checkpoint with VALUES; returns its bytes."""
    saved = {name: keras.Variable(value, dtype=value.dtype) for name, value in VALUES.items()}
    checkpoints.save_checkpoint(path, saved, {"step": 12, "best": -0.5})
    return path.read_bytes()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A path, and the bytes of the checkpoint that was written there."""
    path = tmp_path_factory.mktemp("stored") / "x.safetensors"
    return path, stored_values(path)


def damaged(whole, kind, place, other, size):
    """The bytes with a flipped bit, without their end, with a piece left out, or with two pieces
    swapped."""
    place, other = sorted((place % len(whole), other % len(whole)))
    if kind == "bit":
        return whole[:place] + bytes([whole[place] ^ 1 << size % 8]) + whole[place + 1 :]
    if kind == "cut":
        return whole[:place]
    if kind == "hole":
        return whole[:place] + whole[place + size :]
    size = min(size, other - place, len(whole) - other)
    return (
        whole[:place]
        + whole[other : other + size]
        + whole[place + size : other]
        + whole[place : place + size]
        + whole[other + size :]
    )


@hypothesis.settings(max_examples=250)
@hypothesis.given(
    kind=strategies.sampled_from(["bit", "cut", "hole", "swap"]),
    place=strategies.integers(0, 10**6),
    other=strategies.integers(0, 10**6),
    size=strategies.integers(1, 64),
)
def test_a_damaged_checkpoint_never_gives_other_values(stored, kind, place, other, size):
    """It is refused, or reads back exactly what was written: the order of keys in its header may
    change, or a space."""
    path, whole = stored
    path.write_bytes(damaged(whole, kind, place, other, size))
    try:
        arrays, progress = checkpoints.read_checkpoint(path)
    except checkpoints.BrokenCheckpointError:
        return
    assert progress == {"step": 12, "best": -0.5} and arrays.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert (arrays[name].dtype, arrays[name].shape, arrays[name].tobytes()) == (
            value.dtype,
            value.shape,
            value.tobytes(),
        )


@pytest.mark.parametrize(
    "array",
    [
        # The same bytes in another shape.
        VALUES["a"].reshape(6, 5),
        VALUES["a"].reshape(30),
        VALUES["a"].view("int32"),
        VALUES["a"] + 1e-6,
        VALUES["a"][::-1],
    ],
)
def test_the_checksum_is_of_names_types_shapes_values_and_progress(tmp_path, array):
    """Those of another file do not fit, though each file is a whole one of safetensors."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    stored_values(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "3" and json.loads(metadata["progress"]) == {
        "step": 12,
        "best": -0.5,
    }
    for arrays, changed in (
        (VALUES, {}),
        (VALUES | {"a": array}, {}),
        ({"z" if name == "a" else name: value for name, value in VALUES.items()}, {}),
        ({name: value for name, value in VALUES.items() if name != "n"}, {}),
        (VALUES, {"progress": '{"step": 13, "best": -0.5}'}),
        (VALUES, {"sha256": hashlib.sha256(b"").hexdigest()}),
        (VALUES, {"format": "2"}),
        (VALUES, {"format": "1"}),
    ):
        arrays = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        # ascontiguousarray makes a scalar one-dimensional.
        arrays["b"] = arrays["b"].reshape(())
        save_file(arrays, path, {**metadata, **changed})
        if arrays.keys() == VALUES.keys() and arrays["a"] is VALUES["a"] and not changed:
            # A correct file is accepted, whoever wrote it.
            assert checkpoints.read_checkpoint(path)[1] == {
                "step": 12,
                "best": -0.5,
            }
        else:
            with pytest.raises(checkpoints.BrokenCheckpointError, match="x.safetensors"):
                checkpoints.read_checkpoint(path)


def test_a_file_that_is_no_checkpoint_is_a_broken_one(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(
        checkpoints.BrokenCheckpointError, match="Received: .*bare.safetensors, format none"
    ):
        checkpoints.read_checkpoint(tmp_path / "bare.safetensors")
    with pytest.raises(
        checkpoints.BrokenCheckpointError,
        match="or is not a safetensors file. Received: .*none.safetensors",
    ):
        checkpoints.read_checkpoint(tmp_path / "none.safetensors")
    # Format 2 predates the checksum and is read without one. The format number of a later file does
    # not excuse a missing checksum.
    save_file(
        {"a": np.array([2.0])},
        tmp_path / "old.safetensors",
        {"format": "2", "progress": '{"step": 7}'},
    )
    arrays, progress = checkpoints.read_checkpoint(tmp_path / "old.safetensors")
    assert arrays["a"].tolist() == [2.0] and progress == {"step": 7}
    save_file(
        {"a": np.array([2.0])},
        tmp_path / "new.safetensors",
        {"format": "3", "progress": '{"step": 7}'},
    )
    with pytest.raises(checkpoints.BrokenCheckpointError, match="its checksum does not match"):
        checkpoints.read_checkpoint(tmp_path / "new.safetensors")


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
    assert (weights["a"], count) == (
        [7.5],
        2,
    ) and "step-00000015.safetensors" in capsys.readouterr().err
    for path in paths[:2]:
        path.write_bytes(b"")
    with pytest.raises(
        ConfigError,
        match="are damaged. Received: .*step-00000005.*step-00000015.*Restore a copy of one",
    ):
        checkpoints.read_newest(tmp_path)
    with pytest.raises(ConfigError, match="all checkpoints of the run are damaged"):
        checkpoints.average_weights(paths, ["a"])


def test_it_goes_back_behind_as_many_as_are_broken(tmp_path, capsys):
    for step in (5, 10, 15, 20):
        checkpoints.save_checkpoint(
            checkpoints.checkpoint_path(tmp_path, step), variables({"a": [step]}), {"step": step}
        )
    for path in checkpoints.list_checkpoints(tmp_path)[1:]:
        path.write_bytes(path.read_bytes()[:-1])
    assert checkpoints.read_newest(tmp_path)[1] == {"step": 5}
    warned = capsys.readouterr().err
    assert [f"step-{step:08d}" in warned for step in (5, 10, 15, 20)] == [False, True, True, True]


def test_a_checkpoint_of_another_version_is_an_error_though_an_older_one_is_whole(tmp_path):
    """It is not damaged: to go back behind it would forget what was learnt."""
    from safetensors.numpy import save_file

    checkpoints.save_checkpoint(
        checkpoints.checkpoint_path(tmp_path, 5), variables({"a": [1.0]}), {"step": 5}
    )
    save_file(
        {"a": np.zeros(1)},
        checkpoints.checkpoint_path(tmp_path, 10),
        {"format": "1", "progress": "{}"},
    )
    with pytest.raises(ConfigError, match="format 1, which stores queries"):
        checkpoints.read_newest(tmp_path)


def test_values_are_those_of_the_moment_of_saving(tmp_path, monkeypatch):
    saved, progress, go_on = variables({"a": [1.0]}), {"step": 1}, threading.Event()
    write = checkpoints._write
    monkeypatch.setattr(
        checkpoints, "_write", lambda *arguments: (go_on.wait(10), write(*arguments))
    )
    writer = checkpoints.BackgroundWriter()
    writer.save(tmp_path / "x.safetensors", saved, progress, lambda: (tmp_path / "then").touch())
    saved["a"].assign([2.0])
    progress["step"] = 2
    # The file is not written yet, so `save` did not wait for it.
    assert not (tmp_path / "x.safetensors").exists()
    go_on.set()
    writer.wait()
    arrays, progress = checkpoints.read_checkpoint(tmp_path / "x.safetensors")
    assert (arrays["a"], progress) == ([1.0], {"step": 1}) and (tmp_path / "then").exists()


def test_what_went_wrong_in_the_thread_is_raised_by_the_next_call(tmp_path, monkeypatch):
    path, writer = tmp_path / "x.safetensors", checkpoints.BackgroundWriter()
    checkpoints.save_checkpoint(path, variables({"a": [1.0]}), {})
    before, replace = path.read_bytes(), os.replace
    for call in (writer.check, writer.wait, lambda: writer.save(path, {}, {})):
        monkeypatch.setattr(
            os,
            "replace",
            lambda *names: (_ for _ in ()).throw(OSError(errno.EROFS, "Read-only file system")),
        )
        writer.save(path, variables({"a": [2.0]}), {})
        writer.pending.exception()
        with pytest.raises(
            ConfigError,
            match=r"could not be written. Received: .*x.safetensors \(Read-only file "
            r"system\)",
        ):
            call()
        monkeypatch.setattr(os, "replace", replace)
        # The error is raised only once.
        writer.wait()
    assert path.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [
        "x.safetensors"
    ]


def test_one_is_written_after_the_other_and_a_check_waits_for_neither(tmp_path, monkeypatch):
    events, go_on, write = [], threading.Event(), checkpoints._write

    def slow(path, *arguments):
        assert go_on.wait(10)
        write(path, *arguments)
        events.append(path.name)

    monkeypatch.setattr(checkpoints, "_write", slow)
    writer, saved = checkpoints.BackgroundWriter(), variables({"a": [1.0]})
    # There is nothing to report.
    writer.check()
    writer.wait()
    writer.save(tmp_path / "x", saved, {}, lambda: events.append("then"))
    writer.check()
    # `check` did not wait. It would have waited forever.
    assert not events
    go_on.set()
    saved["a"].assign([2.0])
    writer.save(tmp_path / "y", saved, {})
    # `save` waited for the first write and its follow-up.
    assert events[:2] == ["x", "then"]
    writer.wait()
    assert events == ["x", "then", "y"]
    assert [checkpoints.read_checkpoint(tmp_path / name)[0]["a"].tolist() for name in "xy"] == [
        [1.0],
        [2.0],
    ]


def test_an_array_that_lies_column_by_column_is_saved_as_it_is(tmp_path):
    array = np.arange(6, dtype="float32").reshape(2, 3)
    checkpoints.save_checkpoint(
        tmp_path / "deep" / "er" / "x",
        {"a": types.SimpleNamespace(numpy=lambda: np.asfortranarray(array))},
        {},
    )
    np.testing.assert_array_equal(
        checkpoints.read_checkpoint(tmp_path / "deep" / "er" / "x")[0]["a"], array
    )


def test_a_disk_that_is_full_leaves_the_old_file_and_no_other(tmp_path):
    """The kernel refuses files of more than 4 KiB, to checkpoints and texts alike."""
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
import numpy as np, types
from transformer import files
from transformer.training import checkpoints
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
    assert (
        "x.safetensors" in first
        and "File too large" in first
        and "x.txt (File too large)" in second
    ), done.stderr
    assert checkpoints.read_checkpoint(tmp_path / "x.safetensors")[1] == {"step": 10}
    assert (tmp_path / "x.txt").read_text() == 10 * "a" and len([*tmp_path.iterdir()]) == 2


def test_a_checkpoint_of_another_model_is_refused_before_anything_changes():
    target = variables({"a": [1.0], "b": [[2.0]]})
    with pytest.raises(ConfigError, match=r"b, which has shape \(1, 1\) .* and \(2,\) in the"):
        checkpoints.restore(target, {"a": np.zeros(1), "b": np.zeros(2)})
    assert float(target["a"].numpy()[0]) == 1.0
    with pytest.raises(
        ConfigError,
        match=r"does not fit the model. Received: b, which has shape \(1, 1\) in the model and is "
        r"missing in the checkpoint.",
    ):
        checkpoints.restore(target, {"a": np.zeros(1)})
    assert float(target["a"].numpy()[0]) == 1.0
    checkpoints.restore(target, {"a": np.array([3.0]), "b": np.array([[4.0]]), "more": np.zeros(9)})
    assert [variable.numpy().tolist() for variable in target.values()] == [[3.0], [[4.0]]]


def small_model():
    """Two layers of one name, a dropout, and an optimizer that has made no step."""
    layers = [
        keras.Input((3,)),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(2),
        keras.layers.Dropout(0.5, seed=1),
    ]
    model, optimizer = keras.Sequential(layers), keras.optimizers.SGD(momentum=0.9)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def test_all_that_training_changes_has_a_name():
    model, optimizer = small_model()
    named = checkpoints.named_variables(model, optimizer)
    assert {id(variable) for variable in named.values()} == {
        id(variable) for variable in model.variables + optimizer.variables
    }
    assert [name.rsplit("/", 1)[1] for name in named if name.startswith("model/")] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
        "kernel",
        "bias",
        "seed_generator_state",
    ]
    assert [name for name in named][0].startswith("model/0000/") and sum(
        name.startswith("optimizer/") for name in named
    ) == 6
    seeds = [name for name in named if "seed_generator" in name]
    # The name has no number that depends on the process.
    assert seeds == ["model/0006/seed_generator_state"]
    assert [*checkpoints.named_variables(small_model()[0])][6] == seeds[0]
    kernels = [name for name in named if name.endswith("/kernel")]
    assert kernels[0] == f"model/0004/{model.layers[1].kernel.path}"
    assert [*checkpoints.named_variables(model)] == [
        name for name in named if name.startswith("model/")
    ]


def test_weights_are_all_but_the_seeds():
    model, _ = small_model()
    assert [name.rsplit("/", 1)[1] for name in checkpoints.named_weights(model)] == [
        "gamma",
        "beta",
        "moving_mean",
        "moving_variance",
        "kernel",
        "bias",
    ]
    assert [*checkpoints.named_weights(model)] == [*checkpoints.named_variables(model)][:6]


def test_the_newest_are_kept_and_averaged(tmp_path):
    for step, value in ((5, 1.0), (10, 2.0), (20, 6.0), (100, 4.0)):
        path = checkpoints.checkpoint_path(tmp_path, step)
        checkpoints.save_checkpoint(path, variables({"a": [value, 0.5]}), {"step": step})
    (tmp_path / "checkpoints" / "best.safetensors").write_bytes(b"")
    checkpoints.remove_old_checkpoints(tmp_path, 100, every=5, keep=3)
    paths = checkpoints.list_checkpoints(tmp_path)
    assert [path.name for path in paths] == [
        f"step-{step:08d}.safetensors" for step in (10, 20, 100)
    ]
    weights, count = checkpoints.average_weights(paths, ["a"])
    assert (weights["a"].tolist(), count) == ([4.0, 0.5], 3) and weights["a"].dtype == "float32"


def test_the_average_is_that_of_double_precision(tmp_path):
    """In single precision 2^24 and 1 are 2^24, and the third, its negative, would leave nothing of
    the 1."""
    values = (2.0**24, 1.0, -(2.0**24))
    for step, value in enumerate(values):
        checkpoints.save_checkpoint(
            checkpoints.checkpoint_path(tmp_path, step), variables({"a": [value], "b": [step]}), {}
        )
    weights, count = checkpoints.average_weights(checkpoints.list_checkpoints(tmp_path), ["a", "b"])
    assert count == 3 and weights == {"a": [np.float32(1 / 3)], "b": [1.0]}


def test_step_checkpoints_are_found_in_their_order(tmp_path):
    assert checkpoints.list_checkpoints(tmp_path) == []
    assert (
        checkpoints.checkpoint_path(tmp_path, 123)
        == tmp_path / "checkpoints" / "step-00000123.safetensors"
    )
    # The third step has more digits than the format has room for. Its file is a checkpoint all the
    # same.
    steps = (900, 90, 123456789, 5)
    names = [checkpoints.checkpoint_path(tmp_path, step).name for step in steps]
    (tmp_path / "checkpoints").mkdir()
    for name in (
        *names,
        "best.safetensors",
        "step-00000005.tmp.safetensors",
        "step-x.safetensors",
        "step-00000006.txt",
    ):
        (tmp_path / "checkpoints" / name).touch()
    found = [path.name for path in checkpoints.list_checkpoints(tmp_path)]
    assert found[:3] == [f"step-{step:08d}.safetensors" for step in (5, 90, 900)] and {*found} == {
        *names
    }


@pytest.mark.parametrize(
    "there, step, keep, left",
    [
        # A signal stopped the training at step 13.
        ((5, 10, 13), 13, 3, [5, 10, 13]),
        # The training continued. The result is as if it had never stopped.
        ((5, 10, 13, 15), 15, 3, [5, 10, 15]),
        # Checkpoint 25 is broken, and the training resumed from an earlier one.
        ((5, 10, 15, 25), 15, 3, [5, 10, 15]),
        ((10, 15), 15, 1, [15]),
        ((13,), 13, 1, [13]),
        ((5, 10, 15), 15, 2, [10, 15]),
        ((5, 10, 12), 12, 1, [12]),
        ((5, 10, 12, 13), 13, 2, [10, 13]),
        ((5, 10), 10, 5, [5, 10]),
        ((5, 6, 7, 8), 8, 5, [5, 8]),
        # If there are fewer than `keep`, all stay.
        ((5, 10, 15), 15, 5, [5, 10, 15]),
    ],
)
def test_where_a_training_was_stopped_does_not_show_in_what_is_kept(
    tmp_path, there, step, keep, left
):
    for number in there:
        path = checkpoints.checkpoint_path(tmp_path, number)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    checkpoints.remove_old_checkpoints(tmp_path, step, every=5, keep=keep)
    assert checkpoints.list_checkpoints(tmp_path) == [
        checkpoints.checkpoint_path(tmp_path, number) for number in left
    ]


def test_a_run_folder_holds_one_configuration(tmp_path):
    run = tmp_path / "run"
    sections = {
        "model": {"d_model": 8},
        "training": {"seed": 1, "train_steps": 5},
        "decoding": {"beam_size": 4},
    }
    assert checkpoints.claim_run(run, {"model": {"d_model": 4}}) is False
    # Nothing was learned yet, so another configuration may claim the folder.
    assert checkpoints.claim_run(run, sections) is False
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(run, 5), variables({"a": 1.0}), {})
    assert checkpoints.claim_run(run, sections) is True
    free = {**sections, "training": {"seed": 1, "train_steps": 9}, "decoding": {"beam_size": 1}}
    assert checkpoints.claim_run(run, free) is True
    # config.json has the options of the last claim.
    assert json.loads((run / "config.json").read_text()) == free
    assert checkpoints.check_run(run, {"training": {"seed": 1}}) is True
    with pytest.raises(ConfigError, match="d_model: 8 in the folder, 16 now"):
        checkpoints.claim_run(run, {**sections, "model": {"d_model": 16}})
    assert json.loads((run / "config.json").read_text())["model"] == {"d_model": 8}


def test_another_seed_is_another_run(tmp_path):
    checkpoints.claim_run(tmp_path, {"training": TrainingConfig(seed=1)})
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(tmp_path, 5), variables({"a": 1.0}), {})
    with pytest.raises(ConfigError) as error:
        checkpoints.check_run(tmp_path, {"training": TrainingConfig(seed=2)})
    assert str(error.value) == (
        f"a run can only be continued with its own configuration. {tmp_path} has other values:\n"
        "  seed: 1 in the folder, 2 now\n"
        "Use the values of the folder, use another --run, or remove the folder."
    )


# Options that may change when a run is resumed: how long it lasts, what is kept and shown of it,
# where it runs, and where its data is. All others make another model.
FREE = {
    "train_steps",
    "early_stopping",
    "log_every",
    "checkpoint_every",
    "keep_checkpoints",
    "average_checkpoints",
    "data_dir",
    "jit",
    "distribution",
    "model_devices",
}


def other_than(value):
    """A value of the same type that is another."""
    if isinstance(value, bool):
        return not value
    return [*value, "more"] if isinstance(value, (list, tuple)) else value + type(value)(1)


def test_of_every_configuration_what_may_change_is_free_and_all_else_is_named(tmp_path):
    kinds = {
        "model": ModelConfig,
        "tokenizer": TokenizerConfig,
        "training": TrainingConfig,
        "task": TaskConfig,
        "fine_tuning": FinetuningConfig,
        "data": DataConfig,
    }
    sections = {name: dataclasses.asdict(kind()) for name, kind in kinds.items()}
    sections["task"]["labels"] = ["a", "b"]
    checkpoints.claim_run(tmp_path, sections)
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(tmp_path, 5), variables({"a": 1.0}), {})
    seen = set()
    for section, fields in sections.items():
        for name, value in fields.items():
            now = other_than(value)
            changed = {section: {**fields, name: now}}
            seen.add(name)
            if name in FREE:
                assert checkpoints.check_run(tmp_path, changed) is True, name
                continue
            there, now = (json.loads(json.dumps(some)) for some in (value, now))
            with pytest.raises(ConfigError) as error:
                checkpoints.check_run(tmp_path, changed)
            assert (
                f" has other values:\n  {name}: {there!r} in the folder, {now!r} now\nUse the "
                in str(error.value)
            )
    assert seen >= FREE


def test_all_that_differs_is_named_in_one_message_in_order(tmp_path):
    sections = {
        "model": {"d_model": 8, "norm": "pre", "activation": "relu"},
        "training": {"seed": 1},
    }
    checkpoints.claim_run(tmp_path, sections)
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(tmp_path, 5), variables({"a": 1.0}), {})
    now = {"model": {"d_model": 9, "norm": "post", "width": 3}, "training": {"seed": 2}}
    with pytest.raises(ConfigError) as error:
        checkpoints.check_run(tmp_path, now)
    assert str(error.value).splitlines()[1:-1] == [
        "  activation: 'relu' in the folder, None now",
        "  d_model: 8 in the folder, 9 now",
        "  norm: 'pre' in the folder, 'post' now",
        "  width: None in the folder, 3 now",
        "  seed: 1 in the folder, 2 now",
    ]
    assert json.loads((tmp_path / "config.json").read_text()) == sections


def test_a_section_that_an_older_run_does_not_have_counts_as_its_defaults(tmp_path):
    checkpoints.claim_run(tmp_path, {"model": {"d_model": 8}})
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(tmp_path, 5), variables({"a": 1.0}), {})
    assert checkpoints.check_run(tmp_path, {"training": TrainingConfig()}) is True
    with pytest.raises(ConfigError, match="clip_norm: 0.0 in the folder, 2.0 now"):
        checkpoints.check_run(tmp_path, {"training": TrainingConfig(clip_norm=2.0)})


def test_a_run_folder_may_be_deep_and_is_left_as_it_was(tmp_path):
    folder = tmp_path / "runs" / "of" / "today"
    assert checkpoints.check_run(folder, {"model": {}}) is False
    assert folder.is_dir() and not [*folder.iterdir()]


def test_the_configuration_of_a_finished_run(tmp_path):
    """What a run of an older version does not say is filled in; what no run of an encoder-decoder
    is is an error."""

    def written(config, text=None):
        (tmp_path / "config.json").write_text(json.dumps(config) if text is None else text)
        return tmp_path

    config = {"model": {"d_model": 8}, "decoding": {"beam_size": 2}, "data": {"corpus": "x"}}
    with pytest.raises(
        ConfigError, match="must be finished. Received: .*, which has no model.keras. Run its"
    ):
        checkpoints.read_config(written(config))
    (tmp_path / "model.keras").touch()
    filled = {"task": "translation", "copy_unknown": False, "clean": True, "prefixes": []}
    assert checkpoints.read_config(written(config)) == {**config, "data": {"corpus": "x", **filled}}
    own = {"task": "code", "copy_unknown": True, "clean": False, "prefixes": ["a: "]}
    newer = {**config, "data": own, "model": {"pointer_generator": False}}
    assert checkpoints.read_config(str(written(newer))) == newer
    for data in ({"copy_values": True}, {"copy_unknown": True}):
        with pytest.raises(
            ConfigError, match="form of symbols.*, trained by an older version. Train it again"
        ):
            checkpoints.read_config(written({**config, "data": data}))
    with pytest.raises(ConfigError, match="with the present form of symbols"):
        checkpoints.read_config(written({**newer, "data": {"copy_values": True}}))
    for section in config:
        less = {name: value for name, value in config.items() if name != section}
        with pytest.raises(
            ConfigError,
            match=f"encoder-decoder.*has the sections {', '.join(less)}. Name another run",
        ):
            checkpoints.read_config(written(less))
    with pytest.raises(ConfigError, match="a file of the run is missing or damaged. Received: "):
        checkpoints.read_config(written(None, '{"model": '))
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigError, match="a file of the run is missing or damaged. Received: "):
        checkpoints.read_config(tmp_path)


def test_a_model_is_saved_whole_or_not_at_all(tmp_path):
    model, _ = small_model()
    checkpoints.save_model(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    again = keras.saving.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())

    def half(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    model.save, before = half, (tmp_path / "model.keras").read_bytes()
    with pytest.raises(ConfigError, match=r"model.keras \(No space left on device\)"):
        checkpoints.save_model(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"] and (
        tmp_path / "model.keras"
    ).read_bytes() == before


def test_a_field_that_an_older_version_did_not_have_counts_as_its_default(tmp_path):
    config = TrainingConfig(seed=7)
    checkpoints.claim_run(tmp_path, {"training": config, "task": {"labels": ["a"]}})
    checkpoints.save_checkpoint(checkpoints.checkpoint_path(tmp_path, 5), variables({"a": 1.0}), {})
    sections = json.loads((tmp_path / "config.json").read_text())
    assert sections == {"training": dataclasses.asdict(config), "task": {"labels": ["a"]}}
    del sections["training"]["clip_norm"]
    (tmp_path / "config.json").write_text(json.dumps(sections))
    assert checkpoints.check_run(tmp_path, {"training": config}) is True
    with pytest.raises(
        ConfigError, match="other values:\n  clip_norm: 0.0 in the folder, 1.0 now\n"
    ):
        checkpoints.check_run(tmp_path, {"training": dataclasses.replace(config, clip_norm=1.0)})


def test_a_run_that_was_killed_before_it_wrote_anything_can_begin(tmp_path):
    (tmp_path / "config.tmp.json").touch()
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ConfigError, match="must be empty or contain a run"):
        checkpoints.claim_run(tmp_path, {"model": {}})
    (tmp_path / "checkpoints").rmdir()
    (tmp_path / "config.tmp.json").touch()
    assert checkpoints.claim_run(tmp_path, {"model": {}}) is False
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_what_a_killed_run_began_to_write_is_removed(tmp_path):
    checkpoints.claim_run(tmp_path, {})
    (tmp_path / "checkpoints").mkdir()
    # The second is a temporary file of safetensors.
    for name in ("checkpoints/step-5.tmp.safetensors", "checkpoints/.tmp0ksEK1", "scores.tmp.json"):
        (tmp_path / name).touch()
    (tmp_path / "checkpoints" / "step-4.safetensors").touch()
    assert checkpoints.claim_run(tmp_path, {}) is True
    assert {path.name for path in tmp_path.rglob("*")} == {
        "config.json",
        "checkpoints",
        "step-4.safetensors",
    }


def test_a_checkpoint_of_another_format_says_what_changed(tmp_path):
    from safetensors.numpy import save_file

    for number, said in (
        (
            "1",
            "format 1, which stores queries, keys and values of self-attention as three matrices. "
            "Continue with",
        ),
        ("99", "format 99. The file is damaged or was written by a newer version"),
    ):
        save_file(
            {"a": np.zeros(1)}, tmp_path / "x.safetensors", {"format": number, "progress": "{}"}
        )
        with pytest.raises(
            ConfigError, match=f"must have format 2 or 3. Received: .*x.safetensors, {said}"
        ):
            checkpoints.read_checkpoint(tmp_path / "x.safetensors")


def test_a_folder_with_other_files_is_no_run_folder(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="must be empty or contain a run"):
        checkpoints.claim_run(tmp_path, {"model": {}})
    with pytest.raises(ConfigError, match="must be writable. Received: .*letter.txt"):
        checkpoints.check_run(tmp_path / "letter.txt" / "run", {})
