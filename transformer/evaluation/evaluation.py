"""Validation during training, and evaluation of a trained model on a test set.

`write_results` writes predictions.jsonl, scores.json and the model card into the run folder.
"""

import json
import os
import pathlib
import time

from transformer.compilation import compiled
from transformer.evaluation.cards import training_card
from transformer.files import write_json, write_json_lines, write_text
from transformer.metrics.classification import perplexity
from transformer.metrics.sandbox import pass_scores, run_programs
from transformer.model.losses import MAX_LOGITS, correct_tokens, cross_entropy


class Validation:
    """Validates a Transformer between updates: loss, perplexity, accuracy and text metrics.

    Args:
        model: a `Transformer`.
        batches: list of (inputs, targets), as in training.
        write: function from list of str to list of str that decodes sources. None if `pairs` is
            empty.
        pairs: the pairs whose sources are decoded and scored. Empty decodes nothing.
        task: a `transformer.tasks.text_to_text.Task`. None if `pairs` is empty.
        language: code of the target language.
    """

    def __init__(self, model, batches, write=None, pairs=(), task=None, language=""):
        self.model, self.batches, self.write, self.pairs = model, batches, write, pairs
        self.task, self.language = task, language
        self._sums = compiled(self._sums_of, model)

    def __call__(self):
        """Computes all results.

        Returns:
            (results, samples). `results` is a dict with "loss", "accuracy", "perplexity" and the
            task's metrics of the decoded text. `samples` is a list of (source, target, output).
        """
        results = self.token_scores()
        results["perplexity"] = perplexity(results["loss"])
        outputs = self.write([pair.source for pair in self.pairs]) if self.pairs else []
        if outputs:
            results |= self.task.shown(self.pairs, outputs, self.language)
        return results, [
            (pair.source, pair.target, output) for pair, output in zip(self.pairs, outputs)
        ]

    def token_scores(self):
        """Computes loss and accuracy over all real tokens, without dropout and label smoothing.

        Returns:
            {"loss", "accuracy"}. The loss is in nats per token, the accuracy is the share of tokens
            predicted correctly.
        """
        parts = (part for batch in self.batches for part in self._parts(*batch))
        loss, right, count = (
            float(sum(column)) for column in zip(*(self._sums(*part) for part in parts))
        )
        return {"loss": loss / count, "accuracy": right / count}

    def _parts(self, inputs, targets):
        """Splits a batch into parts of fewer rows, to bound the memory of the logits.

        The logits of a part take no more memory than those in training.
        """
        rows = max(MAX_LOGITS // (targets.shape[1] * self.model.config.vocab_size), 1)
        for start in range(0, len(targets), rows):
            end = start + rows
            yield tuple(array[start:end] for array in inputs), targets[start:end]

    def _sums_of(self, inputs, targets):
        logits, pad_id = self.model(inputs, training=False), self.model.config.pad_id
        loss, count = cross_entropy(targets, logits, 0.0, pad_id)
        return loss, correct_tokens(targets, logits, pad_id), count


def evaluate_generator(generator, pairs, task, language="", train=()):
    """Generates an output for each pair and scores the outputs.

    Args:
        generator: function from list of str to list of str.
        pairs: list of `data.pairs.Pair`, whose sources are decoded.
        task: a `transformer.tasks.text_to_text.Task`.
        language: code of the target language. If all pairs are of one kind that names a
            language, such as "<2de>", that language is used instead.
        train: training pairs, for the task's baselines. Empty computes no baselines.

    Returns:
        (scores, outputs). `scores` is a dict with the scores of the task, "kinds" from
        `Task.by_kind` and "baselines" from `Task.baseline_scores` if there are any, "examples" (how
        many) and "examples_per_second". `outputs` is a list of str.
    """
    language, begun = task.language_of(pairs, language), time.monotonic()
    outputs = generator([pair.source for pair in pairs])
    seconds = time.monotonic() - begun
    scores = task.scores(pairs, outputs, language, confidence=True)
    kinds, baselines = (
        task.by_kind(pairs, outputs, language),
        task.baseline_scores(train, pairs, language) if train else {},
    )
    scores |= {name: value for name, value in (("kinds", kinds), ("baselines", baselines)) if value}
    return scores | {"examples": len(pairs), "examples_per_second": len(pairs) / seconds}, outputs


def evaluate_programs(generator, problems, described=False, samples=1, run_code=False):
    """Generates programs and runs them against their unit tests.

    WARNING: read the docstring of transformer/metrics/sandbox.py first.

    Args:
        generator: function from list of str to list of str. It must sample if `samples` is above 1.
        problems: list of `data.readers.humaneval.Problem`.
        described: whether the model reads the function's name and description instead of the
            prompt.
        samples: number of programs for each problem.
        run_code: must be True, to confirm that generated code may be executed on this machine.

    Returns:
        dict of scores: those of `transformer.metrics.sandbox.pass_scores`, "problems" (how many)
        and "samples" (number of programs in all).
    """
    asked = [problem for problem in problems for _ in range(samples)]
    answers = generator([problem.description if described else problem.prompt for problem in asked])
    programs = [problem.program(answer) for problem, answer in zip(asked, answers)]
    outcomes = run_programs(programs, run_code=run_code, workers=os.cpu_count())
    by_problem = [outcomes[start : start + samples] for start in range(0, len(outcomes), samples)]
    return pass_scores(by_problem) | {"problems": len(problems), "samples": len(programs)}


def scores_table(scores):
    """Formats scores as lines of text.

    Each number is followed by its confidence interval if there is one. Then come the scores of
    kinds and baselines, then the signatures.

    Args:
        scores: dict, as in scores.json.

    Returns:
        str.
    """
    rows = []
    for name, value in scores.items():
        if isinstance(value, (int, float)) and not name.endswith(("_mean", "_interval")):
            rows.append(
                f"  {name:<24} {value:>12,}"
                if isinstance(value, int)
                else f"  {name:<24} {value:>12,.2f}"
            )
            if f"{name}_interval" in scores:
                middle, half = scores.get(f"{name}_mean", value), scores[f"{name}_interval"]
                rows.append(
                    f"  {'  95 % interval':<24} {f'{middle - half:.2f} - {middle + half:.2f}':>12}"
                )
    for title in ("kinds", "baselines"):
        for name, values in scores.get(title, {}).items():
            shown = "  ".join(
                f"{metric} {value:,}" if isinstance(value, int) else f"{metric} {value:.2f}"
                for metric, value in values.items()
            )
            rows.append(f"  {title.removesuffix('s')} {name}: {shown}")
    rows += [f"  {name}: {value}" for name, value in scores.items() if isinstance(value, str)]
    return "\n".join(rows)


def samples_text(pairs, outputs, count=10):
    """Formats examples spread evenly over the set: source, reference and output of each.

    Args:
        pairs: list of `data.pairs.Pair`.
        outputs: list of str, one for each pair.
        count: number of examples to show, at most.

    Returns:
        str.
    """
    count = min(count, len(pairs))
    chosen = [n * len(pairs) // count for n in range(count)]
    return "\n\n".join(
        "\n".join(
            f"  {name:<9}  {_indented(text)}"
            for name, text in (
                ("source", pairs[i].source),
                ("reference", pairs[i].target),
                ("output", outputs[i]),
            )
        )
        for i in chosen
    )


def _indented(text):
    return text.replace("\n", "\n" + " " * 13)


def predictions_of(pairs, outputs):
    """Returns the rows of predictions.jsonl.

    Args:
        pairs: list of `data.pairs.Pair`.
        outputs: list of str, one for each pair.

    Returns:
        list of dict with "source", "reference" and "prediction". "references" is added if a pair
        has several references, "kind" if it has a kind.
    """
    rows = []
    for pair, output in zip(pairs, outputs):
        more = {"references": [*pair.references]} if len(pair.references) > 1 else {}
        kind = {"kind": pair.kind} if pair.kind else {}
        rows.append(
            {"source": pair.source, "reference": pair.target, **more, "prediction": output, **kind}
        )
    return rows


def write_results(folder, scores, pairs, outputs):
    """Writes predictions.jsonl, scores.json and the model card into a run folder.

    Args:
        folder: the run folder. It must hold config.json already.
        scores: dict of scores.
        pairs: list of `data.pairs.Pair` of the test set.
        outputs: list of str, one for each pair.
    """
    folder = pathlib.Path(folder)
    write_json_lines(folder / "predictions.jsonl", predictions_of(pairs, outputs))
    write_json(folder / "scores.json", scores)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    samples = samples_text(pairs, outputs)
    write_text(
        folder / "model_card.md",
        training_card(folder.name, config, scores, scores_table(scores), samples),
    )
