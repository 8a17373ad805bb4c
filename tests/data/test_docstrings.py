"""Pairs of a made-up file word for word, the filters one by one, and what a corpus of installed
source owes its user."""

import ast
import configparser
import hashlib
import importlib.metadata
import pathlib
import sysconfig

import pytest
from packaging.requirements import Requirement

from data.config import DataConfig
from data.corpora import installed
from data.corpora.docstrings import MOST_WORDS, docstrings, is_sentence, pairs, prose
from data.corpora.installed import divide, documented, python_files, without_near_copies
from data.readers.sources import input_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
BODY = (
    "Words that say what is done with what is given, so many that from them a sentence can be made "
    "which says it all."
)
WRITTEN = b'''"""Tools for lists of numbers.

All of them take any iterable, read it once and from left to right, and leave it as it was found;
none of them has an option, and none needs any other module.
"""

class Adder:
    """Adds numbers as they come.

    Parameters
    ----------
    start : int
        What the sum begins with, before the first of the numbers has come.
    limit : int, optional
        The sum never grows larger.

    Examples
    --------
    >>> Adder(3).add(4)
    7
    """

    async def add(self, number):
        r"""Adds ``number``, if there is one.

        See :meth:`~Adder.total` for the sum. It is found by::

            adder.add(7)

        .. versionadded:: 2.1
            Numbers.

        Args:
            number: what is added to the sum, an integer or a float, or `None`.
        Returns:
            The new sum.
        Raises:
            ValueError: it is none.
        """
'''
PAIRS = [
    (
        "All of them take any iterable, read it once and from left to right, and leave it as it "
        "was found; none of them has "
        "an option, and none needs any other module.",
        "Tools for lists of numbers.",
    ),
    (
        "Parameters: start : int What the sum begins with, before the first of the numbers has "
        "come. limit : int, optional The "
        "sum never grows larger.",
        "Adds numbers as they come.",
    ),
    (
        "See Adder.total for the sum. It is found by: Args: number: what is added to the sum, an "
        "integer or a float, or None. "
        "Returns: The new sum.",
        "Adds number, if there is one.",
    ),
]


def source(docstring):
    """A file whose only definition has this docstring."""
    return f'def f():\n    """{docstring}"""\n'.encode()


def test_a_made_up_file():
    assert list(pairs(WRITTEN)) == PAIRS


def test_the_kept_example():
    assert list(pairs(source(f"Say what it does.\n\n{BODY}"))) == [(BODY, "Say what it does.")]


@pytest.mark.parametrize(
    "docstring",
    [
        f"Say what it does.\n{BODY}",
        f"Say what it does\nin two lines.\n\n{BODY}",
        f"Say what it does.\nAt once.\n{BODY}",
        f"say what it does.\n\n{BODY}",
        f"Say {'it ' * 24}now.\n\n{BODY}",
        f"Say what it does.\n\n{'word ' * 19}",
        "Say what it does.",
        f"Say what it does.\n\n{BODY[:60]}",
        f"Say it.\n\n{BODY}",
        f"Say it now.\n\n{BODY}",
        f"{'Say ' * 26}it.\n\n{BODY}",
        f"A Title\n\n{BODY}",
        f"Say what it does.\n\nWe say what it does here. {BODY}",
        f"Say what it does.\n\nSay what it does, and do it. {BODY}",
        f"Say what it does.\n\n{BODY} Für alle.",
        f"Say what it does.\n\n>>> f()\n{BODY}",
    ],
)
def test_a_docstring_that_is_left_out(docstring):
    assert not list(pairs(source(docstring)))


@pytest.mark.parametrize(
    "docstring",
    [
        f"Say {'it ' * 23}now.\n\n{BODY}",
        f"Say what it does.\n\n{'word ' * 20}",
    ],
)
def test_a_docstring_that_is_just_long_enough(docstring):
    assert len(list(pairs(source(docstring)))) == 1


def test_a_body_of_a_hundred_words_is_whole():
    for count in (100, 101):
        ((text, _),) = pairs(source(f"Say what it does.\n\n{'word ' * count}"))
        assert text == "word " * 99 + "word"


def test_a_long_body_is_cut():
    ((text, _),) = pairs(source(f"Say what it does.\n\n{BODY * 9}"))
    assert text.split() == (BODY * 9).split()[:MOST_WORDS]


@pytest.mark.parametrize(
    "line",
    [
        "Half is 50% of it.",
        "Use a:: b.",
        "Uses {x} of it.",
        "f(x) -> y.",
        "Return f(x).",
        "Set x = 3.",
        ".. note:: Read it.",
        "return it.",
        "Wait for it...",
        "See https://python.org.",
        "Return no stop",
        "Return. Or\nnot.",
    ],
)
def test_what_is_no_sentence(line):
    assert not is_sentence(line)
    assert is_sentence("Return x, y's sum and (if there is one) z.")


