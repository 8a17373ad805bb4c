"""ModelConfig: the wrong value is refused with the rule, what was received and the cure; presets
are the paper's."""

import dataclasses
import json

import pytest

from data.config import DataConfig, DataError, LabelledDataConfig
from transformer.config import (
    PRESETS,
    ConfigError,
    DecodingConfig,
    FinetuningConfig,
    LearningConfig,
    ModelConfig,
    TaskConfig,
    TokenizerConfig,
    TrainingConfig,
    base_language,
    from_json,
)

# What each option is by default; and the least and the most that it may be, or all that it may be.
# Who changes one of these changes what a command means that leaves the option out, or a file of
# flags that has it.
OPTIONS = {
    ModelConfig: {
        "d_model": (256, 1, None),
        "num_heads": (4, 1, None),
        "num_layers": (3, 1, None),
        "vocab_size": (8000, 4, None),
        "source_vocab_size": (0, 0, None),
        "ffn_dim": (0, 0, None),
        "norm": ("post", ("pre", "post")),
        "norm_type": ("layer", ("layer", "rms")),
        "norm_epsilon": (1e-06, 0.0, None),
        "activation": ("relu", ("relu", "gelu", "gelu_tanh", "swish")),
        "gated": (False,),
        "positions": ("sinusoidal", ("sinusoidal", "learned", "rotary")),
        "max_positions": (512, 1, None),
        "use_bias": (True,),
        "tie_embeddings": (True,),
        "tie_output": (True,),
        "pointer_generator": (False,),
        "scale_embeddings": (True,),
        "embedding_norm": (False,),
        "dropout": (0.1, 0.0, 0.99),
        "attention_dropout": (0.0, 0.0, 0.99),
        "activation_dropout": (0.0, 0.0, 0.99),
        "pad_id": (0, 0, None),
        "source_pad_id": (-1, -1, None),
    },
    TokenizerConfig: {
        "tokenizer": ("unigram", ("unigram", "bpe", "byte", "character")),
        "vocab_size": (8000, 8, None),
        "joint_vocabulary": (True,),
        "character_coverage": (0.9995, 0.9, 1.0),
        "normalization": ("nfkc", ("nfkc", "identity")),
        "user_symbols": ((),),
        "subword_samples": (1, 1, None),
        "source_tokenizer": ("",),
        "target_tokenizer": ("",),
    },
    LearningConfig: {
        "train_steps": (10000, 1, None),
        "accumulate_steps": (1, 1, None),
        "seed": (1, 0, 2**32 - 1),
        "precision": ("float32", ("float32", "bfloat16", "float16")),
        "jit": ("auto", ("auto", "on", "off")),
        "distribution": ("none", ("none", "mirrored", "multi_worker", "tpu")),
        "model_devices": (1, 1, None),
        "optimizer": ("adam", ("adam", "adamw")),
        "learning_rate": (0.001, 0.0, None),
        "schedule": ("inverse_sqrt", ("inverse_sqrt", "noam", "cosine", "linear", "constant")),
        "warmup_steps": (1000, 0, None),
        "adam_beta_1": (0.9, 0.0, 0.9999),
        "adam_beta_2": (0.98, 0.0, 0.999999),
        "adam_epsilon": (1e-09, 0.0, None),
        "weight_decay": (0.0, 0.0, None),
        "clip_norm": (0.0, 0.0, None),
        "label_smoothing": (0.1, 0.0, 0.99),
        "rdrop_alpha": (0.0, 0.0, None),
        "log_every": (50, 1, None),
        "eval_every": (1000, 1, None),
        "checkpoint_every": (1000, 1, None),
        "keep_checkpoints": (5, 1, None),
        "average_checkpoints": (5, 1, None),
        "keep_best_metric": ("",),
        "early_stopping": (0, 0, None),
    },
    TrainingConfig: {
        "initial_run": ("",),
        "max_tokens": (4096, 16, None),
        "eval_decode": (200, 0, None),
    },
    TaskConfig: {
        "task": (
            "classification",
            ("classification", "multilabel", "regression", "spans", "text2text"),
        ),
        "pretrained": ("none",),
        "max_length": (0, 0, None),
        "pair_encoding": ("cross", ("cross", "bi")),
        "stride": (64, 0, None),
        "longest_answer": (30, 1, None),
        "language": ("",),
        "pooling": ("mean", ("mean", "first", "max")),
        "head_dropout": (0.1, 0.0, 0.99),
        "encoder_dropout": (-1.0, -1.0, 0.99),
        "class_weights": ("none", ("none", "balanced")),
        "tuning": ("full", ("full", "head", "lora")),
        "lora_rank": (8, 1, None),
        "lora_alpha": (16.0, 0.0, None),
        "lora_targets": (("attention", "feed_forward"),),
    },
    FinetuningConfig: {
        "train_steps": (1, 1, None),
        "optimizer": ("adamw", ("adam", "adamw")),
        "learning_rate": (5e-05, 0.0, None),
        "schedule": ("linear", ("inverse_sqrt", "noam", "cosine", "linear", "constant")),
        "warmup_steps": (0, 0, None),
        "adam_beta_2": (0.999, 0.0, 0.999999),
        "adam_epsilon": (1e-08, 0.0, None),
        "weight_decay": (0.01, 0.0, None),
        "clip_norm": (1.0, 0.0, None),
        "label_smoothing": (0.0, 0.0, 0.99),
        "log_every": (20, 1, None),
        "eval_every": (0, 0, None),
        "checkpoint_every": (200, 1, None),
        "keep_checkpoints": (1, 1, None),
        "average_checkpoints": (1, 1, None),
        "keep_best_metric": ("",),
        "epochs": (3, 1, None),
        "initial_seed": (-1, -1, 2**32 - 1),
        "batch_size": (32, 1, None),
        "eval_decode": (200, 0, None),
        "warmup_share": (0.1, 0.0, 1.0),
    },
    DecodingConfig: {
        "beam_size": (4, 1, None),
        "length_penalty": (0.6, 0.0, None),
        "n_best": (1, 1, None),
        "max_length": (0, 0, None),
        "min_length": (0, 0, None),
        "no_repeat_ngram": (0, 0, None),
        "temperature": (0.0, 0.0, None),
        "top_k": (0, 0, None),
        "top_p": (1.0, 0.0, 1.0),
        "sampling_seed": (1, 0, 2**32 - 1),
    },
    DataConfig: {
        "task": ("translation",),
        "corpus": (
            "",
            (
                "",
                "reverse",
                "phrasebook_en_de",
                "phrasebook_en_zh",
                "phrasebook_en_de_zh",
                "stories",
                "docstrings",
                "functions",
            ),
        ),
        "corpus_size": (50000, 1, None),
        "data_dir": ("",),
        "source_train": ((),),
        "target_train": ((),),
        "source_validation": ((),),
        "target_validation": ((),),
        "source_test": ((),),
        "target_test": ((),),
        "examples_train": ((),),
        "examples_validation": ((),),
        "examples_test": ((),),
        "prefixes": ((),),
        "weights": ((),),
        "source_column": ("source",),
        "target_column": ("target",),
        "tfds": ("",),
        "tfds_data_dir": ("",),
        "validation_share": (0.02, 0.0, 0.5),
        "test_share": (0.02, 0.0, 0.5),
        "source_language": ("",),
        "target_language": ("",),
        "lowercase": (False,),
        "copy_unknown": (False,),
        "clean": (True,),
        "max_length_ratio": (9.0, 1.0, None),
        "max_source_length": (128, 4, None),
        "max_target_length": (128, 4, None),
    },
    LabelledDataConfig: {
        "train_files": ((),),
        "validation_files": ((),),
        "test_files": ((),),
        "data_dir": ("",),
        "delimiter": ("", ("", "tab", "comma", "space")),
        "tfds": ("",),
        "tfds_data_dir": ("",),
        "text_column": ("text",),
        "pair_column": ("",),
        "label_column": ("label",),
        "labels": ((),),
        "labels_file": ("",),
        "validation_share": (0.02, 0.0, 0.5),
        "test_share": (0.02, 0.0, 0.5),
        "lowercase": (False,),
    },
}
# As LearningConfig's, but for those that FinetuningConfig has of its own.
for kind in (TrainingConfig, FinetuningConfig):
    OPTIONS[kind] = OPTIONS[LearningConfig] | OPTIONS[kind]
