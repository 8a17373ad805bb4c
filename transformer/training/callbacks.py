"""Keras callbacks for one call of `fit`: everything that happens between two updates.

- `Count`: keeps the progress, and stops at a loss or gradient that is not finite.
- `Log`: writes to the console and to TensorBoard.
- `Validate`: validates and remembers the best weights.
- `Checkpoint`: saves checkpoints and handles signals.
- `WorkerCheckpoint`: the same for one of several workers.
"""

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
    """Raised when the loss or the gradient norm becomes NaN or infinite."""


def peak_memory_gib():
    """Returns the peak resident memory of this process, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Count(keras.callbacks.Callback):
    """Keeps `progress` up to date, and stops the training at a loss or gradient that is not finite.

    The batch of the failed update is saved to the run folder, for inspection.

    Args:
        progress: `transformer.training.loop.Progress`, changed in place.
        folder: `pathlib.Path`, the run folder.
        batch_at: function that takes a step and returns the batch of that update, a pair (inputs,
            targets).
        precision: `LearningConfig.precision`. With "float16" a gradient that overflows is not an
            error, because the optimizer skips the update.
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
        """Starts the clock of the update."""
        self.begun = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Checks the loss and the gradient norm, then adds the update to `progress`.

        Raises:
            NotFiniteError: if the loss or, unless the precision is "float16", the gradient norm is
                NaN or infinite.
        """
        watched = ("loss",) if self.precision == "float16" else ("loss", "gradient_norm")
        wrong = [f"{name} {float(logs[name])}" for name in watched if not math.isfinite(logs[name])]
        if wrong:
            path = self.folder / f"bad-batch-{self.progress.step + 1}.npz"
            inputs, targets = self.batch_at(self.progress.step)
            np.savez(path, *(np.asarray(array) for array in inputs), targets=np.asarray(targets))
            raise NotFiniteError(
                f"the loss and the gradient must be finite. Received: {', '.join(wrong)} at step "
                f"{self.progress.step + 1}. The batch of that step is saved in {path}. Start a new "
                "--run with a lower --learning_rate, more --warmup_steps, --clip_norm=1 or "
                "--precision=bfloat16."
            )
        self.progress.step += 1
        self.progress.tokens += int(logs["tokens"])
        self.progress.seconds += time.monotonic() - self.begun
        self.progress.peak_memory_gib = max(self.progress.peak_memory_gib, peak_memory_gib())


class Validate(keras.callbacks.Callback):
    """Validates every `eval_every` steps and after the last one, and remembers the best weights.

    A signal interrupts a validation. The checkpoint of that step then records that the validation
    is missing, and a resumed training makes it first.

    Args:
        config: a `LearningConfig`.
        progress: the `Progress`, changed in place.
        evaluate: function without arguments that returns a pair (results, sample). `results` is a
            dict of numbers by name and contains `config.keep_best_metric`. The name of a result on
            data other than the validation set has the name of that data in front: "train/accuracy".
            `sample` is a list of (source, reference, output).
        report: function called after each validation with the step, the results and the sample.
        checkpoint: the `Checkpoint` that saves the best weights.
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
        """Validates if this step needs it, and stops the training if it is over."""
        if self.progress.lacks_validation(self.config):
            self.run()
            self.model.stop_training |= self.progress.is_over(self.config)

    def run(self):
        """Validates this step and saves the weights if they are the best so far.

        If a signal comes before or during the validation, nothing changes.
        """
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
                "validations",
                flush=True,
            )


