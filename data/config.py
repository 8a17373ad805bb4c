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
        "what the target is of the source, so how it is cleaned, cut and scored: translation, "
        "summarization, question_answering, code, text2text, or another of "
        "transformer/tasks/text_to_text.py",
    )
    corpus: str = option(
        "",
        "built-in corpus; docstrings and functions are read from the Python source that is "
        "installed",
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
        (), "files or globs of source texts, one a line, .gz too, comma-separated"
    )
    target_train: tuple = option(
        (), "the same for the target; line n belongs to line n of the source"
    )
    source_validation: tuple = option(
        (), "the same for validation; without it a share of the training data"
    )
    target_validation: tuple = option((), "its translations")
    source_test: tuple = option((), "the same for the test")
    target_test: tuple = option((), "its translations")
    examples_train: tuple = option(
        (),
        "files of pairs instead: .tsv, .csv or .jsonl; of questions: SQuAD's .json, bAbI's "
        ".txt; .gz too",
    )
    examples_validation: tuple = option((), "the same for validation")
    examples_test: tuple = option((), "the same for the test")
    prefixes: tuple = option(
        (),
        "one for each of these files in their order, put before its sources: <2de>,<2zh> or "
        "summarize:",
    )
    weights: tuple = option(
        (), "one for each training file: how often an epoch has its pairs, such as 1,0.5,3"
    )
    source_column: str = option(
        "source", "name of the source's column, or its number from 1 in a file without header"
    )
    target_column: str = option("target", "the same for the target")
    tfds: str = option("", "TFDS data set of text pairs, such as ted_hrlr_translate/pt_to_en")
    tfds_data_dir: str = option("", "folder of prepared TFDS data; empty: TFDS's own")
    validation_share: float = option(
        0.02, "of the training data, where no validation data is given", minimum=0.0, maximum=0.5
    )
    test_share: float = option(
        0.02, "of the training data, where no test data is given", minimum=0.0, maximum=0.5
    )
    source_language: str = option("", "code such as en, de, zh; empty: unknown")
    target_language: str = option(
        "",
        "the same for the target; de-x-tok: tokenised German, of which BLEU takes the words as "
        "they stand",
    )
    lowercase: bool = option(False, "lowercase all text")
    copy_unknown: bool = option(
        False,
        "quoted strings, names, and words that are no piece of the vocabulary become symbols, "
        "which "
        "are copied (transformer/text/symbols.py)",
    )
    clean: bool = option(
        True, "repair training text, drop pairs that teach nothing; see data_report.json"
    )
    max_length_ratio: float = option(
        9.0,
        "for translation: drop training pairs with one side this many times longer",
        minimum=1.0,
    )
    max_source_length: int = option(
        128,
        "longest source in tokens; translation drops longer training pairs and reads longer "
        "input in pieces, the other tasks cut their ends off",
        minimum=4,
    )
    max_target_length: int = option(128, "drop longer training pairs (tokens)", minimum=4)

    def __post_init__(self):
        check_options(self)
        if self.corpus in MADE_FOR and self.task == "translation":
            raise ConfigError(
                f"corpus {self.corpus!r} is no translation. Received: --task=translation, which "
                f"is "
                f"the default. "
                f"Add --task={MADE_FOR[self.corpus]}."
            )
        for name in ("prefixes", "weights"):
            values = getattr(self, name)
            if values and len(values) != len(self.examples_train):
                raise ConfigError(
                    f"{name} must be as many as the files of examples_train. Received: "
                    f"{len(values)} for "
                    f"{len(self.examples_train)}. Write one for each, separated by commas."
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
                "weights need prefixes that differ, by which the pairs are told apart. Received: "
                f"prefixes={','.join(self.prefixes)!r}. Use --prefixes."
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
        (), "the same for validation; without it a share of the training data"
    )
    test_files: tuple = option((), "the same for the test")
    data_dir: str = option("", "folder that the file names are relative to")
    delimiter: str = option(
        "",
        "between columns; empty: by the file's name; space: at the first spaces only",
        choices=("", "tab", "comma", "space"),
    )
    tfds: str = option(
        "",
        "TFDS data set instead, such as glue/sst2 or squad; published scores are of its "
        "validation "
        "data, "
        "so without labelled test data that is the test",
    )
    tfds_data_dir: str = option("", "folder of prepared TFDS data; empty: TFDS's own")
    text_column: str = option(
        "text", "name of the text's column, or its number from 1 in a file without header"
    )
    pair_column: str = option("", "the same for a second text; empty: one text")
    label_column: str = option(
        "label", "the same for the label, or the target text; several labels are comma-separated"
    )
    labels: tuple = option(
        (), "names of the labels in their order; empty: those in the training data, sorted"
    )
    labels_file: str = option(
        "", "file of these names, one a line; labels that are numbers count its lines from 0"
    )
    validation_share: float = option(
        0.02, "of the training data, where no validation data is given", minimum=0.0, maximum=0.5
    )
    test_share: float = option(
        0.02, "of the training data, where no test data is given", minimum=0.0, maximum=0.5
    )
    lowercase: bool = option(False, "lowercase all text")

    def __post_init__(self):
        check_options(self)
        if self.labels and self.labels_file:
            raise ConfigError(
                f"labels come from one place. Received: --labels and "
                f"--labels_file={self.labels_file}. Give one."
            )
        if len(set(self.labels)) < len(self.labels):
            raise ConfigError(
                f"labels must differ from each other. Received: {', '.join(self.labels)}. Name "
                f"each once."
            )
