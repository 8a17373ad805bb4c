"""Learning-rate schedules and optimizers."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable("transformer")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to a peak, then a decay.

    In the formulas n is the number of the update, counted from 1, and warmup is `warmup_steps`, or
    1 if that is 0. After warm-up the learning rate follows `kind`:

    - "inverse_sqrt": peak * sqrt(warmup / n).
    - "noam": peak * d_model^-0.5 * min(n^-0.5, n * warmup^-1.5), which includes the warm-up
      (Vaswani et al. 2017, equation 3).
    - "cosine": to 0 at `total_steps` (Loshchilov & Hutter 2017).
    - "linear": to 0 at `total_steps`.
    - "constant": peak.

    Args:
        peak: float, the highest learning rate. For "noam" it is the factor in front of the formula.
        kind: str, one of the kinds above.
        warmup_steps: int, updates until the peak. With 0 the schedule starts at the peak.
        total_steps: int, the update at which "cosine" and "linear" reach 0.
        d_model: int, the model width D, for "noam".
    """

    def __init__(self, peak, kind="inverse_sqrt", warmup_steps=0, total_steps=1, d_model=512):
        self.peak, self.kind, self.warmup_steps = peak, kind, warmup_steps
        self.total_steps, self.d_model = total_steps, d_model

    def __call__(self, step):
        """Returns the learning rate as a float32 scalar.

        Args:
            step: int scalar, the number of updates made so far.
        """
        n = ops.cast(step, "float32") + 1.0
        warmup = float(max(self.warmup_steps, 1))
        rising = ops.minimum(n / warmup, 1.0)
        if self.kind == "constant":
            return self.peak * rising
        if self.kind in ("inverse_sqrt", "noam"):
            peak = (
                self.peak
                if self.kind == "inverse_sqrt"
                else self.peak * (self.d_model * warmup) ** -0.5
            )
            return peak * ops.minimum(rising, ops.sqrt(warmup / ops.maximum(n, warmup)))
        done = (n - warmup) / max(self.total_steps - warmup, 1.0)
        done = ops.clip(done, 0.0, 1.0)
        falling = 1.0 - done if self.kind == "linear" else 0.5 * (1.0 + ops.cos(math.pi * done))
        return self.peak * rising * falling

    def get_config(self):
        """Returns the arguments of the constructor, for saving."""
        return {
            "peak": self.peak,
            "kind": self.kind,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "d_model": self.d_model,
        }


class OneKernel:
    """Mixin for Adam or AdamW that updates a weight and its two moments in a single kernel.

    On TensorFlow this takes one pass over memory instead of ten. With another backend, or with
    `amsgrad`, Keras's own update is used.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Updates a variable and its moments.

        Args:
            gradient: tensor of the variable's shape.
            variable: the variable to update.
            learning_rate: scalar.
        """
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        index, steps = (
            self._get_variable_index(variable),
            ops.cast(self.iterations + 1, variable.dtype),
        )
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=ops.power(self.beta_1, steps),
            beta2_power=ops.power(self.beta_2, steps),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable):
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


@keras.saving.register_keras_serializable("transformer")
class Adam(OneKernel, keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015)."""


@keras.saving.register_keras_serializable("transformer")
class AdamW(OneKernel, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""


def make_optimizer(config, d_model):
    """Creates the optimizer of a configuration: Adam or AdamW, with a `WarmupSchedule`.

    Adam is that of Kingma & Ba 2015, AdamW that of Loshchilov & Hutter 2019. Weight decay does not
    apply to biases, normalisations and embeddings. With float16 the optimizer scales the loss.

    Args:
        config: a `LearningConfig`.
        d_model: int, the model width D, for the "noam" schedule.

    Returns:
        A `keras.optimizers.Optimizer`.
    """
    schedule = WarmupSchedule(
        config.learning_rate, config.schedule, config.warmup_steps, config.train_steps, d_model
    )
    options = dict(
        beta_1=config.adam_beta_1,
        beta_2=config.adam_beta_2,
        epsilon=config.adam_epsilon,
        name=config.optimizer,
    )
    if config.optimizer == "adamw":
        optimizer = AdamW(schedule, weight_decay=config.weight_decay, **options)
        optimizer.exclude_from_weight_decay(
            var_names=["bias", "gamma", "beta", "scale", "embeddings"]
        )
    else:
        optimizer = Adam(schedule, **options)
    return (
        keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
        if config.precision == "float16"
        else optimizer
    )