class Checkpoint(keras.callbacks.Callback):
    """Saves checkpoints in the background, and stops the training at SIGINT or SIGTERM.

    It saves every `checkpoint_every` steps and when the training ends. The first signal interrupts
    a running validation, saves a checkpoint after the current update and ends the training. A
    second signal raises KeyboardInterrupt at once.

    Args:
        trainee: the `Trainee`.
        config: a `LearningConfig`.
        progress: the `Progress`.
        folder: `pathlib.Path`, the run folder.

    Attributes:
        stopped_by: the `signal.Signals` that ended the training, or None.
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
        """Installs the signal handlers."""
        self.old_handlers = {
            number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def _stop(self, number, frame):
        # The second signal ends the process without another checkpoint.
        if self.stopped_by:
            raise KeyboardInterrupt
        self.stopped_by = signal.Signals(number)
        print(
            f"\n{self.stopped_by.name}: "
            + (
                "interrupting the validation, saving and stopping"
                if self.interruptible
                else "will save and stop after this step"
            ),
            file=sys.stderr,
            flush=True,
        )
        if self.interruptible:
            raise KeyboardInterrupt

    def unless_stopped(self, function):
        """Calls a function that a signal may interrupt.

        Args:
            function: function without arguments. It must not change anything that a checkpoint
                saves.

        Returns:
            The result of the function, or None if a signal came before or during the call.
        """
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
        """Decides whether the training stops, and saves a checkpoint if one is due.

        Raises:
            ConfigError: if the previous checkpoint could not be written.
        """
        self.writer.check()
        self.model.stop_training = self.stops()
        if self.progress.step % self.config.checkpoint_every == 0 or self.model.stop_training:
            self.save()

    def stops(self):
        """Returns whether the training stops after this step."""
        return self.model.stop_training or bool(self.stopped_by)

    def on_train_end(self, logs=None):
        """Saves the last step."""
        self.save()

    def close(self):
        """Waits until all checkpoints are written, then restores the old signal handlers.

        Raises:
            ConfigError: if a checkpoint could not be written. The handlers are restored all the
                same.
        """
        try:
            self.writer.wait()
        finally:
            for number, handler in self.old_handlers.items():
                signal.signal(number, handler)

    def _state(self):
        return self.progress.step, self.progress.validated

    def save(self):
        """Saves a checkpoint of this step, unless it exists already."""
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
        """Saves the weights as the best ones.

        The file is written before the checkpoint whose progress refers to it.
        """
        self.writer.save(
            self.folder / "checkpoints" / "best.safetensors", self.weights, vars(self.progress)
        )


class WorkerCheckpoint(Checkpoint):
    """A `Checkpoint` for one of several workers, of which only the chief saves.

    All workers stop after the same step, as soon as one of them has received a signal or the chief
    stops early. If one worker stopped alone, the others would wait for it forever.
    """

    def stops(self):
        """Returns whether any worker stops after this step.

        All workers must call it at the same time.
        """
        signals, stops = self.trainee.gather(
            [self.stopped_by or 0, int(self.model.stop_training)]
        ).T
        if any(signals):
            self.stopped_by = signal.Signals(max(signals))
        return bool(any(signals) or any(stops))

    def save(self):
        """Saves a checkpoint of this step if this worker is the chief."""
        if is_chief("multi_worker"):
            super().save()


# TensorBoard tags of the training curves. Other tags, except config, are of validations.
LOGGED = tuple(
    f"train/{name}"
    for name in ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "padding_share")
)


class Log(keras.callbacks.Callback):
    """Logs to the console and to TensorBoard.

    On a terminal the console shows a progress bar, elsewhere one line every `log_every` steps.

    Args:
        config: a `LearningConfig`.
        progress: the `Progress`.
        folder: `pathlib.Path`, the run folder. The TensorBoard files go to its folder
            "tensorboard".
        padding_share: float, the share of padding in the batches, logged as a curve.
        description: str, the configuration as it is shown in TensorBoard.

    Raises:
        ConfigError: if TensorFlow cannot write to the folder.
    """

    def __init__(self, config, progress, folder, padding_share, description):
        super().__init__()
        self.config, self.progress, self.padding_share = config, progress, padding_share
        self.folder = folder / "tensorboard"
        with told(self.folder):
            _forget(self.folder, progress)
            self.writer = tf.summary.create_file_writer(str(self.folder))
        self.description, self.bar = description, None

    def on_train_begin(self, logs=None):
        """Writes the configuration to TensorBoard and starts the progress bar."""
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
        """Updates the progress bar, and logs every `log_every` steps and at the last one."""
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
        """Makes the block's summaries belong to `step`, and flushes them.

        They must be on the disk before the checkpoint of that step, because a training that resumes
        from it does not write them again.
        """
        with told(self.folder):
            with self.writer.as_default(step=step):
                yield
            self.writer.flush()

    def validated(self, step, results, sample):
        """Logs the results of a validation and up to ten of its samples.

        Args:
            step: int, the step that was validated.
            results: dict of numbers by name. In TensorBoard a name without "/" gets the prefix
                "validation/".
            sample: list of (source, reference, output).
        """
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
        """Stops the progress bar and closes the TensorBoard file."""
        if self.bar:
            self.bar.stop()
        # A full disk has been reported already.
        with contextlib.suppress(tf.errors.OpError):
            self.writer.close()


@contextlib.contextmanager
def told(folder):
    """Turns any TensorFlow error of the block into a ConfigError: the folder cannot be written.

    Args:
        folder: `pathlib.Path`, named in the message.
    """
    try:
        yield
    # OutOfRangeError is one of these, and `fit` would take it for the end of the data.
    except tf.errors.OpError as error:
        raise unwritable(folder, error.message.splitlines()[0]) from None


def _forget(folder, progress):
    """Removes from the TensorBoard files what the resumed training writes again.

    These are the events after the step of the checkpoint, those of a validation at that step if the
    checkpoint does not include it, and the configuration.
    """

    def stays(event):
        tags = {value.tag for value in event.summary.value}
        if event.step == progress.step > progress.validated and not tags <= {*LOGGED}:
            return False
        return event.step <= progress.step and "config" not in tags

    for path in folder.glob("events.out.tfevents.*"):
        kept = []
        # The last record of a killed training may be truncated.
        with contextlib.suppress(tf.errors.DataLossError):
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                if stays(tf.compat.v1.Event.FromString(record)):
                    kept.append(record)
        with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as file:
            for record in kept:
                file.write(record)


def _clock(seconds):
    """Formats seconds as hours, minutes and seconds: 3723 becomes "1:02:03"."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