# What no flag sets.
FOUND_OUT = {
    ModelConfig: {"vocab_size", "source_vocab_size", "pad_id", "source_pad_id"},
    FinetuningConfig: {"train_steps", "warmup_steps"},
}
MANY = 10**6
# What some values need beside them.
BESIDE = {
    (ModelConfig, "d_model"): dict(num_heads=1, positions="learned"),
    (ModelConfig, "num_heads"): dict(d_model=MANY),
    (ModelConfig, "source_vocab_size"): dict(tie_embeddings=False),
    (LearningConfig, "keep_checkpoints"): dict(average_checkpoints=1),
    (LearningConfig, "average_checkpoints"): dict(keep_checkpoints=MANY),
    (LearningConfig, "weight_decay"): dict(optimizer="adamw"),
    (LearningConfig, "optimizer"): dict(weight_decay=0.0),
    (TaskConfig, "encoder_dropout"): dict(pretrained="bert_base_en"),
    (DecodingConfig, "n_best"): dict(beam_size=MANY),
    (DataConfig, "corpus"): dict(task="text2text"),
}
BOUNDS = [
    (kind, name, *rule[1:])
    for kind, options in OPTIONS.items()
    for name, rule in options.items()
    if len(rule) == 3
]
CHOICES = [
    (kind, name, rule[1])
    for kind, options in OPTIONS.items()
    for name, rule in options.items()
    if len(rule) == 2
]


