"""Where sentence pairs come from: built-in corpora, parallel files, TSV or JSONL files, TFDS data sets.

`load_examples(config)` gives {"train": [(source, target), ...], "validation": [...], "test": [...]}.
"""

import glob
import gzip
import hashlib
import json
import os
import re
import zlib

from data.config import DataConfig, DataError

SPLITS = ("train", "validation", "test")
# Half a character, which JSON can write ("\\ud800") and nobody can read.
_HALF = re.compile("[\ud800-\udfff]")


def load_examples(config: DataConfig):
    """Loads the pairs of text that the configuration names.

    Returns:
        {"train", "validation", "test"} -> lists of (source, target). A split that is not given is taken from the
        training data by a hash of the source text: the same text always goes to the same split.

    Raises:
        DataError: no source or several are named, a file is missing, broken or misaligned.
    """
    kind = source_kind(config)
    if kind == "corpus":
        from data.corpora import CORPORA

        splits = CORPORA[config.corpus](config.corpus_size, seed=1)
    elif kind == "tfds":
        splits = _load_tfds(config)
    else:
        load = _load_parallel if kind == "source_train" else _load_example_files
        splits = {split: load(config, split) for split in SPLITS}
    splits = complete_splits(splits, config.validation_share, config.test_share)
    for split in SPLITS:
        if not splits[split]:
            raise DataError(f"every split needs pairs. Received: none for {split}. Name its files, or use a larger share.")
    if config.lowercase:
        splits = {split: [(s.lower(), t.lower()) for s, t in pairs] for split, pairs in splits.items()}
    return splits


# The flags of each kind of source; the first says that it is this kind.
_KINDS = {
    "corpus": ("corpus",),
    "source_train": tuple(f"{side}_{split}" for split in SPLITS for side in ("source", "target")),
    "examples_train": tuple(f"examples_{split}" for split in SPLITS),
    "tfds": ("tfds",),
}


def source_kind(config):
    """"corpus", "source_train", "examples_train" or "tfds": the one that is set.

    Raises:
        DataError: none is set, or flags of more than one.
    """
    given = {kind: [name for name in names if getattr(config, name)] for kind, names in _KINDS.items()}
    kinds = [kind for kind, names in given.items() if names]
    if len(kinds) != 1 or not getattr(config, kinds[0]):
        received = ", ".join(f"--{name}" for names in given.values() for name in names) or "none"
        raise DataError(
            "the data must come from one of --corpus, --source_train with --target_train, --examples_train, --tfds. "
            f"Received: {received}. Give the training data of one kind; a flag is unset by an empty value: --corpus=."
        )
    return kinds[0]


def input_files(config):
    """The paths of all files that the configuration names, those of a prepared TFDS data set included."""
    if config.tfds:
        folder = _tfds_builder(config).data_path
        return sorted(os.path.join(folder, name) for name in os.listdir(folder))
    fields = [f"{side}_{split}" for split in SPLITS for side in ("source", "target", "examples")]
    return [path for name in fields for path in resolve(getattr(config, name), config.data_dir, name)]


def resolve(patterns, data_dir, flag):
    """File names and globs -> existing paths, each pattern's matches sorted.

    Raises:
        DataError: a pattern matches nothing; the message names the flag and the path that was tried.
    """
    paths = []
    for pattern in patterns:
        folder, pattern = os.path.expanduser(data_dir), os.path.expanduser(pattern)
        full = os.path.join(folder, pattern)
        found = [full] if os.path.exists(full) else sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))
        if not found:
            raise DataError(f"--{flag} must name files that exist. Received: {full}. Check the name and --data_dir.")
        paths += found
    return paths


def read_lines(path):
    """The lines of a UTF-8 text file, .gz or not.

    Lines end at "\\n" alone (a "\\r" before it is dropped): other separators that Unicode knows are part of the text, and
    to split at them would misalign the files.

    Raises:
        DataError: a line is not UTF-8; the message names file and line.
    """
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:  # a .gz that is cut off or damaged
        raise DataError(f"a data file must be readable. Received: {path} ({error}).") from None
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"text must be UTF-8. Received: {path}, line {number} ({error.reason}). Convert it.") from None
    return texts


