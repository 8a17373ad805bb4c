"""Where sentence pairs come from: built-in corpora, parallel files, TSV or JSONL files, TFDS data sets.

`load_examples(config)` gives {"train": [(source, target), ...], "validation": [...], "test": [...]}.
"""

import glob
import gzip
import hashlib
import json
import os
import zlib

from data.config import DataConfig, DataError

SPLITS = ("train", "validation", "test")


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
    """All files that the configuration names, in order: (split, side, path)."""
    fields = [(f"{side}_{split}", split, side) for split in SPLITS for side in ("source", "target", "examples")]
    return [
        (split, side, path) for name, split, side in fields for path in resolve(getattr(config, name), config.data_dir, name)
    ]


def resolve(patterns, data_dir, flag):
    """File names and globs -> existing paths, each pattern's matches sorted.

    Raises:
        DataError: a pattern matches nothing; the message names the flag and the path that was tried.
    """
    paths = []
    for pattern in patterns:
        full = os.path.join(os.path.expanduser(data_dir), os.path.expanduser(pattern))
        found = [full] if os.path.exists(full) else sorted(glob.glob(full))
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
    sides = []
    for side in ("source", "target"):
        flag = f"{side}_{split}"
        paths = resolve(getattr(config, flag), config.data_dir, flag)
        sides.append((flag, paths, [line for path in paths for line in read_lines(path)]))
    (source_flag, source_paths, sources), (target_flag, target_paths, targets) = sides
    if bool(source_paths) != bool(target_paths):
        raise DataError(f"--{source_flag} and --{target_flag} belong together. Received only one of them.")
    if len(sources) != len(targets):
        raise DataError(
            "source and target must have as many lines as each other. Received: "
            f"{len(sources)} lines in {', '.join(source_paths)}, {len(targets)} lines in {', '.join(target_paths)}."
        )
    return list(zip(sources, targets))


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
        if not all(isinstance(text, str) for text in pair):
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


def _load_tfds(config):
    import tensorflow_datasets as tfds

    options = {"data_dir": os.path.expanduser(config.tfds_data_dir)} if config.tfds_data_dir else {}
    try:
        builder = tfds.builder(config.tfds, **options)
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises what its download libraries raise
        raise DataError(
            f"--tfds must name a data set that is prepared in --tfds_data_dir or can be downloaded. Received: {config.tfds} "
            f"({type(error).__name__}: {str(error).strip().splitlines()[0]}). See tensorflow.org/datasets/catalog."
        ) from None
    columns = [config.source_column, config.target_column]
    if columns == ["source", "target"]:
        columns = list(builder.info.supervised_keys or builder.info.features)[:2]
    _check_columns(f"TFDS {config.tfds}", columns, builder.info.features)
    names = {"validation": ("validation", "valid", "dev"), "test": ("test",), "train": ("train",)}
    splits = {}
    for split in SPLITS:
        name = next((name for name in names[split] if name in builder.info.splits), None)
        rows = tfds.as_numpy(builder.as_dataset(split=name, shuffle_files=False)) if name else ()
        splits[split] = [tuple(row[column].decode("utf-8") for column in columns) for row in rows]
    return splits


def complete_splits(splits, validation_share, test_share):
    """Takes the splits that are empty from the training pairs.

    [("a", "1"), ("b", "2"), ("a", "3")] -> "a" goes to one split, with both of its targets.

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
