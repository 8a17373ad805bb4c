"""Converted encoders have the hidden states of Hugging Face's own, on PyTorch; what cannot be
converted is refused."""

import dataclasses
import json
import os

import numpy as np
import pytest
from keras import ops
from safetensors.numpy import load_file, save_file

from transformer.config import ConfigError
from transformer.pretrained.encoders import TextEncoder
from transformer.pretrained.hugging_face import model_config, read_hugging_face

BERT = dict(
    vocab_size=60,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=24,
)
DISTILBERT = dict(
    vocab_size=60, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=24
)
ELECTRA = dict(**BERT, embedding_size=32)
MODELS = {
    "bert": ("Bert", "Model", BERT),
    "bert_with_a_head": ("Bert", "ForMaskedLM", BERT),
    "bert_of_other_choices": (
        "Bert",
        "Model",
        dict(BERT, hidden_act="gelu_new", layer_norm_eps=1e-3, type_vocab_size=3),
    ),
    "roberta": ("Roberta", "Model", dict(BERT, type_vocab_size=1)),
    "roberta_with_a_head": (
        "Roberta",
        "ForSequenceClassification",
        dict(BERT, type_vocab_size=1, pad_token_id=3),
    ),
    "xlm_roberta": ("XLMRoberta", "Model", dict(BERT, type_vocab_size=1)),
    "distilbert": ("DistilBert", "Model", DISTILBERT),
    "distilbert_with_a_head": (
        "DistilBert",
        "ForQuestionAnswering",
        dict(DISTILBERT, activation="relu"),
    ),
    "electra": ("Electra", "Model", ELECTRA),
    "electra_with_a_head": ("Electra", "ForPreTraining", ELECTRA),
}


