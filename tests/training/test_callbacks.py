"""Tests of what a training shows and keeps on its way.

Complete trainings that stop, resume and keep the best weights are tested in test_loop.py.
"""

import re
import resource
import signal
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from transformer.config import ConfigError, TrainingConfig
from transformer.evaluation.plots import read_curves
from transformer.training import callbacks, checkpoints
from transformer.training.callbacks import (
    Checkpoint,
    Count,
    Log,
    NotFiniteError,
    Validate,
    WorkerCheckpoint,
)
from transformer.training.loop import Progress
from transformer.training.workers import tf_config


class Trainee:
    """Stands in for training.Trainee."""

    stop_training = False
    optimizer = types.SimpleNamespace(learning_rate=0.25)

    def sync(self):
        pass


def logs(loss):
    return {"loss": loss, "tokens": 100, "gradient_norm": 1.5}


def log_of(tmp_path, step=10, **options):
    config = TrainingConfig(train_steps=40, log_every=10, **options)
    log = Log(
        config,
        Progress(step=step, tokens=1000, seconds=2.0),
        tmp_path,
        padding_share=0.02,
        description="the config",
    )
    log.set_model(Trainee())
    return log


def advance(log, step, tokens, seconds, loss):
    log.progress.step, log.progress.tokens, log.progress.seconds = step, tokens, seconds
    log.on_train_batch_end(0, logs(loss))


