"""What is written about a model: the table, the samples, the files of the run folder."""

import json
import time
import types

import keras
import numpy as np
import pytest

from data.pairs import Pair
from transformer.config import ModelConfig
from transformer.evaluation import evaluation
from transformer.evaluation.evaluation import (
    Validation,
    evaluate_generator,
    evaluate_programs,
    predictions_of,
    samples_text,
    scores_table,
    write_results,
)
from transformer.model.losses import cross_entropy
from transformer.model.transformer import Transformer
from transformer.tasks.text_to_text import TASKS

REFERENCES = [f"Das ist Satz Nummer {n}." for n in range(20)]
CONFIG = {
    "data": {
        "task": "translation",
        "corpus": "",
        "source_language": "en",
        "target_language": "de",
        "source_train": ["train.en"],
    },
    "model": {"num_layers": 3, "d_model": 256, "ffn_dim": 512, "num_heads": 4},
}


def validation_of(pairs=()):
    """Of a random model, on one batch of five rows."""
    keras.utils.set_random_seed(3)
    model = Transformer.from_model_config(
        ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13)
    )
    ids = np.random.default_rng(1).integers(1, 13, (5, 6)).astype("int32")
    ids[0, 3:] = 0
    return (
        Validation(
            model, [((ids, ids), ids)], lambda sources: sources, pairs, TASKS["translation"], "de"
        ),
        model,
        ids,
    )


def test_a_validation_finds_loss_perplexity_accuracy_and_bleu():
    text = "Das ist ein ganzer Satz."
    validation, model, ids = validation_of([Pair(text, text)])
    results, sample = validation()
    loss, count = map(float, cross_entropy(ids, model([ids, ids])))
    right = np.sum((np.argmax(model([ids, ids]), -1) == ids) & (ids > 0))
    assert results == pytest.approx(
        {
            "loss": loss / count,
            "accuracy": right / 27,
            "perplexity": np.exp(loss / count),
            "bleu": 100,
            "chrf": 100,
            "exact_match": 100,
        },
        rel=1e-5,
    )
    assert sample == [(text, text, text)]
    assert "bleu" not in validation_of()[0]()[0]


@pytest.mark.parametrize("source_length", [6, 2])
def test_a_validation_keeps_the_budget_of_logits(monkeypatch, source_length):
    """They are of the target, however long the source is."""
    validation, _, ids = validation_of()
    validation.batches = [((ids[:, :source_length], ids), ids)]
    whole, sizes, sums = validation.token_scores(), [], validation._sums_of
    validation._sums = lambda inputs, targets: (sizes.append(len(targets)), sums(inputs, targets))[
        1
    ]
    for budget, expected in (
        (2 * 6 * 13, [2, 2, 1]),
        (3 * 6 * 13 - 1, [2, 2, 1]),
        (1, [1] * 5),
        (5 * 6 * 13, [5]),
        (10**6, [5]),
    ):
        monkeypatch.setattr(evaluation, "MAX_LOGITS", budget)
        sizes.clear()
        assert validation.token_scores() == pytest.approx(whole, abs=1e-6) and sizes == expected


def test_a_validation_writes_and_scores_what_it_was_given():
    """Padding is 1 here: what is 0 is a token as others are. Nothing is written where nothing is to
    be scored."""
    keras.utils.set_random_seed(3)
    model = Transformer.from_model_config(
        ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13, pad_id=1, dropout=0.5)
    )
    ids, asked = np.array([[4, 0, 5, 1, 1], [0, 7, 8, 9, 1]], "int32"), []
    task = types.SimpleNamespace(shown=lambda *arguments: asked.append(arguments) or {"score": 7.0})
    pairs = [Pair("a", "b", "kind"), Pair("c", "d")]
    validation = Validation(
        model,
        [((ids, ids), ids)] * 2,
        lambda texts: [text.upper() for text in texts],
        pairs,
        task,
        "de",
    )
    results, sample = validation()
    logits = np.asarray(model((ids, ids)), "float64")
    chances = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    real = np.argwhere(ids != 1)
    loss = -np.mean([chances[row, place, ids[row, place]] for row, place in real])
    right = np.mean([logits[row, place].argmax() == ids[row, place] for row, place in real])
    assert results == pytest.approx(
        {"loss": loss, "accuracy": right, "perplexity": np.exp(loss), "score": 7.0}, rel=1e-5
    )
    assert sample == [("a", "b", "A"), ("c", "d", "C")] and asked == [(pairs, ["A", "C"], "de")]
    results, sample = Validation(model, [((ids, ids), ids)])()
    assert [*results] == ["loss", "accuracy", "perplexity"] and sample == []