def hugging_face(folder, family="Bert", kind="Model", options=None, **saving):
    """Saves a model of random weights; the test is skipped where PyTorch is missing. Norms and
    biases are random too."""
    torch = pytest.importorskip(
        "torch", reason="PyTorch is what it is compared with (the test extra brings it)"
    )
    transformers = pytest.importorskip(
        "transformers", reason="it is compared with transformers (the test extra brings it)"
    )
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**(options or BERT))
    model = getattr(transformers, f"{family}{kind}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape) * 0.2
    model.save_pretrained(folder, **saving)
    return model


def converted(folder):
    config, token_types, arrays = read_hugging_face(folder)
    encoder = TextEncoder(config, token_types)
    encoder.build()
    assert {variable.path.split("/", 1)[1] for variable in encoder.weights} == set(arrays)
    for variable in encoder.weights:
        variable.assign(arrays[variable.path.split("/", 1)[1]])
    return encoder


def batch(pad_id, types, seed=0):
    """ids and types int32 (3, 20), rows of 20, 13 and 1 tokens."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, 60, (3, 20)).astype("int32")
    ids[1, 13:] = ids[2, 1:] = pad_id
    return ids, (rng.integers(0, max(types, 1), (3, 20)) * (ids != pad_id)).astype("int32")


def compare(model, encoder, atol=1e-4):
    """Hidden states of both, at real tokens."""
    import torch

    ids, types = batch(encoder.pad_id, encoder.token_types)
    mask = ids != encoder.pad_id
    inputs = dict(
        input_ids=ids,
        attention_mask=mask,
        **({"token_type_ids": types} if encoder.token_types else {}),
    )
    with torch.no_grad():
        theirs = model.base_model(
            **{name: torch.tensor(x).long() for name, x in inputs.items()}
        ).last_hidden_state.numpy()
    ours = ops.convert_to_numpy(encoder((ops.convert_to_tensor(ids), ops.convert_to_tensor(types))))
    np.testing.assert_allclose(ours[mask], theirs[mask], atol=atol)
    assert np.abs(theirs[mask]).max() > 1


@pytest.mark.slow
@pytest.mark.parametrize("family, kind, options", MODELS.values(), ids=MODELS)
def test_hidden_states_are_those_of_pytorch(family, kind, options, tmp_path):
    model = hugging_face(tmp_path, family, kind, options)
    encoder = converted(tmp_path)
    compare(model, encoder)
    assert encoder.pad_id == model.config.pad_token_id
    assert encoder.max_length == 24 - (
        model.config.pad_token_id + 1 if "Roberta" in type(model).__name__ else 0
    )


@pytest.mark.slow
def test_weights_in_several_files(tmp_path):
    model = hugging_face(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    compare(model, converted(tmp_path))


@pytest.mark.slow
def test_weights_in_bfloat16(tmp_path):
    import torch

    model = hugging_face(tmp_path)
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    compare(model.to(torch.float32), converted(tmp_path))


def test_the_names_of_old_checkpoints(tmp_path):
    model = hugging_face(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    for new, old in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
        arrays = {name.replace(new, old): x for name, x in arrays.items()}
    assert "embeddings.LayerNorm.gamma" in arrays
    save_file(
        {f"bert.{name}": x for name, x in arrays.items() if "pooler" not in name},
        tmp_path / "model.safetensors",
    )
    compare(model, converted(tmp_path))


CONFIG = dict(BERT, model_type="bert")


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            dict(model_type="gpt2"),
            "model_type must be one of bert, roberta, xlm-roberta, electra, distilbert. Received: "
            "'gpt2'.",
        ),
        (dict(model_type=None), "model_type must be one of .* Received: None"),
        (
            dict(position_embedding_type="relative_key"),
            "position_embedding_type must be 'absolute'. Received: 'relative_key'.",
        ),
        (dict(model_type="electra", embedding_size=16), "embedding_size=16, hidden_size=32"),
        (dict(hidden_act="tanh"), "hidden_act must be one of gelu, .* Received: 'tanh'"),
        (
            dict(num_attention_heads=5),
            "num_heads must divide d_model. Received: d_model=32, num_heads=5.",
        ),
        (dict(is_decoder=True), "must be a bidirectional encoder. Received: is_decoder=true"),
        (
            dict(model_type="distilbert"),
            "config.json with model_type='distilbert' must have the fields dim, n_heads, n_layers, "
            "hidden_dim.",
        ),
    ],
)
def test_another_architecture_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        model_config({**CONFIG, **changes})


def test_what_config_json_leaves_out_is_what_hugging_face_takes_it_for():
    config = model_config({key: CONFIG[key] for key in CONFIG if key != "max_position_embeddings"})
    assert (config.norm_epsilon, config.activation, config.dropout, config.max_positions) == (
        1e-12,
        "gelu",
        0.1,
        512,
    )
    assert (config.norm, config.embedding_norm, config.scale_embeddings, config.pad_id) == (
        "post",
        True,
        False,
        0,
    )
    roberta = model_config({**CONFIG, "model_type": "roberta"})
    assert dataclasses.replace(roberta, pad_id=0, max_positions=24) == model_config(CONFIG)
    assert (roberta.pad_id, roberta.max_positions) == (1, 22)


@pytest.mark.parametrize(
    "theirs, ours",
    [
        ("gelu", "gelu"),
        ("gelu_new", "gelu_tanh"),
        ("gelu_fast", "gelu_tanh"),
        ("gelu_pytorch_tanh", "gelu_tanh"),
        ("relu", "relu"),
        ("silu", "swish"),
        ("swish", "swish"),
    ],
)
def test_activations(theirs, ours):
    assert model_config({**CONFIG, "hidden_act": theirs}).activation == ours
    distilbert = {**DISTILBERT, "model_type": "distilbert", "activation": theirs}
    assert model_config(distilbert).activation == ours


def test_rates_and_sizes_stand_where_they_belong():
    rates = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3, layer_norm_eps=1e-6)
    config = model_config({**CONFIG, **rates, "pad_token_id": 4})
    assert (config.dropout, config.attention_dropout, config.norm_epsilon) == (0.2, 0.3, 1e-6)
    assert (config.d_model, config.ffn_dim, config.num_heads, config.num_layers) == (32, 48, 4, 2)
    assert (config.vocab_size, config.max_positions, config.pad_id) == (60, 24, 4)
    assert model_config(CONFIG).attention_dropout == 0.1
    theirs = {**DISTILBERT, "model_type": "distilbert"}
    config = model_config({**theirs, "dropout": 0.2, "attention_dropout": 0.3})
    assert (config.dropout, config.attention_dropout, config.norm_epsilon) == (0.2, 0.3, 1e-12)
    assert (config.d_model, config.ffn_dim, config.num_heads, config.num_layers) == (32, 48, 4, 2)
    del theirs["max_position_embeddings"]
    config = model_config(theirs)
    assert (config.dropout, config.attention_dropout, config.max_positions) == (0.1, 0.1, 512)
    assert (config.activation, config.pad_id) == ("gelu", 0)


@pytest.mark.parametrize(
    "kind, pad, positions",
    [
        ("roberta", None, 22),
        ("roberta", 0, 23),
        ("roberta", 3, 20),
        ("xlm-roberta", None, 22),
        ("electra", 3, 24),
        ("bert", 3, 24),
    ],
)
def test_positions_that_padding_leaves(kind, pad, positions):
    given = {} if pad is None else {"pad_token_id": pad}
    config = model_config({**CONFIG, "model_type": kind, **given})
    assert (config.max_positions, config.pad_id) == (positions, 1 if pad is None else pad)


def test_what_is_said_without_need_is_no_reason_to_refuse():
    same = {
        **CONFIG,
        "is_decoder": False,
        "embedding_size": 32,
        "position_embedding_type": "absolute",
    }
    assert model_config(same) == model_config(CONFIG)
    with pytest.raises(ConfigError, match="must have numbers for sizes and rates"):
        model_config({**CONFIG, "hidden_size": "32"})


def fake(folder, **changes):
    """A folder as Hugging Face's, without PyTorch: one layer, zeros."""
    sizes = dict(
        vocab_size=7, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6
    )
    sizes["max_position_embeddings"] = 5
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **sizes}))
    layer = "encoder.layer.0."
    square = [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    ]
    shapes = {
        "embeddings.word_embeddings.weight": (7, 4),
        "embeddings.position_embeddings.weight": (5, 4),
        "embeddings.token_type_embeddings.weight": (2, 4),
        **{f"{layer}{name}.weight": (4, 4) for name in square},
        **{f"{layer}{name}.bias": (4,) for name in square},
        f"{layer}intermediate.dense.weight": (6, 4),
        f"{layer}intermediate.dense.bias": (6,),
        f"{layer}output.dense.weight": (4, 6),
        f"{layer}output.dense.bias": (4,),
        **{
            f"{name}.LayerNorm.{part}": (4,)
            for name in ("embeddings", f"{layer}attention.output", f"{layer}output")
            for part in ("weight", "bias")
        },
    }
    save_file(
        {k: np.zeros(v, "float32") for k, v in {**shapes, **changes}.items() if v},
        folder / "model.safetensors",
    )


