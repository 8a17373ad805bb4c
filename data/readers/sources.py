"""Loads pairs of texts from built-in corpora, parallel files, files of examples, or TFDS datasets.

`load_examples` returns {"train": [(source, target), ...], "validation": [...], "test": [...]}.
Questions and pairs with a prefix are `data.pairs.Pair`.
"""

import hashlib
import itertools
import operator
import os

from data.config import DataConfig, DataError
from data.pairs import Pair, prefixed
from data.readers.files import check_columns, is_text, read_lines, read_rows, resolve
from data.readers.questions import context_of, holds_questions, pair_of, read_questions
from data.readers.squad import questions_of

SPLITS = ("train", "validation", "test")


def load_examples(config: DataConfig):
    """Loads the pairs of texts that the configuration names.

    A split that is not given is taken from the training data, by a hash of the source text (of the
    context, for questions). The same text always goes to the same split.

    Args:
        config: `DataConfig`.

    Returns:
        {"train", "validation", "test"} -> list of (source, target) or of `Pair`.

    Raises:
        DataError: no source or several sources are named, or a file is missing, broken or
            misaligned.
    """
    kind = source_kind(config)
    if kind == "corpus":
        from data.corpora.registry import CORPORA

        splits = CORPORA[config.corpus](config.corpus_size, seed=1)
    elif kind == "tfds":
        splits = _load_tfds(config)
    else:
        load = _load_parallel if kind == "source_train" else _load_example_files
        splits = {split: load(config, split) for split in SPLITS}
    splits = complete_splits(splits, config.validation_share, config.test_share, text=_split_text)
    for split in SPLITS:
        if not splits[split]:
            raise DataError(
                f"every split needs pairs. Received: none for {split}. Name its files, or check "
                "--validation_share and --test_share."
            )
    if config.lowercase:
        splits = {split: list(map(lowercase, pairs)) for split, pairs in splits.items()}
    return splits


def _split_text(pair):
    """Returns the text that decides a pair's split: the context of a question, or else the source.

    A prefix does not count, since it may not be in other files.
    """
    if not isinstance(pair, Pair):
        return pair[0]
    return context_of(pair.source) or pair.source.removeprefix(f"{pair.kind} ")


def lowercase(pair):
    """Returns a pair in lower case, with all its accepted targets."""
    if isinstance(pair, Pair):
        return Pair(
            pair.source.lower(), pair.target.lower(), pair.kind, tuple(map(str.lower, pair.others))
        )
    return tuple(map(str.lower, pair))


# The flags of each kind of source. A kind is named after its first flag, which must be set.
KINDS = {
    "corpus": ("corpus",),
    "source_train": tuple(f"{side}_{split}" for split in SPLITS for side in ("source", "target")),
    "examples_train": tuple(f"examples_{split}" for split in SPLITS),
    "tfds": ("tfds",),
}


def source_kind(config, kinds=KINDS):
    """Returns the kind of source that is set.

    Args:
        config: `DataConfig`, or another configuration with the flags of `kinds`.
        kinds: {kind: its flags}. A kind is named after its first flag.

    Returns:
        A key of `kinds`. By default "corpus", "source_train", "examples_train" or "tfds".

    Raises:
        DataError: no kind is set, or flags of more than one.
    """
    given = {
        kind: [name for name in names if getattr(config, name)] for kind, names in kinds.items()
    }
    found = [kind for kind, names in given.items() if names]
    if len(found) != 1 or not getattr(config, found[0]):
        received = ", ".join(f"--{name}" for names in given.values() for name in names) or "none"
        raise DataError(
            "the training data must come from exactly one of "
            f"{', '.join(f'--{kind}' for kind in kinds)}. Received: {received}. Set one of these "
            f"flags. To unset a flag, leave its value empty: --{next(iter(kinds))}=."
        )
    return found[0]


def input_files(config):
    """Returns the paths of all files that are read.

    They include the files of a prepared TFDS dataset, and of a corpus of Python source.

    Args:
        config: `DataConfig`.

    Returns:
        A list of paths.

    Raises:
        DataError: a file is missing, or the TFDS dataset cannot be prepared.
    """
    if config.corpus in ("docstrings", "functions"):
        from data.corpora.installed import python_files

        return [path for _, path in python_files()]
    if config.tfds:
        folder = tfds_builder(config).data_path
        return sorted(os.path.join(folder, name) for name in os.listdir(folder))
    fields = [f"{side}_{split}" for split in SPLITS for side in ("source", "target", "examples")]
    return [
        path for name in fields for path in resolve(getattr(config, name), config.data_dir, name)
    ]


def _load_parallel(config, split):
    flags = f"source_{split}", f"target_{split}"
    paths = [resolve(getattr(config, flag), config.data_dir, flag) for flag in flags]
    if bool(paths[0]) != bool(paths[1]):
        raise DataError(
            f"--{flags[0]} and --{flags[1]} must be used together. Received: only one of them. "
            "Set both."
        )
    sides = [[read_lines(path) for path in side] for side in paths]
    # If both sides have the same number of files, they are compared file by file. Otherwise a line
    # too many in one file and a line too few in another would cancel out.
    groups = (
        zip(*paths, *sides)
        if len(paths[0]) == len(paths[1])
        else [(*map(", ".join, paths), *map(_joined, sides))]
    )
    for source_path, target_path, sources, targets in groups:
        if len(sources) != len(targets):
            raise DataError(
                f"source and target must have the same number of lines. Received: {len(sources)} "
                f"lines in {source_path}, {len(targets)} lines in {target_path}."
            )
    return list(zip(*map(_joined, sides)))


def _joined(lists):
    return [item for one in lists for item in one]