def test_scores_of_a_generator():
    pairs, task = [Pair("a", reference) for reference in REFERENCES], TASKS["translation"]
    scores, outputs = evaluate_generator(
        lambda texts: [text.upper() for text in texts], pairs, task
    )
    assert (
        outputs == ["A"] * 20
        and scores["bleu"] < 1
        and scores["examples"] == 20
        and scores["examples_per_second"] > 0
    )
    assert not {"kinds", "baselines"} & {*scores}
    perfect, _ = evaluate_generator(lambda texts: REFERENCES, pairs, task)
    assert perfect["bleu"] == pytest.approx(100) and perfect["exact_match"] == 100


@pytest.mark.parametrize("train", [[], [Pair("x", "y")]])
@pytest.mark.parametrize("kinds", [{}, {"k": {"examples": 3}}])
def test_the_task_judges_the_outputs_in_the_language_of_the_pairs(monkeypatch, train, kinds):
    now, pairs, asked = [100.0], [Pair("a", "b"), Pair("c", "d"), Pair("e", "f")], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def generator(texts):
        now[0] += 1.5
        return [text.upper() for text in texts]

    def told(name, value):
        def method(*arguments, **options):
            now[0] += 50.0  # scoring is no writing
            asked.append((name, arguments, options))
            return value

        return method

    task = types.SimpleNamespace(
        language_of=lambda pairs, language: f"{language} of {len(pairs)}",
        scores=told("scores", {"score": 1.0}),
        by_kind=told("kinds", kinds),
        baseline_scores=told("baselines", {"lead": {"score": 0.5}}),
    )
    scores, outputs = evaluate_generator(generator, pairs, task, "de", train)
    expected = {
        "score": 1.0,
        "kinds": kinds,
        "baselines": {"lead": {"score": 0.5}} if train else {},
        "examples": 3,
        "examples_per_second": 2.0,
    }
    assert outputs == ["A", "C", "E"] and scores == {
        name: value for name, value in expected.items() if value
    }
    written = (pairs, outputs, "de of 3")
    assert asked == [("scores", written, {"confidence": True}), ("kinds", written, {})] + [
        ("baselines", (train, pairs, "de of 3"), {})
    ] * bool(train)
    asked.clear()
    evaluate_generator(generator, pairs, task)
    assert [arguments[-1] for _, arguments, _ in asked] == [" of 3"] * 2


class Problem:
    """Stands in for data.readers.humaneval.Problem."""

    def __init__(self, name):
        self.prompt, self.description = f"prompt {name}", f"description {name}"

    def program(self, answer):
        return f"{self.prompt}: {answer}"


@pytest.mark.parametrize(
    "options, asked, run_code",
    [
        ({}, ["prompt a", "prompt b"], False),
        ({"described": True, "run_code": True}, ["description a", "description b"], True),
        ({"samples": 2, "run_code": True}, ["prompt a", "prompt a", "prompt b", "prompt b"], True),
    ],
)
def test_programs_are_written_for_each_problem_and_run(monkeypatch, options, asked, run_code):
    """The answers are numbered; of those with an odd number all tests pass. Nothing is run that
    need not be."""
    told, ran = [], []

    def generator(texts):
        told.extend(texts)
        return [f"answer {number}" for number in range(len(texts))]

    def run_programs(programs, run_code, workers):
        ran.append((programs, run_code, workers))
        return [
            types.SimpleNamespace(status="passed" if int(program[-1]) % 2 else "failed")
            for program in programs
        ]

    monkeypatch.setattr(evaluation, "run_programs", run_programs)
    monkeypatch.setattr(evaluation.os, "cpu_count", lambda: 7)
    monkeypatch.setattr(
        evaluation,
        "pass_scores",
        lambda groups: {"groups": [[o.status for o in group] for group in groups]},
    )
    scores = evaluate_programs(generator, [Problem("a"), Problem("b")], **options)
    problems = [text.replace("description", "prompt") for text in asked]
    assert told == asked and ran == [
        ([f"{text}: answer {n}" for n, text in enumerate(problems)], run_code, 7)
    ]
    groups = [["failed", "passed"]] * 2 if "samples" in options else [["failed"], ["passed"]]
    assert scores == {"groups": groups, "problems": 2, "samples": len(asked)}


def test_scores_of_kinds_and_baselines():
    pairs = [
        Pair("q1", "park", "where"),
        Pair("q2", "yes", "whether", ("indeed",)),
        Pair("q3", "no", "whether"),
    ]
    train = [Pair("q4", "school", "where"), Pair("q5", "no", "whether")]
    scores, _ = evaluate_generator(
        lambda texts: ["park", "indeed", "yes"], pairs, TASKS["question_answering"], "", train
    )
    assert scores["exact_match"] == pytest.approx(200 / 3)
    assert scores["kinds"]["whether"] == {"examples": 2, "f1": 50, "exact_match": 50}
    assert scores["baselines"] == {
        "commonest": pytest.approx({"f1": 100 / 3, "exact_match": 100 / 3})
    }
    table = scores_table(scores)
    assert (
        "  kind where: examples 1  f1 100.00" in table and "  baseline commonest: f1 33.33" in table
    )


