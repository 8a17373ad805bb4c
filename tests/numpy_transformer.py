"""A reference Transformer in NumPy, written from the papers' formulas.

It computes in double precision, one sentence at a time. It shares no code with the package and only
reads a model's weights by their paths.
"""

import math

import numpy as np


def gelu(x):
    """Exact GELU: x times the normal distribution function at x."""
    return np.vectorize(lambda v: 0.5 * v * (1.0 + math.erf(v / math.sqrt(2.0))))(x)


def gelu_tanh(x):
    """GELU in its tanh approximation."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "swish": lambda x: x / (1.0 + np.exp(-x)),
}


class Reference:
    """Computes the logits of one (source, target) pair without padding.

    Args:
        weights: dict {path: array}, the model's weights.
        config: the model's ModelConfig.

    Attributes:
        w: dict {path without the model's name: float64 array}.
        c: the config.
        weights: dict {"encoder", "decoder", "cross"} of the attention weights of the last call, a
            list with one array (H, queries, keys) per layer. With a pointer-generator also
            "pointer", one array (1, T, S).
    """

    def __init__(self, weights, config):
        self.w = {
            path.split("/", 1)[1]: np.asarray(value, "float64") for path, value in weights.items()
        }
        self.c = config

    def dense(self, name, x, part=0, parts=1):
        """Applies a dense layer, its bias included if there is one.

        Args:
            name: path of the layer.
            x: float64 (L, input width).
            part: which part of the kernel to use, from 0.
            parts: number of projections that are concatenated in the kernel's columns.
        """
        width = self.w[f"{name}/kernel"].shape[1] // parts
        columns = slice(part * width, (part + 1) * width)
        return (
            x @ self.w[f"{name}/kernel"][:, columns]
            + self.w.get(f"{name}/bias", np.zeros(parts * width))[columns]
        )

    def norm(self, name, x):
        """Applies layer normalization, or RMS normalization if the config says so."""
        if self.c.norm_type == "rms":
            scale = np.sqrt((x**2).mean(-1, keepdims=True) + self.c.norm_epsilon)
            return x / scale * self.w[f"{name}/scale"]
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + self.c.norm_epsilon) * self.w[
            f"{name}/gamma"
        ] + self.w[f"{name}/beta"]

    def residual(self, name, x, sublayer):
        """Applies a sublayer with its residual connection and its norm, pre-norm or post-norm."""
        if self.c.norm == "pre":
            return x + sublayer(self.norm(f"{name}/norm", x))
        return self.norm(f"{name}/norm", x + sublayer(x))

    def attention(self, name, x, source, causal=False, rotary=False):
        """Applies multi-head attention.

        Args:
            name: path of the layer.
            x: float64 (T, D), what the queries are made of.
            source: float64 (S, D), what the keys and values are made of.
            causal: whether a position attends only to itself and those before it.
            rotary: whether queries and keys are rotated by their positions.

        Returns:
            The output (T, D) and the attention weights (H, T, S).
        """
        if f"{name}/query_key_value/kernel" in self.w:
            query, key, value = (
                self.dense(f"{name}/query_key_value", x, part, 3) for part in range(3)
            )
        else:
            query = self.dense(f"{name}/query", x)
            key, value = (self.dense(f"{name}/key_value", source, part, 2) for part in range(2))
        width, heads, weights = self.c.d_model // self.c.num_heads, [], []
        for head in range(self.c.num_heads):
            columns = slice(head * width, (head + 1) * width)
            q, k, v = query[:, columns], key[:, columns], value[:, columns]
            if rotary:
                q, k = self.rotate(q), self.rotate(k)
            scores = q @ k.T / math.sqrt(width)
            if causal:
                for t in range(len(x)):
                    scores[t, t + 1 :] = -np.inf
            exponentials = np.exp(scores - scores.max(-1, keepdims=True))
            weights.append(exponentials / exponentials.sum(-1, keepdims=True))
            heads.append(weights[-1] @ v)
        return self.dense(f"{name}/output", np.concatenate(heads, -1)), np.stack(weights)

    def kept(self, kind, *arguments, **options):
        """Returns the output of `attention` and appends its weights to `self.weights[kind]`."""
        output, weights = self.attention(*arguments, **options)
        self.weights[kind].append(weights)
        return output

    @staticmethod
    def rotate(x):
        """Applies rotary positions to x (L, K).

        Each pair (x[k], x[k + K/2]) is a complex number, multiplied by exp(i * position * rate).
        """
        half = x.shape[1] // 2
        turned = x[:, :half] + 1j * x[:, half:]
        for position in range(len(x)):
            for k in range(half):
                turned[position, k] *= np.exp(1j * position * 10000.0 ** (-2 * k / x.shape[1]))
        return np.concatenate([turned.real, turned.imag], 1)

    def feed_forward(self, name, x):
        """Applies the feed-forward block, gated if the config says so."""
        hidden = ACTIVATIONS[self.c.activation](self.dense(f"{name}/inner", x))
        if self.c.gated:
            hidden = hidden * self.dense(f"{name}/gate", x)
        return self.dense(f"{name}/outer", hidden)

    def embed(self, table, ids, stack):
        """Embeds ids (L,) with scaling, positions and embedding norm. Returns (L, D)."""
        x = self.w[table][ids] * (math.sqrt(self.c.d_model) if self.c.scale_embeddings else 1.0)
        for position in range(len(ids)):
            if self.c.positions == "learned":
                x[position] += self.w[f"{stack}/positions/table/embeddings"][position]
            if self.c.positions == "sinusoidal":
                for i in range(self.c.d_model // 2):
                    angle = position / 10000 ** (2 * i / self.c.d_model)
                    x[position, 2 * i] += math.sin(angle)
                    x[position, 2 * i + 1] += math.cos(angle)
        return self.norm(f"{stack}/embedding_norm", x) if self.c.embedding_norm else x

    def logits(self, source, target):
        """Returns the logits, float64 (T, V), of source ids (S,) and target ids (T,).

        With a pointer-generator the result is the log-probabilities of its mixture instead. The
        attention weights are kept in `self.weights`.
        """
        self.weights = {"encoder": [], "decoder": [], "cross": []}
        shared, rotary = self.c.tie_embeddings, self.c.positions == "rotary"
        x = self.embed(
            "embedding/embeddings" if shared else "source_embedding/embeddings", source, "encoder"
        )
        for n in range(self.c.num_layers):
            name = f"encoder/layer_{n}"
            x = self.residual(
                f"{name}/self_residual",
                x,
                lambda y: self.kept("encoder", f"{name}/self_attention", y, y, rotary=rotary),
            )
            x = self.residual(
                f"{name}/feed_forward_residual",
                x,
                lambda y: self.feed_forward(f"{name}/feed_forward", y),
            )
        memory = self.norm("encoder/norm", x) if self.c.norm == "pre" else x
        table = "embedding/embeddings" if shared else "target_embedding/embeddings"
        x = self.embed(table, target, "decoder")
        for n in range(self.c.num_layers):
            name = f"decoder/layer_{n}"
            x = self.residual(
                f"{name}/self_residual",
                x,
                lambda y: self.kept(
                    "decoder", f"{name}/self_attention", y, y, causal=True, rotary=rotary
                ),
            )
            x = self.residual(
                f"{name}/cross_residual",
                x,
                lambda y: self.kept("cross", f"{name}/cross_attention", y, memory),
            )
            x = self.residual(
                f"{name}/feed_forward_residual",
                x,
                lambda y: self.feed_forward(f"{name}/feed_forward", y),
            )
        x = self.norm("decoder/norm", x) if self.c.norm == "pre" else x
        logits = x @ (
            self.w[table].T
            if self.c.tie_output
            else self.w[table.replace("embeddings", "reverse_embeddings")]
        )
        return self.mixed(logits, x, memory, source) if self.c.pointer_generator else logits

    def mixed(self, logits, x, memory, source):
        """Returns the log-probabilities (T, V) of a pointer-generator.

        Args:
            logits: float64 (T, V), the decoder's own logits.
            x: float64 (T, D), the decoder's output.
            memory: float64 (S, D), the encoder's output.
            source: int (S,), the source ids.
        """
        keys = self.dense("pointer/key", memory)
        exponentials = np.exp(self.dense("pointer/query", x) @ keys.T / math.sqrt(self.c.d_model))
        weights = exponentials / exponentials.sum(-1, keepdims=True)
        p_gen = 1.0 / (
            1.0 + np.exp(-self.dense("pointer/switch", np.concatenate([x, weights @ keys], -1)))
        )
        mixed = p_gen * np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        for place, token in enumerate(source):
            mixed[:, token] += (1.0 - p_gen[:, 0]) * weights[:, place]
        self.weights["pointer"] = [weights[None]]
        return np.log(mixed)
