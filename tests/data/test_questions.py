"""Questions with written answers: SQuAD's and bAbI's files as pairs of text, by hand and of the
real data."""

import collections
import gzip
import json

import pytest

from data.config import DataError
from data.pairs import Pair
from data.readers.questions import (
    context_of,
    holds_questions,
    pair_of,
    read_babi,
    read_questions,
    source_of,
)
from data.readers.squad import Question

KIND = "qa9_two-things"
BABI = """\
1 Ann went to the park.
2 Bo took the map.
3 Where is Ann? \tpark\t1
4 Ann went home.
5 What does Bo carry?\tmap,pen\t2 4
1 Bo is thirsty.

2 Where will bo go?\tkitchen\t1
"""


def test_source_and_context():
    source = source_of(" Who won? ", "The Broncos.\n")
    assert (
        source == "question: Who won? context: The Broncos."
        and context_of(source) == "The Broncos."
    )
    assert (
        context_of(source_of("Who?", "In this context: Ann.")) == "In this context: Ann."
        and context_of("Who?") == ""
    )


@pytest.mark.parametrize(
    "name, text, holds",
    [
        ("a.txt", "x", True),
        ("a.txt.gz", "x", True),
        ("a.json", '{"data": []}', True),
        ("a.json.gz", '{"data": []}', True),
        ("a.json", '{"source": "a"}\n', False),
        ("a.jsonl", '{"data": []}', False),
        ("a.tsv", "1 x", False),
        ("a.txt.tsv", "x", False),
    ],
)
def test_which_files_hold_questions(tmp_path, name, text, holds):
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert (
        holds_questions(str(tmp_path / name)) is holds and holds_questions(tmp_path / name) is holds
    )


@pytest.mark.parametrize(
    "answers, target, kind, others",
    [
        (
            ((19, "the Broncos"), (23, "Broncos"), (19, "the Broncos")),
            "the Broncos",
            "answerable",
            ("Broncos",),
        ),
        (((0, " "), (-1, "1977")), "1977", "answerable", ()),
        ((), "unanswerable", "unanswerable", ()),
        (((0, ""), (3, "\n")), "unanswerable", "unanswerable", ()),
        (
            ((5, "b"), (0, "a"), (9, "c"), (0, "a")),
            "b",
            "answerable",
            ("a", "c"),
        ),  # the first is the target, in whatever order
    ],
)
def test_answers_of_a_question(answers, target, kind, others):
    pair = pair_of(Question("1", "Who?", "Text.", answers))
    assert pair == Pair("question: Who? context: Text.", target, kind, others)
    assert pair.references == (target, *others)


def test_babi_by_hand(tmp_path):
    path = tmp_path / f"{KIND}_train.txt.gz"
    with gzip.open(path, "wt") as file:
        file.write(BABI)
    assert read_questions(path) == [
        Pair(
            "question: Where is Ann? context: Ann went to the park. Bo took the map.", "park", KIND
        ),
        Pair(
            "question: What does Bo carry? context: Ann went to the park. Bo took the map. Ann "
            "went home.",
            "map,pen",
            KIND,
        ),
        Pair("question: Where will bo go? context: Bo is thirsty.", "kitchen", KIND),
    ]


@pytest.mark.parametrize(
    "name, kind",
    [
        ("qa1_valid.txt", "qa1"),
        ("qa1_test.txt.gz", "qa1"),
        ("qa1_train.txt", "qa1"),
        ("qa1.txt", "qa1"),
        ("qa1_dev.txt", "qa1_dev"),
        ("a_test_b.txt", "a_test_b"),
    ],
)
def test_the_kind_of_a_story_is_its_file_s_name(tmp_path, name, kind):
    content = b"1 Bo ran.\n2 Who ran?\tBo\t1\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert read_questions(tmp_path / name) == [
        Pair("question: Who ran? context: Bo ran.", "Bo", kind)
    ]


def test_a_long_story_and_one_that_begins_with_its_question(tmp_path):
    facts = [f"{n} Fact {n}." for n in range(1, 121)]
    (tmp_path / "a.txt").write_text(
        "\n".join([*facts, "121 Which?\tall\t1 2", "", "1 Who?\tnobody\t", "2 Bo ran."])
    )
    context = " ".join(f"Fact {n}." for n in range(1, 121))
    assert read_babi(tmp_path / "a.txt") == [
        Pair(f"question: Which? context: {context}", "all", "a"),
        Pair("question: Who? context: ", "nobody", "a"),
    ]


