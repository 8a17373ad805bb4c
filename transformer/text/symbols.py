"""What is copied and not learnt: literals, names and rare words of a source that its target
repeats, as numbered symbols.

A model of code cannot know every string and every name that a description may speak of. It need
not: each gets a symbol, which stands for it in the target and is put back in the output. In the
source a name or a word stays behind its symbol, for it may mean something; a string does not. Yin &
Neubig 2017 (section 5.1) do so with the strings of the Django set; Luong et al. 2015 ("Addressing
the Rare Word Problem", section 3) with words that the vocabulary lacks.

Symbols are private characters of Unicode, which no text has: user symbols of the tokenizer, so that
they are never split.
"""

import re

# Most symbols of one source; what comes later stays as it is.
MOST = 12
SYMBOLS = tuple(chr(0xE000 + number) for number in range(MOST))
# A string in quotes; a name that no prose has: with an underscore, a digit within or a capital
# within; any other word.
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
    """The source with symbols, in place of strings and before names and words, and what they stand
    for.

    Args:
        source: str.
        known: word -> whether the vocabulary has it, so that it can stay; None: all stay.

    >>> source, values = hide("set self.old_zone to 'UTC', old_zone stays")
    >>> source.translate({0xE000: "#0", 0xE001: "#1"}), values
    ('set self.#0 old_zone to #1, #0 old_zone stays', ('old_zone', "'UTC'"))
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
    """The text with the symbols in place of these values, the longest first; a name only as a
    whole word."""
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
    """The text with the values in place of their symbols; a symbol without a value is dropped."""
    known = dict(zip(SYMBOLS, values))
    return _SYMBOL.sub(lambda match: known.get(match[0], ""), text)


def hide_pair(source, target, known=None):
    """Source and target with the symbols of the source's values; see `hide` and `hide_values`."""
    source, values = hide(source, known)
    return source, hide_values(target, values)
