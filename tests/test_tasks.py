"""The tasks as data: what their scores say of small outputs, and the baselines worked out by hand."""

import itertools
import json
import re

import pytest

from data.corpora import CORPORA
from data.pairs import Pair
from data.questions import UNANSWERABLE
from tests.programs import ROOT, run
from transformer import tasks
from transformer.config import ConfigError
from transformer.tasks import TASKS, Task, find_task


def test_every_task_shows_what_it_scores():
    assert tasks.UNANSWERABLE == UNANSWERABLE
    pairs = [Pair("add c to b", "a = b + c"), Pair("x is 1", "x = 1")]
    for task in TASKS.values():
        assert all(value == pytest.approx(100) for value in task.shown(pairs, [pair.target for pair in pairs], "").values())
        assert set(task.baseline_scores(pairs, pairs, "")) == set(task.baselines)


def test_an_answer_is_right_if_one_reference_is_it_and_none_if_there_is_none():
    pairs = [Pair("q", "the park", "a", ("garden",)), Pair("q", UNANSWERABLE, "b"), Pair("q", UNANSWERABLE, "b")]
    scores = TASKS["question_answering"].scores(pairs, ["Garden", UNANSWERABLE, "park"], "", True)
    assert scores["exact_match"] == pytest.approx(200 / 3) and scores["unanswerable_exact_match"] == 50


def test_white_space_counts_in_code():
    pairs = [Pair("loop", "for x in y:\n    print(x)"), Pair("loop", "for x in y:\n    print(x)")]
    found = TASKS["code"].shown(pairs, ["for x in y:\n    print(x)\n", "for x in y:\nprint(x)"], "")
    assert found["exact_match"] == 50 and found["parses"] == 50


def test_baselines():
    train = [Pair("the cat sat on the mat", "cat sat"), Pair("a dog ran home", "a dog ran away today")]
    pairs = [Pair("one two three four five six", "x"), Pair("the dog ran", "y")]
    # A target has 2 or 5 words, on average 3.5, which rounds to 4.
    assert TASKS["summarization"].baselines["lead"](train, pairs) == ["one two three four", "the dog ran"]
    assert TASKS["code"].baselines["nearest"](train, pairs) == ["cat sat", "a dog ran away today"]
    known = [Pair("", "yes", "is"), Pair("", "yes", "is"), Pair("", "park", "where")]
    assert TASKS["question_answering"].baselines["commonest"](known, [Pair("", "", "where"), Pair("", "", "is")]) == ["park", "yes"]
    known = [Pair("", "rome", "answerable"), *[Pair("", UNANSWERABLE, UNANSWERABLE)] * 2]
    assert TASKS["question_answering"].baselines["commonest"](known, known) == [UNANSWERABLE] * 3


def test_a_kind_that_names_a_language_is_scored_in_it():
    pairs = [Pair("<2zh> a", "我 想 喝 茶 水", "<2zh>"), Pair("<2de> a", "ich will Tee trinken", "<2de>")]
    found = TASKS["translation"].by_kind(pairs, ["我想喝茶水", "ich will Tee trinken"], "")
    assert found["<2zh>"]["bleu"] == pytest.approx(100) and found["<2de>"]["examples"] == 1
    assert TASKS["translation"].by_kind(pairs[:1], ["x"], "") == {}


def test_a_task_that_is_not_there():
    with pytest.raises(ConfigError, match="task must be one of translation, .* Received: 'translate'"):
        find_task("translate")


def test_the_guide_says_the_same_in_two_languages_and_speaks_of_all_tasks():
    guides = [(ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("tasks", "tasks_zh")]
    blocks = [re.findall(r"^```(.*?)^```", re.sub(r" +# .*", "", guide), flags=re.MULTILINE | re.DOTALL) for guide in guides]
    assert blocks[0] == blocks[1] and len(blocks[0]) > 4
    words = [*TASKS, *sorted({*CORPORA} - {"reverse"}), "--copy_unknown", "--run_code", "cnn_dailymail", "pipeline("]
    assert [word for guide in guides for word in words if word not in guide] == []


def test_a_fifth_application_is_a_task_and_a_flagfile(monkeypatch, tmp_path):
    """docs/tasks.md's: how many of the letters are the right ones at the right place."""

    def letters(pairs, outputs, language, confidence):
        same = sum(a == b for pair, output in zip(pairs, outputs) for a, b in zip(pair.target, output))
        return {"letters": 100 * same / sum(len(pair.target) for pair in pairs)}

    monkeypatch.setitem(TASKS, "spelling", Task(letters, ("letters",), {"copy": lambda train, pairs: [p.source for p in pairs]}))
    words = [" ".join(word) for word in itertools.product("abc", repeat=4)]
    rows = "".join(f"{word}\t{word.upper()}\n" for word in words)
    (tmp_path / "words.tsv").write_text(f"source\ttarget\n{rows}", encoding="utf-8")
    (tmp_path / "spelling.cfg").write_text(
        f"--task=spelling\n--data_dir={tmp_path}\n--examples_train=words.tsv\n--validation_share=0.2\n--test_share=0.2\n"
        "--tokenizer=character\n--d_model=16\n--num_heads=2\n--num_layers=1\n--ffn_dim=32\n--norm=pre\n--train_steps=200\n"
        "--learning_rate=1e-2\n--warmup_steps=5\n--max_tokens=256\n--eval_every=100\n--checkpoint_every=200\n--beam_size=1\n"
    )
    run("train.py", f"--flagfile={tmp_path}/spelling.cfg", f"--run={tmp_path}/run")
    scores, config = (json.loads((tmp_path / "run" / f"{name}.json").read_text()) for name in ("scores", "config"))
    assert scores["letters"] > 60 and scores["baselines"] == {"copy": {"letters": pytest.approx(300 / 7)}}
    assert config["training"]["keep_best_metric"] == "letters"
