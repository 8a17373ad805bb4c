"""Scores of code: worked out by hand, and over real lines of Python against the module tokenize."""

import io
import math
import tokenize

import pytest

from transformer.metrics.code import code_scores, code_tokens, nearest_targets, parses


def test_scores_by_hand():
    # 1- to 4-gram precisions over tokens 7/8, 5/7, 4/6, 3/5: only "b" is wrong, the third token
    # from the end.
    scores = code_scores(["x = f ( 'a b' , a )"], ["x=f('a b',b)"], confidence=False)
    assert scores["bleu"] == pytest.approx(100 * (7 / 8 * 5 / 7 * 4 / 6 * 3 / 5) ** 0.25)
    assert (scores["exact_match"], scores["parses"], scores["reference_parses"]) == (
        0.0,
        100.0,
        100.0,
    )
    # A string of several lines is one token too.
    lines = '"""a\n\tb\r\nc"""'
    several = code_scores([f"x = f ( {lines} , a )"], [f"x=f({lines},b)"], confidence=False)
    assert several["bleu"] == pytest.approx(scores["bleu"])
    assert "tok:none" in scores["bleu_signature"] and "bleu_mean" not in scores
    scores = code_scores(["x = 1"] * 3 + ["x ="], ["x = 1", "= x", "= x", "= x"], confidence=False)
    assert (scores["exact_match"], scores["parses"], scores["reference_parses"]) == (
        25.0,
        25.0,
        75.0,
    )
    # An answer of four tokens for one of five: all of it is right, and a fifth is missing.
    scores = code_scores(["a + b + c"], ["a + b +"], confidence=False)
    assert scores["bleu"] == pytest.approx(100 * math.exp(1 - 5 / 4))
    assert set(code_scores(["x"], ["x"])) - set(scores) == {"bleu_mean", "bleu_interval"}


def test_interval_surrounds_the_score():
    references = [f"f ( a , b , {number} )" for number in range(50)]
    answers = [
        text.replace("b", "c") if number % 2 else text for number, text in enumerate(references)
    ]
    scores = code_scores(references, answers)
    assert abs(scores["bleu_mean"] - scores["bleu"]) < scores["bleu_interval"]

    def bleu(wrong):
        """Of eight tokens the fifth is wrong in this share of the answers."""
        rights = (8 - wrong) / 8, (7 - 2 * wrong) / 7, (6 - 3 * wrong) / 6, (5 - 4 * wrong) / 5
        return 100 * math.prod(rights) ** 0.25

    # The share of 50 coin flips has a standard error of 0.5 / sqrt(50).
    error = 1.96 * 0.5 / math.sqrt(50)
    assert scores["bleu"] == pytest.approx(bleu(0.5))
    half = (bleu(0.5 - error) - bleu(0.5 + error)) / 2
    assert scores["bleu_interval"] == pytest.approx(half, rel=0.15)


def test_white_space_within_a_line_is_no_difference_and_indentation_is():
    references = ["if x:\n    y = 1\n", "x = 1", "  x", "X = 1", "if x:\n    y"]
    scores = code_scores(
        references, ["if x:  \r\n    y = 1", "x  =1", "x", "x = 1", "if x:\ny"], confidence=False
    )
    assert scores["exact_match"] == 60.0


@pytest.mark.parametrize(
    "reference, answer, same",
    [
        (
            "a\n\n  \nb\n",
            "a\nb",
            True,
        ),  # empty lines count for nothing, nor how far the whole is indented
        ("  if x:\n      y", "if x:\n    y", True),
        ("if x:\n    y", "if x:\n  y", False),
        ("a\nb", "a b", False),
        ("a\nb", "a", False),
        ("if x:\n\ty", "if x:\n y", True),
    ],
)
def test_lines_are_compared_one_by_one(reference, answer, same):
    assert code_scores([reference], [answer], confidence=False)["exact_match"] == 100.0 * same


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("f('a')", 'f("a")', True),
        (r"f(r'\d', '\n')", r'f("\\d", "\x0a")', True),
        ('f("""a""", u"b")', "f('a', 'b')", True),
        ("f('a')", "f(b'a')", False),
        ("f('a')", "f('A')", False),
        ("f('a' 'b')", "f('ab')", False),  # as many tokens
        ('x # "a"', "x # 'a'", False),
        ('print ur"a"', "print ur'a'", False),  # Python 2's, and so no string's value
        ("x = 'open", 'x = "open', False),
        ('f"{a}"', "f'{a}'", False),
        ("f(b'a')", 'f(B"a")', True),
        ("f('1')", "f(1)", False),
        ("f(1.0)", "f(1.00)", False),  # a number as it is written
        ("f('a', 'b')", "f('b', 'a')", False),
        (r"f('\d')", r"f('\\d')", True),
        (r"f('\x')", r'f("\\x")', False),  # no Python: as it is
    ],
)
def test_strings_are_compared_by_their_value(a, b, same):
    assert code_scores([a], [b], confidence=False)["exact_match"] == (100.0 if same else 0.0)


