"""Python source that is there without a download: the standard library's and that of the packages
this one requires.

Files are parsed and never imported: an import would run them. What is found depends on the versions
of the interpreter and of the packages, so that another machine may have other corpora.
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

# In the order in which they are read: of a text that stands twice, the first is kept.
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
# Tests, copies of other packages, and packages that are installed in the standard library's folder.
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
# Words of a run, and the share of runs in common that makes a near copy.
_RUN, _NEAR = 4, 0.5


def python_files():
    """The Python files that are read.

    Returns:
        A list of (name, path), the standard library's first. A name is relative to the folder of
        the library or of the packages: it is the same on every machine.
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
    """The definitions of a Python file that have a docstring.

    Args:
        source: bytes; of a file that this interpreter cannot parse there are none.
        kinds: classes of `ast`, a tuple.

    Yields:
        (node, docstring without its indentation).
    """
    if b'"""' not in source and b"'''" not in source:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of "\d" in others' strings
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            return
    for node in statements(tree):
        if isinstance(node, kinds) and (docstring := ast.get_docstring(node)):
            yield node, docstring


def statements(node):
    """Yields a node and all statements below it, "except" included: ast.walk without the
    expressions, which are most."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from statements(child)


def corpus(pairs, size, seed):
    """The corpus of what `pairs` finds in each Python file, divided as `divide` does.

    Args:
        pairs: bytes of a file -> iterable of (source, target).
        size: training pairs; where there are fewer, all.
        seed: which of them, and their order.

    Returns:
        {"train", "validation", "test"} -> lists of (source, target); other versions of Python and
        of the packages have others.
    """
    examples = ((name, *pair) for name, path in python_files() for pair in pairs(path.read_bytes()))
    return divide(examples, size, seed)


def divide(examples, size, seed):
    """Divides pairs so that a test asks for what was not learnt: all pairs of a file go to one
    split, by its name's hash.

    Of pairs with the same source or the same target the first is kept. A training pair that is a
    near copy of a validation or test pair is dropped, as is a validation pair of a test pair: the
    same function copied into another module.

    Args:
        examples: iterable of (name of the file, source, target).
        size: training pairs, drawn by `seed`; where there are fewer, all. The other splits, each
            from 5 files in 100, depend on neither.

    Returns:
        {"train", "validation", "test"} -> lists of (source, target).
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
    """The pairs that are no near copy of a held-out one: half the runs of four words of the shorter
    of both stand in the other.

    >>> without_near_copies([("a b c d e f", "g"), ("e f g h i j", "k")], [("z a b c d e f", "g")])
    [('e f g h i j', 'k')]
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
    """The runs of four words, in a pair's source and target as one text; a shorter text is a run
    by itself."""
    words = re.findall(r"\w+", " ".join(pair).lower())
    return {tuple(words[start : start + _RUN]) for start in range(max(1, len(words) - _RUN + 1))}
