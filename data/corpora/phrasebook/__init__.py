"""The phrasebook: English sentences of travel and everyday life with their German and Chinese,
drawn from a grammar.

    nouns.py, words.py   what there is to speak of
    grammar.py           how words are inflected and put in order
    actions.py           sentence patterns around a verb and its object
    clauses.py           sentence patterns of two clauses
    things.py            ... without a verb of action: what things are like, have, cost
    places.py            ... of place and time

The test does not ask for sentences that were learnt by heart: every sentence has one or two
combinations of words, mostly a verb and its object ("wash", "car"). A combination belongs to one
split: those of the test never stand in training.
"""

import hashlib
import random

from data.config import DataError
from data.corpora.phrasebook import actions, clauses, places, things

PATTERNS = (*actions.PATTERNS, *clauses.PATTERNS, *things.PATTERNS, *places.PATTERNS)
HELD_OUT = 1000  # sentences in validation, and in the test
# Sentences that may be drawn without finding a new one before we say that there are no more.
PATIENCE = 10_000


def phrasebook(language):
    """The corpus English -> German ("german") or Chinese ("chinese"): a function of size and
    seed, as in data/corpora/registry.py."""

    def draw(size, seed):
        """
        Args:
            size: training pairs.

        Returns:
            {"train", "validation", "test"} -> lists of (source, target); no source stands twice.

        Raises:
            DataError: the grammar has not as many sentences.
        """
        wanted = {"train": size, "validation": HELD_OUT, "test": HELD_OUT}
        splits, missed = {split: {} for split in wanted}, 0
        for sentence in sentences(seed):
            pairs = splits.get(split_of(sentence.combinations))
            if (
                pairs is None
                or len(pairs) == wanted[split_of(sentence.combinations)]
                or sentence.english in pairs
            ):
                missed += 1
                if missed > PATIENCE:
                    raise DataError(
                        f"corpus_size must be at most {len(splits['train'])} for this corpus. "
                        f"Received: {size}."
                    )
                continue
            missed = 0
            pairs[sentence.english] = getattr(sentence, language)
            if all(len(splits[split]) == count for split, count in wanted.items()):
                return {split: list(pairs.items()) for split, pairs in splits.items()}

    return draw


def sentences(seed):
    """Sentences without end, each of a pattern drawn at random."""
    choose = Random(seed)
    while True:
        yield choose(PATTERNS)(choose)


class Random:
    """Chooses at random, the same for the same seed."""

    def __init__(self, seed):
        self.generator = random.Random(seed)

    def __call__(self, options):
        return self.generator.choice(
            tuple(options.values()) if isinstance(options, dict) else options
        )


def split_of(combinations):
    """The split that a sentence's combinations belong to; None if they belong to several
    held-out ones."""
    splits = {_split_of(combination) for combination in combinations} - {"train"}
    return "train" if not splits else splits.pop() if len(splits) == 1 else None


def _split_of(combination):
    """Seven combinations in a hundred are the test's, three validation's: by hash, whatever the
    seed."""
    place = hashlib.sha256(repr(combination).encode()).digest()[0] / 256
    return "test" if place < 0.07 else "validation" if place < 0.1 else "train"
