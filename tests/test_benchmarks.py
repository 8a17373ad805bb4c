"""The benchmarks: their arithmetic, and that contestants take turns, do the same work, and are
checked for it."""

import dataclasses
import importlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from absl.flags import FlagValues

from benchmarks import (
    __main__,
    ablation,
    bert,
    data,
    decode,
    faults,
    from_nothing,
    gpu,
    learn,
    marian,
    memory,
    opennmt,
    peer,
    report,
    rounds,
    scaling,
    scores,
    startup,
    train,
    work,
)
from benchmarks.config import BenchmarkConfig
from benchmarks.workers.ids import epoch_batches, rows, specials_first
from data.config import DataConfig, LabelledDataConfig
from data.prepare import prepare
from data.readers.labelled import fingerprint, load_labelled
from tests.programs import run_apart
from transformer.cli.flags import define, parse, read
from transformer.config import (
    ConfigError,
    DecodingConfig,
    FinetuningConfig,
    ModelConfig,
    TaskConfig,
    TokenizerConfig,
    TrainingConfig,
)
from transformer.generation.generator import Generator
from transformer.model.transformer import Transformer
from transformer.text.tokenizer import ByteTokenizer, save_tokenizers
from transformer.training.checkpoints import (
    checkpoint_path,
    named_variables,
    save_checkpoint,
    save_model,
)
from transformer.training.optimizers import make_optimizer

pytestmark = pytest.mark.slow  # it trains, or starts programs


def test_the_stated_number_of_parameters_is_the_models():
    size = dict(work.SIZES["tiny"])
    sizes = {name: value for name, value in size.items() if name not in ("rows", "length")}
    assert Transformer.from_model_config(ModelConfig(**sizes)).count_params() == work.parameters(
        size
    )


def test_flops_are_three_times_those_of_the_matrix_products():
    """One layer, one row of one token, counted product by product: 2 m k n."""
    size = dict(d_model=4, num_heads=1, num_layers=1, ffn_dim=6, vocab_size=10, rows=1, length=1)
    square, inner = 2 * 4 * 4, 2 * 4 * 6
    encoder = 4 * square + 2 * inner + 2 * 2 * 4  # projections, feed-forward, scores and values
    decoder = 8 * square + 2 * inner + 2 * 2 * 2 * 4
    assert work.training_flops(size) == 3 * (encoder + decoder + 2 * 4 * 10)


def test_contestants_take_turns_and_ratios_are_of_the_same_round(monkeypatch):
    turns = []

    class Fake(rounds.Contestant):
        def __init__(self, name, seconds):
            self.name, self.each, self.facts, self.answers = (
                name,
                iter(seconds),
                {"parameters": 3},
                [],
            )

        def round(self, count):
            turns.append(self.name)
            self.answers.append({"seconds": next(self.each), "loss": 1.0})

        def close(self):
            turns.append(f"{self.name} closed")

    slow = Fake(
        "slow", [9, 2, 2.0, 4.0, 2.0]
    )  # the first is to warm up, the second to see how long one takes
    fast = Fake("fast", [9, 1, 1.0, 2.0, 0.5])
    first, second = rounds.compete([slow, fast], rounds=3, warm_up=2)
    assert turns[4:10] == ["slow", "fast", "fast", "slow", "slow", "fast"] and turns[10:] == [
        "slow closed",
        "fast closed",
    ]
    assert (first["seconds"], first["ratio"], second["seconds"], second["ratio"]) == (
        2.0,
        1.0,
        1.0,
        2.0,
    )


def test_ours_runs_as_a_contestant():
    task = dict(
        size="tiny", precision="float32", jit="off", shape=dict(rows=2, length=5, vocab_size=50)
    )
    (row,) = rounds.compete(
        [rounds.Contestant("ours", "train_ours", task)], rounds=2, warm_up=1, seconds_a_round=0.1
    )
    assert (
        row["parameters"] == work.parameters({**work.SIZES["tiny"], "vocab_size": 50})
        and row["tokens"] == 10
    )
    assert row["loss"] > 0 and row["seconds"] > 0 and row["peak_memory_gib"] > 0.1


TINY = dict(d_model=16, num_heads=2, num_layers=1, ffn_dim=32, vocab_size=50, rows=4, length=8)


