"""A job of several processes: what reaches them, how it ends, and that a lost worker costs
nothing but time."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.programs import ROOT, run
from transformer.cli import launch
from transformer.training.checkpoints import list_checkpoints, read_checkpoint
from transformer.training.workers import tf_config

pytestmark = pytest.mark.slow  # it trains, or starts programs

# Without biases and with a larger epsilon: see tests/training/test_loop.py. Batches of five rows,
# which two workers cannot halve.
TINY = [
    "--corpus=reverse",
    "--corpus_size=300",
    "--tokenizer=character",
    "--d_model=16",
    "--num_heads=2",
    "--num_layers=1",
    "--ffn_dim=32",
    "--dropout=0",
    "--nouse_bias",
    "--adam_epsilon=1e-4",
    "--learning_rate=3e-3",
    "--warmup_steps=5",
    "--max_tokens=240",
    "--eval_every=10",
    "--eval_decode=0",
    "--checkpoint_every=5",
    "--average_checkpoints=1",
    "--beam_size=1",
    "--max_length=4",
    "--log_every=10",
]


def job(folder, text, workers=2, max_restarts=3):
    """Launches a program that is given as text, after `index` and `here`; returns the exit code."""
    begin = "import json, os, pathlib, signal, sys, time\n"
    begin += "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
    begin += "here = pathlib.Path(__file__).parent\n"
    (folder / "program.py").write_text(begin + text)
    return launch.launch([str(folder / "program.py"), "--flag"], workers, max_restarts)


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.002)


def test_each_worker_knows_all_and_the_first_is_heard(tmp_path, capfd):
    text = (
        "print(os.environ['TF_CONFIG'], sys.argv[1:])\n"
        "print(f'error of {index}', file=sys.stderr)\n"
    )
    assert job(tmp_path, text, workers=3) == 0
    out, err = capfd.readouterr()
    assert (
        out.count("\n") == 1
        and out.count("127.0.0.1:") == 3
        and "'--flag', '--distribution=multi_worker'" in out
    )
    assert sorted(err.splitlines()) == [
        "error of 0",
        "worker 1: error of 1",
        "worker 2: error of 2",
    ]


def test_a_lost_worker_ends_the_others_and_the_job_goes_on(tmp_path, capfd):
    text = """
if not (here / "lost").exists():
    if index == 0: time.sleep(1000)
    (here / "lost").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert job(tmp_path, text) == 0
    assert (
        capfd.readouterr().err
        == "worker 1 was lost (exit code 137): restart 1 of 3, from the last checkpoint\n"
    )


def test_a_job_that_fails_again_and_again_ends(tmp_path, capfd):
    assert job(tmp_path, "sys.exit(7) if index else time.sleep(1000)", max_restarts=1) == 7
    assert capfd.readouterr().err.endswith(
        "after 1 restarts. The same command continues from the last checkpoint.\n"
    )


def test_no_restart_is_one_try(tmp_path, capfd):
    """And a worker that a signal ended has 128 and the signal's number, as in a shell."""
    assert (
        job(
            tmp_path,
            "print('once')\nos.kill(os.getpid(), signal.SIGKILL)",
            workers=1,
            max_restarts=0,
        )
        == 137
    )
    assert capfd.readouterr() == (
        "once\n",
        "worker 0 was lost (exit code 137), after 0 restarts. The same command continues from the "
        "last checkpoint.\n",
    )


def test_each_restart_is_counted(tmp_path, capfd):
    assert job(tmp_path, "print('again')\nsys.exit(1)", workers=1, max_restarts=2) == 1
    lost = "worker 0 was lost (exit code 1)"
    assert capfd.readouterr() == (
        "again\n" * 3,
        f"{lost}: restart 1 of 2, from the last checkpoint\n{lost}: restart 2 of 2, from the last "
        f"checkpoint\n"
        f"{lost}, after 2 restarts. The same command continues from the last checkpoint.\n",
    )


@pytest.mark.parametrize("code", [0, 2, 130, 143])
def test_what_is_done_wrong_or_stopped_is_not_tried_again(tmp_path, code, capfd):
    assert job(tmp_path, f"print('once')\nsys.exit({code})", workers=1) == code
    assert capfd.readouterr() == ("once\n", "")


def test_the_job_goes_on_until_worker_0_is_done(tmp_path):
    text = "if index: sys.exit(0)\ntime.sleep(0.7)\n(here / 'done').touch()"
    assert job(tmp_path, text) == 0 and (tmp_path / "done").exists()


