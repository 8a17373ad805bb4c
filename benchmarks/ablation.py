"""Measures what each part of the Multi30k recipe contributes, in BLEU on the validation set.

It trains variants of the recipe that differ in one option each. All variants have the same number
of updates and the same seed. Warm-up, checkpoints and validations come at the same fractions of the
training as in the recipe. The first training is also decoded with other settings and with other
weights (the last checkpoint, the average of the last checkpoints).
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
    """Trains the variants in runs/ablation/STEPS_PRECISION, or resumes them, and compares BLEU.

    Args:
        config: BenchmarkConfig, of which data_dir, precision and steps are used.

    Returns:
        Rows {"name", "bleu", "difference", "p", "parameters", "minutes", "weights"}. `p` is the
        p-value of the difference by paired bootstrap (Koehn 2004, computed by sacreBLEU). `weights`
        says which weights the run kept at its end. The difference of a training is to the first
        training. The difference of other weights and decoding settings is to the first run as
        loaded from its folder, because every loaded run computes in float32. These rows lack the
        last three columns.

    Raises:
        ConfigError: The data folder does not exist, or a training fails.
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
    """Returns the TrainingConfig and the DataConfig of the recipe."""
    values = FlagValues()
    define(*CONFIGS, flag_values=values)
    parse(["train.py", f"--flagfile={RECIPE}"], values)
    return read(TrainingConfig, values), read(DataConfig, values)


def _decoded(run, sources, count):
    """Returns a run's outputs {name: list of str} with each decoding setting and other weights.

    The other weights are the last checkpoint and the average of the last `count` checkpoints.
    """
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
    """Compares the outputs of several systems with those of the first.

    Args:
        outputs: dict {name: list of str}, the translations of each system.
        references: list of str.
        facts: dict {name: dict}, further columns of a system's row.
        language: target language, which chooses sacreBLEU's tokenizer.

    Returns:
        Rows {"name", "bleu", "difference", "p", and the facts}. `p` is None for the first system
        and for every system with the same outputs.
    """
    from sacrebleu.significance import PairedTest

    from transformer.metrics.classification import bleu_metric

    metric = bleu_metric(language)
    _, found = PairedTest(
        [*outputs.items()], {"BLEU": metric}, [references], test_type="bs", n_samples=1000
    )()
    results, first = found["BLEU"], next(iter(outputs.values()))
    # For two systems with the same outputs sacreBLEU returns the smallest possible p-value, which
    # would mislead.
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
