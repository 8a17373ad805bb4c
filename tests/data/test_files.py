"""Files as a user has them: what is read of each format, and the sentence for each way in which
one can be broken."""

import csv
import dataclasses
import gzip
import io
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.config import DataError
from data.readers.files import (
    is_jsonl,
    is_text,
    read_json,
    read_jsonl,
    read_lines,
    read_rows,
    resolve,
)
from transformer.config import ConfigError
from transformer.files import (
    replacing,
    replacing_folder,
    unwritable,
    write_json,
    write_json_lines,
    write_text,
)

COLUMNS = {"text_column": "text", "label_column": "label"}
NUMBERED = {"text_column": "2", "label_column": "1"}
ROWS = [["so good", "good"], ["so bad", "bad"], ["fine, really", "good"]]


def write(path, text):
    with (gzip.open if path.name.endswith(".gz") else open)(
        path, "wt", encoding="utf-8", newline=""
    ) as file:
        file.write(text)
    return path


def lines(texts):
    return "".join(text + "\n" for text in texts)


def test_lines_end_at_newlines_alone(tmp_path):
    (tmp_path / "f").write_bytes("\ufeffone\r\ntwo\u2028half\x0cend\n\nlast".encode())
    assert read_lines(tmp_path / "f") == ["one", "two\u2028half\x0cend", "", "last"]


@pytest.mark.parametrize(
    "content, texts",
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"\n\na", ["", "", "a"]),
        (b"a\r\r\n\r\nb\r", ["a\r", "", "b"]),
        (b"a\rb\n", ["a\rb"]),  # one "\\r" is of the line's end
        (
            b"\xef\xbb\xbf\xef\xbb\xbfa\n\xef\xbb\xbfb",
            ["\ufeffa", "\ufeffb"],
        ),  # a mark at the file's beginning alone
        ("a\u2029b\x85c\x0bd\x1ce \n".encode(), ["a\u2029b\x85c\x0bd\x1ce "]),
    ],
)
def test_lines_byte_by_byte(tmp_path, content, texts):
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    (tmp_path / "agz").write_bytes(content)  # no ".gz"
    assert (
        read_lines(tmp_path / "a")
        == read_lines(str(tmp_path / "a.gz"))
        == read_lines(tmp_path / "agz")
        == texts
    )


@pytest.mark.parametrize("number, content", [(1, b"\xff\n"), (3, b"a\n\nb\xe4\nc\n")])
def test_text_that_is_not_utf_8_is_named_by_its_line(tmp_path, number, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError, match=f"text must be UTF-8. Received: .*a, line {number} "):
        read_lines(tmp_path / "a")


