"""The command line around a generator that answers at once: lines, JSON lines, files of
examples, mistakes."""

import json

import pytest

from transformer import __main__ as module
from transformer.__main__ import command_line
from transformer.config import DecodingConfig
from transformer.export import ctranslate2 as export
from transformer.generation import generator as generation


class Loud:
    """Writes the source in capitals, a word a line."""

    def n_best(self, texts, first=0, scored=True):
        return [[(text.upper().replace(" ", "\n"), -0.5)] for text in texts]

    def __call__(self, texts):
        return [outputs[0][0] for outputs in self.n_best(texts)]

    def report_cuts(self, texts):
        return f"cut: {[text for text in texts if len(text) > 99]}"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_generator", lambda *_: Loud())
    (tmp_path / "model.keras").write_bytes(b"")
    data = {"task": "question_answering", "target_language": ""}
    (tmp_path / "config.json").write_text(json.dumps({"model": {}, "decoding": {}, "data": data}))
    return tmp_path


def generate(run, text, *flags):
    (run / "in").write_text(text, encoding="utf-8")
    code = command_line(
        ["", "generate", f"--run={run}", f"--input={run}/in", f"--output={run}/out", *flags]
    )
    return code, (run / "out").read_text(encoding="utf-8") if code == 0 else ""


def test_a_line_for_each_line(run):
    assert generate(run, "a b\n\nc\n") == (0, "A B\n\nC\n")
    assert generate(run, "a b\n", "--scores") == (0, "-0.5000\tA B\n")


def test_what_is_cut_is_said(run, capsys):
    long = "ab" * 50
    generate(run, f"a\n{long}\n")
    generate(run, f'{{"source": "{long}"}}\n', "--jsonl")
    (run / "a.tsv").write_text(f"source\ttarget\na\tb\n{long}\tb\n")
    command_line(["", "evaluate", f"--run={run}", f"--examples={run}/a.tsv"])
    assert capsys.readouterr().err == f"warning: cut: ['{long}']\n" * 3


def test_json_lines_keep_line_breaks_and_other_fields(run):
    code, out = generate(run, '{"source": "a\\nb", "id": 7}\n{"source": "x y"}\n', "--jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (
        code == 0
        and rows[0] == {"source": "a\nb", "id": 7, "prediction": "A\nB"}
        and rows[1]["prediction"] == "X\nY"
    )
    _, out = generate(run, '{"source": "x y"}\n', "--jsonl", "--scores")
    assert json.loads(out)["predictions"] == [{"text": "X\nY", "score": -0.5}]


@pytest.mark.parametrize(
    "line", ["a text", '{"text": "a"}', '{"source": 3}', "[1]", '{"source": "\\ud800"}', "[" * 9999]
)
def test_a_line_that_is_no_such_object(run, capsys, line):
    assert generate(run, f'{{"source": "good"}}\n{line}\n', "--jsonl")[0] == 2
    assert (
        f'a line must be a JSON object with a text "source". Received: line 2: {line[:80]}'
        in capsys.readouterr().err
    )
    assert not (run / "out").exists()


def test_lines_of_every_group_are_counted_from_the_first_of_the_file(run, capsys, monkeypatch):
    """For a message, and for sampling, in which each line draws numbers of its own."""
    asked = []

    class Counting(Loud):
        def n_best(self, texts, first=0, scored=True):
            asked.append((first, len(texts)))
            return super().n_best(texts)

    monkeypatch.setattr(module, "load_generator", lambda *_: Counting())
    monkeypatch.setattr(module, "GROUP", 2)
    assert generate(run, "a\nb\nc\nd\ne\n") == (0, "A\nB\nC\nD\nE\n")
    assert asked == [(0, 2), (2, 2), (4, 1)]
    good = '{"source": "a"}\n'
    assert generate(run, good * 3 + "wrong\n" + good, "--jsonl")[0] == 2
    assert "Received: line 4: wrong." in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, given",
    [
        ([], {}),
        # That it is the default of a flag does not matter: it was given.
        (["--n_best=2", "--beam_size=4"], {"n_best": 2, "beam_size": 4}),
    ],
)
def test_decoding_flags_that_are_not_given_are_the_run_s_own(tmp_path, monkeypatch, flags, given):
    asked = []

    def from_run(run, **options):
        asked.append((run, options))
        return Loud()

    monkeypatch.setattr(generation, "one_core_a_batch", lambda: None)
    monkeypatch.setattr(generation.Generator, "from_run", from_run)
    assert generate(tmp_path, "a\n", *flags) == (0, "A\n") and asked == [(str(tmp_path), given)]


