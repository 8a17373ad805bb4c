"""Makes the notebooks from their sources: python notebooks/build.py

A source is Markdown: fenced ```python blocks are code cells, and what stands between them is a text
cell, in English up to the line `<!-- zh -->` and in Chinese behind it. The code is run once;
NAME.ipynb and NAME_zh.ipynb share its cells and its outputs.
"""

import copy
import pathlib
import re
import sys

import nbformat

FOLDER = pathlib.Path(__file__).resolve().parent
LANGUAGES = {"en": "", "zh": "_zh"}


def cells(source, language):
    """The cells of a notebook in one language, not run."""
    made = []
    for number, part in enumerate(re.split(r"^```python\n(.*?)^```\n", source, flags=re.MULTILINE | re.DOTALL)):
        if number % 2:
            made.append(nbformat.v4.new_code_cell(part.strip(), id=f"cell-{number}"))
            continue
        english, _, chinese = part.partition("<!-- zh -->")
        text = (english if language == "en" else chinese).strip()
        if text:
            made.append(nbformat.v4.new_markdown_cell(text, id=f"cell-{number}"))
    return made


def run(source):
    """The code cells of a source with their outputs; an error in a cell is an error here."""
    import nbclient

    notebook = nbformat.v4.new_notebook(cells=cells(source, "en"))
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def notebooks(source):
    """{suffix of the file name: notebook} with outputs, one for each language."""
    outputs = {cell.id: cell for cell in run(source)}
    made = {}
    for language, suffix in LANGUAGES.items():
        finished = [copy.deepcopy(outputs.get(cell.id, cell)) for cell in cells(source, language)]
        for cell in finished:
            cell.metadata = {}
        made[suffix] = nbformat.v4.new_notebook(cells=finished, metadata={"language_info": {"name": "python"}})
    return made


def main():
    for path in sorted(FOLDER.glob("[0-9]*.md")):
        for suffix, notebook in notebooks(path.read_text(encoding="utf-8")).items():
            nbformat.validate(notebook)
            nbformat.write(notebook, path.with_name(f"{path.stem}{suffix}.ipynb"))
            print(f"wrote {path.stem}{suffix}.ipynb")


if __name__ == "__main__":
    sys.exit(main())
