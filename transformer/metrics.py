"""Scores of predictions against references: pure functions (references, predictions) -> {name: value}, on the host."""

import collections
import difflib
import math
import re
import string

import numpy as np

from transformer.config import ConfigError, base_language

# The tokenizers of sacreBLEU for languages that write no spaces; all others have 13a.
_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}

# What CMRC 2018's script takes out of an answer. It lists the doubled ellipsis as one sign and compares single characters,
# so that one stays in; so it does here, or scores would not compare with published ones.
_CMRC_SIGNS = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def bleu_metric(language=""):
    """sacreBLEU's BLEU with the tokenizer of a target language.

    Raises:
        ConfigError: the language needs a package that is not installed.
    """
    from sacrebleu.metrics import BLEU

    try:
        return BLEU(tokenize=_TOKENIZERS.get(base_language(language), "13a"))
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"the target language must be one that BLEU can split into words. Received: {language!r} "
            f"({str(error).strip().splitlines()[0]}). Use pip install 'sacrebleu[{base_language(language)}]'."
        ) from None


def translation_scores(references, predictions, language="", confidence=True):
    """sacreBLEU (Post 2018) and chrF (Popovic 2015) with signatures, and exact match.

    Args:
        references, predictions: lists of str, one pair a line, raw (detokenised) text.
        language: the target's code; "zh", "ja" and "ko" choose sacreBLEU's tokenizer, any other the default 13a.
        confidence: also the 95 % interval of BLEU by bootstrap resampling, 1,000 samples (Koehn 2004).

    Returns:
        {"bleu", "chrf", "exact_match": percent, "bleu_signature", "chrf_signature"} and, with confidence,
        "bleu_mean" and "bleu_interval" (half its width).

    Raises:
        ValueError: the two lists differ in length, or are empty.
    """
    from sacrebleu.metrics import CHRF

    if len(references) != len(predictions) or not references:
        raise ValueError(
            "references and predictions must be as many as each other, and at least one. "
            f"Received: {len(references)} references, {len(predictions)} predictions."
        )
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
        scores |= {"bleu_mean": result._mean, "bleu_interval": result._ci}
    return scores


def sentence_chrf(references, predictions):
    """chrF of each pair of texts, a list of float, percent. Arguments: as for `translation_scores`."""
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    return [chrf.sentence_score(prediction, [reference]).score for reference, prediction in zip(references, predictions)]


