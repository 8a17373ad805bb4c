"""Repairs training text and drops training pairs that teach nothing, with a count and examples of
each reason.

What is wrong with validation and test pairs is counted too, but they are kept as they are: a score
over other lines is no longer the published one.
"""

import re
import unicodedata

from data.config import DataConfig
from data.pairs import Pair
from data.report import Log
from transformer.config import base_language

# Control and format characters, save those that joined scripts and emoji need (zero-width
# non-joiner and joiner), and those that part words, such as the form feed: they become spaces.
_JUNK = re.compile(
    "[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffe]"
)
_SPACES = re.compile(r"\s+")
_LANGUAGE_SCRIPTS = {
    "zh": {"CJK"},
    "ja": {"CJK", "HIRAGANA", "KATAKANA"},
    "ko": {"HANGUL"},
    "ru": {"CYRILLIC"},
    "uk": {"CYRILLIC"},
    "bg": {"CYRILLIC"},
    "el": {"GREEK"},
    "ar": {"ARABIC"},
    "fa": {"ARABIC"},
    "he": {"HEBREW"},
    "hi": {"DEVANAGARI"},
    **{
        code: {"LATIN"}
        for code in "cs da de en es et fi fr hr hu it lt lv nl no pl pt ro sk sl sv tr vi".split()
    },
}


# The splits whose sources a split must not hold: no test in the training data, no test in the
# validation.
_HELD_OUT = {"train": ("validation", "test"), "validation": ("test",), "test": ()}


def clean(splits, config: DataConfig):
    """Cleans {"train": pairs, "validation": pairs, "test": pairs}.

    Args:
        splits: lists of (source, target) or Pair.
        config: the options.

    Returns:
        The splits, of which the training pairs are cleaned, and the report: {split: {"pairs_in",
        "pairs_out", "reasons": {reason: {"action", "count", "examples"}}}}. An example begins with
        the number of its pair in the split.
    """
    repaired, logs = {}, {split: Log() for split in splits}
    for split, pairs in splits.items():
        log, action = logs[split], "repaired" if split == "train" else "kept"
        repaired[split] = [
            _repaired(pair, number, action, log, config.task) if config.clean else pair
            for number, pair in enumerate(pairs, 1)
        ]
    kept = []
    for split, pairs in repaired.items():
        log, action, seen = logs[split], "dropped" if split == "train" else "kept", set()
        others = {name: {pair[0] for pair in repaired[name]} for name in _HELD_OUT[split]}
        for number, pair in enumerate(pairs, 1):
            reason = why_drop(pair, config) or (config.clean and why_repeated(pair, seen, others))
            if reason:
                log.count(reason, action, number, " ||| ".join(pair[:2]))
            elif split == "train":
                kept.append(pair)
            seen.add(pair)
    cleaned = {**splits, "train": kept}
    return cleaned, {
        split: {
            "pairs_in": len(splits[split]),
            "pairs_out": len(cleaned[split]),
            "reasons": log.reasons,
        }
        for split, log in logs.items()
    }


def _repaired(pair, number, action, log, task):
    """The pair with its source and target repaired, each kind of repair counted."""
    repairs = {
        reason: repair for reason, repair in REPAIRS.items() if task != "code" or reason != "spaces"
    }
    texts = []
    for text in pair[:2]:
        found, before = {}, None
        # Again, until nothing changes: what one repair leaves, another may be able to read.
        while text != before:
            before = text
            for reason, repair in repairs.items():
                better = repair(text)
                if better != text:
                    found.setdefault(reason, text)
                    text = better
        for reason, flawed in found.items():
            log.count(reason, action, number, flawed)
        texts.append(text)
    return (
        pair._replace(source=texts[0], target=texts[1]) if isinstance(pair, Pair) else tuple(texts)
    )


def repair_unicode(text):
    """Undoes wrong decodings and composes accents (NFC); leaves quotes and wide characters alone.

    >>> repair_unicode("MÃ¼nchen, Ｆｕｌｌ")
    'München, Ｆｕｌｌ'
    """
    if text.isascii():
        return text
    import ftfy

    return ftfy.fix_text(
        text,
        uncurl_quotes=False,
        fix_character_width=False,
        fix_latin_ligatures=False,
        unescape_html=False,
        fix_line_breaks=False,
        remove_terminal_escapes=False,
        remove_control_chars=False,
        normalization="NFC",
    )


REPAIRS = {
    "Unicode": repair_unicode,
    "control characters": lambda text: _JUNK.sub("", text),
    "spaces": lambda text: _SPACES.sub(" ", text).strip(),
}


def why_drop(pair, config):
    """The reason why a pair teaches nothing, or ""."""
    source, target = texts = pair[:2]
    if not source.strip() or not target.strip():
        return "empty"
    if not config.clean:
        return ""
    if config.task != "code" and not all(any(map(str.isalnum, text)) for text in texts):
        return "no letter or digit"
    different_languages = (
        config.source_language and config.source_language != config.target_language
    )
    # A short copy is a name or a number, which is the same in both languages; a long one was not
    # translated.
    if different_languages and source == target and len(source.split()) > 3:
        return "copy of the source"
    lengths = sorted(len(text.encode("utf-8")) for text in texts)
    # A few bytes more or less say nothing: "Hi." and its longest translation are both right. A
    # summary or an answer may be short.
    if config.task == "translation" and lengths[1] > config.max_length_ratio * max(lengths[0], 10):
        return "length ratio"
    for text, language in zip(texts, (config.source_language, config.target_language)):
        if wrong_script(text, language):
            return "wrong script"
    return ""


def wrong_script(text, language):
    """Whether less than a quarter of a text's letters are of a script its language is written in.

    A quarter, since a Chinese sentence with one English name in it has more Latin letters than its
    own. Text of fewer than four letters, or in a language without a rule here, is never wrong.

    >>> wrong_script("Привет мир", "de"), wrong_script("我用Python写程序", "zh")
    (True, False)
    """
    scripts = _LANGUAGE_SCRIPTS.get(base_language(language))
    if not scripts or (text.isascii() and "LATIN" in scripts):
        return False
    letters = [character for character in text if character.isalpha()]
    right = sum(not scripts.isdisjoint(unicodedata.name(letter, "").split()) for letter in letters)
    return len(letters) >= 4 and 4 * right < len(letters)


def why_repeated(pair, seen, others):
    """The reason why a pair stands elsewhere already, or "".

    Args:
        seen: the pairs of its split before it.
        others: {split: its sources}, of the splits that must not share any.
    """
    if pair in seen:
        return "duplicate"
    return (
        f"source stands in {' or '.join(others)}"
        if any(pair[0] in sources for sources in others.values())
        else ""
    )
