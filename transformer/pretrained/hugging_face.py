"""Reads encoders of Hugging Face as our own, without PyTorch or transformers.

`read_hugging_face` turns a folder with config.json and model.safetensors into a ModelConfig, the
number of token types, and the arrays of the weights.

BERT (Devlin et al. 2019), RoBERTa (Liu et al. 2019), XLM-R (Conneau et al. 2020) and ELECTRA (Clark
et al. 2020) share one architecture and one set of names. DistilBERT (Sanh et al. 2019) has no token
types and uses other names.

Shapes: V vocabulary, D model width, F feed-forward width. Hugging Face's matrices are (out, in),
Keras's are (in, out).
"""

import contextlib
import json
import pathlib

import numpy as np

from transformer.config import ConfigError, ModelConfig

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "swish",
    "swish": "swish",
}

# For each field of ModelConfig, its name in config.json and Hugging Face's default. None means that
# the field is required.
_BERT_FIELDS = {
    "d_model": ("hidden_size", None),
    "num_heads": ("num_attention_heads", None),
    "num_layers": ("num_hidden_layers", None),
    "ffn_dim": ("intermediate_size", None),
    "vocab_size": ("vocab_size", None),
    "dropout": ("hidden_dropout_prob", 0.1),
    "attention_dropout": ("attention_probs_dropout_prob", 0.1),
    "activation": ("hidden_act", "gelu"),
    "norm_epsilon": ("layer_norm_eps", 1e-12),
    "max_positions": ("max_position_embeddings", 512),
}
_DISTILBERT_FIELDS = {
    "d_model": ("dim", None),
    "num_heads": ("n_heads", None),
    "num_layers": ("n_layers", None),
    "ffn_dim": ("hidden_dim", None),
    "vocab_size": ("vocab_size", None),
    "dropout": ("dropout", 0.1),
    "attention_dropout": ("attention_dropout", 0.1),
    "activation": ("activation", "gelu"),
    "norm_epsilon": ("", 1e-12),
    "max_positions": ("max_position_embeddings", 512),
}
# The names of the parts of a layer.
_BERT_NAMES = {
    "layer": "encoder.layer",
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "self_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}
_DISTILBERT_NAMES = {
    "layer": "transformer.layer",
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "output": "attention.out_lin",
    "self_norm": "sa_layer_norm",
    "inner": "ffn.lin1",
    "outer": "ffn.lin2",
    "feed_forward_norm": "output_layer_norm",
}
FAMILIES = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra"), (_BERT_FIELDS, _BERT_NAMES)),
    "distilbert": (_DISTILBERT_FIELDS, _DISTILBERT_NAMES),
}
# These models count positions from pad_id + 1, so the first pad_id + 1 rows of their table of
# positions are never used.
_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta")


def read_hugging_face(folder):
    """Reads an encoder of Hugging Face.

    Args:
        folder: str or path. It has config.json, and model.safetensors or
            model.safetensors.index.json with the files it names. Weights of heads are left out.

    Returns:
        A tuple `(config, token_types, arrays)`: the `ModelConfig`; the number of token types, 0 if
        there is no table of types; and a dict from the path of each weight of a `TextEncoder` to
        its float32 array.

    Raises:
        ConfigError: the architecture is not supported, a file is missing or broken, or a weight is
            missing or has another shape.
    """
    folder = pathlib.Path(folder)
    theirs = read_folder_config(folder)
    config = model_config(theirs)
    token_types = 0 if theirs["model_type"] == "distilbert" else theirs.get("type_vocab_size", 2)
    with contextlib.ExitStack() as stack:
        weights = _Weights(folder, stack)
        arrays = _embeddings(weights, config, token_types, _unused_positions(theirs))
        names = FAMILIES[theirs["model_type"]][1]
        for number in range(config.num_layers):
            arrays |= _layer(weights, config, names, number)
    return config, token_types, arrays