def made(kind, name, value):
    """An instance with one option set, and what it needs beside it."""
    beside = next(
        (
            options
            for (owner, option), options in BESIDE.items()
            if issubclass(kind, owner) and option == name
        ),
        {},
    )
    return kind(**beside | {name: value})


MESSAGES = [
    (
        ModelConfig,
        dict(d_model=500, num_heads=8),
        "num_heads must divide d_model. Received: d_model=500, num_heads=8. Use one of 1, 2, 4, "
        "5, "
        "10, 20, 25.",
    ),
    (
        ModelConfig,
        dict(d_model=12, num_heads=4, positions="rotary"),
        "positions='rotary' needs an even width per head. Received: d_model=12, num_heads=4, "
        "width "
        "3. "
        "Use another num_heads, or positions='sinusoidal'.",
    ),
    (
        ModelConfig,
        dict(d_model=15, num_heads=3),
        "positions='sinusoidal' needs an even d_model. Received: d_model=15. Use an even width.",
    ),
    (
        ModelConfig,
        dict(vocab_size=100, source_vocab_size=90),
        "tie_embeddings needs one vocabulary for source and target. Received: "
        "source_vocab_size=90, vocab_size=100. "
        "Use tie_embeddings=False.",
    ),
    (
        ModelConfig,
        dict(pointer_generator=True, tie_embeddings=False),
        "pointer_generator needs source and target to share one embedding table. Received: "
        "tie_embeddings=False. "
        "Use tie_embeddings=True, or leave out pointer_generator.",
    ),
    (ModelConfig, dict(norm="middle"), "norm must be one of 'pre', 'post'. Received: 'middle'."),
    (
        ModelConfig,
        dict(norm_type="batch"),
        "norm_type must be one of 'layer', 'rms'. Received: 'batch'.",
    ),
    (
        ModelConfig,
        dict(activation="tanh"),
        "activation must be one of 'relu', 'gelu', 'gelu_tanh', 'swish'. Received: 'tanh'.",
    ),
    (
        ModelConfig,
        dict(positions="none"),
        "positions must be one of 'sinusoidal', 'learned', 'rotary'. Received: 'none'.",
    ),
    (ModelConfig, dict(num_heads=0), "num_heads must be at least 1. Received: 0."),
    (ModelConfig, dict(d_model=-8), "d_model must be at least 1. Received: -8."),
    (ModelConfig, dict(num_layers=0), "num_layers must be at least 1. Received: 0."),
    (ModelConfig, dict(vocab_size=3), "vocab_size must be at least 4. Received: 3."),
    (ModelConfig, dict(dropout=1.0), "dropout must be at most 0.99. Received: 1.0."),
    (
        ModelConfig,
        dict(attention_dropout=-0.1),
        "attention_dropout must be at least 0.0. Received: -0.1.",
    ),
    (
        TrainingConfig,
        dict(average_checkpoints=9, keep_checkpoints=5),
        "average_checkpoints must not exceed keep_checkpoints. Received: average_checkpoints=9, "
        "keep_checkpoints=5. "
        "Use --keep_checkpoints=9.",
    ),
    (
        TrainingConfig,
        dict(weight_decay=0.1),
        "weight_decay needs optimizer='adamw'. "
        "Received: optimizer='adam', weight_decay=0.1. Use --weight_decay=0 or --optimizer=adamw.",
    ),
    (TokenizerConfig, dict(vocab_size=7), "vocab_size must be at least 8. Received: 7."),
    (
        TokenizerConfig,
        dict(tokenizer="byte", subword_samples=2),
        "subword_samples needs --tokenizer=unigram or bpe. Received: 'byte', which splits a text "
        "in only one way. Leave out --subword_samples.",
    ),
    (
        DecodingConfig,
        dict(n_best=4, beam_size=2),
        "n_best must not exceed beam_size. Received: n_best=4, beam_size=2. Use --beam_size=4.",
    ),
    (
        ModelConfig,
        dict(d_model=66, num_heads=4),
        "num_heads must divide d_model. Received: d_model=66, num_heads=4. Use one of 1, 2, 3, 6, "
        "11, 22.",
    ),
    (
        ModelConfig,
        dict(d_model=32, num_heads=5),
        "num_heads must divide d_model. Received: d_model=32, num_heads=5. Use one of 1, 2, 4, 8, "
        "16, 32.",
    ),
    (
        ModelConfig,
        dict(d_model=3, num_heads=2, positions="learned"),
        "num_heads must divide d_model. Received: d_model=3, num_heads=2. Use one of 1, 3.",
    ),
    (
        TokenizerConfig,
        dict(target_tokenizer="de.model"),
        "target_tokenizer needs source_tokenizer. Received: target_tokenizer='de.model' without "
        "source_tokenizer. Give both.",
    ),
    (
        TokenizerConfig,
        dict(tokenizer="character", subword_samples=2),
        "subword_samples needs --tokenizer=unigram or bpe. Received: 'character', which splits a "
        "text in only one way. Leave out --subword_samples.",
    ),
    *(
        (
            TokenizerConfig,
            dict(user_symbols=symbols),
            "every symbol in user_symbols must be non-empty, unique and none of <pad>, <unk>, <s> "
            f"and </s>. Received: {', '.join(map(repr, symbols))}. "
            "Remove empty symbols, duplicates and these four.",
        )
        for symbols in (
            ("<a>", "<b>", "<a>"),
            ("<a>", ""),
            ("<pad>",),
            ("<unk>", "<a>"),
            ("<s>",),
            ("</s>",),
        )
    ),
    (
        FinetuningConfig,
        dict(average_checkpoints=2),
        "average_checkpoints must not exceed keep_checkpoints. Received: average_checkpoints=2, "
        "keep_checkpoints=1. "
        "Use --keep_checkpoints=2.",
    ),
    (
        FinetuningConfig,
        dict(optimizer="adam"),
        "weight_decay needs optimizer='adamw'. "
        "Received: optimizer='adam', weight_decay=0.01. Use --weight_decay=0 or --optimizer=adamw.",
    ),
    (
        TaskConfig,
        dict(lora_targets=("attention", "head")),
        "lora_targets must be attention, feed_forward or both. Received: attention,head.",
    ),
    (
        TaskConfig,
        dict(lora_targets=()),
        "lora_targets must be attention, feed_forward or both. Received: none.",
    ),
    *(
        (TaskConfig, dict(max_length=length), f"max_length must be at least 8. Received: {length}.")
        for length in (1, 7)
    ),
    (
        TaskConfig,
        dict(task="spans", stride=120),
        "stride must be less than max_length - 8, so that each window has new text. Received: "
        "stride=120, max_length=128. Use a smaller --stride.",
    ),
    (
        TaskConfig,
        dict(task="spans", max_length=72),
        "stride must be less than max_length - 8, so that each window has new text. Received: "
        "stride=64, max_length=72. Use a smaller --stride.",
    ),
    (
        TaskConfig,
        dict(task="spans", pair_encoding="bi"),
        "task='spans' must encode question and context together. Received: pair_encoding='bi'. "
        "Use --pair_encoding=cross.",
    ),
    (
        TaskConfig,
        dict(encoder_dropout=0.0),
        "encoder_dropout sets the dropout of a pretrained encoder. Received: pretrained='none'. "
        "Use --dropout instead.",
    ),
    (
        TaskConfig,
        dict(pretrained=""),
        "pretrained must name a model, or be none to train from scratch. Received: ''. Use "
        "--pretrained=none.",
    ),
    *(
        (
            TaskConfig,
            dict(class_weights="balanced", task=task),
            f"class_weights='balanced' needs task='classification'. Received: task={task!r}.",
        )
        for task in ("multilabel", "regression", "spans", "text2text")
    ),
    *(
        (
            TaskConfig,
            {"task": "text2text", **options},
            "task='text2text' has no pair encoding, no windows and no head. Received: "
            f"{', '.join(f'{name}={value}' for name, value in options.items())}. "
            "Leave out these options.",
        )
        for options in (
            dict(pair_encoding="bi"),
            dict(stride=0),
            dict(longest_answer=31),
            dict(pooling="max"),
            dict(head_dropout=0.0),
            dict(tuning="head"),
            dict(stride=1, pooling="first", tuning="head"),
        )
    ),
    (
        DecodingConfig,
        dict(n_best=2, temperature=0.1),
        "sampling (temperature above 0) returns one output per input. Received: n_best=2. Use "
        "--n_best=1.",
    ),
    (
        DecodingConfig,
        dict(n_best=2, beam_size=1, temperature=0.1),
        "sampling (temperature above 0) returns one output per input. Received: n_best=2. Use "
        "--n_best=1.",
    ),
    (
        DecodingConfig,
        dict(min_length=5, max_length=5),
        "min_length must be less than max_length. Received: min_length=5, max_length=5. Use a "
        "smaller --min_length.",
    ),
    *(
        (
            DataConfig,
            dict(corpus=corpus),
            f"corpus {corpus!r} is not a translation corpus. Received: --task=translation, which "
            f"is the default. Use --task={task}.",
        )
        for corpus, task in (
            ("stories", "question_answering"),
            ("docstrings", "summarization"),
            ("functions", "code"),
        )
    ),
    (
        DataConfig,
        dict(examples_train=("a.tsv", "b.tsv"), prefixes=("<a>",)),
        "prefixes must have one value for each file of examples_train. Received: 1 values, 2 "
        "files. Separate the values with commas.",
    ),
    (
        DataConfig,
        dict(weights=("1",)),
        "weights must have one value for each file of examples_train. Received: 1 values, 0 "
        "files. Separate the values with commas.",
    ),
    *(
        (
            DataConfig,
            dict(examples_train=("a.tsv", "b.tsv"), prefixes=("<a>", "<b>"), weights=("1", weight)),
            f"weights must be numbers above 0. Received: {weight!r}.",
        )
        for weight in ("0", "0.0", ".0", "-1", "1.", ".", "1e3", "nan", "")
    ),
    *(
        (
            DataConfig,
            dict(examples_train=("a.tsv", "b.tsv"), prefixes=prefixes, weights=("1", "2")),
            "weights needs a different prefix for each training file. Received: "
            f"prefixes={','.join(prefixes)!r}. Set --prefixes.",
        )
        for prefixes in ((), ("<a>", "<a>"))
    ),
    (
        LabelledDataConfig,
        dict(labels=("a", "b"), labels_file="l.txt"),
        "--labels and --labels_file cannot be used together. Received: --labels and "
        "--labels_file=l.txt. Leave one out.",
    ),
    (
        LabelledDataConfig,
        dict(labels=("a", "b", "a")),
        "labels must differ from each other. Received: a, b, a. Name each label once.",
    ),
]


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_option_has_its_default_and_its_line_of_help(kind):
    assert dataclasses.asdict(kind()) == {name: rule[0] for name, rule in OPTIONS[kind].items()}
    for field in dataclasses.fields(kind):
        assert type(field.default) is type(OPTIONS[kind][field.name][0])
        assert field.metadata["flag"] == (field.name not in FOUND_OUT.get(kind, ()))
        assert field.metadata["help"] and field.metadata["help"].splitlines() == [
            field.metadata["help"]
        ]


