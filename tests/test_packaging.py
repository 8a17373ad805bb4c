"""What setup.cfg promises: a version, ranges that hold the pins of constraints.txt, an sdist with all a clone needs."""

import configparser
import pathlib
import re

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
    texts = [parser["options"]["install_requires"], parser["options.extras_require"]["test"]]
    return [Requirement(line) for text in texts for line in lines(text)]


def pins(python):
    """{name: version} of constraints.txt for one Python on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
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
        assert re.fullmatch(r"[a-z0-9-]+==[a-z0-9.]+(; python_version (<|>=) \"3\.\d+\")?", line), line


def test_pyproject_holds_only_the_build_system():
    tables = re.findall(r"^\[.*\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert tables == ["[build-system]"]


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert lines(script.read_text(encoding="utf-8"))[-1] == "make test"


def test_the_wheel_has_both_packages_and_the_sdist_all_that_a_clone_runs():
    packages = lines(setup()["options"]["packages"])
    folders = {path.parent for package in ("transformer", "data") for path in (ROOT / package).glob("**/*.py")}
    assert sorted(packages) == sorted(".".join(folder.relative_to(ROOT).parts) for folder in folders)
    assert all((folder / "__init__.py").is_file() for folder in folders)
    manifest = {name for line in lines((ROOT / "MANIFEST.in").read_text(encoding="utf-8")) for name in line.split()}
    scripts = {path.name for path in ROOT.glob("*.py")}
    assert scripts | {"LICENSE", "Makefile", "constraints.txt", "configs", "tests"} <= manifest
