"""Questions about a text that contains the answers, in SQuAD's JSON format, versions 1.1 and 2."""

import re
from typing import NamedTuple

from data.config import DataError
from data.readers.files import is_text, read_json
from data.report import Log


class Question(NamedTuple):
    """A question with its context and answers.

    Attributes:
        id: str.
        question: str.
        context: str.
        answers: tuple of (start, text). The start counts characters of the context. No answers mean
            that the context does not contain one. A start of -1 means that the text does not occur
            in the context. Such an answer can be compared with a prediction, but not learned.
        line: str, where the question was read, "FILE:ID".
    """

    id: str
    question: str
    context: str
    answers: tuple
    line: str = ""

    @property
    def key(self):
        """What makes two questions the same: the question and the context."""
        return self.question, self.context

    @property
    def text(self):
        """The text that is shown of a question: the question itself."""
        return self.question

    @property
    def label(self):
        """What the model must find: the answers."""
        return self.answers


def read_squad(path):
    """Reads the questions of a file in SQuAD's format, .gz or not.

    Args:
        path: the file.

    Returns:
        A list of `Question`.

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
            "a file of questions must be in SQuAD's format: "
            '{"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}. '
            f"Received: {path} ({type(error).__name__}: {error})."
        ) from None
    return [
        question_of(row, f"{path}:{row.get('id', f'question {number}')}")
        for number, row in enumerate(rows, 1)
    ]


def question_of(row, line):
    """Makes a `Question` of a row.

    Args:
        row: dict with "id", "question", "context" and "answers", and in version 2 "is_impossible".
            The answers are a list of {"text", "answer_start"} as in SQuAD's files, or one dict of
            two lists as in TFDS.
        line: str, where the row was read.

    Returns:
        A `Question`.

    Raises:
        DataError: something is missing or has the wrong type.
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
            "a question must have id, question, context and answers, and each answer must have "
            f"text and answer_start. Received: {line} ({type(error).__name__}: {error})."
        ) from None
    if not all(map(is_text, (found.question, found.context, *(text for _, text in answers)))):
        raise DataError(f"question, context and answers must be text. Received: {line}.")
    return found


def questions_of(rows, where):
    """Yields the questions of the rows of a dataset, in memory or from TFDS.

    Args:
        rows: iterable of dict, as for `question_of`.
        where: str, where the rows come from.

    Yields:
        `Question`.

    Raises:
        DataError: as for `question_of`.
    """
    for row in map(plain, rows):
        yield question_of(row, f"{where}:{row.get('id', '')}")


def plain(value):
    """Converts bytes and the values of NumPy and pandas to Python's types, also in containers."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return plain(value.tolist()) if hasattr(value, "tolist") else value


def check_questions(questions, training, log: Log):
    """Corrects the starts of answers, and drops training questions that cannot be learned.

    If the text of an answer does not stand at its start, the start becomes the nearest place where
    it does. If it stands nowhere, the answer is dropped from training data, together with its
    question if there is no other answer. In other splits the answer stays, with the start -1.
    Training questions without a question or a context are dropped too. An id that occurs twice is
    counted as an error.

    Args:
        questions: list of `Question`, of one split.
        training: bool, whether the split is the training data.
        log: `Log`, counts what was found.

    Returns:
        A list of the questions that are kept.
    """
    kept, ids, unfit = [], set(), "dropped" if training else "kept"
    for question in questions:
        if question.id in ids:
            log.count("duplicate id", "error", question.line, question.question)
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
                    "answer not at the given start",
                    "repaired",
                    question.line,
                    f"{text!r}, start {given} changed to {start}",
                )
        if training:
            answers = [answer for answer in answers if answer[0] >= 0]
        if not training or not empty and bool(answers) == bool(question.answers):
            kept.append(question._replace(answers=tuple(answers)))
    return kept


def find_answer(context, start, text):
    """Returns the start of the occurrence of a text that is nearest to a given start.

    >>> find_answer("to be or not to be", 10, "to be"), find_answer("to be", 0, "not")
    (13, -1)

    Args:
        context: str.
        start: int, counted in characters.
        text: str.

    Returns:
        An int, -1 if the text is blank or does not occur.
    """
    if not text.strip():
        return -1
    starts = (match.start() for match in re.finditer(f"(?={re.escape(text)})", context))
    return min(starts, key=lambda place: abs(place - start), default=-1)


def lowercase(question):
    """Returns the question in lower case, without changing the length of any text.

    A character whose lower case is longer stays as it is, since the starts of the answers would no
    longer fit.

    >>> lowercase(Question("1", "Wo?", "İN Bonn", ((3, "Bonn"),)))
    Question(id='1', question='wo?', context='İn bonn', answers=((3, 'bonn'),), line='')

    Args:
        question: `Question`.

    Returns:
        A `Question`.
    """
    answers = tuple((start, _lower(text)) for start, text in question.answers)
    return question._replace(
        question=_lower(question.question), context=_lower(question.context), answers=answers
    )


def _lower(text):
    return "".join(
        lower if len(lower := character.lower()) == 1 else character for character in text
    )
