"""Trains an encoder-decoder Transformer from scratch: flags -> data -> model -> fit -> scores.

    python train.py --flagfile=configs/phrasebook_en_de.cfg
    python train.py --flagfile=configs/multi30k_en_de.cfg --data_dir=DIR --train_steps=2000

Rerunning a command continues where it stopped.
"""

import dataclasses
import pathlib
import sys

from data.config import DataConfig, DataError
from transformer.cli.flags import flagfiles, given, import_keras, main, write_flagfile
from transformer.config import (
    ConfigError,
    DecodingConfig,
    ModelConfig,
    TokenizerConfig,
    TrainingConfig,
)

CONFIGS = (ModelConfig, TokenizerConfig, TrainingConfig, DecodingConfig, DataConfig)
# Up to this many validation examples are decoded to choose the final weights, or --eval_decode if
# that is more. On the few examples of --eval_decode, the best of many validations was partly best
# by luck.
CHOICE = 2000


def define_flags(flag_values):
    """Defines the flags that belong to no dataclass.

    Args:
        flag_values: the absl `FlagValues` to which the flags are added.
    """
    from absl import flags

    flags.DEFINE_string(
        "run", "", "folder of the run; empty: runs/NAME_OF_THE_FLAGFILE", flag_values=flag_values
    )


def default_run():
    """Returns the default run folder: runs/<stem of the last flagfile>, or runs/run."""
    return pathlib.Path("runs") / pathlib.Path((["run"] + flagfiles(sys.argv))[-1]).stem


def run(model, tokenizer, training, decoding, data, flag_values):
    """Trains a model, or continues a training.

    Args:
        model: a `ModelConfig`.
        tokenizer: a `TokenizerConfig`.
        training: a `TrainingConfig`.
        decoding: a `DecodingConfig`.
        data: a `DataConfig`.
        flag_values: the parsed flags.

    Returns:
        The exit code if a signal stopped the training, else 0 or None.

    Raises:
        ConfigError: if options contradict each other.
        DataError: if the data are not valid.
    """
    folder = pathlib.Path(flag_values["run"].value or default_run())
    from data.prepare import prepare
    from data.report import format_report
    from transformer.metrics.classification import bleu_metric
    from transformer.tasks.text_to_text import find_task
    from transformer.text.symbols import SYMBOLS
    from transformer.training.checkpoints import check_run
    from transformer.training.workers import is_chief

    # Fail fast: check all options before the data are prepared and the model is trained.
    chief = is_chief(training.distribution)
    if data.copy_unknown:
        if tokenizer.tokenizer in ("byte", "character"):
            raise ConfigError(
                f"copy_unknown needs --tokenizer=unigram or bpe. Received: {tokenizer.tokenizer!r}."
            )
        # The symbols may be there already: a run's flags.cfg lists them.
        tokenizer = dataclasses.replace(
            tokenizer, user_symbols=tuple(dict.fromkeys((*tokenizer.user_symbols, *SYMBOLS)))
        )
    if model.pointer_generator:
        check_one_vocabulary(tokenizer)
    if training.initial_run:
        model, tokenizer = continued(training.initial_run, model, flag_values)
    bleu_metric(data.target_language)
    written = find_task(data.task).metrics if training.eval_decode else ()
    training = training.judged_by([*written, "loss", "accuracy"], data.task)
    if chief:
        check_run(folder, sections(tokenizer, training, decoding, data))
    training.check_dropout(model.dropout, model.attention_dropout, model.activation_dropout)
    model.check_lengths(data.max_source_length, data.max_target_length)
    prepared = prepare(data, tokenizer, folder.parent / ".prepared")
    found = "found prepared in" if prepared.cached else "prepared and kept in"
    print(f"{format_report(prepared.report)}\n{found} {prepared.folder}", flush=True)
    configs = (sized(model, prepared), tokenizer, training, decoding, data)
    trainee, plan = build(configs, prepared)
    validation = validation_of(configs, prepared, trainee.model)
    if chief:
        write_run(folder, configs, prepared)
    progress, stopped = train(folder, configs, prepared, trainee, plan, validation)
    if stopped:
        print(
            f"{stopped.name}: saved at step {progress.step} in {folder}. The same command "
            f"continues from there."
        )
        return 128 + stopped
    if not chief:
        return 0
    try:
        finish(folder, configs, prepared, trainee, progress, validation)
    except (KeyboardInterrupt, SystemExit):
        print(
            f"stopped before the scores; the training is saved in {folder}. The same command "
            f"continues from there."
        )
        raise


