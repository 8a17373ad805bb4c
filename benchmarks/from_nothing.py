"""Trains a peer from scratch on the data of a train.py run and compares the test scores.

The peer gets the run's token ids, sizes, number of updates, learning rates, label smoothing and
number of checkpoints to average. It has its own initial weights and its own batches, which group
pairs of similar length.

Some things differ, because the peer has no option for them:

- There are no rotary positions. Marian has sinusoidal positions, OpenNMT-tf its relative ones.
- There is no R-Drop.
- The peer is always scored with averaged weights. Our run is scored with averaged weights or with
  those of its best validation.
- A test source longer than --max_source_length is cut. Our run translates it in chunks.
"""

import json
import pathlib

import numpy as np

from benchmarks.peer import check_alike, check_unchanged, outputs_of, scores_of, side_by_side
from data.batches import Plan
from data.config import DataConfig
from data.prepare import prepare
from transformer.config import ConfigError, TokenizerConfig, TrainingConfig, from_json
from transformer.files import replacing, write_json
from transformer.training.checkpoints import read_config

# Options that the run must have, because peers do not support other values. By section of
# config.json; see `peer.check_alike`.
ALIKE = {
    "model": {
        "tie_embeddings": (True,),
        "tie_output": (True,),
        "gated": (False,),
        "scale_embeddings": (True,),
        "embedding_norm": (False,),
        "activation": ("relu", "gelu", "swish"),
        "pointer_generator": (False,),
        "norm_type": ("layer",),
        "use_bias": (True,),
        "source_vocab_size": (0,),
    },
    "training": {
        "initial_run": ("",),
        "optimizer": ("adam",),
        "precision": ("float32", "bfloat16"),
    },
    "data": {"copy_unknown": (False,)},
    "decoding": {
        "max_length": (0,),
        "min_length": (0,),
        "no_repeat_ngram": (0,),
        "temperature": (0.0,),
    },
}
# Options of the model that are passed on to the peer as they are.
KEPT = (
    "d_model",
    "num_heads",
    "num_layers",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "activation",
    "vocab_size",
    "norm",
    "positions",
)


def race(config, peer, alike, penalty_of):
    """Trains a peer on the data of a run and returns its test scores beside the run's.

    Args:
        config: BenchmarkConfig, of which run, peers_python and precision are used.
        peer: name of the peer. The module benchmarks.workers.learn_PEER trains it in RUN/PEER. The
            same command resumes a training that was interrupted.
        alike: further options that the run must have for this peer, in the form of `ALIKE`.
        penalty_of: function (our length penalty by GNMT's formula, mean target length) -> the
            peer's length penalty.

    Returns:
        Rows {"name", "version", "precision", "parameters", "steps", "minutes", and the scores of
        the test set} of the run and of the peer. Only the peer has a version.

    Raises:
        ConfigError: The run is not finished, it has an option that the peer cannot match, its data
            has changed, or the peer fails.
    """
    from transformer.cli.flags import import_keras

    import_keras()
    from transformer.tasks.text_to_text import find_task

    folder = pathlib.Path(config.run)
    saved = read_config(folder)
    for options in (ALIKE, alike):
        check_alike(f"{peer} is raced with a run of train.py", saved, options)
    learnt = saved["training"]["precision"]
    ours, precision = scores_of(folder) | {"precision": learnt}, config.precision or learnt
    data, tokenizer = (
        from_json(kind, saved[name])
        for kind, name in ((DataConfig, "data"), (TokenizerConfig, "tokenizer"))
    )
    prepared = prepare(data, tokenizer, folder.parent / ".prepared")
    check_unchanged(peer, folder, prepared.fingerprint, saved["prepared"]["training data"])
    place = folder / peer
    place.mkdir(exist_ok=True)
    _write_task(place, saved, prepared, ours["steps"], precision, penalty_of)
    found = outputs_of(f"learn_{peer}", place, config.peers_python)
    pairs, task = prepared.splits["test"].pairs(), find_task(data.task)
    language = task.language_of(pairs, data.target_language)
    scores = task.scores(
        pairs, prepared.target_tokenizer.decode(found["outputs"]), language, confidence=True
    )
    write_json(
        place / "scores.json",
        scores | {name: value for name, value in found.items() if name != "outputs"},
    )
    took = {"precision": precision, "steps": ours["steps"], "minutes": found["seconds"] / 60}
    took |= {name: found[name] for name in ("parameters", "version")}
    columns = (
        "version",
        "precision",
        "parameters",
        "steps",
        "minutes",
        "bleu",
        "bleu_interval",
        "chrf",
        "exact_match",
    )
    return side_by_side(columns, ours=ours, **{peer: scores | took})


def _write_task(place, saved, prepared, steps, precision, penalty_of):
    from transformer.training.optimizers import WarmupSchedule

    model, training, given = (
        saved["model"],
        from_json(TrainingConfig, saved["training"]),
        saved["decoding"],
    )
    train, tokenizer = prepared.splits["train"], prepared.source_tokenizer
    longest = saved["data"]["max_source_length"]
    test = [
        [*ids[: longest - 1], tokenizer.eos_id]
        for ids in tokenizer.encode([pair.source for pair in prepared.splits["test"].pairs()])
    ]
    plan = Plan(train, training.max_tokens, training.seed, training.accumulate_steps)
    schedule = WarmupSchedule(
        training.learning_rate,
        training.schedule,
        training.warmup_steps,
        training.train_steps,
        model["d_model"],
    )
    arrays = {
        f"{side}_{part}": np.asarray(getattr(train, f"{side}_{part}"))
        for side in ("source", "target")
        for part in ("ids", "offsets")
    }
    arrays |= {"test_ids": np.concatenate(test), "test_offsets": np.cumsum([0, *map(len, test)])}
    length = np.diff(train.target_offsets).mean()
    decoding = {
        "beam_size": given["beam_size"],
        "length_penalty": float(penalty_of(given["length_penalty"], length)),
    }
    task = {
        **{name: model[name] for name in KEPT},
        "ffn_dim": model["ffn_dim"] or 4 * model["d_model"],
        "pad": tokenizer.pad_id,
        "bos": tokenizer.bos_id,
        "eos": tokenizer.eos_id,
        "steps": steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "seed": training.seed,
        "betas": [training.adam_beta_1, training.adam_beta_2],
        "epsilon": training.adam_epsilon,
        "clip_norm": training.clip_norm,
        "label_smoothing": training.label_smoothing,
        "precision": precision,
        "checkpoint_every": training.checkpoint_every,
        "average": training.average_checkpoints,
        **decoding,
    }
    # Marian keeps its state in a safetensors file, OpenNMT-tf in a folder of checkpoints. The
    # decoding options may change between two starts, the others may not.
    begun = any((place / state).exists() for state in ("state.safetensors", "checkpoints"))
    if begun and json.loads((place / "task.json").read_text(encoding="utf-8")) | decoding != task:
        raise ConfigError(
            f"a training continues with the options that it began with. Received: {place} of "
            f"others. Delete it."
        )
    with replacing(place / "data.npz") as temporary:
        np.savez(
            temporary, learning_rates=np.array([schedule(step) for step in range(steps)]), **arrays
        )
    write_json(place / "task.json", task)