@pytest.fixture
def clock(monkeypatch):
    """A list that holds the seconds that it is."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def events(tmp_path):
    """(tag, step, value) of all that TensorBoard's files hold, a text as a str."""
    found = []
    for path in sorted((tmp_path / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                text = value.tensor.string_val
                found.append(
                    (
                        value.tag,
                        event.step,
                        text[0].decode() if text else float(make_ndarray(value.tensor)),
                    )
                )
    return found


def test_steps_tokens_and_seconds_are_added_to_what_was_learnt_before(tmp_path, clock):
    progress = Progress(step=10, tokens=1000, seconds=50.0)
    count = Count(progress, tmp_path, batch_at=None)
    for batch, (tokens, seconds) in enumerate([(100, 2.0), (30, 0.5)]):
        count.on_train_batch_begin(batch)
        clock[0] += seconds
        count.on_train_batch_end(
            batch, {"loss": 1.0, "tokens": np.float32(tokens), "gradient_norm": 2.0}
        )
        # Time for a validation or a checkpoint, which does not count.
        clock[0] += 7.0
    assert (progress.step, progress.tokens, progress.seconds) == (12, 1130, 52.5)
    assert progress.summary() == {
        "steps": 12,
        "minutes": 0.875,
        "tokens_per_second": pytest.approx(1130 / 52.5),
        "peak_memory_gib": pytest.approx(callbacks.peak_memory_gib()),
    }


@pytest.mark.parametrize(
    "precision, wrong, said",
    [
        ("float32", {"loss": np.nan}, "loss nan"),
        ("float32", {"loss": -np.inf}, "loss -inf"),
        ("float32", {"gradient_norm": np.nan}, "gradient_norm nan"),
        ("bfloat16", {"gradient_norm": np.inf}, "gradient_norm inf"),
        ("bfloat16", {"loss": np.inf, "gradient_norm": np.nan}, "loss inf, gradient_norm nan"),
        ("float16", {"loss": np.nan}, "loss nan"),
        ("float16", {"loss": np.inf, "gradient_norm": np.nan}, "loss inf"),
        ("float16", {"gradient_norm": np.nan}, ""),
        (None, {"gradient_norm": np.inf}, "gradient_norm inf"),
    ],
)
def test_a_batch_of_which_nothing_finite_comes_is_kept(tmp_path, precision, wrong, said):
    """In float16 a gradient may overflow; None: the precision that counts where none is told."""
    progress = Progress(step=4, tokens=100)

    def batch_at(step):
        return (np.array([step, 1]), np.array([[2, step]])), np.array([3, step])

    count = Count(progress, tmp_path, batch_at, *([precision] if precision else []))
    count.on_train_batch_begin(0)
    if not said:
        count.on_train_batch_end(0, logs(1.0) | wrong)
        assert progress.step == 5 and not [*tmp_path.iterdir()]
        return
    # A program prints a ConfigError as one sentence, without a traceback.
    with pytest.raises(ConfigError) as error:
        count.on_train_batch_end(0, logs(1.0) | wrong)
    assert type(error.value) is NotFiniteError
    path = tmp_path / "bad-batch-5.npz"
    assert (
        f"must be finite. Received: {said} at step 5. The batch of that step is saved in {path}. "
        "Start a new --run" in str(error.value)
    )
    assert (progress.step, progress.tokens) == (4, 100)
    kept = np.load(path)
    assert {name: kept[name].tolist() for name in kept} == {
        "arr_0": [4, 1],
        "arr_1": [[2, 4]],
        "targets": [3, 4],
    }


def test_the_most_memory_that_any_process_of_the_training_held_is_told(tmp_path, monkeypatch):
    # Linux reports ru_maxrss in KiB.
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert callbacks.peak_memory_gib() == pytest.approx(kilobytes * 1024 / 1024**3, rel=0.01)
    progress = Progress()
    # The last value is smaller, as in a new process that resumed the training.
    for memory in (2.0, 3.0, 1.0):
        monkeypatch.setattr(callbacks, "peak_memory_gib", lambda: memory)
        count = Count(progress, tmp_path, batch_at=None)
        count.on_train_batch_begin(0)
        count.on_train_batch_end(0, logs(1.0))
    assert progress.summary()["peak_memory_gib"] == 3.0
    # Scoring after the training needs more.
    memory = 4.0
    assert progress.summary()["peak_memory_gib"] == 4.0


def test_a_line_every_so_many_steps_where_there_is_no_terminal(tmp_path, capsys):
    log = log_of(tmp_path)
    log.on_train_begin()
    advance(log, 15, 2000, 4.0, 2.5)
    advance(log, 20, 3000, 7.0, 2.0)
    log.close()
    # 2,000 tokens in 5 seconds. 10 steps took 5 seconds, and 20 steps are left.
    assert (
        capsys.readouterr().out
        == "step     20/40  loss 2.0000  lr 2.50e-01  400 tokens/s  0:00:10 left\n"
    )
    assert {name: values for name, (_, values) in read_curves(tmp_path).items()} == {
        "train/loss": [2.0],
        "train/learning_rate": [0.25],
        "train/gradient_norm": [1.5],
        "train/tokens_per_second": [pytest.approx(400)],
        "train/padding_share": [pytest.approx(0.02)],
    }


def test_each_line_is_of_the_steps_since_the_line_before_and_the_last_step_has_one(
    tmp_path, capsys
):
    log = log_of(tmp_path, step=0)
    # The tokens and seconds of an earlier process.
    log.progress.tokens, log.progress.seconds = 500, 100.0
    log.on_train_begin()
    advance(log, 10, 1500, 102.0, 2.5)
    advance(log, 20, 1700, 103.0, 2.25)
    log.config = TrainingConfig(train_steps=23, log_every=10)
    advance(log, 22, 2000, 104.0, 2.2)
    advance(log, 23, 2300, 105.0, 2.125)
    log.close()
    assert capsys.readouterr().out.splitlines() == [
        "step     10/40  loss 2.5000  lr 2.50e-01  500 tokens/s  0:00:06 left",
        "step     20/40  loss 2.2500  lr 2.50e-01  200 tokens/s  0:00:02 left",
        "step     23/23  loss 2.1250  lr 2.50e-01  300 tokens/s  0:00:00 left",
    ]
    assert [(step, value) for tag, step, value in events(tmp_path) if tag == "train/loss"] == [
        (10, 2.5),
        (20, 2.25),
        (23, 2.125),
    ]
    assert ("config", 0, "```\nthe config\n```") in [
        (tag.split("/")[0], step, text) for tag, step, text in events(tmp_path)
    ]


def test_the_first_line_of_a_continued_training_counts_its_own_steps_alone(tmp_path, capsys):
    """Ten steps in no time that a clock can measure: a speed, not an error. The rate is what the
    device has now."""
    log = log_of(tmp_path, step=20)
    log.on_train_begin()
    log.model.sync = lambda: setattr(
        log.model, "optimizer", types.SimpleNamespace(learning_rate=keras.Variable(0.125))
    )
    advance(log, 30, 1000, 2.0, 1.0)
    log.close()
    assert (
        capsys.readouterr().out
        == "step     30/40  loss 1.0000  lr 1.25e-01  0 tokens/s  0:00:00 left\n"
    )
    assert ("config", 20) in [(tag.split("/")[0], step) for tag, step, _ in events(tmp_path)]


def test_a_line_is_in_the_file_at_once(tmp_path):
    """Whoever kills the training after this has it."""
    log = log_of(tmp_path)
    log.on_train_begin()
    advance(log, 20, 2000, 7.0, 2.0)
    assert ("train/gradient_norm", 20, 1.5) in events(tmp_path)
    log.validated(20, {"loss": 1.25}, [("a", "b", "c")])
    assert ("validation/loss", 20, 1.25) in events(tmp_path)
    log.close()


def test_a_continued_training_forgets_what_will_be_written_again(tmp_path, capsys):
    """As if it had never been killed: each step once, though the file of the killed one is cut
    within its last record."""
    log = log_of(tmp_path)
    log.on_train_begin()
    for step in (20, 30):
        advance(log, step, 100 * step, step, loss=step)
    # The log is not closed, but the file already has everything.
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    log = log_of(tmp_path, step=20)
    log.on_train_begin()
    advance(log, 30, 3000, 30.0, loss=31)
    log.close()
    losses, configs = [], 0
    for path in sorted((tmp_path / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            losses += [
                (event.step, float(make_ndarray(value.tensor)))
                for value in event.summary.value
                if value.tag == "train/loss"
            ]
            configs += sum(value.tag == "config" for value in event.summary.value)
    # Files of the same second are numbered. By name 10 comes before 9, so the names are not in the
    # order of time.
    assert (sorted(losses), configs) == ([(20, 20.0), (30, 31.0)], 1)


@pytest.mark.parametrize("validated, points", [(0, 0), (20, 1)])
def test_a_validation_that_the_checkpoint_does_not_know_comes_again(tmp_path, validated, points):
    log = log_of(tmp_path)
    log.on_train_begin()
    advance(log, 20, 3000, 7.0, 2.0)
    log.validated(20, {"loss": 1.5, "train/accuracy": 0.5}, [("a", "b", "c")])
    log.close()
    Log(TrainingConfig(), Progress(step=20, validated=validated), tmp_path, 0.0, "").close()
    curves = read_curves(tmp_path)
    assert len(curves["train/loss"][0]) == 1
    assert [len(curves.get(name, [[]])[0]) for name in ("validation/loss", "train/accuracy")] == [
        points
    ] * 2


def test_what_is_of_an_earlier_step_stays(tmp_path):
    """The checkpoint of step 30 does not know of its validation, but of that of step 20; its own
    line was written before it."""
    log = log_of(tmp_path)
    log.on_train_begin()
    for step in (20, 30, 40):
        advance(log, step, 100 * step, step, loss=step)
        log.validated(step, {"loss": step + 0.5}, [("a", "b", f"at {step}")])
    log.close()
    Log(TrainingConfig(), Progress(step=30, validated=20), tmp_path, 0.0, "").close()
    left = [(tag.split("/text_summary")[0], step, value) for tag, step, value in events(tmp_path)]
    assert [(step, value) for tag, step, value in left if tag == "train/loss"] == [
        (20, 20.0),
        (30, 30.0),
    ]
    assert [(step, value) for tag, step, value in left if tag == "validation/loss"] == [(20, 20.5)]
    assert [(step, value[-8:]) for tag, step, value in left if tag == "samples"] == [
        (20, " at 20 |")
    ]
    assert not [tag for tag, _, _ in left if tag == "config"]


def test_a_place_where_tensorboard_cannot_write_is_told_at_the_start(tmp_path):
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(ConfigError, match="tensorboard"):
        Log(TrainingConfig(), Progress(), tmp_path, 0.0, "")


def test_a_disk_that_is_full_is_not_taken_for_the_end_of_the_data(tmp_path, monkeypatch):
    """A writer that meets a limit of the file system raises OutOfRangeError, by which `fit` ends
    as if all were well."""
    log = log_of(tmp_path)
    log.on_train_begin()
    error = tf.errors.OutOfRangeError(None, None, "events.v2; File too large\nand more")
    monkeypatch.setattr(
        log,
        "writer",
        types.SimpleNamespace(
            as_default=log.writer.as_default, flush=lambda: (_ for _ in ()).throw(error)
        ),
    )
    with pytest.raises(
        ConfigError,
        match=r"could not be written. Received: .*\(events.v2; File too large\)",
    ):
        advance(log, 20, 3000, 7.0, 2.0)
    monkeypatch.setattr(
        log, "writer", types.SimpleNamespace(close=lambda: (_ for _ in ()).throw(error))
    )
    # The error has already been reported, so `close` does not raise it again.
    log.close()


def test_the_file_is_closed(tmp_path, monkeypatch):
    log, closed = log_of(tmp_path), []
    monkeypatch.setattr(log, "writer", types.SimpleNamespace(close=lambda: closed.append(True)))
    log.close()
    assert closed


def test_a_bar_on_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(callbacks.sys.stderr, "isatty", lambda: True, raising=False)
    log = log_of(tmp_path)
    log.on_train_begin()
    assert (log.bar.tasks[0].completed, log.bar.tasks[0].total) == (10, 40)
    # The bar moves at every step, but its text changes only at some.
    advance(log, 13, 1100, 3.0, 2.5)
    assert (log.bar.tasks[0].completed, log.bar.tasks[0].fields["text"]) == (13, "starting")
    advance(log, 20, 3000, 7.0, 2.0)
    log.validated(20, {"loss": 1.0, "bleu": 33.333, "seconds": 1.0}, [("a|b", "c", "d")])
    log.close()
    assert log.bar.finished is False and not log.bar.live.is_started
    out, error = capsys.readouterr()
    # Remove colours and cursor movements.
    error = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", error)
    assert out == "" and "20/40" in error and "loss 2.000  400 tokens/s" in error
    assert "validation at step 20: loss 1  bleu 33.33" in error
    # The estimated time that is left.
    assert re.search(r"tokens/s (\d+:\d\d:\d\d|-:--:--)", error)


def test_a_validation_is_printed_and_its_samples_are_kept(tmp_path, capsys):
    log = log_of(tmp_path)
    rows = [("a|b", "reference", "output"), *((str(number), "c|", "d") for number in range(2, 13))]
    log.validated(10, {"loss": 1.54321, "bleu": 12.3, "train/accuracy": 0.75, "seconds": 9.0}, rows)
    log.close()
    assert (
        capsys.readouterr().out
        == "validation at step 10: loss 1.543  bleu 12.3  train/accuracy 0.75\n"
    )
    table = ["| source | reference | output |", "|---|---|---|", "| a/b | reference | output |"]
    # Ten of the twelve samples are kept.
    table += [f"| {number} | c/ | d |" for number in range(2, 11)]
    assert [
        (tag.split("/text_summary")[0], step, value) for tag, step, value in events(tmp_path)
    ] == [
        ("validation/loss", 10, pytest.approx(1.54321)),
        ("validation/bleu", 10, pytest.approx(12.3)),
        ("train/accuracy", 10, 0.75),
        ("validation/seconds", 10, 9.0),
        ("samples", 10, "\n".join(table)),
    ]


def test_the_best_is_kept_and_patience_ends(capsys):
    kept, trainee, progress = [], Trainee(), Progress()
    losses = iter([3.0, 2.0, 2.5, 2.5])
    config = TrainingConfig(train_steps=9, eval_every=2, keep_best_metric="loss", early_stopping=2)
    checkpoint = types.SimpleNamespace(
        unless_stopped=lambda function: function(), save_best=lambda: kept.append(progress.step)
    )
    validate = Validate(
        config, progress, lambda: ({"loss": next(losses)}, []), lambda *results: None, checkpoint
    )
    validate.set_model(trainee)
    for step in range(1, 9):
        progress.step = step
        validate.on_train_batch_end(0)
        if trainee.stop_training:
            break
    assert kept == [2, 4] and (progress.best, progress.best_step, progress.step) == (-2.0, 4, 8)
    assert "early stopping: loss has not improved for 2 validations" in capsys.readouterr().out


def validate_of(values, kept=None, report=None, stopped=False, **options):
    """A Validate that finds these values of its keep_best_metric, one after the other."""
    values, progress = iter(values), Progress()
    config = TrainingConfig(
        **{"train_steps": 100, "eval_every": 2, "keep_best_metric": "loss", **options}
    )
    checkpoint = types.SimpleNamespace(
        unless_stopped=lambda function: None if stopped else function(),
        save_best=lambda: (
            kept is None or kept.append((progress.best, progress.best_step, progress.without_gain))
        ),
    )

    def evaluate():
        return {config.keep_best_metric: next(values), "other": 7.0}, [("a", "b", "c")]

    validate = Validate(config, progress, evaluate, report or (lambda *results: None), checkpoint)
    validate.set_model(Trainee())
    validate.model.stop_training = False
    return validate, progress


def validated_at(validate, *steps):
    for step in steps:
        validate.progress.step = step
        validate.on_train_batch_end(0)


@pytest.mark.parametrize(
    "metric, values, best, best_step, without_gain, stops",
    [
        # The count restarts after a new best.
        ("loss", [3.0, 3.5, 2.0, 2.5], -2.0, 6, 1, False),
        ("loss", [3.0, 3.5, 3.25], -3.0, 2, 2, True),
        ("loss", [3.0, 3.5, 2.0, 2.5, 2.25], -2.0, 6, 2, True),
        # An equal score is no gain.
        ("loss", [3.0, 3.0, 3.0], -3.0, 2, 2, True),
        ("bleu", [3.0, 3.5, 2.0, 2.5], 3.5, 4, 2, True),
        # A best score of 0 counts.
        ("bleu", [0.0, -0.5], 0.0, 2, 1, False),
        ("bleu", [1.0, 2.0, 3.0, 4.0], 4.0, 8, 0, False),
    ],
)
def test_patience_is_counted_from_the_best(metric, values, best, best_step, without_gain, stops):
    kept = []
    validate, progress = validate_of(values, kept, keep_best_metric=metric, early_stopping=2)
    validated_at(validate, *range(1, 2 * len(values) + 1))
    assert (progress.best, progress.best_step, progress.without_gain) == (
        best,
        best_step,
        without_gain,
    )
    assert validate.model.stop_training is stops and progress.validated == 2 * len(values)
    # The best weights are saved as soon as they are found, with the progress known at that time.
    assert kept[-1] == (best, best_step, 0) and kept[0] == (
        -values[0] if metric == "loss" else values[0],
        2,
        0,
    )


def test_without_patience_a_training_goes_on_without_gain():
    validate, progress = validate_of([1.0, 2.0, 3.0, 4.0], early_stopping=0)
    validated_at(validate, 2, 4, 6, 8)
    assert progress.without_gain == 3 and not validate.model.stop_training


def test_what_a_validation_found_is_reported(clock, capsys):
    told = []
    validate, progress = validate_of(
        [3.0, 4.0], report=lambda *results: told.append(results), early_stopping=1, train_steps=3
    )
    evaluate = validate.evaluate
    validate.evaluate = lambda: (evaluate(), clock.__setitem__(0, clock[0] + 2.5))[0]
    validated_at(validate, 1, 2, 3)
    rows = [("a", "b", "c")]
    assert told == [
        (2, {"loss": 3.0, "other": 7.0, "seconds": 2.5}, rows),
        (3, {"loss": 4.0, "other": 7.0, "seconds": 2.5}, rows),
    ]
    # The training ends at this step anyway, so nothing about early stopping is printed.
    assert capsys.readouterr().out == ""
    validate, _ = validate_of([3.0, 4.0, 5.0], early_stopping=2, train_steps=7)
    validated_at(validate, 2, 4)
    assert capsys.readouterr().out == ""
    validated_at(validate, 6)
    assert capsys.readouterr().out == "early stopping: loss has not improved for 2 validations\n"


def test_a_validation_that_a_signal_ended_changes_nothing():
    told = []
    validate, progress = validate_of(
        [3.0], report=lambda *results: told.append(results), stopped=True
    )
    validated_at(validate, 2)
    assert progress == Progress(step=2) and not told


def test_what_has_stopped_a_training_is_not_taken_back_by_a_validation():
    validate, _ = validate_of([3.0], early_stopping=5)
    validate.model.stop_training = True
    validated_at(validate, 2)
    assert validate.model.stop_training is True


class Learner(Trainee):
    """A stand-in with a weight, a seed and a moment; they are as on the device only after sync."""

    def __init__(self):
        self.weight, self.moment = (
            keras.Variable([0.0], name="weight"),
            keras.Variable([0.0], name="moment"),
        )
        self.seed = keras.Variable(
            np.array([7], "uint32"), dtype="uint32", trainable=False, name="seed"
        )
        self.model = types.SimpleNamespace(
            variables=[self.weight, self.seed], weights=[self.weight]
        )
        self.optimizer, self.learnt = types.SimpleNamespace(variables=[self.moment]), 0.0

    def sync(self):
        self.weight.assign([self.learnt])


def checkpoint_of(tmp_path, step=0, **options):
    config = TrainingConfig(
        **{
            "train_steps": 100,
            "checkpoint_every": 3,
            "keep_checkpoints": 2,
            "average_checkpoints": 1,
            **options,
        }
    )
    checkpoint = Checkpoint(Learner(), config, Progress(step=step), tmp_path)
    checkpoint.set_model(types.SimpleNamespace(stop_training=False))
    return checkpoint


def saved_by(checkpoint, *steps):
    """The numbers of the checkpoints that are there after these steps."""
    for step in steps:
        checkpoint.progress.step, checkpoint.trainee.learnt = step, 10.0 * step
        checkpoint.on_train_batch_end(0)
    checkpoint.writer.wait()
    return [int(path.stem[-8:]) for path in checkpoints.list_checkpoints(checkpoint.folder)]


def test_checkpoints_are_made_every_so_many_steps_and_the_newest_stay(tmp_path):
    checkpoint = checkpoint_of(tmp_path)
    assert saved_by(checkpoint, 1, 2) == [] and saved_by(checkpoint, 3, 4, 5) == [3]
    assert saved_by(checkpoint, 6, 7, 8, 9, 10) == [6, 9]
    checkpoint.on_train_end()
    checkpoint.close()
    assert saved_by(checkpoint) == [9, 10]
    arrays, progress = checkpoints.read_checkpoint(checkpoints.checkpoint_path(tmp_path, 10))
    # The saved weights are the learned ones, not those before the last sync.
    assert arrays["model/0000/weight"].tolist() == [100.0]
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "model/0000/weight": [100.0],
        "model/0001/seed": [7],
        "optimizer/0000/moment": [0.0],
    }
    assert progress == vars(Progress(step=10))


def test_a_step_is_saved_once_but_again_when_its_validation_is_made(tmp_path):
    checkpoint, written = checkpoint_of(tmp_path, step=3), []
    checkpoint.writer = types.SimpleNamespace(
        save=lambda *arguments: written.append(arguments), check=lambda: None, wait=lambda: None
    )
    # Nothing was learned since the checkpoint was read.
    checkpoint.on_train_end()
    assert not written
    saved_by(checkpoint, 6)
    checkpoint.on_train_end()
    assert len(written) == 1
    checkpoint.progress.validated = 6
    checkpoint.save()
    checkpoint.save()
    assert [path.name for path, *_ in written] == ["step-00000006.safetensors"] * 2


def test_the_best_are_the_weights_alone(tmp_path):
    checkpoint = checkpoint_of(tmp_path, step=5)
    checkpoint.trainee.weight.assign([2.5])
    checkpoint.save_best()
    checkpoint.close()
    arrays, progress = checkpoints.read_checkpoint(tmp_path / "checkpoints" / "best.safetensors")
    assert arrays["model/0000/weight"].tolist() == [2.5] and progress["step"] == 5
    assert (
        not [name for name in arrays if name.startswith("optimizer")]
        and checkpoints.list_checkpoints(tmp_path) == []
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_after_the_step_and_a_second_ends_at_once(tmp_path, capsys, number):
    before, checkpoint = signal.getsignal(number), checkpoint_of(tmp_path)
    checkpoint.on_train_begin()
    try:
        assert saved_by(checkpoint, 1) == [] and checkpoint.model.stop_training is False
        signal.raise_signal(number)
        assert (
            capsys.readouterr().err == f"\n{number.name}: will save and stop after this step\n"
            and checkpoint.stopped_by is number
        )
        assert saved_by(checkpoint, 2) == [2] and checkpoint.model.stop_training is True
        assert checkpoint.unless_stopped(lambda: "validated") is None
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    finally:
        checkpoint.close()
    assert signal.getsignal(number) is before


def test_an_early_stopping_is_saved(tmp_path):
    checkpoint = checkpoint_of(tmp_path)
    checkpoint.model.stop_training = True
    assert (
        saved_by(checkpoint, 4) == [4]
        and checkpoint.model.stop_training is True
        and checkpoint.stopped_by is None
    )


def test_a_signal_ends_what_can_be_interrupted(tmp_path, capsys):
    checkpoint = checkpoint_of(tmp_path)
    checkpoint.trainee.learnt = 5.0
    # The function sees the learned weights.
    assert checkpoint.unless_stopped(lambda: checkpoint.trainee.weight.numpy().tolist()) == [5.0]
    assert not checkpoint.interruptible
    checkpoint.on_train_begin()
    try:
        after = []
        found = checkpoint.unless_stopped(
            lambda: (signal.raise_signal(signal.SIGTERM), after.append("it went on"))
        )
        assert (
            found is None
            and not after
            and checkpoint.stopped_by is signal.SIGTERM
            and not checkpoint.interruptible
        )
        assert (
            capsys.readouterr().err
            == "\nSIGTERM: interrupting the validation, saving and stopping\n"
        )
    finally:
        checkpoint.close()


def test_an_interruption_that_is_no_signal_of_ours_is_passed_on(tmp_path):
    checkpoint = checkpoint_of(tmp_path)

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoint.unless_stopped(interrupted)
    assert not checkpoint.interruptible


def test_what_could_not_be_written_is_raised_at_the_next_step_and_the_signals_are_given_back(
    tmp_path,
):
    before, checkpoint = signal.getsignal(signal.SIGTERM), checkpoint_of(tmp_path)
    checkpoint.on_train_begin()
    try:
        (tmp_path / "checkpoints").write_text("in the way of the folder")
        checkpoint.progress.step = 3
        checkpoint.on_train_batch_end(0)
        # Wait for the background write to fail.
        checkpoint.writer.pending.exception()
        checkpoint.progress.step = 4
        with pytest.raises(OSError):
            checkpoint.on_train_batch_end(0)
        checkpoint.progress.step = 6
        checkpoint.on_train_batch_end(0)
    finally:
        with pytest.raises(OSError):
            checkpoint.close()
    assert signal.getsignal(signal.SIGTERM) is before


def worker_checkpoint(tmp_path, monkeypatch, index, gather):
    """Of a worker whose `gather` is given, at step 7."""
    monkeypatch.setenv("TF_CONFIG", tf_config(["a:1", "b:1"], index))
    trainee = Trainee()
    trainee.model, trainee.gather = types.SimpleNamespace(variables=[]), gather
    trainee.optimizer = types.SimpleNamespace(variables=[])
    checkpoint = WorkerCheckpoint(trainee, TrainingConfig(), Progress(step=7), tmp_path)
    checkpoint.set_model(trainee)
    return checkpoint


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    "other, stopped_by, stops",
    [
        ([0, 0], None, False),
        ([0, 1], None, True),
        ([15, 0], signal.SIGTERM, True),
        ([2, 1], signal.SIGINT, True),
    ],
)
def test_workers_stop_together_and_the_chief_saves(
    tmp_path, monkeypatch, index, other, stopped_by, stops
):
    """What another worker knows: nothing, an early stopping, a signal."""
    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self: saved.append(self.progress.step))
    checkpoint = worker_checkpoint(
        tmp_path, monkeypatch, index, lambda mine: np.array([mine, other])
    )
    checkpoint.on_train_batch_end(0)
    assert (checkpoint.stopped_by, checkpoint.model.stop_training) == (stopped_by, stops)
    assert saved == [7] * (stops and index == 0)


def test_a_chief_that_stops_early_tells_the_others(tmp_path, monkeypatch):
    told = []
    checkpoint = worker_checkpoint(
        tmp_path, monkeypatch, 1, lambda mine: told.append(mine) or np.array([mine, [0, 0]])
    )
    checkpoint.model.stop_training = True
    checkpoint.on_train_batch_end(0)
    assert (
        told == [[0, 1]]
        and checkpoint.stopped_by is None
        and checkpoint.model.stop_training is True
    )


def test_a_signal_to_one_worker_is_told_to_the_others(tmp_path, monkeypatch, capsys):
    told = []
    checkpoint = worker_checkpoint(
        tmp_path, monkeypatch, 1, lambda mine: told.append(mine) or np.array([[0, 0], mine])
    )
    checkpoint._stop(signal.SIGINT, None)
    assert "SIGINT: will save and stop after this step" in capsys.readouterr().err
    checkpoint.on_train_batch_end(0)
    assert (
        told == [[signal.SIGINT, 0]]
        and checkpoint.stopped_by == signal.SIGINT
        and checkpoint.model.stop_training
    )


@pytest.mark.parametrize(
    "seconds, text",
    [(3723, "1:02:03"), (59.9, "0:00:59"), (36000, "10:00:00"), (0, "0:00:00"), (7325, "2:02:05")],
)
def test_clock(seconds, text):
    assert callbacks._clock(seconds) == text