@pytest.mark.parametrize(
    "kind, name, low, high", BOUNDS, ids=[f"{kind.__name__}-{name}" for kind, name, *_ in BOUNDS]
)
def test_a_bound_itself_is_allowed_and_what_is_outside_is_not(kind, name, low, high):
    step = 1 if type(low) is int else 1e-6
    for bound, sign, rule in ((low, -1, "at least"), (high, 1, "at most")):
        if bound is None:
            assert getattr(made(kind, name, MANY), name) == MANY
            continue
        assert getattr(made(kind, name, bound), name) == bound
        with pytest.raises(ConfigError) as error:
            made(kind, name, bound + sign * step)
        assert (
            str(error.value) == f"{name} must be {rule} {bound}. Received: {bound + sign * step}."
        )


@pytest.mark.parametrize(
    "kind, name, choices", CHOICES, ids=[f"{kind.__name__}-{name}" for kind, name, _ in CHOICES]
)
def test_each_choice_is_allowed_and_no_other(kind, name, choices):
    for choice in choices:
        assert getattr(made(kind, name, choice), name) == choice
    for wrong in ("other", choices[-1].upper(), None):
        with pytest.raises(ConfigError) as error:
            kind(**{name: wrong})
        assert (
            str(error.value)
            == f"{name} must be one of {', '.join(map(repr, choices))}. Received: {wrong!r}."
        )


