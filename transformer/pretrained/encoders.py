"""Pretrained encoders, all called alike: (ids, types) -> hidden states. Ours, or one of KerasHub's
in the same coat.

`load_encoder(name)` makes one of a run folder, a Hugging Face folder or repository, or a KerasHub
preset.

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

# KerasHub's encoders: a backbone of another class does not map a text to one state a token, or sees
# the past alone.
BACKBONES = (
    "AlbertBackbone",
    "BertBackbone",
    "DebertaV3Backbone",
    "DistilBertBackbone",
    "ElectraBackbone",
    "RobertaBackbone",
    "XLMRobertaBackbone",
)
# What is wanted of a Hugging Face repository: it may hold the weights in three formats more.
HUB_FILES = ("*.json", "*.safetensors", "vocab.txt", "merges.txt", "*.model")


@keras.saving.register_keras_serializable("transformer")
class TextEncoder(keras.Model):
    """Our Encoder with its embeddings: (ids, types) -> hidden states.

    Args:
        config: a ModelConfig, or its dictionary: the source side of it counts, decoder and output
            do not.
        token_types: rows of the table of token types (BERT's segments), which is added to the
            embeddings; 0: no table.

    Attributes:
        d_model: D. vocab_size: V. pad_id: id of padding. max_length: most positions, or None.
        token_types: as above.
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
        self.embedding.build((None, None))
        if self.type_embedding:
            self.type_embedding.build((None, None))
        self.encoder.build((None, None, self.d_model))
        self.built = True

    def call(self, inputs, training=False):
        """Hidden states (B, S, D) of (ids, types), int32 (B, S) each; those of padding mean
        nothing.

        Without a table of types the types are not looked at.
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
        return (*input_shape[0], self.d_model)

    def get_config(self):
        config = dataclasses.asdict(self.config)
        return {**super().get_config(), "config": config, "token_types": self.token_types}


@keras.saving.register_keras_serializable("transformer")
class KerasHubEncoder(keras.Model):
    """An encoder of KerasHub, called as ours: (ids, types) -> hidden states.

    Args:
        backbone: a keras_hub Backbone, one of BACKBONES.
        pad_id: id of padding, masked everywhere.
        exact_gelu: use gelu where the backbone has its tanh approximation. Hugging Face trained
            BERT's kin with the exact one; KerasHub's classes have the other, as Google's program
            had.

    Attributes: as TextEncoder's.
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
            if (
                layer.name == "pooled_dense"
            ):  # is not on the way to the hidden states: no gradient reaches it
                layer.trainable = False
            if (
                exact_gelu
                and getattr(getattr(layer, "activation", None), "__name__", "")
                == "gelu_approximate"
            ):
                layer.activation = keras.activations.gelu

    def build(self, input_shape=None):
        self.built = True

    def call(self, inputs, training=False):
        """Hidden states (B, S, D) of (ids, types), int32 (B, S) each; those of padding mean
        nothing."""
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
        return (*input_shape[0], self.d_model)

    def get_config(self):
        backbone = keras.saving.serialize_keras_object(self.backbone)
        return {
            **super().get_config(),
            "backbone": backbone,
            "pad_id": self.pad_id,
            "exact_gelu": self.exact_gelu,
        }

    @classmethod
    def from_config(cls, config):
        import keras_hub  # noqa: F401  registers the backbones

        return cls(
            **{**config, "backbone": keras.saving.deserialize_keras_object(config["backbone"])}
        )


def load_encoder(pretrained, dropout=None):
    """A pretrained encoder and the tokenizer that makes its inputs.

    Args:
        pretrained: one of
            a run folder of train.py: its source embeddings and encoder, its source tokenizer;
            a folder that finetune.py or a pipeline's `save` wrote: its encoder as it was learnt,
                without the head;
            a folder that Hugging Face's `save_pretrained` wrote, or "hf://owner/name": BERT,
                RoBERTa, XLM-R, DistilBERT and
            ELECTRA become a TextEncoder, without PyTorch; ALBERT a KerasHubEncoder;
            a KerasHub preset: a folder, a name such as "bert_base_en", "kaggle://...": a
                KerasHubEncoder.
        dropout: the rate that replaces the pretrained model's own, on embeddings, blocks, and
            wherever it has any.

    Returns:
        encoder: a built TextEncoder or KerasHubEncoder, in Keras's global dtype policy.
        tokenizer: a transformer.text.encoder_inputs.TextInputs.

    Raises:
        ConfigError: there is no such model, it is not whole, or is none of these.
    """
    folder, hub = pathlib.Path(pretrained), str(pretrained).startswith("hf://")
    if hub:
        found = _from_hub(str(pretrained), dropout)
    elif not folder.is_dir():
        if "://" not in str(pretrained) and {"/", os.sep} & set(str(pretrained)):
            raise ConfigError(
                f"a pretrained model must be a folder or a preset's name. Received: {pretrained}, "
                f"which is not "
                "there. Name a run of train.py, a Hugging Face folder, hf://owner/name or a "
                "KerasHub preset."
            )
        found = _from_keras_hub(str(pretrained), dropout)
    else:
        found = _from_folder(folder, dropout)
    encoder, tokenizer = found
    if tokenizer.vocab_size > encoder.vocab_size:
        raise ConfigError(
            "a tokenizer must not have more tokens than the encoder has embeddings. Received: "
            f"{tokenizer.vocab_size} and {encoder.vocab_size} of {pretrained}. Use the model's "
            f"own "
            f"tokenizer."
        )
    return encoder, tokenizer


def new_encoder(model, tokenizer, texts, max_length):
    """An encoder from nothing, and its tokenizer, learnt from texts.

    Args:
        model: ModelConfig; its vocabulary is the tokenizer's.
        tokenizer: TokenizerConfig.
        texts: list of str.
        max_length: longest input in tokens.

    Returns:
        As load_encoder.
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
    """The TextModel and the TextInputs in a folder that finetune.py or a pipeline's `save` wrote.

    Raises:
        ConfigError: it is not whole.
    """
    folder = pathlib.Path(folder)
    try:
        model = keras.models.load_model(folder / "model.keras", safe_mode=True, compile=False)
        if not isinstance(model, TextModel):
            raise TypeError(f"model.keras holds a {type(model).__name__}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"a fine-tuned model's folder must be whole. Received: {folder} ({error}). Run it "
            f"again."
        ) from None
    return model, load_text_inputs(folder / "tokenizer")


def renewed(encoder, dropout=None):
    """A copy of a TextEncoder or KerasHubEncoder in Keras's global dtype policy, all of it
    trainable, low-rank changes merged.

    Args:
        dropout: as for load_encoder.
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
    with tempfile.TemporaryDirectory() as folder:  # Keras merges the changes where it writes them
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
    # The source's vocabulary and padding are the encoder's only ones.
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
    """A repository of the Hugging Face Hub: downloaded and converted by us where we can, else by
    KerasHub."""
    from huggingface_hub import hf_hub_download, snapshot_download

    repository = name.removeprefix("hf://")
    try:
        config = read_folder_config(pathlib.Path(hf_hub_download(repository, "config.json")).parent)
        if config.get("model_type") in FAMILIES:
            folder = snapshot_download(repository, allow_patterns=list(HUB_FILES))
    except ConfigError:
        raise
    except (
        Exception
    ) as error:  # a wrong name, no network, no permission: each has classes of its own
        raise ConfigError(
            f"hf://owner/name must be a repository of the Hugging Face Hub that can be reached. "
            f"Received: {name} ({error}). "
            "Check the name and the network, or download it elsewhere and give the folder."
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
    except (
        Exception
    ) as error:  # a wrong name, no network, no permission: each has classes of its own
        raise ConfigError(
            "a pretrained model must be a run of train.py, a Hugging Face folder, "
            "hf://owner/name, "
            "or a KerasHub preset such "
            f"as bert_base_en, which needs the network once. Received: {preset} ({error}). Check "
            f"the name and the network."
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
    """The TextEncoder of a configuration with these weights: {path: array}; `dropout`: see
    load_encoder."""
    encoder = TextEncoder(with_dropout(config, dropout), token_types, name="text_encoder")
    encoder.build()
    for variable in encoder.weights:
        variable.assign(arrays[variable.path.split("/", 1)[1]])
    return encoder


def with_dropout(config, dropout):
    """The ModelConfig with another rate wherever it has any, and on embeddings and blocks in any
    case; None: as it is."""
    if dropout is None:
        return config
    others = {
        name: dropout
        for name in ("attention_dropout", "activation_dropout")
        if getattr(config, name)
    }
    return dataclasses.replace(config, dropout=dropout, **others)
