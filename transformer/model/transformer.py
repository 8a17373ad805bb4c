"""The encoder-decoder Transformer (Vaswani et al. 2017), configured by ModelConfig, never forked.

`Transformer(d_model, num_heads, num_layers, vocab_size)` maps [source ids, target ids] to logits.
`encode`, `start` and `step` are its parts for decoding token by token.

Shapes: B batch, S source length, T target length, D model width, V vocabulary, N = B * W
hypotheses.
"""

import dataclasses

import keras
from keras import ops

from transformer.config import ModelConfig
from transformer.model.attention import causal_mask, segment_mask
from transformer.model.dropout import Dropout
from transformer.model.layers import DecoderLayer, EncoderLayer, as_config, normalization
from transformer.model.pointer import Pointer
from transformer.model.positions import PositionalEmbedding, segment_positions

# Rows of the table a stack makes for itself when it is given ids and nobody said how many there
# are.
DEFAULT_VOCAB_SIZE = 32768


def _segments(ids, pad_id):
    """int32 (B, L): 1 for a token, 0 for padding."""
    return ops.cast(ops.not_equal(ids, pad_id), "int32")


def _segments_of_mask(mask, x):
    """int32 (B, L): 1 where the mask is True, or where there is none."""
    return ops.ones(ops.shape(x)[:2], "int32") if mask is None else ops.cast(mask, "int32")


