"""Describes the machine that runs the benchmarks, and measures its matrix products."""

import os
import platform
import re
import time


def describe():
    """Returns a dict: processor, its low-precision units, cores, memory in GiB, and versions."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpuinfo = file.read()
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read())[1]) / 2**20
    model = re.search(r"model name\s*:\s*(.*)", cpuinfo)
    units = sorted(
        {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8"} & set(cpuinfo.split())
    )
    return {
        "processor": model[1] if model else platform.machine(),
        "units": units,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def matmul_peak(size=2048, repeats=10):
    """Measures the peak speed of TensorFlow's product of two square matrices.

    Args:
        size: rows and columns of the matrices.
        repeats: number of products. The fastest counts.

    Returns:
        FLOP/s, {"float32": float, "bfloat16": float}.
    """
    from transformer.cli.flags import import_keras

    import_keras()
    import tensorflow as tf

    found = {}
    for name in ("float32", "bfloat16"):
        matrix = tf.cast(tf.random.normal((size, size)), name)
        multiply = tf.function(lambda matrix=matrix: tf.matmul(matrix, matrix))
        multiply()
        seconds = []
        for _ in range(repeats):
            begun = time.perf_counter()
            multiply()[0, 0].numpy()
            seconds.append(time.perf_counter() - begun)
        found[name] = 2 * size**3 / min(seconds)
    return found
