"""The tasks as data: what their scores say of small outputs, and the baselines worked out by
hand."""

import itertools
import json
import re

import pytest
import sacrebleu

from data.corpora.registry import CORPORA
from data.pairs import Pair
from data.readers.questions import UNANSWERABLE
from tests.programs import ROOT, run
from transformer.config import ConfigError
from transformer.tasks import text_to_text
from transformer.tasks.text_to_text import TASKS, Task, find_task


def test_every_task_shows_what_it_scores():
    assert text_to_text.UNANSWERABLE == UNANSWERABLE
    pairs = [Pair("add c to b", "a = b + c"), Pair("x is 1", "x = 1")]
    for task in TASKS.values():
        assert all(
            value == pytest.approx(100)
            for value in task.shown(pairs, [pair.target for pair in pairs], "").values()
        )
        assert set(task.baseline_scores(pairs, pairs, "")) == set(task.baselines)


def test_the_metrics_and_baselines_of_each_task():
    # The first chooses the best weights.
    bleu = ("bleu", "chrf", "exact_match")
    assert {name: (task.metrics, [*task.baselines]) for name, task in TASKS.items()} == {
        "translation": (bleu, []),
        "summarization": (("rougeL", "rouge1", "rouge2"), ["lead", "nearest"]),
        "question_answering": (("f1", "exact_match"), ["commonest"]),
        "code": (("exact_match", "bleu", "parses"), ["nearest"]),
        "text2text": (bleu, ["nearest"]),
    }


def test_a_task_shows_its_metrics_alone_without_intervals():
    asked = []

    def scores(pairs, outputs, language, confidence):
        asked.append((len(pairs), [*outputs], language, confidence))
        return {"b": 2, "a": 1, "c": 3}

    some = [Pair(kind, kind, kind) for kind in ("<2fr>", "<2de>", "<2fr>", "<2de>", "<2xyz>")]
    task = Task(scores, ("a", "b"), {"first": lambda train, pairs: [train[0].target] * len(pairs)})
    assert task.shown(some, "vwxyz", "en") == {"a": 1, "b": 2}
    assert task.baseline_scores([Pair("s", "t")], some, "en") == {"first": {"a": 1, "b": 2}}
    assert asked == [(5, [*"vwxyz"], "en", False), (5, ["t"] * 5, "en", False)]
    asked.clear()
    kinds = task.by_kind(some, "vwxyz", "en")
    assert [*kinds.items()] == [
        (kind, {"examples": n, "a": 1, "b": 2})
        for kind, n in (("<2de>", 2), ("<2fr>", 2), ("<2xyz>", 1))
    ]
    assert asked == [
        (2, ["w", "y"], "de", False),
        (2, ["v", "x"], "fr", False),
        (1, ["z"], "xyz", False),
    ]
    with pytest.raises(ValueError, match="shorter"):
        task.by_kind(some, "vwxy", "en")


@pytest.mark.parametrize(
    "kinds, language",
    [
        (["<2zh>"], "zh"),
        (["<2zh>"] * 2, "zh"),
        (["<2zh>", "<2de>"], "en"),
        (["<2zh>", ""], "en"),
        ([""], "en"),
        (["short"], "en"),
        (["<2zh> x"], "en"),
    ],
)
def test_the_language_of_pairs(kinds, language):
    assert Task.language_of([Pair("s", "t", kind) for kind in kinds], "en") == language


def test_a_translation_is_scored_as_sacrebleu_scores_it():
    pairs = [Pair("a", "the cat sat on the mat today"), Pair("b", "a dog ran home to its house")]
    outputs = ["the cat sat on the mat", "a dog ran home"]
    expected = sacrebleu.corpus_bleu(outputs, [[pair.target for pair in pairs]]).score
    for name in ("translation", "text2text"):
        found = TASKS[name].scores(pairs, outputs, "en", confidence=True)
        assert (
            found["bleu"] == pytest.approx(expected) and 60 < expected < 70
        )  # shorter than its reference
        assert "bleu_interval" in found
        assert "bleu_interval" not in TASKS[name].scores(pairs, outputs, "en", confidence=False)


