"""Files and folders that are there whole or not at all: written under a temporary name, brought
to the disk, renamed."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import tempfile

from transformer.config import ConfigError


def write_json(path, value):
    """Writes `value` as indented JSON, dataclasses as dicts, in one step."""
    write_text(
        path, json.dumps(value, indent=2, ensure_ascii=False, default=dataclasses.asdict) + "\n"
    )


def write_json_lines(path, rows):
    """Writes rows as JSON, one a line, in one step."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(path, text):
    """Writes text in one step: a reader sees the old file or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary name; what stands there at the end of the block is brought to the disk and
    becomes `path`.

    Raises:
        ConfigError: there is no room, or the place is read-only. The old file is as it was, and the
            temporary one gone.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)  # a name is in the folder, and only there
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error.strerror or error) from None
        raise


def unwritable(path, reason):
    """The ConfigError of a file that could not be written."""
    return ConfigError(
        f"a folder must have room and be writable. Received: {path} ({reason}). Make room; a "
        f"training continues by its command "
        "from its newest checkpoint."
    )


def _sync(path):
    """Waits until a file or folder is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def replacing_folder(folder):
    """Gives an empty folder beside `folder`, which it becomes at the end of the block; after an
    error it is gone.

    Raises:
        OSError: `folder` is there and not empty, or there is no room.
    """
    folder = pathlib.Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    temporary.chmod(0o755)  # mkdtemp's is for its user alone
    try:
        yield temporary
        for place in (*temporary.rglob("*"), temporary):
            _sync(place)
        os.replace(temporary, folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
