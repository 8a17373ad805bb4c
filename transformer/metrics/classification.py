"""Metrics of translation, classification, multi-label classification and regression.

Each is a pure function of references and predictions that returns {name: value}. They run on the
host, in NumPy, sacreBLEU, scikit-learn and SciPy. The module also holds the argument checks that
the other metrics share.
"""

import math

import numpy as np

from transformer.config import ConfigError, base_language

# sacreBLEU's tokenizers for languages whose words it cannot find by spaces and punctuation. All
# other languages use "13a".
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
# Ends the code of a language whose texts are already split into words. It is a private-use subtag
# of BCP 47 (RFC 5646, section 2.2.7).
TOKENIZED = "-x-tok"


def check_pairs(references, predictions):
    """Checks that references and predictions are equal in number, and at least one.

    Args:
        references: list with one entry for each example.
        predictions: list with one entry for each example.

    Raises:
        ValueError: if the two lists differ in length or are empty.
    """
    if len(references) != len(predictions) or not references:
        raise ValueError(
            "references and predictions must be as many as each other, and at least one. "
            f"Received: {len(references)} references, {len(predictions)} predictions."
        )


def bleu_metric(language=""):
    """Returns sacreBLEU's BLEU with the tokenizer of the target language.

    Args:
        language: code of the target language. A code that ends in "-x-tok", such as "de-x-tok",
            means that the texts are already split into words, so they are only split at spaces.

    Returns:
        A `sacrebleu.metrics.BLEU`.

    Raises:
        ConfigError: if the language needs a package that is not installed.
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
    """Scores translations with BLEU, chrF, TER and exact match.

    BLEU, chrF (Popovic 2015) and TER (Snover et al. 2006) are computed by sacreBLEU (Post 2018).
    Their signatures are returned too.

    Args:
        references: list of str, one for each example, raw (detokenized) text.
        predictions: list of str, one for each example, raw (detokenized) text.
        language: code of the target language, as for `bleu_metric`.
        confidence: whether to compute what takes longer too: TER, and the 95 % confidence interval
            of BLEU by bootstrap resampling with 1,000 samples (Koehn 2004).

    Returns:
        {"bleu", "chrf", "exact_match", "bleu_signature", "chrf_signature"}, the scores in percent.
        With `confidence` also "ter" (edits in percent of the reference's words, lower is better),
        "ter_signature", "bleu_mean" (mean over the bootstrap samples) and "bleu_interval" (half
        the width of the interval).

    Raises:
        ValueError: if the two lists differ in length or are empty.
        ConfigError: if the language needs a package that is not installed.
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
    """Returns the chrF of each pair of texts.

    Args:
        references: list of str.
        predictions: list of str, one for each reference.

    Returns:
        list of float, in percent.
    """
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    return [
        chrf.sentence_score(prediction, [reference]).score
        for reference, prediction in zip(references, predictions)
    ]


def perplexity(loss):
    """Returns exp(loss) for a mean loss in nats, or infinity where that would overflow."""
    return math.exp(loss) if loss < 700 else math.inf


def classification_scores(labels, probabilities, train_labels=None):
    """Scores a classifier that predicts one class for each example.

    Scores are fractions from 0 to 1, as in scikit-learn. A score whose denominator is zero is 0,
    such as the precision of a class that is never predicted. Averages are over the classes that
    occur in labels or predictions, which is scikit-learn's default.

    Args:
        labels: int (N,), classes from 0 to C - 1.
        probabilities: float (N, C), each row adding up to 1. The prediction is the class with the
            largest probability, the first one in a tie.
        train_labels: int (M,), the labels of the training data, which give the majority class of
            the baseline. None takes it from `labels`, which makes the baseline look better.

    Returns:
        dict of float:
        "accuracy"; "precision", "recall" and "f1": means over classes (macro); "f1_micro": equal to
        the accuracy here; "f1_weighted": weighted by support; "matthews": Matthews correlation
        coefficient, -1 to 1; "majority_baseline": accuracy of always predicting the most common
        class; "calibration_error": expected calibration error over 15 bins (Guo et al. 2017,
        equation 3); "log_loss": in nats; "roc_auc": of class 1, only if C = 2 and both classes
        occur in `labels`.

    Raises:
        ValueError: if the shapes disagree, a value is not finite, a label is not a class, or a row
            is not a probability distribution.
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
        # For a single class scikit-learn returns 0 too, but with a warning.
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
    """Returns precision, recall, F1 and support of each class or label.

    Args:
        labels: int (N,), classes. For multi-label data, 0/1 (N, C), one column for each label.
        predictions: int, same shape as `labels`.
        names: C str, the names of the classes or labels.

    Returns:
        list of {"name", "precision", "recall", "f1", "support"}, in the order of `names`. The
        scores are fractions, 0 where undefined. "support" is the number of examples, an int.
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
    """Groups predictions by confidence and returns how many of each group are right.

    The bins have equal width and are open on the left: (low, high] (Guo et al. 2017, section 2).

    Args:
        labels: int (N,), classes from 0 to C - 1.
        probabilities: float (N, C). The largest probability of a row is the confidence of its
            prediction.
        bins: number of bins between 0 and 1.

    Returns:
        list of {"low", "high", "count", "confidence", "accuracy"}, one for each bin that holds an
        example. "confidence" is the mean confidence of the bin.

    Raises:
        ValueError: as for `classification_scores`.
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
    """Scores a classifier that predicts any number of labels for each example.

    Scores are fractions from 0 to 1. A score whose denominator is zero is 0. "Micro" averages give
    every decision the same weight, "macro" averages every label.

    Args:
        labels: 0/1 (N, C).
        probabilities: float (N, C), each between 0 and 1.
        threshold: a label is predicted if its probability is at least this.

    Returns:
        dict of float:
        "exact_match_ratio": share of examples with every label right; "precision_micro",
        "recall_micro", "f1_micro"; "precision_macro", "recall_macro", "f1_macro"; "threshold";
        "roc_auc": mean over the labels that some examples have and others lack, only if there is
        such a label.

    Raises:
        ValueError: if the shapes disagree, a value is not finite, a label is neither 0 nor 1, or a
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
    """Finds the threshold of `multilabel_scores` with the highest micro F1.

    Tune the threshold on validation data, never on the test set. Micro F1 fits because one
    threshold serves all labels, and micro F1 counts all decisions. With macro F1 the few examples
    of a rare label would move the threshold of all other labels, so the threshold would fit noise.
    Among equally good thresholds, the one nearest to 0.5 is returned.

    Args:
        labels: 0/1 (N, C).
        probabilities: float (N, C), each between 0 and 1.

    Returns:
        float, the threshold. 0.5 if no example has a label.

    Raises:
        ValueError: as for `multilabel_scores`.
    """
    from sklearn.metrics import precision_recall_curve

    labels, probabilities = _checked_indicators(labels, probabilities)
    if not labels.any():
        return 0.5
    precision, recall, thresholds = precision_recall_curve(labels.ravel(), probabilities.ravel())
    # The last point of the curve, with recall 0, belongs to no threshold.
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = thresholds[np.isclose(f1, f1.max(), rtol=0.0, atol=1e-12)]
    return float(best[np.abs(best - 0.5).argmin()])


def regression_scores(labels, predictions, train_labels=None):
    """Scores predicted numbers.

    Args:
        labels: float (N,).
        predictions: float (N,), in the same unit as `labels`.
        train_labels: float (M,), the labels of the training data. Their mean is the prediction of
            the baseline. None uses the mean of `labels`.

    Returns:
        dict of float:
        "mse": in the unit squared; "mae": in the unit; "pearson" and "spearman": correlations, 0
        where all labels or all predictions are equal; "r2": 0 where all labels are equal;
        "mean_baseline_mse": error of always predicting the mean.

    Raises:
        ValueError: if the shapes disagree or a value is not finite.
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
    # The standard deviation would not do: for equal numbers it is often slightly above 0, because
    # their mean is rounded.
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
    """Returns `labels=` for scikit-learn: [1] for a single column of 0/1, else None.

    Without it, scikit-learn would read a single column as examples of two classes.
    """
    return [1] if np.ndim(labels) == 2 and np.shape(labels)[1] == 1 else None


def python_floats(scores):
    """Returns a dict of NumPy scores as Python floats, which JSON can store."""
    return {name: float(value) for name, value in scores.items()}


def finite(name, values):
    """Converts values to float64 and checks that they are finite.

    Args:
        name: name of the argument, for the error message.
        values: array-like of numbers, any shape.

    Returns:
        float64 array of the same shape.

    Raises:
        ValueError: if a value is NaN or infinite.
    """
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
    """Checks labels and probabilities, and returns them as int64 and float64 arrays.

    Args:
        labels: array-like, (N,) or (N, C).
        probabilities: array-like, (N, C).
        shape: names of the dimensions of `labels`, ("N",) or ("N", "C").

    Raises:
        ValueError: if the shapes disagree, a value is not finite, or a probability is outside
            [0, 1].
    """
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
    """Calls `_checked_pair` for one class per example, and checks classes and row sums.

    The returned rows add up to 1 in float64, whatever precision the probabilities came in.
    """
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
    # bfloat16 rounds each probability by up to 0.4 %, so the sum gets some tolerance.
    if np.abs(totals - 1.0).max() > 0.01:
        total = totals[np.abs(totals - 1.0).argmax()]
        raise ValueError(
            f"each row of probabilities must add up to 1. Received: {total:g}. Use the softmax of "
            f"the logits."
        )
    return labels, probabilities / totals[:, None]


def _checked_indicators(labels, probabilities):
    """Calls `_checked_pair` for any number of labels per example, and checks that they are 0/1."""
    given = np.asarray(labels)
    labels, probabilities = _checked_pair(labels, probabilities, ("N", "C"))
    if not np.isin(given, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1. Received: {given[~np.isin(given, (0, 1))][0]}.")
    return labels, probabilities