def check_one_vocabulary(tokenizer):
    """Checks that source and target share one vocabulary, as a pointer-generator needs.

    Args:
        tokenizer: a `TokenizerConfig`.

    Raises:
        ConfigError: if it asks for two vocabularies.
    """
    two = {
        "target_tokenizer": tokenizer.target_tokenizer,
        "nojoint_vocabulary": not tokenizer.joint_vocabulary,
        "source_tokenizer": (pathlib.Path(tokenizer.source_tokenizer) / "target.model").exists(),
    }
    for flag, is_so in two.items():
        if is_so:
            raise ConfigError(
                f"pointer_generator needs one vocabulary for source and target. Received: "
                f"--{flag}. Leave out one of them."
            )


def continued(initial_run, model, flag_values):
    """Returns the configurations of model and tokenizer of the run that this run starts from.

    Dropout rates that were given as flags replace those of the initial run. `subword_samples` is
    always taken from this run's flags.

    Args:
        initial_run: path of the run folder to start from.
        model: the `ModelConfig` of this run.
        flag_values: the parsed flags.

    Returns:
        (`ModelConfig`, `TokenizerConfig`).

    Raises:
        ConfigError: if `initial_run` is not a finished run, or if other flags of model or tokenizer
            contradict it.
    """
    from transformer.training.checkpoints import read_config

    names, rates = (
        given((ModelConfig, TokenizerConfig), flag_values),
        ("dropout", "attention_dropout", "activation_dropout"),
    )
    own = {name: getattr(model, name) for name in names if name in rates}
    saved = read_config(initial_run)
    model = ModelConfig(**{**saved["model"], **own})
    tokenizer = TokenizerConfig(
        source_tokenizer=str(pathlib.Path(initial_run) / "tokenizer"),
        subword_samples=flag_values["subword_samples"].value,
    )
    for name in names:
        # Flags that repeat the recipe of the initial run are allowed.
        value = flag_values[name].value
        if value not in (
            getattr(model, name, None),
            getattr(tokenizer, name, None),
            saved.get("tokenizer", {}).get(name),
        ):
            raise ConfigError(
                "a run that goes on from another has its sizes and its tokenizers. Received: "
                f"--{name}={value} with --initial_run={initial_run}. Leave it out."
            )
    return model, tokenizer


def sections(*configs):
    """Returns the sections of config.json.

    Args:
        *configs: dataclass instances.

    Returns:
        {name: instance}, such as {"training": the `TrainingConfig`}.
    """
    return {type(config).__name__.removesuffix("Config").lower(): config for config in configs}


def sized(model, prepared):
    """Returns a `ModelConfig` with the vocabulary sizes and padding ids of the prepared data.

    Args:
        model: a `ModelConfig`.
        prepared: the prepared data, from `data.prepare.prepare`.

    Returns:
        A `ModelConfig`.
    """
    source, target = prepared.source_tokenizer, prepared.target_tokenizer
    return dataclasses.replace(
        model,
        vocab_size=target.vocab_size,
        source_vocab_size=0 if source is target else source.vocab_size,
        pad_id=target.pad_id,
        source_pad_id=source.pad_id,
        tie_embeddings=model.tie_embeddings and source is target,
    )


def build(configs, prepared):
    """Builds the trainee and the plan of its batches, and prints what they are.

    Args:
        configs: the instances of `CONFIGS`.
        prepared: the prepared data.

    Returns:
        (trainee, `data.batches.Plan`).
    """
    import_keras()
    import keras

    from data.batches import Plan
    from transformer.model.transformer import Transformer
    from transformer.training.loop import make_trainee, precision_warning, set_precision

    model, _, training, _, _ = configs
    keras.utils.set_random_seed(training.seed)
    set_precision(training.precision)
    if warning := precision_warning(training.precision):
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    trainee, jit = make_trainee(lambda: Transformer.from_model_config(model), training)
    if training.initial_run:
        trainee.model.load_weights(pathlib.Path(training.initial_run) / "model.keras")
    replicas = trainee.distribute_strategy.num_replicas_in_sync
    plan = Plan(
        prepared.splits["train"],
        training.max_tokens,
        training.seed,
        training.accumulate_steps,
        replicas,
    )
    model.check_lengths(*(length for _, *lengths in plan.shapes for length in lengths))
    print(
        f"{trainee.model.count_params():,} parameters; {len(prepared.splits['train']):,} pairs in "
        f"{plan.steps_per_epoch:,} "
        f"batches; shapes {plan.shapes}; padding {plan.padding_share:.1%}; {jit}",
        flush=True,
    )
    return trainee, plan


