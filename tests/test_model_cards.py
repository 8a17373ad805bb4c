"""The card of a fine-tuned run, whole and literal; that of a translation run is in test_evaluation.py, as it is written."""

import copy

import transformer
from transformer.model_cards import finetuning_card

TASK = {"task": "classification", "pretrained": "bert_base_en", "tuning": "lora", "lora_rank": 8, "lora_alpha": 16.0,
        "lora_targets": ["attention", "feed_forward"]}  # fmt: skip
CONFIG = {
    "task": TASK, "labelleddata": {"train_files": ["a.tsv", "b.tsv"], "tfds": ""}, "labelled": {"labels": ["bad", "good"]},
    "finetuning": {"learning_rate": 5e-5, "batch_size": 16, "seed": 3},
}  # fmt: skip
DATA = {"train": {"examples_out": 1000}, "validation": {"examples_out": 100},
        "test": {"examples_out": 200, "reasons": {"text stands in train too": {"count": 7}},
                 "lengths": {"text": {"max_length": 128, "truncated": 0.025}}}}  # fmt: skip
REPORT = {"examples": 200, "scores": {"accuracy": 0.9, "majority_baseline": 0.55}}
SCORES = {"parameters": 108000000, "steps": 186, "minutes": 3.14}


def card(config=CONFIG, data=DATA, report=REPORT):
    return finetuning_card("moods", config, data, report, "| score | value |", SCORES)


def test_the_card_of_a_fine_tuned_run():
    assert card() == f"""\
# moods

A model for classification, fine-tuned from bert_base_en, by transformer-keras {transformer.__version__}.

- Pretrained model: bert_base_en
- Data: a.tsv, b.tsv; examples: 1,000 train, 100 validation, 200 test
- Task: classification; labels: bad, good
- Tuning: low-rank changes of attention and feed_forward, rank 8, alpha 16, and the task's head; 108,000,000 parameters in all
- Training: 186 updates, 3.1 minutes, learning rate 5e-05, batches of 16, seed 3
- Replay: `python finetune.py --flagfile=flags.cfg --run=NEW_FOLDER`

## Scores on 200 test examples

Baseline: the commonest label as the answer to every text has accuracy 0.550.

| score | value |

Mistakes and pictures: report.md.

## Limits

- Texts of another kind than the training data come out worse than the scores say; no text is refused.
- What is one-sided in the labels or in bert_base_en is one-sided in the answers; it was not measured.
- Texts are cut at 128 tokens: 2.5% of the test's.
- 7 test texts stand in the training data too, which raises the scores.
"""


def test_what_there_is_not_is_not_told():
    config, data = copy.deepcopy(CONFIG), copy.deepcopy(DATA)
    config["task"] |= {"task": "regression", "pretrained": "none", "tuning": "full"}
    config["labelled"]["labels"], config["labelleddata"] = [], {"train_files": [], "tfds": "glue/stsb"}
    data["test"] |= {"reasons": {}, "lengths": {"source": {"max_length": 128, "truncated": 0.0}, "target": {"max_length": 9, "truncated": 0.5}}}
    text = card(config, data, {"examples": 5, "scores": {"pearson": 0.9}})
    for part in ("regression, trained from nothing", "model: none\n", "Data: glue/stsb;", "Task: regression\n", "all weights;"):
        assert part in text, part
    assert not [part for part in ("labels:", "Baseline", "stand in", "cut at", "bert") if part in text]


def test_many_labels_are_cut_short():
    config = {**CONFIG, "labelled": {"labels": [f"l{n}" for n in range(25)]}}
    assert "l18, l19, and 5 more\n" in card(config)
