"""The encoder-decoder Transformer (Vaswani et al. 2017), with variants chosen by a ModelConfig.

- `Transformer(d_model, num_heads, num_layers, vocab_size)` maps [source ids, target ids] to logits.
  Its methods `encode`, `start` and `step` decode token by token.
- `Encoder` and `Decoder` are its two stacks of layers. They also work on their own.

Shapes: B batch, S source length, T target length, L any length, D model width, H heads, K per-head
width, V vocabulary, N layers, W beam width.
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

# The number of rows of a stack's own embedding table if `vocab_size` is not given.
DEFAULT_VOCAB_SIZE = 32768


def _segments(ids, pad_id):
    """Returns segments of int32 (B, L): 1 for a token, 0 for padding."""
    return ops.cast(ops.not_equal(ids, pad_id), "int32")


def _segments_of_mask(mask, x):
    """Returns segments of int32 (B, L): 1 where the mask is True, or everywhere without a mask."""
    return ops.ones(ops.shape(x)[:2], "int32") if mask is None else ops.cast(mask, "int32")


class Stack(keras.layers.Layer):
    """Base class of Encoder and Decoder.

    It holds the positions, an optional normalization of the embeddings, dropout, N layers, and with
    norm="pre" a final normalization.

    A stack takes embeddings, floats of shape (B, L, D). Given ids, integers of shape (B, L), it
    embeds them with its own table of `vocab_size` rows and masks `pad_id`.

    Args:
        d_model: model width D.
        num_heads: number of attention heads H. It must divide D.
        num_layers: number of layers N.
        config: a ModelConfig (or its dictionary) with all further options. Its sizes are replaced
            by the three arguments above. None means the defaults of ModelConfig, changed by
            `options`.
        name: name of the layer.
        dtype: dtype or dtype policy of the layer.
        trainable: whether the weights are trainable.
        **options: fields of ModelConfig such as norm="pre" or positions="rotary", used only if
            `config` is None. `vocab_size` is 32,768 by default.
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
        """Calls the layer. A bool as the last positional argument is taken as `training`."""
        # Code written for Keras 2 passes `training` by position, which Keras 3 refuses.
        if args and isinstance(args[-1], bool):
            kwargs["training"], args = args[-1], args[:-1]
        return super().__call__(*args, **kwargs)

    def build(self, inputs_shape):
        """Builds the layers. For ids, shape (B, L), also creates the embedding table."""
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
        """Adds the positions to embeddings, and normalizes the sum if so configured.

        Args:
            embeddings: float tensor of shape (B, L, D).
            positions: int32 tensor of shape (B, L) or (1, L).

        Returns:
            float tensor of shape (B, L, D).
        """
        x = self.positions(embeddings, positions)
        return self.embedding_norm(x) if self.embedding_norm else x

    def _enter(self, inputs, segments, training, mask=None):
        """Prepares embeddings or ids for the first layer.

        Returns:
            x: float tensor of shape (B, L, D), the embeddings with positions and dropout.
            segments: int32 tensor of shape (B, L).
            positions: int32 tensor of shape (B, L).
        """
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
        """Returns Keras's mask of the output, bool (B, L), or None.

        A Decoder that is called with this output uses it as the mask of its memory.
        """
        return (
            previous_mask if self.embedding is None else ops.not_equal(inputs, self.config.pad_id)
        )

    def compute_output_shape(self, inputs_shape, *args, **kwargs):
        """Returns the output shape (B, L, D)."""
        return (*inputs_shape[:2], self.config.d_model)

    def get_config(self):
        """Returns the constructor's arguments."""
        config = dataclasses.asdict(self.config)
        sizes = {name: config[name] for name in ("d_model", "num_heads", "num_layers")}
        return {**super().get_config(), **sizes, "config": config}


