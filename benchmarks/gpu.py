"""Measures training on an accelerator: tokens per second and model FLOP utilisation.

It trains the sizes base and big in bfloat16 with KERAS_BACKEND=jax or tensorflow. Utilisation is
`work.training_flops` per second divided by the peak that the vendor states.
"""

import time

from benchmarks import work
from transformer.config import ConfigError

# Peak FLOP/s of dense bfloat16 matrix products, from the vendors' data sheets.
PEAKS = {
    "H200": 989e12,
    "H100 80GB HBM3": 989e12,
    "H100 SXM": 989e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
}
LENGTHS = (32, 128, 512)
TOKENS = 16384


def run(config):
    """Measures each size at each of the `LENGTHS`.

    Returns:
        Rows {"name", "size", "length", "seconds", "tokens_per_second", "flops", "utilisation"}.
        `seconds` are those of an update, `flops` are FLOP/s, and `utilisation` is None for a device
        whose peak is not known.

    Raises:
        ConfigError: There is no accelerator.
    """
    from transformer.cli.flags import import_keras

    import_keras()
    import keras

    device = device_name(keras.backend.backend())
    if not device:
        raise ConfigError(
            f"gpu needs an accelerator. Received: none for KERAS_BACKEND={keras.backend.backend()}."
        )
    keras.config.set_dtype_policy("mixed_bfloat16")
    rows = []
    for name in ("base", "big"):
        for length in LENGTHS:
            size = {**work.SIZES[name], "rows": TOKENS // length, "length": length}
            seconds = step_seconds(size)
            flops = work.training_flops(size) / seconds
            peak = next((peak for known, peak in PEAKS.items() if known in device), None)
            rows.append(
                {
                    "name": device,
                    "size": name,
                    "length": length,
                    "seconds": seconds,
                    "tokens_per_second": TOKENS / seconds,
                    "flops": flops,
                    "utilisation": flops / peak if peak else None,
                }
            )
    return rows


def device_name(backend):
    """Returns the name of the first accelerator that a Keras backend sees, or "" without one."""
    if backend == "jax":
        import jax

        return jax.devices()[0].device_kind if jax.default_backend() != "cpu" else ""
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    return (
        tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU")
        if devices
        else ""
    )


def step_seconds(size, steps=20):
    """Returns the mean seconds of an update, over `steps` updates after five that warm up.

    It uses Keras's own `fit` with XLA, because the training loop of train.py needs TensorFlow. Loss
    and optimizer are those of train.py.

    Args:
        size: dict of a model size and its batch, as in `work.SIZES`.
        steps: number of updates that are timed.
    """
    import keras
    import numpy as np
    from keras import ops

    from transformer.config import ModelConfig
    from transformer.model.losses import output_cross_entropy
    from transformer.model.transformer import Transformer
    from transformer.training.optimizers import Adam

    transformer = Transformer.from_model_config(ModelConfig(**work.model_options(size)))

    class Step(keras.Model):
        def __init__(self):
            super().__init__()
            self.transformer = transformer

        def call(self, inputs, training=False):
            return self.transformer.hidden_states(inputs, training=training)[0]

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            table = ops.cast(self.transformer.output_table, "float32")
            return output_cross_entropy(
                y, y_pred, table, work.LABEL_SMOOTHING, weight=1.0 / (size["rows"] * size["length"])
            )

    model = Step()
    model.compile(Adam(work.LEARNING_RATE), jit_compile=True)

    def fit(count):
        source, target_in, target_out = (np.tile(ids, (count, 1)) for ids in work.batch(size))
        model.fit([source, target_in], target_out, batch_size=size["rows"], verbose=0)

    fit(5)
    begun = time.perf_counter()
    fit(steps)
    return (time.perf_counter() - begun) / steps
