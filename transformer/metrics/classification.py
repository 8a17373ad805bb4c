"""Scores of predictions against references: pure functions (references, predictions) -> {name:
value}, on the host."""

import math

import numpy as np

from transformer.config import ConfigError, base_language

# The tokenizers of sacreBLEU for languages that write no spaces; all others have 13a.
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
# Ends the code of a language whose texts are split into words already: a private subtag of BCP 47
# (RFC 5646, section 2.2.7).
TOKENIZED = "-x-tok"


def check_pairs(references, predictions):
    """Raises ValueError unless there are as many references as predictions, and at least one."""
    if len(references) != len(predictions) or not references:
        raise ValueError(
            "references and predictions must be as many as each other, and at least one. "
            f"Received: {len(references)} references, {len(predictions)} predictions."
        )


def bleu_metric(language=""):
    """sacreBLEU's BLEU with the tokenizer of a target language; "de-x-tok" and the like: the words
    are taken as they stand.

    Raises:
        ConfigError: the language needs a package that is not installed.
    """
    from sacrebleu.metrics import BLEU

    if language.endswith(TOKENIZED):
        return BLEU(tokenize="none", force=True)
    try:
        return BLEU(tokenize=_TOKENIZERS.get(base_language(language), "13a"))
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"the target language must be one that BLEU can split into words. Received: "
            f"{language!r} "
            f"({str(error).strip().splitlines()[0]}). Use pip install "
            f"'sacrebleu[{base_language(language)}]'."
        ) from None


def translation_scores(references, predictions, language="", confidence=True):
    """BLEU, chrF (Popovic 2015) and TER (Snover et al. 2006) by sacreBLEU (Post 2018) with
    signatures, and exact match.

    Args:
        references, predictions: lists of str, one pair a line, raw (detokenised) text.
        language: the target's code; see bleu_metric.
        confidence: also what takes longer: TER, and the 95 % interval of BLEU by bootstrap
            resampling, 1,000 samples (Koehn 2004).

    Returns:
        {"bleu", "chrf", "exact_match": percent, "bleu_signature", "chrf_signature"} and, with
        confidence, "ter" (edits in percent of the reference's words: lower is better),
        "ter_signature", "bleu_mean" and "bleu_interval" (half its width).

    Raises:
        ValueError: the two lists differ in length, or are empty.
    """
    from sacrebleu.metrics import CHRF, TER

    check_pairs(references, predictions)
    bleu, chrf = bleu_metric(language), CHRF()
    result = bleu.corpus_score(predictions, [references], n_bootstrap=1000 if confidence else 1)
    chrf_result = chrf.corpus_score(predictions, [references])
    equal = sum(a.strip() == b.strip() for a, b in zip(references, predictions))
    scores = {
        "bleu": result.score,
        "chrf": chrf_result.score,
        "exact_match": 100.0 * equal / len(references),
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }
    if confidence:
        spaceless = base_language(language) in _TOKENIZERS
        ter = TER(normalized=spaceless, asian_support=spaceless)
        scores |= {"bleu_mean": result._mean, "bleu_interval": result._ci}
        scores |= {
            "ter": ter.corpus_score(predictions, [references]).score,
            "ter_signature": str(ter.get_signature()),
        }
    return scores


def sentence_chrf(references, predictions):
    """chrF of each pair of texts, a list of float, percent. Arguments: as for
    `translation_scores`."""
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    return [
        chrf.sentence_score(prediction, [reference]).score
        for reference, prediction in zip(references, predictions)
    ]


