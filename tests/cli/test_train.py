"""The programs as a user runs them: train, interrupt, continue, translate, score; and their
errors."""

import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import train
from data.batches import evaluation_batches
from data.config import DataConfig, DataError
from data.prepare import prepare
from tests.pretrained.test_encoders import write_run
from tests.programs import ROOT, run, run_apart
from transformer.cli.flags import write_flagfile
from transformer.config import DecodingConfig, ModelConfig, TokenizerConfig, TrainingConfig
from transformer.evaluation.evaluation import Validation
from transformer.model.transformer import Transformer
from transformer.text.symbols import SYMBOLS
from transformer.text.tokenizer import (
    ByteTokenizer,
    CharacterTokenizer,
    load_tokenizers,
    save_tokenizers,
)

pytestmark = pytest.mark.slow  # it trains, or starts programs


@pytest.fixture(scope="module")
def reversed_run(tmp_path_factory):
    """A run of configs/reverse.cfg, interrupted by SIGTERM on its way and continued by the same
    command."""
    folder = tmp_path_factory.mktemp("runs") / "reverse"
    # What --jit=auto chooses depends on how busy the machine is, and XLA rounds otherwise.
    command = [
        sys.executable,
        "train.py",
        "--flagfile=configs/reverse.cfg",
        "--jit=off",
        f"--run={folder}",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    first = []
    for line in process.stdout:
        first.append(line)
        if line.startswith("step    100"):
            process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    return folder, "".join(first), run(*command[1:]).stdout


def test_the_reverse_task_is_learnt_perfectly(reversed_run):
    folder, _, _ = reversed_run
    assert json.loads((folder / "scores.json").read_text())["exact_match"] == 100.0


def test_an_interrupted_run_says_how_to_continue_and_continues(reversed_run):
    _, first, second = reversed_run
    assert "The same command continues from there." in first
    step = int(first.split("saved at step ")[1].split()[0])
    assert 100 <= step < 150 and f"continuing from step {step}\n" in second


def test_the_output_tells_padding_shapes_traces_and_samples(reversed_run):
    _, _, output = reversed_run
    assert "; padding " in output and "1 traces for 1 shapes" in output
    assert output.count("\n  reference  ") == 10 and "exact_match" in output


def test_the_run_folder_is_complete(reversed_run):
    folder, _, _ = reversed_run
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "flags.cfg",
        "tokenizer",
        "data_report.json",
        "checkpoints",
        "tensorboard",
        "model.keras",
        "predictions.jsonl",
        "scores.json",
        "model_card.md",
    }
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 1000 and all(row["prediction"] == row["source"][::-1] for row in rows)
    assert "exact_match" in (folder / "model_card.md").read_text()


def test_tensorboard_has_the_curves(reversed_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(reversed_run[0] / "tensorboard"))
    events.Reload()
    found = set(events.Tags()["tensors"])
    assert found >= {
        "train/loss",
        "train/learning_rate",
        "train/gradient_norm",
        "train/tokens_per_second",
        "train/padding_share",
        "validation/loss",
        "validation/perplexity",
        "validation/accuracy",
        "validation/bleu",
        "samples",
        "config",
    }


def test_generate_writes_one_line_for_each_line(reversed_run):
    text = "a b c d\n\nq r s t a\r\n" + "\u2028" + "\nzzz unknown ☃\n" + "b a t " * 2000 + "\nf e d"
    output = run_apart(
        "-m", "transformer", "generate", f"--run={reversed_run[0]}", text=text
    ).stdout
    lines = output.split("\n")
    assert len(lines) == 8 and lines[-1] == ""  # seven lines, each ended
    assert [lines[0], lines[1], lines[2], lines[6]] == ["d c b a", "", "a t s r q", "d e f"]


