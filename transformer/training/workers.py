"""The workers of a multi-worker training, as the environment variable TF_CONFIG describes them.

Each worker has its own TF_CONFIG. With two workers that of the first is:

    {"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]},
     "task": {"type": "worker", "index": 0}}
"""

import json
import os

from transformer.config import ConfigError


def tf_config(addresses, index):
    """Returns the value of TF_CONFIG for one worker, as a string.

    Args:
        addresses: list of "host:port", one for each worker.
        index: int, the number of this worker, counted from 0.
    """
    return json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    )


def is_chief(distribution):
    """Returns whether this process is the one that validates and writes files.

    The chief is the first worker, unless the cluster has a job named "chief". A process that trains
    without other workers is always the chief.

    Args:
        distribution: `LearningConfig.distribution`.

    Raises:
        ConfigError: if `distribution` is "multi_worker" and TF_CONFIG is missing, does not list the
            workers, or does not say which of them this process is.
    """
    if distribution != "multi_worker":
        return True
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        raise ConfigError(
            "distribution='multi_worker' needs the environment variable TF_CONFIG, which lists all "
            "workers. Received: no TF_CONFIG. To start workers on this machine, use "
            "python -m transformer launch. For several machines see docs/distributed.md."
        )
    try:
        config = json.loads(text)
        jobs, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        known = (
            isinstance(index, int)
            and 0 <= index < len(jobs[kind])
            and all(":" in address for address in jobs[kind])
        )
    except (ValueError, KeyError, TypeError):
        known = False
    if not known or kind not in ("chief", "worker"):
        raise ConfigError(
            "TF_CONFIG must list all workers and say which one this process is. Received: "
            f"{text[:200]}. Write it like {tf_config(['10.0.0.1:12345', '10.0.0.2:12345'], 0)}."
        )
    return kind == "chief" or "chief" not in jobs and index == 0
