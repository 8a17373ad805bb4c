"""The options of model, tokenizer, training and decoding, which are also the command-line flags.

They are frozen dataclasses. Each field is made with `option(default, help)`, so that its name,
type, default and help stand in one place. transformer/cli/flags.py turns the fields into absl
flags. A dataclass validates itself when it is created, so a wrong value never reaches a layer.
"""

import dataclasses


def option(default, help, choices=None, minimum=None, maximum=None, flag=True):
    """Returns a dataclass field that is also a command-line flag.

    Args:
        default: default value. Its type (int, float, bool, str or tuple of str) is the flag's type.
        help: one line for `--help`.
        choices: the allowed strings. None allows any.
        minimum: smallest allowed number. None sets no limit.
        maximum: largest allowed number. None sets no limit.
        flag: whether the field is a flag. False for a field that the program determines itself,
            such as the size of a trained vocabulary.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "flag": flag,
    }
    return dataclasses.field(default=default, metadata=metadata)


class ConfigError(ValueError):
    """Raised when an option breaks a rule. The message names the rule, the value and the fix."""


def check_options(config):
    """Checks every field of a dataclass instance against its `option`.

    Args:
        config: an instance of a dataclass whose fields are made with `option`.

    Raises:
        ConfigError: for the first field whose value is not allowed.
    """
    for field in dataclasses.fields(config):
        value, rule = getattr(config, field.name), field.metadata
        if rule.get("choices") and value not in rule["choices"]:
            raise ConfigError(
                f"{field.name} must be one of {', '.join(map(repr, rule['choices']))}. Received: "
                f"{value!r}."
            )
        low, high = rule.get("minimum"), rule.get("maximum")
        if low is not None and value < low:
            raise ConfigError(f"{field.name} must be at least {low}. Received: {value}.")
        if high is not None and value > high:
            raise ConfigError(f"{field.name} must be at most {high}. Received: {value}.")


def from_json(kind, values):
    """Creates a dataclass of options from its saved dictionary.

    JSON has no tuples, so lists become tuples.

    Args:
        kind: the dataclass.
        values: the dictionary read from JSON. Missing fields get their defaults.

    Raises:
        ConfigError: if the dictionary has an option that this version does not have.
    """
    if unknown := values.keys() - {field.name for field in dataclasses.fields(kind)}:
        raise ConfigError(
            "the saved configuration has options that this version does not know. Received: "
            f"{', '.join(sorted(unknown))}. Create it again with this version."
        )
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
    )


def base_language(code):
    """Returns the language of a code with a region or script: "zh_CN" -> "zh"."""
    return code.replace("_", "-").split("-")[0].lower()


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """All options of the encoder-decoder Transformer.

    The defaults give the architecture of Vaswani et al. 2017 in the size of the preset `small`.
    `vocab_size` is the size of the target vocabulary, and also of the source vocabulary if
    `source_vocab_size` is 0.
    """

    d_model: int = option(256, "width of the model", minimum=1)
    num_heads: int = option(4, "number of attention heads", minimum=1)
    num_layers: int = option(3, "number of layers in the encoder, and in the decoder", minimum=1)
    vocab_size: int = option(8000, "size of the (target) vocabulary", minimum=4, flag=False)
    source_vocab_size: int = option(
        0, "size of the source vocabulary; 0 means the target's", minimum=0, flag=False
    )
    ffn_dim: int = option(0, "feed-forward width; 0 means 4 x d_model", minimum=0)
    norm: str = option("post", "where a residual block normalizes", choices=("pre", "post"))
    norm_type: str = option("layer", "layer normalization or RMSNorm", choices=("layer", "rms"))
    norm_epsilon: float = option(
        1e-6, "epsilon of the normalization, added to the variance", minimum=0.0
    )
    activation: str = option(
        "relu",
        "activation of the feed-forward layer",
        choices=("relu", "gelu", "gelu_tanh", "swish"),
    )
    gated: bool = option(False, "gated feed-forward layer (Shazeer 2020): activation(x W) * (x V)")
    positions: str = option(
        "sinusoidal", "position encoding", choices=("sinusoidal", "learned", "rotary")
    )
    max_positions: int = option(512, "longest sequence, for learned positions", minimum=1)
    use_bias: bool = option(True, "use biases in attention and feed-forward projections")
    tie_embeddings: bool = option(
        True, "share one table for source and target embeddings (needs a joint vocabulary)"
    )
    tie_output: bool = option(True, "use the target embedding as the output projection")
    pointer_generator: bool = option(
        False,
        "let the decoder also copy tokens from the source, with a pointer-generator "
        "(See et al. 2017)",
    )
    scale_embeddings: bool = option(True, "multiply embeddings by sqrt(d_model)")
    embedding_norm: bool = option(
        False, "normalize embeddings after adding positions, as BERT and BART do"
    )
    dropout: float = option(
        0.1, "dropout on embeddings and on each block's output", minimum=0.0, maximum=0.99
    )
    attention_dropout: float = option(
        0.0, "dropout on attention weights", minimum=0.0, maximum=0.99
    )
    activation_dropout: float = option(
        0.0, "dropout inside the feed-forward layer", minimum=0.0, maximum=0.99
    )
    pad_id: int = option(0, "id of padding, masked everywhere", minimum=0, flag=False)
    source_pad_id: int = option(
        -1, "id of padding in the source; -1 means pad_id", minimum=-1, flag=False
    )

    def __post_init__(self):
        check_options(self)
        if self.d_model % self.num_heads:
            good = [h for h in range(1, min(self.d_model, 32) + 1) if self.d_model % h == 0]
            raise ConfigError(
                f"num_heads must divide d_model. Received: d_model={self.d_model}, "
                f"num_heads={self.num_heads}. "
                f"Use one of {', '.join(map(str, good))}."
            )
        if self.positions == "rotary" and (self.d_model // self.num_heads) % 2:
            raise ConfigError(
                "positions='rotary' needs an even width per head. "
                f"Received: d_model={self.d_model}, num_heads={self.num_heads}, width "
                f"{self.d_model // self.num_heads}. "
                "Use another num_heads, or positions='sinusoidal'."
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ConfigError(
                f"positions='sinusoidal' needs an even d_model. Received: d_model={self.d_model}. "
                f"Use an even width."
            )
        if self.tie_embeddings and self.source_vocab_size not in (0, self.vocab_size):
            raise ConfigError(
                "tie_embeddings needs one vocabulary for source and target. Received: "
                f"source_vocab_size={self.source_vocab_size}, vocab_size={self.vocab_size}. Use "
                f"tie_embeddings=False."
            )
        if self.pointer_generator and not self.tie_embeddings:
            raise ConfigError(
                "pointer_generator needs source and target to share one embedding table. "
                "Received: tie_embeddings=False. "
                "Use tie_embeddings=True, or leave out pointer_generator."
            )

    def check_lengths(self, *lengths, cure=None):
        """Checks that learned positions cover all sequences.

        Args:
            *lengths: lengths of sequences, in tokens.
            cure: the advice at the end of the error message. None advises a larger --max_positions.

        Raises:
            ConfigError: if positions are learned and the longest sequence exceeds `max_positions`.
        """
        if self.positions == "learned" and max(lengths) > self.max_positions:
            raise ConfigError(
                "max_positions must be at least the length of the longest sequence. Received: "
                f"max_positions={self.max_positions}, length {max(lengths)}. "
                f"{cure or f'Use --max_positions={max(lengths)} or more.'}"
            )

    @property
    def inner_dim(self):
        """Feed-forward width F."""
        return self.ffn_dim or 4 * self.d_model

    @property
    def input_vocab_size(self):
        """Size of the source vocabulary."""
        return self.source_vocab_size or self.vocab_size

    @property
    def input_pad_id(self):
        """Id of padding in the source."""
        return self.pad_id if self.source_pad_id < 0 else self.source_pad_id


# Model sizes. `base` and `big` are those of Vaswani et al. 2017, table 3. The others are ours.
PRESETS = {
    "tiny": dict(d_model=128, num_heads=4, num_layers=2, ffn_dim=256),
    "small": dict(d_model=256, num_heads=4, num_layers=3, ffn_dim=1024),
    "base": dict(d_model=512, num_heads=8, num_layers=6, ffn_dim=2048, dropout=0.1),
    "big": dict(d_model=1024, num_heads=16, num_layers=6, ffn_dim=4096, dropout=0.3),
}


@dataclasses.dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes token ids."""

    tokenizer: str = option(
        "unigram",
        "subword algorithm (unigram, bpe) or toy tokenizer (byte, character)",
        choices=("unigram", "bpe", "byte", "character"),
    )
    vocab_size: int = option(
        8000, "size of the vocabulary, including special tokens and the 256 bytes", minimum=8
    )
    joint_vocabulary: bool = option(True, "one vocabulary for source and target")
    character_coverage: float = option(
        0.9995,
        "share of characters in the vocabulary; the others are encoded as bytes",
        minimum=0.9,
        maximum=1.0,
    )
    normalization: str = option(
        "nfkc",
        "Unicode normalization: nfkc (for example, ﬁ becomes fi and ？ becomes ?) or identity, "
        "which changes nothing and suits Chinese and code",
        choices=("nfkc", "identity"),
    )
    user_symbols: tuple = option((), "comma-separated symbols that are never split")
    subword_samples: int = option(
        1,
        "number of tokenizations of each training pair; all but the first are sampled at random, "
        "against overfitting on small data (Kudo 2018)",
        minimum=1,
    )
    source_tokenizer: str = option(
        "",
        "SentencePiece .model file, or tokenizer folder of a run, to use instead of training one",
    )
    target_tokenizer: str = option(
        "", "like source_tokenizer, for the target; empty means the source's"
    )

    def __post_init__(self):
        check_options(self)
        if self.target_tokenizer and not self.source_tokenizer:
            raise ConfigError(
                "target_tokenizer needs source_tokenizer. Received: "
                f"target_tokenizer={self.target_tokenizer!r} without source_tokenizer. Give both."
            )
        if self.subword_samples > 1 and self.tokenizer in ("byte", "character"):
            raise ConfigError(
                f"subword_samples needs --tokenizer=unigram or bpe. Received: {self.tokenizer!r}, "
                "which splits a text in only one way. Leave out --subword_samples."
            )
        wrong = {"", "<pad>", "<unk>", "<s>", "</s>"} & {*self.user_symbols}
        if wrong or len({*self.user_symbols}) < len(self.user_symbols):
            raise ConfigError(
                "every symbol in user_symbols must be non-empty, unique and none of <pad>, <unk>, "
                "<s> and </s>. "
                f"Received: {', '.join(map(repr, self.user_symbols))}. "
                "Remove empty symbols, duplicates and these four."
            )


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """Options of every training, from scratch or from a pretrained model.

    A step is one update of the weights.
    """

    train_steps: int = option(10000, "number of updates of the weights", minimum=1)
    accumulate_steps: int = option(
        1, "micro-batches whose gradients are summed into one update", minimum=1
    )
    seed: int = option(
        1, "random seed of weights, dropout and data order", minimum=0, maximum=2**32 - 1
    )
    precision: str = option(
        "float32",
        "precision of the computation; weights stay float32",
        choices=("float32", "bfloat16", "float16"),
    )
    jit: str = option(
        "auto",
        "compile the training step with XLA; auto does so on a GPU or TPU, and on a CPU if the "
        "training is long and timing shows a gain",
        choices=("auto", "on", "off"),
    )
    distribution: str = option(
        "none",
        "how to train on several devices; see docs/distributed.md",
        choices=("none", "mirrored", "multi_worker", "tpu"),
    )
    model_devices: int = option(
        1,
        "number of devices that one copy of the model is split across; more than 1 needs "
        "KERAS_BACKEND=jax and --distribution=mirrored",
        minimum=1,
    )
    optimizer: str = option("adam", "optimizer", choices=("adam", "adamw"))
    learning_rate: float = option(1e-3, "peak learning rate", minimum=0.0)
    schedule: str = option(
        "inverse_sqrt",
        "learning-rate schedule after warm-up",
        choices=("inverse_sqrt", "noam", "cosine", "linear", "constant"),
    )
    warmup_steps: int = option(1000, "updates until the learning rate reaches its peak", minimum=0)
    adam_beta_1: float = option(
        0.9, "decay rate of the mean of the gradient", minimum=0.0, maximum=0.9999
    )
    adam_beta_2: float = option(
        0.98, "decay rate of the mean of the squared gradient", minimum=0.0, maximum=0.999999
    )
    adam_epsilon: float = option(1e-9, "Adam's epsilon, added to the denominator", minimum=0.0)
    weight_decay: float = option(
        0.0, "decoupled weight decay; needs --optimizer=adamw", minimum=0.0
    )
    clip_norm: float = option(
        0.0, "clip the gradient to this global norm; 0 means no clipping", minimum=0.0
    )
    label_smoothing: float = option(
        0.1, "probability mass spread over the vocabulary", minimum=0.0, maximum=0.99
    )
    rdrop_alpha: float = option(
        0.0,
        "weight of R-Drop (Liang et al. 2021), which penalizes the divergence between two passes "
        "with different dropout; 5 for translation, 1 for classification; doubles the work; 0 "
        "turns it off",
        minimum=0.0,
    )
    log_every: int = option(50, "steps between log lines", minimum=1)
    eval_every: int = option(1000, "steps between validations", minimum=1)
    checkpoint_every: int = option(1000, "steps between checkpoints", minimum=1)
    keep_checkpoints: int = option(
        5, "number of newest checkpoints to keep, besides the best", minimum=1
    )
    average_checkpoints: int = option(
        5, "number of newest checkpoints to average at the end; 1 means no averaging", minimum=1
    )
    keep_best_metric: str = option(
        "", "metric that selects the best checkpoint; empty means the task's first metric"
    )
    early_stopping: int = option(
        0, "validations without improvement before training stops; 0 means never", minimum=0
    )

    def __post_init__(self):
        check_options(self)
        if self.average_checkpoints > self.keep_checkpoints:
            raise ConfigError(
                "average_checkpoints must not exceed keep_checkpoints. Received: "
                f"average_checkpoints={self.average_checkpoints}, "
                f"keep_checkpoints={self.keep_checkpoints}. "
                f"Use --keep_checkpoints={self.average_checkpoints}."
            )
        if self.weight_decay and self.optimizer != "adamw":
            raise ConfigError(
                f"weight_decay needs optimizer='adamw'. Received: optimizer={self.optimizer!r}, "
                f"weight_decay={self.weight_decay}. "
                "Use --weight_decay=0 or --optimizer=adamw."
            )

    def judged_by(self, metrics, task):
        """Returns a copy with a valid `keep_best_metric`, by default the first metric of the task.

        Args:
            metrics: names of the metrics that the task has.
            task: name of the task, for the error message.

        Raises:
            ConfigError: if the task has no metric named `keep_best_metric`.
        """
        if self.keep_best_metric and self.keep_best_metric not in metrics:
            raise ConfigError(
                f"keep_best_metric must be one of {', '.join(metrics)} for task={task!r}. "
                f"Received: {self.keep_best_metric!r}."
            )
        return dataclasses.replace(self, keep_best_metric=self.keep_best_metric or metrics[0])

    def check_dropout(self, *rates):
        """Checks that R-Drop has dropout to work with. Without it, its two passes would be equal.

        Args:
            *rates: the dropout rates in use. -1 stands for a rate that is not yet known.

        Raises:
            ConfigError: if `rdrop_alpha` is above 0 and all rates are 0.
        """
        if self.rdrop_alpha and not any(rates):
            raise ConfigError(
                f"rdrop_alpha needs dropout. Received: rdrop_alpha={self.rdrop_alpha:g}, all "
                "dropout rates 0. Use a dropout rate above 0, or leave out --rdrop_alpha."
            )


