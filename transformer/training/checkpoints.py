"""The run folder: which configuration it belongs to, its checkpoints (saved, found, averaged).

    runs/NAME/ config.json  flags.cfg  tokenizer/  model.keras  checkpoints/  tensorboard/
               predictions.jsonl  scores.json  model_card.md

A checkpoint is one safetensors file: every variable of model and optimizer, random generators
included, and in its header the progress of the training as JSON and a checksum of all that.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import pathlib
import re
import sys

import numpy as np

from transformer.config import ConfigError
from transformer.files import replacing, write_json

FORMAT = 3
READABLE = {"2", "3"}  # 2 has no checksum
# What no longer fits in an older one.
CHANGED = {"1": "queries, keys and values of self-attention were three matrices"}

# What may differ between the runs of one command in one folder: how long training lasts (and with
# it the slope of a cosine or linear schedule), what is kept and shown of it, and where it runs.
FREE_FIELDS = {
    "train_steps",
    "early_stopping",
    "log_every",
    "checkpoint_every",
    "keep_checkpoints",
    "average_checkpoints",
    "data_dir",
    "jit",
    "distribution",
    "model_devices",
}


class BrokenCheckpointError(ConfigError):
    """A checkpoint is cut short or damaged."""


def check_run(folder, sections):
    """Checks that a run can be written into a folder, and that a run that is there has the same
    configuration.

    Args:
        folder: the run folder; made if it is not there.
        sections: some or all sections of config.json: {"training": TrainingConfig(...), ...},
            dataclasses or JSON-able dicts. A dataclass's field that the run's own version did not
            have counts as its default.

    Returns:
        True if the folder holds a run that has saved something.

    Raises:
        ConfigError: it cannot be written, or holds other files, or another configuration: the
            message lists the fields that differ.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.tmp.json").touch()
        (folder / "config.tmp.json").unlink()
    except OSError as error:
        raise ConfigError(
            f"a run folder must be writable. Received: {folder} ({error.strerror}). Use another "
            f"--run."
        ) from None
    path = folder / "config.json"
    if not path.exists() and any(
        ".tmp." not in file.name for file in folder.iterdir()
    ):  # a killed run may leave such
        raise ConfigError(
            f"a run folder must be new or hold a run. Received: {folder}, with other files. Use "
            f"another --run."
        )
    if not list_checkpoints(folder):
        return False
    old = json.loads(path.read_text(encoding="utf-8"))
    defaults = {
        name: type(section)()
        for name, section in sections.items()
        if dataclasses.is_dataclass(section)
    }
    sections, defaults = (
        json.loads(json.dumps(value, default=dataclasses.asdict)) for value in (sections, defaults)
    )
    differences = [
        f"{name}: {there.get(name)!r} there, {here.get(name)!r} now"
        for section, here in sections.items()
        if section != "decoding"
        for there in [defaults.get(section, {}) | old.get(section, {})]
        for name in sorted({*here, *there} - FREE_FIELDS)
        if here.get(name) != there.get(name)
    ]
    if differences:
        raise ConfigError(
            f"a run folder holds one configuration. {folder} differs in\n  "
            + "\n  ".join(differences)
            + "\nUse another --run, or remove the folder."
        )
    return True


def claim_run(folder, sections):
    """Writes config.json into a run folder, and removes what a killed run began to write;
    arguments, result and errors as for `check_run`.
    """
    known = check_run(folder, sections)
    for pattern in ("*.tmp.*", ".tmp*"):  # of ours, and of safetensors
        for path in pathlib.Path(folder).rglob(pattern):
            path.unlink()
    write_json(pathlib.Path(folder) / "config.json", sections)
    return known


def named_variables(model, optimizer=None):
    """{"model/NUMBER/PATH": variable}: all that training changes, in a fixed order, seeds of
    dropout included.

    Paths alone are not unique in Keras; the number makes them so. Those of seeds hold a counter of
    all seeds that the process ever made, and are left out.
    """
    groups = {"model": model.variables, "optimizer": optimizer.variables if optimizer else []}
    named = {}
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            path = variable.name if "seed_generator" in variable.path else variable.path
            named[f"{group}/{number:04d}/{path}"] = variable
    return named


