"""ModelConfig: the wrong value is refused with the rule, what was received and the cure; presets are the paper's."""

import dataclasses
import json

import pytest

from transformer.config import PRESETS, ConfigError, DecodingConfig, ModelConfig, TokenizerConfig, TrainingConfig, from_json

MESSAGES = [
    (ModelConfig, dict(d_model=500, num_heads=8),
     "num_heads must divide d_model. Received: d_model=500, num_heads=8. Use one of 1, 2, 4, 5, 10, 20, 25."),
    (ModelConfig, dict(d_model=12, num_heads=4, positions="rotary"),
     "positions='rotary' needs an even width per head. Received: d_model=12, num_heads=4, width 3. "
     "Use another num_heads, or positions='sinusoidal'."),
    (ModelConfig, dict(d_model=15, num_heads=3),
     "positions='sinusoidal' needs an even d_model. Received: d_model=15. Use an even width."),
    (ModelConfig, dict(vocab_size=100, source_vocab_size=90),
     "tie_embeddings needs one vocabulary for source and target. Received: source_vocab_size=90, vocab_size=100. "
     "Use tie_embeddings=False."),
    (ModelConfig, dict(pointer_generator=True, tie_embeddings=False),
     "pointer_generator needs one vocabulary, and one table, for source and target. Received: tie_embeddings=False. "
     "Leave out one of them."),
    (ModelConfig, dict(norm="middle"), "norm must be one of 'pre', 'post'. Received: 'middle'."),
    (ModelConfig, dict(norm_type="batch"), "norm_type must be one of 'layer', 'rms'. Received: 'batch'."),
    (ModelConfig, dict(activation="tanh"),
     "activation must be one of 'relu', 'gelu', 'gelu_tanh', 'swish'. Received: 'tanh'."),
    (ModelConfig, dict(positions="none"),
     "positions must be one of 'sinusoidal', 'learned', 'rotary'. Received: 'none'."),
    (ModelConfig, dict(num_heads=0), "num_heads must be at least 1. Received: 0."),
    (ModelConfig, dict(d_model=-8), "d_model must be at least 1. Received: -8."),
    (ModelConfig, dict(num_layers=0), "num_layers must be at least 1. Received: 0."),
    (ModelConfig, dict(vocab_size=3), "vocab_size must be at least 4. Received: 3."),
    (ModelConfig, dict(dropout=1.0), "dropout must be at most 0.99. Received: 1.0."),
    (ModelConfig, dict(attention_dropout=-0.1), "attention_dropout must be at least 0.0. Received: -0.1."),
    (TrainingConfig, dict(average_checkpoints=9, keep_checkpoints=5),
     "average_checkpoints must not exceed keep_checkpoints. Received: average_checkpoints=9, keep_checkpoints=5. "
     "Use --keep_checkpoints=9."),
    (TrainingConfig, dict(weight_decay=0.1), "weight_decay needs optimizer='adamw'. "
     "Received: optimizer='adam', weight_decay=0.1. Use --weight_decay=0 or --optimizer=adamw."),
    (TokenizerConfig, dict(vocab_size=7), "vocab_size must be at least 8. Received: 7."),
    (TokenizerConfig, dict(tokenizer="byte", subword_samples=2),
     "subword_samples needs --tokenizer=unigram or bpe. Received: 'byte', which has one way to split a text. Leave it out."),
    (DecodingConfig, dict(n_best=4, beam_size=2),
     "n_best must not exceed beam_size. Received: n_best=4, beam_size=2. Use --beam_size=4."),
]


@pytest.mark.parametrize("config, options, message", MESSAGES, ids=[message[:40] for _, _, message in MESSAGES])
def test_a_wrong_value_is_refused_with_rule_value_and_cure(config, options, message):
    with pytest.raises(ConfigError) as error:
        config(**options)
    assert str(error.value) == message
    assert isinstance(error.value, ValueError)