def test_a_summary_is_scored_with_its_best_reference_and_its_language():
    pairs = [
        Pair("the cat was on the mat and slept", "a cat sleeps", "", ("the cat was asleep",)),
        Pair("x y z", "x y"),
    ]
    outputs = ["the cat was asleep", "x y"]
    shown = TASKS["summarization"].shown(pairs, outputs, "en")
    assert shown == pytest.approx({"rougeL": 100, "rouge1": 100, "rouge2": 100})
    found = TASKS["summarization"].scores(pairs, outputs, "en", confidence=True)
    assert (
        found["compression"] == pytest.approx(6 / 11) and "rouge1_interval" in found
    )  # 4 + 2 words of 8 + 3
    assert "stemmer" in found["rouge_signature"]
    # French is not stemmed: "chats" is not "chat".
    cats = [Pair("les chats", "les chats")]
    for confidence in (True, False):
        assert TASKS["summarization"].scores(cats, ["les chat"], "fr", confidence)[
            "rouge1"
        ] == pytest.approx(50)
        assert TASKS["summarization"].scores(cats, ["les chat"], "en", confidence)[
            "rouge1"
        ] == pytest.approx(100)
    quick = TASKS["summarization"].scores(pairs, outputs, "en", confidence=False)
    assert not {"rouge1_interval", "compression"} & {*quick}


def test_an_answer_in_chinese_is_read_as_characters():
    found = TASKS["question_answering"].scores([Pair("q", "北京市")], ["北京"], "zh", False)
    assert found["f1"] == pytest.approx(80)  # precision 1, recall 2 of 3


def test_code_is_scored_with_intervals_where_they_are_asked_for():
    pairs, outputs = [Pair("a", "x = 1 + y"), Pair("b", "y = 2")], ["x = (", "y = 2"]
    found = TASKS["code"].scores(pairs, outputs, "", confidence=True)
    assert found["parses"] == 50 and found["reference_parses"] == 100 and "bleu_interval" in found
    assert "bleu_interval" not in TASKS["code"].scores(pairs, outputs, "", confidence=False)


def test_an_answer_is_right_if_one_reference_is_it_and_none_if_there_is_none():
    pairs = [
        Pair("q", "the park", "a", ("garden",)),
        Pair("q", UNANSWERABLE, "b"),
        Pair("q", UNANSWERABLE, "b"),
    ]
    scores = TASKS["question_answering"].scores(pairs, ["Garden", UNANSWERABLE, "park"], "", True)
    assert (
        scores["exact_match"] == pytest.approx(200 / 3) and scores["unanswerable_exact_match"] == 50
    )


def test_white_space_counts_in_code():
    pairs = [Pair("loop", "for x in y:\n    print(x)"), Pair("loop", "for x in y:\n    print(x)")]
    found = TASKS["code"].shown(pairs, ["for x in y:\n    print(x)\n", "for x in y:\nprint(x)"], "")
    assert found["exact_match"] == 50 and found["parses"] == 50


def test_baselines():
    train = [
        Pair("the cat sat on the mat", "cat sat"),
        Pair("a dog ran home", "a dog ran away today"),
    ]
    pairs = [Pair("one two three four five six", "x"), Pair("the dog ran", "y")]
    # A target has 2 or 5 words, on average 3.5, which rounds to 4.
    assert TASKS["summarization"].baselines["lead"](train, pairs) == [
        "one two three four",
        "the dog ran",
    ]
    few = [Pair("s", ""), Pair("s", ""), Pair("s", "a")]  # a third of a word, and at least one
    assert TASKS["summarization"].baselines["lead"](few, pairs) == ["one", "the"]
    # On average 13 words in 4 targets, 3.25, where the median is 1.
    skewed = [Pair("s", text) for text in ("a", "a", "a", "a b c d e f g h i j")]
    assert TASKS["summarization"].baselines["lead"](skewed, pairs) == [
        "one two three",
        "the dog ran",
    ]
    for name in ("code", "text2text", "summarization"):
        assert TASKS[name].baselines["nearest"](train, pairs[1:]) == ["a dog ran away today"]
    assert TASKS["code"].baselines["nearest"](train, pairs) == ["cat sat", "a dog ran away today"]
    known = [Pair("", "yes", "is"), Pair("", "yes", "is"), Pair("", "park", "where")]
    assert TASKS["question_answering"].baselines["commonest"](
        known, [Pair("", "", "where"), Pair("", "", "is")]
    ) == ["park", "yes"]
    known = [Pair("", "rome", "answerable"), *[Pair("", UNANSWERABLE, UNANSWERABLE)] * 2]
    assert TASKS["question_answering"].baselines["commonest"](known, known) == [UNANSWERABLE] * 3
    found = TASKS["question_answering"].baseline_scores(
        known, [Pair("", "rome", "answerable"), Pair("", UNANSWERABLE)], ""
    )
    assert found == {"commonest": pytest.approx({"f1": 50, "exact_match": 50})}


