"""The run folder: its configuration and its checkpoints.

    runs/NAME/ config.json  flags.cfg  tokenizer/  model.keras  checkpoints/  tensorboard/
               predictions.jsonl  scores.json  model_card.md

A checkpoint is one safetensors file. It holds every variable of the model and of the optimizer,
including the states of the random generators. Its header holds the progress of the training as JSON
and a checksum of the variables and the progress.
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

# The format of the checkpoints that are written.
FORMAT = 3
# The formats that can be read. Format 2 has no checksum.
READABLE = {"2", "3"}
# The older formats that can no longer be read, each with the reason.
CHANGED = {"1": "stores queries, keys and values of self-attention as three matrices"}

# The fields that may change when a run is continued in its folder: how long the training lasts
# (which also changes the slope of a cosine or linear schedule), what is kept and shown of it, and
# where it runs.
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
    """Raised when a checkpoint is truncated or damaged."""


def check_run(folder, sections):
    """Checks that a run can be written to a folder and that it fits the run that is already there.

    The configuration of the earlier run must be the same, except for `FREE_FIELDS` and the section
    "decoding".

    Args:
        folder: the run folder, created if it does not exist.
        sections: dict of some or all sections of config.json, such as {"training":
            TrainingConfig(...)}. A section is a dataclass instance or a dict that JSON can hold. If
            config.json lacks a field of a dataclass, as one of an older version may, the default of
            the field counts.

    Returns:
        True if the folder holds a step checkpoint, else False.

    Raises:
        ConfigError: if the folder is not writable, holds other files than a run's, or holds a run
            with another configuration. In the last case the message lists the fields that differ.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.tmp.json").touch()
        (folder / "config.tmp.json").unlink()
    except OSError as error:
        raise ConfigError(
            f"the run folder must be writable. Received: {folder} ({error.strerror}). Make it "
            "writable, or use another --run."
        ) from None
    path = folder / "config.json"
    # A killed run may leave temporary files and nothing else.
    if not path.exists() and any(".tmp." not in file.name for file in folder.iterdir()):
        raise ConfigError(
            f"the run folder must be empty or contain a run. Received: {folder}, which contains "
            "other files. Use another --run."
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
        f"{name}: {there.get(name)!r} in the folder, {here.get(name)!r} now"
        for section, here in sections.items()
        if section != "decoding"
        for there in [defaults.get(section, {}) | old.get(section, {})]
        for name in sorted({*here, *there} - FREE_FIELDS)
        if here.get(name) != there.get(name)
    ]
    if differences:
        raise ConfigError(
            "a run can only be continued with its own configuration. "
            f"{folder} has other values:\n  "
            + "\n  ".join(differences)
            + "\nUse the values of the folder, use another --run, or remove the folder."
        )
    return True


def claim_run(folder, sections):
    """Checks a run folder as `check_run` does, and writes config.json to it.

    It also removes the temporary files that a killed run left.

    Args:
        folder: as for `check_run`.
        sections: as for `check_run`.

    Returns:
        True if the folder holds a step checkpoint, else False.

    Raises:
        ConfigError: as for `check_run`.
    """
    known = check_run(folder, sections)
    # The first pattern matches the temporary files of `replacing`, the second those of safetensors.
    for pattern in ("*.tmp.*", ".tmp*"):
        for path in pathlib.Path(folder).rglob(pattern):
            path.unlink()
    write_json(pathlib.Path(folder) / "config.json", sections)
    return known


def named_variables(model, optimizer=None):
    """Names every variable that training changes, seeds of dropout included.

    Paths alone are not unique in Keras, so each name also has the variable's number. The path of a
    seed contains a counter of all seeds that the process has made, so only the seed's own name is
    used.

    Args:
        model: a built model.
        optimizer: a built optimizer, or None.

    Returns:
        A dict of variables, in a fixed order. The keys are "model/NUMBER/PATH" and
        "optimizer/NUMBER/PATH".
    """
    groups = {"model": model.variables, "optimizer": optimizer.variables if optimizer else []}
    named = {}
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            path = variable.name if "seed_generator" in variable.path else variable.path
            named[f"{group}/{number:04d}/{path}"] = variable
    return named


def named_weights(model):
    """Returns the entries of `named_variables(model)` that are weights, not seeds."""
    weights = {id(variable) for variable in model.weights}
    return {
        name: variable
        for name, variable in named_variables(model).items()
        if id(variable) in weights
    }


