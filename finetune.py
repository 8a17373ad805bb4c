"""Fine-tunes a pretrained model on labelled texts: flags -> data -> model + head -> fit -> report.

    python finetune.py --flagfile=configs/sst2.cfg --data_dir=DIR --pretrained=FOLDER
    python finetune.py --train_files=train.tsv --pretrained=bert_base_en --tuning=lora
    python finetune.py --task=text2text --train_files=pairs.tsv --pretrained=RUN

Rerunning a command continues where it stopped.
"""

import dataclasses
import json
import pathlib
import sys

from data.config import DataError, LabelledDataConfig
from train import default_run, sections
from transformer.cli.flags import given, import_keras, main, write_flagfile
from transformer.config import (
    ConfigError,
    FinetuningConfig,
    ModelConfig,
    TaskConfig,
    TokenizerConfig,
    from_json,
)

CONFIGS = (TaskConfig, FinetuningConfig, LabelledDataConfig, ModelConfig, TokenizerConfig)


def define_flags(flag_values):
    """Defines the flags that belong to no dataclass.

    Args:
        flag_values: the absl `FlagValues` to which the flags are added.
    """
    from absl import flags

    flags.DEFINE_string(
        "run", "", "folder of the run; empty: runs/NAME_OF_THE_FLAGFILE", flag_values=flag_values
    )
    flags.DEFINE_list(
        "seeds",
        [],
        "several seeds, comma-separated: a run each, and their mean and deviation",
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "soup",
        False,
        "with --seeds: also the model of their mean weights, in RUN/soup",
        flag_values=flag_values,
    )


def run(task, training, data, model, tokenizer, flag_values):
    """Fine-tunes a model, or continues a fine-tuning, once for each seed.

    Args:
        task: a `TaskConfig`.
        training: a `FinetuningConfig`.
        data: a `LabelledDataConfig`.
        model: a `ModelConfig`, used with --pretrained=none only.
        tokenizer: a `TokenizerConfig`, used with --pretrained=none only.
        flag_values: the parsed flags.

    Returns:
        The exit code if a signal stopped a run, else None.

    Raises:
        ConfigError: if options contradict each other.
        DataError: if the data are not valid.
    """
    folder = pathlib.Path(flag_values["run"].value or default_run())
    if task.pretrained != "none" and (wrong := given((ModelConfig, TokenizerConfig), flag_values)):
        raise ConfigError(
            f"the flags of model and tokenizer belong to --pretrained=none. Received: "
            f"--{wrong[0]} "
            f"with "
            f"--pretrained={task.pretrained}. Leave it out; a dropout rate is --encoder_dropout."
        )
    seeds, soup = flag_values["seeds"].value, flag_values["soup"].value
    runs = seeded(training, seeds, soup)
    if soup and (len(runs) < 2 or task.pretrained == "none"):
        raise ConfigError(
            "a soup is of several seeds of one pretrained model: models from nothing lie too far "
            "apart to be averaged. Received: "
            f"--seeds={','.join(seeds)}, --pretrained={task.pretrained}. Use --seeds=1,2,3 and "
            f"--pretrained, or leave --soup out."
        )
    if seeds and (folder / "config.json").exists():
        raise ConfigError(
            f"several seeds need a folder of their own. Received: {folder}, which holds one run. "
            f"Use another --run."
        )
    if (data.labels or data.labels_file) and task.task not in (
        "classification",
        "multilabel",
    ):
        raise ConfigError(
            f"labels have names in classification and multilabel alone. Received: "
            f"task={task.task!r}. Leave them out."
        )
    from data.readers.labelled import load_labelled
    from data.report import format_report
    from transformer.training.checkpoints import read_config
    from transformer.training.workers import is_chief

    chief = is_chief(training.distribution)
    if task.task == "text2text":
        # Fail fast if it is not a finished run.
        read_config(task.pretrained)
    labelled = load_labelled(data, task.task)
    print(format_report(labelled.report), flush=True)
    import_keras()
    if training.distribution == "multi_worker":
        from transformer.training.loop import make_strategy

        # The workers must be connected before TensorFlow loads a pretrained model.
        make_strategy(training.distribution)
    found, places = [], {seed: folder / f"seed-{seed}" if seeds else folder for seed in runs}
    for seed, config in runs.items():
        scores = finetune(places[seed], (task, config, data, model, tokenizer), labelled)
        if isinstance(scores, int):
            return scores
        found.append(scores)
    if seeds and chief:
        summarise(
            folder, found, mix(folder / "soup", places, found, task, labelled) if soup else None
        )


