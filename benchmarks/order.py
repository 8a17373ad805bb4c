"""Shows in which order a training sees its examples on 1, 2 and 4 devices.

The order must be the same on all, with each example once per epoch.
"""

import hashlib
import tempfile

import numpy as np

EPOCHS = 2


def run(config):
    """Plans the batches of the built-in phrasebook for 1, 2 and 4 devices.

    Returns:
        Rows {"devices", "batches", "rows_in_a_batch", "examples", "seen", "sha256"}. `batches` and
        `examples` are those of one epoch. `seen` is "once an epoch", or "WRONG" if that does not
        hold for every example. `sha256` is the hash of the example numbers in the order of `EPOCHS`
        epochs.
    """
    from data.batches import Plan
    from data.config import DataConfig
    from data.prepare import prepare
    from transformer.config import TokenizerConfig

    rows = []
    with tempfile.TemporaryDirectory() as place:
        split = prepare(
            DataConfig(corpus="phrasebook_en_de", corpus_size=20000),
            TokenizerConfig(vocab_size=1000),
            place,
        ).splits["train"]
        for devices in (1, 2, 4):
            plan = Plan(split, 4096, seed=1, replicas=devices)
            batches = [plan.batch(step) for step in range(EPOCHS * plan.steps_per_epoch)]
            order = np.concatenate([numbers for _, _, examples in batches for numbers in examples])
            epochs = np.sort(order.reshape(EPOCHS, -1), axis=1)
            once = (epochs == np.arange(len(split))).all()
            rows.append(
                {
                    "devices": devices,
                    "batches": plan.steps_per_epoch,
                    "rows_in_a_batch": batches[0][0],
                    "examples": len(split),
                    "seen": "once an epoch" if once else "WRONG",
                    "sha256": hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()[:16],
                }
            )
    return rows