@pytest.mark.parametrize(
    "config, options, message", MESSAGES, ids=[message[:40] for _, _, message in MESSAGES]
)
def test_a_wrong_value_is_refused_with_rule_value_and_cure(config, options, message):
    with pytest.raises(ConfigError) as error:
        config(**options)
    assert str(error.value) == message
    assert isinstance(error.value, ValueError)


def test_options_come_back_from_json():
    config = TokenizerConfig(user_symbols=("<a>", "<b>"))
    saved = json.loads(json.dumps(dataclasses.asdict(config)))
    assert from_json(TokenizerConfig, saved) == config
    assert from_json(TokenizerConfig, {"vocab_size": 99}) == TokenizerConfig(
        vocab_size=99
    )  # of an older version
    with pytest.raises(
        ConfigError,
        match="has options that this version does not know. Received: merges, old. Create it again",
    ):
        from_json(TokenizerConfig, saved | {"old": 1, "merges": 2})


def test_the_model_and_its_stacks_refuse_before_any_layer_is_made():
    from transformer.model.transformer import Decoder, Encoder, Transformer

    message = (
        r"num_heads must divide d_model\. Received: d_model=10, num_heads=4\. "
        r"Use one of 1, 2, 5, 10\."
    )
    for make in (Encoder, Decoder):
        with pytest.raises(ConfigError, match=message):
            make(10, 4, 1)
    with pytest.raises(ConfigError, match=message):
        Transformer(10, 4, 1, 23)


