"""Scores of answers found in a text: SQuAD's and CMRC 2018's exact match and F1, and the
threshold of "no answer"."""

import collections
import difflib
import re
import string

import numpy as np

from transformer.config import base_language
from transformer.metrics.classification import check_pairs, finite, python_floats

# What CMRC 2018's script takes out of an answer. It lists the doubled ellipsis as one sign and
# compares single characters, so that one stays in; so it does here, or scores would not compare
# with published ones.
_CMRC_SIGNS = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def span_scores(references, predictions, language=""):
    """SQuAD's exact match and F1, in percent as the official scripts and `translation_scores` give
    them.

    The rules of a question are those of `span_matches`; a score is the mean over questions.

    Args:
        references: for each question a list of str, the accepted answers; empty: the text does not
            answer it.
        predictions: list of str, one a question; "": no answer.
        language: "zh" takes CMRC 2018's rules, any other SQuAD's.

    Returns:
        {"exact_match", "f1"} and, where some questions have no answer, the same of both kinds of
        question: {"answerable_exact_match", "answerable_f1", "unanswerable_exact_match"}, percent.

    Raises:
        ValueError: the two lists differ in length, or are empty.
    """
    matches = 100.0 * np.asarray(span_matches(references, predictions, language))  # (N, 2)
    scores = dict(zip(("exact_match", "f1"), matches.mean(axis=0)))
    answerable = np.asarray([any(answers) for answers in references])
    if answerable.any() and not answerable.all():
        scores |= zip(("answerable_exact_match", "answerable_f1"), matches[answerable].mean(axis=0))
        scores["unanswerable_exact_match"] = matches[~answerable, 0].mean()
    return python_floats(scores)


def span_matches(references, predictions, language=""):
    """Exact match and F1 of each question, the best over its accepted answers.

    SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): in lower case without punctuation and the
    articles a, an, the; F1 of the bag of words. Where one of the two texts is empty, both scores
    are 1 if both are and 0 if not. CMRC 2018 (Cui et al. 2019), for Chinese: without its list of
    signs; a token is a Chinese character or a word of other script, and F1 is that of the longest
    run of tokens that the two share. The official script splits the other scripts with NLTK; here
    words, numbers and signs are tokens, which differs in such as "don't".

    Args and errors as for `span_scores`.

    Returns:
        list of (exact match, 0 or 1; F1, 0 to 1).
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
        # An answer that is nothing but articles and punctuation counts as none, as in the script of
        # SQuAD 2.0.
        answers = list(filter(None, map(normal, answers))) or [""]
        exact = float(prediction in answers)
        f1 = max(_token_f1(tokens(answer), tokens(prediction), overlap) for answer in answers)
        matches.append((exact, f1))
    return matches


def commonest_answers(answers, answer_kinds, kinds):
    """The predictions that a model of answers must beat: for every question the commonest training
    answer of its kind.

    Args:
        answers: list of str, at least one, those of the training data.
        answer_kinds: list of str, their questions' kinds.
        kinds: list of str, of the questions to be answered.

    Returns:
        list of str, one for each of `kinds`; of equally common answers the first; where training
        has no question of the kind, the commonest of all.
    """
    counts, overall = collections.defaultdict(collections.Counter), collections.Counter(answers)
    for answer, kind in zip(answers, answer_kinds, strict=True):
        counts[kind][answer] += 1
    return [counts.get(kind, overall).most_common(1)[0][0] for kind in kinds]


def apply_no_answer_threshold(predictions, no_answer_scores, threshold):
    """Predictions with "" in place of those whose score of "no answer" is above the threshold.

    Args:
        predictions: list of str, each question's best span.
        no_answer_scores: float (N,), higher where there seems to be no answer: a probability, or
            the logit of no answer less that of the span.
    """
    return [
        "" if score > threshold else text
        for text, score in zip(predictions, no_answer_scores, strict=True)
    ]


def best_no_answer_threshold(references, predictions, no_answer_scores, language=""):
    """The threshold of `apply_no_answer_threshold` with the highest F1, as SQuAD 2.0's script finds
    it.

    Tune it on validation data, never on the test set. Of equally good thresholds the lowest. The
    script starts from 0.0, which is below every score only if scores are probabilities; here the
    start is below the lowest score.

    Args:
        references, predictions, language: as for `span_scores`; predictions before any threshold.
        no_answer_scores: float (N,).
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
    """2 P R / (P + R) is 2 x overlap / (tokens of both)."""
    if not answer or not prediction:
        return float(answer == prediction)
    return 2.0 * overlap(answer, prediction) / (len(answer) + len(prediction))
