"""Reads questions about a text whose answers are generated, not marked in the text, as pairs.

The pairs are `data.pairs.Pair`, with what their scores need besides.
"""

import os
import re

from data.config import DataError
from data.pairs import Pair
from data.readers.files import is_jsonl, read_lines
from data.readers.squad import read_squad

# The same word as in transformer.tasks.text_to_text.
UNANSWERABLE = "unanswerable"


def source_of(question, context):
    """Returns a question and its context as one text, in T5's format.

    See Raffel et al. 2020, appendix D.15.

    >>> source_of("Where is Lucia?", "Lucia ran to the park.")
    'question: Where is Lucia? context: Lucia ran to the park.'

    Args:
        question: str.
        context: str.

    Returns:
        A str.
    """
    return f"question: {question.strip()} context: {context.strip()}"


def context_of(source):
    """Returns the context in a text that `source_of` made, or "" if there is none."""
    return source.partition(" context: ")[2]


def holds_questions(path):
    """Returns whether a file is in a format that `read_questions` reads.

    These are .txt files, and .json files that do not have one object a line.
    """
    name = _stem(path)
    return name.endswith(".txt") or name.endswith(".json") and not is_jsonl(path)


def read_questions(path):
    """Reads the questions of a file, .gz or not, in the format of SQuAD (.json) or bAbI (.txt).

    Args:
        path: the file.

    Returns:
        A list of `Pair`.

    Raises:
        DataError: the file cannot be read or has another form.
    """
    return (
        list(map(pair_of, read_squad(path))) if _stem(path).endswith(".json") else read_babi(path)
    )


def pair_of(question):
    """Returns the `Pair` of a question. Its target is the first answer.

    The kind of the pair is "answerable" or "unanswerable". A question without answers has the
    target "unanswerable" too.

    Args:
        question: `data.readers.squad.Question`.

    Returns:
        A `Pair`.
    """
    answers = tuple(dict.fromkeys(text for _, text in question.answers if text.strip()))
    target, *others = answers or (UNANSWERABLE,)
    kind = "answerable" if answers else UNANSWERABLE
    return Pair(source_of(question.question, question.context), target, kind, tuple(others))


def read_babi(path):
    """Reads the questions of a file in bAbI's format (Weston et al. 2015), .gz or not.

    A line is a number and a sentence, or a number and a question, a tab, its answer, a tab, and the
    numbers of the facts that support it. A new story begins where the number is 1. The context of a
    question is all sentences of its story before it.

    Args:
        path: the file.

    Returns:
        A list of `Pair`. Their kind is the file's name without "_train", "_valid" or "_test".

    Raises:
        DataError: the file cannot be read or has another form.
    """
    kind = re.sub(r"(_(train|valid|test))?\.txt$", "", os.path.basename(_stem(path)))
    pairs, story, last = [], [], 0
    for place, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        number, _, text = line.partition(" ")
        text, *answer = text.split("\t")
        if (
            not re.fullmatch("[1-9][0-9]{0,8}", number)
            or int(number) not in (1, last + 1)
            or not text.strip()
        ):
            raise DataError(
                "a .txt file of examples must be in bAbI's format, with lines numbered within "
                f"each story. Received: {path}, line {place}: {line[:80]!r}. If the file has "
                "columns, rename it to .tsv."
            )
        last = int(number)
        if last == 1:
            story = []
        if answer:
            pairs.append(Pair(source_of(text, " ".join(story)), answer[0], kind))
        else:
            story.append(text)
    return pairs


def _stem(path):
    return str(path).removesuffix(".gz")
