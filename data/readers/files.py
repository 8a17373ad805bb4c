"""Finds users' files, .gz or not, and reads them as lines, as tables of columns, or as JSON.

The wanted columns of a table are given as {flag: column}, such as {"text_column": "sentence"}, so
that an error message can name the flag to change.
"""

import csv
import glob
import gzip
import json
import os
import re
import zlib

from data.config import DataError

# A lone surrogate, which is half a character. JSON can express it ("\ud800"), but UTF-8 cannot.
_HALF = re.compile("[\ud800-\udfff]")


def resolve(patterns, data_dir, flag):
    """Returns the existing files that names and globs stand for.

    Args:
        patterns: list of str, file names and globs.
        data_dir: str, the folder that they are relative to.
        flag: str, the flag that the patterns come from, for the message.

    Returns:
        A list of paths in the order of the patterns, the matches of each pattern sorted.

    Raises:
        DataError: a pattern matches nothing. The message names the flag and the path.
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
                "--data_dir."
            )
        paths += found
    return paths


def read_lines(path):
    """Reads the lines of a UTF-8 text file, .gz or not, without a byte order mark.

    Only a line feed ends a line, and a carriage return before it is dropped. Other line separators
    of Unicode are part of the text: splitting at them would misalign parallel files.

    Args:
        path: the file.

    Returns:
        A list of str.

    Raises:
        DataError: the file cannot be read, or a line is not UTF-8. The message names file and line.
    """
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        # EOFError and zlib.error mean that a .gz file is truncated or damaged.
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
                f"text must be UTF-8. Received: {path}, line {number} ({error.reason}). Convert "
                "the file to UTF-8."
            ) from None
    return texts


def read_rows(path, flag, columns, delimiter=""):
    """Reads the wanted columns of a file of rows, without blank lines.

    Args:
        path: a .jsonl file (which may also be named .json), or a text file of columns.
        flag: str, the flag that named the file, for the message.
        columns: {flag: column}. The columns of a text file are names that occur in its first line.
            If all of them are numbers, they count from 1 and there is no such line.
        delimiter: str, between the columns of a text file. "tab". "comma", where double quotes may
            enclose a cell, also a cell of several lines. "space", which splits at the first spaces
            only, so that the last column keeps its own spaces. "" goes by the file's name, .tsv or
            .csv.

    Returns:
        A list of (line number, [value of each column]). The values are str, or for JSON what it
        holds. They are None where the row lacks the column.

    Raises:
        DataError: the file cannot be read, or it lacks a column.
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
    """Returns the indices of the wanted columns, and the rows as (line number, list of str)."""
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
    except csv.Error as error:
        # For example, a quote is never closed.
        raise DataError(
            f"a row must be valid CSV. Received: {path}, line {start} ({error}). Write a quote "
            "within quotes as two quotes."
        ) from None
    return rows


def is_jsonl(path):
    """Returns whether a .json file has one JSON object a line, judged by its first line.

    An object with "data" is not a row, but a file in SQuAD's form, which may be a single line.

    Args:
        path: the file.

    Returns:
        A bool.
    """
    try:
        first = json.loads("".join(read_lines(path)[:1]))
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "data" not in first


def read_jsonl(path):
    """Reads the objects of a file of JSON lines, .gz or not.

    Args:
        path: the file.

    Returns:
        A list of (line number, dict).

    Raises:
        DataError: the file cannot be read, or a line is not a JSON object. The message names file
            and line.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            # Numbers of 5,000 digits and brackets that are 10,000 deep raise them too.
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
    """Returns what a JSON file holds.

    Args:
        path: the file, .gz or not.

    Returns:
        The decoded JSON.

    Raises:
        DataError: the file cannot be read or is not JSON. The message names the file and the place
            of the error.
    """
    text = "\n".join(read_lines(path))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"a file must be JSON. Received: {path} ({error}).") from None


def check_columns(where, columns, present):
    """Checks that the wanted columns are present.

    Args:
        where: str, the place of the columns, for the message.
        columns: {flag: column}.
        present: the columns that exist, a list or a dict.

    Raises:
        DataError: a column is missing. The message names the first one.
    """
    for column in columns.values():
        if column not in present:
            raise DataError(
                f"{_flags(columns)} must be columns of the file. Received: {column!r}; "
                f"{where} has {', '.join(map(repr, present)) or 'none'}."
            )


def _flags(columns):
    return " and ".join(f"--{flag}" for flag in columns)


def is_text(value):
    """Returns whether a value is a string without lone surrogates, which JSON can contain."""
    return isinstance(value, str) and not _HALF.search(value)
