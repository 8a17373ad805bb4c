"""Pretrained encoders with one interface: (ids, types) -> hidden states.

An encoder is our own `TextEncoder`, or a backbone of KerasHub wrapped as a `KerasHubEncoder`.
`load_encoder(name)` loads one from a run folder, a Hugging Face folder or repository, or a KerasHub
preset. `new_encoder` makes one with random weights.

Shapes: B batch, S length, D model width, V vocabulary.
"""

import dataclasses
import os
import pathlib
import tempfile

import keras
from keras import ops

from transformer.config import ConfigError
from transformer.generation.generator import Generator
from transformer.model.heads import TextModel
from transformer.model.layers import as_config
from transformer.model.transformer import Encoder
from transformer.pretrained.hugging_face import FAMILIES, read_folder_config, read_hugging_face
from transformer.pretrained.tokenizers import from_hugging_face, from_keras_hub
from transformer.text.encoder_inputs import from_run, load_text_inputs
from transformer.text.tokenizer import load_tokenizer, train_tokenizer

# The backbones of KerasHub that can be used. Other classes do not return one hidden state for each
# token, or see only the past.
BACKBONES = (
    "AlbertBackbone",
    "BertBackbone",
    "DebertaV3Backbone",
    "DistilBertBackbone",
    "ElectraBackbone",
    "RobertaBackbone",
    "XLMRobertaBackbone",
)
# The files to download from a Hugging Face repository, which may have the weights in three other
# formats too.
HUB_FILES = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model")


@keras.saving.register_keras_serializable("transformer")
class TextEncoder(keras.Model):
    """Our Encoder with its embeddings: (ids, types) -> hidden states.

    Args:
        config: `ModelConfig`, or its dictionary. Only the options of the source and the encoder
            matter.
        token_types: int, the number of token types (BERT's segments). Each has an embedding that is
            added to those of its tokens. 0 means that there is no such table.
        name: passed to `keras.Model`.
        dtype: passed to `keras.Model`.
        trainable: passed to `keras.Model`.

    Attributes:
        d_model: int, the model width D.
        vocab_size: int, the vocabulary V.
        pad_id: int, the id of padding.
        max_length: int, the largest number of positions. None means no limit.
        token_types: int, as above.
    """

    def __init__(self, config, token_types=0, name=None, dtype=None, trainable=True):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.config = config = as_config(config)
        self.d_model, self.vocab_size, self.token_types = (
            config.d_model,
            config.input_vocab_size,
            token_types,
        )
        self.pad_id = config.input_pad_id
        self.max_length = config.max_positions if config.positions == "learned" else None
        policy, scale = (
            self.dtype_policy,
            keras.initializers.RandomNormal(stddev=config.d_model**-0.5),
        )
        self.embedding = keras.layers.Embedding(
            self.vocab_size, self.d_model, scale, dtype=policy, name="embedding"
        )
        self.type_embedding = None
        if token_types:
            self.type_embedding = keras.layers.Embedding(
                token_types, self.d_model, scale, dtype=policy, name="token_types"
            )
        self.encoder = Encoder(
            config.d_model,
            config.num_heads,
            config.num_layers,
            config=config,
            dtype=policy,
            name="encoder",
        )

    def build(self, input_shape=None):
        """Builds the embeddings and the encoder. The input shape is not needed."""
        self.embedding.build((None, None))
        if self.type_embedding:
            self.type_embedding.build((None, None))
        self.encoder.build((None, None, self.d_model))
        self.built = True

    def call(self, inputs, training=False):
        """Computes the hidden states.

        Args:
            inputs: tuple `(ids, types)` of int32 tensors of shape (B, S). Without a table of token
                types, the types are ignored.
            training: bool, whether to apply dropout.

        Returns:
            float tensor of shape (B, S, D). The states of padding are meaningless.
        """
        ids, types = (ops.cast(x, "int32") for x in inputs)
        x = self.embedding(ids)
        if self.config.scale_embeddings:
            x = x * self.d_model**0.5
        if self.type_embedding:
            x = x + self.type_embedding(types)
        return self.encoder(
            x, ops.cast(ops.not_equal(ids, self.pad_id), "int32"), training=training
        )

    def compute_output_shape(self, input_shape):
        """Returns (B, S, D)."""
        return (*input_shape[0], self.d_model)

    def get_config(self):
        """Returns the constructor's arguments, the ModelConfig as a dictionary."""
        config = dataclasses.asdict(self.config)
        return {**super().get_config(), "config": config, "token_types": self.token_types}


