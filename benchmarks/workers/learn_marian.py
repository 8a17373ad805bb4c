"""Trains Hugging Face's Marian from scratch on token ids and translates the test set.

benchmarks/from_nothing.py starts it.

    python -m benchmarks.workers.learn_marian FOLDER

It reads task.json and data.npz from FOLDER and writes outputs.json there. Every `checkpoint_every`
updates it saves its state in FOLDER/state.safetensors. The same command resumes from there.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import MarianConfig, MarianMTModel

from benchmarks.workers.ids import Pairs, padded, rows, translated
from benchmarks.workers.protocol import leave


def make_model(task):
    """Returns a MarianMTModel of the run's sizes. `task` is the content of task.json."""
    sides = {
        f"{side}_{name}": task[ours]
        for side in ("encoder", "decoder")
        for name, ours in (
            ("layers", "num_layers"),
            ("attention_heads", "num_heads"),
            ("ffn_dim", "ffn_dim"),
        )
    }
    return MarianMTModel(
        MarianConfig(
            vocab_size=task["vocab_size"],
            d_model=task["d_model"],
            dropout=task["dropout"],
            attention_dropout=task["attention_dropout"],
            activation_dropout=task["activation_dropout"],
            activation_function=task["activation"],
            scale_embedding=True,
            pad_token_id=task["pad"],
            bos_token_id=task["bos"],
            eos_token_id=task["eos"],
            decoder_start_token_id=task["bos"],
            forced_eos_token_id=None,
            **sides,
        )
    )


def train(model, task, data, folder):
    """Trains the model, or resumes its training, and gives it the average of the last checkpoints.

    Args:
        model: a MarianMTModel in training mode.
        task: dict, the content of task.json.
        data: dict of arrays, the content of data.npz.
        folder: pathlib.Path, where the state is saved.

    Returns:
        The seconds of all updates.
    """
    pairs = Pairs(data, task)
    optimizer = torch.optim.Adam(
        model.parameters(), betas=task["betas"], eps=task["epsilon"], fused=True
    )
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    state = folder / "state.safetensors"
    step, seconds, kept = 0, 0.0, []
    if state.exists():
        step, seconds, kept = resume(state, parameters, optimizer)
    while step < task["steps"]:
        begun = time.monotonic()
        torch.manual_seed(task["seed"] * 1_000_000 + step)
        for group in optimizer.param_groups:
            group["lr"] = float(data["learning_rates"][step])
        loss = loss_of(
            model,
            task,
            *(torch.from_numpy(padded(side, task["pad"])) for side in pairs.batch(step)),
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if task["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(model.parameters(), task["clip_norm"])
        optimizer.step()
        step, last = step + 1, loss.item()
        seconds += time.monotonic() - begun
        if step % task["checkpoint_every"] == 0 or step == task["steps"]:
            kept = [*kept, {name: value.detach().clone() for name, value in parameters.items()}][
                -task["average"] :
            ]
            save(state, step, seconds, kept, parameters, optimizer)
        if step % 100 == 0:
            print(
                f"step {step}/{task['steps']}  loss {last:.4f}  {seconds / step:.2f} s a step",
                flush=True,
            )
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(torch.stack([weights[name] for weights in kept]).mean(dim=0))
    return seconds


def loss_of(model, task, ids, out):
    """Returns the mean loss over the target tokens that are not padding.

    Args:
        model: a MarianMTModel.
        task: dict, the content of task.json.
        ids: int64 tensor (B, S), the padded sources.
        out: int64 tensor (B, T), the padded targets.
    """
    before = torch.cat([torch.full((len(out), 1), task["bos"]), out[:, :-1]], dim=1)
    with torch.autocast("cpu", torch.bfloat16, enabled=task["precision"] == "bfloat16"):
        logits = model(
            input_ids=ids,
            attention_mask=ids.ne(task["pad"]),
            decoder_input_ids=before,
            use_cache=False,
        ).logits
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(),
        out.flatten(),
        ignore_index=task["pad"],
        label_smoothing=task["label_smoothing"],
    )


def save(path, step, seconds, kept, parameters, optimizer):
    """Writes the state of the training atomically.

    Args:
        path: pathlib.Path of the file.
        step: number of updates so far.
        seconds: seconds of these updates.
        kept: list of dicts of weights, the checkpoints to average, oldest first. The last is the
            current one.
        parameters: dict {name: parameter}.
        optimizer: torch.optim.Adam, whose moments are saved.
    """
    arrays = {
        f"kept/{number}/{name}": value
        for number, weights in enumerate(kept)
        for name, value in weights.items()
    }
    for name, value in parameters.items():
        for key in ("exp_avg", "exp_avg_sq", "step"):
            arrays[f"{key}/{name}"] = optimizer.state[value][key]
    temporary = path.with_suffix(".tmp")
    save_file(arrays | {"progress": torch.tensor([step, seconds], dtype=torch.float64)}, temporary)
    temporary.replace(path)


def resume(path, parameters, optimizer):
    """Restores parameters and optimizer from the file that `save` wrote.

    Returns:
        step, seconds and kept, as in `save`.
    """
    arrays = load_file(path)
    step, seconds = arrays.pop("progress").tolist()
    kept = []
    for key in sorted(
        (key for key in arrays if key.startswith("kept/")), key=lambda key: int(key.split("/")[1])
    ):
        _, number, name = key.split("/", 2)
        if int(number) == len(kept):
            kept.append({})
        kept[-1][name] = arrays[key]
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(kept[-1][name])
            optimizer.state[value] = {
                key: arrays[f"{key}/{name}"] for key in ("exp_avg", "exp_avg_sq", "step")
            }
    return int(step), seconds, kept


def translate(model, task, data):
    """Translates the test sources. Returns a list of lists of ids."""

    def some(sources):
        ids = torch.from_numpy(padded(sources, task["pad"]))
        return model.generate(
            input_ids=ids,
            attention_mask=ids.ne(task["pad"]),
            num_beams=task["beam_size"],
            length_penalty=task["length_penalty"],
            max_new_tokens=2 * ids.shape[1] + 10,
            do_sample=False,
        ).tolist()

    return translated(rows(data["test_ids"], data["test_offsets"]), 64, some)


def main(folder):
    """Trains on the data in a folder and writes the translations of the test set."""
    folder = pathlib.Path(folder)
    task, data = (
        json.loads((folder / "task.json").read_text()),
        np.load(folder / "data.npz", allow_pickle=False),
    )
    torch.manual_seed(task["seed"])
    model = make_model(task)
    seconds = train(model.train(), task, {name: data[name] for name in data.files}, folder)
    outputs = translate(model.eval(), task, data)
    count = sum(value.numel() for value in model.parameters() if value.requires_grad)
    version = f"transformers {transformers.__version__}, torch {torch.__version__}"
    leave(folder, {"outputs": outputs, "seconds": seconds, "parameters": count, "version": version})


if __name__ == "__main__":
    main(sys.argv[1])