def test_options_come_back_from_json():
    config = TokenizerConfig(user_symbols=("<a>", "<b>"))
    saved = json.loads(json.dumps(dataclasses.asdict(config)))
    assert from_json(TokenizerConfig, saved) == config
    with pytest.raises(ConfigError, match="must be of this version. Received: merges, old. Make it again"):
        from_json(TokenizerConfig, saved | {"old": 1, "merges": 2})


def test_the_model_and_its_stacks_refuse_before_any_layer_is_made():
    from transformer.model import Decoder, Encoder, Transformer

    message = r"num_heads must divide d_model\. Received: d_model=10, num_heads=4\. Use one of 1, 2, 5, 10\."
    for make in (Encoder, Decoder):
        with pytest.raises(ConfigError, match=message):
            make(10, 4, 1)
    with pytest.raises(ConfigError, match=message):
        Transformer(10, 4, 1, 23)


@pytest.mark.parametrize("options", [
    dict(d_model=15, num_heads=3, positions="learned"),
    dict(d_model=12, num_heads=3, positions="rotary"),
    dict(vocab_size=100, source_vocab_size=90, tie_embeddings=False),
    dict(vocab_size=100, source_vocab_size=100),
    dict(dropout=0.0), dict(dropout=0.99),
])
def test_what_the_rules_allow_is_allowed(options):
    ModelConfig(**options)


def test_derived_sizes():
    config = ModelConfig(d_model=64, num_heads=2, vocab_size=100)
    assert (config.inner_dim, config.input_vocab_size) == (256, 100)
    config = dataclasses.replace(config, ffn_dim=99, source_vocab_size=90, tie_embeddings=False)
    assert (config.inner_dim, config.input_vocab_size) == (99, 90)


def test_a_config_cannot_be_changed_and_is_checked_again_when_replaced():
    config = ModelConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 7
    with pytest.raises(ConfigError, match="num_heads must divide d_model"):
        dataclasses.replace(config, num_heads=3)
    assert ModelConfig(**dataclasses.asdict(config)) == config


def test_the_defaults_are_the_model_of_vaswani_et_al():
    config = ModelConfig()
    assert (config.norm, config.norm_type, config.activation, config.gated) == ("post", "layer", "relu", False)
    assert (config.positions, config.tie_embeddings, config.tie_output) == ("sinusoidal", True, True)
    assert (config.scale_embeddings, config.dropout, config.pad_id) == (True, 0.1, 0)


def test_learned_positions_must_hold_what_will_come():
    ModelConfig(positions="learned", max_positions=9).check_lengths(3, 9)
    ModelConfig(max_positions=9).check_lengths(10)
    with pytest.raises(ConfigError, match="max_positions=9, a length of 10. Use --max_positions=10 or more"):
        ModelConfig(positions="learned", max_positions=9).check_lengths(3, 10)


def test_min_length_is_less_than_max_length():
    with pytest.raises(ConfigError, match="min_length=5, max_length=5"):
        DecodingConfig(min_length=5, max_length=5)


def test_presets():
    """base and big: Vaswani et al. 2017, table 3."""
    sizes = {name: [ModelConfig(**preset).d_model, ModelConfig(**preset).inner_dim, preset["num_heads"],
                    preset["num_layers"]] for name, preset in PRESETS.items()}
    assert sizes == {"tiny": [128, 256, 4, 2], "small": [256, 1024, 4, 3],
                     "base": [512, 2048, 8, 6], "big": [1024, 4096, 16, 6]}
    assert [ModelConfig(**PRESETS[name]).dropout for name in ("base", "big")] == [0.1, 0.3]


def test_the_best_weights_are_judged_by_a_metric_of_the_task():
    assert TrainingConfig().judged_by(["rougeL", "loss"], "summarization").keep_best_metric == "rougeL"
    assert TrainingConfig(keep_best_metric="loss").judged_by(["rougeL", "loss"], "summarization").keep_best_metric == "loss"
    with pytest.raises(ConfigError, match="must be one of rougeL, loss for task='summarization'. Received: 'bleu'"):
        TrainingConfig(keep_best_metric="bleu").judged_by(["rougeL", "loss"], "summarization")
