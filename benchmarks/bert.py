"""Fine-tunes Hugging Face's BERT classifier on the data of a finetune.py run and compares scores.

BERT runs on PyTorch with the run's pretrained weights, texts, epochs, batch size, learning rates,
weight decay and gradient clipping. It keeps its own head, on BERT's pooled first token, and is
scored with its final weights.
"""

import json
import pathlib

import numpy as np

from benchmarks.peer import check_alike, check_unchanged, outputs_of, scores_of, side_by_side
from data.config import LabelledDataConfig
from data.readers.labelled import fingerprint, load_labelled
from transformer.config import ConfigError, FinetuningConfig, TaskConfig, from_json
from transformer.files import write_json
from transformer.metrics.classification import classification_scores

# Options that the run must have for a fair comparison, by section of config.json. See
# `peer.check_alike`.
ALIKE = {
    "task": {
        "task": ("classification",),
        "tuning": ("full",),
        "class_weights": ("none",),
        "encoder_dropout": (-1.0,),
    },
    "finetuning": {
        "precision": ("float32", "bfloat16"),
        "schedule": ("linear",),
        "optimizer": ("adamw",),
        "label_smoothing": (0.0,),
        "rdrop_alpha": (0.0,),
        "accumulate_steps": (1,),
    },
    "labelleddata": {"pair_column": ("",)},
}


def run(config):
    """Fine-tunes BERT in RUN/bert and returns its test scores beside the run's.

    Args:
        config: BenchmarkConfig, of which run, peers_python and precision are used. The run must be
            a run of finetune.py that classifies single texts, not pairs.

    Returns:
        Rows {"name", "version", "precision", "parameters", "minutes", "accuracy", "f1",
        "matthews"} of the run and of BERT, on the test set. Only BERT has a version.

    Raises:
        ConfigError: The run is not finished, it has an option that BERT cannot match, its texts
            have changed, or BERT's training fails.
    """
    folder = pathlib.Path(config.run)
    try:
        saved = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kinds = {
            "task": TaskConfig,
            "finetuning": FinetuningConfig,
            "labelleddata": LabelledDataConfig,
        }
        task, learning, data = (from_json(kind, saved[name]) for name, kind in kinds.items())
    except (OSError, KeyError) as error:
        raise ConfigError(
            f"BERT is raced with a finished run of finetune.py. Received: {config.run!r} "
            f"({error}). Name one."
        ) from None
    check_alike("BERT is raced with a run of finetune.py", saved, ALIKE)
    try:
        kind = json.loads(
            (pathlib.Path(task.pretrained) / "config.json").read_text(encoding="utf-8")
        ).get("model_type")
    except OSError:
        kind = None
    if kind != "bert":
        raise ConfigError(
            f"BERT learns from a folder of BERT's weights. Received: a run with "
            f"--pretrained={task.pretrained}. Name another run."
        )
    precision = config.precision or learning.precision
    ours, labelled = (
        scores_of(folder) | {"precision": learning.precision},
        load_labelled(data, task.task),
    )
    check_unchanged(
        "BERT", folder, fingerprint(labelled), saved["labelled"]["training and validation texts"]
    )
    splits = {
        name: {
            "texts": [e.text for e in labelled.splits[name]],
            "labels": [e.label for e in labelled.splits[name]],
        }
        for name in ("train", "test")
    }
    place = folder / "bert"
    place.mkdir(exist_ok=True)
    write_json(place / "texts.json", splits)
    write_json(
        place / "task.json",
        {
            "pretrained": str(pathlib.Path(task.pretrained).absolute()),
            "num_labels": len(labelled.labels),
            "max_length": task.input_length,
            "epochs": learning.epochs,
            "batch_size": learning.batch_size,
            "learning_rate": learning.learning_rate,
            "warmup_share": learning.warmup_share,
            "weight_decay": learning.weight_decay,
            "clip_norm": learning.clip_norm,
            "betas": [learning.adam_beta_1, learning.adam_beta_2],
            "epsilon": learning.adam_epsilon,
            "precision": precision,
            "seed": learning.seed,
        },
    )
    peer = outputs_of("learn_bert", place, config.peers_python)
    scores = classification_scores(
        np.array(splits["test"]["labels"]), np.array(peer["probabilities"])
    )
    scores |= {
        "precision": precision,
        "minutes": peer["seconds"] / 60,
        **{name: peer[name] for name in ("parameters", "version")},
    }
    write_json(place / "scores.json", scores)
    return side_by_side(
        ("version", "precision", "parameters", "minutes", "accuracy", "f1", "matthews"),
        ours=ours,
        bert=scores,
    )
