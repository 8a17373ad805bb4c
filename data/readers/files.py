"""Files as a user has them, .gz or not: found by name or glob, read as lines, tables of columns, or
JSON.

A table's columns are wanted as {flag: column}, such as {"text_column": "sentence"}: an error names
the flag to change.
"""

import csv
import glob
import gzip
import json
import os
import re
import zlib

from data.config import DataError

# Half a character, which JSON can write ("\\ud800") and nobody can read.
_HALF = re.compile("[\ud800-\udfff]")


def resolve(patterns, data_dir, flag):
    """File names and globs -> existing paths, each pattern's matches sorted.

    Raises:
        DataError: a pattern matches nothing; the message names the flag and the path that was
            tried.
    """
    paths = []
    for pattern in patterns:
        folder, pattern = os.path.expanduser(data_dir), os.path.expanduser(pattern)
        full = os.path.join(folder, pattern)
        found = (
            [full]
            if os.path.exists(full)
            else sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))
        )
        if not found:
            raise DataError(
                f"--{flag} must name files that exist. Received: {full}. Check the name and "
                f"--data_dir."
            )
        paths += found
    return paths


def read_lines(path):
    """The lines of a UTF-8 text file, .gz or not.

    Lines end at "\\n" alone (a "\\r" before it is dropped): other separators that Unicode knows are
    part of the text, and to split at them would misalign the files.

    Raises:
        DataError: a line is not UTF-8; the message names file and line.
    """
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:  # a .gz that is cut off or damaged
        raise DataError(f"a data file must be readable. Received: {path} ({error}).") from None
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"text must be UTF-8. Received: {path}, line {number} ({error.reason}). Convert it."
            ) from None
    return texts


def read_rows(path, flag, columns, delimiter=""):
    """The wanted columns of a file of rows; blank lines are left out.

    Args:
        path: a .jsonl file (also named .json), or a text file of columns.
        flag: that named the file.
        columns: {flag: column}; in a text file by the names in its first line, or all by number
            from 1 without such a line.
        delimiter: of a text file: "tab"; "comma", where double quotes may enclose a cell, also one
            of several lines; "space", which splits at the first spaces only, so that the last
            column keeps its own; "" for what the name says, .tsv or .csv.

    Returns:
        A list of (number of the line, [value of each column]): str, or what JSON has; None where
        the row lacks it.

    Raises:
        DataError: the file cannot be read, or it has no such columns.
    """
    name = str(path).removesuffix(".gz")
    if name.endswith((".jsonl", ".json")):
        objects = read_jsonl(path)
        for number, row in objects[:1]:
            check_columns(f"{path}, line {number}", columns, row)
        return [
            (number, [row.get(column) for column in columns.values()]) for number, row in objects
        ]
    delimiter = delimiter or {".tsv": "tab", ".csv": "comma"}.get(os.path.splitext(name)[1])
    if not delimiter:
        raise DataError(f"--{flag} takes .tsv, .csv and .jsonl files, .gz too. Received: {path}.")
    places, rows = _read_table(path, columns, delimiter)
    return [
        (number, [row[place] if place < len(row) else None for place in places])
        for number, row in rows
    ]


def _read_table(path, columns, delimiter):
    """The wanted columns' places in a row, and the rows: a list of (number of the line, list of
    str)."""
    numbers = [
        int(column) for column in columns.values() if column.isascii() and column.isdecimal()
    ]
    by_number = len(numbers) == len(columns)
    if by_number and min(numbers) < 1:
        raise DataError(f"{_flags(columns)} count from 1. Received: {', '.join(columns.values())}.")
    lines = read_lines(path)
    if delimiter == "comma":
        rows = _csv_rows(path, lines)
    elif delimiter == "tab":
        rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1) if line.strip()]
    else:
        width = max(numbers) if by_number else "".join(lines[:1]).count(" ") + 1
        rows = [
            (number, line.split(" ", width - 1))
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
    if by_number:
        return [number - 1 for number in numbers], rows
    header = rows.pop(0)[1] if rows else []
    check_columns(path, columns, header)
    return [header.index(column) for column in columns.values()], rows


def _csv_rows(path, lines):
    reader, rows, start = csv.reader((f"{line}\n" for line in lines), strict=True), [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((start, row))
            start = reader.line_num + 1
    except csv.Error as error:  # such as a quote that is never closed
        raise DataError(
            f"a row must be CSV. Received: {path}, line {start} ({error}). Double quotes within "
            f"quotes."
        ) from None
    return rows


def is_jsonl(path):
    """Whether the first line of a .json file is an object by itself, and not all of SQuAD's
    form, which has "data"."""
    try:
        first = json.loads("".join(read_lines(path)[:1]))
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "data" not in first


def read_jsonl(path):
    """The objects of a file of JSON lines, .gz or not: a list of (number of the line, dict).

    Raises:
        DataError: the file cannot be read, or a line is no JSON object; the message names file and
            line.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (
            ValueError,
            RecursionError,
        ) as error:  # also a number of 5,000 digits, and brackets 10,000 deep
            raise DataError(
                f"a line must be a JSON object. Received: {path}, line {number} ({error})."
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"a line must be a JSON object. Received: {path}, line {number}: "
                f"{type(row).__name__}."
            )
        rows.append((number, row))
    return rows


def read_json(path):
    """What a JSON file holds.

    Raises:
        DataError: the file cannot be read or is no JSON; the message names the file and where it
            breaks.
    """
    text = "\n".join(read_lines(path))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"a file must be JSON. Received: {path} ({error}).") from None


def check_columns(where, columns, present):
    """Raises DataError for the first column of {flag: column} that is not among those present."""
    for column in columns.values():
        if column not in present:
            raise DataError(
                f"{_flags(columns)} must be columns of the file. Received: {column!r}; "
                f"{where} has {', '.join(map(repr, present)) or 'none'}."
            )


def _flags(columns):
    return " and ".join(f"--{flag}" for flag in columns)


def is_text(value):
    """Whether a value is a string that can be read: JSON can write half a character."""
    return isinstance(value, str) and not _HALF.search(value)