def test_prose_of_markdown_and_of_sections_without_blank_lines():
    text = "Uses `x`.\n\n```python\nx = 1\n\ny = 2\n```\n\nExamples:\n  f(x)\nReturns:\n  All.\n\n"
    text += "See Also\n--------\ng\n\nNotes\n-----\nNone."
    assert prose(text) == "Uses x. Returns: All. Notes: None."


@pytest.mark.parametrize(
    "title",
    [
        "Example",
        "Examples",
        "Usage",
        "Raises",
        "Warns",
        "References",
        "Reference",
        "See Also",
        "Attributes",
        "Methods",
    ],
)
def test_sections_that_are_not_read(title):
    for head in (f"{title}:", f"{title}::", f"{title}\n=======", f"{title}\n^^^^"):
        text = f"One.\n\n{head}\n    not this\n\nNotes:\n    Two."
        assert prose(text) == "One. Notes: Two."


@pytest.mark.parametrize(
    "text, words",
    [
        ("A.\n\n~~~\nx = 1\n~~~\n\nB.", "A. B."),
        ("A.\n\n```\nx = 1", "A."),
        ("See :ref:`the text <target>`.", "See the text."),
        ("A.\n\nHas %(this)s.\n\nB.", "A. B."),
        ("A.\n\n  .. note::\n\n     Not this.\n\nB.", "A. B."),
        ("A.\n\n.. note::\n\n  Not this.", "A."),
        ("A.\n\n.. note:: This\n\n  Not this.\n\nB.", "A. B."),
        ("A.\n\n  One::\n\n      not this\n\n  Two.", "A. One: Two."),
    ],
)
def test_what_is_code_and_what_is_markup(text, words):
    assert prose(text) == words


def test_files_of_strings_of_either_kind_are_read_quietly(recwarn):
    (found,) = documented(b"'''One.'''\nx = '\\d'\n", (ast.Module,))
    assert found[1] == "One." and not recwarn.list


def test_definitions_below_any_statement_are_found():
    code = b"""
try:
    import x
except ImportError:
    def one():
        '''One.'''
else:
    def two():
        '''Two.'''
match x:
    case 1:
        def three():
            '''Three.'''
with x:
    for y in x:
        def four():
            '''Four.'''
"""
    found = [docstring for _, docstring in documented(code, (ast.FunctionDef,))]
    assert found == ["One.", "Two.", "Three.", "Four."]


def test_which_files_are_read(monkeypatch, tmp_path):
    """The library's and then the packages': no tests, no copies of others, nothing that is not
    there."""
    library, packages = tmp_path / "library", tmp_path / "packages"
    folders = [
        "test",
        "tests",
        "testing",
        "idle_test",
        "_vendor",
        "vendor",
        "externals",
        "site-packages",
    ]
    names = ["b.py", "a.py", "c.txt", "sub/d.py", *(f"sub/{folder}/x.py" for folder in folders)]
    for name in names:
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("")
    (packages / "own").mkdir(parents=True)
    (packages / "own" / "m.py").write_text("")
    (packages / "own" / "m.pyi").write_text("")

    class Listed(pathlib.PurePosixPath):
        def locate(self):
            return packages / self

    def files(name):
        if name == "none":
            raise importlib.metadata.PackageNotFoundError(name)
        return (
            None
            if name == "unlisted"
            else [Listed(f"own/{x}") for x in ("m.py", "m.pyi", "gone.py")]
        )

    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    monkeypatch.setattr(importlib.metadata, "files", files)
    monkeypatch.setattr(installed, "DISTRIBUTIONS", ("none", "unlisted", "own"))
    assert [name for name, _ in python_files()] == ["a.py", "b.py", "sub/d.py", "own/m.py"]
    assert python_files()[-1][1] == packages / "own" / "m.py"


def test_a_corpus_is_drawn_by_its_seed(monkeypatch, tmp_path):
    files = []
    for number in range(40):
        path = tmp_path / f"{number}.py"
        path.write_bytes(source(f"Say what number {number} does.\n\n{f'w{number} x y z ' * 6}"))
        files.append((path.name, path))
    monkeypatch.setattr(installed, "python_files", lambda: files)
    first, second = docstrings(100, seed=1), docstrings(100, seed=2)
    assert sorted(first["train"]) == sorted(second["train"]) and first["train"] != second["train"]
    assert docstrings(5, seed=1)["train"] == first["train"][:5]


