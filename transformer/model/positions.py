"""How a Transformer knows the order of its tokens: sinusoids, a learned table, or rotated
queries and keys."""

import keras
import numpy as np
from keras import ops


def segment_positions(segments):
    """Position of each token within its own segment, counted from 0.

    Several sentences may share a row; each counts its positions for itself.

    Args:
        segments: int32 (B, L), the number of the segment a token belongs to; 0 is padding.

    Returns:
        int32 (B, L). Row [1, 1, 2, 2, 2, 0] gives [0, 1, 0, 1, 2, 0].
    """
    length = ops.shape(segments)[1]
    index = ops.arange(length, dtype="int32")
    same = ops.equal(segments[:, :, None], segments[:, None, :])  # (B, L, L)
    earlier = index[None, :, None] > index[None, None, :]
    return ops.sum(ops.cast(ops.logical_and(same, earlier), "int32"), axis=-1)


def sinusoids(positions, d_model):
    """The sinusoids of Vaswani et al. 2017, section 3.5, sine and cosine interleaved: int (L,) ->
    float32 (L, d_model).

    PE(pos, 2i) = sin(pos / 10000^(2i/d_model)), PE(pos, 2i+1) = cos of the same.
    """
    rate = np.power(10000.0, -np.arange(0, d_model, 2) / d_model).astype("float32")
    angle = ops.cast(positions, "float32")[:, None] * rate[None, :]
    return ops.reshape(ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1), (-1, d_model))


def rotate(x, positions):
    """Rotary position embedding (Su et al. 2021, section 3.2.2), in the half-split layout of
    GPT-NeoX.

    Args:
        x: (B, H, L, K) queries or keys.
        positions: int32 (B, L) or (1, L).

    Returns:
        (B, H, L, K): the pair (x[k], x[k + K/2]) turned by positions * 10000^(-2k/K).
    """
    half = x.shape[-1] // 2
    rate = np.power(10000.0, -np.arange(half) / half).astype("float32")
    angle = ops.cast(positions, "float32")[:, None, :, None] * rate  # (B, 1, L, K/2)
    cos, sin = ops.cast(ops.cos(angle), x.dtype), ops.cast(ops.sin(angle), x.dtype)
    first, second = ops.split(
        x, 2, axis=-1
    )  # not two slices, whose gradients are each as long as x, and added
    return ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


@keras.saving.register_keras_serializable("transformer")
class PositionalEmbedding(keras.layers.Layer):
    """Adds positions to embeddings (B, L, D); for `kind="rotary"` it adds nothing, since attention
    rotates instead.

    Args:
        kind: "sinusoidal", "learned" or "rotary".
        max_positions: rows of the learned table; a longer sequence raises ValueError.
    """

    def __init__(self, kind, max_positions=512, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.kind, self.max_positions = kind, max_positions
        self.table = None

    def build(self, input_shape):
        if self.kind == "learned":
            self.table = keras.layers.Embedding(
                self.max_positions,
                input_shape[-1],
                "random_normal",
                dtype=self.dtype_policy,
                name="table",
            )
            self.table.build(input_shape[:-1])

    def call(self, x, positions):
        """Adds to x (B, L, D) the vectors of its positions, int32 (B, L) or (1, L)."""
        if self.kind == "rotary":
            return x
        length = ops.shape(x)[1]
        if self.kind == "learned":
            if isinstance(length, int) and length > self.max_positions:
                raise ValueError(
                    f"A sequence must not be longer than max_positions. Received: length "
                    f"{length}, "
                    f"max_positions={self.max_positions}. Use shorter input or "
                    f"positions='sinusoidal'."
                )
            return x + self.table(positions)
        if positions.shape[0] == 1:  # one row for all, at any place
            return x + ops.cast(sinusoids(positions[0], x.shape[-1]), x.dtype)
        table = ops.cast(sinusoids(ops.arange(length), x.shape[-1]), x.dtype)
        return x + ops.take(table, positions, axis=0)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "max_positions": self.max_positions}
