"""Questions about a text whose answers are written, not pointed at: pairs of text with what
their scores need besides."""

import os
import re

from data.config import DataError
from data.pairs import Pair
from data.readers.files import is_jsonl, read_lines
from data.readers.squad import read_squad

UNANSWERABLE = "unanswerable"  # as transformer.tasks.text_to_text knows it


def source_of(question, context):
    """The question and its context as one text, as T5 has them (Raffel et al. 2020, appendix D.15).

    >>> source_of("Where is Lucia?", "Lucia ran to the park.")
    'question: Where is Lucia? context: Lucia ran to the park.'
    """
    return f"question: {question.strip()} context: {context.strip()}"


def context_of(source):
    """The context in a text that `source_of` made."""
    return source.partition(" context: ")[2]


def holds_questions(path):
    """Whether a file is one that `read_questions` reads; a .json file may also be one of rows,
    an object a line."""
    name = _stem(path)
    return name.endswith(".txt") or name.endswith(".json") and not is_jsonl(path)


def read_questions(path):
    """The questions of a file, .gz or not: in SQuAD's form (.json) or bAbI's (.txt).

    Returns:
        list of Pair.

    Raises:
        DataError: the file cannot be read or has another form.
    """
    return (
        list(map(pair_of, read_squad(path))) if _stem(path).endswith(".json") else read_babi(path)
    )


def pair_of(question):
    """The Pair of a data.readers.squad.Question; the target is its first answer.

    Its kind is "answerable" or "unanswerable", which is also the target of a question without
    answer.
    """
    answers = tuple(dict.fromkeys(text for _, text in question.answers if text.strip()))
    target, *others = answers or (UNANSWERABLE,)
    kind = "answerable" if answers else UNANSWERABLE
    return Pair(source_of(question.question, question.context), target, kind, tuple(others))


def read_babi(path):
    """The questions of a file in bAbI's form (Weston et al. 2015), .gz or not.

    A line is a number and a sentence, or a number, a question, TAB, its answer, TAB, the numbers of
    the facts that support it. A story ends where the number is 1 again. A question's context is all
    sentences of its story before it.

    Returns:
        list of Pair; their kind is the file's name without "_train", "_valid" or "_test".

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
                "a .txt file of examples must have bAbI's form, lines that are numbered within "
                "each story. "
                f"Received: {path}, line {place}: {line[:80]!r}. If it has columns, name it .tsv."
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
