"""The card of a fine-tuned run, whole and literal; that of a translation run is in
test_evaluation.py, as it is written."""

import copy

import transformer
from transformer.evaluation.cards import finetuning_card, training_card

TASK = {
    "task": "classification",
    "pretrained": "bert_base_en",
    "tuning": "lora",
    "lora_rank": 8,
    "lora_alpha": 16.0,
    "lora_targets": ["attention", "feed_forward"],
}
CONFIG = {
    "task": TASK,
    "labelleddata": {"train_files": ["a.tsv", "b.tsv"], "tfds": ""},
    "labelled": {"labels": ["bad", "good"]},
    "finetuning": {"learning_rate": 5e-5, "batch_size": 16, "seed": 3},
}
DATA = {
    "train": {"examples_out": 1000},
    "validation": {"examples_out": 100},
    "test": {
        "examples_out": 200,
        "reasons": {"text also occurs in train": {"count": 7}},
        "lengths": {"text": {"max_length": 128, "truncated": 0.025}},
    },
}
REPORT = {"examples": 200, "scores": {"accuracy": 0.9, "majority_baseline": 0.55}}
SCORES = {"parameters": 108000000, "steps": 186, "minutes": 3.14}


def card(config=CONFIG, data=DATA, report=REPORT):
    return finetuning_card("moods", config, data, report, "| score | value |", SCORES)