def read_folder_config(folder):
    """Reads the config.json of a folder.

    Args:
        folder: str or path.

    Returns:
        A dict.

    Raises:
        ConfigError: the file is missing, or is not a JSON object.
    """
    path = pathlib.Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"a pretrained model's folder must hold config.json. Received: {folder} ({error})."
        ) from None
    if not isinstance(config, dict):
        raise ConfigError(
            f"config.json must contain a JSON object. Received: {path} with "
            f"{type(config).__name__}."
        )
    return config


def model_config(theirs):
    """Converts a config.json of Hugging Face to a ModelConfig.

    Args:
        theirs: dict, the content of config.json.

    Returns:
        A `ModelConfig`.

    Raises:
        ConfigError: the architecture is not supported, or a field is missing or not a number.
    """
    kind = theirs.get("model_type")
    if kind not in FAMILIES:
        raise ConfigError(
            f"model_type must be one of {', '.join(FAMILIES)}. Received: {kind!r}. Use a model "
            "of one of these types."
        )
    fields = FAMILIES[kind][0]
    missing = [name for name, default in fields.values() if default is None and name not in theirs]
    if missing:
        raise ConfigError(
            f"config.json with model_type={kind!r} must have the fields {', '.join(missing)}. "
            f"Received: {', '.join(theirs)}. Download it again."
        )
    positions = theirs.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise ConfigError(
            f"position_embedding_type must be 'absolute'. Received: {positions!r}. Use another "
            "checkpoint."
        )
    if theirs.get("is_decoder"):
        raise ConfigError(
            "the model must be a bidirectional encoder. Received: is_decoder=true in "
            "config.json. Use another checkpoint."
        )
    if theirs.get("embedding_size", theirs.get("hidden_size")) != theirs.get("hidden_size"):
        raise ConfigError(
            "embedding_size must equal hidden_size. Received: "
            f"embedding_size={theirs['embedding_size']}, hidden_size={theirs['hidden_size']}. "
            "Use a larger or smaller version of the model, in which they are equal."
        )
    values = {ours: theirs.get(name, default) for ours, (name, default) in fields.items()}
    if values["activation"] not in ACTIVATIONS:
        name, wrong = fields["activation"][0], values["activation"]
        raise ConfigError(
            f"{name} must be one of {', '.join(ACTIVATIONS)}. Received: {wrong!r}. Use another "
            "checkpoint."
        )
    values["activation"] = ACTIVATIONS[values["activation"]]
    values["max_positions"] -= _unused_positions(theirs)
    try:
        return ModelConfig(
            **values,
            norm="post",
            embedding_norm=True,
            positions="learned",
            scale_embeddings=False,
            pad_id=_pad_id(theirs),
        )
    except TypeError as error:
        raise ConfigError(
            f"config.json must have numbers for sizes and rates. Received: {values} ({error}). "
            "Download it again."
        ) from None


def _pad_id(theirs):
    pad_id = theirs.get("pad_token_id")
    return int(theirs["model_type"] in _POSITIONS_AFTER_PADDING) if pad_id is None else pad_id


def _unused_positions(theirs):
    return _pad_id(theirs) + 1 if theirs["model_type"] in _POSITIONS_AFTER_PADDING else 0


