"""What a training shows and keeps on its way. Stopping, resuming and keeping the best are in test_training.py."""

import re
import signal
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from transformer import callbacks
from transformer.callbacks import Checkpoint, Count, Log, Validate, WorkerCheckpoint
from transformer.cluster import tf_config
from transformer.config import ConfigError, TrainingConfig
from transformer.training import Progress
from transformer.visualization import read_curves


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
    log = Log(config, Progress(step=step, tokens=1000, seconds=2.0), tmp_path, padding_share=0.02, description="the config")
    log.set_model(Trainee())
    return log


def advance(log, step, tokens, seconds, loss):
    log.progress.step, log.progress.tokens, log.progress.seconds = step, tokens, seconds
    log.on_train_batch_end(0, logs(loss))


def test_the_most_memory_that_any_process_of_the_training_held_is_told(tmp_path, monkeypatch):
    assert 0.05 < callbacks.peak_memory_gib() < 100
    progress = Progress()
    for memory in (2.0, 3.0, 1.0):  # the last as of a process that continued
        monkeypatch.setattr(callbacks, "peak_memory_gib", lambda: memory)
        count = Count(progress, tmp_path, batch_at=None)
        count.on_train_batch_begin(0)
        count.on_train_batch_end(0, logs(1.0))
    assert progress.summary()["peak_memory_gib"] == 3.0
    memory = 4.0  # scoring needs more
    assert progress.summary()["peak_memory_gib"] == 4.0


def test_a_line_every_so_many_steps_where_there_is_no_terminal(tmp_path, capsys):
    log = log_of(tmp_path)
    log.on_train_begin()
    advance(log, 15, 2000, 4.0, 2.5)
    advance(log, 20, 3000, 7.0, 2.0)
    log.close()
    # 2,000 tokens in 5 seconds; 10 steps took 5 seconds, 20 are left.
    assert capsys.readouterr().out == "step     20/40  loss 2.0000  lr 2.50e-01  400 tokens/s  0:00:10 left\n"
    assert {name: values for name, (_, values) in read_curves(tmp_path).items()} == {
        "train/loss": [2.0], "train/learning_rate": [0.25], "train/gradient_norm": [1.5],
        "train/tokens_per_second": [pytest.approx(400)], "train/padding_share": [pytest.approx(0.02)],
    }  # fmt: skip


