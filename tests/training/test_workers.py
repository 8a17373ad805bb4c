"""Tests of which worker this process is, according to TF_CONFIG."""

import json

import pytest

from transformer.config import ConfigError
from transformer.training.workers import is_chief, tf_config

TWO = ["10.0.0.1:1234", "10.0.0.2:1234"]


def described(kind, index, **jobs):
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


def test_what_a_worker_is_told():
    assert json.loads(tf_config(TWO, 1)) == {
        "cluster": {"worker": TWO},
        "task": {"type": "worker", "index": 1},
    }


@pytest.mark.parametrize(
    "config, chief",
    [
        (tf_config(TWO, 0), True),
        (tf_config(TWO, 1), False),
        (described("worker", 0, chief=["a:1"], worker=["b:1"]), False),
        (described("worker", 1, chief=["a:1"], worker=["b:1", "c:1"]), False),
        (described("chief", 0, chief=["a:1"], worker=["b:1"]), True),
        (described("worker", 2, worker=["a:1", "b:1", "c:1"]), False),
        (described("worker", 0, worker=["a:1"]), True),
    ],
)
def test_the_first_worker_is_the_chief_unless_there_is_a_job_of_that_name(
    monkeypatch, config, chief
):
    monkeypatch.setenv("TF_CONFIG", config)
    assert is_chief("multi_worker") == chief
    # With other strategies each process trains for itself, whatever the cluster.
    assert is_chief("none") and is_chief("mirrored")


@pytest.mark.parametrize(
    "config, message",
    [
        (
            None,
            "Received: no TF_CONFIG. To start workers on this machine, use python -m transformer "
            "launch",
        ),
        ("", "Received: no TF_CONFIG"),
        (
            "{",
            "TF_CONFIG must list all workers and say which one this process is. Received: {. Write "
            'it like {"cluster"',
        ),
        ("[]", "must list all workers"),
        ('{"cluster": {"worker": ["a:1"]}}', "must list all workers"),
        (tf_config(TWO, 2), "must list all workers"),
        (tf_config(["a", "b"], 0), "must list all workers"),
        (tf_config(TWO, 0).replace("worker", "ps"), "must list all workers"),
        (tf_config(TWO, -1), "must list all workers"),
        (tf_config(TWO, 1.0), "must list all workers"),
        (tf_config(TWO, "0"), "must list all workers"),
        (tf_config(["a:1", "b"], 0), "must list all workers"),
        (described("worker", 0, chief=["a:1"]), "must list all workers"),
        (described("worker", 1, worker=["a:1"], ps=["b:1"]), "must list all workers"),
        ('{"cluster": 5, "task": {"type": "worker", "index": 0}}', "must list all workers"),
        ("x" * 300, f'Received: {"x" * 200}. Write it like {{"cluster"'),
    ],
)
def test_a_cluster_that_is_not_described_is_an_error(monkeypatch, config, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ConfigError) as error:
        is_chief("multi_worker")
    assert message in str(error.value)
