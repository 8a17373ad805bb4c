"""What is copied and not learnt: literals, names and rare words of a source that its target repeats, as numbered symbols.

A model of code cannot know every string and every name that a description may speak of. It need not: each is replaced by a symbol in
source and target, and put back in the output. Yin & Neubig 2017 (section 5.1) do so with the strings of the Django set; Luong et al.
2015 ("Addressing the Rare Word Problem", section 3) with words that the vocabulary lacks.

Symbols are private characters of Unicode, which no text has: user symbols of the tokenizer, so that they are never split.
"""

import re

# Most symbols of one source; what comes later stays as it is.
MOST = 12
SYMBOLS = tuple(chr(0xE000 + number) for number in range(MOST))
# A string in quotes; a name that no prose has: with an underscore, a digit within or a capital within; any other word.
_VALUE = re.compile(r"""
    "(?:\\.|[^"\\\n])*" | (?<!\w)'(?:\\.|[^'\\\n])*'(?!\w)
    | \b(?: (?=\w*_\w) \w+ | [A-Za-z]+\d\w* | [A-Za-z]*[a-z][A-Z]\w* | (?P<word>[A-Za-z]+\b) )
""", re.VERBOSE)  # fmt: skip
_SYMBOL = re.compile(f"[{SYMBOLS[0]}-{SYMBOLS[-1]}]")


def hide(source, known=None):
    """The source with symbols, and what they stand for.

    Args:
        source: str. known: word -> whether the vocabulary has it, so that it can stay; None: all stay.

    >>> source, values = hide("set self.old_zone to 'UTC', old_zone stays")
    >>> source.translate({0xE000: "#0", 0xE001: "#1"}), values
    ('set self.#0 to #1, #0 stays', ('old_zone', "'UTC'"))
    """
    found = (match[0] for match in _VALUE.finditer(source) if not match["word"] or known and not known(match["word"]))
    values = tuple(dict.fromkeys(found))[:MOST]
    return hide_values(source, values), values


def hide_values(text, values):
    """The text with the symbols of these values where it has them, the longest first; a name only as a whole word."""
    if not values:
        return text
    patterns = [rf"\b{re.escape(value)}\b" if re.fullmatch(r"\w+", value) else re.escape(value) for value in values]
    order = sorted(range(len(values)), key=lambda number: -len(values[number]))
    pattern = "|".join(f"(?P<v{number}>{patterns[number]})" for number in order)
    return re.sub(pattern, lambda match: SYMBOLS[int(match.lastgroup[1:])], text)


def show(text, values):
    """The text with the values in place of their symbols; a symbol without a value is dropped."""
    known = dict(zip(SYMBOLS, values))
    return _SYMBOL.sub(lambda match: known.get(match[0], ""), text)


def hide_pair(source, target, known=None):
    """Source and target with the symbols of the source's values; see `hide`."""
    source, values = hide(source, known)
    return source, hide_values(target, values)
