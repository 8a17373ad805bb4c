"""Questions about a text whose answers stand in it: SQuAD's JSON, versions 1.1 and 2."""

import re
from typing import NamedTuple

from data.config import DataError
from data.readers.files import is_text, read_json
from data.report import Log


class Question(NamedTuple):
    """A question; `answers` are (start, text), the start counted in characters of the context.

    No answers: the context does not hold one. A start of -1: the text does not stand in the
    context; it can be compared with a prediction, not learnt.
    """

    id: str
    question: str
    context: str
    answers: tuple
    line: str = ""  # where it was read, FILE:ID

    @property
    def key(self):
        """What makes two questions the same."""
        return self.question, self.context

    @property
    def text(self):
        """What is shown of it."""
        return self.question

    @property
    def label(self):
        """What is to be found."""
        return self.answers


def read_squad(path):
    """The questions of a file in SQuAD's form, .gz or not: a list of Question.

    Raises:
        DataError: the file cannot be read or has another form.
    """
    data = read_json(path)
    try:
        rows = [
            {"context": paragraph["context"], **row}
            for article in data["data"]
            for paragraph in article["paragraphs"]
            for row in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        raise DataError(
            "a file of questions must have SQuAD's form: data, in it paragraphs, in it context "
            "and "
            "qas. "
            f"Received: {path} ({type(error).__name__}: {error})."
        ) from None
    return [
        question_of(row, f"{path}:{row.get('id', f'question {number}')}")
        for number, row in enumerate(rows, 1)
    ]


def question_of(row, line):
    """A Question of {"id", "question", "context", "answers"}, and in version 2 "is_impossible".

    Args:
        row: its answers are SQuAD's list of {"text", "answer_start"}, or the one dict of two lists
            of TFDS.
        line: where it was read.

    Raises:
        DataError: something is missing or of a wrong type.
    """
    try:
        answers = [] if row.get("is_impossible") else row["answers"]
        if isinstance(answers, dict):
            answers = [
                {"text": text, "answer_start": start}
                for text, start in zip(answers["text"], answers["answer_start"])
            ]
        answers = tuple((int(answer["answer_start"]), answer["text"]) for answer in answers)
        found = Question(str(row["id"]), row["question"], row["context"], answers, line)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            "a question must have id, question, context, and answers, each with text and "
            "answer_start. "
            f"Received: {line} ({type(error).__name__}: {error})."
        ) from None
    if not all(map(is_text, (found.question, found.context, *(text for _, text in answers)))):
        raise DataError(f"question, context and answers must be text. Received: {line}.")
    return found


def questions_of(rows, where):
    """The questions of rows of a data set, in memory or of TFDS.

    Args:
        rows: iterable of dict, as for `question_of`.
        where: what they are rows of.
    """
    for row in map(plain, rows):
        yield question_of(row, f"{where}:{row.get('id', '')}")


def plain(value):
    """Bytes, NumPy's and pandas' values, and what holds them, as Python's own."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value


def check_questions(questions, training, log: Log):
    """Puts the starts of answers right.

    A start that does not fit its text becomes that of the nearest place where the text stands. An
    answer that stands nowhere is dropped from training data, with its question if no other is left;
    elsewhere it stays, with the start -1.

    Args:
        questions: of one split.
        training: whether it is the training data.
        log: what was found is counted here.

    Returns:
        The questions that are kept.
    """
    kept, ids, unfit = [], set(), "dropped" if training else "kept"
    for question in questions:
        if question.id in ids:
            log.count("id that stands twice", "error", question.line, question.question)
        ids.add(question.id)
        empty = not question.question.strip() or not question.context.strip()
        if empty:
            log.count("empty text", unfit, question.line, question.question)
        answers = [
            (find_answer(question.context, start, text), text) for start, text in question.answers
        ]
        for (given, text), (start, _) in zip(question.answers, answers):
            if start < 0:
                log.count("answer that is not in its context", unfit, question.line, repr(text))
            elif start != given:
                log.count(
                    "answer at another place than given",
                    "repaired",
                    question.line,
                    f"{text!r}, {given} is now {start}",
                )
        if training:
            answers = [answer for answer in answers if answer[0] >= 0]
        if not training or not empty and bool(answers) == bool(question.answers):
            kept.append(question._replace(answers=tuple(answers)))
    return kept


def find_answer(context, start, text):
    """The start of the occurrence of a text that is nearest to a given start, -1 if there is none.

    >>> find_answer("to be or not to be", 10, "to be"), find_answer("to be", 0, "not")
    (13, -1)
    """
    if not text.strip():
        return -1
    starts = (match.start() for match in re.finditer(f"(?={re.escape(text)})", context))
    return min(starts, key=lambda place: abs(place - start), default=-1)


def lowercase(question):
    """The question in lower case, each character by itself: whole texts could become longer, and
    the starts wrong.

    >>> lowercase(Question("1", "Wo?", "İN Bonn", ((3, "Bonn"),)))
    Question(id='1', question='wo?', context='İn bonn', answers=((3, 'bonn'),), line='')
    """
    answers = tuple((start, _lower(text)) for start, text in question.answers)
    return question._replace(
        question=_lower(question.question), context=_lower(question.context), answers=answers
    )


def _lower(text):
    return "".join(
        lower if len(lower := character.lower()) == 1 else character for character in text
    )
