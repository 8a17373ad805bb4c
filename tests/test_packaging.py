"""What setup.cfg promises: a version, ranges that hold the pins of constraints.txt, an sdist
with all a clone needs."""

import configparser
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import transformer

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def lines(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements():
    parser = setup()
    extras = parser["options.extras_require"]
    texts = [parser["options"]["install_requires"], extras["test"], extras["dev"]]
    return [Requirement(line) for text in texts for line in lines(text)]


def pins(python):
    """{name: version} of constraints.txt for one Python on Linux."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
    }
    found = {}
    for line in lines((ROOT / "constraints.txt").read_text(encoding="utf-8")):
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            assert pin.name not in found, f"{pin.name} is pinned twice for Python {python}"
            found[pin.name] = str(pin.specifier).removeprefix("==")
    return found


def test_the_version_stands_in_two_places_that_agree():
    assert setup()["metadata"]["version"] == transformer.__version__
    assert setup()["metadata"]["name"] == "transformer-keras"


def test_python_3_10_to_3_13():
    allowed = SpecifierSet(setup()["options"]["python_requires"])
    assert [f"3.{minor}" for minor in range(8, 16) if f"3.{minor}.1" in allowed] == PYTHONS


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_is_pinned_inside_its_range(python):
    versions = pins(python)
    for requirement in requirements():
        assert requirement.specifier.contains(versions[requirement.name]), requirement


def test_pins_are_exact_and_name_no_place_on_a_disk():
    for line in lines((ROOT / "constraints.txt").read_text(encoding="utf-8")):
        assert re.fullmatch(r"[a-z0-9-]+==[a-z0-9.]+(; python_version (<|>=) \"3\.\d+\")?", line), (
            line
        )


def test_pyproject_holds_the_build_system_and_tools_alone():
    """What the package is stands in setup.cfg."""
    tables = re.findall(
        r"^\[.*\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert tables[0] == "[build-system]"
    assert all(table.startswith("[tool.ruff") for table in tables[1:])


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert lines(script.read_text(encoding="utf-8"))[-1] == "make test"


@pytest.mark.slow
def test_the_sdist_and_the_wheel_have_what_they_must(tmp_path):
    """Built as a user builds them, in an environment of the build's own, from a copy: a build
    leaves files behind."""
    ignore = shutil.ignore_patterns(
        ".git", ".venv", "runs", "build", "dist", "*.egg-info", "__pycache__"
    )
    shutil.copytree(ROOT, tmp_path / "copy", ignore=ignore)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", tmp_path / "dist", tmp_path / "copy"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,), (sdist,) = (tmp_path / "dist").glob("*.whl"), (tmp_path / "dist").glob("*.tar.gz")
    modules = {
        str(path.relative_to(ROOT))
        for package in ("transformer", "data")
        for path in (ROOT / package).glob("**/*.py*")
        if path.suffix in (".py", ".pyi")
    }
    with zipfile.ZipFile(wheel) as file:
        assert {name for name in file.namelist() if ".dist-info/" not in name} == modules
        file.extractall(tmp_path / "site")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert (
        modules
        | {
            "train.py",
            "Makefile",
            "constraints.txt",
            "LICENSE",
            ".ci/run",
            "configs/reverse.cfg",
            "tests/conftest.py",
        }
        <= names
    )
    command = "import transformer, data.corpora.registry; print(transformer.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", command], cwd=tmp_path / "site", capture_output=True, text=True
    ).stdout
    assert found.startswith(str(tmp_path / "site"))


@pytest.mark.slow
def test_a_test_that_hangs_within_a_library_is_ended(tmp_path):
    """A mutex that is locked twice: no signal's handler in Python is ever called."""
    (tmp_path / "test_hang.py").write_text("""
import ctypes
def test_hang():
    library, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)
""")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-c",
        ROOT / "setup.cfg",
        "--timeout=1",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "test_hang.py" in done.stdout and "Timeout" in done.stdout
