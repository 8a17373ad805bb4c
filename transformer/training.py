"""Training with `fit`: precision, strategy, the update step, and the run that can be stopped and continued.

The step works on sums, over tokens or examples as the objective says: the loss of an update is the sum over all of them, in
every micro-batch and on every replica, divided by their number.
"""

import dataclasses
import functools
import math
import re
import time

import keras
import tensorflow as tf

from transformer import callbacks, checkpoints
from transformer.cluster import is_chief
from transformer.compilation import graph
from transformer.config import ConfigError
from transformer.objectives import TokenObjective
from transformer.optimization import make_optimizer

# Seconds of training below which --jit=auto does not try XLA, whose compilation takes 5 to 60.
SHORT_TRAINING = 300.0
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def set_precision(precision):
    """Makes layers compute in `precision`; their weights stay float32."""
    keras.config.set_dtype_policy(POLICIES[precision])


def has_accelerator():
    """Whether there is a GPU or a TPU."""
    if keras.backend.backend() == "jax":
        return "cpu" not in keras.distribution.list_devices()[0]
    return bool(tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"))


def precision_warning(precision, cpuinfo="/proc/cpuinfo"):
    """What to know of a precision on this machine, or "": a processor without units for it computes it by detours."""
    if precision == "float32" or has_accelerator():
        return ""
    if precision == "float16":
        return "float16 is made for GPUs, and there is none here. Use --precision=float32."
    try:
        with open(cpuinfo, encoding="utf-8") as file:
            features = set(re.findall(r"\w+", file.read()))
    except OSError:
        return ""
    if features & {"avx512_bf16", "amx_bf16", "bf16"}:
        return ""
    return "this processor has no bfloat16 units: float32 is several times faster. Use --precision=float32."


def make_strategy(distribution, model_devices=1):
    """The tf.distribute strategy of a `--distribution` value; with JAX a JaxStrategy. That of "multi_worker" waits for the other
    workers, and must be made before TensorFlow computes anything.

    Raises:
        ConfigError: "tpu" where there is none; "multi_worker" too late or without TF_CONFIG; what the backend does not have.
    """
    if keras.backend.backend() == "jax":
        if distribution not in ("none", "mirrored"):
            raise ConfigError(
                f"distribution={distribution!r} is for TensorFlow. Received: KERAS_BACKEND=jax. With JAX --distribution=mirrored takes "
                "all devices, be they TPUs."
            )
        from transformer.jax_backend import JaxStrategy

        return JaxStrategy(distribution, model_devices)
    if model_devices > 1:
        raise ConfigError(f"model_devices is for JAX. Received: {model_devices}. Set KERAS_BACKEND=jax, or use 1.")
    return tf.distribute.get_strategy() if distribution == "none" else _joint_strategy(distribution)


@functools.cache
def _joint_strategy(distribution):
    """One for all trainings of a process: each new one counts its collective operations from the same number, and TensorFlow
    takes those of two graphs for one another; and workers are joined once."""
    if distribution == "mirrored":
        return tf.distribute.MirroredStrategy(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))
    if distribution == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            raise ConfigError(f"distribution='tpu' needs a TPU. Received: {error}. Use --distribution=none.") from None
        return tf.distribute.TPUStrategy(resolver)
    is_chief(distribution)  # says so if TF_CONFIG is wrong
    print("waiting until all workers of TF_CONFIG are there", flush=True)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(
            f"distribution='multi_worker' must begin before TensorFlow computes anything. Received: {error}. Use a new process."
        ) from None
    # Every worker has a share of every batch: they need not ask each other at each step whether all have one.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def use_jit(jit, strategy):
    """Whether to compile the step with XLA, and why: (bool, or None if that is to be measured; the reason)."""
    on_jax = keras.backend.backend() == "jax"
    several = strategy.num_replicas_in_sync > 1 and not on_jax
    if jit != "auto":
        if jit == "on" and several:
            raise ConfigError("jit='on' does not work with several replicas. Received: --jit=on. Use --jit=off.")
        return jit == "on", f"--jit={jit}"
    if several:
        return False, "it does not work with several replicas"
    if on_jax or has_accelerator():
        return True, "JAX is made for it" if on_jax else "an accelerator is there"
    return None, "both ways will be timed"


