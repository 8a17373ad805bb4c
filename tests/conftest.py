"""What every test needs: a quiet TensorFlow, the repository's root on the path, the real data
sets where they exist; and the order."""

import os
import pathlib
import sys

import hypothesis
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(ROOT))
# Each worker of xdist, and what it starts, keeps to a core of its own, before a library counts
# them: threads of two that share two cores wait for each other, up to ten times as long as they
# compute.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
# Properties are tried with the same examples each time, and without a limit of time: a machine may
# be busy.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")
# The longest files go to the workers first, so that none is left alone with one of them at the end.
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
    order = {ROOT / "tests" / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="session")
def shared():
    """The folder of real data sets beside the repository; the test is skipped where there is
    none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data sets in ../shared/data")
    return folder


@pytest.fixture
def python_library(monkeypatch):
    """Corpora of installed Python source read a part of the standard library: it takes a second."""
    from data.corpora import installed

    monkeypatch.setattr(installed, "DISTRIBUTIONS", ())
    files = [
        (name, path) for name, path in installed.python_files() if "/" not in name and name < "k"
    ]
    monkeypatch.setattr(installed, "python_files", lambda: files)
