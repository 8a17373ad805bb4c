"""`Pair`: a source and a target, with what scoring needs besides."""

import re
from typing import NamedTuple


class Pair(NamedTuple):
    """A source and its target, with what scoring needs besides.

    Where a source and a target are all there is, data/ uses plain tuples of the two.

    Attributes:
        source: str.
        target: str.
        kind: str, the kind of the pair. Predictions are also scored for each kind.
        others: tuple of str, further accepted targets.
    """

    source: str
    target: str
    kind: str = ""
    others: tuple = ()

    @property
    def references(self):
        """All accepted targets, a tuple of str."""
        return self.target, *self.others


def with_kind(pair, prefixes):
    """Returns the pair with its kind set to the prefix of its source, if it has one.

    A prefix is one of `prefixes`, or a token that names a language, such as "<2de>".

    >>> with_kind(Pair("<2de> Hello.", "Hallo."), ["subject:"]).kind
    '<2de>'

    Args:
        pair: `Pair`.
        prefixes: list of str.

    Returns:
        A `Pair`.
    """
    found = re.match(f"({'|'.join([*map(re.escape, prefixes), '<2[a-z]+>'])})(?= )", pair.source)
    return pair._replace(kind=found[0]) if found else pair


def prefixed(pair, prefix):
    """Returns the pair with a prefix before its source. The prefix is also its kind.

    >>> prefixed(("Hello.", "Hallo."), "<2de>").source
    '<2de> Hello.'

    Args:
        pair: (source, target) or `Pair`.
        prefix: str.

    Returns:
        A `Pair`.
    """
    pair = Pair(*pair)
    return pair._replace(source=f"{prefix.strip()} {pair.source}", kind=prefix.strip())