@dataclasses.dataclass
class Progress:
    """Where a training stands; saved with every checkpoint."""

    step: int = 0
    tokens: int = 0  # real target tokens learnt from
    seconds: float = 0.0  # of training, interruptions aside
    best: float | None = None  # best value of keep_best_metric so far
    best_step: int = 0
    without_gain: int = 0  # validations since then
    jit: bool | None = None  # what --jit=auto chose by measurement; kept, since the two ways round differently
    validated: int = 0  # step of the last validation
    peak_memory_gib: float = 0.0  # the most that a process which trained held

    def lacks_validation(self, config):
        """Whether a LearningConfig asks for a validation of this step that was not made, or was interrupted."""
        return self.validated < self.step and (self.step % config.eval_every == 0 or self.step == config.train_steps)

    def is_over(self, config):
        """Whether a LearningConfig asks for no further step."""
        return self.step >= config.train_steps or 0 < config.early_stopping <= self.without_gain

    def summary(self):
        """What scores.json tells of the training, and of the process that scores."""
        speed, memory = self.tokens / max(self.seconds, 1e-9), max(self.peak_memory_gib, callbacks.peak_memory_gib())
        return {"steps": self.step, "minutes": self.seconds / 60, "tokens_per_second": speed, "peak_memory_gib": memory}


class Trainee(keras.Model):
    """A model with its update step, for `compile` and `fit`.

    Args:
        model: a built model. config: a LearningConfig. objective: what is minimised; see transformer.objectives.

    An element of the data is (inputs, targets): inputs a tuple of arrays (R, L), targets (R, L'), where R is
    accumulate_steps times the rows of a micro-batch. `fit` counts such elements, so that a step is an update.
    """

    def __init__(self, model, config, objective):
        super().__init__(dtype=model.dtype_policy)
        self.model, self.config, self.objective = model, config, objective
        self.num_traces = 0
        self.built = True

    def sync(self):
        """Nothing: an update changes the variables in place."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: the model is built. Keras would compare the shapes of the replicas' batches."""

    def make_train_function(self, force=False):
        """One trace for each shape of batch: a shape known while tracing makes a faster graph than one left open."""
        if self.train_function is not None and not force:
            return
        strategy = self.distribute_strategy

        @graph(jit_compile=self.jit_compile)
        def update(data):
            self.num_traces += 1
            return strategy.run(self.train_step, args=(data,))

        def next_update(iterator):
            logs = update(next(iterator))
            # The replicas' logs are sums over the whole batch already, so one speaks for all.
            return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

        self.train_function = next_update

    @functools.cached_property
    def gather(self):
        """int (N,) -> (R, N), what each replica's worker gives; all must call it at the same time."""
        strategy = self.distribute_strategy

        @graph
        def gather(numbers):
            rows = strategy.run(lambda: tf.distribute.get_replica_context().all_gather(numbers[None], axis=0))
            return strategy.experimental_local_results(rows)[0]

        return lambda numbers: gather(tf.constant(numbers)).numpy()

    def train_step(self, data):
        """One update.

        Returns:
            Scalars: loss (the objective's mean), tokens (real ones), gradient_norm (before clipping).
        """
        variables, replica = self.model.trainable_variables, tf.distribute.get_replica_context()
        count, tokens = self.objective.count(data[1]), self.objective.tokens(*data)
        if replica.num_replicas_in_sync > 1:
            count, tokens = replica.all_reduce("sum", [count, tokens])
        # The mean over all; a loss-scaling optimizer wants it scaled, and takes its gradient to be so.
        scale = self.optimizer.scale_loss(1.0)
        total = self._gradients(data, variables, scale / count)
        if replica.num_replicas_in_sync > 1:
            total = replica.all_reduce("sum", total)
        loss, gradients = total[0] / scale, total[1:]
        norm = tf.linalg.global_norm(gradients) / scale
        if self.config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.config.clip_norm * scale, use_norm=norm * scale)
        if replica.num_replicas_in_sync > 1:  # the optimizer sums over the replicas once more
            gradients = [gradient / replica.num_replicas_in_sync for gradient in gradients]
        self.optimizer.apply(gradients, variables)
        return {"loss": loss, "tokens": tokens, "gradient_norm": norm}

    def _gradients(self, data, variables, weight):
        """[weight * the summed loss, *its gradients], summed over the micro-batches."""
        steps = self.config.accumulate_steps
        if steps == 1:
            return self._micro_gradients(data, variables, weight)
        parts = tf.nest.map_structure(lambda x: tf.reshape(x, (steps, -1, x.shape[1])), data)

        def body(number, total):
            part = tf.nest.map_structure(lambda x: x[number], parts)
            return number + 1, [a + tf.reshape(b, a.shape) for a, b in zip(total, self._micro_gradients(part, variables, weight))]

        # Summed as vectors: TensorFlow would make one sum of this one and those of the same shape within a micro-batch, and add in the
        # order in which the summands come, so that trainings would differ by rounding.
        zeros = [tf.zeros((1,)), *(tf.zeros((math.prod(variable.shape),), variable.dtype) for variable in variables)]
        _, total = tf.while_loop(lambda number, _: number < steps, body, (0, zeros), parallel_iterations=1)
        return [tf.reshape(array, shape) for array, shape in zip(total, [(), *(variable.shape for variable in variables)])]

    def _micro_gradients(self, data, variables, weight):
        with tf.GradientTape() as tape:
            loss = self.objective.loss(self.model, *data, weight)
        # Sparse gradients of an embedding are made dense: Adam squares their rows one by one, not their sum.
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        return [loss, *map(tf.convert_to_tensor, gradients)]