def test_the_table_shows_the_interval_and_the_signature():
    scores = {
        "bleu": 39.126,
        "bleu_mean": 39.1,
        "bleu_interval": 1.5,
        "chrf": 63.3,
        "bleu_signature": "nrefs:1|case:mixed",
    }
    assert scores_table(scores).splitlines() == [
        "  bleu                            39.13",
        "    95 % interval          37.60 - 40.60",
        "  chrf                            63.30",
        "  bleu_signature: nrefs:1|case:mixed",
    ]


def test_the_table_of_large_numbers_kinds_and_baselines():
    scores = {
        "examples": 12345,
        "loss": 1234.567,
        "accuracy_mean": 0.1,
        "f1": 50.0,
        "f1_interval": 2.25,
        "kinds": {"what": {"examples": 1234, "f1": 33.333}, "who": {"examples": 2, "f1": 5}},
        "baselines": {"lead": {"f1": 1234.5}},
        "signature": "v:2",
    }
    assert scores_table(scores).splitlines() == [
        "  examples                       12,345",
        "  loss                         1,234.57",
        "  f1                              50.00",
        "    95 % interval          47.75 - 52.25",
        "  kind what: examples 1,234  f1 33.33",
        "  kind who: examples 2  f1 5",
        "  baseline lead: f1 1234.50",
        "  signature: v:2",
    ]


def test_predictions_have_the_references_and_the_kind_that_there_are():
    pairs = [Pair("s", "t"), Pair("s", "t", "k"), Pair("s", "t", "", ("u", "v"))]
    assert predictions_of(pairs, ["x", "y", "z"]) == [
        {"source": "s", "reference": "t", "prediction": "x"},
        {"source": "s", "reference": "t", "prediction": "y", "kind": "k"},
        {"source": "s", "reference": "t", "references": ["t", "u", "v"], "prediction": "z"},
    ]


def test_samples_are_spread_over_the_set():
    pairs = [Pair(f"s{n}", f"r{n}") for n in range(25)]
    ten = samples_text(pairs, [f"o{n}" for n in range(25)]).split("\n\n")
    assert [text.split()[1] for text in ten] == [
        "s0",
        "s2",
        "s5",
        "s7",
        "s10",
        "s12",
        "s15",
        "s17",
        "s20",
        "s22",
    ]
    assert samples_text([], []) == "" and len(samples_text(pairs[:3], ["o"] * 3).split("\n\n")) == 3
    text = samples_text(
        [Pair(f"s{n}", f"r{n}") for n in range(20)], [f"o{n}" for n in range(20)], count=2
    )
    assert (
        text
        == "  source     s0\n  reference  r0\n  output     o0\n\n  source     s10\n  reference  "
        "r10\n  output     o10"
    )
    assert samples_text([Pair("s", "r")], ["if x:\n    y"]).splitlines()[2:] == [
        "  output     if x:",
        "                 y",
    ]


def test_predictions_scores_and_card_of_a_run(tmp_path):
    run = tmp_path / "my_run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(CONFIG))
    scores = {
        "bleu": 12.345,
        "examples": 2,
        "parameters": 5490688,
        "steps": 3500,
        "minutes": 31.52,
        "tokens_per_second": 7521.4,
    }
    write_results(
        run,
        scores,
        [Pair("A dog.", "Ein Hund."), Pair("“Yes”", "„Ja“", "short", ("Ja",))],
        ["Ein Hund.", "Nein"],
    )
    assert json.loads((run / "scores.json").read_text()) == scores
    assert {path.name for path in run.iterdir()} == {
        "config.json",
        "scores.json",
        "predictions.jsonl",
        "model_card.md",
    }
    rows = [
        json.loads(line)
        for line in (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert rows[0] == {"source": "A dog.", "reference": "Ein Hund.", "prediction": "Ein Hund."}
    assert rows[1] == {
        "source": "“Yes”",
        "reference": "„Ja“",
        "references": ["„Ja“", "Ja"],
        "prediction": "Nein",
        "kind": "short",
    }
    card = (run / "model_card.md").read_text(encoding="utf-8")
    for part in (
        "# my_run",
        "en to de",
        "Training data: train.en\n",
        "3 + 3 layers",
        "5,490,688 parameters",
        "3,500 updates, 31.5 minutes",
        "12.35",
        "Ein Hund.",
    ):
        assert part in card, part
    assert (
        f"```\n{scores_table(scores)}\n```" in card.split("## Samples")[0]
        and "  source     A dog." in card.split("## Samples")[1]
    )