def perplexity(loss):
    """exp(loss) of a mean loss in nats; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf


def classification_scores(labels, probabilities, train_labels=None):
    """Scores of a classifier that gives each example one class, as fractions from 0 to 1 like scikit-learn's.

    A score whose denominator is zero (the precision of a class never predicted) is 0. Averages go over the classes that
    occur in labels or predictions, scikit-learn's default.

    Args:
        labels: int (N,), classes from 0 to C - 1.
        probabilities: float (N, C), each row adding up to 1. The prediction is the largest, the first of equals.
        train_labels: int (M,), the labels trained on. None: the baseline is read from `labels`, which flatters it.

    Returns:
        {"accuracy"; "precision", "recall", "f1": means over classes (macro); "f1_micro", which is the accuracy here;
        "f1_weighted" by support; "matthews": the correlation coefficient, -1 to 1; "majority_baseline": accuracy of always
        saying the commonest class; "calibration_error": expected, over 15 bins (Guo et al. 2017, equation 3); "log_loss":
        nats; and for C = 2, where both classes occur, "roc_auc" of class 1}, floats.

    Raises:
        ValueError: shapes disagree, a value is not finite, a label is no class, or rows are no probabilities.
    """
    from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef, roc_auc_score

    labels, probabilities = _checked_classes(labels, probabilities)
    predictions = probabilities.argmax(axis=1)
    bins = calibration_bins(labels, probabilities)
    commonest = np.bincount(labels if train_labels is None else np.asarray(train_labels, dtype="int64")).argmax()
    scores = {
        "accuracy": accuracy_score(labels, predictions),
        **_averages(labels, predictions, "macro"),
        "f1_micro": f1_score(labels, predictions, average="micro", zero_division=0.0),
        "f1_weighted": f1_score(labels, predictions, average="weighted", zero_division=0.0),
        # Of a single class, scikit-learn says 0 too, with a warning.
        "matthews": matthews_corrcoef(labels, predictions) if len(np.union1d(labels, predictions)) > 1 else 0.0,
        "majority_baseline": (labels == commonest).mean(),
        "calibration_error": sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / len(labels),
        "log_loss": log_loss(labels, probabilities, labels=range(probabilities.shape[1])),
    }
    if probabilities.shape[1] == 2 and len(np.unique(labels)) == 2:
        scores["roc_auc"] = roc_auc_score(labels, probabilities[:, 1])
    return _floats(scores)


def per_class_scores(labels, predictions, names):
    """Precision, recall and F1 (fractions; 0 where undefined) and the count of examples of every class or label.

    Args:
        labels, predictions: int (N,), classes; or 0/1 (N, C), a column for each label.
        names: C str.

    Returns:
        list of {"name", "precision", "recall", "f1", "support": int}, in the order of `names`.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, predictions, labels=range(len(names)), zero_division=0.0)
    return [
        {"name": name, "precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
        for name, precision, recall, f1, support in zip(names, *columns)
    ]


def calibration_bins(labels, probabilities, bins=15):
    """How often predictions of each confidence are right (Guo et al. 2017, section 2): bins of equal width, (low, high].

    Args:
        labels: int (N,). probabilities: float (N, C); the confidence of a prediction is its probability.

    Returns:
        list of {"low", "high", "count", "confidence": mean, "accuracy"}, of the bins that hold an example.
    """
    labels, probabilities = _checked_classes(labels, probabilities)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
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
    """Scores of a classifier that gives each example any number of labels, as fractions from 0 to 1.

    A score whose denominator is zero is 0. "Micro" counts every decision alike, "macro" every label alike.

    Args:
        labels: 0/1 (N, C). probabilities: float (N, C), each between 0 and 1.
        threshold: a label is predicted where its probability is at least this.

    Returns:
        {"exact_match_ratio": examples with every label right; "precision_micro", "recall_micro", "f1_micro";
        "precision_macro", "recall_macro", "f1_macro"; "threshold"; and "roc_auc", the mean over the labels that some
        examples have and some have not, if there is one}, floats.

    Raises:
        ValueError: shapes disagree, a value is not finite, a label is neither 0 nor 1, or a probability is outside [0, 1].
    """
    from sklearn.metrics import accuracy_score, roc_auc_score

    labels, probabilities = _checked_indicators(labels, probabilities)
    predictions = (probabilities >= threshold).astype("int64")
    scores = {"exact_match_ratio": accuracy_score(labels, predictions)}
    for average in ("micro", "macro"):
        scores |= {f"{name}_{average}": value for name, value in _averages(labels, predictions, average).items()}
    scores["threshold"] = threshold
    occur = (labels.min(axis=0) == 0) & (labels.max(axis=0) == 1)
    if occur.any():
        scores["roc_auc"] = np.mean([roc_auc_score(labels[:, n], probabilities[:, n]) for n in np.flatnonzero(occur)])
    return _floats(scores)


def best_threshold(labels, probabilities):
    """The threshold of `multilabel_scores` with the highest micro F1; tune it on validation data, never on the test set.

    Micro, because one threshold serves all labels and micro F1 counts all decisions: macro F1 lets the few examples of a
    rare label move the threshold of every other, and would tune to noise. Of equally good thresholds, the nearest to 0.5.

    Args:
        labels: 0/1 (N, C). probabilities: float (N, C).

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
        train_labels: float (M,), the labels trained on, whose mean is the baseline. None: the mean of `labels`.

    Returns:
        {"mse": in the unit squared; "mae": in the unit; "pearson", "spearman": correlations, 0 where labels or predictions
        are all the same; "r2": 0 where there is one example; "mean_baseline_mse": of always predicting the mean}, floats.

    Raises:
        ValueError: shapes disagree, or a value is not finite.
    """
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    labels, predictions = _finite("labels", labels), _finite("predictions", predictions)
    if labels.shape != predictions.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels and predictions must both have shape (N,), N at least 1. Received: {labels.shape} and {predictions.shape}."
        )
    baseline = labels.mean() if train_labels is None else _finite("train_labels", train_labels).mean()
    vary = np.ptp(labels) > 0 and np.ptp(predictions) > 0
    scores = {
        "mse": mean_squared_error(labels, predictions),
        "mae": mean_absolute_error(labels, predictions),
        "pearson": pearsonr(labels, predictions).statistic if vary else 0.0,
        "spearman": spearmanr(labels, predictions).statistic if vary else 0.0,
        "r2": r2_score(labels, predictions) if len(labels) > 1 else 0.0,
        "mean_baseline_mse": ((labels - baseline) ** 2).mean(),
    }
    return _floats(scores)


