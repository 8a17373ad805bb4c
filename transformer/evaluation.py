"""What a validation finds, and a model's scores on a test set, written down: predictions.jsonl, scores.json, the model card."""

import json
import pathlib
import resource
import time

from transformer.checkpoints import write_json, write_json_lines, write_text
from transformer.losses import MAX_LOGITS, correct_tokens, cross_entropy
from transformer.metrics import perplexity, translation_scores
from transformer.model_cards import training_card


class Validation:
    """What is found of a Transformer between updates: loss, perplexity, accuracy, and the scores of decoded text.

    Args:
        model: a Transformer.
        batches: list of (inputs, targets), as in training.
        translate: list of str -> list of str. texts: (sources, references) to be decoded; empty: no scores.
        language: of the target, for the tokenizer of BLEU.
    """

    def __init__(self, model, batches, translate, texts, language):
        import tensorflow as tf

        self.model, self.batches, self.translate, self.texts, self.language = model, batches, translate, texts, language
        self._sums = tf.function(self._sums_of, reduce_retracing=True)

    def __call__(self):
        """Results {"loss", "accuracy", "perplexity", and "bleu", "chrf", "exact_match" of decoded text} and a list of (source,
        reference, output)."""
        results = self.token_scores()
        results["perplexity"] = perplexity(results["loss"])
        sources, references = self.texts
        outputs = self.translate(sources) if sources else []
        if outputs:
            scores = translation_scores(references, outputs, self.language, confidence=False)
            results |= {name: scores[name] for name in ("bleu", "chrf", "exact_match")}
        return results, list(zip(sources, references, outputs))

    def token_scores(self):
        """Means over all real tokens, without dropout and label smoothing: {"loss": nats a token, "accuracy": share of
        tokens predicted right}."""
        parts = (part for batch in self.batches for part in self._parts(*batch))
        loss, right, count = (float(sum(column)) for column in zip(*(self._sums(*part) for part in parts)))
        return {"loss": loss / count, "accuracy": right / count}

    def _parts(self, inputs, targets):
        """A batch as batches of fewer rows, whose logits take no more memory than those of training."""
        rows = max(MAX_LOGITS // (targets.shape[1] * self.model.config.vocab_size), 1)
        for start in range(0, len(targets), rows):
            end = start + rows
            yield tuple(array[start:end] for array in inputs), targets[start:end]

    def _sums_of(self, inputs, targets):
        logits, pad_id = self.model(inputs, training=False), self.model.config.pad_id
        loss, count = cross_entropy(targets, logits, 0.0, pad_id)
        return loss, correct_tokens(targets, logits, pad_id), count


def evaluate_generator(generator, sources, references, language=""):
    """Translates `sources` and scores them against `references`.

    Args:
        generator: list of str -> list of str.
        sources, references: lists of str of the same length.
        language: of the target, for sacreBLEU's tokenizer.

    Returns:
        scores, a dict (transformer.metrics.translation_scores and sentences per second), and the outputs.
    """
    begun = time.monotonic()
    outputs = generator(sources)
    seconds = time.monotonic() - begun
    scores = translation_scores(references, outputs, language)
    return scores | {"sentences": len(sources), "sentences_per_second": len(sources) / seconds}, outputs


def scores_table(scores):
    """Scores as lines of text, the signatures below."""
    numbers = {name: value for name, value in scores.items() if isinstance(value, (int, float))}
    rows = [
        f"  {name:<24} {value:>12,}" if isinstance(value, int) else f"  {name:<24} {value:>12,.2f}"
        for name, value in numbers.items()
        if name not in ("bleu_mean", "bleu_interval")
    ]
    if "bleu_interval" in scores:
        low, high = scores["bleu_mean"] - scores["bleu_interval"], scores["bleu_mean"] + scores["bleu_interval"]
        rows.insert(1, f"  {'  95 % interval':<24} {f'{low:.2f} - {high:.2f}':>12}")
    rows += [f"  {name}: {value}" for name, value in scores.items() if isinstance(value, str)]
    return "\n".join(rows)


def samples_text(sources, references, outputs, count=10):
    """`count` examples spread over the set, each as three lines: source, reference, output."""
    count = min(count, len(sources))
    chosen = [n * len(sources) // count for n in range(count)]
    return "\n\n".join(
        f"  source     {sources[i]}\n  reference  {references[i]}\n  output     {outputs[i]}" for i in chosen
    )


def peak_memory_gib():
    """The most memory this process held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def write_results(folder, scores, sources, references, outputs):
    """Writes predictions.jsonl and scores.json into a run folder, and its model card from them."""
    folder = pathlib.Path(folder)
    rows = [dict(zip(("source", "reference", "prediction"), row)) for row in zip(sources, references, outputs)]
    write_json_lines(folder / "predictions.jsonl", rows)
    write_json(folder / "scores.json", scores)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    samples = samples_text(sources, references, outputs)
    write_text(folder / "model_card.md", training_card(folder.name, config, scores, scores_table(scores), samples))
