"""Prepares pairs once: loads, cleans and tokenizes them, and caches the ids on disk.

The cache key is a hash of everything that the result depends on: the options, the bytes of the
input files, the versions of libraries, and the code that reads, cleans, tokenizes and packs. A
result is written into a temporary folder, which is renamed when it is complete.
"""

import collections
import dataclasses
import functools
import glob
import hashlib
import importlib.metadata
import itertools
import json
import operator
import os
import pathlib

import numpy as np

import transformer.config
import transformer.text.symbols
import transformer.text.tokenizer
from data.batches import Packing, Pairs, pack
from data.cleaning import clean
from data.config import DataConfig, DataError
from data.pairs import Pair
from data.readers.sources import SPLITS, input_files, load_examples, source_kind
from transformer.config import ConfigError, TokenizerConfig
from transformer.files import replacing_folder, write_json
from transformer.text.symbols import hide_pair
from transformer.text.tokenizer import (
    load_tokenizer,
    load_tokenizers,
    save_tokenizers,
    train_tokenizer,
)

# Texts that the tokenizer gets at once.
GROUP = 10_000


@dataclasses.dataclass(frozen=True)
class Split(Pairs):
    """Tokenized pairs of one split, stored in files.

    Pairs that are too long have no ids. In validation and test, their texts are stored all the
    same, since no text may be missing there.

    Attributes:
        folder: pathlib.Path, the folder of the files.
        name: str, "train", "validation" or "test".
        source_pad_id: int.
        target_pad_id: int.
        bos_id: int, of the target.
    """

    folder: pathlib.Path
    name: str
    source_pad_id: int
    target_pad_id: int
    bos_id: int

    @functools.cached_property
    def source_ids(self):
        """Ids of all sources, one after the other, memory-mapped int32."""
        return self._load("source_ids")

    @functools.cached_property
    def target_ids(self):
        """Ids of all targets, one after the other, memory-mapped int32."""
        return self._load("target_ids")

    @functools.cached_property
    def source_offsets(self):
        """Where each source begins in `source_ids`, then where the last ends, int64 (n + 1,)."""
        return np.asarray(self._load("source_offsets"))

    @functools.cached_property
    def target_offsets(self):
        """Where each target begins in `target_ids`, then where the last ends, int64 (n + 1,)."""
        return np.asarray(self._load("target_offsets"))

    @functools.cached_property
    def packing(self):
        """The `Packing` of the pairs, see `data.batches.pack`.

        It is stored for the training data, which may be large, and computed for the other splits.
        """
        path = self.folder / f"{self.name}.packing.npz"
        if not path.exists():
            return pack(self.source_lengths, self.target_lengths)
        with np.load(path) as arrays:
            return Packing(**arrays)

    def texts(self, count=None):
        """Returns the texts in their original order.

        Args:
            count: int, the number of pairs, spread evenly over the split. None means all.

        Returns:
            A list of sources and a list of targets.
        """
        pairs = self.pairs(count)
        return [pair.source for pair in pairs], [pair.target for pair in pairs]

    def pairs(self, count=None):
        """Returns the pairs in their original order.

        Args:
            count: int, the number of pairs, spread evenly over the split. None means all.

        Returns:
            A list of `Pair`.
        """
        with open(self.folder / f"{self.name}.jsonl", encoding="utf-8") as file:
            pairs = [Pair(*row[:3], *map(tuple, row[3:])) for row in map(json.loads, file)]
        count = len(pairs) if count is None else min(count, len(pairs))
        return [pairs[n * len(pairs) // count] for n in range(count)]

    def _load(self, name):
        return np.load(self.folder / f"{self.name}.{name}.npy", mmap_mode="r")


@dataclasses.dataclass(frozen=True)
class EncodedPairs(Pairs):
    """Tokenized pairs in memory. The attributes are those that `data.batches.gather` reads."""

    source_ids: np.ndarray
    source_offsets: np.ndarray
    target_ids: np.ndarray
    target_offsets: np.ndarray
    source_pad_id: int
    target_pad_id: int
    bos_id: int


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The prepared data that training needs.

    Attributes:
        folder: pathlib.Path, the folder in the cache.
        source_tokenizer: the tokenizer of the sources.
        target_tokenizer: the tokenizer of the targets. A joint tokenizer is the same for both.
        splits: {"train", "validation", "test"} -> `Split`.
        report: dict, the report of `data.cleaning.clean`, with what tokenizing added.
        fingerprint: str, a hash of the ids and the tokenizers that training uses.
        cached: bool, whether the data was in the cache already.
    """

    folder: pathlib.Path
    source_tokenizer: object
    target_tokenizer: object
    splits: dict
    report: dict
    fingerprint: str
    cached: bool


def prepare(data: DataConfig, tokenizer: TokenizerConfig, cache_dir):
    """Prepares the data, or finds it in the cache.

    Args:
        data: `DataConfig`.
        tokenizer: `TokenizerConfig`.
        cache_dir: the cache, a folder with one folder for each preparation.

    Returns:
        A `Prepared`.

    Raises:
        DataError: the data cannot be used, or it cannot be written, as when the disk is full.
        ConfigError: the tokenizer cannot be made.
    """
    folder = pathlib.Path(cache_dir) / cache_key(data, tokenizer)
    cached = folder.exists()
    if not cached:
        _build(folder, data, tokenizer)
    source, target = load_tokenizers(folder / "tokenizer")
    splits = {
        name: Split(folder, name, source.pad_id, target.pad_id, target.bos_id) for name in SPLITS
    }
    report = json.loads((folder / "data_report.json").read_text(encoding="utf-8"))
    fingerprint = (folder / "fingerprint").read_text(encoding="utf-8")
    return Prepared(folder, source, target, splits, report, fingerprint, cached)


def cache_key(data, tokenizer):
    """Returns a hash of options, library versions, input files and code, 16 hexadecimal digits.

    Args:
        data: `DataConfig`.
        tokenizer: `TokenizerConfig`.

    Returns:
        A str.
    """
    source_kind(data)
    options = dataclasses.asdict(data) | {"data_dir": ""} | dataclasses.asdict(tokenizer)
    options["versions"] = [importlib.metadata.version(name) for name in ("ftfy", "sentencepiece")]
    modules = transformer.text.tokenizer, transformer.config, transformer.text.symbols
    code = [
        *sorted(pathlib.Path(__file__).parent.glob("**/*.py")),
        *(module.__file__ for module in modules),
    ]
    models = [path for path in (tokenizer.source_tokenizer, tokenizer.target_tokenizer) if path]
    models += (
        sorted(glob.glob(os.path.join(glob.escape(tokenizer.source_tokenizer), "*")))
        if tokenizer.source_tokenizer
        else []
    )
    # A missing tokenizer file is reported when it is loaded.
    files = [path for path in [*code, *input_files(data), *models] if os.path.isfile(path)]
    return _hash(json.dumps(options, sort_keys=True).encode(), files)


def _hash(start, paths):
    """Returns a hash of bytes and of the contents of files, 16 hexadecimal digits."""
    digest = hashlib.sha256(start)
    for path in paths:
        one = hashlib.sha256()
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                one.update(part)
        digest.update(one.digest())
    return digest.hexdigest()[:16]


def _build(folder, data, tokenizer):
    """Writes the prepared data into a temporary folder, then renames it to `folder`."""
    try:
        with replacing_folder(folder) as temporary:
            splits, report = clean(load_examples(data), data)
            if not splits["train"]:
                raise DataError(
                    "cleaning must leave training pairs. Received: none. See --clean and "
                    "--max_length_ratio."
                )
            splits["train"] = weighted(
                splits["train"], dict(zip(map(str.strip, data.prefixes), map(float, data.weights)))
            )
            source, target = make_tokenizers(_as_learnt(splits["train"], data), tokenizer)
            if tokenizer.source_tokenizer:
                _check_symbols((source, target), tokenizer.user_symbols, data.copy_unknown)
            save_tokenizers(temporary / "tokenizer", source, target)
            for name, pairs in splits.items():
                samples = tokenizer.subword_samples if name == "train" else 1
                _write_split(temporary, name, pairs, source, target, data, report[name], samples)
            train = Split(temporary, "train", source.pad_id, target.pad_id, target.bos_id)
            np.savez(temporary / "train.packing.npz", **train.packing._asdict())
            learnt_from = sorted([*temporary.glob("tokenizer/*"), *temporary.glob("train.*.npy")])
            (temporary / "fingerprint").write_text(_hash(b"", learnt_from), encoding="utf-8")
            write_json(temporary / "data_report.json", report)
    except OSError as error:
        # If the folder exists, another process was first, with the same result.
        if not folder.exists():
            raise DataError(
                f"prepared data cannot be written. Received: {folder.parent} ({error}). Free "
                "some disk space, or use another --run."
            ) from None


def weighted(pairs, weights):
    """Repeats or thins out training pairs, as the weights of their kinds say.

    The pairs are chosen evenly: a weight of 2.5 takes two copies of one pair and three of the next.

    Args:
        pairs: list of (source, target) or `Pair`.
        weights: {kind: float}. Other kinds have the weight 1. Plain tuples have the kind "".

    Returns:
        A list of pairs in the same order, copies next to each other.
    """
    result, sums = [], collections.Counter()
    for pair in pairs:
        kind = pair.kind if isinstance(pair, Pair) else ""
        before, sums[kind] = sums[kind], sums[kind] + weights.get(kind, 1.0)
        result += [pair] * (int(sums[kind] + 1e-9) - int(before + 1e-9))
    return result


def make_tokenizers(pairs, config):
    """Loads the tokenizers that the configuration names, or trains them on the training pairs.

    Args:
        pairs: list of (source, target) texts.
        config: `TokenizerConfig`. Its `source_tokenizer` may be a file, or a folder with the
            tokenizers of a run.

    Returns:
        A tuple of the source and the target tokenizer, the same object twice if it is joint.
    """
    if os.path.isdir(config.source_tokenizer):
        return load_tokenizers(config.source_tokenizer)
    if config.source_tokenizer:
        source = load_tokenizer(config.source_tokenizer)
        return source, load_tokenizer(
            config.target_tokenizer
        ) if config.target_tokenizer else source
    if config.joint_vocabulary:
        joint = train_tokenizer((text for pair in pairs for text in pair[:2]), config)
        return joint, joint
    return tuple(train_tokenizer((pair[side] for pair in pairs), config) for side in (0, 1))


def _check_symbols(tokenizers, symbols, copy_unknown):
    """Raises ConfigError if a given tokenizer lacks one of the symbols, which it would split."""
    known = set.intersection(*(set(tokenizer.vocabulary()) for tokenizer in tokenizers))
    for flag, wanted in (
        ("copy_unknown", transformer.text.symbols.SYMBOLS if copy_unknown else ()),
        ("user_symbols", symbols),
    ):
        if lacking := [symbol for symbol in wanted if symbol not in known]:
            raise ConfigError(
                f"{flag} needs a tokenizer that has its symbols in the vocabulary. Received: a "
                f"tokenizer without {lacking[0]!r}. Leave out --{flag}, or train a tokenizer on "
                "the data."
            )


def _write_split(folder, name, pairs, source, target, data, report, samples=1):
    """Tokenizes pairs, writes their texts once and their ids `samples` times.

    Pairs that are too long are reported, and cut or left out. The texts of validation and test are
    always written.
    """
    encoded, fits, lengths = encode_pairs(pairs, source, target, data)
    for side, limit, counts in zip(
        ("source", "target"), (data.max_source_length, data.max_target_length), lengths.T
    ):
        long = counts > limit
        if long.any():
            examples = [
                f"{n + 1}: {' ||| '.join(pairs[n][:2])[:160]}" for n in np.nonzero(long)[0][:5]
            ]
            action, reason = (
                {"train": "dropped", "validation": "no loss", "test": "kept"}[name],
                f"{side} too long (tokens)",
            )
            if side == "source" and data.cuts_sources:
                action, reason = (
                    "cut",
                    f"{reason}, by {1 - limit / counts[long].mean():.0%} on average",
                )
            report["reasons"][reason] = {
                "action": action,
                "count": int(long.sum()),
                "examples": examples,
            }
    if name != "test" and not fits.any():
        raise DataError(
            f"every split needs pairs. Received: none for {name}, since all are too long. Use a "
            "larger --max_source_length or --max_target_length."
        )
    if name == "train":
        pairs = list(itertools.compress(pairs, fits))
        report["pairs_out"] = len(pairs)
    else:
        _report_changed(pairs, target, data, report)
    with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
    parts = [
        encoded,
        *(encode_pairs(pairs, source, target, data, seed)[0] for seed in range(1, samples)),
    ]
    for side in ("source", "target"):
        lengths = np.concatenate([getattr(part, f"{side}_lengths") for part in parts])
        np.save(
            folder / f"{name}.{side}_ids.npy",
            np.concatenate([getattr(part, f"{side}_ids") for part in parts]),
        )
        np.save(folder / f"{name}.{side}_offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))


def encode_pairs(pairs, source, target, data, seed=None):
    """Encodes pairs of texts as ids, without the pairs that are too long.

    Args:
        pairs: list of (source, target) texts.
        source: the tokenizer of the sources.
        target: the tokenizer of the targets.
        data: `DataConfig`, for the largest number of source and target tokens, the end token
            included, and for whether longer sources are cut.
        seed: int, draws random segmentations into subwords. None takes the best segmentation.

    Returns:
        A tuple `(encoded, fits, lengths)`: the `EncodedPairs` of the pairs that fit, which pairs
        fit as bool (n,), and the source and target lengths of all pairs before cutting as int64 (n,
        2).
    """
    learnt = _as_learnt(pairs, data, source)
    ids = [
        _encode(tokenizer, [pair[side] for pair in learnt], seed)
        for side, tokenizer in enumerate((source, target))
    ]
    lengths = np.stack([np.diff(offsets) for _, offsets in ids], axis=1)
    limits = np.array([data.max_source_length, data.max_target_length])
    kept = (
        np.minimum(lengths, (limits[0], np.inf)).astype(np.int64) if data.cuts_sources else lengths
    )
    fits = (kept <= limits).all(axis=1)
    arrays = []
    for (flat, offsets), counts, most in zip(ids, lengths.T, kept.T):
        place, number = (
            np.arange(len(flat)) - np.repeat(offsets[:-1], counts),
            np.repeat(np.arange(len(pairs)), counts),
        )
        # Keep the first tokens and the last one, which is the end token.
        chosen = fits[number] & ((place < most[number] - 1) | (place == counts[number] - 1))
        arrays += [flat[chosen], np.concatenate([[0], np.cumsum(most[fits])])]
    return EncodedPairs(*arrays, source.pad_id, target.pad_id, target.bos_id), fits, lengths


def _as_learnt(pairs, data, tokenizer=None):
    """Returns the (source, target) texts in the form that the model sees.

    White space is merged if `data.merges_spaces`: validation and test texts are not cleaned, and
    may have line breaks, which no training text has. With `data.copy_unknown`, symbols stand for
    values to copy, among them words that the source tokenizer lacks. Before that tokenizer is
    trained (None), all words stay.
    """
    if data.merges_spaces:
        pairs = [tuple(" ".join(text.split()) for text in pair[:2]) for pair in pairs]
    if not data.copy_unknown:
        return pairs
    known = tokenizer and tokenizer.knows
    return [hide_pair(*pair[:2], known) for pair in pairs]


def changed_texts(texts, tokenizer, data):
    """Returns the texts that a tokenizer changes when it encodes and decodes them.

    NFKC normalization, for example, turns full-width Chinese punctuation into ASCII. Differences in
    white space count for code only.

    Args:
        texts: list of str.
        tokenizer: a tokenizer.
        data: `DataConfig`, for the task.

    Returns:
        A list of "NUMBER: TEXT -> DECODED TEXT", counted from 1, each text cut to 80 characters.
    """
    same = operator.eq if data.task == "code" else lambda text, back: text.split() == back.split()
    return [
        f"{number}: {text[:80]} -> {back[:80]}"
        for number, (text, back) in enumerate(
            zip(texts, tokenizer.decode(tokenizer.encode(texts))), 1
        )
        if not same(text, back)
    ]


def _report_changed(pairs, tokenizer, data, report):
    if changed := changed_texts([pair[1] for pair in pairs], tokenizer, data):
        reason = "target that the tokenizer changes (see --normalization)"
        report["reasons"][reason] = {
            "action": "kept",
            "count": len(changed),
            "examples": changed[:5],
        }


def _encode(tokenizer, texts, seed=None):
    """Returns the ids of all texts, each with a final eos, and their offsets.

    The ids are one int32 array, the offsets int64 (n + 1,).
    """
    parts, lengths = [], []
    for start in range(0, len(texts), GROUP):
        group = texts[start : start + GROUP]
        rows = [
            [*ids, tokenizer.eos_id]
            for ids in (tokenizer.encode(group) if seed is None else tokenizer.sample(group, seed))
        ]
        parts.append(np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32))
        lengths += map(len, rows)
    return np.concatenate(parts or [np.zeros(0, np.int32)]), np.concatenate(
        [[0], np.cumsum(lengths, dtype=np.int64)]
    )