def seeded(training, seeds, soup=False):
    """Returns a `FinetuningConfig` for each seed.

    Args:
        training: a `FinetuningConfig`.
        seeds: list of str, the seeds. Empty uses the seed of `training`.
        soup: whether the models will be averaged. Then all of them get the same initial seed,
            because a soup needs a common start.

    Returns:
        {seed: `FinetuningConfig`}.

    Raises:
        ConfigError: if a seed is not a whole number, or if two seeds are equal.
    """
    try:
        if soup and seeds and training.initial_seed < 0:
            training = dataclasses.replace(training, initial_seed=int(seeds[0]))
        runs = {
            int(seed): dataclasses.replace(training, seed=int(seed))
            for seed in seeds or [training.seed]
        }
    except ValueError as error:
        raise ConfigError(
            f"seeds must be whole numbers. Received: {','.join(seeds)} ({error})."
        ) from None
    if len(runs) < len(seeds):
        raise ConfigError(f"seeds must differ. Received: {','.join(seeds)}. Name each once.")
    return runs


def finetune(folder, configs, labelled):
    """Trains and reports one run.

    Args:
        folder: pathlib.Path of the run folder.
        configs: the instances of `CONFIGS` as (task, training, data, model, tokenizer).
        labelled: the data, from `data.readers.labelled.load_labelled`.

    Returns:
        The dict of scores, or the exit code if a signal stopped the run. With several workers only
        the chief reports. The others return {}.
    """
    from transformer.files import write_json
    from transformer.pipelines.encoder import GenerationPipeline, TextPipeline
    from transformer.pretrained.encoders import new_encoder
    from transformer.training.workers import is_chief

    task, training, data, model, tokenizer = configs

    def fresh():
        texts = [text for example in labelled.splits["train"] for text in example.key if text]
        return new_encoder(model, tokenizer, texts, task.input_length)

    def claimed(lengths):
        write_flagfile(
            configs,
            folder / "flags.cfg",
            "Replays this run: python finetune.py --flagfile=THIS_FILE --run=NEW_FOLDER",
        )
        report = {
            split: entry | {"lengths": lengths[split]} for split, entry in labelled.report.items()
        }
        write_json(folder / "data_report.json", report)

    new = task.pretrained == "none"
    if task.task == "text2text":
        trained = GenerationPipeline.from_run(task.pretrained, config=task)
    else:
        trained = TextPipeline(task, fresh if new else None)
    begun = sections(data, *((model, tokenizer) if new else ()))
    try:
        progress, stopped = trained.train(labelled, training, folder, begun, claimed)
        if not stopped:
            if not is_chief(training.distribution):
                return {}
            trained.save(folder)
            return write_results(
                folder, trained, labelled, progress.summary(), curve_points(folder)
            )
    except (KeyboardInterrupt, SystemExit):
        print(f"stopped; what was saved is in {folder}. The same command continues from there.")
        raise
    print(
        f"{stopped.name}: saved at step {progress.step} in {folder}. The same command continues "
        f"from there."
    )
    return 128 + stopped


def curve_points(folder):
    """Returns (step, name, value) of each point of all curves of a run.

    Args:
        folder: path of the run folder.

    Returns:
        list of tuple.
    """
    from transformer.evaluation.plots import read_curves

    return [
        (step, name, value)
        for name, curve in read_curves(folder).items()
        for step, value in zip(*curve)
    ]


