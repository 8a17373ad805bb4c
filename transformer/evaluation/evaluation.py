"""What a validation finds, and a model's scores on a test set, written down: predictions.jsonl,
scores.json, the model card."""

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
    """What is found of a Transformer between updates: loss, perplexity, accuracy, and the scores of
    decoded text.

    Args:
        model: a Transformer.
        batches: list of (inputs, targets), as in training.
        write: list of str -> list of str.
        pairs: those that are written and scored; empty: none.
        task: a transformer.tasks.text_to_text.Task.
        language: of the target.
    """

    def __init__(self, model, batches, write=None, pairs=(), task=None, language=""):
        self.model, self.batches, self.write, self.pairs = model, batches, write, pairs
        self.task, self.language = task, language
        self._sums = compiled(self._sums_of, model)

    def __call__(self):
        """Results {"loss", "accuracy", "perplexity", and the task's metrics of written text} and a
        list of (source, target, output).
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
        """Means over all real tokens, without dropout and label smoothing: {"loss": nats a token,
        "accuracy": share of tokens predicted right}.
        """
        parts = (part for batch in self.batches for part in self._parts(*batch))
        loss, right, count = (
            float(sum(column)) for column in zip(*(self._sums(*part) for part in parts))
        )
        return {"loss": loss / count, "accuracy": right / count}

    def _parts(self, inputs, targets):
        """A batch as batches of fewer rows, whose logits take no more memory than those of
        training."""
        rows = max(MAX_LOGITS // (targets.shape[1] * self.model.config.vocab_size), 1)
        for start in range(0, len(targets), rows):
            end = start + rows
            yield tuple(array[start:end] for array in inputs), targets[start:end]

    def _sums_of(self, inputs, targets):
        logits, pad_id = self.model(inputs, training=False), self.model.config.pad_id
        loss, count = cross_entropy(targets, logits, 0.0, pad_id)
        return loss, correct_tokens(targets, logits, pad_id), count


def evaluate_generator(generator, pairs, task, language="", train=()):
    """Writes an output for each pair and scores them.

    Args:
        generator: list of str -> list of str.
        pairs: see transformer.tasks.text_to_text.
        task: a Task.
        language: of the target, unless all pairs are of a kind that names one.
        train: training pairs, for the task's baselines; empty: no baselines.

    Returns:
        scores, a dict: those of the task; "kinds", as Task.by_kind, and "baselines", as
        Task.baseline_scores, where there are any; "examples", how many, and "examples_per_second".
        And the outputs.
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
    """Writes programs and runs them with their unit tests. WARNING: read the docstring of
    transformer/metrics/sandbox.py first.

    Args:
        generator: list of str -> list of str, which samples where more than one sample is asked
            for.
        problems: list of data.readers.humaneval.Problem.
        described: the model reads the function's name and description, not the prompt.
        samples: programs for each problem.
        run_code: True, to say that they may be executed here.

    Returns:
        scores, as transformer.metrics.sandbox.pass_scores, with "problems" and "samples", how many.
    """
    asked = [problem for problem in problems for _ in range(samples)]
    answers = generator([problem.description if described else problem.prompt for problem in asked])
    programs = [problem.program(answer) for problem, answer in zip(asked, answers)]
    outcomes = run_programs(programs, run_code=run_code, workers=os.cpu_count())
    by_problem = [outcomes[start : start + samples] for start in range(0, len(outcomes), samples)]
    return pass_scores(by_problem) | {"problems": len(problems), "samples": len(programs)}


def scores_table(scores):
    """Scores as lines of text: each with its interval, then those of kinds and baselines, then
    the signatures."""
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
    """`count` examples spread over the set: source, target and output of each below one another."""
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
    """The rows of predictions.jsonl: a list of dicts."""
    rows = []
    for pair, output in zip(pairs, outputs):
        more = {"references": [*pair.references]} if len(pair.references) > 1 else {}
        kind = {"kind": pair.kind} if pair.kind else {}
        rows.append(
            {"source": pair.source, "reference": pair.target, **more, "prediction": output, **kind}
        )
    return rows


def write_results(folder, scores, pairs, outputs):
    """Writes predictions.jsonl and scores.json into a run folder, and its model card from them."""
    folder = pathlib.Path(folder)
    write_json_lines(folder / "predictions.jsonl", predictions_of(pairs, outputs))
    write_json(folder / "scores.json", scores)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    samples = samples_text(pairs, outputs)
    write_text(
        folder / "model_card.md",
        training_card(folder.name, config, scores, scores_table(scores), samples),
    )