def test_the_first_worker_that_fails_is_named(tmp_path, capfd):
    text = "sys.exit(5) if index == 1 else time.sleep(100)"
    assert job(tmp_path, text, workers=3, max_restarts=0) == 5
    assert capfd.readouterr().err.startswith("worker 1 was lost (exit code 5), after 0 restarts.")


def test_errors_are_shown_line_by_line_without_empty_ones(tmp_path, capfd):
    text = "if index: os.write(2, b'one\\n\\n  \\ntwo \\xff\\n')\nelse: time.sleep(0.5)"
    assert job(tmp_path, text) == 0
    assert capfd.readouterr().err == "worker 1: one\nworker 1: two \ufffd\n"


@pytest.mark.parametrize("told", [None, "7"])
def test_workers_share_the_cores_unless_told_and_have_sessions_of_their_own(
    tmp_path, monkeypatch, capfd, told
):
    if told:
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", told)
    else:
        monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    text = (
        "print(os.environ['TF_NUM_INTRAOP_THREADS'], os.getsid(0) == os.getpid(), "
        "'HOME' in os.environ)"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    for cores, workers, threads in (({1, 2, 3, 4, 5}, 1, 5), ({1, 2, 3, 4, 5}, 2, 2), ({1}, 2, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        assert job(tmp_path, text, workers=workers) == 0
        assert capfd.readouterr().out == f"{told or threads} True True\n"


def test_addresses_are_free_and_differ():
    addresses = launch.free_addresses(5)
    assert len({*addresses}) == 5 and all(address.startswith("127.0.0.1:") for address in addresses)
    with contextlib.ExitStack() as stack:
        for address in addresses:
            stack.enter_context(socket.create_server(("127.0.0.1", int(address.partition(":")[2]))))


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--", "train.py", "--x=1", "--", "y"], (["train.py", "--x=1", "--", "y"], 2, 3)),
        (["--workers=5", "--max_restarts=0", "--", "train.py"], (["train.py"], 5, 0)),
        (["--workers", "1", "--", "train.py", "--workers=9"], (["train.py", "--workers=9"], 1, 3)),
    ],
)
def test_what_stands_before_two_dashes_is_of_launch(monkeypatch, arguments, expected):
    calls = []
    monkeypatch.setattr(launch, "launch", lambda *arguments: calls.append(arguments) or 77)
    assert launch.command_line(arguments) == 77 and calls == [expected]


def test_a_users_mistake_is_not_tried_again(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(launch, "GRACE", 0.5)
    assert job(tmp_path, "print('once')\nsys.exit(2) if index == 0 else time.sleep(100)") == 2
    assert capfd.readouterr() == ("once\n", "")


def test_what_worker_0_has_done_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "GRACE", 0.5)
    assert job(tmp_path, "time.sleep(100 * index)") == 0


def test_a_stopped_worker_0_may_write_for_longer_than_the_others_take_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "GRACE", 0.5)
    assert (
        job(
            tmp_path,
            "if index: sys.exit(143)\ntime.sleep(3)\n(here / 'saved').touch()\nsys.exit(143)",
        )
        == 143
    )
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_all_workers_and_ends_the_job(tmp_path, number):
    text = """
def stop(number, frame):
    (here / f"stopped-{index}").write_text(str(number))
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, stop)
(here / f"ready-{index}").touch()
time.sleep(100)
"""

    def send():
        for index in (0, 1):
            wait_for(tmp_path / f"ready-{index}")
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=send).start()
    assert job(tmp_path, text) == 128 + number and signal.getsignal(number) is before
    assert [(tmp_path / f"stopped-{index}").read_text() for index in (0, 1)] == [
        str(int(number))
    ] * 2


def test_a_job_that_was_told_to_stop_is_not_started_again(tmp_path, capfd):
    """Whatever code its workers end with; and each worker has the signal once."""
    text = """
signal.signal(signal.SIGTERM, lambda *_: (here / "stopped").open("a").write("x"))
(here / "ready").touch()
end = time.monotonic() + 30
while not (here / "stopped").exists() and time.monotonic() < end: time.sleep(0.05)
time.sleep(0.5)
sys.exit(1)
"""

    def send():
        wait_for(tmp_path / "ready")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send).start()
    assert job(tmp_path, text, workers=1) == 1
    assert (tmp_path / "stopped").read_text() == "x" and capfd.readouterr().err == ""


