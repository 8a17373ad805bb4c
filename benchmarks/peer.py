"""What races with a peer that learns for minutes or hours have in common: it is given what a run of ours learnt from in a folder, and
leaves outputs.json there."""

import dataclasses
import json
import subprocess
import sys

from benchmarks.rounds import ROOT
from transformer.config import ConfigError


def made(kind, values):
    """A configuration of what config.json holds of it."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in names})


def check_alike(race, saved, alike):
    """Raises ConfigError for an option of a run's config.json, `saved`, that a peer cannot match.

    Args:
        race: who is raced with what, for the message. alike: {section: {option: its allowed values, the default first}}; a run
            from before an option has its default.
    """
    for section, options in alike.items():
        for name, allowed in options.items():
            value = saved[section].get(name, allowed[0]) if section in saved else None
            if value not in allowed:
                raise ConfigError(f"{race} of {name} {' or '.join(map(repr, allowed))}. Received: {value!r}.")


def outputs_of(worker, place, python):
    """Runs a module of benchmarks.workers on a folder to its end, with an interpreter or, empty, this one; returns its outputs.json."""
    command = [python or sys.executable, "-m", f"benchmarks.workers.{worker}", str(place.absolute())]
    if code := subprocess.run(command, cwd=ROOT).returncode:
        raise ConfigError(f"the peer must run to its end. Received: exit code {code}. Read what it said; pip install '.[peers]'.")
    return json.loads((place / "outputs.json").read_text(encoding="utf-8"))


def side_by_side(columns, **scores):
    """A row {"name", *columns} for each of the scores, {name: dict}."""
    return [{"name": name, **{column: row[column] for column in columns}} for name, row in scores.items()]