def test_a_missing_or_misshapen_weight_is_named(tmp_path):
    fake(tmp_path)
    assert read_hugging_face(tmp_path)[2]["embedding/embeddings"].shape == (7, 4)
    fake(tmp_path, **{"embeddings.position_embeddings.weight": (6, 4)})
    with pytest.raises(
        ConfigError,
        match=r"embeddings.position_embeddings.weight in .* has shape \(6, 4\), "
        r"but config.json needs \(5, 4\)",
    ):
        read_hugging_face(tmp_path)
    fake(tmp_path, **{"encoder.layer.0.output.dense.bias": None})
    with pytest.raises(ConfigError, match="without encoder.layer.0.output.dense.bias"):
        read_hugging_face(tmp_path)
    fake(tmp_path, **{"other.embeddings.word_embeddings.weight": (7, 4)})
    with pytest.raises(ConfigError, match="must contain exactly one tensor whose name ends in"):
        read_hugging_face(tmp_path)


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(ConfigError, match="must hold config.json"):
        read_hugging_face(tmp_path)
    fake(tmp_path)
    file = tmp_path / "model.safetensors"
    os.truncate(file, file.stat().st_size - 9)
    with pytest.raises(ConfigError, match="must be a complete safetensors file"):
        read_hugging_face(tmp_path)
    file.unlink()
    with pytest.raises(ConfigError, match="needs model.safetensors. Received: .* with no weights"):
        read_hugging_face(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match="pytorch_model.bin. Save it as safetensors"):
        read_hugging_face(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ConfigError, match="must contain a JSON object"):
        read_hugging_face(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="must hold config.json"):
        read_hugging_face(tmp_path)


@pytest.mark.parametrize("index", ["{", "{}", '{"weight_map": 1}'])
def test_an_index_that_names_no_files(index, tmp_path):
    fake(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ConfigError, match="must name the weights' files"):
        read_hugging_face(tmp_path)
    missing = {"weight_map": {"a": "../part.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(missing))
    with pytest.raises(
        ConfigError, match="must be a complete safetensors file. Received: .*part.safetensors"
    ):
        read_hugging_face(tmp_path)


def test_weights_stand_where_they_belong(tmp_path):
    """Each has numbers of its own; a kernel is a matrix of Hugging Face's, turned over."""
    fake(tmp_path)
    rng = np.random.default_rng(0)
    theirs = {
        name: rng.normal(size=array.shape).astype("float32")
        for name, array in load_file(tmp_path / "model.safetensors").items()
    }
    save_file(theirs, tmp_path / "model.safetensors")
    config, token_types, ours = read_hugging_face(tmp_path)
    assert token_types == 2
    at = "encoder.layer.0."
    parts = [f"{at}attention.self.{name}" for name in ("query", "key", "value")]
    expected = {
        "embedding/embeddings": theirs["embeddings.word_embeddings.weight"],
        "encoder/positions/table/embeddings": theirs["embeddings.position_embeddings.weight"],
        "token_types/embeddings": theirs["embeddings.token_type_embeddings.weight"],
    }
    block = "encoder/layer_0/"
    both = f"{block}self_attention/query_key_value"
    expected[f"{both}/kernel"] = np.hstack([theirs[f"{part}.weight"].T for part in parts])
    expected[f"{both}/bias"] = np.hstack([theirs[f"{part}.bias"] for part in parts])
    for mine, name in (
        ("self_attention/output", "attention.output.dense"),
        ("feed_forward/inner", "intermediate.dense"),
        ("feed_forward/outer", "output.dense"),
    ):
        expected[f"{block}{mine}/kernel"] = theirs[f"{at}{name}.weight"].T
        expected[f"{block}{mine}/bias"] = theirs[f"{at}{name}.bias"]
    for mine, name in (
        ("encoder/embedding_norm", "embeddings"),
        (f"{block}self_residual/norm", f"{at}attention.output"),
        (f"{block}feed_forward_residual/norm", f"{at}output"),
    ):
        expected[f"{mine}/gamma"] = theirs[f"{name}.LayerNorm.weight"]
        expected[f"{mine}/beta"] = theirs[f"{name}.LayerNorm.bias"]
    assert set(expected) == set(ours)
    for name, array in expected.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)
