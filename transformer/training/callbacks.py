"""What happens between updates: counting, logging, validation, checkpoints, stopping. Keras
callbacks for one `fit`."""

import contextlib
import math
import resource
import signal
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from transformer.config import ConfigError
from transformer.files import replacing, unwritable
from transformer.training import checkpoints
from transformer.training.workers import is_chief


class NotFiniteError(ConfigError):
    """The loss or the gradient became NaN or infinite."""


def peak_memory_gib():
    """The most memory this process held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Count(keras.callbacks.Callback):
    """Keeps `progress`; stops at a loss or gradient that is no number, with the batch saved for
    inspection.

    Args:
        progress: transformer.training.loop.Progress, changed in place.
        folder: the run folder.
        batch_at: step -> the (inputs, targets) that update `step` was made from.
        precision: of LearningConfig. In float16 a gradient that overflows is skipped, and no error.
    """

    def __init__(self, progress, folder, batch_at, precision="float32"):
        super().__init__()
        self.progress, self.folder, self.batch_at, self.precision = (
            progress,
            folder,
            batch_at,
            precision,
        )

    def on_train_batch_begin(self, batch, logs=None):
        self.begun = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        watched = ("loss",) if self.precision == "float16" else ("loss", "gradient_norm")
        wrong = [f"{name} {float(logs[name])}" for name in watched if not math.isfinite(logs[name])]
        if wrong:
            path = self.folder / f"bad-batch-{self.progress.step + 1}.npz"
            inputs, targets = self.batch_at(self.progress.step)
            np.savez(path, *(np.asarray(array) for array in inputs), targets=np.asarray(targets))
            raise NotFiniteError(
                f"loss and gradient must be finite. Received: {', '.join(wrong)} at step "
                f"{self.progress.step + 1}; its "
                f"batch is in {path}. Use another --run with a lower --learning_rate, a longer "
                f"--warmup_steps, --clip_norm=1 "
                "or --precision=bfloat16."
            )
        self.progress.step += 1
        self.progress.tokens += int(logs["tokens"])
        self.progress.seconds += time.monotonic() - self.begun
        self.progress.peak_memory_gib = max(self.progress.peak_memory_gib, peak_memory_gib())


class Validate(keras.callbacks.Callback):
    """Validates every `eval_every` steps and at the last; remembers the best weights.

    A signal ends a validation: the checkpoint of its step says so, and whoever continues makes it
    first.

    Args:
        config: LearningConfig.
        progress: Progress.
        evaluate: () -> results {name: number}, among them `keep_best_metric`, and a list of
            (source, reference, output). A result of other data has them before its name:
            "train/accuracy".
        report: called with step, results and that list after each validation.
        checkpoint: Checkpoint, which keeps the best.
    """

    def __init__(self, config, progress, evaluate, report, checkpoint):
        super().__init__()
        self.config, self.progress, self.evaluate, self.report, self.checkpoint = (
            config,
            progress,
            evaluate,
            report,
            checkpoint,
        )

    def on_train_batch_end(self, batch, logs=None):
        if self.progress.lacks_validation(self.config):
            self.run()
            self.model.stop_training |= self.progress.is_over(self.config)

    def run(self):
        """Validates this step, unless a signal comes."""
        step, begun = self.progress.step, time.monotonic()
        found = self.checkpoint.unless_stopped(self.evaluate)
        if found is None:
            return
        results, sample = found
        name = self.config.keep_best_metric
        value = -results[name] if name == "loss" else results[name]
        if self.progress.best is None or value > self.progress.best:
            self.progress.best, self.progress.best_step, self.progress.without_gain = value, step, 0
            self.checkpoint.save_best()
        else:
            self.progress.without_gain += 1
        self.progress.validated = step
        results["seconds"] = time.monotonic() - begun
        self.report(step, results, sample)
        if step < self.config.train_steps and self.progress.is_over(self.config):
            print(
                f"early stopping: {name} has not improved for {self.progress.without_gain} "
                f"validations",
                flush=True,
            )


class Checkpoint(keras.callbacks.Callback):
    """Saves every `checkpoint_every` steps and at the last, while the training goes on; SIGINT and
    SIGTERM save and stop after the current step, and end a validation.

    Args:
        trainee: training.Trainee.
        config: LearningConfig.
        progress: Progress.
        folder: the run folder.

    `stopped_by` is the signal that ended the training, or None.
    """

    def __init__(self, trainee, config, progress, folder):
        super().__init__()
        self.trainee, self.config, self.progress, self.folder, self.stopped_by = (
            trainee,
            config,
            progress,
            folder,
            None,
        )
        self.variables = checkpoints.named_variables(trainee.model, trainee.optimizer)
        self.weights = checkpoints.named_variables(trainee.model)
        self.writer, self.saved = checkpoints.BackgroundWriter(), self._state()
        self.interruptible, self.old_handlers = False, {}

    def on_train_begin(self, logs=None):
        self.old_handlers = {
            number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def _stop(self, number, frame):
        if self.stopped_by:  # the second time: at once
            raise KeyboardInterrupt
        self.stopped_by = signal.Signals(number)
        print(
            f"\n{self.stopped_by.name}: saving "
            f"{'now' if self.interruptible else 'after this step'}",
            file=sys.stderr,
            flush=True,
        )
        if self.interruptible:
            raise KeyboardInterrupt

    def unless_stopped(self, function):
        """function(), which changes nothing that is saved; None where a signal has come or
        comes."""
        if self.stopped_by:
            return None
        self.trainee.sync()
        try:
            self.interruptible = True
            result = function()
            self.interruptible = False
        except KeyboardInterrupt:
            self.interruptible = False
            if self.stopped_by:
                return None
            raise
        return result

    def on_train_batch_end(self, batch, logs=None):
        self.writer.check()
        self.model.stop_training = self.stops()
        if self.progress.step % self.config.checkpoint_every == 0 or self.model.stop_training:
            self.save()

    def stops(self):
        """Whether the training stops after this step."""
        return self.model.stop_training or bool(self.stopped_by)

    def on_train_end(self, logs=None):
        self.save()

    def close(self):
        """Gives the signals back when all is written."""
        try:
            self.writer.wait()
        finally:
            for number, handler in self.old_handlers.items():
                signal.signal(number, handler)

    def _state(self):
        return self.progress.step, self.progress.validated

    def save(self):
        """Saves this step unless it is saved already."""
        if self.saved == self._state():
            return
        self.trainee.sync()
        step, every, keep = (
            self.progress.step,
            self.config.checkpoint_every,
            self.config.keep_checkpoints,
        )
        path = checkpoints.checkpoint_path(self.folder, step)
        remove = lambda: checkpoints.remove_old_checkpoints(self.folder, step, every, keep)  # noqa: E731
        self.writer.save(path, self.variables, vars(self.progress), remove)
        self.saved = self._state()

    def save_best(self):
        """Saves the weights as the best; before the checkpoint that knows of them."""
        self.writer.save(
            self.folder / "checkpoints" / "best.safetensors", self.weights, vars(self.progress)
        )


class WorkerCheckpoint(Checkpoint):
    """A Checkpoint of one of several workers. All stop after the same step, where a signal has
    reached one of them or the chief stops early: a worker that stopped alone would leave the others
    waiting for it. The chief alone saves.
    """

    def stops(self):
        signals, stops = self.trainee.gather(
            [self.stopped_by or 0, int(self.model.stop_training)]
        ).T
        if any(signals):
            self.stopped_by = signal.Signals(max(signals))
        return bool(any(signals) or any(stops))

    def save(self):
        if is_chief("multi_worker"):
            super().save()


# The curves of the training itself.
LOGGED = tuple(
    f"train/{name}"
    for name in ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "padding_share")
)


class Log(keras.callbacks.Callback):
    """The console (a progress bar on a terminal, a line every `log_every` steps elsewhere) and
    TensorBoard."""

    def __init__(self, config, progress, folder, padding_share, description):
        super().__init__()
        self.config, self.progress, self.padding_share = config, progress, padding_share
        self.folder = folder / "tensorboard"
        with told(self.folder):
            _forget(self.folder, progress)
            self.writer = tf.summary.create_file_writer(str(self.folder))
        self.description, self.bar = description, None

    def on_train_begin(self, logs=None):
        with self._written(self.progress.step):
            tf.summary.text("config", f"```\n{self.description}\n```")
        if sys.stderr.isatty():
            self._start_bar()
        self._reset()

    def _start_bar(self):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=Console(stderr=True))
        self.task = self.bar.add_task(
            "", total=self.config.train_steps, completed=self.progress.step, text="starting"
        )
        self.bar.start()

    def _reset(self):
        self.since, self.tokens, self.seconds = (
            self.progress.step,
            self.progress.tokens,
            self.progress.seconds,
        )

    def on_train_batch_end(self, batch, logs=None):
        if self.bar:
            self.bar.update(self.task, completed=self.progress.step)
        if (
            self.progress.step % self.config.log_every
            and self.progress.step != self.config.train_steps
        ):
            return
        seconds = max(self.progress.seconds - self.seconds, 1e-9)
        speed = (self.progress.tokens - self.tokens) / seconds
        left = (
            seconds
            / (self.progress.step - self.since)
            * (self.config.train_steps - self.progress.step)
        )
        self.model.sync()
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        loss = float(logs["loss"])
        if self.bar:
            self.bar.update(self.task, text=f"loss {loss:.3f}  {speed:,.0f} tokens/s")
        else:
            print(
                f"step {self.progress.step:>6}/{self.config.train_steps}  loss {loss:.4f}  lr "
                f"{rate:.2e}  "
                f"{speed:,.0f} tokens/s  {_clock(left)} left",
                flush=True,
            )
        self._scalars(
            dict(zip(LOGGED, (loss, rate, float(logs["gradient_norm"]), speed, self.padding_share)))
        )
        self._reset()

    def _scalars(self, values):
        with self._written(self.progress.step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    @contextlib.contextmanager
    def _written(self, step):
        """What the block tells TensorBoard of a step is in the file before the step's
        checkpoint: it would not be told again."""
        with told(self.folder):
            with self.writer.as_default(step=step):
                yield
            self.writer.flush()

    def validated(self, step, results, sample):
        """Shows the results of a validation and a few of its decoded texts."""
        line = "  ".join(
            f"{name} {value:.4g}" for name, value in results.items() if name != "seconds"
        )
        (self.bar.console.print if self.bar else print)(f"validation at step {step}: {line}")
        self._scalars(
            {
                name if "/" in name else f"validation/{name}": value
                for name, value in results.items()
            }
        )
        rows = [f"| {' | '.join(text.replace('|', '/') for text in row)} |" for row in sample[:10]]
        with self._written(step):
            tf.summary.text(
                "samples", "\n".join(["| source | reference | output |", "|---|---|---|", *rows])
            )

    def close(self):
        """Ends the bar and the file."""
        if self.bar:
            self.bar.stop()
        with contextlib.suppress(tf.errors.OpError):  # a disk that is full has been told of
            self.writer.close()


@contextlib.contextmanager
def told(folder):
    """Raises ConfigError where TensorFlow cannot write in the folder."""
    try:
        yield
    except (
        tf.errors.OpError
    ) as error:  # among them the one by which `fit` knows the end of the data
        raise unwritable(folder, error.message.splitlines()[0]) from None


def _forget(folder, progress):
    """Removes from TensorBoard's files what comes again: what a killed training wrote after the
    step of its checkpoint, or of a validation of that step which the checkpoint does not know, and
    its configuration.
    """

    def stays(event):
        tags = {value.tag for value in event.summary.value}
        if event.step == progress.step > progress.validated and not tags <= {*LOGGED}:
            return False
        return event.step <= progress.step and "config" not in tags

    for path in folder.glob("events.out.tfevents.*"):
        kept = []
        with contextlib.suppress(
            tf.errors.DataLossError
        ):  # the last record of a killed training may be cut short
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                if stays(tf.compat.v1.Event.FromString(record)):
                    kept.append(record)
        with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as file:
            for record in kept:
                file.write(record)


def _clock(seconds):
    """3723 -> "1:02:03"."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