class _Weights:
    """Reads the tensors of a folder one by one.

    Names are given without the encoder's prefix, which is "bert.", "roberta." or similar, or
    nothing.
    """

    def __init__(self, folder, stack):
        from safetensors import SafetensorError, safe_open

        self.folder, self.files = folder, {}
        for path in _safetensors(folder):
            try:
                file = stack.enter_context(safe_open(path, framework="numpy"))
            except (SafetensorError, OSError) as error:
                raise ConfigError(
                    f"weights must be a complete safetensors file. Received: {path} ({error}). "
                    "Download it again."
                ) from None
            self.files |= dict.fromkeys(file.keys(), file)
        ends = [name for name in self.files if name.endswith("embeddings.word_embeddings.weight")]
        if len(ends) != 1:
            raise ConfigError(
                "a checkpoint must contain exactly one tensor whose name ends in "
                f"embeddings.word_embeddings.weight. Received: {folder} with "
                f"{', '.join(ends) or 'none'}. Use another checkpoint."
            )
        self.prefix = ends[0].removesuffix("embeddings.word_embeddings.weight")

    def take(self, name, *shape):
        """Returns a tensor as a float32 array, after checking its shape."""
        name = self.prefix + name
        # Checkpoints converted from TensorFlow keep its names.
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        )
        found = name if name in self.files else old
        if found not in self.files:
            raise ConfigError(
                f"a checkpoint must contain all weights of its encoder. Received: {self.folder} "
                f"without {name}. Use another checkpoint."
            )
        array = np.asarray(self.files[found].get_tensor(found), "float32")
        if array.shape != shape:
            raise ConfigError(
                f"config.json and the weights must belong to the same model. Received: {found} "
                f"in {self.folder} has shape {array.shape}, but config.json needs {shape}. "
                "Download both from the same repository."
            )
        return array

    def linear(self, name, inputs, outputs):
        """Returns the kernel (in, out) and the bias (out,) of a Linear layer."""
        return self.take(f"{name}.weight", outputs, inputs).T, self.take(f"{name}.bias", outputs)


def _safetensors(folder):
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    if index.exists():
        try:
            names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"{index} must name the weights' files. Received: {error}. Download it again."
            ) from None
        return sorted({folder / pathlib.PurePath(name).name for name in names})
    others = [
        name
        for name in ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack")
        if (folder / name).exists()
    ]
    received = f"{folder} with {', '.join(others) or 'no weights'}"
    cure = (
        "Save it as safetensors: save_pretrained in transformers."
        if others
        else "Download it from the model's repository."
    )
    raise ConfigError(f"a pretrained encoder needs model.safetensors. Received: {received}. {cure}")


def _embeddings(weights, config, token_types, unused):
    width = config.d_model
    positions = weights.take(
        "embeddings.position_embeddings.weight", config.max_positions + unused, width
    )
    arrays = {
        "embedding/embeddings": weights.take(
            "embeddings.word_embeddings.weight", config.vocab_size, width
        ),
        "encoder/positions/table/embeddings": positions[unused:],
        **_norm(weights, "embeddings.LayerNorm", "encoder/embedding_norm", width),
    }
    if token_types:
        arrays["token_types/embeddings"] = weights.take(
            "embeddings.token_type_embeddings.weight", token_types, width
        )
    return arrays


def _layer(weights, config, names, number):
    theirs, ours = f"{names['layer']}.{number}", f"encoder/layer_{number}"
    width, inner = config.d_model, config.inner_dim
    parts = [
        weights.linear(f"{theirs}.{names[part]}", width, width)
        for part in ("query", "key", "value")
    ]
    dense = {
        "self_attention/query_key_value": [np.concatenate(pair, -1) for pair in zip(*parts)],
        "self_attention/output": weights.linear(f"{theirs}.{names['output']}", width, width),
        "feed_forward/inner": weights.linear(f"{theirs}.{names['inner']}", width, inner),
        "feed_forward/outer": weights.linear(f"{theirs}.{names['outer']}", inner, width),
    }
    arrays = {
        f"{ours}/{name}/{part}": array
        for name, pair in dense.items()
        for part, array in zip(("kernel", "bias"), pair)
    }
    for block in ("self", "feed_forward"):
        arrays |= _norm(
            weights, f"{theirs}.{names[f'{block}_norm']}", f"{ours}/{block}_residual/norm", width
        )
    return arrays


def _norm(weights, theirs, ours, width):
    return {
        f"{ours}/gamma": weights.take(f"{theirs}.weight", width),
        f"{ours}/beta": weights.take(f"{theirs}.bias", width),
    }
