"""Files as a user has them: what is read of each format, and the sentence for each way in which one can be broken."""

import gzip
import json

import pytest

from data.config import DataError
from data.files import is_text, read_json, read_lines, read_rows, resolve

COLUMNS = {"text_column": "text", "label_column": "label"}
NUMBERED = {"text_column": "2", "label_column": "1"}
ROWS = [["so good", "good"], ["so bad", "bad"], ["fine, really", "good"]]


def write(path, text):
    with (gzip.open if path.name.endswith(".gz") else open)(path, "wt", encoding="utf-8", newline="") as file:
        file.write(text)
    return path


def lines(texts):
    return "".join(text + "\n" for text in texts)


def test_lines_end_at_newlines_alone(tmp_path):
    (tmp_path / "f").write_bytes("\ufeffone\r\ntwo\u2028half\x0cend\n\nlast".encode())
    assert read_lines(tmp_path / "f") == ["one", "two\u2028half\x0cend", "", "last"]


@pytest.mark.parametrize("name, text, columns, delimiter, first", [
    ("a.tsv", lines(["id\tlabel\ttext", *(f"1\t{label}\t{text}" for text, label in ROWS)]), COLUMNS, "", 2),
    ("a.tsv.gz", lines(f"{label}\t{text}\t7" for text, label in ROWS), NUMBERED, "", 1),
    ("a.csv", 'text,label\nso good,good\n"so bad",bad\n"fine, really",good\n', COLUMNS, "", 2),
    ("a.jsonl", lines(json.dumps({"text": text, "n": 1, "label": label}) for text, label in ROWS), COLUMNS, "", 1),
    ("a.json.gz", lines(json.dumps({"text": text, "label": label}) for text, label in ROWS), COLUMNS, "", 1),
    ("a.txt", lines(f"{label} {text}" for text, label in ROWS), NUMBERED, "space", 1),
    ("a.data", lines(["label text", *(f"{label} {text}" for text, label in ROWS)]), COLUMNS, "space", 2),
    ("a.txt", lines(f"{label}\t{text}" for text, label in ROWS), NUMBERED, "tab", 1),
])  # fmt: skip
def test_every_format_gives_the_same(tmp_path, name, text, columns, delimiter, first):
    assert read_rows(write(tmp_path / name, text), "train_files", columns, delimiter) == list(enumerate(ROWS, first))


def test_a_quoted_cell_may_have_several_lines_and_the_line_is_where_it_begins(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"so\n""good""",1\n\nbad,0\n')
    assert read_rows(path, "train_files", COLUMNS) == [(2, ['so\n"good"', "1"]), (5, ["bad", "0"])]


def test_what_a_row_lacks_is_none(tmp_path):
    assert read_rows(write(tmp_path / "a.tsv", "x\ty\n\nz\n"), "train_files", NUMBERED) == [(1, ["y", "x"]), (3, [None, "z"])]
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n{"label": null}\n')
    assert read_rows(path, "train_files", COLUMNS) == [(1, ["a", 1]), (2, [None, None])]


@pytest.mark.parametrize("name, content, message", [
    ("a.tsv", b"\xff\xfe\ttwo\n", "must be UTF-8. Received: .*a.tsv, line 1"),
    ("a.tsv.gz", gzip.compress(b"one\ttwo\n" * 99, mtime=0)[:-9], "must be readable"),
    ("a.tsv.gz", b"\x1f\x8b\x08\x00" + b"\x00" * 6 + b"junk" * 9, "must be readable"),
    ("a.tsv.gz", b"no gzip", "must be readable"),
    ("a.jsonl", b'{"text": "x", "label": "y"}\n{"text": "x"', "must be a JSON object. Received: .*line 2"),
    ("a.jsonl", b"[1]\n", "must be a JSON object. Received: .*line 1: list"),
    ("a.jsonl", b"[" * 100_000 + b"\n", "must be a JSON object"),
    ("a.jsonl", b'{"text": ' + b"9" * 5000 + b', "label": "x"}\n', "must be a JSON object"),
    ("a.jsonl", b'{"text": "x", "mark": "y"}\n',
     "--text_column and --label_column must be columns of the file. Received: 'label'; .*line 1 has 'text', 'mark'"),
    ("a.csv", b'text,label\n"s,t', "must be CSV. Received: .*a.csv, line 2"),
    ("a.tsv", b"", "Received: 'text'; .*a.tsv has none"),
    ("a.xml", b"", "--train_files takes .tsv, .csv and .jsonl files, .gz too. Received: .*a.xml"),
    ("none.tsv", None, "must be readable. Received: .*none.tsv"),
])  # fmt: skip
def test_broken_files_are_named_with_their_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name, "train_files", COLUMNS)


@pytest.mark.parametrize("column, message", [
    ("0", "--text_column and --label_column count from 1. Received: 0, 1"),
    ("²", "must be columns of the file. Received: '²'"),
    ("-1", "must be columns of the file. Received: '-1'"),
])  # fmt: skip
def test_wrong_columns(tmp_path, column, message):
    with pytest.raises(DataError, match=message):
        read_rows(write(tmp_path / "a.tsv", "one\ttwo\n"), "train_files", {"text_column": column, "label_column": "1"})


def test_globs_are_sorted_and_a_folder_s_name_is_none(tmp_path):
    folder = tmp_path / "data [1]"
    folder.mkdir()
    for name in ("b.tsv", "a1.tsv", "a2.tsv"):
        write(folder / name, "")
    found = resolve(("b.tsv", "a*.tsv"), str(folder), "train_files")
    assert found == [str(folder / name) for name in ("b.tsv", "a1.tsv", "a2.tsv")]
    with pytest.raises(DataError, match=r"--train_files must name files that exist. Received: .*/c\*. Check the name"):
        resolve(("b.tsv", "c*"), str(folder), "train_files")


def test_json_is_read_whole(tmp_path):
    assert read_json(write(tmp_path / "a.json.gz", '{"data":\n [1]}')) == {"data": [1]}
    with pytest.raises(DataError, match="a file must be JSON. Received: .*b.json .Expecting"):
        read_json(write(tmp_path / "b.json", '{"data":'))


def test_half_a_character_is_no_text():
    assert is_text("é😀") and is_text("")
    assert not any(map(is_text, ("half \ud83d", b"bytes", None, 1.5)))
