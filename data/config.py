"""Where the data comes from and what is done to it: a frozen dataclass whose fields are flags."""

import dataclasses

from transformer.config import check_options, option


class DataError(ValueError):
    """Data that cannot be used; the message gives the rule, what was found, where, and the cure."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """One kind of source is chosen: a built-in corpus, parallel files, files of examples, or a TFDS data set."""

    corpus: str = option("", "built-in corpus", choices=("", "reverse", "phrasebook_en_de", "phrasebook_en_zh"))
    corpus_size: int = option(50000, "training pairs drawn from the built-in corpus", minimum=1)
    data_dir: str = option("", "folder that the file names below are relative to")
    source_train: tuple = option((), "files or globs of source texts, one a line, .gz too, comma-separated")
    target_train: tuple = option((), "the same for the target; line n belongs to line n of the source")
    source_validation: tuple = option((), "the same for validation; without it a share of the training data")
    target_validation: tuple = option((), "its translations")
    source_test: tuple = option((), "the same for the test")
    target_test: tuple = option((), "its translations")
    examples_train: tuple = option((), "files of pairs instead: .tsv or .jsonl, .gz too")
    examples_validation: tuple = option((), "the same for validation")
    examples_test: tuple = option((), "the same for the test")
    source_column: str = option("source", "name of the source's column, or its number from 1 in a TSV without header")
    target_column: str = option("target", "the same for the target")
    tfds: str = option("", "TFDS data set of text pairs, such as ted_hrlr_translate/pt_to_en")
    tfds_data_dir: str = option("", "folder of prepared TFDS data; empty: TFDS's own")
    validation_share: float = option(0.02, "of the training data, where no validation data is given", minimum=0.0,
                                     maximum=0.5)
    test_share: float = option(0.02, "of the training data, where no test data is given", minimum=0.0, maximum=0.5)
    source_language: str = option("", "code such as en, de, zh; empty: unknown")
    target_language: str = option("", "the same for the target")
    lowercase: bool = option(False, "lowercase all text")
    clean: bool = option(True, "repair training text, drop pairs that teach nothing; see data_report.json")
    max_length_ratio: float = option(9.0, "drop training pairs with one side this many times longer than the other",
                                     minimum=1.0)
    max_source_length: int = option(128, "drop longer training pairs (tokens); longer input is cut in pieces", minimum=4)
    max_target_length: int = option(128, "drop longer training pairs (tokens)", minimum=4)

    def __post_init__(self):
        check_options(self)