def test_after_a_signal_worker_0_may_save_whatever_the_others_end_with(tmp_path):
    text = """
def stop(number, frame):
    if index: sys.exit(1)
    time.sleep(1.5)
    (here / "saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
(here / f"ready-{index}").touch()
time.sleep(100)
"""

    def send():
        for index in (0, 1):
            wait_for(tmp_path / f"ready-{index}")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send).start()
    assert job(tmp_path, text) == 1 and (tmp_path / "saved").exists()


def test_workers_stop_when_the_launcher_is_gone(tmp_path):
    """By SIGTERM, which lets them save."""
    text = """
import os, pathlib, signal, sys, time
here = pathlib.Path(sys.argv[1])
def stop(number, frame):
    (here / "saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
(here / "started").write_text(str(os.getpid()))
(here / "started").rename(here / "worker")
time.sleep(1000)
"""
    (tmp_path / "program.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "transformer",
        "launch",
        "--workers=1",
        "--",
        str(tmp_path / "program.py"),
        f"{tmp_path}/",
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    wait_for(tmp_path / "worker")
    worker = int((tmp_path / "worker").read_text())
    process.kill()
    process.wait()
    end = time.monotonic() + 120
    while (
        pathlib.Path(f"/proc/{worker}/cmdline").exists()
        and pathlib.Path(f"/proc/{worker}/cmdline").read_bytes()
    ):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            [],
            "launch needs a program after --. Received: nothing. Write -- train.py "
            "--flagfile=FILE.",
        ),
        (["--", "no_such.py"], "Received: no_such.py"),
        (["--workers=0", "--", "train.py"], "--workers=0"),
        (["--max_restarts=-1", "--", "train.py"], "--max_restarts=-1"),
        (["--", str(ROOT)], f"Received: {ROOT}"),
        (["train.py"], "every argument must be a flag. Received: 'train.py'"),
    ],
)
def test_a_users_mistake_ends_with_code_2(arguments, message, capsys):
    assert launch.command_line(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_commands_of_the_guide_name_all_workers(tmp_path):
    """With stand-ins for the programs that start workers, and for the training: it says what it
    was given."""
    guide = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
    slurm, ssh = (
        next(
            block
            for block in re.findall("^```bash\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
            if word in block
        )
        for word in ("scontrol show", "ssh $host")
    )
    for name, text in {
        "python": f'if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi; echo "$TF_CONFIG $@"',
        "scontrol": "echo 10.0.0.1; echo 10.0.0.2",
        "ssh": f'cd {ROOT}; bash -c "${{2#cd PROJECT && }}"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    workers = ["10.0.0.1:12345", "10.0.0.2:12345"]
    for script, ranks in (
        (slurm, "0"),
        (slurm, "1"),
        (ssh.replace(".venv/bin/python", "python"), ""),
    ):
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=ROOT,
            env=environment | {"SLURM_PROCID": ranks},
            capture_output=True,
            text=True,
        )
        found = sorted(done.stdout.splitlines())
        assert [line.partition(" train.py ")[0] for line in found] == [
            tf_config(workers, int(rank)) for rank in ranks or "01"
        ], done
        assert all(line.endswith(" --distribution=multi_worker") for line in found)


def weights(folder, step):
    path = next(path for path in list_checkpoints(folder) if f"{step:08d}" in path.name)
    return np.concatenate(
        [
            array.ravel()
            for name, array in read_checkpoint(path)[0].items()
            if name.startswith("model/")
        ]
    )


def test_two_workers_of_which_one_is_killed_learn_what_one_device_does(tmp_path, monkeypatch):
    """And one device goes on where they ended."""
    started, folder, other = [], tmp_path / "together", tmp_path / "alone"

    def start(*arguments, start=launch.start):
        started.append(start(*arguments))
        return started[-1]

    def kill():
        wait_for(folder / "checkpoints" / "step-00000005.safetensors", 500)
        started[0][0][1].kill()

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(launch, "start", start)
    threading.Thread(target=kill).start()
    assert (
        launch.launch(["train.py", *TINY, f"--run={folder}", "--train_steps=20"], 2, 1) == 0
        and len(started) == 2
    )
    run("train.py", *TINY, f"--run={other}", "--train_steps=22")
    np.testing.assert_allclose(weights(folder, 20), weights(other, 20), rtol=0, atol=1e-6)
    run("train.py", *TINY, f"--run={folder}", "--train_steps=22")
    np.testing.assert_allclose(weights(folder, 22), weights(other, 22), rtol=0, atol=1e-6)
    assert {path.name for path in folder.iterdir()} == {path.name for path in other.iterdir()}