def _load_example_files(config, split):
    flag, pairs = f"examples_{split}", []
    files = getattr(config, flag)
    if config.prefixes and files and len(files) != len(config.prefixes):
        raise DataError(
            f"--prefixes must have one value for each file of --{flag}. Received: "
            f"{len(config.prefixes)} values, {len(files)} files."
        )
    for file, prefix in itertools.zip_longest(
        files, config.prefixes if files else (), fillvalue=""
    ):
        for path in resolve((file,), config.data_dir, flag):
            found = read_examples(path, flag, _columns(config))
            pairs += [prefixed(pair, prefix) for pair in found] if prefix else found
    return pairs


def read_examples(path, flag="examples", columns=None):
    """Reads the pairs of a file of examples.

    The file has rows with columns (.tsv, .csv, .jsonl), or questions (SQuAD's .json, bAbI's .txt).

    Args:
        path: the file, .gz or not.
        flag: str, the flag that named the file, for the message.
        columns: {flag: column} of source and target. By default "source" and "target".

    Returns:
        A list of (source, target) or of `Pair`.

    Raises:
        DataError: the file cannot be read or has another form. The message names the line.
    """
    if holds_questions(path):
        return read_questions(path)
    pairs = read_rows(path, flag, columns or {"source_column": "source", "target_column": "target"})
    for number, pair in pairs:
        if not all(map(is_text, pair)):
            raise DataError(
                f"a row must have a source and a target, both text. Received: {path}, line "
                f"{number}: {pair}."
            )
    return [tuple(pair) for _, pair in pairs]


def _columns(config):
    return {flag: getattr(config, flag) for flag in ("source_column", "target_column")}


def tfds_builder(config):
    """Returns the builder of a TFDS dataset, which is downloaded and prepared.

    Args:
        config: a configuration with `tfds` and `tfds_data_dir`.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        DataError: the dataset is unknown, or it is not prepared and cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    options = {"data_dir": os.path.expanduser(config.tfds_data_dir)} if config.tfds_data_dir else {}
    try:
        builder = tfds.builder(config.tfds, **options)
        builder.download_and_prepare()
    except Exception as error:
        # TFDS also raises the errors of its download libraries.
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise DataError(
            "--tfds must name a dataset that is prepared in --tfds_data_dir or can be "
            f"downloaded. Received: {config.tfds} ({reason}). See "
            "tensorflow.org/datasets/catalog."
        ) from None
    return builder


# The names of splits in TFDS datasets. MNLI has two validation splits. The matched one is the one
# that is usually reported.
_TFDS_SPLITS = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev", "validation_matched"),
    "test": ("test",),
}


def tfds_rows(builder):
    """Returns the rows of a prepared TFDS dataset.

    Args:
        builder: `tfds.core.DatasetBuilder`.

    Returns:
        {"train", "validation", "test"} -> iterable of {feature: value}, empty if the dataset has no
        such split.
    """
    import tensorflow_datasets as tfds

    rows = {}
    for split, names in _TFDS_SPLITS.items():
        name = next((name for name in names if name in builder.info.splits), None)
        rows[split] = (
            tfds.as_numpy(builder.as_dataset(split=name, shuffle_files=False)) if name else ()
        )
    return rows


def _load_tfds(config):
    import tensorflow_datasets as tfds

    builder, columns = tfds_builder(config), _columns(config)
    features = builder.info.features
    default = list(columns.values()) == ["source", "target"]
    if default and {"question", "context", "answers"} <= set(features):
        return _question_splits(tfds_rows(builder), f"TFDS {config.tfds}")
    if default:
        columns = dict(zip(columns, builder.info.supervised_keys or features))
    check_columns(f"TFDS {config.tfds}", columns, features)
    kinds = {column: features[column] for column in columns.values()}
    if not all(isinstance(kind, tfds.features.Text) for kind in kinds.values()):
        raise DataError(
            f"--source_column and --target_column must be text. Received: {kinds} of TFDS "
            f"{config.tfds}."
        )
    return {
        split: [tuple(row[column].decode("utf-8") for column in kinds) for row in rows]
        for split, rows in tfds_rows(builder).items()
    }


def _question_splits(rows, where):
    """Returns questions in SQuAD's form as pairs.

    Without test data, the validation data becomes the test data: published scores are of it.
    """
    splits = {
        split: list(map(pair_of, questions_of(found, f"{where} {split}")))
        for split, found in rows.items()
    }
    return splits if splits["test"] else {**splits, "validation": [], "test": splits["validation"]}


def complete_splits(splits, validation_share, test_share, text=operator.itemgetter(0)):
    """Fills empty validation and test splits with training pairs.

    A pair's split depends only on a hash of its text, by default the source. So a source with
    several targets never occurs in two splits.

    >>> complete_splits({"train": [("a", "1"), ("b", "2"), ("a", "3"), ("k", "4")]}, 0.3, 0.3)
    {'train': [('a', '1'), ('a', '3')], 'validation': [('b', '2')], 'test': [('k', '4')]}

    Args:
        splits: {split: list of examples}.
        validation_share: float, the share of the training data, if validation is empty.
        test_share: float, the share of the training data, if the test is empty.
        text: function from an example to the text whose hash decides.

    Returns:
        {split: list of examples}.
    """
    wanted = {"validation": validation_share, "test": test_share}
    missing = {split: share for split, share in wanted.items() if not splits.get(split)}
    if not missing:
        return splits
    result = {**splits, "train": [], **{split: [] for split in missing}}
    for pair in splits["train"]:
        place, chosen = _unit_hash(text(pair)), "train"
        for split, share in missing.items():
            if place < share:
                chosen = split
                break
            place -= share
        result[chosen].append(pair)
    return result


def _unit_hash(text):
    """Returns a number in [0, 1) that depends on the text alone."""
    return (
        int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
        / 2**64
    )