# A few of the kinds that the real list has hundreds of.
NAUGHTY = [
    "",
    "undefined",
    "1/0",
    "-1e1000",
    "Ω≈ç√∫˜µ",
    "👩‍👩‍👧‍👦 🇩🇪",
    "\ufeff",
    "\u202egnirts",
    "T̶̢h̵e",
    "<script>alert(1)</script>",
    "$(touch here)",
    "../../etc/passwd",
    "%s%n",
    "ﷺ",
    "\x07",
    "'; DROP TABLE runs; --",
]


@pytest.mark.parametrize("real", [False, True])
def test_generate_survives_naughty_strings(reversed_run, request, tmp_path, real):
    strings = NAUGHTY
    if real:
        path = request.getfixturevalue("shared") / "naughty_strings" / "blns.json"
        strings = json.loads(path.read_text(encoding="utf-8"))
    lines = [text.replace("\n", " ") for text in strings]
    (tmp_path / "in.txt").write_text(
        "\n".join(lines) + "\n", encoding="utf-8", errors="surrogatepass", newline="\n"
    )
    run(
        "-m",
        "transformer",
        "generate",
        f"--run={reversed_run[0]}",
        f"--input={tmp_path}/in.txt",
        f"--output={tmp_path}/out.txt",
        "--beam_size=2",
        "--max_length=20",
    )
    assert (tmp_path / "out.txt").read_bytes().count(b"\n") == len(lines)


def test_generate_writes_n_best_with_scores(reversed_run, tmp_path):
    (tmp_path / "in.txt").write_text("a b c\n")
    run(
        "-m",
        "transformer",
        "generate",
        f"--run={reversed_run[0]}",
        f"--input={tmp_path}/in.txt",
        f"--output={tmp_path}/out.txt",
        "--beam_size=3",
        "--n_best=3",
        "--scores",
    )
    scores, texts = zip(
        *(line.split("\t") for line in (tmp_path / "out.txt").read_text().splitlines())
    )
    assert texts[0] == "c b a" and len(set(texts)) == 3
    assert [float(score) for score in scores] == sorted(map(float, scores), reverse=True)


def test_evaluate_prints_scores(reversed_run, tmp_path):
    (tmp_path / "s").write_text("a b c d\ne f g h\n")
    (tmp_path / "t").write_text("d c b a\nh g f x\n")
    arguments = [
        "-m",
        "transformer",
        "evaluate",
        f"--run={reversed_run[0]}",
        f"--source={tmp_path}/s",
        f"--target={tmp_path}/t",
    ]
    assert json.loads(run(*arguments, "--json").stdout)["exact_match"] == 50.0
    assert "bleu_signature" in run(*arguments).stdout


def test_another_configuration_in_the_same_folder_is_refused(reversed_run):
    done = run(
        "train.py",
        "--flagfile=configs/reverse.cfg",
        f"--run={reversed_run[0]}",
        "--learning_rate=0.5",
        check=False,
    )
    assert done.returncode == 2 and "learning_rate: 0.003 in the folder, 0.5 now" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_data_under_the_same_names_is_refused(tmp_path):
    """The embeddings belong to the pieces of the old data."""
    command = [
        "train.py",
        f"--run={tmp_path}/run",
        f"--data_dir={tmp_path}",
        "--examples_train=a.tsv",
        "--source_column=1",
        "--target_column=2",
        "--validation_share=0.2",
        "--test_share=0.2",
        "--tokenizer=character",
        "--d_model=8",
        "--num_heads=1",
        "--num_layers=1",
        "--max_tokens=64",
        "--train_steps=2",
        "--beam_size=1",
        "--max_length=5",
    ]
    (tmp_path / "a.tsv").write_text("".join(f"word {n}\tWort {n}\n" for n in range(40)))
    run(*command)
    tokenizer = (tmp_path / "run" / "tokenizer" / "joint.model").read_bytes()
    (tmp_path / "a.tsv").write_text("".join(f"place {n}\tPlatz {n}\n" for n in range(40)))
    done = run(*command, check=False)
    assert (
        done.returncode == 2 and "training data: " in done.stderr and "Traceback" not in done.stderr
    )
    assert (tmp_path / "run" / "tokenizer" / "joint.model").read_bytes() == tokenizer