@pytest.mark.parametrize("name", train.PEERS)
def test_a_peer_learns_the_same_batch_with_as_many_weights_and_as_little_dropout(name, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(work.SIZES, "tiny", TINY)
    worker, task = train.PEERS[name]
    module = importlib.import_module(f"benchmarks.workers.{worker}")
    model, _ = {"modules": module.modules, "marian": module.marian}[task.get("model", "modules")](
        TINY
    )
    found = {
        name: rate
        for name, part in model.named_modules()
        for rate in [getattr(part, "p", getattr(part, "dropout", None))]
        if isinstance(rate, float) and rate
    }
    if worker == "train_torch" and task.get("model") != "marian":
        # The embeddings' own, and one for each block: two an encoder layer, three a decoder layer.
        assert len(found) == 1 + 2 + 3 and set(found.values()) == {work.DROPOUT}
    torch.manual_seed(0)
    facts, one_round = module.build({"size": "tiny", **task})
    first = one_round(1)["loss"]
    assert (facts["parameters"], facts["tokens"]) == (work.parameters(TINY), 32) and one_round(60)[
        "loss"
    ] < first


def test_ours_learns_the_same_batch(monkeypatch):
    monkeypatch.setitem(work.SIZES, "tiny", TINY)
    _, one_round = importlib.import_module("benchmarks.workers.train_ours").build(
        {"size": "tiny", "precision": "float32", "jit": "off"}
    )
    first = one_round(1)["loss"]
    assert one_round(60)["loss"] < first


def test_the_step_for_accelerators_runs_and_there_is_none_here():
    assert gpu.step_seconds(TINY, steps=2) > 0
    if not gpu.device_name("tensorflow"):
        with pytest.raises(ConfigError, match="gpu needs an accelerator"):
            gpu.run(BenchmarkConfig())


def test_memory_measures_one_after_the_other(monkeypatch):
    monkeypatch.setitem(work.SIZES, "tiny", TINY)
    monkeypatch.setattr(memory, "TOKENS", (64,))
    monkeypatch.setattr(train, "OURS", {"ours": dict(precision="float32", jit="off")})
    monkeypatch.setattr(memory, "check_equal", lambda size, rows: [row["tokens"] for row in rows])
    (row,) = memory.run(BenchmarkConfig(sizes=("tiny",), rounds=1))
    assert row["tokens"] == 64 and row["peak_memory_gib"] > 0.1 and row["name"] == "ours"


def test_help_is_fast_to_import():
    """What `--help` waits for: no TensorFlow, no Keras."""
    for program in (
        ["-m", "transformer", "--help"],
        ["train.py", "--help"],
        ["finetune.py", "--help"],
    ):
        command = [sys.executable, "-X", "importtime", *program]
        done = subprocess.run(command, cwd=rounds.ROOT, capture_output=True, text=True, check=True)
        modules = {
            line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
        }
        assert not modules & {"keras", "tensorflow", "numpy", "sklearn", "matplotlib"}, program


def test_what_is_missing_is_said():
    with pytest.raises(
        ConfigError, match="decode needs --run, a place that there is. Received: ''"
    ):
        decode.run(BenchmarkConfig())
    for name, benchmark in (("data", data), ("learn", learn), ("ablation", ablation)):
        for folder in ("", "nowhere"):
            with pytest.raises(
                ConfigError,
                match=f"{name} needs --data_dir, a place that there is. Received: '{folder}'",
            ):
                benchmark.run(BenchmarkConfig(data_dir=folder))
    with pytest.raises(ConfigError, match="startup needs --run"):
        startup.run(BenchmarkConfig(run="nowhere"))
    with pytest.raises(ConfigError, match="--peers_python must be a Python interpreter"):
        rounds.Contestant("peer", "train_torch", {}, "/no/such/python")


def test_the_hash_of_a_run_tells_every_bit_of_it_and_not_the_time(tmp_path):
    """And a point of a curve that is there twice, or not at all."""
    from transformer.training import checkpoints

    def made(name, value=1.0, step=5, seconds=2.0, steps=(1, 2), text="a"):
        path, variable = (
            checkpoints.checkpoint_path(tmp_path / name, step),
            types.SimpleNamespace(numpy=lambda: np.float32([value])),
        )
        checkpoints.save_checkpoint(path, {"w": variable}, {"step": step, "seconds": seconds})
        (tmp_path / name / "scores.json").write_text(
            json.dumps({"bleu": 3.0, "minutes": seconds, "examples_per_second": seconds})
        )
        (tmp_path / name / "predictions.jsonl").write_text(text)
        with tf.summary.create_file_writer(str(tmp_path / name / "tensorboard")).as_default():
            for number in steps:
                tf.summary.scalar("loss", 1.0, number)
                tf.summary.scalar("tokens_per_second", seconds, number)
        return faults.fingerprint(tmp_path / name)

    first = made("first")
    assert made("same", seconds=3.0) == first
    others = [
        dict(value=np.nextafter(np.float32(1), np.float32(2))),
        dict(step=6),
        dict(steps=(1,)),
        dict(steps=(1, 2, 2)),
        dict(text="b"),
    ]
    assert (
        len({first, *(made(f"other-{number}", **other) for number, other in enumerate(others))})
        == 6
    )


def test_unequal_work_is_refused():
    size = work.SIZES["tiny"]
    good = {
        "name": "a",
        "parameters": work.parameters(size),
        "tokens": size["rows"] * size["length"],
        "loss": 7.0,
    }
    train.check_equal(size, [good])
    for wrong, message in ((dict(parameters=5), "parameters"), (dict(tokens=5), "tokens")):
        with pytest.raises(ConfigError, match=message):
            train.check_equal(size, [good, {**good, **wrong}])
    train.check_learning(size, [good])
    with pytest.raises(ConfigError, match="must fall"):
        train.check_learning(size, [good, {**good, "loss": 9.3}])


def test_a_peer_that_is_not_known_or_not_installed_is_named(capfd):
    with pytest.raises(ConfigError, match="peers must be among torch, torch_bfloat16"):
        train.run(BenchmarkConfig(peers=("pytorch",)))
    with pytest.raises(ConfigError, match=r"(?s)no_such_module.*pip install"):
        rounds.Contestant("peer", "no_such_module", {})
    assert __main__.command_line(["benchmarks", "trian"]) == 2
    assert "a command is needed: train, decode" in capfd.readouterr().err
    assert __main__.command_line(["benchmarks", "train", "--sizes=huge"]) == 2
    assert "sizes must be among tiny, small" in capfd.readouterr().err


def test_the_table_and_the_file(monkeypatch, tmp_path, capsys):
    rows = [
        {"name": "a", "seconds": 0.12345, "ratio": 1.0, "losses": [1]},
        {"name": "b", "seconds": 1234.5, "tokens": 2048},
    ]
    monkeypatch.setattr(
        __main__.importlib,
        "import_module",
        lambda name: types.SimpleNamespace(run=lambda config: rows),
    )
    assert (
        __main__.command_line(["benchmarks", "memory", "--rounds=3", f"--json={tmp_path}/out.json"])
        == 0
    )
    assert (
        "| name | seconds | ratio | tokens |\n|---|---|---|---|\n| a | 0.123 | 1.000 |  |\n| b | "
        "1,234 |  | 2,048 |" in capsys.readouterr().out
    )
    found = json.loads((tmp_path / "out.json").read_text())
    assert (
        found["rows"][1]["tokens"] == 2048
        and found["machine"]["cores"] >= 1
        and found["options"] == {"rounds": 3}
    )
    rows.append({"as_committed": "NO"})
    assert __main__.command_line(["benchmarks", "scores"]) == 1


def test_the_docs_have_the_tables_of_the_kept_results():
    speed = (rounds.ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    assert report.speed_tables() in speed
    results = (rounds.ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert report.results_table() in results and report.ablation_table() in results
    assert all(report.race_table(name) in results for name in report.RACES)
    for path in scores.KEPT.glob("*.json"):  # each with its curves
        assert (
            f"results/{path.stem}.png" in results
            and (rounds.ROOT / "docs" / "results" / f"{path.stem}.png").exists()
        )


def test_the_commands_that_are_told_have_options_that_there_are():
    paths = [
        rounds.ROOT / "README.md",
        *(rounds.ROOT / "docs").glob("*.md"),
        *(rounds.ROOT / "configs").glob("*.cfg"),
    ]
    text = " ".join(re.sub(r"\s+(# )?", " ", path.read_text(encoding="utf-8")) for path in paths)
    told = re.findall(r"python -m benchmarks (\w+)((?: --[^\s`):]+)*)", text)
    assert {"scores", "decode", "marian", "ablation"} <= {command for command, _ in told}
    for command, options in told:
        values = FlagValues()
        define(BenchmarkConfig, flag_values=values)
        parse(["benchmarks", *options.split()], values)
        assert command in __main__.COMMANDS and read(BenchmarkConfig, values)


def test_scaling_is_reckoned_within_a_round(monkeypatch):
    speeds = iter([100.0, 150.0, 160.0, 50.0, 100.0, 90.0, 100.0, 140.0, 200.0])
    monkeypatch.setattr(scaling.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(scaling, "_speed", lambda command, cores, folder: next(speeds))
    one, mirrored, workers = scaling.run(BenchmarkConfig(rounds=3))
    assert one["tokens_per_second"] == 100 and "efficiency" not in one
    assert (mirrored["ratio"], mirrored["efficiency"]) == (1.5, "75%") and workers[
        "efficiency"
    ] == "90%"
    monkeypatch.setattr(scaling.os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(ConfigError, match="two cores"):
        scaling.run(BenchmarkConfig())


def test_a_recipe_run_again_is_compared_with_what_is_committed(monkeypatch, tmp_path):
    found = {1: 40.0, 2: 41.0, 3: 42.0}

    def train(command):
        seed, run = (
            next(part.partition("=")[2] for part in command if part.startswith(f"--{name}="))
            for name in ("seed", "run")
        )
        assert (
            command[0] == "train.py"
            and "--data_dir=here" in command
            and "--precision=bfloat16" in command
        )
        pathlib.Path(run).mkdir(parents=True, exist_ok=True)
        facts = dict.fromkeys(scores.FACTS, 1.0)
        (pathlib.Path(run) / "config.json").write_text(
            '{"training": {"precision": "bfloat16", "keep_best_metric": "bleu"}}'
        )
        (pathlib.Path(run) / "scores.json").write_text(
            json.dumps({"bleu": found[int(seed)], "ter": 5.0, **facts})
        )

    for name, value in (("train", train), ("_draw", lambda *_: None), ("KEPT", tmp_path)):
        monkeypatch.setattr(scores, name, value)
    monkeypatch.chdir(tmp_path)
    config = BenchmarkConfig(recipe="multi30k_en_de", data_dir="here", precision="bfloat16")
    (row,) = scores.run(config)
    assert (row["mean"], row["deviation"], row["as_committed"]) == (41.0, 1.0, "none is") and row[
        "minutes"
    ] == 1.0
    shutil.move(
        tmp_path / "runs/scores/multi30k_en_de/scores.json", tmp_path / "multi30k_en_de.json"
    )
    shutil.rmtree(tmp_path / "runs")
    found |= {1: 44.0, 2: 45.0, 3: 46.0}
    (row,) = scores.run(config)
    # Student's t for four degrees of freedom is 2.776, for two 4.303.
    assert (
        row["tolerance"] == pytest.approx(2.776 * (2 / 3) ** 0.5, abs=0.001)
        and row["as_committed"] == "NO"
    )
    one = scores.compared({"mean": 44.4, "std": None}, 1, {"mean": 41.0, "std": 1.0}, 3)
    assert one["as_committed"] == "yes" and one["tolerance"] == pytest.approx(
        4.303 * (4 / 3) ** 0.5, abs=0.001
    )
    assert scores.compared(None, 3, {"mean": 41.0, "std": 1.0}, 3)["as_committed"] == "NO"
    alone = {"mean": 50.0, "std": None}
    assert scores.compared(alone, 1, alone, 1)["as_committed"] == "one seed cannot tell"
    kept = {
        "bleu": alone,
        "bleu_interval": {"mean": 1.5},
        "exact_match": alone,
        "chrf": alone,
        "examples": {"mean": 100.0},
    }
    assert [scores._interval(name, kept) for name in ("bleu", "exact_match", "chrf")] == [
        1.5,
        pytest.approx(9.8),
        None,
    ]
    for mean, said in ((51.4, "yes"), (48.4, "NO")):
        assert (
            scores.compared({"mean": mean, "std": None}, 1, alone, 1, 1.5)["as_committed"] == said
        )
    settings = (
        '{"training": {"precision": "bfloat16", "keep_best_metric": "bleu", "train_steps": 0}}'
    )
    monkeypatch.setattr(
        scores,
        "train",
        lambda command: pathlib.Path(command[-1][6:], "config.json").write_text(settings),
    )
    with pytest.raises(
        ConfigError,
        match="runs must be of the recipe as it is, which is shorter now. Received: "
        "runs/scores/multi30k_en_de",
    ):
        scores.run(config)
    monkeypatch.setattr(scores, "train", train)
    (tmp_path / "multi30k_en_de.json").write_text(
        (tmp_path / "multi30k_en_de.json").read_text().replace("bfloat16", "float32")
    )
    with pytest.raises(
        ConfigError, match="the committed figures are of --precision=float32. Received: bfloat16"
    ):
        scores.run(config)
    monkeypatch.setattr(report, "KEPT", tmp_path)
    assert (
        "| multi30k_en_de | 3 | bleu 41.00 ± 1.00 | 0.00 M | 1 | 1 | 1 | 1.0 GiB |"
        in report.results_table()
    )


def test_what_differs_from_the_recipe_in_one_thing_is_compared_with_it(monkeypatch, tmp_path):
    references = [f"ein hund {n} rennt über die straße ." for n in range(60)]
    seen = {}

    def train(command):
        run = pathlib.Path(command[-1].removeprefix("--run="))
        seen[run.name] = command[1:-1]
        run.mkdir(parents=True)
        text = [
            line if n % 3 or run.name == "the_recipe" else "nein"
            for n, line in enumerate(references)
        ]
        rows = [
            {"source": "x", "reference": line, "prediction": written}
            for line, written in zip(references, text)
        ]
        (run / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (run / "scores.json").write_text(
            '{"parameters": 5, "minutes": 2.0, "weights": "average of 10 checkpoints"}'
        )

    monkeypatch.setattr(ablation, "train", train)
    read = references[:50] + ["nein"] * 10
    decoded = {"read": read, "greedy": read, "beam": references}
    monkeypatch.setattr(
        ablation,
        "_decoded",
        lambda run, sources, count: decoded if (run.name, count) == ("the_recipe", 10) else {},
    )
    monkeypatch.chdir(tmp_path)
    rows = ablation.run(BenchmarkConfig(data_dir=".", steps=700, precision="bfloat16"))
    assert [row["name"] for row in rows] == [*ablation.TRAININGS, "float32", *decoded]
    first, worse, (read, same, better) = rows[0], rows[1], rows[-3:]
    assert (
        read["bleu"] < 90.0
        and read["p"] is None
        and better["difference"] == pytest.approx(100.0 - read["bleu"])
    )
    assert first["bleu"] == pytest.approx(100.0) and (
        first["difference"],
        first["p"],
        first["minutes"],
    ) == (0.0, None, 2.0)
    assert (
        worse["difference"] == pytest.approx(worse["bleu"] - 100.0)
        and worse["bleu"] < 90.0
        and worse["p"] < 0.01
    )
    assert same["difference"] == 0.0 and same["p"] is None and "minutes" not in same
    common = seen["the_recipe"]
    assert common[1].startswith("--source_test=val.") and common[-1] == "--precision=bfloat16"
    flags = (ablation.RECIPE.parent / "multi30k_en_de.cfg").read_text()
    recipe = {
        name: int(count) for name, count in re.findall(r"^--(\w+)=(\d+)$", flags, re.MULTILINE)
    }
    share = 700 / recipe["train_steps"]
    names = ("train_steps", "warmup_steps", "eval_every", "checkpoint_every")
    assert {f"--{name}={int(share * recipe[name])}" for name in names} <= {
        *common
    } and share * recipe["checkpoint_every"] > 10
    assert seen["pre-norm"] == [*common, "--norm=pre"] and seen["float32"] == [
        *common,
        "--precision=float32",
    ]


def test_a_run_is_decoded_otherwise_and_with_other_weights(tmp_path):
    import keras

    sizes, tokenizer, models = (
        dict(d_model=16, num_heads=2, num_layers=1, vocab_size=260),
        ByteTokenizer(),
        [],
    )
    for seed in (1, 2, 3):
        keras.utils.set_random_seed(seed)
        models.append(Transformer.from_model_config(ModelConfig(**sizes)))
    models[2].set_weights(
        [(one + other) / 2 for one, other in zip(*(model.get_weights() for model in models[:2]))]
    )
    save_model(models[0], tmp_path)
    save_tokenizers(tmp_path / "tokenizer", tokenizer, tokenizer)
    decoding = {"beam_size": 5, "max_length": 6}
    data = {"max_source_length": 9, "lowercase": False}
    config = {"model": dataclasses.asdict(models[0].config), "data": data, "decoding": decoding}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for step, model in enumerate(models[:2], 1):
        save_checkpoint(checkpoint_path(tmp_path, step), named_variables(model), {"step": step})
    found = ablation._decoded(tmp_path, ["ab", "c"], count=10)
    written = [
        Generator(model, tokenizer, tokenizer, DecodingConfig(**decoding))(["ab", "c"])
        for model in models
    ]
    assert found.keys() == {*ablation.DECODINGS, "last checkpoint", "average of 2 checkpoints"}
    assert written == [
        found[name] for name in ("the recipe, read", "last checkpoint", "average of 2 checkpoints")
    ]
    assert written[0] != written[1] != written[2] != written[0]
    assert found["greedy"] == Generator(
        models[0], tokenizer, tokenizer, DecodingConfig(beam_size=1, max_length=6)
    )(["ab", "c"])


def test_a_recipe_that_is_not_there_or_fails_is_named(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert __main__.command_line(["benchmarks", "scores", "--recipe=multi30k"]) == 2
    assert "--recipe must be one of aeslc, babi" in capfd.readouterr().err
    assert (
        __main__.command_line(
            ["benchmarks", "scores", "--recipe=multi30k_en_de", "--data_dir=nowhere"]
        )
        == 2
    )
    assert (
        "a recipe must run to its end. Received: exit code 2 of train.py --flagfile="
        in capfd.readouterr().err
    )
    assert (
        __main__.command_line(["benchmarks", "scores", "--recipe=stsb_en", "--data_dir=nowhere"])
        == 2
    )
    assert "a recipe of finetune.py needs --pretrained. Received: none." in capfd.readouterr().err


def test_peers_are_given_what_a_run_learnt_from_and_scored_as_it_was(tmp_path, monkeypatch):
    data, tokenizer = (
        DataConfig(corpus="reverse", corpus_size=200),
        TokenizerConfig(tokenizer="unigram", vocab_size=300),
    )
    training = TrainingConfig(train_steps=40, warmup_steps=10, max_tokens=256)
    made = prepare(data, tokenizer, tmp_path / ".prepared")
    model = ModelConfig(
        d_model=16, num_heads=2, num_layers=1, vocab_size=made.target_tokenizer.vocab_size
    )
    sections = {
        "model": model,
        "tokenizer": tokenizer,
        "training": training,
        "decoding": DecodingConfig(length_penalty=1.0),
        "data": data,
    }
    saved = {name: dataclasses.asdict(section) for name, section in sections.items()} | {
        "prepared": {"training data": made.fingerprint}
    }
    run, given = tmp_path / "run", {}
    run.mkdir()
    (run / "model.keras").touch()
    (run / "scores.json").write_text(
        json.dumps(
            {
                "parameters": 7,
                "steps": 33,
                "minutes": 1.0,
                "bleu": 5.0,
                "bleu_interval": 1.0,
                "chrf": 9.0,
                "exact_match": 2.0,
            }
        )
    )
    test, eos = made.splits["test"].pairs(), made.target_tokenizer.eos_id

    def learn(worker, place, python):
        given.update(
            np.load(place / "data.npz"),
            task=json.loads((place / "task.json").read_text()),
            worker=worker,
            python=python,
        )
        outputs = made.target_tokenizer.encode([pair.target for pair in test])
        return {"outputs": outputs, "parameters": 8, "seconds": 120.0, "version": "5"}

    def race(precision="", race_with=marian, **changed):
        (run / "config.json").write_text(json.dumps(saved | changed))
        return race_with.run(
            BenchmarkConfig(run=str(run), peers_python="theirs", precision=precision)
        )

    monkeypatch.setattr(from_nothing, "outputs_of", learn)
    ours, theirs = race()
    assert (ours["name"], ours["bleu"], ours["minutes"]) == ("ours", 5.0, 1.0)
    assert (
        theirs["name"],
        theirs["parameters"],
        theirs["steps"],
        theirs["minutes"],
        theirs["exact_match"],
    ) == ("marian", 8, 33, 2.0, 100.0)
    assert (given["worker"], given["python"]) == ("learn_marian", "theirs")
    for side in ("source", "target"):
        np.testing.assert_array_equal(
            given[f"{side}_ids"], getattr(made.splits["train"], f"{side}_ids")
        )
    ends = given["test_offsets"]
    assert len(ends) == len(test) + 1 and (given["test_ids"][ends[1:] - 1] == eos).all()
    assert made.source_tokenizer.decode([given["test_ids"][: ends[1] - 1].tolist()]) == [
        test[0].source
    ]
    optimizer = make_optimizer(training, model.d_model)
    optimizer.build([])
    for step in (0, 5, 32):
        optimizer.iterations.assign(step)
        assert given["learning_rates"][step] == pytest.approx(
            float(optimizer.learning_rate), rel=1e-5
        )
    assert len(given["learning_rates"]) == given["task"]["steps"] == 33
    assert (given["task"]["label_smoothing"], given["task"]["ffn_dim"]) == (
        training.label_smoothing,
        64,
    )
    length, power = (
        np.diff(given["target_offsets"]).mean(),
        given["task"]["length_penalty"],
    )  # of as long, both gain as much by a token more
    gains = ((6 + length) / (5 + length)) ** 1.0, ((1 + length) / length) ** power
    assert power < 1 and gains[0] == pytest.approx(gains[1], rel=0.01)
    for section, option, value in (
        ("model", "gated", True),
        ("model", "norm", "pre"),
        ("training", "optimizer", "adamw"),
        ("decoding", "min_length", 3),
    ):
        with pytest.raises(
            ConfigError,
            match=f"marian is raced with a run of train.py of {option} .*Received: {value!r}",
        ):
            race(**{section: saved[section] | {option: value}})
    del saved["model"]["gated"]  # of before there was the option
    assert [row["precision"] for row in race()] == ["float32", "float32"] and given["task"][
        "precision"
    ] == "float32"
    assert [row["precision"] for row in race("bfloat16")] == ["float32", "bfloat16"] and given[
        "task"
    ]["precision"] == "bfloat16"
    with pytest.raises(
        ConfigError, match="precision must be one of '', 'float32', 'bfloat16'. Received: 'float16'"
    ):
        race("float16")
    (run / "marian" / "state.safetensors").touch()
    race("bfloat16")
    with pytest.raises(
        ConfigError,
        match="a training continues with the options that it began with. Received: .*marian of "
        "others",
    ):
        race()
    with pytest.raises(
        ConfigError,
        match="marian must learn from what the run learnt from. Received: .*run, whose data has "
        "changed",
    ):
        race(prepared={"training data": "another"})
    _, theirs = race(
        race_with=opennmt, model=saved["model"] | {"norm": "pre", "positions": "rotary"}
    )
    assert (theirs["name"], given["worker"], given["task"]["norm"], given["task"]["positions"]) == (
        "opennmt",
        "learn_opennmt",
        "pre",
        "rotary",
    )
    assert given["task"]["length_penalty"] == 1.0
    (run / "opennmt" / "checkpoints").mkdir()
    with pytest.raises(
        ConfigError,
        match="a training continues with the options that it began with. Received: .*opennmt of "
        "others",
    ):
        race("bfloat16", race_with=opennmt)
    (run / "scores.json").unlink()
    with pytest.raises(ConfigError, match="a race is with a run that has its scores"):
        race()


def test_ids_of_a_vocabulary_that_begins_with_its_special_tokens():
    ours, theirs = specials_first({"pad": 0, "bos": 5, "eos": 3, "vocab_size": 7})
    assert ours.tolist() == [0, 5, 3, 1, 2, 4, 6] and ours[theirs].tolist() == [*range(7)]


def test_a_place_for_figures_that_is_not_there_is_named_before_the_work(tmp_path, capfd):
    assert (
        __main__.command_line(
            ["benchmarks", "scores", "--recipe=reverse", f"--json={tmp_path}/none/a.json"]
        )
        == 2
    )
    assert "--json must name a file in a folder that there is. Received: " in capfd.readouterr().err


def test_a_peer_that_does_not_run_to_its_end_is_named(tmp_path, capfd):
    with pytest.raises(
        ConfigError, match="--peers_python must be a Python interpreter. Received: /no/such/python"
    ):
        peer.outputs_of("learn_marian", tmp_path, "/no/such/python")
    with pytest.raises(ConfigError, match="the peer must run to its end. Received: exit code 1"):
        peer.outputs_of("no_such_worker", tmp_path, "")
    assert "no_such_worker" in capfd.readouterr().err


def test_marian_learns_in_its_own_batches_and_goes_on_where_it_stopped(tmp_path):
    learn_marian = pytest.importorskip("benchmarks.workers.learn_marian")
    generator = np.random.default_rng(1)
    offsets = np.concatenate([[0], np.cumsum(generator.integers(2, 9, 30))])
    ids = generator.integers(4, 20, offsets[-1])
    ids[offsets[1:] - 1] = 3
    lengths = np.diff(offsets)[:, None].repeat(2, axis=1)
    batches = epoch_batches(lengths, 4, 1)
    assert sorted(np.concatenate(batches)) == [*range(30)] and max(map(len, batches)) <= 2.5 * min(
        map(len, batches)
    )
    data = {
        f"{side}_{part}": array
        for side in ("source", "target", "test")
        for part, array in (("ids", ids), ("offsets", offsets))
    }
    data["learning_rates"] = np.full(12, 3e-3)
    task = dict(
        pad=0,
        bos=2,
        eos=3,
        vocab_size=20,
        d_model=16,
        num_heads=2,
        num_layers=1,
        ffn_dim=32,
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        activation="relu",
        steps=12,
        steps_per_epoch=4,
        seed=1,
        betas=[0.9, 0.98],
        epsilon=1e-9,
        clip_norm=1.0,
        label_smoothing=0.1,
        precision="float32",
        checkpoint_every=3,
        average=2,
        beam_size=2,
        length_penalty=1.0,
    )
    weights = []
    for name, parts in (("whole", [12]), ("parts", [9, 12])):
        (tmp_path / name).mkdir()
        for steps in parts:
            learn_marian.torch.manual_seed(1)
            model = learn_marian.make_model(task)
            learn_marian.train(model.train(), task | {"steps": steps}, data, tmp_path / name)
        weights.append(model.model.shared.weight.detach().numpy())
    np.testing.assert_allclose(*weights, atol=1e-6)
    # A few pairs, learnt by heart: the target is the source.
    few = {
        name: array[: offsets[8]] if name.endswith("ids") else array[:9]
        for name, array in data.items()
    } | {"learning_rates": np.full(300, 3e-3)}
    learnt = learn_marian.make_model(task | {"dropout": 0.0})
    learn_marian.train(
        learnt.train(),
        task | {"steps": 300, "steps_per_epoch": 1, "checkpoint_every": 300},
        few,
        tmp_path,
    )
    outputs = learn_marian.translate(learnt.eval(), task, few)
    assert [[token for token in row if token not in (0, 2, 3)] for row in outputs] == [
        row[:-1].tolist() for row in rows(few["test_ids"], few["test_offsets"])
    ]


def test_bert_learns_texts_of_like_length_together(tmp_path):
    learn_bert = pytest.importorskip("benchmarks.workers.learn_bert")
    from transformers import BertConfig, BertForSequenceClassification

    class Words:
        pad_token_id = 0

        def __call__(self, texts, truncation, max_length):
            return {
                "input_ids": [[int(word) for word in text.split()][:max_length] for text in texts]
            }

    generator = np.random.default_rng(1)
    split = {
        "texts": [
            " ".join(map(str, generator.integers(3, 20, length)))
            for length in generator.integers(2, 9, 200)
        ]
    }
    split["labels"] = [int(text.split()[0]) % 2 for text in split["texts"]]
    texts = learn_bert.Texts(Words(), split, 6)
    batches = texts.epoch(8)
    assert (
        sorted(number for batch in batches for number in batch) == [*range(200)]
        and len(batches) == 25
    )
    assert max(len(texts.ids[batch[-1]]) - len(texts.ids[batch[0]]) for batch in batches) <= 1
    found = texts.batch([0, 1])
    assert (
        found["attention_mask"].sum() == sum(len(texts.ids[number]) for number in (0, 1))
        and found["labels"].tolist() == split["labels"][:2]
    )
    learn_bert.torch.manual_seed(1)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=20,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=8,
        )
    )
    task = dict(
        weight_decay=0.01,
        learning_rate=3e-3,
        betas=[0.9, 0.999],
        epsilon=1e-8,
        epochs=8,
        batch_size=8,
        warmup_share=0.1,
        clip_norm=1.0,
        precision="float32",
    )
    learn_bert.train(model.train(), texts, task)
    logits = model.eval()(**texts.batch(range(200))).logits
    assert (logits.argmax(-1).numpy() == split["labels"]).mean() > 0.9


def test_bert_is_raced_with_a_run_of_its_own_weights_on_the_same_texts(tmp_path):
    texts, weights, run = tmp_path / "train.tsv", tmp_path / "weights", tmp_path / "run"
    weights.mkdir(), run.mkdir()
    texts.write_text("".join(f"{word}\t{label}\n" for word, label in zip("abcdefgh", "yn" * 4)))
    data = LabelledDataConfig(
        train_files=(str(texts),),
        validation_files=(str(texts),),
        test_files=(str(texts),),
        text_column="1",
        label_column="2",
    )
    sections = {
        "task": TaskConfig(pretrained=str(weights)),
        "finetuning": FinetuningConfig(),
        "labelleddata": data,
    }
    learnt = fingerprint(load_labelled(data, "classification"))
    saved = {name: dataclasses.asdict(section) for name, section in sections.items()}
    (run / "config.json").write_text(
        json.dumps(saved | {"labelled": {"training and validation texts": learnt}})
    )
    (run / "scores.json").write_text("{}")
    config = BenchmarkConfig(run=str(run), peers_python="/no/such/python")
    for kind in (None, "roberta"):
        if kind:
            (weights / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(
            ConfigError,
            match="BERT learns from a folder of BERT's weights. Received: a run with --pretrained=",
        ):
            bert.run(config)
    (weights / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ConfigError, match="--peers_python must be"):
        bert.run(config)
    texts.write_text("other\ty\nwords\tn\n")
    with pytest.raises(
        ConfigError,
        match="BERT must learn from what the run learnt from. Received: .*run, whose data has "
        "changed",
    ):
        bert.run(config)


def test_what_is_no_run_of_finetune_is_not_raced(tmp_path, capfd):
    assert __main__.command_line(["benchmarks", "bert", f"--run={tmp_path}"]) == 2
    assert "BERT is raced with a finished run of finetune.py. Received:" in capfd.readouterr().err


def test_the_lines_of_equivalent_mutants_are_still_there():
    from benchmarks.mutants import EQUIVALENT

    for row in json.loads(EQUIVALENT.read_text(encoding="utf-8")):
        text = (rounds.ROOT / row["module"]).read_text(encoding="utf-8")
        assert (
            row["before"] in " ".join(text.split())
            and row["after"] != row["before"]
            and row["reason"]
        ), row


# Of its four mutants one changes nothing: where x is the limit, both ways give the limit.
TOY = "def limited(x, most=3):\n    return x if x < most else most\n"
TOY_TEST = """
from transformer.toy import limited

def test_it():
    assert limited(2) == 2 and limited(9) == 3
"""


@pytest.mark.parametrize(
    "known, counts",
    [
        ([], {"killed": 3, "survived": 1, "equivalent": 0, "score": 0.75}),
        (
            [("x if x < most", "x if x <= most")],
            {"killed": 3, "survived": 0, "equivalent": 1, "score": 1.0},
        ),
    ],
)
def test_mutants_are_tried_and_those_that_change_nothing_are_not_counted(tmp_path, known, counts):
    pytest.importorskip("cosmic_ray")
    files = {
        "transformer/__init__.py": "",
        "transformer/toy.py": TOY,
        "tests/test_toy.py": TOY_TEST,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    line = TOY.splitlines()[1].strip()
    rows = [
        {
            "module": "transformer/toy.py",
            "before": line,
            "after": line.replace(*change),
            "reason": "the limit",
        }
        for change in known
    ]
    (tmp_path / "equivalent.json").write_text(json.dumps(rows))
    code = """
import json, pathlib, sys
sys.path.insert(0, ".")
from benchmarks import mutants
from benchmarks.config import BenchmarkConfig
folder = pathlib.Path(sys.argv[1])
mutants.ROOT, mutants.EQUIVALENT, mutants.LIBRARIES = folder, folder / "equivalent.json", ()
print(json.dumps(mutants.run(BenchmarkConfig(modules=("transformer/toy.py",)))))
"""
    *survivors, rows = run_apart("-c", code, tmp_path).stdout.splitlines()
    facts = {"mutants": 4, **counts}
    assert json.loads(rows) == [
        {"module": "transformer/toy.py", **facts},
        {"module": "all", **facts},
    ]
    assert bool(survivors) == bool(counts["survived"])
    if survivors:
        assert survivors[-1] == "  + return x if x <= most else most"