@pytest.mark.parametrize(
    "flags, folder, quantization",
    [
        ([], "ctranslate2-float32", "float32"),
        (["--quantization=int8"], "ctranslate2-int8", "int8"),
        (["--quantization=int8", "--output={run}/mine"], "mine", "int8"),
    ],
)
def test_an_export_has_the_quantization_asked_for_and_is_compared_on_the_test_sources(
    run, capsys, monkeypatch, flags, folder, quantization
):
    asked = []

    def write(generator, folder, quantization="float32", texts=()):
        asked.append((str(folder), quantization, texts))
        return len(texts), 1

    monkeypatch.setattr(export, "export_ctranslate2", write)
    (run / "predictions.jsonl").write_text('{"source": "a b"}\n{"source": "c"}\n')
    flags = [flag.format(run=run) for flag in flags]
    assert command_line(["", "export", f"--run={run}", *flags]) == 0
    assert asked == [(f"{run}/{folder}", quantization, ["a b", "c"])]
    told = f"{run}/{folder}: 1 of 2 test sources have the same greedy output\n"
    assert capsys.readouterr().out == told


def test_a_file_of_questions_is_scored_by_all_its_answers_and_by_kind(run, capsys):
    paragraph = {
        "context": "x",
        "qas": [
            {
                "id": "1",
                "question": "a",
                "answers": [
                    {"text": "no", "answer_start": -1},
                    {"text": "QUESTION: A CONTEXT: X", "answer_start": -1},
                ],
            },
            {"id": "2", "question": "b", "answers": []},
        ],
    }
    (run / "q.json").write_text(
        json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": [paragraph]}]})
    )
    assert command_line(["", "evaluate", f"--run={run}", f"--examples={run}/q.json", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (
        scores["exact_match"] == 50
        and scores["kinds"]["answerable"]["exact_match"] == 100
        and scores["examples"] == 2
    )


def test_columns_have_names(run, capsys):
    (run / "mails.tsv").write_text("mail\tsubject\na b\ta b\nc\td\n")
    columns = ["--source_column=mail", "--target_column=subject"]
    assert (
        command_line(["", "evaluate", f"--run={run}", f"--examples={run}/mails.tsv", *columns]) == 0
    )
    assert "exact_match                     50.00" in capsys.readouterr().out


def test_two_files_of_lines(run, capsys):
    (run / "s").write_text("a b\nc\n")
    (run / "t").write_text("a b\nd\n")
    assert (
        command_line(["", "evaluate", f"--run={run}", f"--source={run}/s", f"--target={run}/t"])
        == 0
    )
    assert "exact_match                     50.00" in capsys.readouterr().out


def test_in_lower_case_are_sources_outputs_and_references(run, capsys, monkeypatch):
    class Asked(Loud):
        def __call__(self, texts):
            assert texts == ["ab", "c"]
            return ["AB", "D"]

    monkeypatch.setattr(module, "load_generator", lambda *_: Asked())
    (run / "s").write_text("Ab\nC\n")
    (run / "t").write_text("aB\nc\n")
    files = [f"--run={run}", f"--source={run}/s", f"--target={run}/t"]
    assert command_line(["", "evaluate", *files, "--lowercase", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exact_match"] == 50


@pytest.mark.parametrize(
    "sources, targets, counts",
    [("a\nb\n", "a\n", (2, 1)), ("a\n", "a\nb\n", (1, 2)), ("", "", (0, 0))],
)
def test_files_of_lines_need_as_many_and_one(run, capsys, sources, targets, counts):
    (run / "s").write_text(sources)
    (run / "t").write_text(targets)
    assert (
        command_line(["", "evaluate", f"--run={run}", f"--source={run}/s", f"--target={run}/t"])
        == 2
    )
    wrong = f"Received: {counts[0]} lines in '{run}/s', {counts[1]} in '{run}/t'."
    assert wrong in capsys.readouterr().err


def test_pairs_are_told_apart_by_prefixes_and_scored_in_the_language_of_their_token(run, capsys):
    data = {"task": "translation", "target_language": "", "prefixes": ["title: ", "<2zh>"]}
    (run / "config.json").write_text(json.dumps({"model": {}, "decoding": {}, "data": data}))
    (run / "a.tsv").write_text("source\ttarget\n<2zh> 茶\t茶\n", encoding="utf-8")
    (run / "b.tsv").write_text("source\ttarget\ntitle: a\tb\n<2zh> 我想喝茶\tb\n", encoding="utf-8")
    found = []
    for name in "ab":
        assert (
            command_line(["", "evaluate", f"--run={run}", f"--examples={run}/{name}.tsv", "--json"])
            == 0
        )
        found.append(json.loads(capsys.readouterr().out))
    assert "tok:zh" in found[0]["bleu_signature"] and "kinds" not in found[0]
    assert {*found[1]["kinds"]} == {"title:", "<2zh>"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            [],
            "texts must come from --source and --target, from --examples or from --problems. "
            "Received: none",
        ),
        (["--source=s", "--examples=e.tsv"], "Received: --source, --examples"),
        (["--examples=nowhere.tsv"], "nowhere.tsv"),
        (
            ["--examples=empty.tsv"],
            "a file of examples must have at least one. Received: empty.tsv",
        ),
        (["--problems=nowhere.jsonl"], "Received: no --run_code"),
        (["--problems=nowhere.jsonl", "--run_code"], "nowhere.jsonl"),
    ],
)
def test_which_files(run, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(run)
    (run / "empty.tsv").write_text("source\ttarget\n")
    assert command_line(["", "evaluate", f"--run={run}", *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_machine_that_cannot_confine_programs(run, capsys, monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert command_line(["", "evaluate", f"--run={run}", "--problems=p.jsonl", "--run_code"]) == 2
    assert "programs are confined by means of Linux. Received: darwin" in capsys.readouterr().err


class Solver:
    """Answers a prompt with its body, a description with the whole function, and every other
    time with nonsense."""

    config = DecodingConfig(temperature=1.0)

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        answers = [
            "    return x + 1\n\nprint("
            if text == PROBLEM["prompt"]
            else "def f(x):\n    return floor(x) + 1"
            for text in texts
        ]
        return [
            answer if place % 2 == 0 else "    return (" for place, answer in enumerate(answers)
        ]


PROBLEM = {
    "task_id": "A/0",
    "prompt": 'from math import floor\n\ndef f(x):\n    """Add one.\n    >>> f(1)\n    2\n    '
    '"""\n',
    "entry_point": "f",
    "canonical_solution": "",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}


@pytest.mark.parametrize(
    ("corpus", "asked"), [("", PROBLEM["prompt"]), ("functions", "f: Add one.")]
)
def test_problems_are_solved_and_run(run, capsys, monkeypatch, corpus, asked):
    solver = Solver()
    monkeypatch.setattr(module, "load_generator", lambda *_: solver)
    data = {"task": "code", "target_language": "", "corpus": corpus}
    (run / "config.json").write_text(json.dumps({"model": {}, "decoding": {}, "data": data}))
    (run / "p.jsonl").write_text(json.dumps(PROBLEM))
    flags = [f"--problems={run}/p.jsonl", "--run_code", "--samples=10", "--json"]
    assert command_line(["", "evaluate", f"--run={run}", *flags]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (
        scores["pass@1"] == 50
        and scores["pass@10"] == 100
        and scores["error"] == 50
        and scores["samples"] == 10
    )
    assert solver.asked == [asked] * 10
    solver.config = DecodingConfig()
    assert command_line(["", "evaluate", f"--run={run}", *flags]) == 2
    assert "Received: --samples=10. Add --temperature=0.8." in capsys.readouterr().err
