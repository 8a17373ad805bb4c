"""A pair of texts with what its scores need besides."""

import re
from typing import NamedTuple


class Pair(NamedTuple):
    """Source and target, the kind of the pair by which predictions are scored, and further accepted
    targets.

    Where there is nothing but source and target, data/ has plain tuples of the two.
    """

    source: str
    target: str
    kind: str = ""
    others: tuple = ()

    @property
    def references(self):
        """All accepted targets."""
        return self.target, *self.others


def with_kind(pair, prefixes):
    """A pair whose source begins with one of the prefixes, or with a token that names a language,
    has it for its kind.

    >>> with_kind(Pair("<2de> Hello.", "Hallo."), ["subject:"]).kind
    '<2de>'
    """
    found = re.match(f"({'|'.join([*map(re.escape, prefixes), '<2[a-z]+>'])})(?= )", pair.source)
    return pair._replace(kind=found[0]) if found else pair


def prefixed(pair, prefix):
    """A pair with a prefix before its source, which is its kind too.

    >>> prefixed(("Hello.", "Hallo."), "<2de>").source
    '<2de> Hello.'
    """
    pair = Pair(*pair)
    return pair._replace(source=f"{prefix.strip()} {pair.source}", kind=prefix.strip())