@dataclasses.dataclass(frozen=True)
class TrainingConfig(LearningConfig):
    """How an encoder-decoder is trained."""

    initial_run: str = option(
        "",
        "run folder whose weights, sizes and tokenizers to start from, for training on other "
        "data; empty means from scratch",
    )
    max_tokens: int = option(
        4096, "positions per micro-batch, on each of the source and target sides", minimum=16
    )
    eval_decode: int = option(
        200,
        "validation examples to decode and score at each validation; at least 2,000 at the end; "
        "0 means none",
        minimum=0,
    )


@dataclasses.dataclass(frozen=True)
class TaskConfig:
    """The task that a pretrained model is fine-tuned for, and which of its weights are trained."""

    task: str = option(
        "classification",
        "classification (one label per text), multilabel (several), regression (a number), spans "
        "(an answer in a context) or text2text (a text)",
        choices=("classification", "multilabel", "regression", "spans", "text2text"),
    )
    pretrained: str = option(
        "none",
        "run folder of train.py or finetune.py, Hugging Face folder, hf://owner/name or KerasHub "
        "preset; text2text takes only a run folder; none trains from scratch with the model and "
        "tokenizer flags",
    )
    max_length: int = option(
        0,
        "longest input in tokens, of each text with pair_encoding=bi or text2text; longer inputs "
        "are truncated; spans reads them in windows; text2text drops pairs with a longer target, "
        "for translation also those with a longer source; 0 means 128, for text2text the run's own",
        minimum=0,
    )
    pair_encoding: str = option(
        "cross",
        "how to encode a pair of texts: cross encodes both together; bi encodes each alone and "
        "compares them",
        choices=("cross", "bi"),
    )
    stride: int = option(64, "overlap of two windows in tokens, for spans", minimum=0)
    longest_answer: int = option(
        30, "longest answer in tokens, for spans; long Chinese answers need more", minimum=1
    )
    language: str = option(
        "",
        "language code such as en or zh; sets the scoring rules for spans (empty: SQuAD's) and the "
        "BLEU tokenization for text2text (empty: the run's target language)",
    )
    pooling: str = option(
        "mean",
        "how to pool token vectors into one vector per text",
        choices=("mean", "first", "max"),
    )
    head_dropout: float = option(0.1, "dropout in the task's head", minimum=0.0, maximum=0.99)
    encoder_dropout: float = option(
        -1.0, "dropout of the pretrained model; -1 keeps its own", minimum=-1.0, maximum=0.99
    )
    class_weights: str = option(
        "none",
        "balanced makes rare classes count as much as frequent ones",
        choices=("none", "balanced"),
    )
    tuning: str = option(
        "full",
        "what to train: full (all weights), head (only the head) or lora (LoRA matrices, Hu et al. "
        "2022, and the head if there is one)",
        choices=("full", "head", "lora"),
    )
    lora_rank: int = option(8, "rank of the LoRA matrices", minimum=1)
    lora_alpha: float = option(
        16.0, "LoRA's alpha; the update is scaled by alpha / rank", minimum=0.0
    )
    lora_targets: tuple = option(
        ("attention", "feed_forward"), "projections that get LoRA: attention, feed_forward"
    )

    def __post_init__(self):
        check_options(self)
        if not self.lora_targets or {*self.lora_targets} - {"attention", "feed_forward"}:
            raise ConfigError(
                "lora_targets must be attention, feed_forward or both. Received: "
                f"{','.join(self.lora_targets) or 'none'}."
            )
        if 0 < self.max_length < 8:
            raise ConfigError(f"max_length must be at least 8. Received: {self.max_length}.")
        if self.task == "spans" and self.stride >= self.input_length - 8:
            raise ConfigError(
                "stride must be less than max_length - 8, so that each window has new text. "
                "Received: "
                f"stride={self.stride}, max_length={self.input_length}. Use a smaller --stride."
            )
        if self.pair_encoding == "bi" and self.task == "spans":
            raise ConfigError(
                "task='spans' must encode question and context together. Received: "
                "pair_encoding='bi'. Use --pair_encoding=cross."
            )
        if self.encoder_dropout >= 0 and self.pretrained == "none" and self.task != "text2text":
            raise ConfigError(
                "encoder_dropout sets the dropout of a pretrained encoder. Received: "
                "pretrained='none'. Use --dropout instead."
            )
        if not self.pretrained:
            raise ConfigError(
                "pretrained must name a model, or be none to train from scratch. Received: ''. Use "
                "--pretrained=none."
            )
        if self.class_weights != "none" and self.task != "classification":
            raise ConfigError(
                f"class_weights={self.class_weights!r} needs task='classification'. Received: "
                f"task={self.task!r}."
            )
        if self.task == "text2text":
            self._check_text2text()

    def _check_text2text(self):
        options = ("pair_encoding", "stride", "longest_answer", "pooling", "head_dropout")
        given = [
            f"{name}={value}"
            for name in options
            if (value := getattr(self, name)) != getattr(TaskConfig, name)
        ]
        given += ["tuning=head"] if self.tuning == "head" else []
        if given:
            raise ConfigError(
                "task='text2text' has no pair encoding, no windows and no head. Received: "
                f"{', '.join(given)}. Leave out these options."
            )

    @property
    def pretrained_dropout(self):
        """Dropout rate that replaces the pretrained model's own, or None to keep its own."""
        return None if self.encoder_dropout < 0 else self.encoder_dropout

    @property
    def input_length(self):
        """The longest input of an encoder, in tokens."""
        return self.max_length or 128