def test_gz_files_that_are_damaged(tmp_path):
    whole = gzip.compress(b"one\ttwo\n" * 999, mtime=0)
    block = whole[:12] + b"\xff" * 20 + whole[32:]  # what zlib itself refuses
    for content in (block, whole[:-4] + b"0000", whole[: len(whole) // 2]):
        (tmp_path / "a.gz").write_bytes(content)
        with pytest.raises(DataError, match="a data file must be readable. Received: .*a.gz"):
            read_lines(tmp_path / "a.gz")


CELLS = st.text(alphabet=st.sampled_from("ab\",\t;é'\\ \n\u2028\x85\ufeff#"), max_size=6)


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_python_s_csv_module_writes_is_read_back(tmp_path_factory, rows, end, quoting):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=quoting)
    writer.writerows([("text", "n", "label"), *rows])
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.getvalue().encode())
    found = [
        values
        for _, values in read_rows(path, "train_files", {"a": "label", "b": "text", "c": "n"})
    ]
    assert found == [
        [c, a, b] for a, b, c in rows if (a + b + c).strip()
    ]  # a row of white space is a blank line


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(
            st.text(alphabet='ab",;é \u2028\x85\x0b\\', min_size=1, max_size=5),
            min_size=2,
            max_size=3,
        ),
        max_size=6,
    )
)
def test_cells_of_tsv_are_what_stands_between_tabs(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    path.write_bytes("".join("\t".join(row) + "\n" for row in rows).encode())
    expected = [
        (number, [*row[1::-1], row[2] if len(row) > 2 else None])
        for number, row in enumerate(rows, 1)
        if "".join(row).strip()
    ]
    assert read_rows(path, "train_files", {"a": "2", "b": "1", "c": "3"}) == expected


@pytest.mark.parametrize(
    "name, delimiter, text, rows",
    [
        (
            "a.tsv",
            "",
            "\ta\n \t \n \t\n\t\tb\n",
            [(1, [None, "a"]), (4, ["b", ""])],
        ),  # a tab at a line's beginning counts
        ("a.tsv", "comma", "x,a,b\n", [(1, ["b", "a"])]),  # the flag, not the name
        (
            "a.txt",
            "space",
            "x a b  c\n\nx  b\nx a\n",
            [(1, ["b  c", "a"]), (3, ["b", ""]), (4, [None, "a"])],
        ),
        ("a.csv", "", ",,\nx,a,b\n , , \n'x,a\n", [(2, ["b", "a"]), (4, [None, "a"])]),
    ],
)
def test_columns_by_number(tmp_path, name, delimiter, text, rows):
    assert (
        read_rows(write(tmp_path / name, text), "train_files", {"a": "3", "b": "2"}, delimiter)
        == rows
    )


def test_the_last_of_the_wanted_columns_need_not_be_the_last_of_the_file(tmp_path):
    """Split at spaces, the last column that is wanted keeps its own."""
    path = write(tmp_path / "a.txt", "id LOC where is it\n")
    assert read_rows(path, "train_files", {"text_column": "3"}, "space") == [(1, ["where is it"])]
    assert read_rows(path, "train_files", {"text_column": "2"}, "space") == [
        (1, ["LOC where is it"])
    ]


def test_columns_are_numbers_if_all_of_them_are(tmp_path):
    path = write(tmp_path / "a.tsv", "1\ttext\n7\tso good\n")
    assert read_rows(path, "train_files", {"a": "text", "b": "1"}) == [(2, ["so good", "7"])]
    with pytest.raises(
        DataError, match="must be columns of the file. Received: '١'"
    ):  # one, in Arabic
        read_rows(path, "train_files", {"a": "١"})


@pytest.mark.parametrize("delimiter", ["tab", "comma", "space"])
def test_an_empty_file_has_no_columns(tmp_path, delimiter):
    for text in ("", "\n"):
        path = write(tmp_path / "a.txt", text)
        with pytest.raises(DataError, match="Received: 'text'; .*a.txt has none"):
            read_rows(path, "train_files", COLUMNS, delimiter)
        assert read_rows(path, "train_files", NUMBERED, delimiter) == []


def test_blank_lines_of_json_lines_are_left_out(tmp_path):
    path = write(tmp_path / "a.jsonl", '\n{"a": 1}\n \t\n{"a": 2}\n\n')
    assert read_jsonl(path) == [(2, {"a": 1}), (4, {"a": 2})]
    with pytest.raises(
        DataError, match="must be a JSON object. Received: .*b.jsonl, line 3: NoneType"
    ):
        read_jsonl(write(tmp_path / "b.jsonl", '{"a": 1}\n\nnull\n'))


@pytest.mark.parametrize(
    "text, lines_of_json",
    [
        ('{"text": "a"}\n{"text": "b"}\n', True),
        ('{"text": "a"}', True),
        ("{}\nno JSON", True),
        ('{"data": []}', False),
        ('{"version": 2, "data": []}\n', False),
        ('{\n"text": 1}', False),
        ('["text"]\n', False),
        ("3\n", False),
        ("", False),
        ("\n{}", False),
        ("[" * 100_000, False),
    ],
)
def test_which_json_files_have_an_object_a_line(tmp_path, text, lines_of_json):
    assert is_jsonl(write(tmp_path / "a.json", text)) is lines_of_json


@pytest.mark.parametrize(
    "name, text, line", [("a.csv", '"x,y\n', 1), ("a.csv", 'x,y\n"a\nb",c\n\n"d"e,f\n', 5)]
)
def test_broken_csv_is_named_by_the_line_where_its_row_begins(tmp_path, name, text, line):
    with pytest.raises(
        DataError, match=f"a row must be valid CSV. Received: .*a.csv, line {line} "
    ):
        read_rows(write(tmp_path / name, text), "train_files", NUMBERED)


@pytest.mark.parametrize(
    "name, text, columns, delimiter, first",
    [
        (
            "a.tsv",
            lines(["id\tlabel\ttext", *(f"1\t{label}\t{text}" for text, label in ROWS)]),
            COLUMNS,
            "",
            2,
        ),
        ("a.tsv.gz", lines(f"{label}\t{text}\t7" for text, label in ROWS), NUMBERED, "", 1),
        ("a.csv", 'text,label\nso good,good\n"so bad",bad\n"fine, really",good\n', COLUMNS, "", 2),
        (
            "a.jsonl",
            lines(json.dumps({"text": text, "n": 1, "label": label}) for text, label in ROWS),
            COLUMNS,
            "",
            1,
        ),
        (
            "a.json.gz",
            lines(json.dumps({"text": text, "label": label}) for text, label in ROWS),
            COLUMNS,
            "",
            1,
        ),
        ("a.txt", lines(f"{label} {text}" for text, label in ROWS), NUMBERED, "space", 1),
        (
            "a.data",
            lines(["label text", *(f"{label} {text}" for text, label in ROWS)]),
            COLUMNS,
            "space",
            2,
        ),
        ("a.txt", lines(f"{label}\t{text}" for text, label in ROWS), NUMBERED, "tab", 1),
    ],
)
def test_every_format_gives_the_same(tmp_path, name, text, columns, delimiter, first):
    assert read_rows(write(tmp_path / name, text), "train_files", columns, delimiter) == list(
        enumerate(ROWS, first)
    )


def test_a_quoted_cell_may_have_several_lines_and_the_line_is_where_it_begins(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\n"so\n""good""",1\n\nbad,0\n')
    assert read_rows(path, "train_files", COLUMNS) == [(2, ['so\n"good"', "1"]), (5, ["bad", "0"])]


def test_what_a_row_lacks_is_none(tmp_path):
    assert read_rows(write(tmp_path / "a.tsv", "x\ty\n\nz\n"), "train_files", NUMBERED) == [
        (1, ["y", "x"]),
        (3, [None, "z"]),
    ]
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n{"label": null}\n')
    assert read_rows(path, "train_files", COLUMNS) == [(1, ["a", 1]), (2, [None, None])]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.tsv", b"\xff\xfe\ttwo\n", "must be UTF-8. Received: .*a.tsv, line 1"),
        ("a.tsv.gz", gzip.compress(b"one\ttwo\n" * 99, mtime=0)[:-9], "must be readable"),
        ("a.tsv.gz", b"\x1f\x8b\x08\x00" + b"\x00" * 6 + b"junk" * 9, "must be readable"),
        ("a.tsv.gz", b"no gzip", "must be readable"),
        (
            "a.jsonl",
            b'{"text": "x", "label": "y"}\n{"text": "x"',
            "must be a JSON object. Received: .*line 2",
        ),
        ("a.jsonl", b"[1]\n", "must be a JSON object. Received: .*line 1: list"),
        ("a.jsonl", b"[" * 100_000 + b"\n", "must be a JSON object"),
        ("a.jsonl", b'{"text": ' + b"9" * 5000 + b', "label": "x"}\n', "must be a JSON object"),
        (
            "a.jsonl",
            b'{"text": "x", "mark": "y"}\n',
            "--text_column and --label_column must be columns of the file. Received: 'label'; "
            ".*line 1 has 'text', 'mark'",
        ),
        ("a.csv", b'text,label\n"s,t', "must be valid CSV. Received: .*a.csv, line 2"),
        ("a.tsv", b"", "Received: 'text'; .*a.tsv has none"),
        (
            "a.xml",
            b"",
            "--train_files takes .tsv, .csv and .jsonl files, .gz too. Received: .*a.xml",
        ),
        ("none.tsv", None, "must be readable. Received: .*none.tsv"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name, "train_files", COLUMNS)


@pytest.mark.parametrize(
    "column, message",
    [
        ("0", "--text_column and --label_column count from 1. Received: 0, 1"),
        ("²", "must be columns of the file. Received: '²'"),
        ("-1", "must be columns of the file. Received: '-1'"),
    ],
)
def test_wrong_columns(tmp_path, column, message):
    with pytest.raises(DataError, match=message):
        read_rows(
            write(tmp_path / "a.tsv", "one\ttwo\n"),
            "train_files",
            {"text_column": column, "label_column": "1"},
        )


def test_globs_are_sorted_and_a_folder_s_name_is_none(tmp_path):
    folder = tmp_path / "data [1]"
    folder.mkdir()
    for name in ("b.tsv", "a1.tsv", "a2.tsv"):
        write(folder / name, "")
    found = resolve(("b.tsv", "a*.tsv"), str(folder), "train_files")
    assert found == [str(folder / name) for name in ("b.tsv", "a1.tsv", "a2.tsv")]
    with pytest.raises(
        DataError,
        match=r"--train_files must name files that exist. Received: .*/c\*. Check the name",
    ):
        resolve(("b.tsv", "c*"), str(folder), "train_files")
    write(folder / "c[1].tsv", "")
    assert resolve(("c[1].tsv",), str(folder), "train_files") == [str(folder / "c[1].tsv")]
    assert resolve((str(folder / "b.tsv"),), "elsewhere", "train_files") == [str(folder / "b.tsv")]


def test_a_user_s_home_is_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "a.tsv", "")
    assert (
        resolve(("~/a.tsv",), "", "f")
        == resolve(("a.tsv",), "~", "f")
        == resolve(("a*",), "~", "f")
        == [str(tmp_path / "a.tsv")]
    )


def test_json_is_read_whole(tmp_path):
    assert read_json(write(tmp_path / "a.json.gz", '{"data":\n [1]}')) == {"data": [1]}
    with pytest.raises(DataError, match="a file must be JSON. Received: .*b.json .Expecting"):
        read_json(write(tmp_path / "b.json", '{"data":'))
    with pytest.raises(DataError, match="a file must be JSON. Received: .*c.json .*line 3"):
        read_json(write(tmp_path / "c.json", '{"data":\n[1\n2]}'))
    with pytest.raises(DataError, match="a file must be JSON. Received: .*d.json"):
        read_json(write(tmp_path / "d.json", "[" * 100_000))


def test_half_a_character_is_no_text():
    assert is_text("é😀") and is_text("")
    assert not any(
        map(
            is_text,
            ("half \ud83d", "\ud800", "\udbff", "\udc00 half", "x\udfff", b"bytes", None, 1.5),
        )
    )
    assert is_text("\ud7ff\ue000")


# From here on transformer/files.py.
@dataclasses.dataclass
class Size:
    width: int = 2


def test_what_is_written_is_literal(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, Size()], "b": None})
    assert (tmp_path / "a.json").read_bytes().decode() == (
        '{\n  "größe": [\n    1,\n    {\n      "width": 2\n    }\n  ],\n  "b": null\n}\n'
    )
    write_json_lines(tmp_path / "a.jsonl", [{"text": "größer\n"}, [1]])
    assert (tmp_path / "a.jsonl").read_bytes().decode() == '{"text": "größer\\n"}\n[1]\n'
    write_text(str(tmp_path / "a.txt"), "größer\n\nend")
    assert (tmp_path / "a.txt").read_bytes() == "größer\n\nend".encode()
    write_json_lines(tmp_path / "a.jsonl", [])
    assert (tmp_path / "a.jsonl").read_bytes() == b"" and len(list(tmp_path.iterdir())) == 3


