"""Symbols in place of strings and names: worked out by hand, and back again on every pair of the
Django set."""

import pytest

from transformer.text.symbols import MOST, SYMBOLS, hide, hide_pair, hide_values, show

A, B, C = SYMBOLS[:3]


@pytest.mark.parametrize(
    ("source", "hidden", "values"),
    [
        ("if settings.USE_TZ is true,", f"if settings.{A} USE_TZ is true,", ("USE_TZ",)),
        ('get \'a b\' and "c\\"d" of x', f"get {A} and {B} of x", ("'a b'", '"c\\"d"')),
        ("it isn't what don't says", "it isn't what don't says", ()),
        ("getName, getName and md5", f"{A} getName, {A} getName and {B} md5", ("getName", "md5")),
        (
            "HTTP and Template are words, 42 is a number",
            "HTTP and Template are words, 42 is a number",
            (),
        ),
        # Names: an underscore, a digit or a capital within, wherever the word has it.
        (
            "_name, __init__ and class_",
            f"{A} _name, {B} __init__ and class_",
            ("_name", "__init__"),
        ),
        ("MD5, h2o and 2nd", f"{A} MD5, {B} h2o and 2nd", ("MD5", "h2o")),
        (
            "getURL, parseHTTPHeader",
            f"{A} getURL, {B} parseHTTPHeader",
            ("getURL", "parseHTTPHeader"),
        ),
        ("HttpServer and Server", f"{A} HttpServer and Server", ("HttpServer",)),
        # Strings: empty, with what means something in a pattern, with the other quote, with an
        # escaped quote of their own.
        ("\"\" or ''", f"{A} or {B}", ('""', "''")),
        ("match '(a+b)?.*' here", f"match {A} here", ("'(a+b)?.*'",)),
        ('say "it\'s" now', f"say {A} now", ('"it\'s"',)),
        (r"say 'it\'s' now", f"say {A} now", (r"'it\'s'",)),
        # No strings: quotes on two lines, quotes within words or at their ends.
        ('a "b\nc" d', 'a "b\nc" d', ()),
        ("a 'b\nc' d", "a 'b\nc' d", ()),
        ("the dogs' and the cats' food", "the dogs' and the cats' food", ()),
        ("rock 'n'roll", "rock 'n'roll", ()),
    ],
)
def test_what_is_hidden(source, hidden, values):
    assert hide(source) == (hidden, values)
    assert show(hide_values(source, values), values) == source


def test_a_word_that_the_vocabulary_lacks_is_hidden():
    known = {"call", "the", "method", "with", "text", "t"}.__contains__
    source = "call the method text.hexlify with 'hexlify', naïve, don't"
    hidden, values = hide(source, known)
    assert (hidden, values) == (
        f"call the method text.{A} hexlify with {B}, naïve, {C} don't",
        ("hexlify", "'hexlify'", "don"),
    )
    assert hide_pair(source, "text.hexlify('hexlify')", known)[1] == f"text.{A}({B})"


def test_a_word_may_begin_with_a_capital():
    found = hide("Render the Template", {"the"}.__contains__)
    assert found == (f"{A} Render the {B} Template", ("Render", "Template"))


def test_a_name_is_hidden_as_a_whole_word_and_a_string_before_what_it_holds():
    assert (
        hide_values("old_x = very_old_x + 'old_x'", ("old_x", "'old_x'"))
        == f"{A} = very_old_x + {B}"
    )
    assert hide_values("old_x, old_xy and x_old_x", ("old_x",)) == f"{A}, old_xy and x_old_x"
    assert hide_values("'a''b'", ("'a'", "'a''b'")) == B
    assert hide_pair("set a_b to 'a_b'", "a_b = 'a_b'\n") == (f"set {A} a_b to {B}", f"{A} = {B}\n")


def test_a_symbol_too_many_is_dropped_and_values_beyond_the_last_stay():
    assert show(f"x = {C}", ("a_b",)) == "x = "
    names = [f"n_{n}" for n in range(MOST + 1)]
    hidden, values = hide(" ".join(names))
    assert values == tuple(names[:MOST]) and hidden.endswith(
        f" {SYMBOLS[-1]} {names[-2]} {names[-1]}"
    )


def test_there_are_twelve_symbols_in_the_private_characters_of_unicode():
    """Tokenizers of saved models hold them, so they must never change."""
    symbols = "\ue000\ue001\ue002\ue003\ue004\ue005\ue006\ue007\ue008\ue009\ue00a\ue00b"
    assert "".join(SYMBOLS) == symbols
    assert show("\ue000-\ue00b", [f"n_{n}" for n in range(12)]) == "n_0-n_11"
    assert show("a \ue00c b", ("n_0",)) == "a \ue00c b"  # the next character is no symbol


@pytest.mark.slow
def test_every_pair_of_code_comes_back(shared):
    lines = [
        (shared / "django" / f"all.{end}").read_text(encoding="utf-8").split("\n")[:-1]
        for end in ("anno", "code")
    ]
    for source, code in zip(*lines, strict=True):
        _, values = hide(source, lambda word: len(word) < 5)
        assert all(show(hide_values(text, values), values) == text for text in (source, code))
