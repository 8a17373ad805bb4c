"""Where sentence pairs come from: built-in corpora, parallel files, files of examples, TFDS data
sets.

`load_examples(config)` gives {"train": [(source, target), ...], "validation": [...], "test":
[...]}. The pairs of questions are data.pairs.Pair.
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
    """Loads the pairs of text that the configuration names.

    Returns:
        {"train", "validation", "test"} -> lists of (source, target), or of Pair. A split that is
        not given is taken from the training data by a hash of the source text (of a question's
        context): the same text always goes to the same split.

    Raises:
        DataError: no source or several are named, a file is missing, broken or misaligned.
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
                f"every split needs pairs. Received: none for {split}. Name its files, or use a "
                f"larger share."
            )
    if config.lowercase:
        splits = {split: list(map(lowercase, pairs)) for split, pairs in splits.items()}
    return splits


def _split_text(pair):
    """What decides a pair's split: a question's context, else the source, without the prefix
    that other files do not have."""
    if not isinstance(pair, Pair):
        return pair[0]
    return context_of(pair.source) or pair.source.removeprefix(f"{pair.kind} ")


def lowercase(pair):
    """A pair in lower case, with all its accepted targets."""
    if isinstance(pair, Pair):
        return Pair(
            pair.source.lower(), pair.target.lower(), pair.kind, tuple(map(str.lower, pair.others))
        )
    return tuple(map(str.lower, pair))


# The flags of each kind of source; the first says that it is this kind.
KINDS = {
    "corpus": ("corpus",),
    "source_train": tuple(f"{side}_{split}" for split in SPLITS for side in ("source", "target")),
    "examples_train": tuple(f"examples_{split}" for split in SPLITS),
    "tfds": ("tfds",),
}


def source_kind(config, kinds=KINDS):
    """ "corpus", "source_train", "examples_train" or "tfds", or another of `kinds`: the one that is
    set.

    Raises:
        DataError: none is set, or flags of more than one.
    """
    given = {
        kind: [name for name in names if getattr(config, name)] for kind, names in kinds.items()
    }
    found = [kind for kind, names in given.items() if names]
    if len(found) != 1 or not getattr(config, found[0]):
        received = ", ".join(f"--{name}" for names in given.values() for name in names) or "none"
        raise DataError(
            f"the data must come from one of {', '.join(f'--{kind}' for kind in kinds)}. "
            f"Received: "
            f"{received}. "
            f"Give the training data of one kind; a flag is unset by an empty value: "
            f"--{next(iter(kinds))}=."
        )
    return found[0]


def input_files(config):
    """The paths of all files that are read, those of a prepared TFDS data set and of a corpus of
    Python source included."""
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
            f"--{flags[0]} and --{flags[1]} belong together. Received only one of them."
        )
    sides = [[read_lines(path) for path in side] for side in paths]
    # As many files on both sides are compared one by one: a line too many here and one too few
    # there would add up.
    groups = (
        zip(*paths, *sides)
        if len(paths[0]) == len(paths[1])
        else [(*map(", ".join, paths), *map(_joined, sides))]
    )
    for source_path, target_path, sources, targets in groups:
        if len(sources) != len(targets):
            raise DataError(
                "source and target must have as many lines as each other. Received: "
                f"{len(sources)} lines in {source_path}, {len(targets)} lines in {target_path}."
            )
    return list(zip(*map(_joined, sides)))


def _joined(lists):
    return [item for one in lists for item in one]


def _load_example_files(config, split):
    flag, pairs = f"examples_{split}", []
    files = getattr(config, flag)
    if config.prefixes and files and len(files) != len(config.prefixes):
        raise DataError(
            f"--prefixes must be as many as the files of --{flag}. Received: "
            f"{len(config.prefixes)} for {len(files)}."
        )
    for file, prefix in itertools.zip_longest(
        files, config.prefixes if files else (), fillvalue=""
    ):
        for path in resolve((file,), config.data_dir, flag):
            found = read_examples(path, flag, _columns(config))
            pairs += [prefixed(pair, prefix) for pair in found] if prefix else found
    return pairs


def read_examples(path, flag="examples", columns=None):
    """The pairs of a file of examples: rows with columns (.tsv, .csv, .jsonl), or questions
    (SQuAD's .json, bAbI's .txt).

    Args:
        path: the file, .gz or not.
        flag: that named it, for the message.
        columns: {flag: column} of source and target; default: "source" and "target".

    Returns:
        list of (source, target), or of Pair.

    Raises:
        DataError: the file cannot be read or has another form; the message names the line.
    """
    if holds_questions(path):
        return read_questions(path)
    pairs = read_rows(path, flag, columns or {"source_column": "source", "target_column": "target"})
    for number, pair in pairs:
        if not all(map(is_text, pair)):
            raise DataError(
                f"a row must have source and target, which are text. Received: {path}, line "
                f"{number}: {pair}."
            )
    return [tuple(pair) for _, pair in pairs]


def _columns(config):
    return {flag: getattr(config, flag) for flag in ("source_column", "target_column")}


def tfds_builder(config):
    """The builder of a TFDS data set, downloaded and prepared."""
    import tensorflow_datasets as tfds

    options = {"data_dir": os.path.expanduser(config.tfds_data_dir)} if config.tfds_data_dir else {}
    try:
        builder = tfds.builder(config.tfds, **options)
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises what its download libraries raise
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise DataError(
            f"--tfds must name a data set that is prepared in --tfds_data_dir or can be "
            f"downloaded. Received: {config.tfds} "
            f"({reason}). See tensorflow.org/datasets/catalog."
        ) from None
    return builder


# What TFDS data sets call their splits; MNLI has two for validation, of which the matched one is
# reported.
_TFDS_SPLITS = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev", "validation_matched"),
    "test": ("test",),
}


def tfds_rows(builder):
    """{"train", "validation", "test"} -> iterables of {feature: value} of a prepared TFDS data
    set; empty where it has none."""
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
    """Questions as SQuAD has them; its validation data is that of published scores, and the test
    where there is none."""
    splits = {
        split: list(map(pair_of, questions_of(found, f"{where} {split}")))
        for split, found in rows.items()
    }
    return splits if splits["test"] else {**splits, "validation": [], "test": splits["validation"]}


def complete_splits(splits, validation_share, test_share, text=operator.itemgetter(0)):
    """Takes the splits that are empty from the training pairs.

    >>> complete_splits({"train": [("a", "1"), ("b", "2"), ("a", "3"), ("k", "4")]}, 0.3, 0.3)
    {'train': [('a', '1'), ('a', '3')], 'validation': [('b', '2')], 'test': [('k', '4')]}

    A pair's split depends on a hash of its source alone, so that a source with several targets
    never stands in two; of other examples than pairs, on a hash of `text(example)`.
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
    """A number in [0, 1) that depends on the text alone."""
    return (
        int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
        / 2**64
    )