def synced(monkeypatch):
    """A list that grows by each file or folder that is brought to the disk: its name, and what
    stands beside it then."""
    found, fsync = [], os.fsync

    def sync(number):
        path = os.readlink(f"/proc/self/fd/{number}")
        found.append((path, sorted(os.listdir(os.path.dirname(path)))))
        fsync(number)

    monkeypatch.setattr(os, "fsync", sync)
    return found


def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(tmp_path, monkeypatch):
    found, opened = synced(monkeypatch), len(os.listdir("/proc/self/fd"))
    with replacing(tmp_path / "a.b.json") as temporary:
        assert temporary == tmp_path / "a.b.tmp.json" and not temporary.exists()
        temporary.write_text("new")
    assert [path for path, _ in found] == [str(temporary), str(tmp_path)] and found[0][1] == [
        "a.b.tmp.json"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["a.b.json"]
    assert len(os.listdir("/proc/self/fd")) == opened


@pytest.mark.parametrize(
    "error, expected, message",
    [
        (
            OSError(28, "No space left on device"),
            ConfigError,
            r"a file could not be written. Received: .*/a.txt \(No space left on device\). Free",
        ),
        (OSError("odd"), ConfigError, r"Received: .*/a.txt \(odd\)"),
        (KeyError("a bug"), KeyError, "a bug"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_after_an_error_the_old_file_is_as_it_was(tmp_path, error, expected, message):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(expected, match=message), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]
    with pytest.raises(expected), replacing(tmp_path / "b.txt"):
        raise error
    with pytest.raises(ConfigError, match=r"none/a.txt \(No such file or directory\)"):
        write_text(tmp_path / "none" / "a.txt", "text")
    with pytest.raises(ConfigError, match=r"a.txt/b.txt \(Not a directory\)"):
        write_text(tmp_path / "a.txt" / "b.txt", "text")
    assert str(unwritable("a", "full")) == (
        "a file could not be written. Received: a (full). Free some disk space or make the folder "
        "writable. To continue a training from its newest checkpoint, run its command again."
    )


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    found, folder = synced(monkeypatch), tmp_path / "all" / "runs" / "first"
    with replacing_folder(folder) as temporary:
        assert (
            temporary.parent == folder.parent
            and temporary.name.startswith("first.")
            and not list(temporary.iterdir())
        )
        (temporary / "inner").mkdir()
        (temporary / "inner" / "a").write_text("a")
    assert [os.path.relpath(path, temporary) for path, _ in found] == [
        "inner",
        "inner/a",
        ".",
        "..",
    ]
    assert folder.stat().st_mode & 0o777 == 0o755 and (folder / "inner" / "a").read_text() == "a"
    with pytest.raises(KeyError), replacing_folder(str(tmp_path / "second")) as temporary:
        (temporary / "a").write_text("a")
        raise KeyError
    with pytest.raises(OSError, match="not empty"), replacing_folder(folder) as temporary:
        (temporary / "b").write_text("b")
    assert os.listdir(tmp_path) == ["all"] and os.listdir(folder.parent) == ["first"]
    assert os.listdir(folder) == ["inner"]
    (tmp_path / "empty").mkdir()
    with replacing_folder(tmp_path / "empty") as temporary:
        (temporary / "a").write_text("a")
    assert os.listdir(tmp_path / "empty") == ["a"]