class Stack(keras.layers.Layer):
    """What Encoder and Decoder share: positions, a normalisation of the embeddings if there is one,
    dropout, N layers and, pre-norm, a last normalisation.

    Args:
        d_model, num_heads, num_layers: D, H and N.
        config: a ModelConfig with all the switches; its sizes must agree with the three arguments.
            None: the default's.
        options: fields of ModelConfig, instead of `config`.

    A stack takes embeddings, floats (B, L, D). Given ids, integers (B, L), it embeds them with a
    table of its own of `vocab_size` rows (32,768 unless told) and masks `pad_id`.
    """

    layer_class = None

    def __init__(
        self,
        d_model,
        num_heads,
        num_layers,
        config=None,
        name=None,
        dtype=None,
        trainable=True,
        **options,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        sizes = dict(d_model=d_model, num_heads=num_heads, num_layers=num_layers)
        if config is None:
            config = ModelConfig(**{"vocab_size": DEFAULT_VOCAB_SIZE, **options, **sizes})
        self.config = config = dataclasses.replace(as_config(config), **sizes)
        policy = self.dtype_policy
        self.supports_masking = True
        self.embedding = None
        self.positions = PositionalEmbedding(
            config.positions, config.max_positions, dtype=policy, name="positions"
        )
        self.embedding_norm = (
            normalization(config, policy, "embedding_norm") if config.embedding_norm else None
        )
        self.dropout = Dropout(config.dropout, dtype=policy)
        self.layers = [
            self.layer_class(config, dtype=policy, name=f"layer_{number}")
            for number in range(config.num_layers)
        ]
        self.norm = normalization(config, policy, "norm") if config.norm == "pre" else None

    def __call__(self, *args, **kwargs):
        # Code written for Keras 2 passes `training` by position, which Keras 3 refuses.
        if args and isinstance(args[-1], bool):
            kwargs["training"], args = args[-1], args[:-1]
        return super().__call__(*args, **kwargs)

    def build(self, inputs_shape):
        config, shape = self.config, (None, None, self.config.d_model)
        if len(inputs_shape) == 2:
            self.embedding = keras.layers.Embedding(
                config.vocab_size,
                config.d_model,
                keras.initializers.RandomNormal(stddev=config.d_model**-0.5),
                dtype=self.dtype_policy,
                name="embedding",
            )
            self.embedding.build(inputs_shape)
        self.positions.build(shape)
        for layer in self.layers:
            layer.build(shape)
        for norm in (self.embedding_norm, self.norm):
            if norm:
                norm.build(shape)

    def _placed(self, embeddings, positions):
        """Embeddings (B, L, D) with their positions, int32 (B or 1, L), added and, if so
        configured, normalised."""
        x = self.positions(embeddings, positions)
        return self.embedding_norm(x) if self.embedding_norm else x

    def _enter(self, inputs, segments, training, mask=None):
        """Embeddings or ids -> (x with positions and dropout, segments, positions)."""
        if self.embedding is not None:
            ids = ops.cast(inputs, "int32")
            segments = _segments(ids, self.config.pad_id) if segments is None else segments
            inputs = self.embedding(ids)
            if self.config.scale_embeddings:
                inputs = inputs * self.config.d_model**0.5
        if segments is None:
            segments = _segments_of_mask(mask, inputs)
        positions = segment_positions(segments)
        x = self.dropout(self._placed(inputs, positions), training=training)
        return x, segments, positions

    def compute_mask(self, inputs, previous_mask=None):
        """Keras's mask of the output, bool (B, L), which a Decoder takes as that of its memory."""
        return (
            previous_mask if self.embedding is None else ops.not_equal(inputs, self.config.pad_id)
        )

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        return (*inputs_shape[:2], self.config.d_model)

    def get_config(self):
        config = dataclasses.asdict(self.config)
        sizes = {name: config[name] for name in ("d_model", "num_heads", "num_layers")}
        return {**super().get_config(), **sizes, "config": config}


@keras.saving.register_keras_serializable("transformer")
class Encoder(Stack):
    """The encoder: `Encoder(d_model, num_heads, num_layers)(embeddings)` -> (B, S, D).
    Arguments: see Stack."""

    layer_class = EncoderLayer

    def call(self, inputs, segments=None, mask=None, training=False):
        """Encodes embeddings (B, S, D), or ids (B, S).

        Args:
            segments: int32 (B, S), 0 for padding; tokens see each other within one segment only.
                None: what `pad_id` says of ids, and `mask` of embeddings.
            mask: bool (B, S), True where real; Keras fills it in for embeddings of a layer with
                mask_zero.

        Returns:
            (B, S, D).
        """
        x, segments, positions = self._enter(inputs, segments, training, mask)
        attention_mask = segment_mask(segments, segments)
        for layer in self.layers:
            x = layer(x, attention_mask, positions, training=training)
        return self.norm(x) if self.norm else x

    def attention_weights(self, inputs, segments=None):
        """A list, one entry a layer, of float32 (B, H, S, S)."""
        x, segments, positions = self._enter(inputs, segments, False)
        mask, weights = segment_mask(segments, segments), []
        for layer in self.layers:
            weights.append(layer.attention_weights(x, mask, positions))
            x = layer(x, mask, positions)
        return weights


@keras.saving.register_keras_serializable("transformer")
class Decoder(Stack):
    """The decoder: `Decoder(d_model, num_heads, num_layers)(embeddings, memory)` -> (B, T, D).
    Arguments: see Stack."""

    layer_class = DecoderLayer

    def build(self, inputs_shape, memory_shape=None):
        super().build(inputs_shape)

    def call(
        self,
        inputs,
        memory,
        segments=None,
        memory_segments=None,
        inputs_mask=None,
        memory_mask=None,
        training=False,
    ):
        """Decodes embeddings (B, T, D), or ids (B, T), attending to memory (B, S, D).

        Args:
            segments: int32 (B, T), 0 for padding;
            memory_segments: int32 (B, S). A token sees the tokens before it in its segment, and the
                memory of the segment with the same number.
            inputs_mask, memory_mask: bool (B, T) and (B, S), True where real, for what has no
                segments. Keras fills them in, by these names: the memory's is the mask of the
                Encoder's input.

        Returns:
            (B, T, D).
        """
        x, masks, positions = self._enter_with_memory(
            inputs, memory, segments, memory_segments, training, inputs_mask, memory_mask
        )
        for layer in self.layers:
            x = layer(x, memory, *masks, positions, training=training)
        return self.norm(x) if self.norm else x

    def _enter_with_memory(
        self,
        inputs,
        memory,
        segments,
        memory_segments,
        training,
        inputs_mask=None,
        memory_mask=None,
    ):
        x, segments, positions = self._enter(inputs, segments, training, inputs_mask)
        if memory_segments is None:
            memory_segments = _segments_of_mask(memory_mask, memory)
        mask = ops.logical_and(segment_mask(segments, segments), causal_mask(ops.shape(x)[1]))
        return x, (mask, segment_mask(segments, memory_segments)), positions

    def attention_weights(self, inputs, memory, segments=None, memory_segments=None):
        """Two lists, one entry a layer: self float32 (B, H, T, T) and cross float32 (B, H, T,
        S)."""
        x, masks, positions = self._enter_with_memory(
            inputs, memory, segments, memory_segments, False
        )
        pairs = []
        for layer in self.layers:
            pairs.append(layer.attention_weights(x, memory, *masks, positions))
            x = layer(x, memory, *masks, positions)
        self_weights, cross_weights = zip(*pairs)
        return list(self_weights), list(cross_weights)

    def memory_caches(self, memory):
        """Keys and values of the memory (B, S, D) for every layer, computed once a sentence:
        pairs of (B, H, S, K)."""
        return [layer.cross_attention.keys_values(memory) for layer in self.layers]

    def empty_caches(self, batch_size, length):
        """Zeroed caches for `length` positions: for every layer a pair (batch_size, H, length,
        K)."""
        config = self.config
        shape = (batch_size, config.num_heads, length, config.d_model // config.num_heads)
        return [tuple(ops.zeros(shape, self.compute_dtype) for _ in "kv") for _ in self.layers]

    def step(self, inputs, position, caches, memory_caches, memory_mask, grow=False):
        """Decodes the token at `position` alone: (N, 1, D) -> (N, 1, D) and the new caches. See
        DecoderLayer.step."""
        x, new_caches = self._placed(inputs, ops.reshape(position, (1, 1))), []
        for layer, cache, memory_cache in zip(self.layers, caches, memory_caches):
            x, cache = layer.step(x, position, cache, memory_cache, memory_mask, grow)
            new_caches.append(cache)
        return (self.norm(x) if self.norm else x), new_caches


@keras.saving.register_keras_serializable("transformer")
class Transformer(keras.Model):
    """Encoder and decoder with embeddings and output projection: [source ids, target ids] ->
    logits.

    Args:
        d_model, num_heads, num_layers, vocab_size: D, H, N (of encoder and decoder each) and V.
        options: any other field of ModelConfig, such as norm="pre" or positions="rotary".

    Example:
        model = Transformer(d_model=128, num_heads=4, num_layers=2, vocab_size=1000)
        logits = model([source_ids, target_ids])  # int (B, S), int (B, T) -> float (B, T, 1000)
    """

    def __init__(
        self,
        d_model,
        num_heads,
        num_layers,
        vocab_size,
        name=None,
        dtype=None,
        trainable=True,
        **options,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.config = config = ModelConfig(d_model, num_heads, num_layers, vocab_size, **options)
        policy, scale = (
            self.dtype_policy,
            keras.initializers.RandomNormal(stddev=config.d_model**-0.5),
        )
        self.target_embedding = keras.layers.ReversibleEmbedding(
            vocab_size,
            d_model,
            tie_weights=config.tie_output,
            embeddings_initializer=scale,
            dtype=policy,
            name="embedding" if config.tie_embeddings else "target_embedding",
        )
        if config.tie_embeddings:
            self.source_embedding = self.target_embedding
        else:
            self.source_embedding = keras.layers.Embedding(
                config.input_vocab_size, d_model, scale, dtype=policy, name="source_embedding"
            )
        self.encoder = Encoder(
            d_model, num_heads, num_layers, config=config, dtype=policy, name="encoder"
        )
        self.decoder = Decoder(
            d_model, num_heads, num_layers, config=config, dtype=policy, name="decoder"
        )
        self.pointer = (
            Pointer(config, dtype=policy, name="pointer") if config.pointer_generator else None
        )

    @classmethod
    def from_model_config(cls, config, **kwargs):
        """The built model of a ModelConfig."""
        model = cls(**{"name": "transformer", **dataclasses.asdict(config), **kwargs})
        model.build([(None, None), (None, None)])
        return model

    def build(self, input_shape=None):
        states = (None, None, self.config.d_model)
        self.source_embedding.build((None, None))
        if self.target_embedding is not self.source_embedding:
            self.target_embedding.build((None, None))
        self.encoder.build(states)
        self.decoder.build(states)
        if self.pointer:
            self.pointer.build(states)
        self.built = True

    def call(self, inputs, training=False):
        """Logits of the next target token at each target position.

        Args:
            inputs: [source, target], integer ids (B, S) and (B, T); or [source, target,
                source_segments, target_segments] where several pairs share a row: int (B, S) and
                (B, T), the number of the pair a token belongs to, 0 for padding.

        Returns:
            float32 (B, T, V), in every precision: not normalised; of a pointer-generator
            log-probabilities.
        """
        return self._logits(*self.hidden_states(inputs, training))

    def hidden_states(self, inputs, training=False):
        """What `call` makes logits of; arguments as there.

        Returns:
            (B, T, D), to be multiplied by `output_table`; and a transformer.model.pointer.Pointed,
            or None.
        """
        source, target, source_segments, target_segments = self._unpack(inputs)
        embedded, embedded_target = self._embed_both(source, target)
        memory = self.encoder(embedded, source_segments, training=training)
        states = self.decoder(
            embedded_target, memory, target_segments, source_segments, training=training
        )
        if not self.pointer:
            return states, None
        mask = segment_mask(target_segments, source_segments)
        return states, self.pointer(states, self.pointer.keys(memory), source, mask)

    def _logits(self, states, pointed):
        logits = self.target_embedding(states, reverse=True)
        return pointed.mix(logits) if pointed else logits

    @property
    def d_model(self):
        """Its width D."""
        return self.config.d_model

    @property
    def output_table(self):
        """The output projection, float32 (V, D)."""
        table = self.target_embedding
        return (
            table.embeddings if self.config.tie_output else ops.transpose(table.reverse_embeddings)
        )

    def _unpack(self, inputs):
        source, target = (ops.cast(ids, "int32") for ids in inputs[:2])
        if len(inputs) == 4:
            return source, target, inputs[2], inputs[3]
        return (
            source,
            target,
            _segments(source, self.config.input_pad_id),
            _segments(target, self.config.pad_id),
        )

    def _embed(self, table, ids):
        x = table(ids)
        return x * self.config.d_model**0.5 if self.config.scale_embeddings else x

    def _embed_both(self, source, target):
        """Both, of one table in one look-up: three gradients, with the output's, TensorFlow sums
        as they come, not twice in one order."""
        if self.source_embedding is not self.target_embedding:
            return self._embed(self.source_embedding, source), self._embed(
                self.target_embedding, target
            )
        embedded, length = (
            self._embed(self.target_embedding, ops.concatenate([source, target], axis=1)),
            ops.shape(source)[1],
        )
        return embedded[:, :length], embedded[:, length:]

    def encode(self, source):
        """The memory of source ids (B, S): (B, S, D)."""
        return self.encoder(
            self._embed(self.source_embedding, source), _segments(source, self.config.input_pad_id)
        )

    def attention_weights(self, inputs):
        """What looks at what: {"encoder": [...], "decoder": [...], "cross": [...]}, one entry a
        layer, each float32 (B, H, queries, keys); of a pointer-generator also {"pointer": [...]},
        one entry. `inputs` as in `call`.
        """
        source, target, source_segments, target_segments = self._unpack(inputs)
        embedded, embedded_target = self._embed_both(source, target)
        memory = self.encoder(embedded, source_segments)
        own, cross = self.decoder.attention_weights(
            embedded_target, memory, target_segments, source_segments
        )
        pointer = (
            {"pointer": [self.hidden_states(inputs)[1].weights[:, None]]} if self.pointer else {}
        )
        return {
            "encoder": self.encoder.attention_weights(embedded, source_segments),
            "decoder": own,
            "cross": cross,
            **pointer,
        }

    def start(self, source, length, batch_size=None):
        """What step-by-step decoding begins with.

        Args:
            source: int (B, S) ids.
            length: most target positions.
            batch_size: N, if other than B.

        Returns:
            caches, a list of pairs (N, H, length, K), and the constants of `step`: memory caches,
            memory mask, and of a pointer what it points at, (B, S, D), and the ids (B, S).
        """
        memory = self.encode(source)
        mask = ops.not_equal(source, self.config.input_pad_id)[:, None, :]
        pointing = (self.pointer.keys(memory), ops.cast(source, "int32")) if self.pointer else ()
        caches = self.decoder.empty_caches(batch_size or ops.shape(source)[0], length)
        return caches, (self.decoder.memory_caches(memory), mask, *pointing)

    def step(self, ids, position, caches, constants, grow=False):
        """Logits (N, V) of the token after `ids` (N,) at `position` (scalar), and the new caches.

        Equals `call` on the whole prefix, without computing it again. With `grow` the caches begin
        at length 0 and become one position longer, which is faster than to select and mask, where
        shapes may change.
        """
        x = self._embed(self.target_embedding, ops.expand_dims(ids, 1))
        memory_caches, mask, *pointing = constants
        x, caches = self.decoder.step(x, position, caches, memory_caches, mask, grow=grow)
        if not pointing:
            return self._logits(x, None)[:, 0], caches
        # As in DecoderLayer.step: the hypotheses of a sentence are queries to the same source.
        x = ops.reshape(x, (ops.shape(mask)[0], -1, self.config.d_model))
        logits = self._logits(x, self.pointer(x, *pointing, mask))
        return ops.reshape(logits, (-1, self.config.vocab_size)), caches

    def compute_output_shape(self, input_shape):
        return (*input_shape[1], self.config.vocab_size)

    def get_config(self):
        return {**super().get_config(), **dataclasses.asdict(self.config)}