def named_weights(model):
    """Those of `named_variables` that are weights."""
    weights = {id(variable) for variable in model.weights}
    return {
        name: variable
        for name, variable in named_variables(model).items()
        if id(variable) in weights
    }


def read_config(run):
    """config.json of a finished run of an encoder-decoder.

    Raises:
        ConfigError: the folder holds none.
    """
    run = pathlib.Path(run)
    if not (run / "model.keras").exists():
        raise ConfigError(
            f"a run folder must hold model.keras, which train.py writes at its end. Received: "
            f"{run}. "
            "Name another run, or run its training command again."
        )
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"a run folder must be whole. Received: {run} ({error}). Run its training command "
            f"again."
        ) from None
    if not {"model", "decoding", "data"} <= {*config}:
        raise ConfigError(
            "a run must be of an encoder-decoder, as train.py and finetune.py --task=text2text "
            "make them. Received: "
            f"{run}, whose config.json has {', '.join(config)}. Name another run."
        )
    data = config["data"]
    # The option pointer_generator is as old as the way in which symbols are written now.
    if (
        data.get("copy_values")
        or data.get("copy_unknown")
        and "pointer_generator" not in config["model"]
    ):
        raise ConfigError(
            "a run that copies must be of this version, where a name stays behind its symbol. "
            "Received: "
            f"{run}, of an older one. Train it again, with --copy_unknown."
        )
    # Runs of before there was a choice.
    config["data"] = {
        "task": "translation",
        "copy_unknown": False,
        "clean": True,
        "prefixes": [],
        **config["data"],
    }
    return config


def save_checkpoint(path, variables, progress):
    """Writes the variables ({name: Keras variable}) and `progress` (a JSON-able dict) to one
    safetensors file.

    Raises:
        ConfigError: there is no room, or the folder is read-only.
    """
    _write(path, _copied(variables), json.dumps(progress))


class BackgroundWriter:
    """Writes checkpoints while the training goes on: one at a time, in a thread, from copies in
    memory.

    Every method raises what went wrong in the thread, as save_checkpoint would have.
    """

    def __init__(self):
        self.pool, self.pending = concurrent.futures.ThreadPoolExecutor(1), None

    def save(self, path, variables, progress, then=lambda: None):
        """As save_checkpoint, but returns once the variables are copied; waits for the one
        before. `then` is called after it."""
        self.wait()
        arrays, progress = _copied(variables), json.dumps(progress)
        self.pending = self.pool.submit(lambda: (_write(path, arrays, progress), then()))

    def check(self):
        """Raises what went wrong, if anything did."""
        if self.pending and self.pending.done():
            self.wait()

    def wait(self):
        """Returns when all is on the disk."""
        pending, self.pending = self.pending, None
        if pending:
            pending.result()


def _copied(variables):
    return {name: np.asarray(variable.numpy(), order="C") for name, variable in variables.items()}


