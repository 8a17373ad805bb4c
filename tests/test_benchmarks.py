"""The benchmarks: their arithmetic, and that contestants take turns, do the same work, and are checked for it."""

import json
import types

import numpy as np
import pytest

from benchmarks import __main__, report, rounds, train, work
from benchmarks.config import BenchmarkConfig
from transformer.config import ConfigError, ModelConfig
from transformer.model import Transformer


def test_the_stated_number_of_parameters_is_the_models():
    size = dict(work.SIZES["tiny"])
    sizes = {name: value for name, value in size.items() if name not in ("rows", "length")}
    assert Transformer.from_model_config(ModelConfig(**sizes)).count_params() == work.parameters(size)


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
            self.name, self.each, self.facts, self.answers = name, iter(seconds), {"parameters": 3}, []

        def round(self, count):
            turns.append(self.name)
            self.answers.append({"seconds": next(self.each), "loss": 1.0})

        def close(self):
            turns.append(f"{self.name} closed")

    slow = Fake("slow", [9, 2, 2.0, 4.0, 2.0])  # the first is to warm up, the second to see how long one takes
    fast = Fake("fast", [9, 1, 1.0, 2.0, 0.5])
    first, second = rounds.compete([slow, fast], rounds=3, warm_up=2)
    assert turns[4:10] == ["slow", "fast", "fast", "slow", "slow", "fast"] and turns[10:] == ["slow closed", "fast closed"]
    assert (first["seconds"], first["ratio"], second["seconds"], second["ratio"]) == (2.0, 1.0, 1.0, 2.0)


def test_ours_runs_as_a_contestant():
    task = dict(size="tiny", precision="float32", jit="off", shape=dict(rows=2, length=5, vocab_size=50))
    row, = rounds.compete([rounds.Contestant("ours", "train_ours", task)], rounds=2, warm_up=1, seconds_a_round=0.1)
    assert row["parameters"] == work.parameters({**work.SIZES["tiny"], "vocab_size": 50}) and row["tokens"] == 10
    assert row["loss"] < np.log(50) + 1 and row["seconds"] > 0 and row["peak_memory_gib"] > 0.1


def test_unequal_work_is_refused():
    size = work.SIZES["tiny"]
    good = {"name": "a", "parameters": work.parameters(size), "tokens": size["rows"] * size["length"], "loss": 7.0}
    train.check_equal("tiny", [good])
    for wrong, message in ((dict(parameters=5), "parameters"), (dict(tokens=5), "tokens"), (dict(loss=9.3), "must fall")):
        with pytest.raises(ConfigError, match=message):
            train.check_equal("tiny", [good, {**good, **wrong}])


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
    rows = [{"name": "a", "seconds": 0.12345, "ratio": 1.0, "losses": [1]}, {"name": "b", "seconds": 1234.5, "tokens": 2048}]
    monkeypatch.setattr(__main__.importlib, "import_module", lambda name: types.SimpleNamespace(run=lambda config: rows))
    assert __main__.command_line(["benchmarks", "memory", f"--json={tmp_path}/out.json"]) == 0
    assert "| name | seconds | ratio | tokens |\n|---|---|---|---|\n| a | 0.123 | 1.000 |  |\n| b | 1,234 |  | 2,048 |" in capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["rows"][1]["tokens"] == 2048 and found["machine"]["cores"] >= 1


def test_the_readme_has_the_table_of_the_kept_results():
    readme = (rounds.ROOT / "README.md").read_text(encoding="utf-8")
    assert report.readme_table() in readme