def make_trainee(model_factory, config, make_objective=TokenObjective, strategy=None):
    """A compiled Trainee under the strategy of the configuration, and the reason of its jit choice.

    Args:
        model_factory: called without arguments, within the strategy's scope; returns a built model.
        config: a LearningConfig.
        make_objective: called with model and config; returns an objective.
        strategy: where the encoder was made in its scope already; None: a new one.
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
            f"model_devices must divide the widths of the model. Received: {config.model_devices} ({error}). Use another number."
        ) from None


def _trainee(model, config, objective, strategy):
    """The Trainee of the backend."""
    if keras.backend.backend() != "jax":
        return Trainee(model, config, objective)
    from transformer.jax_backend import JaxTrainee

    return JaxTrainee(model, config, objective, strategy)


def settle_jit(trainee, config, progress, make_dataset, num_shapes):
    """Where --jit=auto is to be measured: times steps with and without XLA, leaves trainee as if they had not been made, and
    keeps the faster way for the steps that are left, compilation counted: once for each shape of batch.

    Returns:
        What was chosen and why, a sentence, or "" if there was no choice.
    """
    if use_jit(config.jit, trainee.distribute_strategy)[0] is not None:
        return ""
    steps = config.train_steps - progress.step
    if progress.jit is not None:
        trainee.jit_compile = progress.jit
        return f"jit {'on' if progress.jit else 'off'}: as this run began"
    variables = checkpoints.named_variables(trainee.model, trainee.optimizer)
    before = {name: variable.numpy() for name, variable in variables.items()}
    batches = make_dataset(progress.step).take(1).cache().repeat()
    plain, _, plain_seconds = _timed(trainee, False, batches)
    # Chosen for good: who continues on a slower machine must not find otherwise.
    progress.jit = False
    reason, compiled = f"{plain_seconds:.2f} s a step, {steps:,} to go: too short for a compilation to pay", None
    if plain_seconds * steps > SHORT_TRAINING:
        compiled, compilation, compiled_seconds = _timed(trainee, True, batches)
        progress.jit = (plain_seconds - compiled_seconds) * steps > compilation * num_shapes
        reason = (
            f"{plain_seconds:.2f} s a step without XLA, {compiled_seconds:.2f} s with it after {compilation:.0f} s of "
            f"compilation, {steps:,} steps to go"
        )
    trainee.train_function, trainee.jit_compile = compiled if progress.jit else plain, bool(progress.jit)
    trainee.num_traces = 1
    checkpoints.restore(variables, before)
    return f"jit {'on' if progress.jit else 'off'}: {reason}"


def _timed(trainee, jit, batches):
    """Makes four steps; returns the train function, the seconds of the first, and the shortest of the others."""
    trainee.jit_compile = jit
    trainee.make_train_function(force=True)
    iterator, seconds = iter(batches), []
    for _ in range(4):
        begun = time.monotonic()
        float(trainee.train_function(iterator)["loss"])
        seconds.append(time.monotonic() - begun)
    return trainee.train_function, seconds[0], min(seconds[1:])


def start_training(trainee, config, folder, make_dataset, batch_at, evaluate, padding_share, num_shapes):
    """Fits from the newest checkpoint of the run folder to `config.train_steps`, or until a signal.

    Args:
        trainee: from make_trainee. config: LearningConfig. folder: the run folder.
        make_dataset: step -> a tf.data.Dataset that begins with the batch of that step.
        batch_at: step -> that batch alone, for inspection.
        evaluate: () -> what validation finds; see callbacks.Validate.
        padding_share: for the log. num_shapes: of batches, for settle_jit.

    Returns:
        The Progress, and the signal that stopped the training or None.
    """
    progress = resume(trainee, folder)
    several, chief = config.distribution == "multi_worker", is_chief(config.distribution)
    if several:
        _check_same_step(trainee, progress.step, folder)
    if progress.is_over(config) and not progress.lacks_validation(config):
        return progress, None
    checkpoint = (callbacks.WorkerCheckpoint if several else callbacks.Checkpoint)(trainee, config, progress, folder)
    watching = [callbacks.Count(progress, folder, batch_at, config.precision), checkpoint]
    if chief:  # it alone validates and writes
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
    finally:  # Keras ends no callback after an error
        if chief:
            log.close()
        checkpoint.close()
    return progress, checkpoint.stopped_by


def _check_same_step(trainee, step, folder):
    """Raises ConfigError if the workers begin at different steps."""
    steps = trainee.gather([step])[:, 0].tolist()
    if len({*steps}) > 1:
        raise ConfigError(
            f"all workers must find the same checkpoint. Received: steps {', '.join(map(str, steps))} in {folder}. "
            "Put --run on a disk that they share."
        )


def resume(trainee, folder):
    """Restores the newest whole checkpoint of a run folder, if it has any; returns the Progress it holds."""
    found = checkpoints.read_newest(folder)
    if not found:
        return Progress()
    arrays, progress = found
    checkpoints.restore(checkpoints.named_variables(trainee.model, trainee.optimizer), arrays)
    print(f"continuing from step {progress['step']}", flush=True)
    return Progress(**{"validated": progress["step"], **progress})  # in format 2 validations came before checkpoints


def choose_weights(trainee, config, folder, evaluate):
    """Puts the better of two into the model, judged by `keep_best_metric` of what `evaluate` finds: the weights of the best
    validation, or the average of the newest checkpoints. Returns a description of what was chosen."""
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
        print(f"{name}: " + "  ".join(f"{key} {result:.4g}" for key, result in results.items()), flush=True)
    chosen = max(values, key=values.get)
    checkpoints.restore(weights, candidates[chosen])
    return chosen