def test_a_continued_training_forgets_what_will_be_written_again(tmp_path, capsys):
    """As if it had never been killed: each step once, though the file of the killed one is cut within its last record."""
    log = log_of(tmp_path)
    log.on_train_begin()
    for step in (20, 30):
        advance(log, step, 100 * step, step, loss=step)
    path, = (tmp_path / "tensorboard").iterdir()  # not closed: all is in the file already
    path.write_bytes(path.read_bytes()[:-3])
    log = log_of(tmp_path, step=20)
    log.on_train_begin()
    advance(log, 30, 3000, 30.0, loss=31)
    log.close()
    losses, configs = [], 0
    for path in sorted((tmp_path / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            losses += [(event.step, float(make_ndarray(value.tensor))) for value in event.summary.value if value.tag == "train/loss"]
            configs += sum(value.tag == "config" for value in event.summary.value)
    assert (losses, configs) == ([(20, 20.0), (30, 31.0)], 1)


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
    assert [len(curves.get(name, [[]])[0]) for name in ("validation/loss", "train/accuracy")] == [points] * 2


def test_a_place_where_tensorboard_cannot_write_is_told_at_the_start(tmp_path):
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(ConfigError, match="tensorboard"):
        Log(TrainingConfig(), Progress(), tmp_path, 0.0, "")


def test_a_disk_that_is_full_is_not_taken_for_the_end_of_the_data(tmp_path, monkeypatch):
    """A writer that meets a limit of the file system raises OutOfRangeError, by which `fit` ends as if all were well."""
    log = log_of(tmp_path)
    log.on_train_begin()
    error = tf.errors.OutOfRangeError(None, None, "events.v2; File too large\nand more")
    monkeypatch.setattr(log, "writer", types.SimpleNamespace(as_default=log.writer.as_default, flush=lambda: (_ for _ in ()).throw(error)))
    with pytest.raises(ConfigError, match=r"must have room and be writable. Received: .*\(events.v2; File too large\)"):
        advance(log, 20, 3000, 7.0, 2.0)


def test_a_bar_on_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(callbacks.sys.stderr, "isatty", lambda: True, raising=False)
    log = log_of(tmp_path)
    log.on_train_begin()
    advance(log, 20, 3000, 7.0, 2.0)
    log.validated(20, {"loss": 1.0, "bleu": 33.333, "seconds": 1.0}, [("a|b", "c", "d")])
    log.close()
    out, error = capsys.readouterr()
    error = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", error)  # colours and cursor movements
    assert out == "" and "20/40" in error and "loss 2.000  400 tokens/s" in error
    assert "validation at step 20: loss 1  bleu 33.33" in error


def test_a_validation_is_printed_and_its_samples_are_kept(tmp_path, capsys):
    log = log_of(tmp_path)
    log.validated(20, {"loss": 1.5, "seconds": 9.0}, [("a|b", "reference", "output")])
    log.close()
    assert capsys.readouterr().out == "validation at step 20: loss 1.5\n"
    path = next((tmp_path / "tensorboard").iterdir())
    texts = [value.tensor.string_val[0].decode() for event in EventFileLoader(str(path)).Load() for value in event.summary.value
             if value.tag.startswith("samples")]  # fmt: skip
    assert texts == ["| source | reference | output |\n|---|---|---|\n| a/b | reference | output |"]


def test_the_best_is_kept_and_patience_ends(capsys):
    kept, trainee, progress = [], Trainee(), Progress()
    losses = iter([3.0, 2.0, 2.5, 2.5])
    config = TrainingConfig(train_steps=9, eval_every=2, keep_best_metric="loss", early_stopping=2)
    checkpoint = types.SimpleNamespace(unless_stopped=lambda function: function(), save_best=lambda: kept.append(progress.step))
    validate = Validate(config, progress, lambda: ({"loss": next(losses)}, []), lambda *results: None, checkpoint)
    validate.set_model(trainee)
    for step in range(1, 9):
        progress.step = step
        validate.on_train_batch_end(0)
        if trainee.stop_training:
            break
    assert kept == [2, 4] and (progress.best, progress.best_step, progress.step) == (-2.0, 4, 8)
    assert "early stopping: loss has not improved for 2 validations" in capsys.readouterr().out


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
@pytest.mark.parametrize("other, stopped_by, stops", [([0, 0], None, False), ([0, 1], None, True), ([15, 0], signal.SIGTERM, True)])
def test_workers_stop_together_and_the_chief_saves(tmp_path, monkeypatch, index, other, stopped_by, stops):
    """What another worker knows: nothing, an early stopping, a signal."""
    saved = []
    monkeypatch.setattr(Checkpoint, "save", lambda self: saved.append(self.progress.step))
    checkpoint = worker_checkpoint(tmp_path, monkeypatch, index, lambda mine: np.array([mine, other]))
    checkpoint.on_train_batch_end(0)
    assert (checkpoint.stopped_by, checkpoint.model.stop_training) == (stopped_by, stops)
    assert saved == [7] * (stops and index == 0)


def test_a_signal_to_one_worker_is_told_to_the_others(tmp_path, monkeypatch, capsys):
    told = []
    checkpoint = worker_checkpoint(tmp_path, monkeypatch, 1, lambda mine: told.append(mine) or np.array([[0, 0], mine]))
    checkpoint._stop(signal.SIGINT, None)
    assert "SIGINT: saving after this step" in capsys.readouterr().err
    checkpoint.on_train_batch_end(0)
    assert told == [[signal.SIGINT, 0]] and checkpoint.stopped_by == signal.SIGINT and checkpoint.model.stop_training


@pytest.mark.parametrize("seconds, text", [(3723, "1:02:03"), (59.9, "0:00:59"), (36000, "10:00:00")])
def test_clock(seconds, text):
    assert callbacks._clock(seconds) == text