@pytest.mark.parametrize(
    "kind, options",
    [
        (ModelConfig, dict(d_model=15, num_heads=3, positions="learned")),
        (ModelConfig, dict(d_model=12, num_heads=3, positions="rotary")),
        (
            ModelConfig,
            dict(d_model=6, num_heads=2, positions="sinusoidal"),
        ),  # an odd width per head
        (ModelConfig, dict(vocab_size=100, source_vocab_size=90, tie_embeddings=False)),
        (ModelConfig, dict(vocab_size=100, source_vocab_size=100)),
        (ModelConfig, dict(pointer_generator=True)),
        (TokenizerConfig, dict(source_tokenizer="a.model")),
        (TokenizerConfig, dict(source_tokenizer="a.model", target_tokenizer="b.model")),
        (TokenizerConfig, dict(tokenizer="bpe", subword_samples=2)),
        (TokenizerConfig, dict(tokenizer="unigram", subword_samples=2)),
        (TokenizerConfig, dict(tokenizer="byte", subword_samples=1)),
        (TokenizerConfig, dict(user_symbols=("<a>", "<A>", "pad"))),
        (TrainingConfig, dict(average_checkpoints=5, keep_checkpoints=5)),
        (TrainingConfig, dict(average_checkpoints=2, keep_checkpoints=5)),
        (TrainingConfig, dict(weight_decay=0.1, optimizer="adamw")),
        (TaskConfig, dict(lora_targets=("feed_forward",))),
        (TaskConfig, dict(lora_targets=("attention",))),
        (TaskConfig, dict(max_length=8)),
        (TaskConfig, dict(task="spans", stride=119)),
        (TaskConfig, dict(task="spans", max_length=73)),
        (TaskConfig, dict(stride=500)),
        (TaskConfig, dict(pair_encoding="bi", task="regression")),
        (TaskConfig, dict(encoder_dropout=0.0, pretrained="bert_base_en")),
        (TaskConfig, dict(encoder_dropout=0.0, task="text2text")),
        (TaskConfig, dict(class_weights="balanced")),
        (
            TaskConfig,
            dict(task="text2text", tuning="lora", max_length=9, language="de", lora_rank=4),
        ),
        (TaskConfig, dict(tuning="head", pooling="first")),
        (DecodingConfig, dict(n_best=4)),
        (DecodingConfig, dict(n_best=1, temperature=0.5, beam_size=1)),
        (DecodingConfig, dict(min_length=5, max_length=6)),
        (DecodingConfig, dict(min_length=5, max_length=0)),
        (DataConfig, dict(corpus="reverse")),
        (DataConfig, dict(corpus="stories", task="code")),
        (DataConfig, dict(examples_train=("a.tsv",), prefixes=("<a>",), weights=("1",))),
        (DataConfig, dict(examples_train=("a.tsv", "b.tsv"), prefixes=("<a>", "<a>"))),
        (
            DataConfig,
            dict(
                examples_train=("a.tsv", "b.tsv", "c.tsv"),
                prefixes=("<a>", "<b>", ""),
                weights=("0.5", ".5", "10"),
            ),
        ),
        (LabelledDataConfig, dict(labels=("a", "b"))),
        (LabelledDataConfig, dict(labels_file="l.txt")),
    ],
)
def test_what_the_rules_allow_is_allowed(kind, options):
    config = kind(**options)
    assert {name: getattr(config, name) for name in options} == options