@keras.saving.register_keras_serializable("transformer")
class Encoder(Stack):
    """The Transformer encoder: a stack of self-attention and feed-forward layers.

    It takes embeddings, floats of shape (B, S, D), and adds the positions to them. Given ids,
    integers of shape (B, S), it first embeds them with its own table of `vocab_size` rows and masks
    `pad_id`. The output is a float tensor of shape (B, S, D).

    Here B is the batch size, S the source length and D the model width.

    Args:
        d_model: model width D.
        num_heads: number of attention heads H. It must divide D.
        num_layers: number of layers N.
        config: a ModelConfig (or its dictionary) with all further options. Its sizes are replaced
            by the three arguments above. None means the defaults of ModelConfig, changed by
            `options`.
        name: name of the layer.
        dtype: dtype or dtype policy of the layer.
        trainable: whether the weights are trainable.
        **options: fields of ModelConfig such as norm="pre" or positions="rotary", used only if
            `config` is None. `vocab_size` is 32,768 by default.

    Example:
        encoder = Encoder(d_model=128, num_heads=4, num_layers=2, vocab_size=1000)
        memory = encoder(source_ids)  # int (B, S) -> float (B, S, 128)
    """

    layer_class = EncoderLayer

    def call(self, inputs, segments=None, mask=None, training=False):
        """Encodes embeddings or ids.

        Args:
            inputs: float tensor of shape (B, S, D), embeddings, or int tensor of shape (B, S), ids.
            segments: int32 tensor of shape (B, S), 0 for padding. Tokens attend only to tokens of
                the same segment. If None, every token that is not padding is in segment 1. Padding
                is then `pad_id` for ids, and False in `mask` for embeddings.
            mask: bool tensor of shape (B, S), True for tokens. Keras passes it for the output of an
                Embedding with `mask_zero=True`.
            training: whether to apply dropout.

        Returns:
            float tensor of shape (B, S, D).
        """
        x, segments, positions = self._enter(inputs, segments, training, mask)
        attention_mask = segment_mask(segments, segments)
        for layer in self.layers:
            x = layer(x, attention_mask, positions, training=training)
        return self.norm(x) if self.norm else x

    def attention_weights(self, inputs, segments=None):
        """Returns the attention weights of each layer, without dropout.

        Args:
            inputs: embeddings or ids, as in `call`.
            segments: as in `call`. If None, no position of embeddings is masked, since Keras's
                masks are not used here.

        Returns:
            A list with one float32 tensor of shape (B, H, S, S) per layer.
        """
        x, segments, positions = self._enter(inputs, segments, False)
        mask, weights = segment_mask(segments, segments), []
        for layer in self.layers:
            weights.append(layer.attention_weights(x, mask, positions))
            x = layer(x, mask, positions)
        return weights