def read_config(run):
    """Reads config.json of a finished run of an encoder-decoder.

    Args:
        run: the run folder.

    Returns:
        A dict of the sections. Data options that an older run does not have get the values that
        applied then.

    Raises:
        ConfigError: if the folder has no model.keras or no readable config.json, if the run is not
            of an encoder-decoder, or if it copies symbols in the manner of an older version.
    """
    run = pathlib.Path(run)
    if not (run / "model.keras").exists():
        raise ConfigError(
            f"the training of the run must be finished. Received: {run}, which has no model.keras. "
            "Run its training command again to finish it, or name another run."
        )
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"a file of the run is missing or damaged. Received: {run} ({error}). Run the training "
            "command again."
        ) from None
    if not {"model", "decoding", "data"} <= {*config}:
        raise ConfigError(
            "the run must be one of an encoder-decoder, made by train.py or finetune.py "
            f"--task=text2text. Received: {run}, whose config.json has the sections "
            f"{', '.join(config)}. Name another run."
        )
    data = config["data"]
    # Symbols got their present form together with the option pointer_generator, so a config without
    # the option is of an older version.
    if (
        data.get("copy_values")
        or data.get("copy_unknown")
        and "pointer_generator" not in config["model"]
    ):
        raise ConfigError(
            "a run with --copy_unknown must be trained with the present form of symbols, in which "
            f"a name follows its symbol. Received: {run}, trained by an older version. Train it "
            "again with --copy_unknown."
        )
    # Defaults for runs that were made before these options existed.
    config["data"] = {
        "task": "translation",
        "copy_unknown": False,
        "clean": True,
        "prefixes": [],
        **config["data"],
    }
    return config


def save_checkpoint(path, variables, progress):
    """Writes a checkpoint.

    Args:
        path: the safetensors file to write.
        variables: dict of Keras variables by name.
        progress: dict that JSON can hold.

    Raises:
        ConfigError: if the disk is full or the folder is read-only.
    """
    _write(path, _copied(variables), json.dumps(progress))


class BackgroundWriter:
    """Writes checkpoints in a thread while the training continues.

    It writes one checkpoint at a time, from copies in memory. Every method raises the error of an
    earlier write, if there was one, as `save_checkpoint` would have raised it.
    """

    def __init__(self):
        self.pool, self.pending = concurrent.futures.ThreadPoolExecutor(1), None

    def save(self, path, variables, progress, then=lambda: None):
        """Waits for the previous checkpoint, copies the variables, and starts to write them.

        Args:
            path: as for `save_checkpoint`.
            variables: as for `save_checkpoint`. They may change once the method has returned.
            progress: as for `save_checkpoint`.
            then: function without arguments, called in the thread after the file is written.
        """
        self.wait()
        arrays, progress = _copied(variables), json.dumps(progress)
        self.pending = self.pool.submit(lambda: (_write(path, arrays, progress), then()))

    def check(self):
        """Raises the error of the last write if it has failed. Does not wait for it."""
        if self.pending and self.pending.done():
            self.wait()

    def wait(self):
        """Waits until everything is on the disk."""
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
        # safetensors raises this error when the disk is full.
        except SafetensorError as error:
            raise OSError(str(error)) from None