def test_a_reader_that_wants_no_more_is_no_error(reversed_run):
    generate = f"{sys.executable} -m transformer generate --run={reversed_run[0]} --max_length=4"
    command = f"yes 'a b' | head -2500 | {generate} | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "b a\n" and "Traceback" not in done.stderr


def test_flags_cfg_replays_the_run(reversed_run, tmp_path):
    folder, _, _ = reversed_run
    run(
        "train.py",
        f"--flagfile={folder}/flags.cfg",
        f"--run={tmp_path}/replay",
        "--train_steps=1",
        "--eval_every=1000",
        "--eval_decode=10",
    )
    old, new = (
        json.loads((path / "config.json").read_text()) for path in (folder, tmp_path / "replay")
    )
    assert (
        old["model"] == new["model"]
        and old["data"] == new["data"]
        and old["tokenizer"] == new["tokenizer"]
    )


@pytest.mark.parametrize("shown, judged", [(200, 2000), (5000, 5000), (0, 0)])
def test_the_last_choice_of_weights_is_judged_on_more_than_a_validation_shows(shown, judged):
    def validation(decoding, count):
        assert decoding.beam_size == 3
        raise StopIteration(count)

    configs = None, None, TrainingConfig(eval_decode=shown), DecodingConfig(beam_size=3), None
    with pytest.raises(StopIteration, match=f"^{judged}$"):
        train.finish(None, configs, None, None, None, validation)


SMALL = ModelConfig(d_model=16, num_heads=2, num_layers=1, ffn_dim=16, dropout=0.0)
REVERSE = DataConfig(corpus="reverse", corpus_size=300)


@pytest.mark.parametrize("rate", ["dropout", "attention_dropout", "activation_dropout"])
def test_a_run_that_goes_on_may_have_another_rate_of_dropout(tmp_path, monkeypatch, rate):
    def prepare(*arguments):
        raise DataError("seen")

    monkeypatch.setattr("data.prepare.prepare", prepare)
    write_run(tmp_path / "first", dropout=0.0)
    command = ["train.py", "--corpus=reverse", "--rdrop_alpha=1", f"--run={tmp_path}/run"]
    command += [f"--initial_run={tmp_path}/first"]
    assert "rdrop_alpha needs dropout" in run(*command, check=False).stderr
    assert run(*command, f"--{rate}=0.2", check=False).stderr == "error: seen\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    tokenizer = TokenizerConfig(tokenizer="character")
    return prepare(REVERSE, tokenizer, tmp_path_factory.mktemp("prepared"))


def test_a_validation_is_of_the_validation_set(prepared):
    configs = SMALL, None, TrainingConfig(max_tokens=512), DecodingConfig(), REVERSE
    model = Transformer.from_model_config(train.sized(SMALL, prepared))
    validation = train.validation_of(configs, prepared, model)
    results, rows = validation(DecodingConfig(beam_size=1, max_length=3), 4)()
    split = prepared.splits["validation"]
    expected = [(pair.source, pair.target) for pair in split.pairs(4)]
    assert [(source, target) for source, target, _ in rows] == expected
    assert rows[0][0] not in [pair.source for pair in prepared.splits["test"].pairs()]
    # In batches of another size.
    scores = Validation(model, evaluation_batches(split, 4096)).token_scores()
    assert {name: results[name] for name in scores} == pytest.approx(scores)


def test_a_model_computes_in_the_precision_asked_for(prepared):
    training = TrainingConfig(max_tokens=512, precision="bfloat16", jit="off")
    configs, before = (train.sized(SMALL, prepared), None, training), keras.config.dtype_policy()
    try:
        trainee, _ = train.build((*configs, None, None), prepared)
    finally:
        keras.config.set_dtype_policy(before)
    assert trainee.model.dtype_policy.name == "mixed_bfloat16"