@keras.saving.register_keras_serializable("transformer")
class KerasHubEncoder(keras.Model):
    """A backbone of KerasHub with our interface: (ids, types) -> hidden states.

    Args:
        backbone: a KerasHub `Backbone`, of a class in BACKBONES.
        pad_id: int, the id of padding, which is masked everywhere.
        exact_gelu: bool, whether to use exact GELU where the backbone uses the tanh approximation.
            Hugging Face's versions of BERT and its relatives were trained with exact GELU.
            KerasHub's classes use the approximation, as Google's original code did.
        **kwargs: passed to `keras.Model`.

    Attributes:
        d_model: int, the model width D.
        vocab_size: int, the vocabulary V.
        max_length: int, the largest number of positions. None means no limit.
        token_types: int, the number of token types. 0 means that types are ignored.
    """

    def __init__(self, backbone, pad_id=0, exact_gelu=False, **kwargs):
        super().__init__(**kwargs)
        self.backbone, self.pad_id, self.exact_gelu = backbone, pad_id, exact_gelu
        self.d_model, self.max_length = (
            backbone.hidden_dim,
            getattr(backbone, "max_sequence_length", None),
        )
        self.vocab_size = (
            backbone.vocab_size if hasattr(backbone, "vocab_size") else backbone.vocabulary_size
        )
        self.token_types = backbone.num_segments if "segment_ids" in backbone.input else 0
        for layer in backbone._flatten_layers():
            # The pooler is not on the way to the hidden states, so no gradient reaches it.
            if layer.name == "pooled_dense":
                layer.trainable = False
            if (
                exact_gelu
                and getattr(getattr(layer, "activation", None), "__name__", "")
                == "gelu_approximate"
            ):
                layer.activation = keras.activations.gelu

    def build(self, input_shape=None):
        """Marks the model as built, since the backbone already is."""
        self.built = True

    def call(self, inputs, training=False):
        """Computes the hidden states.

        Args:
            inputs: tuple `(ids, types)` of int32 tensors of shape (B, S).
            training: bool, whether to apply dropout.

        Returns:
            float tensor of shape (B, S, D). The states of padding are meaningless.
        """
        ids, types = (ops.cast(x, "int32") for x in inputs)
        inputs = {
            "token_ids": ids,
            "padding_mask": ops.cast(ops.not_equal(ids, self.pad_id), "int32"),
        }
        if self.token_types:
            inputs["segment_ids"] = types
        outputs = self.backbone(inputs, training=training)
        return outputs["sequence_output"] if isinstance(outputs, dict) else outputs

    def compute_output_shape(self, input_shape):
        """Returns (B, S, D)."""
        return (*input_shape[0], self.d_model)

    def get_config(self):
        """Returns the constructor's arguments, the backbone serialized."""
        backbone = keras.saving.serialize_keras_object(self.backbone)
        return {
            **super().get_config(),
            "backbone": backbone,
            "pad_id": self.pad_id,
            "exact_gelu": self.exact_gelu,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the encoder from the dictionary that `get_config` returned."""
        # This import registers the backbones.
        import keras_hub  # noqa: F401

        return cls(
            **{**config, "backbone": keras.saving.deserialize_keras_object(config["backbone"])}
        )


def load_encoder(pretrained, dropout=None):
    """Loads a pretrained encoder and the tokenizer that makes its inputs.

    `pretrained` is one of these:

    - A run folder of train.py. Its source embeddings, encoder and source tokenizer are used.
    - A folder that finetune.py or a pipeline's `save` wrote. Its fine-tuned encoder is used,
      without the head.
    - A folder that Hugging Face's `save_pretrained` wrote, or "hf://owner/name". BERT, RoBERTa,
      XLM-R, DistilBERT and ELECTRA become a `TextEncoder`, without PyTorch. ALBERT becomes a
      `KerasHubEncoder`.
    - A KerasHub preset: a folder, a name such as "bert_base_en", or "kaggle://...". It becomes a
      `KerasHubEncoder`.

    Args:
        pretrained: str or path, see above.
        dropout: float, the dropout rate of embeddings and blocks, and of every other place where
            the pretrained model has dropout. None keeps the pretrained model's own rates.

    Returns:
        A tuple `(encoder, tokenizer)`: a built `TextEncoder` or `KerasHubEncoder` in Keras's global
        dtype policy, and a `TextInputs`.

    Raises:
        ConfigError: the model does not exist, is incomplete, or is none of these, or the tokenizer
            has more tokens than the encoder has embeddings.
    """
    folder, hub = pathlib.Path(pretrained), str(pretrained).startswith("hf://")
    if hub:
        found = _from_hub(str(pretrained), dropout)
    elif not folder.is_dir():
        if "://" not in str(pretrained) and {"/", os.sep} & set(str(pretrained)):
            raise ConfigError(
                f"pretrained model not found. Received: {pretrained}. Use a run folder of "
                "train.py or finetune.py, a Hugging Face folder, hf://owner/name or a KerasHub "
                "preset."
            )
        found = _from_keras_hub(str(pretrained), dropout)
    else:
        found = _from_folder(folder, dropout)
    encoder, tokenizer = found
    if tokenizer.vocab_size > encoder.vocab_size:
        raise ConfigError(
            "the encoder must have an embedding for every token. Received: "
            f"{tokenizer.vocab_size} tokens, {encoder.vocab_size} embeddings in {pretrained}. "
            "Use the model's own tokenizer."
        )
    return encoder, tokenizer


def new_encoder(model, tokenizer, texts, max_length):
    """Makes an encoder with random weights, and its tokenizer.

    Args:
        model: `ModelConfig`. Its vocabulary is replaced by the tokenizer's.
        tokenizer: `TokenizerConfig`. If it names a tokenizer file, that file is loaded. Otherwise a
            tokenizer is trained on `texts`.
        texts: list of str.
        max_length: int, the longest input in tokens.

    Returns:
        A tuple `(encoder, tokenizer)`, as from `load_encoder`.

    Raises:
        ConfigError: the tokenizer cannot be loaded or trained, or `max_length` is more than the
            learned positions hold.
    """
    learnt = (
        load_tokenizer(tokenizer.source_tokenizer)
        if tokenizer.source_tokenizer
        else train_tokenizer(texts, tokenizer)
    )
    model = dataclasses.replace(
        model, vocab_size=learnt.vocab_size, source_vocab_size=0, pad_id=learnt.pad_id
    )
    model.check_lengths(max_length)
    encoder = TextEncoder(model, name="text_encoder")
    encoder.build()
    return encoder, from_run(learnt, encoder.max_length)


def load_text_model(folder):
    """Loads the model in a folder that finetune.py or a pipeline's `save` wrote.

    Args:
        folder: str or path.

    Returns:
        A tuple `(model, tokenizer)`: a `TextModel` and a `TextInputs`.

    Raises:
        ConfigError: a file is missing or broken.
    """
    folder = pathlib.Path(folder)
    try:
        model = keras.models.load_model(folder / "model.keras", safe_mode=True, compile=False)
        if not isinstance(model, TextModel):
            raise TypeError(f"model.keras holds a {type(model).__name__}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "cannot load the fine-tuned model, because a file is missing or broken. Received: "
            f"{folder} ({error}). Fine-tune it again."
        ) from None
    return model, load_text_inputs(folder / "tokenizer")


def renewed(encoder, dropout=None):
    """Returns a copy of an encoder in Keras's global dtype policy.

    LoRA is merged into the weights of the copy. Weights that were frozen for fine-tuning are
    trainable again.

    Args:
        encoder: `TextEncoder` or `KerasHubEncoder`. It is not changed.
        dropout: see `load_encoder`.

    Returns:
        A built encoder of the same class.
    """
    config = encoder.get_config()
    if isinstance(encoder, TextEncoder):
        config["config"] = dataclasses.asdict(with_dropout(encoder.config, dropout))
    else:
        backbone = config["backbone"]["config"]
        del backbone["dtype"]
        backbone |= {} if dropout is None else {"dropout": dropout}
    del config["dtype"]
    copy = type(encoder).from_config(config)
    copy.build()
    # Keras merges LoRA into the weights when it saves them.
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_weights(f"{folder}/encoder.weights.h5")
        copy.load_weights(f"{folder}/encoder.weights.h5")
    return copy


def _from_folder(folder, dropout):
    if (folder / "task.json").exists():
        model, tokenizer = load_text_model(folder)
        return renewed(model.encoder, dropout), tokenizer
    config = read_folder_config(folder)
    if config.get("model_type") in FAMILIES:
        return _from_hugging_face(folder, dropout)
    if {"model", "data"} <= set(config):
        return _from_run(folder, dropout)
    return _from_keras_hub(str(folder), dropout, exact_gelu=config.get("hidden_act") == "gelu")


def _from_hugging_face(folder, dropout):
    config, token_types, arrays = read_hugging_face(folder)
    encoder = _filled(config, token_types, arrays, dropout)
    return encoder, from_hugging_face(folder, encoder.pad_id, token_types > 1, encoder.max_length)


def _from_run(folder, dropout):
    generator = Generator.from_run(folder)
    model, whole = generator.model, generator.model.config
    # The encoder has only one vocabulary and one padding id, those of the source.
    config = dataclasses.replace(
        whole,
        vocab_size=whole.input_vocab_size,
        source_vocab_size=0,
        pad_id=whole.input_pad_id,
        source_pad_id=-1,
    )
    arrays = {variable.path.split("/", 1)[1]: variable for variable in model.encoder.weights}
    arrays["embedding/embeddings"] = model.source_embedding.embeddings
    encoder = _filled(config, 0, arrays, dropout)
    return encoder, from_run(generator.source_tokenizer, encoder.max_length, generator.lowercase)


def _from_hub(name, dropout):
    """Loads a repository of the Hugging Face Hub.

    Our own converter loads the families that it knows, and KerasHub loads the others.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    repository = name.removeprefix("hf://")
    try:
        config = read_folder_config(pathlib.Path(hf_hub_download(repository, "config.json")).parent)
        if config.get("model_type") in FAMILIES:
            folder = snapshot_download(repository, allow_patterns=list(HUB_FILES))
    except ConfigError:
        raise
    # A wrong name, no network and no permission raise different classes.
    except Exception as error:
        raise ConfigError(
            f"cannot download the model from the Hugging Face Hub. Received: {name} ({error}). "
            "Check the name and the network, or download the repository on another machine and "
            "use its folder."
        ) from None
    if config.get("model_type") in FAMILIES:
        return _from_hugging_face(pathlib.Path(folder), dropout)
    return _from_keras_hub(name, dropout, exact_gelu=config.get("hidden_act") == "gelu")


def _from_keras_hub(preset, dropout, exact_gelu=False):
    import keras_hub

    try:
        backbone = keras_hub.models.Backbone.from_preset(
            preset, **({} if dropout is None else {"dropout": dropout})
        )
        tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(preset)
    # A wrong name, no network and no permission raise different classes.
    except Exception as error:
        raise ConfigError(
            f"cannot load the model as a KerasHub preset. Received: {preset} ({error}). Check "
            "the name, and the network, which a preset such as bert_base_en needs the first "
            "time. Other choices are a run folder, a Hugging Face folder and hf://owner/name."
        ) from None
    name = type(backbone).__name__
    if name not in BACKBONES:
        raise ConfigError(
            f"a pretrained encoder must be one of {', '.join(BACKBONES)}. Received: {name}. Use "
            f"another preset."
        )
    encoder = KerasHubEncoder(backbone, tokenizer.pad_token_id, exact_gelu)
    encoder.build()
    return encoder, from_keras_hub(tokenizer, encoder.token_types > 1, encoder.max_length)


def _filled(config, token_types, arrays, dropout):
    """Returns a TextEncoder with the given weights.

    Args:
        config: `ModelConfig`.
        token_types: see `TextEncoder`.
        arrays: dict from a weight's path inside the encoder to its array.
        dropout: see `load_encoder`.
    """
    encoder = TextEncoder(with_dropout(config, dropout), token_types, name="text_encoder")
    encoder.build()
    for variable in encoder.weights:
        variable.assign(arrays[variable.path.split("/", 1)[1]])
    return encoder


def with_dropout(config, dropout):
    """Returns a ModelConfig with another dropout rate.

    Args:
        config: `ModelConfig`.
        dropout: float, the rate of embeddings and blocks. Attention weights and the feed-forward
            layer get it too if their rate is not 0. None returns `config` as it is.

    Returns:
        A `ModelConfig`.
    """
    if dropout is None:
        return config
    others = {
        name: dropout
        for name in ("attention_dropout", "activation_dropout")
        if getattr(config, name)
    }
    return dataclasses.replace(config, dropout=dropout, **others)