def _load_parallel(config, split):
    flags = f"source_{split}", f"target_{split}"
    paths = [resolve(getattr(config, flag), config.data_dir, flag) for flag in flags]
    if bool(paths[0]) != bool(paths[1]):
        raise DataError(f"--{flags[0]} and --{flags[1]} belong together. Received only one of them.")
    sides = [[read_lines(path) for path in side] for side in paths]
    # As many files on both sides are compared one by one: a line too many here and one too few there would add up.
    groups = zip(*paths, *sides) if len(paths[0]) == len(paths[1]) else [(*map(", ".join, paths), *map(_joined, sides))]
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
    flag = f"examples_{split}"
    pairs = []
    for path in resolve(getattr(config, flag), config.data_dir, flag):
        name = path.removesuffix(".gz")
        if not name.endswith((".tsv", ".jsonl")):
            raise DataError(f"--{flag} takes .tsv and .jsonl files, .gz too. Received: {path}.")
        read = _read_tsv if name.endswith(".tsv") else _read_jsonl
        pairs += read(path, (config.source_column, config.target_column))
    return pairs


def _read_tsv(path, columns):
    rows = [(number, line.split("\t")) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    if all(column.isascii() and column.isdecimal() for column in columns):
        places = [int(column) - 1 for column in columns]
        if min(places) < 0:
            raise DataError(f"--source_column and --target_column count from 1. Received: {', '.join(columns)}.")
    else:
        header = rows.pop(0)[1] if rows else []
        _check_columns(path, columns, header)
        places = [header.index(column) for column in columns]
    for number, row in rows:
        if len(row) <= max(places):
            raise DataError(f"a row must have at least {max(places) + 1} columns. Received: {len(row)} in {path}, line {number}.")
    return [(row[places[0]], row[places[1]]) for _, row in rows]


def _read_jsonl(path, columns):
    pairs = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, and brackets 10,000 deep
            raise DataError(f"a line must be a JSON object. Received: {path}, line {number} ({error}).") from None
        if not isinstance(row, dict):
            raise DataError(f"a line must be a JSON object. Received: {path}, line {number}: {type(row).__name__}.")
        _check_columns(f"{path}, line {number}", columns, row)
        pair = tuple(row[column] for column in columns)
        if not all(isinstance(text, str) and not _HALF.search(text) for text in pair):
            raise DataError(f"source and target must be text. Received: {path}, line {number}: {pair!r}.")
        pairs.append(pair)
    return pairs


def _check_columns(where, columns, present):
    for column in columns:
        if column not in present:
            raise DataError(
                f"--source_column and --target_column must be columns of the file. Received: {column!r}; "
                f"{where} has {', '.join(map(repr, present))}."
            )


def _tfds_builder(config):
    """The builder of a TFDS data set, downloaded and prepared."""
    import tensorflow_datasets as tfds

    options = {"data_dir": os.path.expanduser(config.tfds_data_dir)} if config.tfds_data_dir else {}
    try:
        builder = tfds.builder(config.tfds, **options)
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises what its download libraries raise
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise DataError(
            f"--tfds must name a data set that is prepared in --tfds_data_dir or can be downloaded. Received: {config.tfds} "
            f"({reason}). See tensorflow.org/datasets/catalog."
        ) from None
    return builder


def _load_tfds(config):
    import tensorflow_datasets as tfds

    builder = _tfds_builder(config)
    columns = [config.source_column, config.target_column]
    if columns == ["source", "target"]:
        columns = list(builder.info.supervised_keys or builder.info.features)[:2]
    _check_columns(f"TFDS {config.tfds}", columns, builder.info.features)
    kinds = {column: builder.info.features[column] for column in columns}
    if not all(isinstance(kind, tfds.features.Text) for kind in kinds.values()):
        raise DataError(f"--source_column and --target_column must be text. Received: {kinds} of TFDS {config.tfds}.")
    names = {"validation": ("validation", "valid", "dev"), "test": ("test",), "train": ("train",)}
    splits = {}
    for split in SPLITS:
        name = next((name for name in names[split] if name in builder.info.splits), None)
        rows = tfds.as_numpy(builder.as_dataset(split=name, shuffle_files=False)) if name else ()
        splits[split] = [tuple(row[column].decode("utf-8") for column in columns) for row in rows]
    return splits


def complete_splits(splits, validation_share, test_share):
    """Takes the splits that are empty from the training pairs.

    >>> complete_splits({"train": [("a", "1"), ("b", "2"), ("a", "3"), ("k", "4")]}, 0.3, 0.3)
    {'train': [('a', '1'), ('a', '3')], 'validation': [('b', '2')], 'test': [('k', '4')]}

    A pair's split depends on a hash of its source alone, so that a source with several targets never stands in two.
    """
    wanted = {"validation": validation_share, "test": test_share}
    missing = {split: share for split, share in wanted.items() if not splits.get(split)}
    if not missing:
        return splits
    result = {**splits, "train": [], **{split: [] for split in missing}}
    for pair in splits["train"]:
        place, chosen = _unit_hash(pair[0]), "train"
        for split, share in missing.items():
            if place < share:
                chosen = split
                break
            place -= share
        result[chosen].append(pair)
    return result


def _unit_hash(text):
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64
