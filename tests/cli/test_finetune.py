"""finetune.py as a user runs it: from nothing, on a run of train.py, killed and run again,
several seeds; and its errors."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

from data.corpora.registry import CORPORA
from data.report import format_lengths
from tests.programs import ROOT, run, run_apart
from transformer.evaluation.plots import read_curves
from transformer.pipelines import trainable
from transformer.pretrained.encoders import load_text_model
from transformer.training.checkpoints import list_checkpoints, read_checkpoint
from transformer.training.loop import Progress

pytestmark = pytest.mark.slow  # it trains, or starts programs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sentences of the phrasebook without their last mark; whether that was a question mark is
    the label."""
    folder = tmp_path_factory.mktemp("kinds")
    splits = CORPORA["phrasebook_en_de"](3000, seed=1)
    for name, count in (("train", 600), ("validation", 100), ("test", 200)):
        rows = {"question": [], "statement": []}
        for source, _ in splits[name]:
            rows["question" if source.endswith("?") else "statement"].append(source.rstrip("?.!"))
        lines = [
            f"{text}\t{kind}\n" for kind, texts in rows.items() for text in texts[: count // 2]
        ]
        random.Random(1).shuffle(lines)
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def arguments(folder, name, *more):
    return (
        "--flagfile=configs/sentence_kind.cfg",
        f"--data_dir={folder}",
        f"--run={folder / name}",
        *more,
    )


@pytest.fixture(scope="module")
def whole(folder):
    """A run from nothing, and its output."""
    return folder / "whole", run("finetune.py", *arguments(folder, "whole")).stdout


def test_from_nothing_it_learns_what_a_question_is(whole):
    scores = json.loads((whole[0] / "scores.json").read_text())
    assert scores["accuracy"] > 0.9 > scores["majority_baseline"] == 0.5


def test_the_run_folder_is_complete(whole):
    names = {path.name for path in whole[0].iterdir()}
    assert names >= {
        "config.json",
        "flags.cfg",
        "task.json",
        "tokenizer",
        "checkpoints",
        "tensorboard",
        "model.keras",
        "predictions.jsonl",
        "scores.json",
        "report.json",
        "report.md",
        "model_card.md",
    }
    rows = [json.loads(line) for line in (whole[0] / "predictions.jsonl").read_text().splitlines()]
    labels = json.loads((whole[0] / "task.json").read_text())["labels"]
    right = sum(labels[row["label"]] == row["prediction"][0]["label"] for row in rows) / len(rows)
    assert len(rows) == 200 and right == pytest.approx(
        json.loads((whole[0] / "scores.json").read_text())["accuracy"]
    )


def test_tensorboard_shows_the_report(whole):
    paths = (whole[0] / "tensorboard").glob("events.out.tfevents.*")
    values = {
        value.tag: value
        for path in paths
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
    }
    assert {"report/confusion", "report/reliability", "report/scores"} <= values.keys()
    assert b"| accuracy | 0.9" in tensor_util.make_ndarray(values["report/scores"].tensor).item()


def test_metrics_of_training_and_of_validation_are_beside_each_other(whole):
    curves = read_curves(whole[0])
    steps, values = curves["train/accuracy"]
    assert steps == curves["validation/accuracy"][0] and len(steps) == 3 and values[-1] > 0.9
    reported = {name for _, name, _ in json.loads((whole[0] / "report.json").read_text())["curves"]}
    assert "train/accuracy" in reported and f"train/accuracy {values[-1]:.4g}" in whole[1]


def test_the_output_tells_the_data_the_lengths_and_the_share_learnt(whole):
    assert "question 300, statement 300" in whole[1] and "(100.00%)" in whole[1]
    report = json.loads((whole[0] / "data_report.json").read_text())
    for split, count in (("train", 600), ("validation", 100), ("test", 200)):
        lengths = report[split]["lengths"]["text"]
        assert (lengths["count"], lengths["max_length"]) == (count, 32) and 2 < lengths[
            "median"
        ] < lengths["longest"]
        assert f"{split:<12}text {format_lengths(lengths)}\n" in whole[1]


@pytest.fixture(params=["full", "lora"])
def uninterrupted(request, folder, whole):
    """A run's folder and the flags that it has besides those of `whole`."""
    if request.param == "full":
        return whole[0], ()
    flags = ("--tuning=lora", "--epochs=1")
    run("finetune.py", *arguments(folder, "lora", *flags))
    return folder / "lora", flags


def test_killed_at_a_random_step_and_run_again_it_ends_in_the_same_numbers(folder, uninterrupted):
    theirs, flags = uninterrupted
    ours, steps = (
        folder / f"cut-{theirs.name}",
        json.loads((theirs / "config.json").read_text())["finetuning"]["train_steps"],
    )
    seed = int(os.environ.get("KILL_SEED", time.time_ns()))
    step = random.Random(seed).randrange(1, steps)
    print(f"killed at step {step} of {steps}, which KILL_SEED={seed} chose")
    command = [
        sys.executable,
        "finetune.py",
        *arguments(folder, ours.name, "--log_every=1", *flags),
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in process.stdout:
        if line.startswith(f"step {step:>6}/"):
            process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    saved = list_checkpoints(ours)
    assert (
        saved or step < 20
    )  # the first checkpoint is of step 10, and is written beside the steps that follow
    assert ("continuing from step " in run(*command[1:]).stdout) == bool(saved)
    arrays = [read_checkpoint(list_checkpoints(place)[-1])[0] for place in (ours, theirs)]
    bits = [{name: array.tobytes() for name, array in found.items()} for found in arrays]
    assert bits[0] == bits[1]
    assert (ours / "predictions.jsonl").read_bytes() == (theirs / "predictions.jsonl").read_bytes()
    changing = dict.fromkeys(("minutes", "tokens_per_second", "peak_memory_gib"))
    numbers = [
        json.loads((place / "scores.json").read_text()) | changing for place in (ours, theirs)
    ]
    assert numbers[0] == numbers[1]


def test_a_run_of_train_is_fine_tuned_with_lora_seeds_and_a_soup(folder):
    train = (
        "--corpus=phrasebook_en_de",
        "--corpus_size=2000",
        "--train_steps=20",
        "--eval_every=20",
        "--eval_decode=4",
        "--tokenizer=bpe",
        "--vocab_size=600",
        "--d_model=32",
        "--num_heads=2",
        "--num_layers=1",
        f"--run={folder / 'translation'}",
    )
    run("train.py", *train)
    data = [f"--{name}_files={folder / name}.tsv" for name in ("train", "validation", "test")]
    done = run(
        "finetune.py",
        *data,
        "--text_column=1",
        "--label_column=2",
        "--max_length=32",
        "--tuning=lora",
        "--lora_rank=4",
        "--learning_rate=1e-2",
        "--epochs=2",
        "--seeds=1,2",
        "--soup",
        f"--pretrained={folder / 'translation'}",
        f"--run={folder / 'tuned'}",
    )
    summary = json.loads((folder / "tuned" / "scores.json").read_text())
    assert summary["seeds"] == 2 and summary["scores"]["accuracy"]["mean"] > 0.6
    assert (
        "(2 seeds); soup " in done.stdout and (folder / "tuned" / "seed-2" / "report.md").exists()
    )
    soup, *runs = [
        load_text_model(folder / "tuned" / name)[0] for name in ("soup", "seed-1", "seed-2")
    ]
    for mean, *weights in zip(*(model.get_weights() for model in (soup, *runs))):
        numpy.testing.assert_allclose(mean, sum(weights) / 2, atol=1e-6)
    assert not numpy.array_equal(*(model.head.outer.kernel for model in runs))
    mixed = json.loads((folder / "tuned" / "soup" / "scores.json").read_text())
    assert (
        mixed == summary["soup"]
        and mixed["accuracy"] > 0.6
        and mixed["steps"] == 2 * summary["scores"]["steps"]["mean"]
    )
    assert "seeds 1,2" in (folder / "tuned" / "soup" / "model_card.md").read_text()


QUESTIONS = [
    {
        "id": str(n),
        "question": "Who has it?",
        "context": f"The {thing} is with {name}.",
        "answers": [{"text": name, "answer_start": 13 + len(thing)}],
    }
    for n, (thing, name) in enumerate(
        [(thing, name) for thing in ("hat", "book", "pen", "cup") for name in ("Ann", "Bob", "Eve")]
        * 5
    )
]
SQUAD = {
    "data": [
        {
            "paragraphs": [
                {"context": q["context"], "qas": [{k: q[k] for k in ("id", "question", "answers")}]}
                for q in QUESTIONS
            ]
        }
    ]
}
OTHER_TASKS = {
    "spans": (json.dumps(SQUAD), "json", ["--stride=4"], "exact_match"),
    "regression": (
        "".join(f"{'word ' * n}\t{n}\n" for n in (1, 2, 3, 4) * 12),
        "tsv",
        [],
        "pearson",
    ),
    "multilabel": (
        "".join(f"{text}\t{text.replace(' ', ',')}\n" for text in ("red", "blue", "red blue") * 16),
        "tsv",
        [],
        "f1_micro",
    ),
}


@pytest.mark.parametrize("task", OTHER_TASKS)
def test_the_other_tasks_run_to_their_report(folder, task):
    text, suffix, more, metric = OTHER_TASKS[task]
    path = folder / f"{task}.{suffix}"
    path.write_text(text, encoding="utf-8")
    files = [f"--{split}_files={path.name}" for split in ("train", "validation", "test")]
    done = run(
        "finetune.py",
        *arguments(
            folder, task, f"--task={task}", "--epochs=1", "--precision=bfloat16", *files, *more
        ),
    )
    assert (
        metric in json.loads((folder / task / "scores.json").read_text()) and metric in done.stdout
    )
    assert {"report.md", "flags.cfg", "data_report.json"} <= {
        path.name for path in (folder / task).iterdir()
    }


def test_other_data_in_the_same_folder_is_refused(folder, whole):
    rows = (folder / "train.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "other.tsv").write_text("".join(rows[1:]), encoding="utf-8")
    done = run("finetune.py", *arguments(folder, "whole", "--train_files=other.tsv"), check=False)
    assert done.returncode == 2 and "training and validation texts" in done.stderr
    assert (
        run("finetune.py", *arguments(folder, "whole")).returncode == 0
    )  # and a finished run says its scores again


@pytest.mark.parametrize(
    "more, message",
    [
        (["--task=regression"], "the label of a regression must be a number"),
        (["--keep_best_metric=bleu"], "keep_best_metric must be one of accuracy, f1"),
        (
            ["--pretrained=/", "--d_model=64"],
            "the flags of model and tokenizer belong to --pretrained=none. Received: --",
        ),
        (["--seeds=1,x"], "seeds must be whole numbers. Received: 1,x"),
        (["--seeds=1,1"], "seeds must differ"),
        (["--seeds=1,2", "--soup"], "a soup is of several seeds of one pretrained model"),
        (
            ["--label_smoothing=0.1", "--task=multilabel"],
            "label_smoothing needs task='classification'",
        ),
        (["--encoder_dropout=0.2"], "encoder_dropout sets the dropout of a pretrained encoder"),
        (["--text_column=9"], "a row must have"),
        (
            ["--pretrained="],
            "pretrained must name a model, or be none to train from scratch. Received: ''",
        ),
        (
            ["--optimizer=adam"],
            "Received: optimizer='adam', weight_decay=0.01. Use --weight_decay=0 or",
        ),
    ],
)
def test_a_user_s_mistake_ends_in_a_sentence(folder, more, message):
    done = run("finetune.py", *arguments(folder, "wrong", *more), check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") and message in done.stderr


def test_a_pretrained_model_that_is_not_there(folder):
    data = f"--train_files={folder / 'train.tsv'}", "--text_column=1", "--label_column=2"
    done = run_apart(
        "finetune.py", *data, "--pretrained=nowhere/model", f"--run={folder / 'wrong'}", check=False
    )
    assert done.returncode == 2 and done.stderr.startswith(
        "error: pretrained model not found. Received: "
    )


def test_a_model_from_nothing_is_stopped_by_a_signal_and_keeps_its_sizes(tmp_path, monkeypatch):
    """With a training that a signal stops at its third step in place of the real one."""

    def start(trainee, config, folder, **options):
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "step-00000003.safetensors").touch()
        return Progress(step=3), signal.SIGTERM

    monkeypatch.setattr(trainable, "start_training", start)
    (tmp_path / "a.tsv").write_text("".join(f"text {n}\t{n % 2}\n" for n in range(20)))
    data = [f"--train_files={tmp_path}/a.tsv", "--text_column=1", "--label_column=2"]
    sizes = ["--tokenizer=character", "--num_heads=2", "--num_layers=1", "--ffn_dim=16"]
    command = ["finetune.py", *data, "--test_share=0.2", *sizes, f"--run={tmp_path}/run"]
    done = run(*command, "--d_model=16", check=False)
    assert done.returncode == 143
    assert f"SIGTERM: saved at step 3 in {tmp_path}/run. The same command" in done.stdout
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["d_model"] == 16 and config["tokenizer"]["tokenizer"] == "character"
    other = run(*command, "--d_model=32", check=False)
    assert other.returncode == 2 and "d_model: 16 in the folder, 32 now" in other.stderr
