"""Checks that a training loses nothing when it is killed, damaged or out of disk space.

Each disturbed training is resumed until it ends. What it ends in must equal, bit by bit, what an
undisturbed training ends in.
"""

import hashlib
import json
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

from benchmarks.rounds import ROOT
from transformer.config import ConfigError

# A training with all the state that a resumed one must restore: two micro-batches per update,
# dropout, validations, the best weights and an average of checkpoints.
OPTIONS = dict(
    corpus="reverse",
    corpus_size=2000,
    tokenizer="character",
    d_model=32,
    num_heads=2,
    num_layers=1,
    ffn_dim=64,
    dropout=0.2,
    max_tokens=512,
    accumulate_steps=2,
    train_steps=400,
    eval_every=40,
    eval_decode=10,
    early_stopping=5,
    checkpoint_every=5,
    keep_checkpoints=3,
    average_checkpoints=3,
    keep_best_metric="loss",
    log_every=10,
    learning_rate=3e-3,
    warmup_steps=20,
    beam_size=1,
    max_length=32,
    jit="off",
)
# Faults injected into one training before it may run to its end.
HITS = 5


def run(config):
    """Injects each kind of fault and compares the results with those of an undisturbed training.

    Args:
        config: BenchmarkConfig, of which `rounds` is used: how often a training is killed at a
            random moment. Every other fault is injected a quarter as often, and at least once.

    Returns:
        Rows {"fault", "injected", "times", "seconds_to_stop", "lost", "sha256"}. The first row is
        the undisturbed training. `lost` is "nothing" if all trainings end with the hash of the
        first row, else "SOMETHING". `seconds_to_stop` is the maximum.
    """
    seed = time.time_ns()
    print(f"moments are those of seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        begun = _begin(place / "whole"), time.monotonic()
        _end(begun[0])
        faults = Faults(random.Random(seed), time.monotonic() - begun[1])
        whole = fingerprint(place / "whole")
        rows = [
            {
                "fault": "none",
                "injected": "",
                "times": 1,
                "seconds_to_stop": None,
                "lost": "nothing",
                "sha256": whole[:16],
            }
        ]
        for inject in (
            faults.kill,
            faults.kill_writing,
            faults.terminate,
            faults.cut,
            faults.flip,
            faults.fill,
        ):
            times = config.rounds if inject == faults.kill else max(config.rounds // 4, 1)
            seconds, hashes = _hit(place / inject.__name__, inject, times)
            fault, _, injected = inject.__doc__.partition(": ")
            rows.append(
                {
                    "fault": fault,
                    "injected": injected,
                    "times": times,
                    "seconds_to_stop": max(seconds),
                    "lost": "nothing" if hashes == {whole} else "SOMETHING",
                    "sha256": ", ".join(h[:16] for h in hashes),
                }
            )
            print(rows[-1], flush=True)
    return rows


class Faults:
    """The faults that are injected into trainings.

    Each public method starts or resumes the training in a folder and disturbs it. It returns the
    seconds until the training stopped, or None if the training ended first. The docstring of each
    method is not free text: `run` splits it at the colon and shows it in the table.

    Args:
        rng: random.Random, which draws the moments and places of faults.
        duration: seconds that an undisturbed training takes.
    """

    def __init__(self, rng, duration):
        self.rng, self.duration = rng, duration

    def kill(self, folder):
        """killed: SIGKILL at a random moment"""
        return _stop(
            _begin(folder), signal.SIGKILL, after=self.rng.uniform(0.0, self.duration / HITS)
        )

    def kill_writing(self, folder):
        """killed: SIGKILL while a checkpoint has its temporary name"""
        process = _begin(folder)
        time.sleep(self.rng.uniform(0.0, self.duration / HITS))
        while process.poll() is None and not any(folder.glob("checkpoints/*.tmp.*")):
            pass
        return _stop(process, signal.SIGKILL)

    def terminate(self, folder):
        """stopped: SIGTERM at a random moment"""
        return _stop(
            _begin(folder), signal.SIGTERM, after=self.rng.uniform(0.0, self.duration / HITS)
        )

    def cut(self, folder):
        """newest checkpoint damaged: cut at a random place"""
        return self._damage(folder, lambda content, at: content[:at])

    def flip(self, folder):
        """newest checkpoint damaged: one random bit flipped"""
        return self._damage(
            folder, lambda content, at: content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        )

    def _damage(self, folder, change):
        process = _begin(folder)
        while (
            process.poll() is None
            and len([*folder.glob("checkpoints/step-????????.safetensors")]) < 2
        ):
            time.sleep(0.01)
        seconds = _stop(process, signal.SIGKILL, after=self.rng.uniform(0.0, self.duration / HITS))
        newest = max(folder.glob("checkpoints/step-????????.safetensors"))
        content = newest.read_bytes()
        newest.write_bytes(change(content, self.rng.randrange(len(content))))
        return seconds

    def fill(self, folder):
        """disk full: the kernel refuses files as large as a checkpoint (RLIMIT_FSIZE)"""
        self.kill(folder)
        begun = time.monotonic()
        process = _begin(folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
        return _end(process, expected=(0, 2)) and time.monotonic() - begun


def _hit(place, inject, times):
    """Injects one kind of fault `times` times, up to `HITS` times into one training.

    Returns:
        The seconds until each training stopped, a list, and the set of the fingerprints of the
        finished run folders.
    """
    seconds, hashes = [], set()
    while len(seconds) < times:
        folder = place.with_name(f"{place.name}-{len(seconds)}")
        for _ in range(min(HITS, times - len(seconds))):
            if (found := inject(folder)) is None:
                break
            seconds.append(found)
        _end(_begin(folder))
        hashes.add(fingerprint(folder))
    return seconds, hashes


def _begin(folder, prepare=None):
    """Starts a training and returns its process once the steps begin or the training has ended."""
    command = [
        sys.executable,
        "train.py",
        *(f"--{name}={value}" for name, value in OPTIONS.items()),
        f"--run={folder}",
    ]
    with open(f"{folder}.log", "a") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=prepare
        )
    for line in process.stdout:
        if "; padding " in line:
            break
    return process


def _stop(process, number, after=0.0):
    """Sends signal `number` to a process after `after` seconds and waits for its end.

    Returns:
        Seconds from the signal to the end, or None if the process ended successfully by itself.
    """
    time.sleep(after)
    begun = time.monotonic()
    process.send_signal(number)
    code = _end(process, expected=(0, -number, 128 + number))
    return time.monotonic() - begun if code else None


def _end(process, expected=(0,)):
    """Waits for a process and returns its exit code. Raises ConfigError for an unexpected code."""
    process.stdout.read()
    if process.wait() not in expected:
        raise ConfigError(
            f"a training must end with one of the codes {expected}. Received: {process.returncode}."
        )
    return process.returncode


def fingerprint(folder):
    """Returns the SHA-256 of everything that a run ended in, except measured times and memory.

    It covers every bit of the checkpoints, each point of the curves, the scores and the
    predictions.
    """
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    from transformer.training.checkpoints import read_checkpoint

    digest, timed = hashlib.sha256(), ("seconds", "minutes", "_per_second", "peak_memory_gib")
    for path in sorted((folder / "checkpoints").iterdir()):
        arrays, progress = read_checkpoint(path)
        digest.update(
            json.dumps(
                [
                    path.name,
                    {name: value for name, value in progress.items() if not name.endswith(timed)},
                ]
            ).encode()
        )
        for name in sorted(arrays):
            digest.update(name.encode() + arrays[name].tobytes())
    events = [
        event
        for path in (folder / "tensorboard").iterdir()
        for event in EventFileLoader(str(path)).Load()
    ]
    curves = sorted(
        [value.tag, event.step, "" if value.tag.endswith(timed) else str(value.tensor)]
        for event in events
        for value in event.summary.value
        if value.tag != "config"
    )
    scores = {
        name: value
        for name, value in json.loads((folder / "scores.json").read_text()).items()
        if not name.endswith(timed)
    }
    digest.update(
        json.dumps([curves, scores], sort_keys=True).encode()
        + (folder / "predictions.jsonl").read_bytes()
    )
    return digest.hexdigest()