def _write(path, arrays, progress):
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    path = pathlib.Path(path)
    metadata = {"format": str(FORMAT), "progress": progress, "sha256": _checksum(arrays, progress)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        try:
            save_file(arrays, temporary, metadata)
        except SafetensorError as error:  # as which it tells of a disk that is full
            raise OSError(str(error)) from None


def _checksum(arrays, progress):
    """SHA-256 of progress (JSON) and of the names, types, shapes and bytes of arrays."""
    digest = hashlib.sha256(progress.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()


def read_checkpoint(path):
    """A checkpoint's arrays ({name: numpy array}) and progress.

    Raises:
        BrokenCheckpointError: it is cut short, damaged, or no checkpoint. ConfigError: its format
            is of another version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (SafetensorError, OSError) as error:
        raise BrokenCheckpointError(
            f"a checkpoint must be a whole safetensors file. Received: {path} ({error})."
        ) from None
    number, progress = metadata.get("format", "none"), metadata.get("progress", "")
    # The formats before 3 had no checksum: a file that has one was damaged in its number.
    if number in CHANGED and "sha256" not in metadata:
        raise ConfigError(
            f"a checkpoint must have format {FORMAT}, or 2. Received: {path}, format {number}, in "
            f"which {CHANGED[number]}. "
            "Continue with the version that wrote it, or use another --run."
        )
    if number not in READABLE:
        raise BrokenCheckpointError(
            f"a checkpoint must have format {FORMAT}, or 2. Received: {path}, format {number}: it "
            f"is damaged, or of a version to come."
        )
    if metadata.get("sha256") != (None if number == "2" else _checksum(arrays, progress)):
        raise BrokenCheckpointError(
            f"a checkpoint must be as it was written. Received: {path}, whose checksum is another."
        )
    return arrays, json.loads(progress)


def read_whole(paths):
    """Yields (path, arrays, progress) of those checkpoints that are whole; names the others on
    stderr."""
    for path in paths:
        try:
            yield path, *read_checkpoint(path)
        except BrokenCheckpointError as error:
            print(f"warning: {error} It is left out.", file=sys.stderr, flush=True)


def read_newest(folder):
    """Arrays and progress of the newest whole step checkpoint of a run folder; None if it has no
    step checkpoint.

    Raises:
        ConfigError: it has some, and none is whole.
    """
    paths = list_checkpoints(folder)
    for _, arrays, progress in read_whole(reversed(paths)):
        return arrays, progress
    if paths:
        raise _none_whole(paths)
    return None


def _none_whole(paths):
    return ConfigError(
        f"of a run's checkpoints one must be whole. Received: {', '.join(map(str, paths))}. Put "
        f"back a copy of one, or use "
        "another --run to begin anew."
    )


def restore(variables, arrays):
    """Assigns arrays to the variables of the same names.

    Raises:
        ConfigError: a name is missing or a shape differs, as for a checkpoint of another model.
    """
    for name, variable in variables.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            found = arrays[name].shape if name in arrays else "nothing"
            raise ConfigError(
                f"a checkpoint must fit the model: {name} is {tuple(variable.shape)}. Received: "
                f"{found}."
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def checkpoint_path(folder, step):
    """Where the checkpoint of a step stands."""
    return pathlib.Path(folder) / "checkpoints" / f"step-{step:08d}.safetensors"


def list_checkpoints(folder):
    """The step checkpoints of a run folder, oldest first."""
    folder = pathlib.Path(folder) / "checkpoints"
    return sorted(
        path
        for path in folder.glob("step-*.safetensors")
        if re.fullmatch(r"step-\d+\.safetensors", path.name)
    )


def remove_old_checkpoints(folder, step, every, keep):
    """Removes all step checkpoints but that of `step`, which is the newest, and before it the
    newest at multiples of `every`: `keep` in all. So what is averaged at the end does not depend on
    where the training was interrupted.

    Those beyond `step` are broken: the training went back behind them.
    """
    paths, last = list_checkpoints(folder), checkpoint_path(folder, step)
    regular = [
        path for path in paths if path < last and int(path.stem.removeprefix("step-")) % every == 0
    ]
    kept = {last, *regular[max(len(regular) - keep + 1, 0) :]}
    for path in {*paths} - kept:
        path.unlink()


def average_weights(paths, names):
    """The mean of the arrays `names` over those checkpoints that are whole (Vaswani et al. 2017,
    section 6.1), {name: float32 array}, and their number.

    Raises:
        ConfigError: none is whole.
    """
    totals, count = {}, 0
    for _, arrays, _ in read_whole(paths):
        count += 1
        for name in names:
            totals[name] = totals.get(name, 0.0) + arrays[name].astype("float64")
    if not count:
        raise _none_whole(paths)
    return {name: (total / count).astype("float32") for name, total in totals.items()}, count


def save_model(model, folder):
    """Writes model.keras in one step."""
    with replacing(pathlib.Path(folder) / "model.keras") as temporary:
        model.save(temporary)
