"""Trains OpenNMT-tf's Transformer from scratch on token ids and translates the test set.

benchmarks/from_nothing.py starts it.

    python -m benchmarks.workers.learn_opennmt FOLDER

It reads task.json and data.npz from FOLDER and writes outputs.json there. Every `checkpoint_every`
updates it saves its state in FOLDER/checkpoints. The same command resumes from there.
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
    """A schedule with a given learning rate for each step.

    Args:
        rates: float array (steps,).
    """

    def __init__(self, rates):
        self.rates = tf.constant(rates, tf.float32)

    def __call__(self, step):
        """Returns the learning rate of a step, a float32 scalar."""
        return self.rates[tf.cast(step, tf.int32)]


def vocabulary(task, folder):
    """Writes our ids as an OpenNMT-tf vocabulary, which must begin with padding, start and end.

    The last id has no line in the file, because OpenNMT-tf appends its unknown token there.

    Returns:
        The two arrays of `specials_first`: our id of each of theirs, and their id of each of ours.
    """
    ours, theirs = specials_first(task)
    tokens = [*(token.decode() for token in SPECIAL), *map(str, ours[3:-1])]
    (folder / "vocabulary.txt").write_text("".join(f"{token}\n" for token in tokens))
    return ours, theirs


def make_model(task, folder):
    """Returns an OpenNMT-tf Transformer of the run's sizes.

    It has sinusoidal positions if the run has them, else relative positions.
    """
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
    """Trains the model, or resumes its training, and gives it the average of the last checkpoints.

    Args:
        model: the OpenNMT-tf model.
        task: dict, the content of task.json.
        data: dict of arrays, the content of data.npz.
        theirs: int array (V,), OpenNMT-tf's id of each of our ids.
        folder: pathlib.Path, where the checkpoints are saved.

    Returns:
        The seconds of all updates.
    """
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
    """Translates the test sources. Returns a list of lists of our ids."""
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
    """Trains on the data in a folder and writes the translations of the test set."""
    folder = pathlib.Path(folder)
    task, data = (
        json.loads((folder / "task.json").read_text()),
        np.load(folder / "data.npz", allow_pickle=False),
    )
    data = {name: data[name] for name in data.files}
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
