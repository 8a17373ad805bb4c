"""Ways to encode the order of tokens: sinusoids, a learned table, or rotated queries and keys.

Shapes: B batch, L length, D model width, H heads, K per-head width.
"""

import keras
import numpy as np
from keras import ops


def segment_positions(segments):
    """Returns the position of each token within its own segment, counted from 0.

    Several segments may share a row. Each counts its positions from 0.

    Args:
        segments: int32 tensor of shape (B, L), the number of the segment that each token belongs
            to. 0 is padding.

    Returns:
        int32 tensor of shape (B, L). For example, the row [1, 1, 2, 2, 2, 0] gives [0, 1, 0, 1, 2,
        0].
    """
    length = ops.shape(segments)[1]
    index = ops.arange(length, dtype="int32")
    same = ops.equal(segments[:, :, None], segments[:, None, :])  # (B, L, L)
    earlier = index[None, :, None] > index[None, None, :]
    return ops.sum(ops.cast(ops.logical_and(same, earlier), "int32"), axis=-1)


def sinusoids(positions, d_model):
    """Computes the sinusoids of Vaswani et al. 2017, section 3.5, sine and cosine interleaved.

    PE(pos, 2i) = sin(pos / 10000^(2i/D)) and PE(pos, 2i+1) = cos(pos / 10000^(2i/D)).

    Args:
        positions: int tensor of shape (L,).
        d_model: model width D, an even number.

    Returns:
        float32 tensor of shape (L, D).
    """
    rate = np.power(10000.0, -np.arange(0, d_model, 2) / d_model).astype("float32")
    angle = ops.cast(positions, "float32")[:, None] * rate[None, :]
    return ops.reshape(ops.stack([ops.sin(angle), ops.cos(angle)], axis=-1), (-1, d_model))


def rotate(x, positions):
    """Applies rotary position embedding (Su et al. 2021, section 3.2.2).

    The layout is the half-split one of GPT-NeoX: element k forms a pair with element k + K/2.

    Args:
        x: float tensor of shape (B, H, L, K), queries or keys. K must be even.
        positions: int32 tensor of shape (B, L) or (1, L).

    Returns:
        float tensor of shape (B, H, L, K), the pair (x[k], x[k + K/2]) rotated by the angle
        positions * 10000^(-2k/K).
    """
    half = x.shape[-1] // 2
    rate = np.power(10000.0, -np.arange(half) / half).astype("float32")
    angle = ops.cast(positions, "float32")[:, None, :, None] * rate  # (B, 1, L, K/2)
    cos, sin = ops.cast(ops.cos(angle), x.dtype), ops.cast(ops.sin(angle), x.dtype)
    # Split instead of slicing twice: the gradient of each slice would be as large as x, and the two
    # would have to be added.
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


@keras.saving.register_keras_serializable("transformer")
class PositionalEmbedding(keras.layers.Layer):
    """Adds position vectors to embeddings of shape (B, L, D).

    With `kind="rotary"` it adds nothing, since attention rotates queries and keys instead.

    Args:
        kind: "sinusoidal", "learned" or "rotary".
        max_positions: number of rows of the learned table.
        **kwargs: passed to `keras.layers.Layer`.
    """

    def __init__(self, kind, max_positions=512, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.kind, self.max_positions = kind, max_positions
        self.table = None

    def build(self, input_shape):
        """Creates the table of learned positions, if `kind` is "learned"."""
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
        """Adds the position vectors.

        Args:
            x: float tensor of shape (B, L, D).
            positions: int32 tensor of shape (B, L) or (1, L). Positions of shape (1, L) may have
                any values. Sinusoids of shape (B, L) require values below L.

        Returns:
            float tensor of shape (B, L, D).

        Raises:
            ValueError: if positions are learned and the static length L exceeds `max_positions`.
        """
        if self.kind == "rotary":
            return x
        length = ops.shape(x)[1]
        if self.kind == "learned":
            if isinstance(length, int) and length > self.max_positions:
                raise ValueError(
                    f"A sequence must not be longer than max_positions. Received: length {length}, "
                    f"max_positions={self.max_positions}. Use shorter input or "
                    "positions='sinusoidal'."
                )
            return x + self.table(positions)
        # A single row of positions is shared by the batch and may start anywhere, as in decoding.
        if positions.shape[0] == 1:
            return x + ops.cast(sinusoids(positions[0], x.shape[-1]), x.dtype)
        table = ops.cast(sinusoids(ops.arange(length), x.shape[-1]), x.dtype)
        return x + ops.take(table, positions, axis=0)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "kind": self.kind, "max_positions": self.max_positions}
