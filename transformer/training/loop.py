"""Training with `fit`: precision, strategy, update step, stopping and resuming.

The update step computes with sums, over tokens or over examples as the objective defines. The loss
of an update is the sum over all micro-batches and all replicas, divided by the number of all their
tokens or examples.
"""

import dataclasses
import functools
import math
import re
import time

import keras
import tensorflow as tf

from transformer.compilation import graph
from transformer.config import ConfigError
from transformer.training import callbacks, checkpoints
from transformer.training.objectives import TokenObjective
from transformer.training.optimizers import make_optimizer
from transformer.training.workers import is_chief

# If fewer seconds of training remain, --jit=auto does not try XLA, whose compilation takes 5 to 60
# seconds.
SHORT_TRAINING = 300.0
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def set_precision(precision):
    """Sets the precision in which layers compute. Their weights stay float32.

    Args:
        precision: "float32", "bfloat16" or "float16".
    """
    keras.config.set_dtype_policy(POLICIES[precision])


def has_accelerator():
    """Returns whether this machine has a GPU or a TPU."""
    if keras.backend.backend() == "jax":
        return "cpu" not in keras.distribution.list_devices()[0]
    return bool(tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"))


def precision_warning(precision, cpuinfo="/proc/cpuinfo"):
    """Returns a warning if this machine computes slowly in a precision.

    A processor without units for the precision has to emulate it.

    Args:
        precision: "float32", "bfloat16" or "float16".
        cpuinfo: path of the file that lists the processor's features.

    Returns:
        A sentence or two, or "" if there is nothing to warn of.
    """
    if precision == "float32" or has_accelerator():
        return ""
    if precision == "float16":
        return "float16 needs a GPU to be fast, and this machine has none. Use --precision=float32."
    try:
        with open(cpuinfo, encoding="utf-8") as file:
            features = set(re.findall(r"\w+", file.read()))
    except OSError:
        return ""
    if features & {"avx512_bf16", "amx_bf16", "bf16"}:
        return ""
    return (
        "this processor has no bfloat16 units, so bfloat16 is several times slower than float32. "
        "Use --precision=float32."
    )


def make_strategy(distribution, model_devices=1):
    """Returns the distribution strategy for a value of `--distribution`.

    The strategy of "multi_worker" waits for the other workers. It must be made before TensorFlow
    computes anything.

    Args:
        distribution: "none", "mirrored", "multi_worker" or "tpu".
        model_devices: int, how many devices share one copy of the model. More than 1 needs JAX.

    Returns:
        A `tf.distribute.Strategy`, or a `JaxStrategy` if the backend is JAX.

    Raises:
        ConfigError: if the backend does not support the arguments, if "tpu" finds no TPU, or if
            "multi_worker" comes too late or without a valid TF_CONFIG.
    """
    if keras.backend.backend() == "jax":
        if distribution not in ("none", "mirrored"):
            raise ConfigError(
                f"distribution={distribution!r} needs the TensorFlow backend. Received: "
                "KERAS_BACKEND=jax. With JAX use --distribution=mirrored, which uses all devices, "
                "TPUs included."
            )
        from transformer.training.step_jax import JaxStrategy

        return JaxStrategy(distribution, model_devices)
    if model_devices > 1:
        raise ConfigError(
            "model_devices above 1 needs the JAX backend. Received: "
            f"model_devices={model_devices}. Set KERAS_BACKEND=jax, or use --model_devices=1."
        )
    return tf.distribute.get_strategy() if distribution == "none" else _joint_strategy(distribution)


@functools.cache
def _joint_strategy(distribution):
    """Returns the strategy for a value of `--distribution`, the same one each time.

    All trainings of a process share it, for two reasons. Each new strategy numbers its collective
    operations from the same start, so TensorFlow would confuse those of two graphs. And workers can
    be joined only once.
    """
    if distribution == "mirrored":
        return tf.distribute.MirroredStrategy(
            tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        )
    if distribution == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            raise ConfigError(
                f"distribution='tpu' needs a TPU. Received: {error}. Use --distribution=none."
            ) from None
        return tf.distribute.TPUStrategy(resolver)
    # Fail fast if TF_CONFIG is wrong.
    is_chief(distribution)
    print("waiting for all workers in TF_CONFIG to connect", flush=True)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(
            "distribution='multi_worker' must be set up before TensorFlow computes anything. "
            f"Received: {error}. Start a new process."
        ) from None
    # Every worker gets a share of every batch, so the workers need not ask each other at each step
    # whether all of them have data.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def use_jit(jit, strategy):
    """Decides whether to compile the update step with XLA.

    Args:
        jit: `LearningConfig.jit`: "auto", "on" or "off".
        strategy: the strategy of the training.

    Returns:
        A pair: True, False, or None if both ways must be timed, and the reason as a string.

    Raises:
        ConfigError: if jit is "on" and TensorFlow trains on several replicas.
    """
    on_jax = keras.backend.backend() == "jax"
    several = strategy.num_replicas_in_sync > 1 and not on_jax
    if jit != "auto":
        if jit == "on" and several:
            raise ConfigError(
                "TensorFlow cannot compile the update with XLA on several replicas. Received: "
                "--jit=on. Use --jit=off."
            )
        return jit == "on", f"--jit={jit}"
    if several:
        return False, "not supported with several replicas"
    if on_jax or has_accelerator():
        return True, "the default with JAX" if on_jax else "found an accelerator"
    return None, "will time updates with and without XLA"


@dataclasses.dataclass
class Progress:
    """The progress of a training, saved with every checkpoint.

    Attributes:
        step: int, the number of updates made.
        tokens: int, the tokens trained on, as the objective counts them. Padding does not count.
        seconds: float, the time spent in updates, and in timing them for `--jit=auto`. It adds up
            over interruptions.
        best: float, the best value of `keep_best_metric` so far, or None. A loss is stored with its
            sign changed, so that more is better.
        best_step: int, the step of the best validation.
        without_gain: int, the number of validations since the best one.
        jit: bool, what `--jit=auto` chose by timing, or None if nothing was timed. A resumed
            training keeps the choice, because the two ways round differently.
        validated: int, the step of the last validation.
        peak_memory_gib: float, the peak memory of any process of this training, in GiB.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    without_gain: int = 0
    jit: bool | None = None
    validated: int = 0
    peak_memory_gib: float = 0.0

    def lacks_validation(self, config):
        """Returns whether this step still needs a validation.

        It does if the configuration asks for one and it was not made, or was interrupted.

        Args:
            config: a `LearningConfig`.
        """
        return self.validated < self.step and (
            self.step % config.eval_every == 0 or self.step == config.train_steps
        )

    def is_over(self, config):
        """Returns whether the training needs no further step, by `train_steps` or `early_stopping`.

        Args:
            config: a `LearningConfig`.
        """
        return self.step >= config.train_steps or 0 < config.early_stopping <= self.without_gain

    def summary(self):
        """Returns the figures of the training that go to scores.json, as a dict.

        Its peak memory includes that of this process, which computes the scores.
        """
        speed, memory = (
            self.tokens / max(self.seconds, 1e-9),
            max(self.peak_memory_gib, callbacks.peak_memory_gib()),
        )
        return {
            "steps": self.step,
            "minutes": self.seconds / 60,
            "tokens_per_second": speed,
            "peak_memory_gib": memory,
        }


class Trainee(keras.Model):
    """A model with its update step, for `compile` and `fit`.

    The dataset yields pairs (inputs, targets). `inputs` is a tuple of arrays of shape (R, L), and
    `targets` is an array of shape (R, L'). The two lengths may differ. R is `accumulate_steps`
    times the number of rows in a micro-batch. `fit` counts these pairs, so a step of `fit` is an
    update.

    Args:
        model: a built model.
        config: a `LearningConfig`.
        objective: what the training minimises; see `transformer.training.objectives`.

    Attributes:
        num_traces: int, how often the update has been traced.
    """

    def __init__(self, model, config, objective):
        super().__init__(dtype=model.dtype_policy)
        self.model, self.config, self.objective = model, config, objective
        self.num_traces = 0
        self.built = True

    def sync(self):
        """Does nothing, because an update changes the variables in place."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing, because the model is built.

        Keras's own method would compare the shapes of the replicas' batches.
        """

    def make_train_function(self, force=False):
        """Creates the function that makes one update.

        It is traced once for each batch shape. A shape that is known at tracing gives a faster
        graph than one that is left open.

        Args:
            force: create a new function even if there is one.
        """
        if self.train_function is not None and not force:
            return
        strategy = self.distribute_strategy

        @graph(jit_compile=self.jit_compile)
        def update(data):
            self.num_traces += 1
            return strategy.run(self.train_step, args=(data,))

        def next_update(iterator):
            logs = update(next(iterator))
            # The logs of each replica cover the whole batch, so those of the first are enough.
            return {
                name: strategy.experimental_local_results(value)[0] for name, value in logs.items()
            }

        self.train_function = next_update

    @functools.cached_property
    def gather(self):
        """A function that collects numbers from all workers.

        It takes a list of N ints and returns an int array of shape (replicas, N). Row i holds what
        the worker of replica i has given. All workers must call it at the same time.
        """
        strategy = self.distribute_strategy

        @graph
        def gather(numbers):
            rows = strategy.run(
                lambda: tf.distribute.get_replica_context().all_gather(numbers[None], axis=0)
            )
            return strategy.experimental_local_results(rows)[0]

        return lambda numbers: gather(tf.constant(numbers)).numpy()

    def train_step(self, data):
        """Makes one update, with this replica's part of the batch.

        Args:
            data: pair (inputs, targets), as the class describes it.

        Returns:
            A dict of float32 scalars over the whole batch: "loss", the mean that the objective
            defines, "tokens", the number without padding, and "gradient_norm", the global norm
            before clipping.
        """
        variables, replica = self.model.trainable_variables, tf.distribute.get_replica_context()
        count, tokens = self.objective.count(data[1]), self.objective.tokens(*data)
        if replica.num_replicas_in_sync > 1:
            count, tokens = replica.all_reduce("sum", [count, tokens])
        # Dividing by the count gives the mean over all micro-batches and replicas. A loss-scaling
        # optimizer expects gradients of the scaled loss.
        scale = self.optimizer.scale_loss(1.0)
        total = self._gradients(data, variables, scale / count)
        if replica.num_replicas_in_sync > 1:
            total = replica.all_reduce("sum", total)
        loss, gradients = total[0] / scale, total[1:]
        norm = tf.linalg.global_norm(gradients) / scale
        if self.config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self.config.clip_norm * scale, use_norm=norm * scale
            )
        if replica.num_replicas_in_sync > 1:  # the optimizer sums over the replicas once more
            gradients = [gradient / replica.num_replicas_in_sync for gradient in gradients]
        self.optimizer.apply(gradients, variables)
        return {"loss": loss, "tokens": tokens, "gradient_norm": norm}

    def _gradients(self, data, variables, weight):
        """Returns [weight * the summed loss, *its gradients], summed over the micro-batches."""
        steps = self.config.accumulate_steps
        if steps == 1:
            return self._micro_gradients(data, variables, weight)
        parts = tf.nest.map_structure(lambda x: tf.reshape(x, (steps, -1, x.shape[1])), data)

        def body(number, total):
            part = tf.nest.map_structure(lambda x: x[number], parts)
            return number + 1, [
                a + tf.reshape(b, a.shape)
                for a, b in zip(total, self._micro_gradients(part, variables, weight))
            ]

        # Sum the gradients as vectors. Otherwise TensorFlow would merge this sum with the sums of
        # the same shape inside a micro-batch. It adds three or more terms in the order in which
        # they arrive, so trainings with the same seed would differ by rounding.
        zeros = [
            tf.zeros((1,)),
            *(tf.zeros((math.prod(variable.shape),), variable.dtype) for variable in variables),
        ]
        _, total = tf.while_loop(
            lambda number, _: number < steps, body, (0, zeros), parallel_iterations=1
        )
        return [
            tf.reshape(array, shape)
            for array, shape in zip(total, [(), *(variable.shape for variable in variables)])
        ]

    def _micro_gradients(self, data, variables, weight):
        with tf.GradientTape() as tape:
            loss = self.objective.loss(self.model, *data, weight)
        # Make the sparse gradients of embeddings dense. Adam would square the rows of one token one
        # by one, instead of their sum.
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        return [loss, *map(tf.convert_to_tensor, gradients)]


def make_trainee(model_factory, config, make_objective=TokenObjective, strategy=None):
    """Creates a compiled `Trainee`.

    Args:
        model_factory: function without arguments that returns a built model. It is called in the
            scope of the strategy.
        config: a `LearningConfig`.
        make_objective: function that takes the model and `config` and returns an objective.
        strategy: the strategy in whose scope part of the model was created already. None makes a
            new one from `config`.

    Returns:
        A pair: the trainee, and a string that gives the choice of jit and its reason.

    Raises:
        ConfigError: if the configuration does not suit the devices or the backend; see
            `make_strategy` and `use_jit`.
    """
    strategy = strategy or make_strategy(config.distribution, config.model_devices)
    jit, reason = use_jit(config.jit, strategy)
    with strategy.scope():
        model = _made(model_factory, config)
        trainee = _trainee(model, config, make_objective(model, config), strategy)
        trainee.compile(optimizer=make_optimizer(config, model.d_model), jit_compile=bool(jit))
        trainee.optimizer.build(model.trainable_variables)
    return trainee, f"jit {config.jit if jit is None else 'on' if jit else 'off'}: {reason}"


def _made(model_factory, config):
    try:
        return model_factory()
    except ValueError as error:
        if config.model_devices == 1:
            raise
        raise ConfigError(
            "model_devices must divide the model's widths evenly. Received: "
            f"model_devices={config.model_devices} ({error}). Use a common divisor of d_model and "
            "ffn_dim."
        ) from None


def _trainee(model, config, objective, strategy):
    """Creates the trainee of the active backend."""
    if keras.backend.backend() != "jax":
        return Trainee(model, config, objective)
    from transformer.training.step_jax import JaxTrainee

    return JaxTrainee(model, config, objective, strategy)


def settle_jit(trainee, config, progress, make_dataset, num_shapes):
    """Decides by timing whether to use XLA, where `--jit=auto` leaves that open.

    It times updates with and without XLA and keeps the faster way for the remaining steps. The
    compilation counts, once for each batch shape. It does not try XLA if the remaining updates
    would take at most `SHORT_TRAINING` seconds without it. Afterwards the variables are as they
    were before.

    Args:
        trainee: the `Trainee`. Its train function is replaced.
        config: a `LearningConfig`.
        progress: the `Progress`, whose `jit` is set.
        make_dataset: as for `start_training`.
        num_shapes: int, the number of batch shapes.

    Returns:
        A sentence that gives the choice and its reason, or "" if there was nothing to choose.
    """
    if use_jit(config.jit, trainee.distribute_strategy)[0] is not None:
        return ""
    steps = config.train_steps - progress.step
    if progress.jit is not None:
        trainee.jit_compile = progress.jit
        return f"jit {'on' if progress.jit else 'off'}: chosen when this run started"
    variables = checkpoints.named_variables(trainee.model, trainee.optimizer)
    before = {name: variable.numpy() for name, variable in variables.items()}
    batches = make_dataset(progress.step).take(1).cache().repeat()
    plain, _, plain_seconds = _timed(trainee, False, batches)
    # The choice is final. A training that resumes on a slower machine must not choose otherwise.
    progress.jit = False
    reason, compiled = (
        f"{plain_seconds:.2f} s per step and {steps:,} steps left, too short for compiling to pay "
        "off",
        None,
    )
    if plain_seconds * steps > SHORT_TRAINING:
        compiled, compilation, compiled_seconds = _timed(trainee, True, batches)
        progress.jit = (plain_seconds - compiled_seconds) * steps > compilation * num_shapes
        reason = (
            f"{plain_seconds:.2f} s per step without XLA, {compiled_seconds:.2f} s with XLA plus "
            f"{compilation:.0f} s to compile each batch shape, {steps:,} steps left"
        )
    trainee.train_function, trainee.jit_compile = (
        compiled if progress.jit else plain,
        bool(progress.jit),
    )
    trainee.num_traces = 1
    checkpoints.restore(variables, before)
    return f"jit {'on' if progress.jit else 'off'}: {reason}"


def _timed(trainee, jit, batches):
    """Makes four updates.

    Returns:
        A tuple: the train function, the seconds of the first update, which includes the
        compilation, and the seconds of the fastest other update.
    """
    trainee.jit_compile = jit
    trainee.make_train_function(force=True)
    iterator, seconds = iter(batches), []
    for _ in range(4):
        begun = time.monotonic()
        float(trainee.train_function(iterator)["loss"])
        seconds.append(time.monotonic() - begun)
    return trainee.train_function, seconds[0], min(seconds[1:])


def start_training(
    trainee, config, folder, make_dataset, batch_at, evaluate, padding_share, num_shapes
):
    """Trains from the newest checkpoint of the run folder until `config.train_steps` or a signal.

    Early stopping may end it sooner.

    Args:
        trainee: from `make_trainee`.
        config: a `LearningConfig`.
        folder: `pathlib.Path`, the run folder. It must contain config.json.
        make_dataset: function that takes a step and returns a `tf.data.Dataset` that begins with
            the batch of that step.
        batch_at: function that takes a step and returns that batch alone, for inspection.
        evaluate: function that validates; see `callbacks.Validate`.
        padding_share: float, the share of padding in the batches, for the log.
        num_shapes: int, the number of batch shapes, for `settle_jit`.

    Returns:
        A pair: the `Progress`, and the signal that stopped the training or None.

    Raises:
        ConfigError: if the folder has checkpoints and none is intact, if the newest one does not
            fit the model, if the workers find different checkpoints, or if a file cannot be
            written.
        NotFiniteError: if the loss or the gradient norm becomes NaN or infinite.
    """
    progress = resume(trainee, folder)
    several, chief = config.distribution == "multi_worker", is_chief(config.distribution)
    if several:
        _check_same_step(trainee, progress.step, folder)
    if progress.is_over(config) and not progress.lacks_validation(config):
        return progress, None
    checkpoint = (callbacks.WorkerCheckpoint if several else callbacks.Checkpoint)(
        trainee, config, progress, folder
    )
    watching = [callbacks.Count(progress, folder, batch_at, config.precision), checkpoint]
    # Only the chief validates and writes.
    if chief:
        description = (folder / "config.json").read_text(encoding="utf-8")
        log = callbacks.Log(config, progress, folder, padding_share, description)
        validate = callbacks.Validate(config, progress, evaluate, log.validated, checkpoint)
        watching[1:1] = [log, validate]
    try:
        if chief and progress.lacks_validation(config):
            validate.run()
            checkpoint.save()
        over = progress.is_over(config)
        if not (trainee.gather([int(over)]).any() if several else over):
            begun = time.monotonic()
            if choice := settle_jit(trainee, config, progress, make_dataset, num_shapes):
                print(choice, flush=True)
            progress.seconds += time.monotonic() - begun
            trainee.fit(
                make_dataset(progress.step),
                steps_per_epoch=config.train_steps - progress.step,
                verbose=0,
                shuffle=False,
                callbacks=watching,
            )
    # Keras does not call on_train_end after an error.
    finally:
        if chief:
            log.close()
        checkpoint.close()
    return progress, checkpoint.stopped_by


def _check_same_step(trainee, step, folder):
    """Raises ConfigError if the workers start at different steps."""
    steps = trainee.gather([step])[:, 0].tolist()
    if len({*steps}) > 1:
        raise ConfigError(
            "all workers must start from the same checkpoint. Received: steps "
            f"{', '.join(map(str, steps))} in {folder}. "
            "Put --run on a disk that all workers share."
        )


def resume(trainee, folder):
    """Restores the newest intact checkpoint of a run folder, if it has any.

    Args:
        trainee: the `Trainee`, whose variables are assigned.
        folder: the run folder.

    Returns:
        The `Progress` of the checkpoint, or a new one.
    """
    found = checkpoints.read_newest(folder)
    if not found:
        return Progress()
    arrays, progress = found
    checkpoints.restore(checkpoints.named_variables(trainee.model, trainee.optimizer), arrays)
    print(f"continuing from step {progress['step']}", flush=True)
    # Checkpoints of format 2 do not store `validated`. There the validation of a step always came
    # before its checkpoint.
    return Progress(**{"validated": progress["step"], **progress})


def choose_weights(trainee, config, folder, evaluate):
    """Gives the model the better of two candidates for its final weights.

    The candidates are the weights of the best validation and the average of the newest checkpoints.
    Both are evaluated, and `keep_best_metric` decides. Without an intact best.safetensors the
    average is the only candidate.

    Args:
        trainee: the `Trainee`, whose model is changed.
        config: a `LearningConfig`.
        folder: `pathlib.Path`, the run folder.
        evaluate: function that validates; see `callbacks.Validate`.

    Returns:
        A description of the chosen weights, as a string.
    """
    weights = checkpoints.named_weights(trainee.model)
    paths = checkpoints.list_checkpoints(folder)[-config.average_checkpoints :]
    average, count = checkpoints.average_weights(paths, weights)
    candidates = {f"average of {count} checkpoints": average}
    best = folder / "checkpoints" / "best.safetensors"
    for _, arrays, progress in checkpoints.read_whole([best] if best.exists() else []):
        candidates[f"best validation, step {progress['step']}"] = arrays
    values = {}
    for name, arrays in candidates.items():
        checkpoints.restore(weights, arrays)
        results, _ = evaluate()
        value = results[config.keep_best_metric]
        values[name] = -value if config.keep_best_metric == "loss" else value
        print(
            f"{name}: " + "  ".join(f"{key} {result:.4g}" for key, result in results.items()),
            flush=True,
        )
    chosen = max(values, key=values.get)
    checkpoints.restore(weights, candidates[chosen])
    return chosen
