"""An encoder-decoder fine-tuned: a run that has learnt to copy letters learns to write the next
letter of the alphabet."""

import dataclasses
import json
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from data.config import DataConfig, LabelledDataConfig
from tests.programs import ROOT, run
from transformer.config import ConfigError, ModelConfig, TaskConfig
from transformer.evaluation.plots import read_curves
from transformer.generation.generator import Generator, reading_of
from transformer.model.transformer import Transformer
from transformer.pipelines.encoder import pipeline
from transformer.pipelines.text_to_text import GenerationPipeline
from transformer.pretrained.encoders import load_encoder
from transformer.text.tokenizer import CharacterTokenizer
from transformer.training.checkpoints import list_checkpoints, read_checkpoint

pytestmark = pytest.mark.slow  # it trains, or starts programs

LETTERS = "abcdefgh"
NEXT = str.maketrans(LETTERS, LETTERS[1:] + LETTERS[0])
TEXTS = sorted(
    {" ".join(random.Random(n).choices(LETTERS, k=3 + n % 4)) for n in range(1500)},
    key=lambda text: text[::-1],
)
random.Random(1).shuffle(TEXTS)
TARGETS = [text.translate(NEXT) for text in TEXTS]
TRAIN, VALIDATION, TEST = (slice(0, 400), slice(400, 450), slice(1000, 1100))
FAST = dict(epochs=6, batch_size=16, learning_rate=1e-2, checkpoint_every=10, log_every=1)
ENCODER_DECODER = [
    "--tokenizer=character",
    "--d_model=32",
    "--num_heads=2",
    "--num_layers=1",
    "--norm=pre",
    "--dropout=0",
]
TRAINING = [
    "--max_tokens=1024",
    "--train_steps=250",
    "--learning_rate=1e-2",
    "--warmup_steps=30",
    "--label_smoothing=0",
    "--eval_every=250",
    "--eval_decode=20",
    "--average_checkpoints=1",
    "--beam_size=2",
    "--max_length=16",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """train.tsv, validation.tsv and test.tsv of the new task, and `copy`, the run that knows the
    old one."""
    folder = tmp_path_factory.mktemp("letters")
    for name, part in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        rows = "".join(f"{text}\t{target}\n" for text, target in zip(TEXTS[part], TARGETS[part]))
        (folder / f"{name}.tsv").write_text(f"source\ttarget\n{rows}", encoding="utf-8")
    (folder / "copy.tsv").write_text(
        "".join(f"{text}\t{text}\n" for text in TEXTS[:1000]), encoding="utf-8"
    )
    data = [
        f"--examples_train={folder}/copy.tsv",
        "--source_column=1",
        "--target_column=2",
        "--max_source_length=40",
    ]
    run("train.py", *data, *ENCODER_DECODER, *TRAINING, f"--run={folder}/copy")
    return folder


def arguments(folder, name, *more):
    files = [f"--{split}_files={folder}/{split}.tsv" for split in ("train", "validation", "test")]
    options = [f"--{option}={value}" for option, value in FAST.items()]
    columns = ["--text_column=source", "--label_column=target"]
    return [
        "--task=text2text",
        f"--pretrained={folder}/copy",
        *files,
        *columns,
        *options,
        f"--run={folder / name}",
        *more,
    ]


@pytest.fixture(scope="module")
def whole(folder):
    """A run of finetune.py."""
    run("finetune.py", *arguments(folder, "whole"))
    return folder / "whole"


def exact(translator, part=TEST):
    return translator.evaluate(TEXTS[part], TARGETS[part])["scores"]["exact_match"]


def test_a_run_of_finetune_is_a_run(folder, whole):
    scores, config = (
        json.loads((whole / name).read_text()) for name in ("scores.json", "config.json")
    )
    assert scores["exact_match"] > 90 and {"bleu", "chrf", "bleu_signature", "steps"} <= {*scores}
    old = json.loads((folder / "copy" / "config.json").read_text())
    assert config["model"] == old["model"] and config["decoding"] == old["decoding"]
    assert config["data"]["max_source_length"] == 40
    assert config["finetuning"]["keep_best_metric"] == "bleu" and config["task"][
        "pretrained"
    ] == str(folder / "copy")
    assert {
        "flags.cfg",
        "report.md",
        "model_card.md",
        "data_report.json",
        "tokenizer",
        "tensorboard",
    } <= {path.name for path in whole.iterdir()}
    rows = [json.loads(line) for line in (whole / "predictions.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == TEXTS[TEST]
    assert sum(row["prediction"] == row["reference"] for row in rows) == round(
        scores["exact_match"]
    )
    (folder / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS[TEST]), encoding="utf-8")
    run(
        "-m",
        "transformer",
        "generate",
        f"--run={whole}",
        f"--input={folder}/in.txt",
        f"--output={folder}/out.txt",
    )
    written = (folder / "out.txt").read_text().splitlines()
    assert written == [row["prediction"] for row in rows]
    assert pipeline("translation", whole)(TEXTS[TEST]) == [
        {"translation_text": text} for text in written
    ]
    assert load_encoder(whole)[0].d_model == 32
    lengths = json.loads((whole / "data_report.json").read_text())["test"]["lengths"]
    assert {part: (found["count"], found["max_length"]) for part, found in lengths.items()} == {
        "source": (100, 40),
        "target": (100, 128),
    }
    curves = read_curves(whole)
    assert (
        curves["train/accuracy"][0] == curves["validation/accuracy"][0]
        and curves["train/accuracy"][1][-1] > 0.9
    )


def test_killed_and_run_again_it_ends_in_the_same_weights(folder, whole):
    command = [sys.executable, "finetune.py", *arguments(folder, "cut")]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in process.stdout:
        if line.startswith("step     57/"):
            process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert "continuing from step " in run(*command[1:]).stdout
    ours, theirs = (
        read_checkpoint(list_checkpoints(folder / name)[-1])[0] for name in ("cut", "whole")
    )
    assert all(ours[name].tobytes() == array.tobytes() for name, array in theirs.items()) and len(
        ours
    ) == len(theirs)


def test_it_is_fine_tuned_again_with_lora_and_a_seed_s_folder(folder, whole):
    more = f"--pretrained={whole}", "--tuning=lora", "--epochs=1", "--seeds=2"
    output = run("finetune.py", *arguments(folder, "again", *more)).stdout
    summary = json.loads((folder / "again" / "scores.json").read_text())
    assert summary["seeds"] == 1 and summary["scores"]["exact_match"]["mean"] > 90
    assert (
        "of them trainable (" in output and (folder / "again" / "seed-2" / "model.keras").exists()
    )


def test_fit_evaluate_save_and_load(folder, tmp_path):
    translator = pipeline("text2text-generation", model=folder / "copy", beam_size=3)
    assert translator("a b c d") == [{"generated_text": "a b c d"}]
    translator.fit(
        TEXTS[TRAIN],
        TARGETS[TRAIN],
        validation_data=(TEXTS[VALIDATION], TARGETS[VALIDATION]),
        **FAST,
    )
    assert exact(translator) > 90
    translator.save(tmp_path / "saved")
    again = pipeline("text2text-generation", model=tmp_path / "saved")
    assert again(TEXTS[TEST]) == translator(TEXTS[TEST]) and again.generator.config.beam_size == 3
    assert translator("a b c d") == [{"generated_text": "b c d e"}]
    with pytest.raises(
        ConfigError, match="keep_best_metric must be one of loss, accuracy for task='text2text'"
    ):
        again.fit(
            TEXTS[TRAIN], TARGETS[TRAIN], eval_decode=0, keep_best_metric="bleu", tuning="lora"
        )
    assert again.config.tuning == "full" and again(TEXTS[TEST]) == translator(TEXTS[TEST])


def test_lora_learns_little_and_is_merged(folder, monkeypatch):
    learnt, keep = [], GenerationPipeline._learnt
    watched = lambda self, model, *more: (learnt.append(model), keep(self, model, *more))  # noqa: E731
    monkeypatch.setattr(GenerationPipeline, "_learnt", watched)
    translator = pipeline("summarization", model=folder / "copy")
    before = translator.model.target_embedding.embeddings.numpy()
    pairs = tf.data.Dataset.from_tensor_slices({"source": TEXTS[TRAIN], "target": TARGETS[TRAIN]})
    columns = LabelledDataConfig(text_column="source", label_column="target", validation_share=0.1)
    translator.fit(pairs, data=columns, tuning="lora", lora_rank=4, **FAST)
    assert exact(translator) > 50 and translator("a b c d")[0].keys() == {"summary_text"}
    (trained,) = learnt
    shares = {variable.path.rpartition("/")[2] for variable in trained.trainable_variables}
    assert shares == {"lora_kernel_a", "lora_kernel_b"} and len(
        trained.trainable_variables
    ) == 2 * (4 + 7)
    assert not any("lora" in variable.path for variable in translator.model.variables)
    assert np.array_equal(translator.model.target_embedding.embeddings.numpy(), before)
    ids = np.random.default_rng(1).integers(4, 13, (5, 8)).astype("int32")
    assert np.allclose(trained([ids, ids]), translator.model([ids, ids]), atol=1e-4)


@pytest.mark.parametrize(
    "more, message",
    [
        (["--tuning=head"], "no windows and no head. Received: tuning=head"),
        (
            ["--pooling=max", "--stride=3"],
            "Received: stride=3, pooling=max. Leave out these options.",
        ),
        (["--class_weights=balanced"], "class_weights='balanced' needs task='classification'"),
        (
            ["--pretrained=none"],
            "the training of the run must be finished. Received: none, which has no model.keras",
        ),
        (["--d_model=64"], "the flags of model and tokenizer belong to --pretrained=none"),
        (
            ["--lowercase"],
            "lowercases texts if the pretrained run did. Received: lowercase=True",
        ),
        (["--pair_column=source"], "text2text has only one source text for each target"),
        (["--labels=a,b"], "labels have names in classification and multilabel alone"),
        (
            ["--keep_best_metric=f1"],
            "keep_best_metric must be one of bleu, chrf, exact_match, loss, accuracy",
        ),
        (["--label_column=label"], "label_column"),
        (
            ["--max_length=8", "--train_files=FOLDER/long.tsv"],
            "Received: none with at most 8 source tokens and 8 target tokens",
        ),
    ],
)
def test_a_user_s_mistake_ends_in_a_sentence(folder, more, message):
    (folder / "long.tsv").write_text("source\ttarget\na b c d e f g\ta b\n", encoding="utf-8")
    more = [argument.replace("FOLDER", str(folder)) for argument in more]
    done = run("finetune.py", *arguments(folder, "wrong", *more), check=False)
    assert (
        done.returncode == 2
        and done.stderr.startswith("error: ")
        and message in done.stderr
        and not (folder / "wrong").exists()
    )


def test_another_model_is_no_run(folder):
    (folder / "classifier").mkdir()
    (folder / "classifier" / "model.keras").write_bytes(b"")
    (folder / "classifier" / "config.json").write_text('{"task": {}, "finetuning": {}}')
    done = run(
        "finetune.py",
        *arguments(folder, "wrong", f"--pretrained={folder / 'classifier'}"),
        check=False,
    )
    assert done.returncode == 2 and "the run must be one of an encoder-decoder" in done.stderr


def test_a_generator_in_memory_and_a_row_too_long_for_learned_positions():
    config = ModelConfig(
        d_model=8, num_heads=1, num_layers=1, vocab_size=8, positions="learned", max_positions=8
    )
    tokenizer = CharacterTokenizer("abcd")
    translator = GenerationPipeline(
        Generator(Transformer.from_model_config(config), tokenizer, tokenizer)
    )
    with pytest.raises(
        ConfigError,
        match="max_positions must be at least .* length 32. Use a smaller --max_length.",
    ):
        translator.fit(["abcdabc"] * 9, ["abcd"] * 9)


def test_a_run_in_lower_case_is_judged_in_lower_case_and_on_one_line():
    copy = GenerationPipeline(lambda texts: texts, data=DataConfig(lowercase=True))
    assert copy.evaluate(["A b ", "c d"], ["a B", "C\nd"])["scores"]["exact_match"] == 100
    assert copy.evaluate(["A b "], ["a C"])["scores"]["exact_match"] == 0


def test_white_space_of_code_is_kept():
    body = "    if x:\n        return 1\n    return 2\n"
    copy = GenerationPipeline(lambda texts: texts, data=DataConfig(task="code"))
    scores = copy.evaluate([body], [body])["scores"]
    assert scores["exact_match"] == scores["reference_parses"] == 100
    tokenizer = CharacterTokenizer("ab \n")
    for task, read in (("code", " a\n b\n"), ("text2text", "a b")):
        generator = Generator(
            None, tokenizer, tokenizer, **reading_of(dataclasses.asdict(DataConfig(task=task)))
        )
        assert tokenizer.decode([generator.source_ids(" a\n b\n")]) == [read] and generator(
            [" \n"]
        ) == [""]
    assert TaskConfig(task="text2text", encoder_dropout=0.3).pretrained_dropout == 0.3