def test_a_kind_that_names_a_language_is_scored_in_it():
    pairs = [
        Pair("<2zh> a", "我 想 喝 茶 水", "<2zh>"),
        Pair("<2de> a", "ich will Tee trinken", "<2de>"),
    ]
    found = TASKS["translation"].by_kind(pairs, ["我想喝茶水", "ich will Tee trinken"], "")
    assert found["<2zh>"]["bleu"] == pytest.approx(100) and found["<2de>"]["examples"] == 1
    assert TASKS["translation"].by_kind(pairs[:1], ["x"], "") == {}


def test_a_task_that_is_not_there():
    with pytest.raises(
        ConfigError, match="task must be one of translation, .* Received: 'translate'"
    ):
        find_task("translate")


def test_the_guide_says_the_same_in_two_languages_and_speaks_of_all_tasks():
    guides = [
        (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("tasks", "tasks_zh")
    ]
    blocks = [
        re.findall(r"^```(.*?)^```", re.sub(r" +# .*", "", guide), flags=re.MULTILINE | re.DOTALL)
        for guide in guides
    ]
    assert blocks[0] == blocks[1] and len(blocks[0]) > 4
    words = [
        *TASKS,
        *sorted({*CORPORA} - {"reverse"}),
        "--copy_unknown",
        "--run_code",
        "cnn_dailymail",
        "pipeline(",
    ]
    assert [word for guide in guides for word in words if word not in guide] == []


@pytest.mark.slow
def test_a_fifth_application_is_a_task_and_a_flagfile(monkeypatch, tmp_path):
    """docs/tasks.md's: how many of the letters are the right ones at the right place."""

    def letters(pairs, outputs, language, confidence):
        same = sum(
            a == b for pair, output in zip(pairs, outputs) for a, b in zip(pair.target, output)
        )
        return {"letters": 100 * same / sum(len(pair.target) for pair in pairs)}

    monkeypatch.setitem(
        TASKS,
        "spelling",
        Task(letters, ("letters",), {"copy": lambda train, pairs: [p.source for p in pairs]}),
    )
    words = [" ".join(word) for word in itertools.product("abc", repeat=4)]
    rows = "".join(f"{word}\t{word.upper()}\n" for word in words)
    (tmp_path / "words.tsv").write_text(f"source\ttarget\n{rows}", encoding="utf-8")
    (tmp_path / "spelling.cfg").write_text(
        f"--task=spelling\n--data_dir={tmp_path}\n--examples_train=words.tsv\n"
        f"--validation_share=0.2\n--test_share=0.2\n"
        "--tokenizer=character\n--d_model=16\n--num_heads=2\n--num_layers=1\n--ffn_dim=32\n"
        "--norm=pre\n--train_steps=200\n"
        "--learning_rate=1e-2\n--warmup_steps=5\n--max_tokens=256\n--eval_every=100\n"
        "--checkpoint_every=200\n--beam_size=1\n"
    )
    run("train.py", f"--flagfile={tmp_path}/spelling.cfg", f"--run={tmp_path}/run")
    scores, config = (
        json.loads((tmp_path / "run" / f"{name}.json").read_text()) for name in ("scores", "config")
    )
    assert scores["letters"] > 60 and scores["baselines"] == {
        "copy": {"letters": pytest.approx(300 / 7)}
    }
    assert config["training"]["keep_best_metric"] == "letters"