def test_a_run_has_a_tokenizer_for_each_side(tmp_path):
    two = dict(source_tokenizer=ByteTokenizer(), target_tokenizer=CharacterTokenizer("ab"))
    prepared = SimpleNamespace(**two, report={}, fingerprint="")
    configs = SMALL, TokenizerConfig(), TrainingConfig(), DecodingConfig(), REVERSE
    train.write_run(tmp_path, configs, prepared)
    tokenizers = load_tokenizers(tmp_path / "tokenizer")
    assert [tokenizer.kind for tokenizer in tokenizers] == ["byte", "character"]


def test_the_weights_that_are_chosen_are_saved_and_scored(tmp_path, monkeypatch):
    model = Transformer.from_model_config(SMALL)

    def choose(trainee, *arguments):
        weights = trainee.model.get_weights()
        trainee.model.set_weights([np.full_like(array, 0.5) for array in weights])
        return "chosen"

    def score(write, *arguments):
        raise StopIteration(write)

    monkeypatch.setattr("transformer.training.loop.choose_weights", choose)
    monkeypatch.setattr("transformer.evaluation.evaluation.evaluate_generator", score)
    splits = dict.fromkeys(("train", "test"), SimpleNamespace(pairs=lambda: []))
    prepared, trainee = SimpleNamespace(splits=splits), SimpleNamespace(model=model)
    configs = SMALL, None, TrainingConfig(), DecodingConfig(), REVERSE
    validation = lambda decoding, count: SimpleNamespace(write="writer")  # noqa: E731
    with pytest.raises(StopIteration, match="writer"):
        train.finish(tmp_path, configs, prepared, trainee, None, validation)
    saved = Transformer.from_model_config(SMALL)
    saved.load_weights(tmp_path / "model.keras")
    assert all((array == 0.5).all() for array in saved.get_weights())


def test_flags_cfg_replays_a_run_that_copies_values(tmp_path, monkeypatch):
    seen = []

    def prepare(data, tokenizer, _):
        seen.append(tokenizer.user_symbols)
        write_flagfile((tokenizer, data), tmp_path / "flags.cfg", "")
        raise DataError("seen")

    monkeypatch.setattr("data.prepare.prepare", prepare)
    for arguments in (
        ["--task=code", "--corpus=functions", "--copy_unknown", "--user_symbols=<x>"],
        [f"--flagfile={tmp_path}/flags.cfg"],
    ):
        done = run("train.py", *arguments, f"--run={tmp_path}/run", check=False)
        assert (done.returncode, done.stderr) == (2, "error: seen\n")
    assert seen == [("<x>", *SYMBOLS)] * 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["train.py", "--corpus=reverse", "--d_model=100", "--num_heads=8"],
            "num_heads must divide d_model",
        ),
        (
            ["train.py", "--corpus=reverse", "--pointer_generator", "--nojoint_vocabulary"],
            "Received: --nojoint_vocabulary",
        ),
        (
            [
                "train.py",
                "--corpus=reverse",
                "--pointer_generator",
                "--source_tokenizer=a",
                "--target_tokenizer=b",
            ],
            "--target_tokenizer",
        ),
        (["train.py", "--train_step=5"], "Did you mean --train_steps?"),
        (["train.py"], "--corpus"),
        (["train.py", "--source_train=no_such_file", "--target_train=x"], "no_such_file"),
        (["train.py", "--corpus=reverse", "--train_steps=1e3"], "whole number"),
        (["train.py", "--corpus=reverse", "--run=setup.cfg/run"], "must be writable"),
        (
            ["train.py", "--corpus=reverse", "--positions=learned", "--max_positions=9"],
            "max_positions must be at least",
        ),
        (
            ["train.py", "--corpus=reverse", "--rdrop_alpha=5", "--dropout=0"],
            "rdrop_alpha needs dropout. Received: rdrop_alpha=5, all dropout rates 0",
        ),
        (
            [
                "train.py",
                "--corpus=reverse",
                "--corpus_size=50",
                "--tokenizer=byte",
                "--max_tokens=16",
            ],
            "Use --max_tokens=",
        ),
        (
            [
                "train.py",
                "--corpus=phrasebook_en_zh",
                "--corpus_size=90",
                "--task=summarization",
                "--tokenizer=character",
                "--d_model=8",
                "--num_heads=1",
                "--train_steps=9",
            ],
            "Name the language of the summaries",
        ),
        (["-m", "transformer", "generate"], "--run must name a run folder"),
        (["-m", "transformer", "generate", "--run=nowhere"], "which has no model.keras"),
        (["-m", "transformer", "generate", "--run=nowhere", "--input=no_file"], "no_file"),
        (["-m", "transformer", "fly"], "a command is needed"),
        (
            ["-m", "transformer", "evaluate", "--run=nowhere", "--source=no_file", "--target=x"],
            "no_file",
        ),
    ],
)
def test_a_users_mistake_ends_with_code_2_and_one_line(arguments, message, tmp_path):
    if arguments[0] == "train.py" and not any(
        argument.startswith("--run=") for argument in arguments
    ):
        arguments = [*arguments, f"--run={tmp_path}/run"]
    done = run(*arguments, check=False)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_a_pointer_generator_with_a_folder_of_two_vocabularies_is_refused_at_once(tmp_path):
    save_tokenizers(tmp_path / "two", CharacterTokenizer("ab"), CharacterTokenizer("cd"))
    arguments = [
        "--corpus=reverse",
        "--pointer_generator",
        f"--source_tokenizer={tmp_path}/two",
        f"--run={tmp_path}/run",
    ]
    done = run("train.py", *arguments, check=False)
    assert done.returncode == 2 and not done.stdout
    assert "one vocabulary for source and target. Received: --source_tokenizer." in done.stderr


