"""Reads Python source that is installed anyway: the standard library and required packages.

Files are parsed and never imported, since an import would run them. The result depends on the
versions of the interpreter and of the packages, so that another machine may have other corpora.
"""

import ast
import collections
import contextlib
import importlib.metadata
import operator
import pathlib
import random
import re
import sysconfig
import warnings

from data.readers.sources import complete_splits

# They are read in this order. If a text occurs twice, the first one is kept.
DISTRIBUTIONS = (
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "keras",
    "keras-hub",
    "huggingface-hub",
    "tensorboard",
    "absl-py",
    "rich",
    "ftfy",
    "sacrebleu",
    "tensorflow-text",
    "tensorflow",
    "tensorflow-datasets",
)
# Folders that are skipped: tests, copies of other packages, and packages that are installed in the
# folder of the standard library.
_LEFT_OUT = {
    "test",
    "tests",
    "testing",
    "idle_test",
    "_vendor",
    "vendor",
    "externals",
    "site-packages",
    "dist-packages",
}
_HELD_OUT_SHARE = 0.05
# The words in a run, and the share of common runs that makes a pair a near copy.
_RUN, _NEAR = 4, 0.5


def python_files():
    """Returns the Python files that are read.

    Returns:
        A list of (name, path), the standard library first. A name is relative to the folder of the
        library or of the packages, so it is the same on every machine.
    """
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    files = sorted((path.relative_to(library).as_posix(), path) for path in library.rglob("*.py"))
    for distribution in DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            listed = importlib.metadata.files(distribution) or ()
            files += sorted(
                (path.as_posix(), pathlib.Path(path.locate()))
                for path in listed
                if path.suffix == ".py"
            )
    return [
        (name, path)
        for name, path in files
        if _LEFT_OUT.isdisjoint(name.split("/")) and path.is_file()
    ]


def documented(source, kinds):
    """Yields the definitions of a Python file that have a docstring.

    Args:
        source: bytes, the contents of the file. A file that this interpreter cannot parse has none.
        kinds: tuple of `ast` classes.

    Yields:
        (node, docstring without its indentation).
    """
    if b'"""' not in source and b"'''" not in source:
        return
    with warnings.catch_warnings():
        # Other people's strings contain invalid escapes such as "\d".
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return
    for node in statements(tree):
        if isinstance(node, kinds) and (docstring := ast.get_docstring(node)):
            yield node, docstring


def statements(node):
    """Yields a node and all statements below it, `except` and `case` included.

    It is `ast.walk` without the expressions, which are most of the nodes.
    """
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from statements(child)


def corpus(pairs, size, seed):
    """Returns the pairs that a function finds in all Python files, as splits made by `divide`.

    Args:
        pairs: function from the bytes of a file to an iterable of (source, target).
        size: int, the number of training pairs. If there are fewer, all are taken.
        seed: int, decides which training pairs are taken, and their order.

    Returns:
        {"train", "validation", "test"} -> list of (source, target). Other versions of Python and of
        the packages give other pairs.
    """
    examples = ((name, *pair) for name, path in python_files() for pair in pairs(path.read_bytes()))
    return divide(examples, size, seed)


def divide(examples, size, seed):
    """Divides pairs into splits so that a test cannot be passed by memorizing.

    All pairs of a file go to one split, by a hash of the file's name. Of pairs with the same source
    or the same target, the first is kept. A training pair that is a near copy of a validation or
    test pair is dropped, and so is a validation pair that is a near copy of a test pair. Near
    copies arise where the same function is copied into another module.

    Args:
        examples: iterable of (name of the file, source, target).
        size: int, the number of training pairs. If there are fewer, all are taken.
        seed: int, draws the training pairs. Validation and test are the pairs of about 5 of 100
            files each, and depend on neither `size` nor `seed`.

    Returns:
        {"train", "validation", "test"} -> list of (source, target).
    """
    seen, kept = set(), []
    for example in examples:
        texts = set(example[1:])
        if seen.isdisjoint(texts):
            seen |= texts
            kept.append(example)
    splits = complete_splits(
        {"train": kept}, _HELD_OUT_SHARE, _HELD_OUT_SHARE, text=operator.itemgetter(0)
    )
    train, validation, test = (
        [example[1:] for example in splits[name]] for name in ("train", "validation", "test")
    )
    validation = without_near_copies(validation, test)
    train = without_near_copies(train, validation + test)
    random.Random(seed).shuffle(train)
    return {"train": train[:size], "validation": validation, "test": test}


def without_near_copies(pairs, held_out):
    """Drops the pairs that are near copies of a held-out pair.

    Two pairs are near copies if half the runs of four words of the shorter one occur in the other.

    >>> without_near_copies([("a b c d e f", "g"), ("e f g h i j", "k")], [("z a b c d e f", "g")])
    [('e f g h i j', 'k')]

    Args:
        pairs: list of (source, target).
        held_out: list of (source, target).

    Returns:
        A list of (source, target).
    """
    holders, lengths = collections.defaultdict(list), []
    for number, pair in enumerate(held_out):
        runs = _runs(pair)
        lengths.append(len(runs))
        for run in runs:
            holders[run].append(number)
    kept = []
    for pair in pairs:
        runs = _runs(pair)
        shared = collections.Counter(number for run in runs for number in holders.get(run, ()))
        if all(count < _NEAR * min(len(runs), lengths[number]) for number, count in shared.items()):
            kept.append(pair)
    return kept


def _runs(pair):
    """Returns the runs of four words in a pair's source and target, joined as one text.

    A shorter text is a single run.
    """
    words = re.findall(r"\w+", " ".join(pair).lower())
    return {tuple(words[start : start + _RUN]) for start in range(max(1, len(words) - _RUN + 1))}
