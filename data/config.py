"""Options for data: where it comes from and how it is prepared, as frozen dataclasses of flags."""

import dataclasses
import re

from transformer.config import ConfigError, check_options, option


class DataError(ValueError):
    """Raised when data cannot be used.

    The message states the rule, what was received and where, and what to do.
    """


# The tasks of the built-in corpora that are not translations.
MADE_FOR = {"stories": "question_answering", "docstrings": "summarization", "functions": "code"}


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Options for text-to-text data. Each field is also a flag.

    The data comes from exactly one kind of source: a built-in corpus, parallel files, files of
    examples, or a TFDS dataset.
    """

    task: str = option(
        "translation",
        "decides how data is cleaned, cut and scored: translation, summarization, "
        "question_answering, code, text2text, or another task of "
        "transformer/tasks/text_to_text.py",
    )
    corpus: str = option(
        "",
        "built-in corpus; docstrings and functions are read from installed Python source",
        choices=(
            "",
            "reverse",
            "phrasebook_en_de",
            "phrasebook_en_zh",
            "phrasebook_en_de_zh",
            "stories",
            "docstrings",
            "functions",
        ),
    )
    corpus_size: int = option(50000, "training pairs drawn from the built-in corpus", minimum=1)
    data_dir: str = option("", "folder that the file names below are relative to")
    source_train: tuple = option(
        (), "files or globs of source texts, comma-separated, one text per line, .gz too"
    )
    target_train: tuple = option(
        (), "the same for the target; line n belongs to line n of the source"
    )
    source_validation: tuple = option(
        (), "the same for validation; empty: a share of the training data"
    )
    target_validation: tuple = option((), "the same for the target of the validation data")
    source_test: tuple = option((), "the same for the test; empty: a share of the training data")
    target_test: tuple = option((), "the same for the target of the test data")
    examples_train: tuple = option(
        (),
        "files of pairs (.tsv, .csv, .jsonl) or questions (SQuAD's .json, bAbI's .txt), .gz too, "
        "instead of source_train and target_train",
    )
    examples_validation: tuple = option(
        (), "the same for validation; empty: a share of the training data"
    )
    examples_test: tuple = option((), "the same for the test; empty: a share of the training data")
    prefixes: tuple = option(
        (),
        "prefix of the sources of each examples file, in the order of the files, such as "
        "<2de>,<2zh> or summarize:",
    )
    weights: tuple = option(
        (), "how often an epoch uses the pairs of each training file, such as 1,0.5,3"
    )
    source_column: str = option(
        "source", "name of the source column, or its number, from 1, in a file without a header"
    )
    target_column: str = option("target", "the same for the target")
    tfds: str = option("", "TFDS dataset of text pairs, such as ted_hrlr_translate/pt_to_en")
    tfds_data_dir: str = option("", "folder of prepared TFDS data; empty: TFDS's default")
    validation_share: float = option(
        0.02,
        "share of the training data used for validation if no validation data is given",
        minimum=0.0,
        maximum=0.5,
    )
    test_share: float = option(
        0.02,
        "share of the training data used for the test if no test data is given",
        minimum=0.0,
        maximum=0.5,
    )
    source_language: str = option("", "language code such as en, de, zh; empty: unknown")
    target_language: str = option(
        "",
        "the same for the target; de-x-tok: tokenized German, which BLEU does not tokenize again",
    )
    lowercase: bool = option(False, "lowercase all text")
    copy_unknown: bool = option(
        False,
        "copy quoted strings, names and out-of-vocabulary words through symbols "
        "(transformer/text/symbols.py)",
    )
    clean: bool = option(
        True, "repair training texts and drop useless pairs; data_report.json lists them"
    )
    max_length_ratio: float = option(
        9.0,
        "translation only: drop training pairs with one side more than this many times longer "
        "than the other, in bytes",
        minimum=1.0,
    )
    max_source_length: int = option(
        128,
        "longest source in tokens; translation drops longer training pairs and splits longer "
        "inputs into chunks; other tasks cut the end off",
        minimum=4,
    )
    max_target_length: int = option(
        128, "longest target in tokens; longer training pairs are dropped", minimum=4
    )

    def __post_init__(self):
        check_options(self)
        if self.corpus in MADE_FOR and self.task == "translation":
            raise ConfigError(
                f"corpus {self.corpus!r} is not a translation corpus. Received: "
                f"--task=translation, which is the default. Use --task={MADE_FOR[self.corpus]}."
            )
        for name in ("prefixes", "weights"):
            values = getattr(self, name)
            if values and len(values) != len(self.examples_train):
                raise ConfigError(
                    f"{name} must have one value for each file of examples_train. Received: "
                    f"{len(values)} values, {len(self.examples_train)} files. Separate the "
                    "values with commas."
                )
        wrong = [
            weight
            for weight in self.weights
            if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", weight) or not float(weight)
        ]
        if wrong:
            raise ConfigError(f"weights must be numbers above 0. Received: {wrong[0]!r}.")
        if len({*self.prefixes}) < len(self.weights):
            raise ConfigError(
                "weights needs a different prefix for each training file. Received: "
                f"prefixes={','.join(self.prefixes)!r}. Set --prefixes."
            )

    @property
    def merges_spaces(self):
        """Whether white space, line breaks included, is merged into single spaces.

        Code keeps its white space, which has a meaning there.
        """
        return self.clean and self.task != "code"

    @property
    def cuts_sources(self):
        """Whether a source that is too long loses its end. A translation needs the whole source."""
        return self.task != "translation"


@dataclasses.dataclass(frozen=True)
class LabelledDataConfig:
    """Options for texts with labels, or questions with answers, from files or a TFDS dataset."""

    train_files: tuple = option(
        (),
        "files or globs, comma-separated: .tsv, .csv, .jsonl, for questions SQuAD's .json; .gz too",
    )
    validation_files: tuple = option(
        (), "the same for validation; empty: a share of the training data"
    )
    test_files: tuple = option((), "the same for the test; empty: a share of the training data")
    data_dir: str = option("", "folder that the file names are relative to")
    delimiter: str = option(
        "",
        "separator of the columns; empty: chosen by the file's extension; space: split at the "
        "first spaces only",
        choices=("", "tab", "comma", "space"),
    )
    tfds: str = option(
        "",
        "TFDS dataset instead of files, such as glue/sst2 or squad; if it has no labelled test "
        "data, its validation data is the test, as in published scores",
    )
    tfds_data_dir: str = option("", "folder of prepared TFDS data; empty: TFDS's default")
    text_column: str = option(
        "text", "name of the text column, or its number, from 1, in a file without a header"
    )
    pair_column: str = option("", "the same for a second text; empty: there is none")
    label_column: str = option(
        "label", "the same for the label, or the target text; several labels are comma-separated"
    )
    labels: tuple = option(
        (), "names of the labels, in order; empty: those in the training data, sorted"
    )
    labels_file: str = option(
        "", "file of the label names, one per line; a numeric label is a line number, from 0"
    )
    validation_share: float = option(
        0.02,
        "share of the training data used for validation if no validation data is given",
        minimum=0.0,
        maximum=0.5,
    )
    test_share: float = option(
        0.02,
        "share of the training data used for the test if no test data is given",
        minimum=0.0,
        maximum=0.5,
    )
    lowercase: bool = option(False, "lowercase all text")

    def __post_init__(self):
        check_options(self)
        if self.labels and self.labels_file:
            raise ConfigError(
                "--labels and --labels_file cannot be used together. Received: --labels and "
                f"--labels_file={self.labels_file}. Leave one out."
            )
        if len(set(self.labels)) < len(self.labels):
            raise ConfigError(
                f"labels must differ from each other. Received: {', '.join(self.labels)}. Name "
                "each label once."
            )