def perplexity(loss):
    """exp(loss) of a mean loss in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


def classification_scores(labels, probabilities, train_labels=None):
    """Scores of a classifier that gives each example one class, as fractions from 0 to 1 like
    scikit-learn's.

    A score whose denominator is zero (the precision of a class never predicted) is 0. Averages go
    over the classes that occur in labels or predictions, scikit-learn's default.

    Args:
        labels: int (N,), classes from 0 to C - 1.
        probabilities: float (N, C), each row adding up to 1. The prediction is the largest, the
            first of equals.
        train_labels: int (M,), the labels trained on. None: the baseline is read from `labels`,
            which flatters it.

    Returns:
        {"accuracy"; "precision", "recall", "f1": means over classes (macro); "f1_micro", which is
        the accuracy here; "f1_weighted" by support; "matthews": the correlation coefficient, -1 to
        1; "majority_baseline": accuracy of always saying the commonest class; "calibration_error":
        expected, over 15 bins (Guo et al. 2017, equation 3); "log_loss": nats; and for C = 2, where
        both classes occur, "roc_auc" of class 1}, floats.

    Raises:
        ValueError: shapes disagree, a value is not finite, a label is no class, or rows are no
            probabilities.
    """
    from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef, roc_auc_score

    labels, probabilities = _checked_classes(labels, probabilities)
    predictions = probabilities.argmax(axis=1)
    bins = calibration_bins(labels, probabilities)
    commonest = np.bincount(
        labels if train_labels is None else np.asarray(train_labels, dtype="int64")
    ).argmax()
    scores = {
        "accuracy": accuracy_score(labels, predictions),
        **_averages(labels, predictions, "macro"),
        "f1_micro": f1_score(labels, predictions, average="micro", zero_division=0.0),
        "f1_weighted": f1_score(labels, predictions, average="weighted", zero_division=0.0),
        # Of a single class, scikit-learn says 0 too, with a warning.
        "matthews": matthews_corrcoef(labels, predictions)
        if len(np.union1d(labels, predictions)) > 1
        else 0.0,
        "majority_baseline": (labels == commonest).mean(),
        "calibration_error": sum(
            row["count"] * abs(row["accuracy"] - row["confidence"]) for row in bins
        )
        / len(labels),
        "log_loss": log_loss(labels, probabilities, labels=range(probabilities.shape[1])),
    }
    if probabilities.shape[1] == 2 and len(np.unique(labels)) == 2:
        scores["roc_auc"] = roc_auc_score(labels, probabilities[:, 1])
    return python_floats(scores)


def per_class_scores(labels, predictions, names):
    """Precision, recall and F1 (fractions; 0 where undefined) and the count of examples of every
    class or label.

    Args:
        labels, predictions: int (N,), classes; or 0/1 (N, C), a column for each label.
        names: C str.

    Returns:
        list of {"name", "precision", "recall", "f1", "support": int}, in the order of `names`.
    """
    from sklearn.metrics import precision_recall_fscore_support

    asked = _only_label(labels) or range(len(names))
    columns = precision_recall_fscore_support(labels, predictions, labels=asked, zero_division=0.0)
    return [
        {
            "name": name,
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "support": int(support),
        }
        for name, precision, recall, f1, support in zip(names, *columns)
    ]


def calibration_bins(labels, probabilities, bins=15):
    """How often predictions of each confidence are right (Guo et al. 2017, section 2): bins of
    equal width, (low, high].

    Args:
        labels: int (N,).
        probabilities: float (N, C); the confidence of a prediction is its probability.

    Returns:
        list of {"low", "high", "count", "confidence": mean, "accuracy"}, of the bins that hold an
        example.
    """
    labels, probabilities = _checked_classes(labels, probabilities)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.digitize(confidence, edges, right=True) - 1
    return [
        {
            "low": float(edges[place]),
            "high": float(edges[place + 1]),
            "count": int((places == place).sum()),
            "confidence": float(confidence[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
        }
        for place in np.unique(places)
    ]


def multilabel_scores(labels, probabilities, threshold=0.5):
    """Scores of a classifier that gives each example any number of labels, as fractions from 0 to
    1.

    A score whose denominator is zero is 0. "Micro" counts every decision alike, "macro" every label
    alike.

    Args:
        labels: 0/1 (N, C).
        probabilities: float (N, C), each between 0 and 1.
        threshold: a label is predicted where its probability is at least this.

    Returns:
        {"exact_match_ratio": examples with every label right; "precision_micro", "recall_micro",
        "f1_micro"; "precision_macro", "recall_macro", "f1_macro"; "threshold"; and "roc_auc", the
        mean over the labels that some examples have and some have not, if there is one}, floats.

    Raises:
        ValueError: shapes disagree, a value is not finite, a label is neither 0 nor 1, or a
            probability is outside [0, 1].
    """
    from sklearn.metrics import accuracy_score, roc_auc_score

    labels, probabilities = _checked_indicators(labels, probabilities)
    predictions = (probabilities >= threshold).astype("int64")
    scores = {"exact_match_ratio": accuracy_score(labels, predictions)}
    for average in ("micro", "macro"):
        scores |= {
            f"{name}_{average}": value
            for name, value in _averages(labels, predictions, average).items()
        }
    scores["threshold"] = threshold
    occur = (labels.min(axis=0) == 0) & (labels.max(axis=0) == 1)
    if occur.any():
        scores["roc_auc"] = np.mean(
            [roc_auc_score(labels[:, n], probabilities[:, n]) for n in np.flatnonzero(occur)]
        )
    return python_floats(scores)


def best_threshold(labels, probabilities):
    """The threshold of `multilabel_scores` with the highest micro F1; tune it on validation data,
    never on the test set.

    Micro, because one threshold serves all labels and micro F1 counts all decisions: macro F1 lets
    the few examples of a rare label move the threshold of every other, and would tune to noise. Of
    equally good thresholds, the nearest to 0.5.

    Args:
        labels: 0/1 (N, C).
        probabilities: float (N, C).

    Returns:
        float; 0.5 if no example has any label.
    """
    from sklearn.metrics import precision_recall_curve

    labels, probabilities = _checked_indicators(labels, probabilities)
    if not labels.any():
        return 0.5
    precision, recall, thresholds = precision_recall_curve(labels.ravel(), probabilities.ravel())
    # The curve's last point, recall 0, stands for no threshold.
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = thresholds[np.isclose(f1, f1.max(), rtol=0.0, atol=1e-12)]
    return float(best[np.abs(best - 0.5).argmin()])


def regression_scores(labels, predictions, train_labels=None):
    """Scores of predicted numbers.

    Args:
        labels, predictions: float (N,), in the same unit.
        train_labels: float (M,), the labels trained on, whose mean is the baseline. None: the mean
            of `labels`.

    Returns:
        {"mse": in the unit squared; "mae": in the unit; "pearson", "spearman": correlations, 0
        where labels or predictions are all the same; "r2": 0 where the labels are;
        "mean_baseline_mse": of always predicting the mean}, floats.

    Raises:
        ValueError: shapes disagree, or a value is not finite.
    """
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    labels, predictions = finite("labels", labels), finite("predictions", predictions)
    if labels.shape != predictions.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels and predictions must both have shape (N,), N at least 1. Received: "
            f"{labels.shape} and {predictions.shape}."
        )
    baseline = (
        labels.mean() if train_labels is None else finite("train_labels", train_labels).mean()
    )
    # Not the deviation: that of equal numbers is often a little more than 0, for their mean is
    # rounded.
    labels_vary, predictions_vary = np.ptp(labels) > 0, np.ptp(predictions) > 0
    vary = labels_vary and predictions_vary
    scores = {
        "mse": mean_squared_error(labels, predictions),
        "mae": mean_absolute_error(labels, predictions),
        "pearson": pearsonr(labels, predictions).statistic if vary else 0.0,
        "spearman": spearmanr(labels, predictions).statistic if vary else 0.0,
        "r2": r2_score(labels, predictions) if labels_vary else 0.0,
        "mean_baseline_mse": ((labels - baseline) ** 2).mean(),
    }
    return python_floats(scores)


def _averages(labels, predictions, average):
    from sklearn.metrics import precision_recall_fscore_support

    asked = _only_label(labels)
    values = precision_recall_fscore_support(
        labels, predictions, labels=asked, average=average, zero_division=0.0
    )
    return dict(zip(("precision", "recall", "f1"), values))


def _only_label(labels):
    """What to ask scikit-learn for where a table of 0 and 1 has one column, which it takes for
    examples of two classes."""
    return [1] if np.ndim(labels) == 2 and np.shape(labels)[1] == 1 else None


def python_floats(scores):
    """NumPy's numbers as Python's, which JSON can write."""
    return {name: float(value) for name, value in scores.items()}


def finite(name, values):
    """float64 array of `values`; ValueError if one of them is NaN or infinite."""
    values = np.asarray(values).astype("float64")
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        raise ValueError(
            f"{name} must be finite numbers. Received: {values[tuple(wrong[0])]} in row "
            f"{wrong[0][0]} and "
            f"{len(wrong) - 1} more. A training that diverged gives these: lower --learning_rate."
        )
    return values


def _checked_pair(labels, probabilities, shape):
    """Both as arrays, labels int64, probabilities float64 (N, C); ValueError if one is not
    finite or outside [0, 1]."""
    labels, probabilities = finite("labels", labels), finite("probabilities", probabilities)
    if (
        probabilities.ndim != 2
        or labels.shape != probabilities.shape[: len(shape)]
        or not labels.size
    ):
        raise ValueError(
            f"labels must have shape ({', '.join(shape)}{',' * (len(shape) == 1)}) and "
            f"probabilities (N, C), N at least 1. "
            f"Received: {labels.shape} and {probabilities.shape}."
        )
    if probabilities.min() < 0.0 or probabilities.max() > 1.0:
        raise ValueError(
            "probabilities must lie between 0 and 1. "
            f"Received: {probabilities.min():g} to {probabilities.max():g}. Use the softmax or "
            f"sigmoid of the logits."
        )
    return labels.astype("int64"), probabilities


def _checked_classes(labels, probabilities):
    """As `_checked_pair`, for one class an example; rows add up to 1 in float64, whatever
    precision they came in."""
    given = labels
    labels, probabilities = _checked_pair(labels, probabilities, ("N",))
    classes, totals = probabilities.shape[1], probabilities.sum(axis=1)
    wrong = (labels < 0) | (labels >= classes) | (labels != np.asarray(given).astype("float64"))
    if classes < 2 or wrong.any():
        received = f"{np.asarray(given)[wrong][0]}" if wrong.any() else f"{classes} class"
        raise ValueError(
            f"labels must be classes from 0 to C - 1, C at least 2. Received: {received} where C "
            f"= "
            f"{classes}."
        )
    # bfloat16 rounds each probability by up to 0.4 %.
    if np.abs(totals - 1.0).max() > 0.01:
        total = totals[np.abs(totals - 1.0).argmax()]
        raise ValueError(
            f"each row of probabilities must add up to 1. Received: {total:g}. Use the softmax of "
            f"the logits."
        )
    return labels, probabilities / totals[:, None]


def _checked_indicators(labels, probabilities):
    """As `_checked_pair`, for any number of labels an example."""
    given = np.asarray(labels)
    labels, probabilities = _checked_pair(labels, probabilities, ("N", "C"))
    if not np.isin(given, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1. Received: {given[~np.isin(given, (0, 1))][0]}.")
    return labels, probabilities
