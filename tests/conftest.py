"""Setup shared by all tests.

It quiets TensorFlow, puts the root of the repository on the path, pins pytest-xdist workers to
cores, orders the test files, and has the fixtures for data.
"""

import os
import pathlib
import sys

import hypothesis
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(ROOT))
# Pin each worker of pytest-xdist, and what it starts, to one core. This must happen before a
# library counts the cores. Two workers with threads on the same two cores wait for each other, up
# to ten times as long as they compute.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
# Hypothesis tries the same examples each time. It has no deadline, because a machine may be busy.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")
# The longest test files run first, so that no worker is left alone with one of them at the end.
LONGEST = [
    "training/test_loop",
    "pipelines/test_encoder",
    "test_backends",
    "cli/test_train",
    "cli/test_finetune",
    "model/test_transformer",
    "test_readme",
    "cli/test_launch",
    "cli/test_text2text",
    "test_benchmarks",
]


def pytest_collection_modifyitems(items):
    """Moves the tests of the `LONGEST` files to the front."""
    order = {ROOT / "tests" / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="session")
def shared():
    """Returns the folder of real data sets beside the repository, or skips the test without one."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data sets in ../shared/data")
    return folder


@pytest.fixture
def python_library(monkeypatch):
    """Makes the corpora of installed Python source read only a part of the standard library.

    That takes a second.
    """
    from data.corpora import installed

    monkeypatch.setattr(installed, "DISTRIBUTIONS", ())
    files = [
        (name, path) for name, path in installed.python_files() if "/" not in name and name < "k"
    ]
    monkeypatch.setattr(installed, "python_files", lambda: files)