def test_derived_sizes():
    config = ModelConfig(d_model=64, num_heads=2, vocab_size=100)
    assert (config.inner_dim, config.input_vocab_size) == (256, 100)
    config = dataclasses.replace(config, ffn_dim=99, source_vocab_size=90, tie_embeddings=False)
    assert (config.inner_dim, config.input_vocab_size) == (99, 90)
    pads = [
        ModelConfig(pad_id=3).input_pad_id,
        ModelConfig(pad_id=3, source_pad_id=0).input_pad_id,
        ModelConfig(pad_id=3, source_pad_id=2).input_pad_id,
    ]
    assert pads == [3, 0, 2]
    assert (TaskConfig().input_length, TaskConfig(max_length=9).input_length) == (128, 9)
    rates = [
        TaskConfig(pretrained="x", encoder_dropout=rate).pretrained_dropout
        for rate in (-1.0, 0.0, 0.3)
    ]
    assert rates == [None, 0.0, 0.3]


def test_epochs_are_counted_in_steps():
    config = FinetuningConfig(epochs=4, warmup_share=0.25, seed=7).counted(11)
    assert config == FinetuningConfig(
        epochs=4, warmup_share=0.25, seed=7, train_steps=44, warmup_steps=11, eval_every=11
    )
    assert FinetuningConfig(warmup_share=0.5, eval_every=3).counted(9).eval_every == 3
    assert FinetuningConfig(epochs=1, warmup_share=0.09).counted(30).warmup_steps == 3  # 2.7
    assert FinetuningConfig(epochs=1, warmup_share=0.0).counted(30).warmup_steps == 0


def test_rdrop_needs_dropout():
    config = TrainingConfig(rdrop_alpha=5.0)
    for rates in ((0.1,), (0.0, 0.2), (-1.0, 0.0)):
        config.check_dropout(*rates)
    TrainingConfig().check_dropout(0.0)
    with pytest.raises(ConfigError) as error:
        config.check_dropout(0.0, 0.0)
    assert str(error.value) == (
        "rdrop_alpha needs dropout. Received: rdrop_alpha=5, all dropout rates 0. Use a dropout "
        "rate above 0, or leave out --rdrop_alpha."
    )


