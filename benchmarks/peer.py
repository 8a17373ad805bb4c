"""Shared code of the comparisons with peers that train for minutes or hours.

A peer gets a folder with the data that a run of ours was trained on, and leaves outputs.json there.
"""

import json

from benchmarks.rounds import start
from transformer.config import ConfigError


def scores_of(folder):
    """Returns the scores.json of a run as a dict.

    Args:
        folder: pathlib.Path, the run folder.

    Raises:
        ConfigError: The run has no scores, because it is not finished.
    """
    try:
        return json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"a race is with a run that has its scores. Received: {folder} ({error}). Let its "
            f"command go on to its end."
        ) from None


def check_alike(race, saved, alike):
    """Checks that a peer can match the options of a run.

    Args:
        race: what is compared with what, the beginning of the message.
        saved: dict, the run's config.json.
        alike: dict {section: {option: tuple of allowed values, the default first}}. A run saved
            before an option existed counts as having its default.

    Raises:
        ConfigError: An option has a value that the peer cannot match.
    """
    for section, options in alike.items():
        for name, allowed in options.items():
            value = saved[section].get(name, allowed[0]) if section in saved else None
            if value not in allowed:
                raise ConfigError(
                    f"{race} of {name} {' or '.join(map(repr, allowed))}. Received: {value!r}."
                )


def check_unchanged(peer, folder, found, learnt):
    """Checks that the data is still the data that a run was trained on.

    Args:
        peer: name of the peer, for the message.
        folder: the run folder, for the message.
        found: fingerprint of the data as it is now.
        learnt: fingerprint of the data that the run was trained on.

    Raises:
        ConfigError: The fingerprints differ.
    """
    if found != learnt:
        raise ConfigError(
            f"{peer} must learn from what the run learnt from. Received: {folder}, whose data has "
            f"changed. Train it again."
        )


def outputs_of(worker, place, python):
    """Runs a module of benchmarks.workers on a folder and waits for its end.

    Args:
        worker: name of the module.
        place: pathlib.Path, the folder.
        python: path of the Python interpreter. Empty means this one.

    Returns:
        The worker's outputs.json as a dict.

    Raises:
        ConfigError: The worker fails, or the interpreter does not exist.
    """
    with start(worker, str(place.absolute()), python) as process:
        try:
            code = process.wait()
        # After SIGTERM or Ctrl-C the worker must not go on alone.
        except BaseException:
            process.terminate()
            raise
    if code:
        raise ConfigError(
            f"the peer must run to its end. Received: exit code {code}. Read what it said, and "
            f"--help on what to install."
        )
    return json.loads((place / "outputs.json").read_text(encoding="utf-8"))


def side_by_side(columns, **scores):
    """Returns one row per contestant: its name and those of the columns that it has.

    Args:
        columns: names of the columns, in order.
        **scores: dict of each contestant, by its name.
    """
    return [
        {"name": name, **{column: row[column] for column in columns if column in row}}
        for name, row in scores.items()
    ]
