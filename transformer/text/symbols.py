"""Symbols for strings, names and rare words that a target copies from its source.

A model of code cannot learn every string and every name that a description may mention. It does not
have to: each such value gets a numbered symbol. In the target the symbol stands for the value, and
the model's output gets the value back. In the source a symbol replaces a string, but it is put
before a name or a word, because a name or a word may carry meaning. Yin & Neubig 2017 (section 5.1)
do this with the strings of the Django dataset. Luong et al. 2015 ("Addressing the Rare Word
Problem", section 3) do it with words that the vocabulary lacks.

The symbols are private-use characters of Unicode, which texts do not contain. They are user symbols
of the tokenizer, so the tokenizer never splits them.
"""

import re

# Maximum number of symbols in a source. Values after the last symbol stay as they are.
MOST = 12
SYMBOLS = tuple(chr(0xE000 + number) for number in range(MOST))
# Matches a string in quotes, or a name that prose would not contain (with an underscore, a digit or
# a capital inside), or any other word.
_VALUE = re.compile(
    r"""
    "(?:\\.|[^"\\\n])*" | (?<!\w)'(?:\\.|[^'\\\n])*'(?!\w)
    | \b(?: (?=\w*_\w) \w+ | [A-Za-z]+\d\w* | [A-Za-z]*[a-z][A-Z]\w* | (?P<word>[A-Za-z]+\b) )
""",
    re.VERBOSE,
)
_WORD = re.compile(r"\w+")
_SYMBOL = re.compile(f"[{SYMBOLS[0]}-{SYMBOLS[-1]}]")


def hide(source, known=None):
    """Replaces strings in a source with symbols, and puts symbols before names and words.

    >>> source, values = hide("set self.old_zone to 'UTC', old_zone stays")
    >>> source.translate({0xE000: "#0", 0xE001: "#1"}), values
    ('set self.#0 old_zone to #1, #0 old_zone stays', ('old_zone', "'UTC'"))

    Args:
        source: str.
        known: function from a word to bool, whether the vocabulary contains the word. Words that it
            does not contain get symbols. None means that plain words get no symbols.

    Returns:
        A tuple `(text, values)`: the source with symbols, and a tuple of the str that the symbols
        stand for, in order. There are at most MOST values.
    """
    found = (
        match[0]
        for match in _VALUE.finditer(source)
        if not match["word"] or known and not known(match["word"])
    )
    values = tuple(dict.fromkeys(found))[:MOST]
    return _with_symbols(
        source,
        values,
        lambda symbol, value: f"{symbol} {value}" if _WORD.fullmatch(value) else symbol,
    ), values


def hide_values(text, values):
    """Replaces values in a text with their symbols.

    Args:
        text: str.
        values: tuple of str, from `hide`. Where several values match at one place, the longest
            wins. Names and words match whole words only.

    Returns:
        A str.
    """
    return _with_symbols(text, values, lambda symbol, _: symbol)


def _with_symbols(text, values, written):
    if not values:
        return text
    patterns = [
        rf"\b{re.escape(value)}\b" if _WORD.fullmatch(value) else re.escape(value)
        for value in values
    ]
    order = sorted(range(len(values)), key=lambda number: -len(values[number]))
    pattern = "|".join(f"(?P<v{number}>{patterns[number]})" for number in order)
    return re.sub(pattern, lambda match: written(SYMBOLS[int(match.lastgroup[1:])], match[0]), text)


def show(text, values):
    """Replaces the symbols in a text with their values.

    Args:
        text: str.
        values: tuple of str, from `hide`. A symbol without a value is dropped.

    Returns:
        A str.
    """
    known = dict(zip(SYMBOLS, values))
    return _SYMBOL.sub(lambda match: known.get(match[0], ""), text)


def hide_pair(source, target, known=None):
    """Puts symbols into a source and its target, for the values that `hide` finds in the source.

    Args:
        source: str.
        target: str. Its values are replaced as in `hide_values`.
        known: see `hide`.

    Returns:
        A tuple `(source, target)` of str.
    """
    source, values = hide(source, known)
    return source, hide_values(target, values)