@pytest.mark.parametrize(
    "program", [["train.py", "--d_model=100", "--num_heads=8"], ["-m", "transformer", "generate"]]
)
def test_a_process_too_ends_so(program):
    done = run_apart(*program, check=False)
    assert done.returncode == 2 and "error: " in done.stderr and "Traceback" not in done.stderr


def test_help_is_grouped_and_imports_nothing_heavy():
    code = (
        "import runpy, sys; sys.argv = ['transformer', '--help']\n"
        "try: runpy.run_module('transformer', run_name='__main__')\n"
    )
    code += "except SystemExit: print({'tensorflow', 'keras', 'numpy'} & set(sys.modules))"
    assert run_apart("-c", code).stdout.endswith("set()\n")
    text = run_apart("train.py", "--help").stdout
    assert "training:" in text and "--train_steps=10000" in text
    assert "pad_id" not in text


def test_a_run_goes_on_on_other_data(reversed_run, tmp_path):
    """With the weights and the tokenizer of another, and its recipe: on the same data it begins
    where that one ended."""
    folder, _, _ = reversed_run
    arguments = [
        "--flagfile=configs/reverse.cfg",
        "--corpus_size=3000",
        f"--initial_run={folder}",
        "--train_steps=2",
        "--eval_every=1",
        "--learning_rate=1e-9",
        "--warmup_steps=0",
    ]
    output = run("train.py", *arguments, f"--run={tmp_path / 'more'}").stdout
    assert json.loads((tmp_path / "more" / "scores.json").read_text())["exact_match"] > 95, output
    names = [
        "tokenizer/tokenizer.json",
        *(f"tokenizer/{path.name}" for path in (folder / "tokenizer").glob("*.model")),
    ]
    assert (
        all(
            (folder / name).read_bytes() == (tmp_path / "more" / name).read_bytes()
            for name in names
        )
        and len(names) > 1
    )
    replay = run(
        "train.py", f"--flagfile={tmp_path / 'more' / 'flags.cfg'}", f"--run={tmp_path / 'again'}"
    )
    assert "exact_match" in replay.stdout
    wrong = run("train.py", *arguments, "--d_model=24", f"--run={tmp_path / 'wrong'}", check=False)
    assert (
        wrong.returncode == 2
        and "has its sizes and its tokenizers. Received: --d_model=24" in wrong.stderr
    )