def write_run(folder, configs, prepared):
    """Claims the run folder and writes what later stages need into it.

    These are config.json, flags.cfg, tokenizer/ and data_report.json.

    Args:
        folder: pathlib.Path of the run folder.
        configs: the instances of `CONFIGS`.
        prepared: the prepared data.
    """
    from transformer.files import write_json
    from transformer.text.tokenizer import save_tokenizers
    from transformer.training.checkpoints import claim_run

    if claim_run(
        folder, sections(*configs) | {"prepared": {"training data": prepared.fingerprint}}
    ):
        print(f"continuing the run in {folder}", flush=True)
    write_flagfile(
        configs,
        folder / "flags.cfg",
        "Replays this run: python train.py --flagfile=THIS_FILE --run=NEW_FOLDER",
    )
    write_json(folder / "data_report.json", prepared.report)
    save_tokenizers(folder / "tokenizer", prepared.source_tokenizer, prepared.target_tokenizer)


def validation_of(configs, prepared, transformer):
    """Returns a function that creates the `Validation` of a Transformer.

    Args:
        configs: the instances of `CONFIGS`.
        prepared: the prepared data.
        transformer: the `Transformer` to validate.

    Returns:
        A function of (`DecodingConfig`, count). Its `Validation` uses the validation set, and
        decodes `count` examples of it.
    """
    from data.batches import evaluation_batches
    from transformer.evaluation.evaluation import Validation
    from transformer.generation.generator import Generator, reading_of
    from transformer.tasks.text_to_text import find_task

    model, _, training, _, data = configs
    split, tokenizers = (
        prepared.splits["validation"],
        (prepared.source_tokenizer, prepared.target_tokenizer),
    )
    model.check_lengths(*split.packing.shapes.ravel().tolist())
    batches, task = evaluation_batches(split, training.max_tokens), find_task(data.task)
    # Fail fast if the texts cannot be scored.
    for some in filter(
        None, (split.pairs(training.eval_decode), prepared.splits["test"].pairs(100))
    ):
        task.shown(some, [pair.target for pair in some], data.target_language)

    def validation(decoding, count):
        pairs, generator = (
            split.pairs(count),
            Generator(transformer, *tokenizers, decoding, **reading_of(dataclasses.asdict(data))),
        )
        return Validation(transformer, batches, generator, pairs, task, data.target_language)

    return validation


def train(folder, configs, prepared, trainee, plan, validation):
    """Trains until the last step or until a signal.

    Args:
        folder: pathlib.Path of the run folder.
        configs: the instances of `CONFIGS`.
        prepared: the prepared data.
        trainee: the model to train, from `build`.
        plan: the plan of its batches, from `build`.
        validation: the function returned by `validation_of`.

    Returns:
        (progress, signal). `signal` is the `signal.Signals` that stopped the training, or None.
    """
    from data.batches import batch_at, training_dataset
    from transformer.training.loop import start_training

    _, _, training, decoding, _ = configs
    split = prepared.splits["train"]
    progress, stopped = start_training(
        trainee,
        training,
        folder,
        make_dataset=lambda step: training_dataset(split, plan, step, training.train_steps - step),
        batch_at=lambda step: batch_at(split, plan, step),
        evaluate=validation(decoding.greedy, training.eval_decode),
        padding_share=plan.padding_share,
        num_shapes=len(plan.shapes),
    )
    print(f"{trainee.num_traces} traces for {len(plan.shapes)} shapes", flush=True)
    return progress, stopped


def finish(folder, configs, prepared, trainee, progress, validation):
    """Chooses the weights, saves model.keras and scores the model on the test set.

    Args:
        folder: pathlib.Path of the run folder.
        configs: the instances of `CONFIGS`.
        prepared: the prepared data.
        trainee: the trained model, from `build`.
        progress: the progress, from `train`.
        validation: the function returned by `validation_of`.
    """
    from transformer.evaluation.evaluation import (
        evaluate_generator,
        samples_text,
        scores_table,
        write_results,
    )
    from transformer.tasks.text_to_text import find_task
    from transformer.training.checkpoints import save_model
    from transformer.training.loop import choose_weights

    _, _, training, decoding, data = configs
    validation = validation(decoding, training.eval_decode and max(training.eval_decode, CHOICE))
    chosen = choose_weights(trainee, training, folder, validation)
    save_model(trainee.model, folder)
    test, task = prepared.splits["test"].pairs(), find_task(data.task)
    known = prepared.splits["train"].pairs() if task.baselines else ()
    scores, outputs = evaluate_generator(validation.write, test, task, data.target_language, known)
    scores |= {"weights": chosen, "parameters": trainee.model.count_params(), **progress.summary()}
    write_results(folder, scores, test, outputs)
    print(
        f"\n{samples_text(test, outputs)}\n\ntest scores ({folder}/scores.json)\n"
        f"{scores_table(scores)}"
    )


if __name__ == "__main__":
    sys.exit(main(run, CONFIGS, __doc__, define_flags, user_errors=(ConfigError, DataError)))