def span_scores(references, predictions, language=""):
    """SQuAD's exact match and F1, in percent as the official scripts and `translation_scores` give them.

    The rules of a question are those of `span_matches`; a score is the mean over questions.

    Args:
        references: for each question a list of str, the accepted answers; empty: the text does not answer it.
        predictions: list of str, one a question; "": no answer.
        language: "zh" takes CMRC 2018's rules, any other SQuAD's.

    Returns:
        {"exact_match", "f1"} and, where some questions have no answer, the same of both kinds of question:
        {"answerable_exact_match", "answerable_f1", "unanswerable_exact_match"}, percent.

    Raises:
        ValueError: the two lists differ in length, or are empty.
    """
    matches = 100.0 * np.asarray(span_matches(references, predictions, language))  # (N, 2)
    scores = dict(zip(("exact_match", "f1"), matches.mean(axis=0)))
    answerable = np.asarray([any(answers) for answers in references])
    if answerable.any() and not answerable.all():
        scores |= zip(("answerable_exact_match", "answerable_f1"), matches[answerable].mean(axis=0))
        scores["unanswerable_exact_match"] = matches[~answerable, 0].mean()
    return _floats(scores)


def span_matches(references, predictions, language=""):
    """Exact match and F1 of each question, the best over its accepted answers.

    SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): in lower case without punctuation and the articles a, an, the; F1 of
    the bag of words. Where one of the two texts is empty, both scores are 1 if both are and 0 if not.
    CMRC 2018 (Cui et al. 2019), for Chinese: without its list of signs; a token is a Chinese character or a word of other
    script, and F1 is that of the longest run of tokens that the two share. The official script splits the other scripts
    with NLTK; here words, numbers and signs are tokens, which differs in such as "don't".

    Args and errors as for `span_scores`.

    Returns:
        list of (exact match, 0 or 1; F1, 0 to 1).
    """
    if len(references) != len(predictions) or not references:
        raise ValueError(
            "references and predictions must be as many as each other, and at least one. "
            f"Received: {len(references)} references, {len(predictions)} predictions."
        )
    if any(isinstance(answers, str) for answers in references):
        raise ValueError('each question\'s references must be a list of answers. Received: a str. Use ["answer"].')
    chinese = base_language(language) == "zh"
    normal, tokens, overlap = (_cmrc_text, _cmrc_tokens, _longest_run) if chinese else (_squad_text, str.split, _shared_words)
    matches = []
    for answers, prediction in zip(references, predictions):
        prediction = normal(prediction)
        # An answer that is nothing but articles and punctuation counts as none, as in the script of SQuAD 2.0.
        answers = list(filter(None, map(normal, answers))) or [""]
        exact = float(prediction in answers)
        f1 = max(_token_f1(tokens(answer), tokens(prediction), overlap) for answer in answers)
        matches.append((exact, f1))
    return matches


def apply_no_answer_threshold(predictions, no_answer_scores, threshold):
    """Predictions with "" in place of those whose score of "no answer" is above the threshold.

    Args:
        predictions: list of str, each question's best span. no_answer_scores: float (N,), higher where there seems to be
            no answer: a probability, or the logit of no answer less that of the span.
    """
    return ["" if score > threshold else text for text, score in zip(predictions, no_answer_scores, strict=True)]


def best_no_answer_threshold(references, predictions, no_answer_scores, language=""):
    """The threshold of `apply_no_answer_threshold` with the highest F1, as SQuAD 2.0's script finds it.

    Tune it on validation data, never on the test set. Of equally good thresholds the lowest. The script starts from 0.0,
    which is below every score only if scores are probabilities; here the start is below the lowest score.

    Args:
        references, predictions, language: as for `span_scores`; predictions before any threshold.
        no_answer_scores: float (N,).
    """
    scores = _finite("no_answer_scores", no_answer_scores)
    answered = np.asarray(span_matches(references, predictions, language))[:, 1]
    blank = np.asarray(span_matches(references, [""] * len(predictions), language))[:, 1]
    thresholds = np.concatenate([[np.nextafter(scores.min(), -np.inf)], np.unique(scores)])
    totals = [np.where(scores > threshold, blank, answered).sum() for threshold in thresholds]
    return float(thresholds[np.argmax(np.round(totals, 9))])


