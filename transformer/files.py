"""Files and folders that are written completely or not at all.

They are written under a temporary name, flushed to the disk, and then renamed.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile

from transformer.config import ConfigError


def write_json(path, value):
    """Writes a value as indented JSON, atomically.

    Args:
        path: path of the file.
        value: a JSON value. Dataclass instances are written as dictionaries.

    Raises:
        ConfigError: if the file cannot be written, as in `replacing`.
    """
    write_text(
        path, json.dumps(value, indent=2, ensure_ascii=False, default=dataclasses.asdict) + "\n"
    )


def write_json_lines(path, rows):
    """Writes rows as JSON Lines, atomically.

    Args:
        path: path of the file.
        rows: an iterable of JSON values, written one per line.

    Raises:
        ConfigError: if the file cannot be written, as in `replacing`.
    """
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(path, text):
    """Writes text atomically: a reader sees either the old file or the new one.

    Args:
        path: path of the file.
        text: the text, written in UTF-8 with its line breaks unchanged.

    Raises:
        ConfigError: if the file cannot be written, as in `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def replacing(path):
    """A context manager that replaces a file atomically.

    It yields a temporary path in the same folder for the block to write. When the block ends, that
    file is flushed to the disk and renamed to `path`. If the block raises an error, the temporary
    file is removed and the old file stays as it was.

    Args:
        path: path of the file to replace or create.

    Yields:
        The temporary path.

    Raises:
        ConfigError: on an OSError, for example because the disk is full or read-only.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        # The folder holds the file's name. The rename is durable only once the folder is flushed.
        _sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error.strerror or error) from None
        raise


def unwritable(path, reason):
    """Returns the ConfigError for a file or folder that cannot be written.

    Args:
        path: path of the file or folder.
        reason: the cause, such as "No space left on device".
    """
    return ConfigError(
        f"a file could not be written. Received: {path} ({reason}). Free some disk space or make "
        "the folder writable. To continue a training from its newest checkpoint, run its command "
        "again."
    )


def _sync(path):
    """Waits until a file or folder is flushed to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def replacing_folder(folder):
    """A context manager that creates a folder atomically.

    It yields an empty temporary folder beside `folder`. When the block ends, its content is flushed
    to the disk and it is renamed to `folder`. If the block raises an error, the temporary folder is
    removed.

    Args:
        folder: path of the folder. It must be absent or empty. Missing parent folders are created.

    Yields:
        The temporary folder, a `pathlib.Path`.

    Raises:
        OSError: if `folder` exists and is not empty, or if the disk is full.
    """
    folder = pathlib.Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    # mkdtemp makes a folder that only its owner can read.
    temporary.chmod(0o755)
    try:
        yield temporary
        for place in (*temporary.rglob("*"), temporary):
            _sync(place)
        os.replace(temporary, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