def test_a_string_is_one_token():
    assert code_scores(["f('a b c d e')"] * 4, ["f('a b c d f')"] * 4)["bleu"] < 60
    perfect = code_scores(["x = 'a b' + y"] * 2, ["x = 'a b' + y"] * 2)
    assert perfect["bleu"] == pytest.approx(100.0) and perfect["bleu_interval"] == pytest.approx(
        0.0
    )


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="Received: 2 references, 1 predictions"):
        code_scores(["a", "b"], ["a"])


@pytest.mark.parametrize(
    ("code", "tokens"),
    [
        ("a**=b//c<<2", "a **= b // c << 2"),
        ("x[1:]!=-1e-5j", "x [ 1 : ] != - 1e-5j"),
        ("0x1F+0b1_0+0o17+.5+1_000.", "0x1F + 0b1_0 + 0o17 + .5 + 1_000."),
        (r"f'{a}'+rb'\''", r"f'{a}' + rb'\''"),
        ("def f(*a)->int:...", "def f ( * a ) -> int : ..."),
        ("größe:=@y", "größe := @ y"),
        ("print 'open", "print ' open"),
        ("a ? b $", "a ? b $"),
        ("a//=b>>=c<<=d**e", "a //= b >>= c <<= d ** e"),
        (
            "a+=b-=c*=d/=e%=f&=g|=h^=i@=j==k<=l>=m!=n:=o",
            "a += b -= c *= d /= e %= f &= g |= h ^= i @= j == k <= l >= m != n := o",
        ),
        ("a>>b<c>d~e", "a >> b < c > d ~ e"),
        ("0XfF+0O7+0B1_1+1E+9J+1.e5+1_0j", "0XfF + 0O7 + 0B1_1 + 1E+9J + 1.e5 + 1_0j"),
        ("x1.y2[3]", "x1 . y2 [ 3 ]"),
        ("Rb'a'+bR'b'+U'c'+fr'd'+ur'e'+RF'f'", "Rb'a' + bR'b' + U'c' + fr'd' + ur'e' + RF'f'"),
        (r'"\"a"+"b\\"+"c"', r'"\"a" + "b\\" + "c"'),
        ("a#b#c", "a #b#c"),
        ("a.b...c", "a . b ... c"),
        ("xb'a'", "xb 'a'"),
    ],
)
def test_tokens_by_hand(code, tokens):
    assert code_tokens(code) == tokens.split(" ")


def test_tokens_of_several_lines():
    assert code_tokens('def f():\n    """Two\n    lines."""  # why\n') == [
        "def",
        "f",
        "(",
        ")",
        ":",
        '"""Two\n    lines."""',
        "# why",
    ]
    assert code_tokens("") == [] and code_tokens(" \t\n") == []
    assert code_tokens("# one\nx = 'open\ny'") == ["# one", "x", "=", "'", "open", "y", "'"]
    assert code_tokens("x = \\\n  1") == ["x", "=", "\\", "1"]


def tokens_of_python(code):
    kept = {tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP, tokenize.COMMENT}
    return [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type in kept
    ]


PYTHON = '''
@cached(maxsize=None)
async def größe(self, *names, key=lambda x: -x[0] ** 2, **options) -> "int | None":
    """What it is.

    Two paragraphs, with 'quotes' and a \\ backslash."""
    if not names and options.get('depth', 1_000) >= 0xFF or self.rate != 1.5e-3:
        raise ValueError('no \\'names\\': %r' % (names,))  # as said
    while (found := await self.next()) is not None and found // 2 <= 3 << 1:
        yield r"\\d+\\.(?P<a>x)", b'\\x00', found[1:-1, ...], {**options}, ~found & 0b11 ^ 0o7 | 1j
        total += found @ names; total **= 2; total >>= 1; total //= .5; print(u"end")
    return [x for x in (y, *z) if x][::2]
'''