@dataclasses.dataclass(frozen=True)
class FinetuningConfig(LearningConfig):
    """How a pretrained model is fine-tuned.

    The length of the training is counted in epochs, and the batch size in texts.
    """

    epochs: int = option(3, "number of passes over the training texts", minimum=1)
    initial_seed: int = option(
        -1,
        "seed of new weights, such as the head's, so that runs with different --seed start from "
        "the same weights; -1 means --seed",
        minimum=-1,
        maximum=2**32 - 1,
    )
    batch_size: int = option(
        32,
        "texts per micro-batch; for text2text an average, since a row may hold several pairs",
        minimum=1,
    )
    eval_decode: int = option(
        200,
        "validation texts to decode greedily at each validation, for text2text; 0 means none",
        minimum=0,
    )
    warmup_share: float = option(
        0.1,
        "share of the updates before the learning rate reaches its peak",
        minimum=0.0,
        maximum=1.0,
    )
    train_steps: int = option(1, "computed from epochs", minimum=1, flag=False)
    warmup_steps: int = option(0, "computed from warmup_share", minimum=0, flag=False)
    optimizer: str = option("adamw", "optimizer", choices=("adam", "adamw"))
    learning_rate: float = option(5e-5, "peak learning rate", minimum=0.0)
    schedule: str = option(
        "linear",
        "learning-rate schedule after warm-up",
        choices=("inverse_sqrt", "noam", "cosine", "linear", "constant"),
    )
    adam_beta_2: float = option(
        0.999, "decay rate of the mean of the squared gradient", minimum=0.0, maximum=0.999999
    )
    adam_epsilon: float = option(1e-8, "Adam's epsilon, added to the denominator", minimum=0.0)
    weight_decay: float = option(
        0.01, "decoupled weight decay; needs --optimizer=adamw", minimum=0.0
    )
    clip_norm: float = option(
        1.0, "clip the gradient to this global norm; 0 means no clipping", minimum=0.0
    )
    label_smoothing: float = option(
        0.0,
        "probability mass spread over the classes; for text2text, over the vocabulary",
        minimum=0.0,
        maximum=0.99,
    )
    log_every: int = option(20, "steps between log lines", minimum=1)
    eval_every: int = option(0, "steps between validations; 0 means once per epoch", minimum=0)
    checkpoint_every: int = option(200, "steps between checkpoints", minimum=1)
    keep_checkpoints: int = option(
        1, "number of newest checkpoints to keep, besides the best", minimum=1
    )
    average_checkpoints: int = option(
        1, "number of newest checkpoints to average at the end; 1 means no averaging", minimum=1
    )
    keep_best_metric: str = option(
        "",
        "metric that selects the best checkpoint; empty means the task's own: accuracy, "
        "f1_micro, spearman, f1 or bleu",
    )

    def counted(self, steps_per_epoch):
        """Returns a copy with the step counts that follow from the number of epochs.

        Args:
            steps_per_epoch: number of updates in an epoch.

        Returns:
            A FinetuningConfig with `train_steps` and `warmup_steps` set, and with `eval_every` set
            to one epoch if it was 0.
        """
        steps = self.epochs * steps_per_epoch
        return dataclasses.replace(
            self,
            train_steps=steps,
            warmup_steps=round(self.warmup_share * steps),
            eval_every=self.eval_every or steps_per_epoch,
        )


