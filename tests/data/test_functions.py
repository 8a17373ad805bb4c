"""Pairs of a made-up file character for character, the filters one by one, and code whose spaces
are exact."""

import ast
import io
import tokenize

import pytest

from data.corpora.functions import MOST_CHARACTERS, MOST_LINES, functions, pairs

WRITTEN = b'''class Numbers:
    """Not a function."""

    @property
    def largest(self):
        """The largest of all numbers.

        >>> Numbers([1, 2]).largest
        2
        """
        # Any would do.
        if not self.all: return None
        return max( self.all,
                    key = abs )

    def spread(self, *others: int, by=1) -> int:
        """Return the spread.

        Args:
            others: more numbers.
        """
        def all():

            yield from self.all
            yield from others   # "as they are"

        return "a\\tb\\n" + str(max(all()) -
                                min(all())) * by
'''
PAIRS = [
    (
        "largest: The largest of all numbers.",
        "@property\ndef largest(self):\n    if not self.all:\n        return None\n"
        "    return max(self.all, key=abs)",
    ),
    (
        "spread: Return the spread. Args: others: more numbers.",
        "def spread(self, *others: int, by=1) -> int:\n\n    def all():\n        yield from "
        "self.all\n        yield from others\n"
        "    return 'a\\tb\\n' + str(max(all()) - min(all())) * by",
    ),
]


def function(body, docstring="Return the sum of all.", decorator=""):
    return f'{decorator}def f(self):\n    """{docstring}"""\n    {body}\n'.encode()


def test_a_made_up_file():
    assert list(pairs(WRITTEN)) == PAIRS


def test_the_kept_example():
    assert list(pairs(function("return 1"))) == [
        ("f: Return the sum of all.", "def f(self):\n    return 1")
    ]
    assert len(list(pairs(function("x = 1; " * (MOST_LINES - 2) + "return x")))) == 1


INNER_OF_AN_ERROR = '''
    try:
        g = self.g
    except AttributeError:
        def g():
            """Inner."""
            return 1
    return g'''
LINES = "x = 1\n    " * 7 + "if x:\n        x = 2\n    else:\n        x = 3"  # 11 of 10 statements
WIDE = "return " + "x" * (MOST_CHARACTERS - len("def f(self):\n    return "))


@pytest.mark.parametrize(
    "code",
    [
        function("return 1", decorator="@classmethod\n"),
        function("return 1", decorator="@staticmethod\n"),
        function("return 1", decorator="@property\n"),
        function("self.run()"),
        function(LINES),
        function(WIDE),
        function("return 1", docstring="Return three words more."),
        function("return 1", docstring="Return " + "all " * 98 + "numbers."),
    ],
)
def test_a_function_that_is_just_kept(code):
    assert len(list(pairs(code))) == 1


def test_limits_by_hand():
    assert (MOST_LINES, MOST_CHARACTERS) == (12, 400)


@pytest.mark.parametrize(
    "code",
    [
        function(f"x = 0\n    {LINES}"),
        function(f"{WIDE}x"),
        function("return 1", docstring="Return three words."),
        function("return 1", docstring="Return " + "all " * 99 + "numbers."),
        function("return 1", docstring="Return the sum. It is deprecated."),
        function("return 1", docstring="Return the sum für alle."),
        function('\n    async def g():\n        """Inner."""\n        return 1\n    return g'),
        function('\n    class G:\n        """Inner."""\n    return G'),
        function('\n    def g():\n        """ """\n        return 1\n    return g'),
        function(INNER_OF_AN_ERROR),
        function("..."),
        function("pass"),
        function("raise NotImplementedError"),
        b'def f():\n    """Return the sum of all."""\n',
        function("return 1", decorator="@cache\n"),
        function("return 1", decorator="@deprecated('3.0')\n"),
        function("x = 1; " * (MOST_LINES - 1) + "return x"),
        function(f"return {'x' * MOST_CHARACTERS}"),
        function("return 'é'"),
        function("return 1", docstring="Return it."),
        function("return 1", docstring="return the sum of all."),
        function("return 1", docstring="Return the sum. Deprecated: use g."),
        function("return 1", docstring="Return " + "all " * 100),
        function('\n    def g():\n        """Inner."""\n        return 1\n    return g'),
        b"async " + function("return 1"),
    ],
)
def test_a_function_that_is_left_out(code):
    found = {source for source, _ in pairs(code)}
    assert not [source for source in found if source.startswith("f:")]


def test_a_corpus_is_drawn_by_its_seed(monkeypatch, tmp_path):
    files = []
    for number in range(40):
        path = tmp_path / f"{number}.py"
        path.write_bytes(function(f"return {number}", docstring=f"Return number {number} of all."))
        files.append((path.name, path))
    monkeypatch.setattr("data.corpora.installed.python_files", lambda: files)
    first, second = functions(100, seed=1), functions(100, seed=2)
    assert sorted(first["train"]) == sorted(second["train"]) and first["train"] != second["train"]


@pytest.mark.slow
def test_the_library_s_functions(python_library):
    splits = functions(500, seed=1)
    assert splits == functions(500, seed=1)
    assert len(splits["train"]) == 500 and splits["validation"] and splits["test"]
    found = [pair for split in splits.values() for pair in split]
    assert len({text for pair in found for text in pair}) == 2 * len(found)
    for source, target in found:
        (function,) = ast.parse(target).body
        assert isinstance(function, ast.FunctionDef) and source.startswith(f"{function.name}: ")
        # Written anew it is the same, to the last space.
        assert ast.unparse(function) == target == target.strip()
        assert (
            target.count("\n") < MOST_LINES
            and "\t" not in target
            and len(target) <= MOST_CHARACTERS
        )
        assert not [
            token
            for token in tokenize.generate_tokens(io.StringIO(target).readline)
            if token.type == tokenize.COMMENT
        ]
        indents = [len(line) - len(line.lstrip(" ")) for line in target.split("\n")]
        assert not [indent for indent in indents if indent % 4]
