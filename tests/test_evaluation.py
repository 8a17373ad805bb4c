"""What is written about a model: the table, the samples, the files of the run folder."""

import json

import keras
import numpy as np
import pytest

from data.pairs import Pair
from transformer import evaluation
from transformer.config import ModelConfig
from transformer.evaluation import Validation, evaluate_generator, samples_text, scores_table, write_results
from transformer.losses import cross_entropy
from transformer.model import Transformer
from transformer.tasks import TASKS

REFERENCES = [f"Das ist Satz Nummer {n}." for n in range(20)]
CONFIG = {
    "data": {"task": "translation", "corpus": "", "source_language": "en", "target_language": "de", "source_train": ["train.en"]},
    "model": {"num_layers": 3, "d_model": 256, "ffn_dim": 512, "num_heads": 4},
}


def validation_of(pairs=()):
    """Of a random model, on one batch of five rows."""
    keras.utils.set_random_seed(3)
    model = Transformer.from_model_config(ModelConfig(d_model=16, num_heads=2, num_layers=1, vocab_size=13))
    ids = np.random.default_rng(1).integers(1, 13, (5, 6)).astype("int32")
    ids[0, 3:] = 0
    return Validation(model, [((ids, ids), ids)], lambda sources: sources, pairs, TASKS["translation"], "de"), model, ids


def test_a_validation_finds_loss_perplexity_accuracy_and_bleu():
    text = "Das ist ein ganzer Satz."
    validation, model, ids = validation_of([Pair(text, text)])
    results, sample = validation()
    loss, count = map(float, cross_entropy(ids, model([ids, ids])))
    right = np.sum((np.argmax(model([ids, ids]), -1) == ids) & (ids > 0))
    assert results == pytest.approx(
        {"loss": loss / count, "accuracy": right / 27, "perplexity": np.exp(loss / count), "bleu": 100, "chrf": 100,
         "exact_match": 100}, rel=1e-5
    )
    assert sample == [(text, text, text)]
    assert "bleu" not in validation_of()[0]()[0]


def test_a_validation_keeps_the_budget_of_logits(monkeypatch):
    validation, _, _ = validation_of()
    whole, sizes, sums = validation.token_scores(), [], validation._sums_of
    monkeypatch.setattr(evaluation, "MAX_LOGITS", 2 * 6 * 13)
    validation._sums = lambda inputs, targets: (sizes.append(len(targets)), sums(inputs, targets))[1]
    assert validation.token_scores() == pytest.approx(whole, abs=1e-6) and sizes == [2, 2, 1]


def test_scores_of_a_generator():
    pairs, task = [Pair("a", reference) for reference in REFERENCES], TASKS["translation"]
    scores, outputs = evaluate_generator(lambda texts: [text.upper() for text in texts], pairs, task)
    assert outputs == ["A"] * 20 and scores["bleu"] < 1 and scores["examples"] == 20 and scores["examples_per_second"] > 0
    assert not {"kinds", "baselines"} & {*scores}
    perfect, _ = evaluate_generator(lambda texts: REFERENCES, pairs, task)
    assert perfect["bleu"] == pytest.approx(100) and perfect["exact_match"] == 100


def test_scores_of_kinds_and_baselines():
    pairs = [Pair("q1", "park", "where"), Pair("q2", "yes", "whether", ("indeed",)), Pair("q3", "no", "whether")]
    train = [Pair("q4", "school", "where"), Pair("q5", "no", "whether")]
    scores, _ = evaluate_generator(lambda texts: ["park", "indeed", "yes"], pairs, TASKS["question_answering"], "", train)
    assert scores["exact_match"] == pytest.approx(200 / 3)
    assert scores["kinds"]["whether"] == {"examples": 2, "f1": 50, "exact_match": 50}
    assert scores["baselines"] == {"commonest": pytest.approx({"f1": 100 / 3, "exact_match": 100 / 3})}
    table = scores_table(scores)
    assert "  kind where: examples 1  f1 100.00" in table and "  baseline commonest: f1 33.33" in table


def test_the_table_shows_the_interval_and_the_signature():
    scores = {"bleu": 39.126, "bleu_mean": 39.1, "bleu_interval": 1.5, "chrf": 63.3, "bleu_signature": "nrefs:1|case:mixed"}
    assert scores_table(scores).splitlines() == [
        "  bleu                            39.13",
        "    95 % interval          37.60 - 40.60",
        "  chrf                            63.30",
        "  bleu_signature: nrefs:1|case:mixed",
    ]


def test_samples_are_spread_over_the_set():
    text = samples_text([Pair(f"s{n}", f"r{n}") for n in range(20)], [f"o{n}" for n in range(20)], count=2)
    assert text == "  source     s0\n  reference  r0\n  output     o0\n\n  source     s10\n  reference  r10\n  output     o10"
    assert samples_text([Pair("s", "r")], ["if x:\n    y"]).splitlines()[2:] == ["  output     if x:", "                 y"]


def test_predictions_scores_and_card_of_a_run(tmp_path):
    run = tmp_path / "my_run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(CONFIG))
    scores = {"bleu": 12.345, "examples": 2, "parameters": 5490688, "steps": 3500, "minutes": 31.52, "tokens_per_second": 7521.4}
    write_results(run, scores, [Pair("A dog.", "Ein Hund."), Pair("“Yes”", "„Ja“", "short", ("Ja",))], ["Ein Hund.", "Nein"])
    assert json.loads((run / "scores.json").read_text()) == scores
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[0] == {"source": "A dog.", "reference": "Ein Hund.", "prediction": "Ein Hund."}
    assert rows[1] == {
        "source": "“Yes”", "reference": "„Ja“", "references": ["„Ja“", "Ja"], "prediction": "Nein", "kind": "short",
    }  # fmt: skip
    card = (run / "model_card.md").read_text(encoding="utf-8")
    for part in ("# my_run", "en to de", "Training data: train.en\n", "3 + 3 layers", "5,490,688 parameters", "3,500 updates, 31.5 minutes", "12.35", "Ein Hund."):
        assert part in card, part