def _squad_text(text):
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _cmrc_text(text):
    return "".join(character for character in text.lower().strip() if character not in _CMRC_SIGNS)


def _cmrc_tokens(text):
    return re.findall(r"[\u4e00-\u9fa5]|\d+(?:[.,]\d+)+|[^\W\u4e00-\u9fa5]+|[^\w\s]", text)


def _shared_words(first, second):
    return (collections.Counter(first) & collections.Counter(second)).total()


def _longest_run(first, second):
    return difflib.SequenceMatcher(None, first, second, autojunk=False).find_longest_match().size


def _token_f1(answer, prediction, overlap):
    """2 P R / (P + R) is 2 x overlap / (tokens of both)."""
    if not answer or not prediction:
        return float(answer == prediction)
    return 2.0 * overlap(answer, prediction) / (len(answer) + len(prediction))


def _averages(labels, predictions, average):
    from sklearn.metrics import precision_recall_fscore_support

    values = precision_recall_fscore_support(labels, predictions, average=average, zero_division=0.0)
    return dict(zip(("precision", "recall", "f1"), values))


def _floats(scores):
    """NumPy's numbers as Python's, which JSON can write."""
    return {name: float(value) for name, value in scores.items()}


def _finite(name, values):
    """float64 array of `values`; ValueError if one of them is NaN or infinite."""
    values = np.asarray(values).astype("float64")
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        raise ValueError(
            f"{name} must be finite numbers. Received: {values[tuple(wrong[0])]} in row {wrong[0][0]} and "
            f"{len(wrong) - 1} more. A training that diverged gives these: lower --learning_rate."
        )
    return values


def _checked_pair(labels, probabilities, shape):
    """Both as arrays, labels int64, probabilities float64 (N, C); ValueError if one is not finite or outside [0, 1]."""
    labels, probabilities = _finite("labels", labels), _finite("probabilities", probabilities)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[: len(shape)] or not labels.size:
        raise ValueError(
            f"labels must have shape ({', '.join(shape)}{',' * (len(shape) == 1)}) and probabilities (N, C), N at least 1. "
            f"Received: {labels.shape} and {probabilities.shape}."
        )
    if probabilities.min() < 0.0 or probabilities.max() > 1.0:
        raise ValueError(
            "probabilities must lie between 0 and 1. "
            f"Received: {probabilities.min():g} to {probabilities.max():g}. Use the softmax or sigmoid of the logits."
        )
    return labels.astype("int64"), probabilities


def _checked_classes(labels, probabilities):
    """As `_checked_pair`, for one class an example; rows add up to 1 in float64, whatever precision they came in."""
    given = labels
    labels, probabilities = _checked_pair(labels, probabilities, ("N",))
    classes, totals = probabilities.shape[1], probabilities.sum(axis=1)
    wrong = (labels < 0) | (labels >= classes) | (labels != np.asarray(given).astype("float64"))
    if classes < 2 or wrong.any():
        received = f"{np.asarray(given)[wrong][0]}" if wrong.any() else f"{classes} class"
        raise ValueError(f"labels must be classes from 0 to C - 1, C at least 2. Received: {received} where C = {classes}.")
    # bfloat16 rounds each probability by up to 0.4 %.
    if np.abs(totals - 1.0).max() > 0.01:
        total = totals[np.abs(totals - 1.0).argmax()]
        raise ValueError(f"each row of probabilities must add up to 1. Received: {total:g}. Use the softmax of the logits.")
    return labels, probabilities / totals[:, None]


def _checked_indicators(labels, probabilities):
    """As `_checked_pair`, for any number of labels an example."""
    given = np.asarray(labels)
    labels, probabilities = _checked_pair(labels, probabilities, ("N", "C"))
    if not np.isin(given, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1. Received: {given[~np.isin(given, (0, 1))][0]}.")
    return labels, probabilities
