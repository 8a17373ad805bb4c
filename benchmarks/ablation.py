"""What the parts of the Multi30k recipe are worth: trainings that differ in one thing each, of the
same number of updates (warm-up, checkpoints and validations at the same parts of them as in the
recipe) and one seed, and other weights of the first and other ways to decode it; BLEU of the
validation set.
"""

import json
import pathlib

from absl.flags import FlagValues

from benchmarks.rounds import ROOT
from benchmarks.scores import train
from data.config import DataConfig
from train import CONFIGS
from transformer.cli.flags import define, import_keras, parse, read
from transformer.config import TrainingConfig
from transformer.training.checkpoints import (
    average_weights,
    list_checkpoints,
    named_weights,
    restore,
)

RECIPE = ROOT / "configs" / "multi30k_en_de_tokenized.cfg"
TRAININGS = {
    "the recipe": (),
    "no label smoothing": ("--label_smoothing=0",),
    "pre-norm": ("--norm=pre",),
    "sinusoidal positions": ("--positions=sinusoidal",),
    "vocabulary of 4,000": ("--vocab_size=4000",),
    "dropout 0.1": ("--dropout=0.1",),
    "dropout 0.2": ("--dropout=0.2",),
    "embeddings and output untied": ("--notie_embeddings", "--notie_output"),
}
DECODINGS = {
    "the recipe, read": {},
    "greedy": {"beam_size": 1},
    "beam 4": {"beam_size": 4},
    "beam 10": {"beam_size": 10},
    "length penalty 0": {"length_penalty": 0.0},
    "length penalty 0.6": {"length_penalty": 0.6},
    "length penalty 2": {"length_penalty": 2.0},
}


def run(config):
    """Trains in runs/ablation/STEPS_PRECISION, or continues to. Rows {"name", "bleu", "difference",
    "p", "parameters", "minutes", "weights"}: p is that of the difference by a paired bootstrap
    (Koehn 2004, by sacreBLEU), weights are what was kept at the end. The difference of a training
    is to the first; of other weights and ways to decode, which compute in float32 as every run that
    is read does, to the first as it is read.

    Args:
        config: BenchmarkConfig: data_dir, precision, steps.

    Raises:
        ConfigError: there is no such folder, or a training fails.
    """
    config.require("ablation", "data_dir")
    base, (training, data) = config.precision or "float32", _recipe()
    folder = pathlib.Path("runs/ablation") / f"{config.steps}_{base}"
    other = "float32" if base != "float32" else "bfloat16"
    counts = {
        name: max(config.steps * getattr(training, name) // training.train_steps, 1)
        for name in ("train_steps", "warmup_steps", "eval_every", "checkpoint_every")
    }
    flags = [
        f"--source_test={','.join(data.source_validation)}",
        f"--target_test={','.join(data.target_validation)}",
    ]
    flags += [
        f"--data_dir={pathlib.Path(config.data_dir).absolute()}",
        *(f"--{name}={count}" for name, count in counts.items()),
    ]
    flags += [f"--precision={base}"]
    outputs, facts = {}, {}
    for name, changed in {**TRAININGS, other: (f"--precision={other}",)}.items():
        place = folder / name.replace(" ", "_")
        train(["train.py", f"--flagfile={RECIPE}", *flags, *changed, f"--run={place.absolute()}"])
        rows = [
            json.loads(line)
            for line in (place / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        scores = json.loads((place / "scores.json").read_text(encoding="utf-8"))
        outputs[name], facts[name] = (
            [row["prediction"] for row in rows],
            {key: scores[key] for key in ("parameters", "minutes", "weights")},
        )
    decoded = _decoded(
        folder / "the_recipe", [row["source"] for row in rows], training.average_checkpoints
    )
    references = [row["reference"] for row in rows]
    return [
        *compared(outputs, references, facts, data.target_language),
        *compared(decoded, references, {}, data.target_language),
    ]


def _recipe():
    """Its TrainingConfig and DataConfig."""
    values = FlagValues()
    define(*CONFIGS, flag_values=values)
    parse(["train.py", f"--flagfile={RECIPE}"], values)
    return read(TrainingConfig, values), read(DataConfig, values)


def _decoded(run, sources, count):
    """Outputs of a run as it is read, decoded otherwise, and with its last checkpoint and the
    average of so many."""
    import_keras()
    from transformer.generation.generator import Generator

    found = {
        name: Generator.from_run(run, **options)(sources) for name, options in DECODINGS.items()
    }
    generator, paths = Generator.from_run(run), list_checkpoints(run)[-count:]
    weights = named_weights(generator.model)
    for name, chosen in (
        ("last checkpoint", paths[-1:]),
        (f"average of {len(paths)} checkpoints", paths),
    ):
        restore(weights, average_weights(chosen, weights)[0])
        found[name] = generator(sources)
    return found


def compared(outputs, references, facts, language):
    """Rows of systems' outputs {name: list of str}, the first of which the others are compared
    with."""
    from sacrebleu.significance import PairedTest

    from transformer.metrics.classification import bleu_metric

    metric = bleu_metric(language)
    _, found = PairedTest(
        [*outputs.items()], {"BLEU": metric}, [references], test_type="bs", n_samples=1000
    )()
    results, first = found["BLEU"], next(iter(outputs.values()))
    # Of systems that write the same, sacreBLEU's p is the smallest there is.
    return [
        {
            "name": name,
            "bleu": result.score,
            "difference": result.score - results[0].score,
            "p": None if written == first else result.p_value,
            **facts.get(name, {}),
        }
        for (name, written), result in zip(outputs.items(), results)
    ]
