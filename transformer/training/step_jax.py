"""Training with the JAX backend (KERAS_BACKEND=jax).

This file holds the update step, and how model and data are distributed over devices.
"""

import contextlib

import jax
import keras
from keras import ops

from transformer.config import ConfigError


class JaxTrainee(keras.Model):
    """The JAX version of `transformer.training.loop.Trainee`, which is for TensorFlow.

    Sums, updates and logs are the same.

    Args:
        model: as for `Trainee`.
        config: as for `Trainee`.
        objective: as for `Trainee`.
        strategy: a `JaxStrategy`.

    Attributes:
        num_traces: int, how often the update has been traced.
    """

    def __init__(self, model, config, objective, strategy):
        super().__init__(dtype=model.dtype_policy)
        self.model, self.config, self.objective, self.distribute_strategy = (
            model,
            config,
            objective,
            strategy,
        )
        self.num_traces = 0
        self.built = True

    def sync(self):
        """Assigns the current values to the variables.

        During `fit` Keras keeps the values elsewhere.
        """
        self.jax_state_sync()

    def _symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing, because the model is built.

        Keras's own method would call the model with the shapes of the last batch.
        """

    def train_step(self, state, data):
        """Makes one update, as a pure function for `jax.jit`.

        Args:
            state: tuple (trainable variables, other variables, optimizer variables, metrics), each
                a list of arrays.
            data: pair (inputs, targets), as for `Trainee`.

        Returns:
            A pair: the logs, as for `Trainee.train_step`, and the new state.
        """
        self.num_traces += 1
        trainable, fixed, optimizer_state, metrics = state
        count, tokens = self.objective.count(data[1]), self.objective.tokens(*data)
        with keras.StatelessScope(zip(self.optimizer.variables, optimizer_state)):
            scale = self.optimizer.scale_loss(1.0)
        (loss, fixed), gradients = self._gradients(trainable, fixed, data, scale / count)
        # Without loss scaling, `scale_loss` returns its argument.
        loss, norm = loss / scale, ops.sqrt(sum(ops.sum(ops.square(x)) for x in gradients)) / scale
        if self.config.clip_norm:
            factor = ops.minimum(1.0, self.config.clip_norm / norm)
            gradients = [gradient * factor for gradient in gradients]
        trainable, optimizer_state = self.optimizer.stateless_apply(
            optimizer_state, gradients, trainable
        )
        logs = {"loss": loss, "tokens": tokens, "gradient_norm": norm}
        return logs, (trainable, fixed, optimizer_state, metrics)

    def _gradients(self, trainable, fixed, data, weight):
        """Computes loss and gradients, summed over the micro-batches.

        Returns:
            A pair: (weight * the summed loss, the new values of the non-trainable variables), and
            the list of gradients.
        """
        steps = self.config.accumulate_steps
        gradient_of = jax.value_and_grad(self._loss, has_aux=True)
        if steps == 1:
            return gradient_of(trainable, fixed, data, weight)
        parts = jax.tree.map(lambda x: ops.reshape(x, (steps, -1, *x.shape[1:])), data)

        def body(total, part):
            loss, fixed, gradients = total
            (own_loss, fixed), own = gradient_of(trainable, fixed, part, weight)
            return (loss + own_loss, fixed, jax.tree.map(ops.add, gradients, own)), None

        start = ops.zeros(()), fixed, jax.tree.map(ops.zeros_like, trainable)
        (loss, fixed, gradients), _ = jax.lax.scan(body, start, parts)
        return (loss, fixed), gradients

    def _loss(self, trainable, fixed, data, weight):
        variables = [
            *zip(self.trainable_variables, trainable),
            *zip(self.non_trainable_variables, fixed),
        ]
        with keras.StatelessScope(variables) as scope:
            loss = self.objective.loss(self.model, *data, weight)
        return loss, [
            scope.get_current_value(variable) for variable in self.non_trainable_variables
        ]


class JaxStrategy:
    """The counterpart of a `tf.distribute.Strategy`, over all devices of JAX.

    Args:
        distribution: "none", or "mirrored", which gives each copy of the model a part of the rows
            of each batch.
        model_devices: int, how many devices share one copy of the model. Each of them holds a part
            of every matrix (Shoeybi et al. 2019, "Megatron-LM", section 3).

    Attributes:
        num_replicas_in_sync: int, the number of copies of the model.

    Raises:
        ConfigError: if `model_devices` does not divide the number of devices, or exceeds 1 without
            "mirrored".
    """

    def __init__(self, distribution, model_devices=1):
        devices = keras.distribution.list_devices()
        if model_devices > 1 and distribution != "mirrored":
            raise ConfigError(
                "model_devices above 1 needs --distribution=mirrored. Received: "
                f"model_devices={model_devices}, distribution={distribution!r}."
            )
        if len(devices) % model_devices:
            raise ConfigError(
                "model_devices must divide the number of devices. Received: "
                f"model_devices={model_devices}, {len(devices)} devices."
            )
        self.num_replicas_in_sync = (
            len(devices) // model_devices if distribution == "mirrored" else 1
        )
        layout = None
        if model_devices > 1:
            mesh = keras.distribution.DeviceMesh(
                (self.num_replicas_in_sync, model_devices), ("batch", "model"), devices
            )
            layouts = keras.distribution.LayoutMap(mesh)
            for path, axes in LAYOUTS.items():
                layouts[path] = axes
            layout = keras.distribution.ModelParallel(
                layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
            )
        elif distribution == "mirrored":
            layout = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
        # This applies to the whole process: it lays out all variables and batches made from now on.
        keras.distribution.set_distribution(layout)

    def scope(self):
        """Returns a context that does nothing, where TensorFlow's strategies need one."""
        return contextlib.nullcontext()


# How a variable is split over the devices, by its path. Of two consecutive matrices the first is
# split by columns and the second by rows, so that the activations between them stay where they are
# computed. Norms and the other biases are replicated on every device.
LAYOUTS = {
    ".*(query_key_value|query|key_value|key|inner|gate)/kernel": (None, "model"),
    ".*(query_key_value|query|key_value|key|inner|gate)/bias": ("model",),
    ".*(attention/output|outer)/kernel": ("model", None),
    ".*embeddings": (None, "model"),
}
