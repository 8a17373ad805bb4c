"""The notebooks run from the first cell to the last, and both languages have the code that runs."""

import json
import pathlib
import runpy

import nbformat
import pytest

pytestmark = pytest.mark.slow  # it trains, or starts programs

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
BUILD = runpy.run_path(str(FOLDER / "build.py"))
SOURCES = sorted(FOLDER.glob("[0-9]*.md"))


def code(cells):
    return [cell.source for cell in cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_both_languages_are_built_from_the_source(path):
    source = path.read_text(encoding="utf-8")
    for language, suffix in BUILD["LANGUAGES"].items():
        notebook = nbformat.read(path.with_name(f"{path.stem}{suffix}.ipynb"), as_version=4)
        nbformat.validate(notebook)
        assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
            (cell.cell_type, cell.source) for cell in BUILD["cells"](source, language)
        ], "run python notebooks/build.py"
        assert sum(bool(cell.get("outputs")) for cell in notebook.cells) >= 10
        chinese = any(
            "\u4e00" <= character <= "\u9fff"
            for cell in notebook.cells
            if cell.cell_type == "markdown"
            for character in cell.source
        )
        assert chinese == (language == "zh")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    source = path.read_text(encoding="utf-8")
    for option in (
        "--corpus_size=30000",
        "--train_steps=600",
        "--eval_every=200",
    ):  # of what it trains a tenth
        assert source.count(option) == 1
        source = source.replace(option, option[:-1])
    cells = BUILD["run"](source)
    outputs = json.dumps([cell.outputs for cell in cells], ensure_ascii=False)
    assert outputs.count("image/png") == 2 and "parameters" in outputs
