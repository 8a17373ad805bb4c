"""The workers of a multi_worker training, as the environment variable TF_CONFIG names them to each
of them.

{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, "task": {"type": "worker", "index":
0}}
"""

import json
import os

from transformer.config import ConfigError


def tf_config(addresses, index):
    """The TF_CONFIG of one of the workers at these "host:port"."""
    return json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    )


def is_chief(distribution):
    """Whether this process validates and writes: the first worker does, and every process that
    trains without others.

    Args:
        distribution: of LearningConfig.

    Raises:
        ConfigError: it is "multi_worker", and TF_CONFIG names no workers, or not which of them this
            is.
    """
    if distribution != "multi_worker":
        return True
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        raise ConfigError(
            "distribution='multi_worker' needs TF_CONFIG, which names all workers. Received: no "
            "TF_CONFIG. "
            "Start the workers of one machine by python -m transformer launch; for others see "
            "docs/distributed.md."
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
            f"TF_CONFIG must name all workers, and which of them this is. Received: {text[:200]}. "
            f"Write it like {tf_config(['10.0.0.1:12345', '10.0.0.2:12345'], 0)}."
        )
    return kind == "chief" or "chief" not in jobs and index == 0