@keras.saving.register_keras_serializable("transformer")
class Decoder(Stack):
    """The Transformer decoder: causal self-attention, cross-attention and feed-forward layers.

    It takes embeddings, floats of shape (B, T, D), and adds the positions to them. Given ids,
    integers of shape (B, T), it first embeds them with its own table of `vocab_size` rows and masks
    `pad_id`. The second input is the memory, which is the encoder's output of shape (B, S, D).
    Cross-attention attends to it. The output is a float tensor of shape (B, T, D), not yet
    projected to logits.

    Here B is the batch size, S the source length, T the target length and D the model width.

    Args:
        d_model: model width D.
        num_heads: number of attention heads H. It must divide D.
        num_layers: number of layers N.
        config: a ModelConfig (or its dictionary) with all further options. Its sizes are replaced
            by the three arguments above. None means the defaults of ModelConfig, changed by
            `options`.
        name: name of the layer.
        dtype: dtype or dtype policy of the layer.
        trainable: whether the weights are trainable.
        **options: fields of ModelConfig such as norm="pre" or positions="rotary", used only if
            `config` is None. `vocab_size` is 32,768 by default.

    Example:
        decoder = Decoder(d_model=128, num_heads=4, num_layers=2, vocab_size=1000)
        states = decoder(target_ids, memory)  # int (B, T), float (B, S, 128) -> float (B, T, 128)
    """

    layer_class = DecoderLayer

    def build(self, inputs_shape, memory_shape=None):
        """Builds the layers. For ids, shape (B, T), also creates the embedding table."""
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
        """Decodes embeddings or ids, attending to the memory.

        Args:
            inputs: float tensor of shape (B, T, D), embeddings, or int tensor of shape (B, T), ids.
            memory: float tensor of shape (B, S, D), the encoder's output.
            segments: int32 tensor of shape (B, T), 0 for padding. A token attends to itself and to
                earlier tokens of the same segment. If None, every token that is not padding is in
                segment 1. Padding is then `pad_id` for ids, and False in `inputs_mask` for
                embeddings.
            memory_segments: int32 tensor of shape (B, S), 0 for padding. A token attends to the
                memory of the segment with the same number. If None, the positions where
                `memory_mask` is True are in segment 1.
            inputs_mask: bool tensor of shape (B, T), True for tokens. Only used without `segments`.
                Keras fills in an argument of this name.
            memory_mask: bool tensor of shape (B, S), True for tokens. Only used without
                `memory_segments`. Keras fills in an argument of this name, with the mask of the
                Encoder's input.
            training: whether to apply dropout.

        Returns:
            float tensor of shape (B, T, D).
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
        """Returns the attention weights of each layer, without dropout.

        Args:
            inputs: embeddings or ids, as in `call`.
            memory: as in `call`.
            segments: as in `call`. If None, no position of embeddings is masked, since Keras's
                masks are not used here.
            memory_segments: as in `call`. If None, no position of the memory is masked.

        Returns:
            Two lists with one float32 tensor per layer: self-attention weights of shape (B, H, T,
            T) and cross-attention weights of shape (B, H, T, S).
        """
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
        """Computes the keys and values of the memory for every layer, once per sentence.

        Args:
            memory: float tensor of shape (B, S, D), the encoder's output.

        Returns:
            A list with one pair of float tensors of shape (B, H, S, K) per layer.
        """
        return [layer.cross_attention.keys_values(memory) for layer in self.layers]

    def empty_caches(self, batch_size, length):
        """Returns zeroed caches for `length` positions.

        Args:
            batch_size: number of rows, B * W with beams.
            length: number of positions.

        Returns:
            A list with one pair of tensors of shape (batch_size, H, length, K) per layer.
        """
        config = self.config
        shape = (batch_size, config.num_heads, length, config.d_model // config.num_heads)
        return [tuple(ops.zeros(shape, self.compute_dtype) for _ in "kv") for _ in self.layers]

    def step(self, inputs, position, caches, memory_caches, memory_mask, grow=False):
        """Decodes the token at one position alone.

        Args:
            inputs: float tensor of shape (B * W, 1, D), the token's embeddings without its
                position.
            position: int32 scalar.
            caches: from `empty_caches` or from the previous step.
            memory_caches: from `memory_caches`.
            memory_mask: bool tensor of shape (B, 1, S), True where visible.
            grow: whether the caches grow by one position. See DecoderLayer.step.

        Returns:
            The output, a float tensor of shape (B * W, 1, D), and the new caches.
        """
        x, new_caches = self._placed(inputs, ops.reshape(position, (1, 1))), []
        for layer, cache, memory_cache in zip(self.layers, caches, memory_caches):
            x, cache = layer.step(x, position, cache, memory_cache, memory_mask, grow)
            new_caches.append(cache)
        return (self.norm(x) if self.norm else x), new_caches


@keras.saving.register_keras_serializable("transformer")
class Transformer(keras.Model):
    """The encoder-decoder Transformer, with embeddings and output projection.

    It maps [source ids, target ids] to the logits of the next target token at each target position.

    Args:
        d_model: model width D.
        num_heads: number of attention heads H. It must divide D.
        num_layers: number of layers N of the encoder, and also of the decoder.
        vocab_size: size V of the target vocabulary, and of the source vocabulary unless
            `source_vocab_size` is given.
        name: name of the model.
        dtype: dtype or dtype policy of the model.
        trainable: whether the weights are trainable.
        **options: any other field of ModelConfig, such as norm="pre" or positions="rotary".

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
        """Creates and builds the model of a ModelConfig.

        Args:
            config: a ModelConfig.
            **kwargs: arguments of the constructor that override the configuration.

        Returns:
            A built Transformer.
        """
        model = cls(**{"name": "transformer", **dataclasses.asdict(config), **kwargs})
        model.build([(None, None), (None, None)])
        return model

    def build(self, input_shape=None):
        """Builds all layers. The input shape is not needed."""
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
        """Computes the logits of the next target token at each target position.

        Args:
            inputs: [source, target], int tensors of shape (B, S) and (B, T) with token ids. If
                several pairs share a row: [source, target, source_segments, target_segments], where
                the segments are int tensors of shape (B, S) and (B, T) with the number of the pair
                that each token belongs to, 0 for padding.
            training: whether to apply dropout.

        Returns:
            float32 tensor of shape (B, T, V) under every dtype policy. It holds unnormalized
            logits, or log-probabilities with a pointer-generator.
        """
        return self._logits(*self.hidden_states(inputs, training))

    def hidden_states(self, inputs, training=False):
        """Returns what `call` computes the logits from. The arguments are those of `call`.

        Returns:
            states: float tensor of shape (B, T, D), to be multiplied by `output_table`.
            pointed: a transformer.model.pointer.Pointed with a pointer-generator, otherwise None.
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
        """Model width D."""
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
        """Embeds source and target, with a single lookup if they share one table.

        With two lookups and a tied output projection the table would get three gradients.
        TensorFlow sums three gradients in the order in which they become ready, so training would
        not be reproducible.
        """
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
        """Encodes the source.

        Args:
            source: int tensor of shape (B, S), token ids.

        Returns:
            The memory, a float tensor of shape (B, S, D).
        """
        return self.encoder(
            self._embed(self.source_embedding, source), _segments(source, self.config.input_pad_id)
        )

    def attention_weights(self, inputs):
        """Returns all attention weights, without dropout. The arguments are those of `call`.

        Returns:
            A dictionary {"encoder": [...], "decoder": [...], "cross": [...]}. Each list holds one
            float32 tensor of shape (B, H, queries, keys) per layer. A pointer-generator adds
            {"pointer": [...]} with a single tensor of shape (B, 1, T, S).
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
        """Prepares decoding token by token.

        Args:
            source: int tensor of shape (B, S), token ids.
            length: the largest number of target positions. 0 for caches that grow (see `step`).
            batch_size: number of rows of the caches, B * W with beams. None means B.

        Returns:
            caches: a list with one pair of float tensors of shape (batch_size, H, length, K) per
            layer.
            constants: the tuple that `step` expects. It holds the memory caches and the memory
            mask. A pointer-generator adds the pointer's keys, of shape (B, S, D), and the source
            ids, of shape (B, S).
        """
        memory = self.encode(source)
        mask = ops.not_equal(source, self.config.input_pad_id)[:, None, :]
        pointing = (self.pointer.keys(memory), ops.cast(source, "int32")) if self.pointer else ()
        caches = self.decoder.empty_caches(batch_size or ops.shape(source)[0], length)
        return caches, (self.decoder.memory_caches(memory), mask, *pointing)

    def step(self, ids, position, caches, constants, grow=False):
        """Computes the logits of the token that follows `ids`.

        The result equals that of `call` on the whole prefix, without computing the prefix again.

        Args:
            ids: int tensor of shape (B * W,), the token of each hypothesis at `position`.
            position: int32 scalar.
            caches: from `start` or from the previous step.
            constants: from `start`.
            grow: whether the caches start at length 0 and grow by one position per step. This is
                faster than writing to caches of fixed length and masking, but requires that shapes
                may change between steps.

        Returns:
            The logits (or log-probabilities, as in `call`), a float32 tensor of shape (B * W, V),
            and the new caches.
        """
        x = self._embed(self.target_embedding, ops.expand_dims(ids, 1))
        memory_caches, mask, *pointing = constants
        x, caches = self.decoder.step(x, position, caches, memory_caches, mask, grow=grow)
        if not pointing:
            return self._logits(x, None)[:, 0], caches
        # As in DecoderLayer.step, all hypotheses of a sentence attend to the same source.
        x = ops.reshape(x, (ops.shape(mask)[0], -1, self.config.d_model))
        logits = self._logits(x, self.pointer(x, *pointing, mask))
        return ops.reshape(logits, (-1, self.config.vocab_size)), caches

    def compute_output_shape(self, input_shape):
        """Returns the output shape (B, T, V)."""
        return (*input_shape[1], self.config.vocab_size)

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), **dataclasses.asdict(self.config)}