@dataclasses.dataclass(frozen=True)
class DecodingConfig:
    """How a trained model generates text.

    It searches with a beam of `beam_size`, where 1 is greedy search. A `temperature` above 0
    samples instead.
    """

    beam_size: int = option(
        4, "number of hypotheses in beam search; 1 means greedy search", minimum=1
    )
    length_penalty: float = option(
        0.6, "alpha of the GNMT penalty ((5 + length) / 6) ^ alpha; 0 means no penalty", minimum=0.0
    )
    n_best: int = option(1, "number of outputs to return for each input", minimum=1)
    max_length: int = option(
        0, "longest output in tokens; 0 means 2 x source length + 10", minimum=0
    )
    min_length: int = option(0, "shortest output in tokens", minimum=0)
    no_repeat_ngram: int = option(
        0, "size of n-grams that may not occur twice; 0 means no limit", minimum=0
    )
    temperature: float = option(
        0.0, "above 0, sample from softmax(logits / temperature) instead of searching", minimum=0.0
    )
    top_k: int = option(0, "sample from the k likeliest tokens; 0 means all", minimum=0)
    top_p: float = option(
        1.0,
        "sample from the likeliest tokens whose probabilities sum to p",
        minimum=0.0,
        maximum=1.0,
    )
    sampling_seed: int = option(1, "random seed of sampling", minimum=0, maximum=2**32 - 1)

    def __post_init__(self):
        check_options(self)
        if self.n_best > self.beam_size and not self.temperature:
            raise ConfigError(
                f"n_best must not exceed beam_size. Received: n_best={self.n_best}, "
                f"beam_size={self.beam_size}. "
                f"Use --beam_size={self.n_best}."
            )
        if self.n_best > 1 and self.temperature:
            raise ConfigError(
                "sampling (temperature above 0) returns one output per input. Received: "
                f"n_best={self.n_best}. Use --n_best=1."
            )
        if 0 < self.max_length <= self.min_length:
            raise ConfigError(
                f"min_length must be less than max_length. Received: min_length={self.min_length}, "
                f"max_length={self.max_length}. Use a smaller --min_length."
            )

    @property
    def greedy(self):
        """A copy with greedy search: one hypothesis, the most likely token at each step."""
        return dataclasses.replace(self, beam_size=1, n_best=1, temperature=0.0)