def mix(folder, places, found, task, labelled):
    """Averages the weights of several runs to a model soup, and writes it like a run.

    Args:
        folder: pathlib.Path of the folder to write.
        places: {seed: run folder}, the runs.
        found: list of dict, the scores of the runs.
        task: a `TaskConfig`.
        labelled: the data. The soup is scored on the validation examples, or on the training
            examples if there are none, and reported on the test set.

    Returns:
        dict of scores, as from `write_results`.
    """
    from transformer.files import write_json
    from transformer.pipelines.encoder import GenerationPipeline, TextPipeline
    from transformer.pipelines.trainable import soup

    load = GenerationPipeline.from_run if task.task == "text2text" else TextPipeline.load
    first = next(iter(places.values()))
    config, report = (
        json.loads((first / name).read_text(encoding="utf-8"))
        for name in ("config.json", "data_report.json")
    )
    learnt = from_json(FinetuningConfig, config["finetuning"])
    mixed, results = soup(
        map(load, places.values()),
        labelled.splits["validation"] or labelled.splits["train"],
        learnt,
    )
    print(
        f"soup of {len(places)} models: "
        + "  ".join(f"{key} {value:.4g}" for key, value in results.items()),
        flush=True,
    )
    mixed.save(folder)
    write_json(folder / "config.json", config | {"soup": [*places]})
    write_json(folder / "data_report.json", report)
    took = {name: sum(run[name] for run in found) for name in ("steps", "minutes")}
    return write_results(
        folder,
        mixed,
        labelled,
        took | {"peak_memory_gib": max(run["peak_memory_gib"] for run in found)},
    )


def write_results(folder, trained, labelled, summary, points=()):
    """Scores the test set and writes all results into the run folder.

    These are the report with its plots, predictions.jsonl, scores.json, the model card, and the
    scores and plots in TensorBoard.

    Args:
        folder: pathlib.Path of the run folder.
        trained: the fine-tuned pipeline.
        labelled: the data.
        summary: dict, the figures of the training for scores.json, such as "steps".
        points: list of (step, name, value), the training curves.

    Returns:
        dict of scores.
    """
    from transformer.evaluation.cards import finetuning_card
    from transformer.evaluation.curves import overfitting_remark
    from transformer.evaluation.reports import (
        report_text,
        scores_markdown,
        tensorboard_images,
        write_report,
    )
    from transformer.files import write_json, write_json_lines, write_text

    report, rows = trained.results(labelled.splits["test"], labelled.splits["train"])
    write_json_lines(folder / "predictions.jsonl", rows)
    write_report(folder, report, points)
    show_in_tensorboard(
        folder, scores_markdown(report), tensorboard_images(report), summary["steps"]
    )
    scores = report["scores"] | {"parameters": trained.model.count_params(), **summary}
    write_json(folder / "scores.json", scores)
    config, data = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("config.json", "data_report.json")
    )
    card = finetuning_card(folder.name, config, data, report, scores_markdown(report), scores)
    write_text(folder / "model_card.md", card)
    print(
        f"\n{report_text(report)}\n{overfitting_remark(points)}\nreport in {folder}/report.md",
        flush=True,
    )
    return scores


def show_in_tensorboard(folder, scores, images, step):
    """Writes the scores and plots of a report to TensorBoard.

    Args:
        folder: pathlib.Path of the run folder.
        scores: str, the scores as a Markdown table.
        images: {name: uint8 (1, height, width, 3)}.
        step: int, the update at which they are shown.
    """
    import tensorflow as tf

    from transformer.training.callbacks import told

    with (
        told(folder),
        tf.summary.create_file_writer(str(folder / "tensorboard")).as_default(step=step),
    ):
        tf.summary.text("report/scores", scores)
        for name, image in images.items():
            tf.summary.image(name, image)


def summarise(folder, found, soup):
    """Writes and prints the mean and standard deviation of the scores of several seeds.

    Args:
        folder: pathlib.Path of the folder to write scores.json to.
        found: list of dict, the scores of the seeds.
        soup: dict, the scores of their model soup. None if there is no soup.
    """
    from transformer.evaluation.reports import seeds_summary, seeds_text
    from transformer.files import write_json

    summary = seeds_summary(found) | ({"soup": soup} if soup else {})
    write_json(folder / "scores.json", summary)
    print(seeds_text(summary))


if __name__ == "__main__":
    sys.exit(main(run, CONFIGS, __doc__, define_flags, user_errors=(ConfigError, DataError)))
