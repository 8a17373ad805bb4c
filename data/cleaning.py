"""Repairs training texts and drops useless training pairs, with examples of each reason.

Problems of validation and test pairs are counted too, but these pairs stay as they are: scores on
changed pairs could not be compared with published ones.
"""

import re
import unicodedata

from data.config import DataConfig
from data.pairs import Pair
from data.report import Log
from transformer.config import base_language

# Control and format characters, which are removed. The zero-width non-joiner and joiner stay, since
# joined scripts and emoji need them. Characters that separate words, such as the form feed, are not
# listed here, since `_SPACES` turns them into spaces.
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


# For each split, the splits whose sources it must not contain: no validation or test source in the
# training data, and no test source in the validation data.
_HELD_OUT = {"train": ("validation", "test"), "validation": ("test",), "test": ()}


def clean(splits, config: DataConfig):
    """Cleans the training pairs, and reports on all splits.

    Without `config.clean`, only pairs with an empty side are dropped.

    Args:
        splits: {"train": pairs, "validation": pairs, "test": pairs}, lists of (source, target) or
            of `Pair`.
        config: `DataConfig`.

    Returns:
        A tuple of the splits, with cleaned training pairs, and the report: {split: {"pairs_in",
        "pairs_out", "reasons": {reason: {"action", "count", "examples"}}}}. An example begins with
        the number of its pair in the split, counted from 1.
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
    """Returns the pair with repaired source and target, and counts each kind of repair in `log`."""
    repairs = {
        reason: repair for reason, repair in REPAIRS.items() if task != "code" or reason != "spaces"
    }
    texts = []
    for text in pair[:2]:
        found, before = {}, None
        # Repeat until nothing changes: one repair may make another one possible.
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
    """Repairs wrongly decoded text and composes accents (NFC).

    Quotes and full-width characters stay as they are.

    >>> repair_unicode("MÃ¼nchen, Ｆｕｌｌ")
    'München, Ｆｕｌｌ'

    Args:
        text: str.

    Returns:
        The repaired text, a str.
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
    """Returns the reason why a pair is useless for training, or an empty string.

    Args:
        pair: (source, target) or `Pair`.
        config: `DataConfig`. Without `clean`, only empty texts are a reason.

    Returns:
        A str, such as "empty" or "length ratio".
    """
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
    # A short copy is a name or a number, which is the same in both languages. A longer copy is a
    # source that was not translated.
    if different_languages and source == target and len(source.split()) > 3:
        return "copy of the source"
    lengths = sorted(len(text.encode("utf-8")) for text in texts)
    # The shorter text counts as at least 10 bytes, since even a long translation of "Hi." may be
    # right. Only translations have a length limit: a summary or an answer may be short.
    if config.task == "translation" and lengths[1] > config.max_length_ratio * max(lengths[0], 10):
        return "length ratio"
    for text, language in zip(texts, (config.source_language, config.target_language)):
        if wrong_script(text, language):
            return "wrong script"
    return ""


def wrong_script(text, language):
    """Returns whether fewer than a quarter of a text's letters are in a script of its language.

    The limit is a quarter, since a Chinese sentence with one English name may have more Latin
    letters than Chinese ones. A text of fewer than four letters is never wrong, nor is one in a
    language without a rule here.

    >>> wrong_script("Привет мир", "de"), wrong_script("我用Python写程序", "zh")
    (True, False)

    Args:
        text: str.
        language: str, a language code such as "de" or "zh_CN".

    Returns:
        A bool.
    """
    scripts = _LANGUAGE_SCRIPTS.get(base_language(language))
    if not scripts or (text.isascii() and "LATIN" in scripts):
        return False
    letters = [character for character in text if character.isalpha()]
    right = sum(not scripts.isdisjoint(unicodedata.name(letter, "").split()) for letter in letters)
    return len(letters) >= 4 and 4 * right < len(letters)


def why_repeated(pair, seen, others):
    """Returns the reason why a pair or its source occurs elsewhere, or an empty string.

    Args:
        pair: (source, target) or `Pair`.
        seen: set of the earlier pairs of the same split.
        others: {split: set of its sources}, the splits that must not have the same source.

    Returns:
        A str.
    """
    if pair in seen:
        return "duplicate"
    return (
        f"source occurs in {' or '.join(others)}"
        if any(pair[0] in sources for sources in others.values())
        else ""
    )