def test_the_card_of_a_fine_tuned_run():
    assert (
        card()
        == f"""\
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
    )


def test_what_there_is_not_is_not_told():
    config, data = copy.deepcopy(CONFIG), copy.deepcopy(DATA)
    config["task"] |= {"task": "regression", "pretrained": "none", "tuning": "full"}
    config["labelled"]["labels"], config["labelleddata"] = (
        [],
        {"train_files": [], "tfds": "glue/stsb"},
    )
    data["test"] |= {
        "reasons": {},
        "lengths": {
            "source": {"max_length": 128, "truncated": 0.0},
            "target": {"max_length": 9, "truncated": 0.5},
        },
    }
    text = card(config, data, {"examples": 5, "scores": {"pearson": 0.9}})
    for part in (
        "regression, trained from nothing",
        "model: none\n",
        "Data: glue/stsb;",
        "Task: regression\n",
        "all weights;",
    ):
        assert part in text, part
    assert not [
        part for part in ("labels:", "Baseline", "stand in", "cut at", "bert") if part in text
    ]


def test_many_labels_are_cut_short():
    config = {**CONFIG, "labelled": {"labels": [f"l{n}" for n in range(25)]}}
    assert "l18, l19, and 5 more\n" in card(config)


def test_exactly_twenty_labels_are_all_shown():
    config = {**CONFIG, "labelled": {"labels": [f"l{n}" for n in range(20)]}}
    text = card(config)
    assert "l18, l19\n" in text and "more" not in text.partition("## Limits")[0]
    config = {**CONFIG, "labelled": {"labels": [f"l{n}" for n in range(21)]}}
    assert "l18, l19, and 1 more\n" in card(config)


def test_a_text2text_model_has_no_head_and_a_soup_its_seeds():
    config = CONFIG | {
        "task": TASK | {"task": "text2text", "lora_targets": ["attention"]},
        "soup": [3, 4, 5],
    }
    config["labelled"] = {"labels": []}
    text = card(config)
    assert "Tuning: low-rank changes of attention, rank 8, alpha 16; 108,000,000 parameters" in text
    assert "batches of 16, mean weights of seeds 3,4,5\n" in text
    assert (
        "Replay: `python finetune.py --flagfile=../seed-3/flags.cfg --seeds=3,4,5 --soup "
        "--run=NEW_FOLDER`" in text
    )
    config = CONFIG | {"task": TASK | {"tuning": "head"}}
    assert "Tuning: the task's head alone; 108,000,000 parameters in all\n" in card(config)


def test_limits_are_of_what_was_cut_and_seen():
    data = copy.deepcopy(DATA)
    data["test"]["lengths"] = {
        "text": {"max_length": 128, "truncated": 0.0},
        "pair": {"max_length": 64, "truncated": 1.0},
        "target": {"max_length": 9, "truncated": 0.5},
    }
    data["test"]["reasons"] = {"text also occurs in train": {"count": 1234}}
    text = card(
        data=data, report={"examples": 1200, "scores": {"mse": 0.5, "mean_baseline_mse": 1.25}}
    )
    assert text.endswith(
        "- Texts are cut at 64 tokens: 100.0% of the test's.\n"
        "- 1,234 test texts stand in the training data too, which raises the scores.\n"
    )
    assert (
        "## Scores on 1,200 test examples\n\nBaseline: the mean as the answer to every text has a "
        "mean squared error of 1.250." in text
    )
    config = CONFIG | {"task": TASK | {"pretrained": "none"}}
    assert "- What is one-sided in the labels is one-sided in the answers" in card(config)
    # What was not counted is none; where the data came from, unknown.
    text = finetuning_card("m", CONFIG | {"labelleddata": {}}, DATA, REPORT, "", {"parameters": 1})
    assert "- Data: ?; examples" in text and "- Training: 0 updates, 0.0 minutes" in text


TRAINING = {
    "data": {
        "task": "translation",
        "source_language": "en",
        "target_language": "de",
        "corpus": "",
        "tfds": "",
        "source_train": ["a.en", "b.en"],
        "examples_train": [],
    },
    "model": {"d_model": 64, "num_heads": 2, "num_layers": 3, "ffn_dim": 0},
}


def test_the_card_of_a_training():
    scores = {
        "examples": 1000,
        "parameters": 1234567,
        "steps": 12000,
        "minutes": 12.34,
        "tokens_per_second": 4321.6,
    }
    assert (
        training_card("first", TRAINING, scores, "bleu 30", "a -> b")
        == f"""\
# first

An encoder-decoder Transformer trained from nothing for translation, en to de, by transformer-keras {transformer.__version__}.

- Training data: a.en, b.en
- Model: 3 + 3 layers, width 64, feed-forward 256, 2 heads, 1,234,567 parameters
- Training: 12,000 updates, 12.3 minutes, 4,322 target tokens a second
- Replay: `python train.py --flagfile=flags.cfg --run=NEW_FOLDER`

## Scores on 1,000 test examples

```
bleu 30
```

## Samples

```
a -> b
```

## Limits

The model knows what its training data shows, and no more: other kinds of text, names and long sentences
come out worse than the scores say. Its output is not checked for truth or offence.
"""
    )


def test_the_card_of_a_training_of_another_task():
    data = TRAINING["data"] | {"task": "question_answering", "corpus": "stories"}
    text = training_card("m", TRAINING | {"data": data}, {"examples": 3}, "", "")
    assert (
        "for question answering, by" in text
        and "- Training data: stories\n" in text
        and ", 0 parameters\n" in text
    )
    assert "- Training: 0 updates, 0.0 minutes, 0 target tokens a second\n" in text
    model = TRAINING["model"] | {"ffn_dim": 100}
    text = training_card("m", TRAINING | {"model": model}, {"examples": 3}, "", "")
    assert "- Model: 3 + 3 layers, width 64, feed-forward 100, 2 heads, 0 parameters\n" in text
    for options, expected in (
        ({"source_language": ""}, "source to de"),
        ({"target_language": ""}, "en to target"),
    ):
        text = training_card(
            "m", TRAINING | {"data": TRAINING["data"] | options}, {"examples": 3}, "", ""
        )
        assert f"for translation, {expected}, by" in text
    for options, expected in (
        ({"tfds": "ted"}, "ted"),
        ({"source_train": [], "examples_train": ["x.tsv"]}, "x.tsv"),
    ):
        text = training_card(
            "m", TRAINING | {"data": TRAINING["data"] | options}, {"examples": 3}, "", ""
        )
        assert f"- Training data: {expected}\n" in text