def _checksum(arrays, progress):
    """Returns the SHA-256 of a checkpoint's content, as a hexadecimal string.

    It covers the progress (a JSON string) and the names, dtypes, shapes and bytes of the arrays.
    """
    digest = hashlib.sha256(progress.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()


def read_checkpoint(path):
    """Reads a checkpoint.

    Args:
        path: the safetensors file.

    Returns:
        A pair (arrays, progress): a dict of numpy arrays by name, and a dict.

    Raises:
        BrokenCheckpointError: if the file is truncated, damaged or not a checkpoint.
        ConfigError: if it has the format of an older version that can no longer be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
    except (SafetensorError, OSError) as error:
        raise BrokenCheckpointError(
            f"a checkpoint is damaged or is not a safetensors file. Received: {path} ({error})."
        ) from None
    number, progress = metadata.get("format", "none"), metadata.get("progress", "")
    # Formats before 3 have no checksum. If the file has one, its format number is damaged.
    if number in CHANGED and "sha256" not in metadata:
        raise ConfigError(
            f"a checkpoint must have format 2 or {FORMAT}. Received: {path}, format {number}, "
            f"which {CHANGED[number]}. "
            "Continue with the version that wrote it, or use another --run."
        )
    if number not in READABLE:
        raise BrokenCheckpointError(
            f"a checkpoint must have format 2 or {FORMAT}. Received: {path}, format {number}. The "
            "file is damaged or was written by a newer version."
        )
    if metadata.get("sha256") != (None if number == "2" else _checksum(arrays, progress)):
        raise BrokenCheckpointError(
            f"a checkpoint is damaged: its checksum does not match. Received: {path}."
        )
    return arrays, json.loads(progress)


def read_whole(paths):
    """Reads the checkpoints that are intact, and warns on stderr about the others.

    Args:
        paths: iterable of files.

    Yields:
        Tuples (path, arrays, progress), as from `read_checkpoint`.

    Raises:
        ConfigError: if a checkpoint has a format that can no longer be read.
    """
    for path in paths:
        try:
            yield path, *read_checkpoint(path)
        except BrokenCheckpointError as error:
            print(f"warning: {error} This checkpoint is ignored.", file=sys.stderr, flush=True)


def read_newest(folder):
    """Reads the newest intact step checkpoint of a run folder.

    Args:
        folder: the run folder.

    Returns:
        A pair (arrays, progress), or None if the folder has no step checkpoint.

    Raises:
        ConfigError: if there are step checkpoints and none is intact, or if one has a format that
            can no longer be read.
    """
    paths = list_checkpoints(folder)
    for _, arrays, progress in read_whole(reversed(paths)):
        return arrays, progress
    if paths:
        raise _none_whole(paths)
    return None


def _none_whole(paths):
    return ConfigError(
        f"all checkpoints of the run are damaged. Received: {', '.join(map(str, paths))}. "
        "Restore a copy of one, or start again with another --run."
    )


def restore(variables, arrays):
    """Assigns arrays to the variables of the same names.

    All names and shapes are checked before the first variable changes.

    Args:
        variables: dict of Keras variables by name.
        arrays: dict of numpy arrays by name.

    Raises:
        ConfigError: if a name is missing or a shape differs, as with a checkpoint of another model.
    """
    for name, variable in variables.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            found = arrays[name].shape if name in arrays else "is missing"
            raise ConfigError(
                f"the checkpoint does not fit the model. Received: {name}, which has shape "
                f"{tuple(variable.shape)} in the model and {found} in the checkpoint."
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def checkpoint_path(folder, step):
    """Returns the path of the checkpoint of a step."""
    return pathlib.Path(folder) / "checkpoints" / f"step-{step:08d}.safetensors"


def list_checkpoints(folder):
    """Returns the paths of a run folder's step checkpoints, oldest first."""
    folder = pathlib.Path(folder) / "checkpoints"
    return sorted(
        path
        for path in folder.glob("step-*.safetensors")
        if re.fullmatch(r"step-\d+\.safetensors", path.name)
    )


def remove_old_checkpoints(folder, step, every, keep):
    """Removes all but `keep` step checkpoints of a run folder.

    It keeps the checkpoint of `step` and, of those before it, the newest whose steps are multiples
    of `every`. The average at the end of the training therefore does not depend on where the
    training was interrupted. Checkpoints after `step` are removed too. They are broken, or the
    training would not have resumed from an earlier one.

    Args:
        folder: the run folder.
        step: int, the step of the newest checkpoint that is intact.
        every: int, the regular distance between checkpoints in steps.
        keep: int, how many checkpoints to keep, that of `step` included.
    """
    paths, last = list_checkpoints(folder), checkpoint_path(folder, step)
    regular = [
        path for path in paths if path < last and int(path.stem.removeprefix("step-")) % every == 0
    ]
    kept = {last, *regular[max(len(regular) - keep + 1, 0) :]}
    for path in {*paths} - kept:
        path.unlink()


def average_weights(paths, names):
    """Averages the weights of several checkpoints (Vaswani et al. 2017, section 6.1).

    Broken checkpoints are left out, with a warning. The sums are float64.

    Args:
        paths: files of checkpoints.
        names: names of the arrays to average.

    Returns:
        A pair: a dict of float32 arrays by name, and the number of checkpoints that were averaged.

    Raises:
        ConfigError: if no checkpoint is intact.
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
    """Writes model.keras atomically to a run folder."""
    with replacing(pathlib.Path(folder) / "model.keras") as temporary:
        model.save(temporary)
