"""What is written about a model: the table, the samples, the files of the run folder."""

import json

import pytest

from transformer.evaluation import evaluate_generator, peak_memory_gib, samples_text, scores_table, write_results

REFERENCES = [f"Das ist Satz Nummer {n}." for n in range(20)]
CONFIG = {
    "data": {"corpus": "", "source_language": "en", "target_language": "de", "source_train": ["train.en"]},
    "model": {"num_layers": 3, "d_model": 256, "ffn_dim": 512, "num_heads": 4},
}


def test_scores_of_a_generator():
    scores, outputs = evaluate_generator(lambda texts: [text.upper() for text in texts], ["a"] * 20, REFERENCES)
    assert outputs == ["A"] * 20 and scores["bleu"] < 1 and scores["sentences"] == 20 and scores["sentences_per_second"] > 0
    perfect, _ = evaluate_generator(lambda texts: REFERENCES, ["a"] * 20, REFERENCES)
    assert perfect["bleu"] == pytest.approx(100) and perfect["exact_match"] == 100


def test_the_table_shows_the_interval_and_the_signature():
    scores = {"bleu": 39.126, "bleu_mean": 39.1, "bleu_interval": 1.5, "chrf": 63.3, "bleu_signature": "nrefs:1|case:mixed"}
    assert scores_table(scores).splitlines() == [
        "  bleu                            39.13",
        "    95 % interval          37.60 - 40.60",
        "  chrf                            63.30",
        "  bleu_signature: nrefs:1|case:mixed",
    ]


def test_samples_are_spread_over_the_set():
    text = samples_text([f"s{n}" for n in range(20)], [f"r{n}" for n in range(20)], [f"o{n}" for n in range(20)], count=2)
    assert text == "  source     s0\n  reference  r0\n  output     o0\n\n  source     s10\n  reference  r10\n  output     o10"
    assert samples_text(["s"], ["r"], ["o"]).count("source") == 1


def test_predictions_scores_and_card_of_a_run(tmp_path):
    run = tmp_path / "my_run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(CONFIG))
    scores = {"bleu": 12.345, "sentences": 2, "parameters": 5490688, "steps": 3500, "minutes": 31.52, "tokens_per_second": 7521.4}
    write_results(run, scores, ["A dog.", "“Yes”"], ["Ein Hund.", "„Ja“"], ["Ein Hund.", "Nein"])
    assert json.loads((run / "scores.json").read_text()) == scores
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[1] == {"source": "“Yes”", "reference": "„Ja“", "prediction": "Nein"}
    card = (run / "model_card.md").read_text(encoding="utf-8")
    for part in ("# my_run", "en to de", "['train.en']", "3 + 3 layers", "5,490,688 parameters", "3,500 updates, 31.5 minutes", "12.35", "Ein Hund."):
        assert part in card, part


def test_memory_is_measured():
    assert 0.05 < peak_memory_gib() < 100