def test_tokens_of_a_program_are_those_of_python():
    assert code_tokens(PYTHON) == tokens_of_python(PYTHON) and parses(PYTHON)
    docstring_ends = 5
    for line in PYTHON.strip().splitlines()[docstring_ends:]:
        assert code_tokens(line) == tokens_of_python(line.strip()), line


def test_tokens_are_those_of_python(shared):
    lines = (shared / "django" / "all.code").read_text(encoding="utf-8").split("\n")[16000:18805]
    # From 3.12 on tokenize cuts f-strings; the Django of 2014 has none.
    assert [code_tokens(line) for line in lines] == [
        tokens_of_python(line.strip()) for line in lines
    ]


@pytest.mark.parametrize(
    "line",
    [
        "if x :",
        "elif x :",
        "else :",
        "else : return 1",
        "for a in b :",
        "while x : pass",
        "try :",
        "except ( A , B ) as e :",
        "finally :",
        "with f ( ) as g :",
        "def f ( a , * b ) :",
        "class A ( B ) :",
        "@ cached ( 3 )",
        "return x",
        "yield",
        "continue",
        "match x :",
        "case [ 1 , _ ] :",
        "    x = 1",
        "lambda : 0",
        "# nothing",
        "else : # not so",
        "async def f ( ) :",
    ],
)
def test_a_line_of_a_block_parses(line):
    assert parses(line)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "  \n",
        "if x",
        "else x :",
        "x = ",
        "f ( ",
        "print 'x'",
        "x : :",
        "lambda :",
        "'open",
        "x = \\",
        "a\0b",
        "(" * 300,
        "if x:\n    y = 1\nelse:",
        "x = 1\n  y = 2",
        "def f():\nreturn 1",
        "except",
        "pass pass",
        "@",
    ],
)
def test_what_is_no_python_does_not_parse(code):
    assert not parses(code)


def test_what_is_too_deep_for_python_does_not_parse():
    deep = "x" + " + x" * 20_000
    scores = code_scores(["x = 1"] * 2, [deep, "x = 1"], confidence=False)
    assert (scores["parses"], scores["exact_match"]) == (50.0, 50.0)


def test_indented_code_of_several_lines_parses():
    assert parses("    if x:\n        y = 1\n    return y\n") and parses("\n\nx = '\\d'\n")
    assert parses("\nif x :\n") and parses("else :\n\n")
    assert parses("\n    x = 1\n") and parses("if x:\n    y\nelse: z")


def test_every_line_of_the_django_set_parses(shared):
    lines = (shared / "django" / "all.code").read_text(encoding="utf-8").split("\n")[16000:18805]
    assert all(map(parses, lines))


def test_the_nearest_target():
    sources, targets = ["call f with x", "return x", "add x , y"], ["f(x)", "return x", "x + y"]
    assert nearest_targets(sources, targets, ["Call f with y", "return", "???", "add"]) == [
        "f(x)",
        "return x",
        "f(x)",
        "x + y",
    ]
    assert nearest_targets(sources, targets, []) == []
    # Signs are words; letters are in lower case, in training too; a rare word says more than one
    # that all have.
    assert nearest_targets(["a + b", "a - b"], ["plus", "minus"], ["x - y", "X + Y"]) == [
        "minus",
        "plus",
    ]
    assert nearest_targets(["Red", "BLUE x"], ["r", "b"], ["blue"]) == ["b"]
    assert nearest_targets(
        ["the the of b", "rare", "the of", "the of a"], list("abcd"), ["the rare"]
    ) == ["b"]
    # The common word is half of the question and all of five sources, the rare one half of the
    # last.
    assert nearest_targets([*["the"] * 5, "rare z"], "abcdef", ["the rare"]) == ["f"]
    # Answers stay beside their questions over blocks of rows.
    questions = [f"word{n % 7}" for n in range(600)]
    assert nearest_targets([f"word{n}" for n in range(7)], "abcdefg", questions) == [
        "abcdefg"[n % 7] for n in range(600)
    ]
    # More than a block of rows; the first of equals.
    assert nearest_targets(["a b", "a b"], ["first", "second"], ["a"] * 600) == ["first"] * 600
    with pytest.raises(ValueError, match="Received: 2 references, 1 predictions"):
        nearest_targets(["a"], ["b", "c"], ["a"])
