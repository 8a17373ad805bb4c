"""Fine-tunes Hugging Face's BertForSequenceClassification for benchmarks/bert.py.

    python -m benchmarks.workers.learn_bert FOLDER

It reads task.json and texts.json from FOLDER and writes outputs.json there.
"""

import json
import math
import pathlib
import random
import sys
import time

import torch
import transformers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

from benchmarks.workers.ids import padded
from benchmarks.workers.protocol import leave

# Texts are sorted by length within groups of this many batches, as transformers.Trainer does when
# it groups by length.
MEGABATCH = 50


class Texts:
    """Tokenized texts with their labels.

    Args:
        tokenizer: a tokenizer of Hugging Face Transformers.
        split: dict {"texts": list of str, "labels": list of int}.
        max_length: longest text in tokens. The rest is cut off.
    """

    def __init__(self, tokenizer, split, max_length):
        self.ids = tokenizer(split["texts"], truncation=True, max_length=max_length)["input_ids"]
        self.labels, self.pad = split["labels"], tokenizer.pad_token_id

    def batch(self, numbers):
        """Returns the model's inputs for the texts of these numbers, padded to the longest."""
        ids = torch.from_numpy(padded([self.ids[number] for number in numbers], self.pad))
        return {
            "input_ids": ids,
            "attention_mask": ids.ne(self.pad).long(),
            "labels": torch.tensor([self.labels[n] for n in numbers]),
        }

    def epoch(self, size):
        """Returns the batches of an epoch in random order, lists of up to `size` numbers."""
        order = random.sample(range(len(self.ids)), len(self.ids))
        batches = []
        for start in range(0, len(order), size * MEGABATCH):
            part = sorted(
                order[start : start + size * MEGABATCH], key=lambda number: len(self.ids[number])
            )
            batches += [part[at : at + size] for at in range(0, len(part), size)]
        return random.sample(batches, len(batches))


def train(model, texts, task):
    """Fine-tunes the model and returns the seconds of all updates.

    Weight decay leaves out biases and layer norms.

    Args:
        model: a BertForSequenceClassification in training mode.
        texts: Texts to learn from.
        task: dict, the content of task.json.
    """
    decayed = [
        value
        for name, value in model.named_parameters()
        if not name.endswith("bias") and "LayerNorm" not in name
    ]
    others = [
        value
        for name, value in model.named_parameters()
        if name.endswith("bias") or "LayerNorm" in name
    ]
    groups = [
        {"params": decayed, "weight_decay": task["weight_decay"]},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=task["learning_rate"], betas=task["betas"], eps=task["epsilon"], fused=True
    )
    steps = task["epochs"] * math.ceil(len(texts.ids) / task["batch_size"])
    schedule = get_linear_schedule_with_warmup(
        optimizer, round(task["warmup_share"] * steps), steps
    )
    step, begun = 0, time.monotonic()
    for _ in range(task["epochs"]):
        for numbers in texts.epoch(task["batch_size"]):
            with torch.autocast("cpu", torch.bfloat16, enabled=task["precision"] == "bfloat16"):
                loss = model(**texts.batch(numbers)).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), task["clip_norm"] or math.inf)
            optimizer.step()
            schedule.step()
            step += 1
            if step % 100 == 0:
                print(
                    f"step {step}/{steps}  loss {loss.item():.4f}  "
                    f"{(time.monotonic() - begun) / step:.2f} s a step",
                    flush=True,
                )
    return time.monotonic() - begun


def main(folder):
    """Fine-tunes on the training texts in a folder and writes the outputs for the test texts."""
    folder = pathlib.Path(folder)
    task, splits = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("task", "texts")
    )
    torch.manual_seed(task["seed"])
    random.seed(task["seed"])
    tokenizer = AutoTokenizer.from_pretrained(task["pretrained"])
    model = AutoModelForSequenceClassification.from_pretrained(
        task["pretrained"], num_labels=task["num_labels"]
    )
    train_texts, test_texts = (
        Texts(tokenizer, splits[name], task["max_length"]) for name in ("train", "test")
    )
    seconds = train(model.train(), train_texts, task)
    model.eval()
    numbers = range(len(test_texts.ids))
    with torch.no_grad():
        probabilities = [
            model(**test_texts.batch([number])).logits.softmax(-1)[0].tolist() for number in numbers
        ]
    count = sum(value.numel() for value in model.parameters())
    version = f"transformers {transformers.__version__}, torch {torch.__version__}"
    leave(
        folder,
        {
            "probabilities": probabilities,
            "seconds": seconds,
            "parameters": count,
            "version": version,
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
