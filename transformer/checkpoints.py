"""The run folder: which configuration it belongs to, its checkpoints (saved, found, averaged), its JSON files.

    runs/NAME/ config.json  flags.cfg  tokenizer/  model.keras  checkpoints/  tensorboard/
               predictions.jsonl  scores.json  model_card.md

A checkpoint is one safetensors file: every variable of model and optimizer, random generators included, and the progress
of the training as JSON in its header. A file is written under a temporary name and renamed: there or not, never half.
"""

import json
import os
import pathlib
import re

import numpy as np

from transformer.config import ConfigError

FORMAT = 2  # 1: queries, keys and values of self-attention were three matrices

# What may differ between the runs of one command in one folder: how long training lasts (and with it the slope of a cosine
# or linear schedule), what is kept and shown of it, and where it runs.
FREE_FIELDS = {
    "train_steps", "early_stopping", "log_every", "checkpoint_every", "keep_checkpoints", "average_checkpoints", "data_dir", "jit",
}  # fmt: skip


def write_json(path, value):
    """Writes `value` as indented JSON, in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_json_lines(path, rows):
    """Writes rows as JSON, one a line, in one step."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(path, text):
    """Writes text in one step: a reader sees the old file or the new one."""
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.replace(temporary, path)


def check_run(folder, sections):
    """Checks that a run can be written into a folder, and that a run that is there has the same configuration.

    Args:
        folder: the run folder; made if it is not there.
        sections: some or all sections of config.json: {"training": {...}, ...}, JSON-able.

    Returns:
        True if the folder holds a run that has saved something.

    Raises:
        ConfigError: it cannot be written, or holds other files, or another configuration: the message lists the fields that
            differ.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "config.json.test", "")
        (folder / "config.json.test").unlink()
    except OSError as error:
        raise ConfigError(f"a run folder must be writable. Received: {folder} ({error.strerror}). Use another --run.") from None
    path = folder / "config.json"
    if not path.exists() and any(folder.iterdir()):
        raise ConfigError(f"a run folder must be new or hold a run. Received: {folder}, with other files. Use another --run.")
    if not list_checkpoints(folder):
        return False
    old = json.loads(path.read_text(encoding="utf-8"))
    differences = [
        f"{name}: {there.get(name)!r} there, {here.get(name)!r} now"
        for section, here in json.loads(json.dumps(sections)).items()
        if section != "decoding"
        for there in [old.get(section, {})]
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
    """Writes config.json into a run folder; arguments, result and errors as for `check_run`."""
    known = check_run(folder, sections)
    write_json(pathlib.Path(folder) / "config.json", sections)
    return known


def named_variables(model, optimizer=None):
    """{"model/NUMBER/PATH": variable}: all that training changes, in a fixed order, seeds of dropout included.

    Paths alone are not unique in Keras; the number makes them so. Those of seeds hold a counter of all seeds that the
    process ever made, and are left out.
    """
    groups = {"model": model.variables, "optimizer": optimizer.variables if optimizer else []}
    return {
        f"{group}/{number:04d}/{variable.name if 'seed_generator' in variable.path else variable.path}": variable
        for group, variables in groups.items()
        for number, variable in enumerate(variables)
    }


def read_config(run):
    """config.json of a finished run of an encoder-decoder.

    Raises:
        ConfigError: the folder holds none.
    """
    run = pathlib.Path(run)
    if not (run / "model.keras").exists():
        raise ConfigError(
            f"a run folder must hold model.keras, which train.py writes at its end. Received: {run}. "
            "Name another run, or run its training command again."
        )
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"a run folder must be whole. Received: {run} ({error}). Run its training command again.") from None
    if not {"model", "decoding", "data"} <= {*config}:
        raise ConfigError(
            "a run must be of an encoder-decoder, as train.py and finetune.py --task=text2text make them. Received: "
            f"{run}, whose config.json has {', '.join(config)}. Name another run."
        )
    config["data"] = {"task": "translation", "copy_values": False, "clean": True, **config["data"]}  # runs of before there was a choice
    return config


def save_checkpoint(path, variables, progress):
    """Writes the variables ({name: Keras variable}) and `progress` (a JSON-able dict) to one safetensors file."""
    from safetensors.numpy import save_file

    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(variable.numpy(), order="C") for name, variable in variables.items()}
    temporary = path.with_name(f"{path.name}.tmp")
    save_file(arrays, temporary, metadata={"format": str(FORMAT), "progress": json.dumps(progress)})
    os.replace(temporary, path)


def read_checkpoint(path):
    """A checkpoint's arrays ({name: numpy array}) and progress.

    Raises:
        ConfigError: the file is no checkpoint, is cut short, or has another format number.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"a checkpoint must be a whole safetensors file. Received: {path} ({error}).") from None
    if metadata.get("format") != str(FORMAT):
        raise ConfigError(f"a checkpoint must have format {FORMAT}. Received: {path}, format {metadata.get('format')}.")
    return arrays, json.loads(metadata["progress"])


def restore(variables, arrays):
    """Assigns arrays to the variables of the same names.

    Raises:
        ConfigError: a name is missing or a shape differs, as for a checkpoint of another model.
    """
    for name, variable in variables.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            found = arrays[name].shape if name in arrays else "nothing"
            raise ConfigError(f"a checkpoint must fit the model: {name} is {tuple(variable.shape)}. Received: {found}.")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def checkpoint_path(folder, step):
    """Where the checkpoint of a step stands."""
    return pathlib.Path(folder) / "checkpoints" / f"step-{step:08d}.safetensors"


def list_checkpoints(folder):
    """The step checkpoints of a run folder, oldest first."""
    folder = pathlib.Path(folder) / "checkpoints"
    return sorted(path for path in folder.glob("step-*.safetensors") if re.fullmatch(r"step-\d+\.safetensors", path.name))


def remove_old_checkpoints(folder, keep):
    """Removes all but the newest `keep` step checkpoints."""
    for path in list_checkpoints(folder)[:-keep]:
        path.unlink()


def average_weights(paths, names):
    """The mean of the arrays `names` over checkpoints (Vaswani et al. 2017, section 6.1): {name: float32 array}."""
    totals = {}
    for path in paths:
        arrays, _ = read_checkpoint(path)
        for name in names:
            totals[name] = totals.get(name, 0.0) + arrays[name].astype("float64")
    return {name: (total / len(paths)).astype("float32") for name, total in totals.items()}


def save_model(model, folder):
    """Writes model.keras in one step."""
    temporary = pathlib.Path(folder) / "model.tmp.keras"
    model.save(temporary)
    os.replace(temporary, pathlib.Path(folder) / "model.keras")
