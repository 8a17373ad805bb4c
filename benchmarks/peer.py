"""What races with a peer that learns for minutes or hours have in common: it is given what a run of
ours learnt from in a folder, and leaves outputs.json there.
"""

import json

from benchmarks.rounds import start
from transformer.config import ConfigError


def scores_of(folder):
    """The scores.json of a run to race with, a dict; raises ConfigError where there is none."""
    try:
        return json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"a race is with a run that has its scores. Received: {folder} ({error}). Let its "
            f"command go on to its end."
        ) from None


def check_alike(race, saved, alike):
    """Raises ConfigError for an option of a run's config.json, `saved`, that a peer cannot match.

    Args:
        race: who is raced with what, for the message.
        alike: {section: {option: its allowed values, the default first}}; a run from before an
            option has its default.
    """
    for section, options in alike.items():
        for name, allowed in options.items():
            value = saved[section].get(name, allowed[0]) if section in saved else None
            if value not in allowed:
                raise ConfigError(
                    f"{race} of {name} {' or '.join(map(repr, allowed))}. Received: {value!r}."
                )


def check_unchanged(peer, folder, found, learnt):
    """Raises ConfigError where the fingerprint of the data is no longer that of what a run
    learnt from."""
    if found != learnt:
        raise ConfigError(
            f"{peer} must learn from what the run learnt from. Received: {folder}, whose data has "
            f"changed. Train it again."
        )


def outputs_of(worker, place, python):
    """Runs a module of benchmarks.workers on a folder to its end, with an interpreter or, empty,
    this one.

    Returns its outputs.json, a dict; raises ConfigError where it fails, or the interpreter is none.
    """
    with start(worker, str(place.absolute()), python) as process:
        try:
            code = process.wait()
        except BaseException:  # SIGTERM, Ctrl-C: it does not go on alone
            process.terminate()
            raise
    if code:
        raise ConfigError(
            f"the peer must run to its end. Received: exit code {code}. Read what it said, and "
            f"--help on what to install."
        )
    return json.loads((place / "outputs.json").read_text(encoding="utf-8"))


def side_by_side(columns, **scores):
    """A row {"name", *those of the columns that it has} for each of the scores, {name: dict}."""
    return [
        {"name": name, **{column: row[column] for column in columns if column in row}}
        for name, row in scores.items()
    ]