def test_greedy_is_one_likeliest_hypothesis():
    config = DecodingConfig(beam_size=5, n_best=3, max_length=9, top_k=4)
    assert config.greedy == DecodingConfig(beam_size=1, n_best=1, max_length=9, top_k=4)
    assert DecodingConfig(temperature=0.7, sampling_seed=3).greedy == DecodingConfig(
        beam_size=1, sampling_seed=3
    )


def test_which_data_loses_what():
    assert [
        DataConfig(task=task).cuts_sources for task in ("translation", "summarization", "code")
    ] == [False, True, True]
    assert [
        DataConfig(task=task).merges_spaces for task in ("translation", "summarization", "code")
    ] == [True, True, False]
    assert not DataConfig(clean=False).merges_spaces and issubclass(DataError, ValueError)


@pytest.mark.parametrize(
    "code, language",
    [
        ("zh_CN", "zh"),
        ("zh-Hans-CN", "zh"),
        ("DE", "de"),
        ("", ""),
        ("en", "en"),
        ("pt_BR-x-tok", "pt"),
        ("zh_Hans-CN", "zh"),
    ],
)
def test_the_language_of_a_code(code, language):
    assert base_language(code) == language


def test_a_config_cannot_be_changed_and_is_checked_again_when_replaced():
    config = ModelConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.d_model = 7
    with pytest.raises(ConfigError, match="num_heads must divide d_model"):
        dataclasses.replace(config, num_heads=3)
    assert ModelConfig(**dataclasses.asdict(config)) == config


def test_the_defaults_are_the_model_of_vaswani_et_al():
    config = ModelConfig()
    assert (config.norm, config.norm_type, config.activation, config.gated) == (
        "post",
        "layer",
        "relu",
        False,
    )
    assert (config.positions, config.tie_embeddings, config.tie_output) == (
        "sinusoidal",
        True,
        True,
    )
    assert (config.scale_embeddings, config.dropout, config.pad_id) == (True, 0.1, 0)


def test_learned_positions_must_hold_what_will_come():
    ModelConfig(positions="learned", max_positions=9).check_lengths(3, 9)
    ModelConfig(max_positions=9).check_lengths(10)
    with pytest.raises(ConfigError) as error:
        ModelConfig(positions="learned", max_positions=9).check_lengths(3, 10, 4)
    assert str(error.value) == (
        "max_positions must be at least the length of the longest sequence. Received: "
        "max_positions=9, length 10. Use --max_positions=10 or more."
    )
    with pytest.raises(ConfigError, match="length 10. Use shorter texts.$"):
        ModelConfig(positions="learned", max_positions=9).check_lengths(
            10, cure="Use shorter texts."
        )


def test_presets():
    """base and big: Vaswani et al. 2017, table 3."""
    # The small ones leave the rate of dropout as it is.
    assert [name for name, preset in PRESETS.items() if "dropout" not in preset] == [
        "tiny",
        "small",
    ]
    sizes = {
        name: [
            ModelConfig(**preset).d_model,
            ModelConfig(**preset).inner_dim,
            preset["num_heads"],
            preset["num_layers"],
        ]
        for name, preset in PRESETS.items()
    }
    assert sizes == {
        "tiny": [128, 256, 4, 2],
        "small": [256, 1024, 4, 3],
        "base": [512, 2048, 8, 6],
        "big": [1024, 4096, 16, 6],
    }
    assert [ModelConfig(**PRESETS[name]).dropout for name in ("base", "big")] == [0.1, 0.3]


def test_the_best_weights_are_judged_by_a_metric_of_the_task():
    assert (
        TrainingConfig().judged_by(["rougeL", "loss"], "summarization").keep_best_metric == "rougeL"
    )
    assert TrainingConfig(seed=4).judged_by(["loss"], "x") == TrainingConfig(
        seed=4, keep_best_metric="loss"
    )
    assert (
        TrainingConfig(keep_best_metric="loss")
        .judged_by(["rougeL", "loss"], "summarization")
        .keep_best_metric
        == "loss"
    )
    with pytest.raises(
        ConfigError, match="must be one of rougeL, loss for task='summarization'. Received: 'bleu'"
    ):
        TrainingConfig(keep_best_metric="bleu").judged_by(["rougeL", "loss"], "summarization")