def test_of_a_wrong_line_eighty_characters_are_shown(tmp_path):
    (tmp_path / "a.txt").write_text("1 Bo ran.\n\n" + "x" * 99 + "\n")
    with pytest.raises(DataError, match=rf"a.txt, line 3: '{'x' * 80}'\. If"):
        read_babi(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "text, line",
    [
        ("1 Ann went home.\n2 Bo ran.\n2 Bo ran.\n", "3: '2 Bo"),
        ("1 Ann went home.\n02 Bo ran.\n", "2: '02 Bo"),
        ("0 Ann went home.\n", "1: '0 Ann"),
        ("1 Ann went home.\n2  \thome\t1\n", "2: '2 "),
        ("Ann went home.\n", "1: 'Ann went home.'"),
        ("1 Ann went home.\n3 Where is Ann?\thome\t1\n", r"2: '3 Where is Ann\?"),
        ("2 Ann went home.\n", "1: '2 Ann"),
        ("1 Ann went home.\n2\n", "2: '2'"),
        ("1 Ann went home.\n² Bo\n", "2: '² Bo'"),
        (f"{'9' * 5000} Ann\n", "1: '999"),
    ],
)
def test_other_text_is_not_babi(tmp_path, text, line):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    with pytest.raises(
        DataError,
        match=f"must be in bAbI's format.*Received: .*a.txt, line {line}.*rename it to .tsv",
    ):
        read_babi(tmp_path / "a.txt")


def test_questions_in_the_forms_of_the_real_ones(tmp_path):
    """Made up: SQuAD's form on one line, as XQuAD has it, and indented, in Chinese, as CMRC 2018
    has it."""

    def text(context, question, *answers):
        rows = [{"text": answer, "answer_start": context.find(answer)} for answer in answers]
        return {
            "data": [
                {
                    "paragraphs": [
                        {
                            "context": context,
                            "qas": [{"id": "1", "question": question, "answers": rows}],
                        }
                    ]
                }
            ]
        }

    (tmp_path / "en.json").write_text(
        json.dumps(text(" Ann has 7 cats. ", "How many cats has Ann?", "7"))
    )
    chinese = text("安有七只猫，猫很大。", "安有几只猫？", "七只", "七只", "七只猫")
    (tmp_path / "zh.json").write_text(
        json.dumps(chinese, ensure_ascii=False, indent=2), encoding="utf-8"
    )
    assert read_questions(tmp_path / "en.json") == [
        Pair("question: How many cats has Ann? context: Ann has 7 cats.", "7", "answerable")
    ]
    (pair,) = read_questions(tmp_path / "zh.json")
    assert pair == Pair(
        "question: 安有几只猫？ context: 安有七只猫，猫很大。", "七只", "answerable", ("七只猫",)
    )


def test_the_real_babi(shared):
    for path in sorted((shared / "babi").glob("*.txt")):
        pairs = read_questions(path)
        assert len(pairs) == 1000 and all(
            pair.target and pair.source.isprintable() for pair in pairs
        ), path
        assert {pair.kind for pair in pairs} == {path.stem.rpartition("_")[0]}
    first, second, *_ = read_questions(shared / "babi" / "qa8_lists-sets_test.txt")
    context = "Mary got the milk there. John moved to the bedroom."
    assert first == Pair(
        f"question: What is Mary carrying? context: {context}", "milk", "qa8_lists-sets"
    )
    assert context_of(second.source).startswith(context)


@pytest.mark.parametrize(
    "name, questions, more",
    [
        ("cmrc2018/dev", 3219, {0, 1, 2}),
        ("cmrc2018/trial", 1002, {0}),
        ("xquad/en", 1190, {0}),
        ("xquad/zh", 1190, {0}),
    ],
)
def test_real_questions(shared, name, questions, more):
    pairs = read_questions(shared / f"{name}.json")
    assert len(pairs) == questions and collections.Counter(pair.kind for pair in pairs) == {
        "answerable": questions
    }
    assert {len(pair.others) for pair in pairs} == more
    assert all(len(set(pair.references)) == len(pair.references) for pair in pairs)


def test_the_first_real_questions(shared):
    first = {
        name: read_questions(shared / f"{name}.json")[0] for name in ("xquad/en", "cmrc2018/dev")
    }
    assert first["xquad/en"].source.startswith(
        "question: How many points did the Panthers defense surrender? context: The Panthers "
        "defense gave up just 308 points, "
    )
    assert first["xquad/en"].target == "308"
    assert first["cmrc2018/dev"].source.startswith(
        "question: 《战国无双3》是由哪两个公司合作开发的？ context: "
    )
    assert first["cmrc2018/dev"].references == ("光荣和ω-force",)
