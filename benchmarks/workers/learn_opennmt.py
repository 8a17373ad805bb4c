"""Trains OpenNMT-tf's Transformer from nothing on token ids, and writes translations:
benchmarks/from_nothing.py says on what.

    python -m benchmarks.workers.learn_opennmt FOLDER

FOLDER has task.json and data.npz; outputs.json is left there.

Every `checkpoint_every` updates it is kept in FOLDER/checkpoints; the same command continues there.
"""

import json
import pathlib
import sys
import time

import numpy as np
import opennmt
import tensorflow as tf
from opennmt.utils.checkpoint import average_checkpoints_into_layer

from benchmarks.workers.ids import Pairs, padded, rows, specials_first, translated
from benchmarks.workers.protocol import leave

SPECIAL = (b"<blank>", b"<s>", b"</s>")
IDS, LENGTHS = tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None], tf.int32)


class Rates(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate for each step."""

    def __init__(self, rates):
        self.rates = tf.constant(rates, tf.float32)

    def __call__(self, step):
        return self.rates[tf.cast(step, tf.int32)]


def vocabulary(task, folder):
    """Writes our ids as a vocabulary of theirs, which begins with padding, start and end; returns
    `specials_first`. The last id has no line: it stands where they have the token of the unknown.
    """
    ours, theirs = specials_first(task)
    tokens = [*(token.decode() for token in SPECIAL), *map(str, ours[3:-1])]
    (folder / "vocabulary.txt").write_text("".join(f"{token}\n" for token in tokens))
    return ours, theirs


def make_model(task, folder):
    """OpenNMT-tf's Transformer of the run's sizes, with sinusoidal positions where the run has
    them, else with relative ones."""
    positions = (
        {}
        if task["positions"] == "sinusoidal"
        else {"position_encoder_class": None, "maximum_relative_position": 20}
    )
    model = opennmt.models.Transformer(
        opennmt.inputters.WordEmbedder(task["d_model"]),
        opennmt.inputters.WordEmbedder(task["d_model"]),
        num_layers=task["num_layers"],
        num_units=task["d_model"],
        num_heads=task["num_heads"],
        ffn_inner_dim=task["ffn_dim"],
        dropout=task["dropout"],
        attention_dropout=task["attention_dropout"],
        ffn_dropout=task["activation_dropout"],
        ffn_activation=getattr(tf.nn, task["activation"]),
        share_embeddings=opennmt.models.EmbeddingsSharingLevel.ALL,
        pre_norm=task["norm"] == "pre",
        output_layer_bias=False,
        **positions,
    )
    files = {f"{side}_vocabulary": str(folder / "vocabulary.txt") for side in ("source", "target")}
    model.initialize(
        files,
        params={
            "label_smoothing": task["label_smoothing"],
            "average_loss_in_time": True,
            "beam_width": task["beam_size"],
            "length_penalty": task["length_penalty"],
            "maximum_decoding_length": task["longest"],
        },
    )
    return model


def train(model, task, data, theirs, folder):
    """Leaves the average of the newest checkpoints in the model; returns the seconds of all
    updates."""
    pairs = Pairs(data, task)
    beta_1, beta_2 = task["betas"]
    optimizer = opennmt.optimizers.make_optimizer(
        "Adam", Rates(data["learning_rates"]), beta_1=beta_1, beta_2=beta_2, epsilon=task["epsilon"]
    )
    model.create_variables(optimizer)
    seconds = tf.Variable(0.0, dtype=tf.float64)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, seconds=seconds)
    manager = tf.train.CheckpointManager(
        checkpoint, str(folder / "checkpoints"), max_to_keep=task["average"]
    )
    checkpoint.restore(manager.latest_checkpoint)

    @tf.function(input_signature=(IDS, LENGTHS, IDS, IDS, LENGTHS))
    def update(source, source_lengths, before, out, lengths):
        features, labels = (
            {"ids": source, "length": source_lengths},
            {"ids": before, "ids_out": out, "length": lengths},
        )
        loss, gradients = model.compute_gradients(features, labels, optimizer)
        if task["clip_norm"]:
            gradients, _ = tf.clip_by_global_norm(gradients, task["clip_norm"])
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    for step in range(int(optimizer.iterations), task["steps"]):
        begun = time.monotonic()
        sources, targets = pairs.batch(step)
        source, out = (theirs[padded(side, task["pad"])] for side in (sources, targets))
        before = np.concatenate([np.full((len(out), 1), theirs[task["bos"]]), out[:, :-1]], axis=1)
        loss = float(
            update(
                source, np.int32([*map(len, sources)]), before, out, np.int32([*map(len, targets)])
            )
        )
        seconds.assign_add(time.monotonic() - begun)
        if (step + 1) % task["checkpoint_every"] == 0 or step + 1 == task["steps"]:
            manager.save(step + 1)
        if (step + 1) % 100 == 0:
            print(
                f"step {step + 1}/{task['steps']}  loss {loss:.4f}  "
                f"{float(seconds) / (step + 1):.2f} s a step",
                flush=True,
            )
    average_checkpoints_into_layer(manager.checkpoints, model, "model")
    return float(seconds)


def translate(model, task, data, ours, theirs):
    """A list of lists of our ids, for each test source."""
    infer = tf.function(
        lambda ids, lengths: model.infer({"ids": ids, "length": lengths}),
        input_signature=(IDS, LENGTHS),
    )

    def some(sources):
        found = infer(theirs[padded(sources, task["pad"])], np.int32([*map(len, sources)]))
        best = [
            tokens[0, : lengths[0]]
            for tokens, lengths in zip(found["tokens"].numpy(), found["length"].numpy())
        ]
        return [
            [
                int(ours[-1]) if token == b"<unk>" else int(token)
                for token in tokens
                if token not in SPECIAL
            ]
            for tokens in best
        ]

    return translated(rows(data["test_ids"], data["test_offsets"]), 64, some)


def main(folder):
    folder = pathlib.Path(folder)
    task, data = (
        json.loads((folder / "task.json").read_text()),
        np.load(folder / "data.npz", allow_pickle=False),
    )
    data = {name: data[name] for name in data.readers.files}
    task["longest"] = 2 * int(np.diff(data["test_offsets"]).max()) + 10
    tf.keras.utils.set_random_seed(task["seed"])
    if task["precision"] == "bfloat16":
        tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    ours, theirs = vocabulary(task, folder)
    model = make_model(task, folder)
    seconds = train(model, task, data, theirs, folder)
    outputs = translate(model, task, data, ours, theirs)
    count = sum(int(tf.size(value)) for value in model.trainable_variables)
    version = f"OpenNMT-tf {opennmt.__version__}, tensorflow {tf.__version__}"
    leave(folder, {"outputs": outputs, "seconds": seconds, "parameters": count, "version": version})


if __name__ == "__main__":
    main(sys.argv[1])