def test_near_copies_share_half_of_their_runs_of_four_words():
    """Of two runs one is half; of seven three are less."""
    assert without_near_copies([("a b c d e", "")], [("a b c d x", "")]) == []
    few = ("a b c d e f g h i j", "")
    assert without_near_copies([few], [("a b c d e f q r s t", "")]) == [few]
    # Of the shorter text, which has two runs, whichever it is; seventeen are the longer's.
    short, long = ("a b c d e", ""), ("a b c d f g h i j k l m n o p q r s t u", "")
    assert without_near_copies([short], [long]) == without_near_copies([long], [short]) == []
    # The target counts too, and capitals do not.
    assert without_near_copies([("a b", "c d e")], [("A B C", "D x")]) == []


def test_a_near_copy_stands_in_one_split():
    """In the test rather than in validation, and in either rather than in training."""

    def place(name):
        """Where the hash of a file's name lies in [0, 1)."""
        return int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 16**16

    names = [f"{n}.py" for n in range(1000)]
    validation = next(name for name in names if place(name) < 0.05)
    test = next(name for name in names if 0.05 <= place(name) < 0.1)
    train = next(name for name in names if place(name) >= 0.1)
    texts = {number: " ".join(f"{word}{number}" for word in "abcdefgh") for number in range(3)}
    examples = [
        (train, texts[0], "one"),
        (validation, f"{texts[0]} x", "two"),
        (validation, texts[1], "three"),
        (test, f"{texts[1]} x", "four"),
        (train, texts[2], "five"),
        (test, f"{texts[2]} x", "six"),
        (train, "quite another text", "seven"),
    ]
    splits = divide(examples, 10, seed=1)
    found = {split: [target for _, target in pairs] for split, pairs in splits.items()}
    assert found == {"train": ["seven"], "validation": ["two"], "test": ["four", "six"]}


def test_the_held_out_are_a_twentieth_of_the_files_each():
    examples = [(f"{n}.py", f"source {n} {n * n}", f"target {n}") for n in range(2000)]
    splits = divide(examples, 10**6, seed=1)
    assert all(70 <= len(splits[name]) <= 130 for name in ("validation", "test"))


def test_a_file_that_cannot_be_parsed_has_no_docstrings():
    assert not list(documented(b'"""Python 2."""\nprint "x"\n', (object,)))
    assert not list(documented(b'"""A zero \x00 byte."""', (object,)))


def test_files_are_the_library_s_and_those_of_requirements():
    names = [name for name, _ in python_files()]
    assert len(set(names)) == len(names) and names[0] == "__future__.py"
    assert {"ast.py", "email/message.py", "keras/src/layers/layer.py", "sklearn/base.py"} <= set(
        names
    )
    assert not [
        name
        for name in names
        if name.startswith("test/") or "site-packages" in name or ".." in name
    ]
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options"]["install_requires"].split("\n")
    assert {*installed.DISTRIBUTIONS} <= {
        Requirement(line).name for line in lines if line and not line.startswith("#")
    }


def test_files_of_one_split_and_no_text_twice():
    long = " ".join(f"w{n}" for n in range(40))
    examples = [
        (f"{n % 200}.py", f"source {n} {n * n} {n - 7} {n + 9}", f"target {n}") for n in range(4000)
    ]
    splits = divide([*examples, *examples], 10**6, seed=1)
    assert sorted(sum(splits.values(), [])) == sorted(example[1:] for example in examples)
    assert all(60 <= len(splits[name]) <= 500 for name in ("validation", "test"))
    files = {example[1:]: example[0] for example in examples}
    found = [{files[pair] for pair in pairs} for pairs in splits.values()]
    assert sum(map(len, found)) == len(set.union(*found)) == 200
    test_file, train_file = (files[splits[name][0]] for name in ("test", "train"))
    copied = divide(
        [*examples, (test_file, long, "first"), (train_file, long + " w", "second")], 10**6, seed=1
    )
    assert (long, "first") in copied["test"] and (long + " w", "second") not in copied["train"]
    assert (
        divide(examples, 100, seed=1)["train"]
        == splits["train"][:100]
        != divide(examples, 100, seed=2)["train"]
    )
    assert divide(examples, 100, seed=2)["test"] == splits["test"]


@pytest.mark.slow
def test_the_library_s_docstrings(python_library):
    splits = docstrings(100, seed=1)
    assert splits == docstrings(100, seed=1)
    assert len(splits["train"]) == 100 and splits["validation"] and splits["test"]
    found = [pair for split in splits.values() for pair in split]
    assert len({text for pair in found for text in pair}) == 2 * len(found)
    assert all(text == " ".join(text.split()) for pair in found for text in pair)
    assert all(
        20 <= len(source.split()) <= MOST_WORDS and is_sentence(target) for source, target in found
    )


def test_the_files_that_are_read_are_part_of_the_data(monkeypatch):
    monkeypatch.setattr(installed, "DISTRIBUTIONS", ("ftfy",))
    assert input_files(DataConfig(corpus="docstrings", task="summarization")) == [
        path for _, path in python_files()
    ]
    assert not input_files(DataConfig(corpus="reverse"))
