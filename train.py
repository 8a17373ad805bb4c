"""Trains an encoder-decoder Transformer from nothing: flags -> data -> model -> fit -> scores.

    python train.py --flagfile=configs/phrasebook_en_de.cfg
    python train.py --flagfile=configs/multi30k_en_de.cfg --data_dir=DIR --train_steps=2000

Rerunning a command continues where it stopped.
"""

import dataclasses
import pathlib
import sys

from data.config import DataConfig, DataError
from transformer.config import ConfigError, DecodingConfig, ModelConfig, TokenizerConfig, TrainingConfig
from transformer.flags import import_keras, main, write_flagfile

CONFIGS = (ModelConfig, TokenizerConfig, TrainingConfig, DecodingConfig, DataConfig)


def define_flags(flag_values):
    from absl import flags

    flags.DEFINE_string("run", "", "folder of the run; empty: runs/NAME_OF_THE_FLAGFILE", flag_values=flag_values)


def default_run():
    """runs/<stem of the last flagfile>, or runs/run."""
    stems = [pathlib.Path(part.split("=", 1)[1]).stem for part in sys.argv if part.startswith("--flagfile=")]
    return pathlib.Path("runs") / (stems[-1] if stems else "run")


def run(model, tokenizer, training, decoding, data, flag_values):
    """Trains, or continues to; returns the exit code."""
    folder = pathlib.Path(flag_values["run"].value or default_run())
    from data.cleaning import format_report
    from data.prepare import prepare
    from transformer.metrics import bleu_metric

    bleu_metric(data.target_language)  # says now, not after the training, if it cannot score
    prepared = prepare(data, tokenizer, folder.parent / ".prepared")
    found = "found prepared in" if prepared.cached else "prepared and kept in"
    print(f"{format_report(prepared.report)}\n{found} {prepared.folder}", flush=True)
    source, target = prepared.source_tokenizer, prepared.target_tokenizer
    separate = source is not target
    import_keras()
    model = dataclasses.replace(
        model, vocab_size=target.vocab_size, source_vocab_size=source.vocab_size if separate else 0,
        pad_id=target.pad_id, tie_embeddings=model.tie_embeddings and not separate,
    )  # fmt: skip
    configs = (model, tokenizer, training, decoding, data)
    write_run(folder, configs, prepared)
    trainee, progress, stopped = train(folder, configs, prepared)
    if stopped:
        print(f"{stopped.name}: saved at step {progress.step} in {folder}. The same command continues from there.")
        return 128 + stopped
    finish(folder, configs, prepared, trainee, progress)


def write_run(folder, configs, prepared):
    """Claims the run folder and writes what a later stage needs: config.json, flags.cfg, tokenizer/, data_report.json."""
    from transformer.checkpoints import claim_run, write_json
    from transformer.tokenizer import save_tokenizers

    names = [type(config).__name__.removesuffix("Config").lower() for config in configs]
    if claim_run(folder, dict(zip(names, map(dataclasses.asdict, configs)))):
        print(f"continuing the run in {folder}", flush=True)
    write_flagfile(configs, folder / "flags.cfg", "Replays this run: python train.py --flagfile=THIS_FILE --run=NEW_FOLDER")
    write_json(folder / "data_report.json", prepared.report)
    save_tokenizers(folder / "tokenizer", prepared.source_tokenizer, prepared.target_tokenizer)


def train(folder, configs, prepared):
    """Fits to the last step or a signal; returns the trainee, its progress and the signal (or None)."""
    import keras

    from data.batches import Plan, batch_at, evaluation_batches, training_dataset
    from transformer.generation import Generator
    from transformer.model import Transformer
    from transformer.training import make_trainee, set_precision, start_training

    model, _, training, decoding, data = configs
    splits, bos_id = prepared.splits, prepared.target_tokenizer.bos_id
    keras.utils.set_random_seed(training.seed)
    set_precision(training.precision)
    plan = Plan(splits["train"], training.max_tokens, training.seed, training.accumulate_steps)
    trainee, jit = make_trainee(lambda: Transformer.from_model_config(model), training)
    print(
        f"{trainee.model.count_params():,} parameters; {len(splits['train']):,} pairs in {plan.steps_per_epoch:,} batches; "
        f"shapes {plan.shapes}; padding {plan.padding_share:.1%}; {jit}",
        flush=True,
    )
    greedy = dataclasses.replace(decoding, beam_size=1, n_best=1, temperature=0.0)
    generator = Generator(
        trainee.model, prepared.source_tokenizer, prepared.target_tokenizer, greedy, data.max_source_length
    )
    validation = splits["validation"]
    texts = tuple(part[: training.eval_decode] for part in (validation.source_texts(), validation.target_texts()))
    progress, stopped = start_training(
        trainee,
        training,
        folder,
        make_dataset=lambda step: training_dataset(splits["train"], plan, step, training.train_steps - step, bos_id),
        batch_at=lambda step: batch_at(splits["train"], plan, step, bos_id),
        validation=evaluation_batches(validation, training.max_tokens, bos_id),
        translate=generator,
        texts=texts,
        language=data.target_language,
        padding_share=plan.padding_share,
    )
    print(f"{trainee.num_traces} traces for {len(plan.shapes)} shapes", flush=True)
    return trainee, progress, stopped


def finish(folder, configs, prepared, trainee, progress):
    """Chooses the weights, saves model.keras, and scores it on the test set."""
    from data.batches import evaluation_batches
    from transformer.checkpoints import save_model
    from transformer.evaluation import evaluate_generator, peak_memory_gib, samples_text, scores_table, write_results
    from transformer.generation import Generator
    from transformer.training import choose_weights

    _, _, training, decoding, data = configs
    tokenizers = prepared.source_tokenizer, prepared.target_tokenizer
    generator = Generator(trainee.model, *tokenizers, decoding, data.max_source_length)
    validation, test = prepared.splits["validation"], prepared.splits["test"]
    texts = tuple(part[: training.eval_decode] for part in (validation.source_texts(), validation.target_texts()))
    batches = evaluation_batches(validation, training.max_tokens, tokenizers[1].bos_id)
    chosen = choose_weights(trainee, training, folder, batches, generator, texts, data.target_language)
    save_model(trainee.model, folder)
    sources, references = test.source_texts(), test.target_texts()
    scores, outputs = evaluate_generator(generator, sources, references, data.target_language)
    scores |= {
        "weights": chosen,
        "parameters": trainee.model.count_params(),
        "steps": progress.step,
        "minutes": progress.seconds / 60,
        "tokens_per_second": progress.tokens / max(progress.seconds, 1e-9),
        "peak_memory_gib": peak_memory_gib(),
    }
    write_results(folder, scores, sources, references, outputs)
    print(f"\n{samples_text(sources, references, outputs)}\n\ntest scores ({folder}/scores.json)\n{scores_table(scores)}")


if __name__ == "__main__":
    sys.exit(main(run, CONFIGS, __doc__, define_flags, user_errors=(ConfigError, DataError)))
