"""Metrics of question answering: exact match and F1 of SQuAD and CMRC 2018.

The module also tunes the threshold above which a model answers "no answer".
"""

import collections
import difflib
import re
import string

import numpy as np

from transformer.config import base_language
from transformer.metrics.classification import check_pairs, finite, python_floats

# The signs that CMRC 2018's script removes from an answer. The script also lists the doubled
# ellipsis, but as one two-character sign. It compares single characters, so it never removes that
# one. This set leaves it out too, to keep the scores comparable with published ones.
_CMRC_SIGNS = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def span_scores(references, predictions, language=""):
    """Returns exact match and F1 over all questions, as SQuAD defines them.

    The scores are in percent, as in the official scripts and in `translation_scores`. Each score
    is the mean over questions. `span_matches` describes how one question is scored.

    Args:
        references: list with one list of str for each question, the accepted answers. An empty list
            means that the text does not answer the question.
        predictions: list of str, one for each question. "" means no answer.
        language: language code. "zh" uses the rules of CMRC 2018, any other code those of SQuAD.

    Returns:
        {"exact_match", "f1"}, in percent. If some but not all questions have an answer, also
        {"answerable_exact_match", "answerable_f1", "unanswerable_exact_match"}: the same scores
        over each kind of question.

    Raises:
        ValueError: if the two lists differ in length or are empty, or if the references of a
            question are a str.
    """
    matches = 100.0 * np.asarray(span_matches(references, predictions, language))  # (N, 2)
    scores = dict(zip(("exact_match", "f1"), matches.mean(axis=0)))
    answerable = np.asarray([any(answers) for answers in references])
    if answerable.any() and not answerable.all():
        scores |= zip(("answerable_exact_match", "answerable_f1"), matches[answerable].mean(axis=0))
        scores["unanswerable_exact_match"] = matches[~answerable, 0].mean()
    return python_floats(scores)


def span_matches(references, predictions, language=""):
    """Returns exact match and F1 of each question, the best over its accepted answers.

    SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): texts are compared in lowercase, without
    punctuation and without the articles a, an, the. F1 is over bags of words. If the reference or
    the prediction is empty, both scores are 1 if both texts are empty, else 0.

    CMRC 2018 (Cui et al. 2019), for Chinese: texts are compared without the signs that its script
    lists. A token is a Chinese character or a word of another script. F1 counts the longest run of
    tokens that the two texts share. The official script splits the other scripts with NLTK. Here
    words, numbers and signs are tokens, so words such as "don't" are split differently.

    Args:
        references: list with one list of str for each question, the accepted answers. An empty list
            means that the text does not answer the question.
        predictions: list of str, one for each question. "" means no answer.
        language: language code. "zh" uses the rules of CMRC 2018, any other code those of SQuAD.

    Returns:
        list of (exact match, F1), one for each question. Exact match is 0 or 1, F1 from 0 to 1.

    Raises:
        ValueError: if the two lists differ in length or are empty, or if the references of a
            question are a str.
    """
    check_pairs(references, predictions)
    if any(isinstance(answers, str) for answers in references):
        raise ValueError(
            "each question's references must be a list of answers. Received: a str. Use "
            '["answer"].'
        )
    chinese = base_language(language) == "zh"
    normal, tokens, overlap = (
        (_cmrc_text, _cmrc_tokens, _longest_run)
        if chinese
        else (_squad_text, str.split, _shared_words)
    )
    matches = []
    for answers, prediction in zip(references, predictions):
        prediction = normal(prediction)
        # As in SQuAD 2.0's script, an answer of only articles and punctuation counts as no answer.
        answers = list(filter(None, map(normal, answers))) or [""]
        exact = float(prediction in answers)
        f1 = max(_token_f1(tokens(answer), tokens(prediction), overlap) for answer in answers)
        matches.append((exact, f1))
    return matches


def commonest_answers(answers, answer_kinds, kinds):
    """Returns the most common training answer of each question's kind, as a baseline.

    Args:
        answers: list of str, the answers of the training data, at least one.
        answer_kinds: list of str, the kind of the question of each training answer.
        kinds: list of str, the kinds of the questions to answer.

    Returns:
        list of str, one for each of `kinds`. Among equally common answers, the first one. If no
        training question has the kind, the most common answer of all.
    """
    counts, overall = collections.defaultdict(collections.Counter), collections.Counter(answers)
    for answer, kind in zip(answers, answer_kinds, strict=True):
        counts[kind][answer] += 1
    return [counts.get(kind, overall).most_common(1)[0][0] for kind in kinds]


def apply_no_answer_threshold(predictions, no_answer_scores, threshold):
    """Replaces predictions by "" where the score of "no answer" is above the threshold.

    Args:
        predictions: list of str, the best span of each question.
        no_answer_scores: float (N,), higher where the text is less likely to hold an answer. Either
            a probability, or the logit of "no answer" minus the logit of the span.
        threshold: float. Scores above it mean "no answer".

    Returns:
        list of str, the predictions.
    """
    return [
        "" if score > threshold else text
        for text, score in zip(predictions, no_answer_scores, strict=True)
    ]


def best_no_answer_threshold(references, predictions, no_answer_scores, language=""):
    """Finds the threshold of `apply_no_answer_threshold` with the highest F1, as SQuAD 2.0 does.

    Tune the threshold on validation data, never on the test set. Among equally good thresholds, the
    lowest one is returned. SQuAD 2.0's script starts its search at 0.0, which is below every score
    only if the scores are probabilities. Here the search starts just below the lowest score.

    Args:
        references: list with one list of str for each question, the accepted answers.
        predictions: list of str, one for each question, before any threshold is applied.
        no_answer_scores: float (N,), as for `apply_no_answer_threshold`.
        language: language code, as for `span_scores`.

    Returns:
        float, the threshold.

    Raises:
        ValueError: if a score is not finite, or as for `span_scores`.
    """
    scores = finite("no_answer_scores", no_answer_scores)
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
    """Returns F1, where 2 P R / (P + R) = 2 * overlap / (tokens of both)."""
    if not answer or not prediction:
        return float(answer == prediction)
    return 2.0 * overlap(answer, prediction) / (len(answer) + len(prediction))
