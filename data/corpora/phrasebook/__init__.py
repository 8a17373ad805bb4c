"""The phrasebook: English sentences of everyday life and travel in German and Chinese translation.

The sentences are drawn from a grammar.

    nouns.py, words.py   the vocabulary
    grammar.py           inflection and word order
    actions.py           sentence patterns around a verb and its object
    clauses.py           sentence patterns of two clauses
    things.py            ... without a verb of action: what things are like, have, cost
    places.py            ... of place and time

The test cannot be passed by memorizing sentences. Every sentence has one or two combinations of
words, mostly a verb and its object ("wash", "car"). Each combination is assigned to one split. The
combinations of the test never occur in training.
"""

import hashlib
import random

from data.config import DataError
from data.corpora.phrasebook import actions, clauses, places, things

PATTERNS = (*actions.PATTERNS, *clauses.PATTERNS, *things.PATTERNS, *places.PATTERNS)
# The number of sentences in validation, and in the test.
HELD_OUT = 1000
# After this many sentences in a row that are not new, the grammar counts as exhausted.
PATIENCE = 10_000


def phrasebook(language):
    """Returns the corpus English -> German or English -> Chinese.

    Args:
        language: str, "german" or "chinese".

    Returns:
        A function of (size, seed), as in data/corpora/registry.py.
    """

    def draw(size, seed):
        """Draws sentences and their translations.

        Args:
            size: int, the number of training pairs.
            seed: int.

        Returns:
            {"train", "validation", "test"} -> list of (source, target). No source occurs twice.

        Raises:
            DataError: the grammar has fewer sentences.
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
    """Yields sentences without end, each from a pattern drawn at random."""
    choose = Random(seed)
    while True:
        yield choose(PATTERNS)(choose)


class Random:
    """Chooses at random from a sequence, or from the values of a dict.

    Args:
        seed: int. The same seed gives the same choices.
    """

    def __init__(self, seed):
        self.generator = random.Random(seed)

    def __call__(self, options):
        """Returns one of the options, a sequence or a dict."""
        return self.generator.choice(
            tuple(options.values()) if isinstance(options, dict) else options
        )


def split_of(combinations):
    """Returns the split of a sentence, by its combinations.

    A sentence with a validation or test combination belongs to that split, whatever its other
    combination.

    Args:
        combinations: iterable of tuples.

    Returns:
        "train", "validation" or "test". None if combinations belong to both validation and test.
    """
    splits = {_split_of(combination) for combination in combinations} - {"train"}
    return "train" if not splits else splits.pop() if len(splits) == 1 else None


def _split_of(combination):
    """Returns the split of a combination, by a hash that is independent of the seed.

    Seven of 100 combinations belong to the test, and three to validation.
    """
    place = hashlib.sha256(repr(combination).encode()).digest()[0] / 256
    return "test" if place < 0.07 else "validation" if place < 0.1 else "train"
