"""What a peer learns from what a run of train.py learnt from: the same token ids, sizes, number of
updates, learning rates, label smoothing and average of the last checkpoints, from nothing; its own
initial weights, and its own batches, of pairs of like length.

What a peer has no switch for, it does not have: rotary positions (Marian has sinusoidal ones,
OpenNMT-tf its relative ones), R-Drop. Its weights are the average, ours that or the best
validation's; a test source that is longer than --max_source_length is cut, where ours is translated
in pieces.
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

# What peers do not have, or have in one way: options of a run that must be so, by section of
# config.json.
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
    """Rows of the run and of a peer: {"name", "version", "precision", "parameters", "steps",
    "minutes", and the scores of the test set}.

    Args:
        config: BenchmarkConfig: run, peers_python, precision.
        peer: its name. benchmarks.workers.learn_NAME is what runs; its files are in RUN/NAME, where
            the same command continues.
        alike: what beside ALIKE the peer has in one way, in the same form.
        penalty_of: (our length penalty, by GNMT's formula; mean length of a target) -> the peer's.

    Raises:
        ConfigError: the run is not finished, or has what the peer cannot have; its data has
            changed; the peer fails.
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
    begun = any(
        (place / state).exists() for state in ("state.safetensors", "checkpoints")
    )  # of PyTorch, of TensorFlow
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
