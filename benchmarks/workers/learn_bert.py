"""Fine-tunes Hugging Face's BertForSequenceClassification on labelled texts: benchmarks/bert.py
says on what.

python -m benchmarks.workers.learn_bert FOLDER

FOLDER has task.json and texts.json; outputs.json is left there.
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

# Batches are of texts of like length, chosen among so many batches' texts, as transformers.Trainer
# groups them.
MEGABATCH = 50


class Texts:
    """Texts as ids with their labels; `batch(numbers)` pads some of them."""

    def __init__(self, tokenizer, split, max_length):
        self.ids = tokenizer(split["texts"], truncation=True, max_length=max_length)["input_ids"]
        self.labels, self.pad = split["labels"], tokenizer.pad_token_id

    def batch(self, numbers):
        ids = torch.from_numpy(padded([self.ids[number] for number in numbers], self.pad))
        return {
            "input_ids": ids,
            "attention_mask": ids.ne(self.pad).long(),
            "labels": torch.tensor([self.labels[n] for n in numbers]),
        }

    def epoch(self, size):
        order = random.sample(range(len(self.ids)), len(self.ids))
        batches = []
        for start in range(0, len(order), size * MEGABATCH):
            part = sorted(
                order[start : start + size * MEGABATCH], key=lambda number: len(self.ids[number])
            )
            batches += [part[at : at + size] for at in range(0, len(part), size)]
        return random.sample(batches, len(batches))


def train(model, texts, task):
    """Returns the seconds of all updates."""
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
