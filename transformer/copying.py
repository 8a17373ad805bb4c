"""What is copied and not learnt: literals and names of a source that its target repeats, as numbered symbols.

A model of code cannot know every string and every name that a description may speak of. It need not: each is replaced by a symbol in
source and target, and put back in the output. Yin & Neubig 2017 (section 5.1) do so with the strings of the Django set.

Symbols are private characters of Unicode, which no text has: user symbols of the tokenizer, so that they are never split.
"""

import re

# Most symbols of one source; what comes later stays as it is.
MOST = 12
SYMBOLS = tuple(chr(0xE000 + number) for number in range(MOST))
# A string in quotes; a name that no prose has: with an underscore, a digit within or a capital within.
_VALUE = re.compile(r"""
    "(?:\\.|[^"\\\n])*" | (?<!\w)'(?:\\.|[^'\\\n])*'(?!\w)
    | \b(?: (?=\w*_\w) \w+ | [A-Za-z]+\d\w* | [A-Za-z]*[a-z][A-Z]\w* )
""", re.VERBOSE)  # fmt: skip
_SYMBOL = re.compile(f"[{SYMBOLS[0]}-{SYMBOLS[-1]}]")


def hide(source):
    """The source with symbols, and what they stand for.

    >>> source, values = hide("set self.old_zone to 'UTC', old_zone stays")
    >>> source.translate({0xE000: "#0", 0xE001: "#1"}), values
    ('set self.#0 to #1, #0 stays', ('old_zone', "'UTC'"))
    """
    values = tuple(dict.fromkeys(_VALUE.findall(source)))[:MOST]
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


def hide_pair(source, target):
    """Source and target with the symbols of the source's values."""
    source, values = hide(source)
    return source, hide_values(target, values)
