"""Reads texts with labels, for a pretrained model with a task head.

They come from files, from a TFDS dataset, or from memory. `load_labelled` and `labelled_from`
return `Labelled`. All mistakes in the data are found before training starts, and are reported
together, with file and line.
"""

import dataclasses
import functools
import hashlib
import operator
from typing import NamedTuple

from data.config import ConfigError, DataError, LabelledDataConfig
from data.readers.files import check_columns, is_text, read_lines, read_rows, resolve
from data.readers.labels import WrongLabel, converter, count_labels, found_names
from data.readers.sources import SPLITS, complete_splits, source_kind, tfds_builder, tfds_rows
from data.readers.squad import Question, check_questions, lowercase, plain, questions_of, read_squad
from data.report import Log

TASKS = ("classification", "multilabel", "regression", "spans", "text2text")
KINDS = {"train_files": tuple(f"{split}_files" for split in SPLITS), "tfds": ("tfds",)}


class Example(NamedTuple):
    """A text or a pair of texts, with its label.

    Attributes:
        text: str.
        pair: str, the second text, or None.
        label: an int (classification), a tuple of int (multilabel), a float (regression), or the
            target text as a str (text2text). Before it is converted, the label as it was read.
        line: str, where the example was read, "FILE:LINE".
    """

    text: str
    pair: str | None
    label: object
    line: str = ""

    @property
    def key(self):
        """What makes two examples the same: their texts."""
        return self.text, self.pair


@dataclasses.dataclass(frozen=True)
class Labelled:
    """The labelled data that training needs.

    Attributes:
        splits: {"train", "validation", "test"} -> list of `Example`, or of `Question` for spans.
        labels: tuple of str, the label names, in the order of the label indices. Empty if the task
            has no label names.
        report: {split: {"examples_in", "examples_out", "labels", "reasons"}}. See `count_labels`
            for "labels" and `data.report.Log` for "reasons".
    """

    splits: dict
    labels: tuple
    report: dict


def load_labelled(config: LabelledDataConfig, task):
    """Loads the labelled texts that the configuration names.

    A split that is not given is taken from the training data, by a hash of the text (of the
    context, for spans). The same text always goes to the same split.

    Args:
        config: `LabelledDataConfig`.
        task: str, one of `TASKS`.

    Returns:
        A `Labelled`.

    Raises:
        DataError: no source or several sources are named, or the data cannot be used. The message
            has a line for each kind of mistake in each split, with the number of rows and the first
            of them.
        ConfigError: the task is unknown, or does not fit the configuration.
    """
    _check_task(task, config)
    problems = _Problems()
    if source_kind(config, KINDS) == "tfds":
        splits, names = _load_tfds(config, task, problems)
    else:
        splits, names = {split: _load_files(config, split, task, problems) for split in SPLITS}, ()
    return _labelled(splits, names, task, config, problems, required=SPLITS)


def labelled_from(task, train=None, validation=None, test=None, config=LabelledDataConfig()):
    """Makes `Labelled` from data in memory.

    >>> given = ["so good", "so bad"], ["positive", "negative"]
    >>> labelled_from("classification", given).splits["train"][0]
    Example(text='so good', pair=None, label=1, line='train:1')

    Args:
        task: str, one of `TASKS`.
        train: one of the following. A tuple (texts, labels) or (texts, labels, second texts). A
            DataFrame, another mapping of columns, or a list of dicts, whose columns `config` names.
            A `tf.data.Dataset` of (text, label), of ((text, pair), label), or of dicts, batched or
            not. For spans, the columns are id, question, context and answers, and a list of
            `Question` may be given instead.
        validation: like `train`. If None, it is a share of the training data, which may be empty.
        test: like `train`, or None. A test set alone needs the names of its labels in `config`.
        config: `LabelledDataConfig`, for columns, labels, the validation share and lowercase. Its
            files are not read.

    Returns:
        A `Labelled`.

    Raises:
        DataError: as for `load_labelled`. The number of an example in its split stands for the
            line.
        ConfigError: as for `load_labelled`.
    """
    _check_task(task, config)
    problems, given = _Problems(), {"train": train, "validation": validation, "test": test}
    read = _questions_in_memory if task == "spans" else _examples_in_memory
    splits = {
        split: []
        if data is None
        else problems.attempt(read, data, split, config, problems.logs[split])
        for split, data in given.items()
    }
    required = [split for split, data in given.items() if data is not None]
    return _labelled(
        splits, (), task, dataclasses.replace(config, test_share=0.0), problems, required
    )


def fingerprint(labelled):
    """Returns a hash of what training sees: the texts and labels in their order.

    Args:
        labelled: `Labelled`. Its test data does not count.

    Returns:
        A str of 16 hexadecimal digits.
    """
    seen = [
        (*example.key, example.answers if isinstance(example, Question) else example.label)
        for split in ("train", "validation")
        for example in labelled.splits[split]
    ]
    return hashlib.sha256(repr((labelled.labels, seen)).encode("utf-8")).hexdigest()[:16]


def _check_task(task, config):
    if task not in TASKS:
        raise ConfigError(f"task must be one of {', '.join(map(repr, TASKS))}. Received: {task!r}.")
    if task == "text2text" and (config.lowercase or config.pair_column):
        rule, wrong = (
            ("text2text lowercases texts if the pretrained run did", "lowercase=True")
            if config.lowercase
            else (
                "text2text has only one source text for each target",
                f"pair_column={config.pair_column!r}",
            )
        )
        raise ConfigError(f"{rule}. Received: {wrong}. Leave it out.")


# The reasons for which data is refused: the rule, and what to do.
_RULES = {
    "incomplete row": (
        "a row must have all its columns",
        "Repair these rows, or see --delimiter and the column flags",
    ),
    "no text": ("a text must be a valid Unicode string", "Repair these rows"),
    "no label": ("a row must have a label", "Repair these rows, or leave them out"),
    "unknown label": (
        "a label must be one of {names}",
        "Repair these rows, or name all labels with --labels",
    ),
    "no number": (
        "the label of a regression must be a number",
        "Repair these rows, or see --label_column",
    ),
    "duplicate id": (
        "each question needs a unique id",
        "Change these ids, or leave the questions out",
    ),
}


class _Problems:
    """The problems found in the data: a log for each split, and messages about whole files."""

    def __init__(self):
        self.logs = {split: Log() for split in SPLITS}
        self.messages = []

    def attempt(self, read, *arguments):
        """Returns the list that `read` gives, or an empty list after keeping its error message."""
        try:
            return list(read(*arguments))
        except DataError as error:
            self.messages.append(str(error))
            return []

    def refuse(self, names=()):
        """Raises DataError if there is a message or an error in a log."""
        lines = list(self.messages)
        known = ", ".join([*names[:20], *(["..."] if len(names) > 20 else [])])
        for split, log in self.logs.items():
            for reason, found in log.reasons.items():
                if found["action"] == "error":
                    rule, cure = _RULES[reason]
                    more = "; ..." if found["count"] > len(found["examples"]) else ""
                    lines.append(
                        f"{rule.replace('{names}', known)}. Received: {found['count']} wrong in "
                        f"{split}: {'; '.join(found['examples'])}{more}. {cure}."
                    )
        if lines:
            raise DataError("\n".join(lines))


def _load_files(config, split, task, problems):
    flag, examples = f"{split}_files", []
    for path in problems.attempt(resolve, getattr(config, flag), config.data_dir, flag):
        if task == "spans":
            examples += problems.attempt(read_squad, path)
            continue
        columns = _columns(config)
        for number, values in problems.attempt(read_rows, path, flag, columns, config.delimiter):
            examples += _example(
                dict(zip(columns, values)), f"{path}:{number}", problems.logs[split]
            )
    return examples


def _columns(config):
    """Returns the wanted columns, {flag: column}."""
    flags = ("text_column", "pair_column", "label_column")
    return {flag: getattr(config, flag) for flag in flags if getattr(config, flag)}


def _example(row, line, log):
    """Returns the example of a row in a list, or an empty list if the row is refused.

    The row has the keys "text_column", "label_column" and perhaps "pair_column". The label stays as
    it was read.
    """
    texts = [row[flag] for flag in ("text_column", "pair_column") if flag in row]
    if any(value is None for value in row.values()):
        log.count("incomplete row", "error", line, repr(tuple(row.values())))
    elif not all(map(is_text, texts)):
        log.count("no text", "error", line, repr(tuple(texts)))
    else:
        return [Example(texts[0], texts[1] if len(texts) > 1 else None, row["label_column"], line)]
    return []


def _load_tfds(config, task, problems):
    """Returns the splits of a TFDS dataset, and the names of its labels if it has them."""
    builder = tfds_builder(config)
    rows, where = tfds_rows(builder), f"TFDS {config.tfds}"
    if task == "spans":
        splits = {
            split: problems.attempt(questions_of, found, f"{where} {split}")
            for split, found in rows.items()
        }
        names = ()
    else:
        columns = _tfds_columns(config, builder.info.features, where)
        feature = builder.info.features[columns["label_column"]]
        names = tuple(getattr(getattr(feature, "feature", feature), "names", None) or ())
        splits = {
            split: _tfds_examples(found, columns, names, f"{where} {split}", problems.logs[split])
            for split, found in rows.items()
        }
    if not splits["test"] and splits["validation"]:
        splits = {**splits, "validation": [], "test": splits["validation"]}
        for example in splits["test"]:
            problems.logs["test"].count(
                "no labelled test data: the validation data is used for the test",
                "moved",
                example.line,
                example.text,
            )
    return splits, names


def _tfds_columns(config, features, where):
    """Returns the wanted features, {flag: feature}.

    If the text column has its default but the dataset has no feature "text", the one or two
    features that are text take its place.
    """
    import tensorflow_datasets as tfds

    columns = _columns(config)
    if columns["text_column"] == "text" and "text" not in features:
        texts = [
            name for name, feature in features.items() if isinstance(feature, tfds.features.Text)
        ]
        columns |= dict(zip(("text_column", "pair_column"), texts if len(texts) < 3 else ()))
    check_columns(where, columns, features)
    return columns


def _tfds_examples(rows, columns, names, where, log):
    rows = [{flag: plain(row[column]) for flag, column in columns.items()} for row in rows]
    # The label -1 means that there is none. GLUE does not publish the labels of its test data, and
    # SNLI has none where its annotators did not agree.
    if all(row["label_column"] == -1 for row in rows):
        return []
    examples = []
    for number, row in enumerate(rows, 1):
        line, label = f"{where}:{number}", row["label_column"]
        if names and label == -1:
            log.count("no label (-1)", "dropped", line, row["text_column"])
            continue
        if names:
            row["label_column"] = (
                [names[one] for one in label] if isinstance(label, list) else names[label]
            )
        examples += _example(row, line, log)
    return examples


def _questions_in_memory(data, split, config, log):
    if isinstance(data, list) and data and isinstance(data[0], Question):
        return data
    return questions_of(
        _rows(data, {name: name for name in ("id", "question", "context", "answers")}), split
    )


def _examples_in_memory(data, split, config, log):
    for number, row in enumerate(_rows(data, _columns(config)), 1):
        yield from _example(plain(row), f"{split}:{number}", log)


def _rows(data, columns):
    """Returns an iterable of {flag: value} from any data that `labelled_from` takes."""
    if hasattr(data, "as_numpy_iterator"):
        return _dataset_rows(data, columns)
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        for number, row in enumerate(data, 1):
            check_columns(f"row {number}", columns, row)
        return [{flag: row[column] for flag, column in columns.items()} for row in data]
    if isinstance(data, tuple) and 2 <= len(data) <= 3:
        lists = dict(zip(("text_column", "label_column", "pair_column"), data))
    elif hasattr(data, "columns") or isinstance(data, dict):
        check_columns("the data", columns, list(getattr(data, "columns", data)))
        lists = {flag: data[column] for flag, column in columns.items()}
    else:
        raise DataError(
            "data must be (texts, labels), a table with columns, a list of dicts, or a "
            f"tf.data.Dataset. Received: {type(data).__name__}."
        )
    lengths = [len(values) for values in lists.values()]
    if len(set(lengths)) > 1:
        raise DataError(
            "texts, labels and any second texts must have the same length. Received: "
            f"{' and '.join(map(str, lengths))}."
        )
    return (dict(zip(lists, values)) for values in zip(*lists.values()))


def _dataset_rows(data, columns):
    spec = data.element_spec
    if isinstance(spec, dict):
        check_columns("the Dataset", columns, spec)
        first = spec[next(iter(columns.values()))]
    elif isinstance(spec, tuple) and len(spec) == 2:
        first = spec[0][0] if isinstance(spec[0], tuple) else spec[0]
    else:
        raise DataError(
            f"a Dataset's elements must be dicts or (text, label). Received: {spec}. Map it to "
            "such elements."
        )
    for element in (data.unbatch() if first.shape.rank else data).as_numpy_iterator():
        if isinstance(element, dict):
            yield {flag: element[column] for flag, column in columns.items()}
        else:
            texts = element[0] if isinstance(element[0], tuple) else element[:1]
            yield {**dict(zip(("text_column", "pair_column"), texts)), "label_column": element[1]}


def _labelled(splits, names, task, config, problems, required):
    """Completes the splits, converts and counts the labels, and reports all that is wrong."""
    names = _label_names(splits["train"], names, task, config, problems)
    if config.lowercase:
        splits = {split: list(map(_lowercase, examples)) for split, examples in splits.items()}
    refused = {
        split for split, log in problems.logs.items() if log.has("error") and not splits[split]
    }
    splits = complete_splits(
        splits,
        config.validation_share,
        config.test_share,
        text=operator.attrgetter("context" if task == "spans" else "text"),
    )
    # Other messages already explain why a split is empty.
    if not problems.messages:
        problems.messages += [
            f"every split needs examples. Received: none for {split}. Name its files, or check "
            "--validation_share and --test_share."
            for split in required
            if not splits[split] and not {split, "train"} & refused
        ]
    # If files or all training rows are refused, the set of labels is not known.
    if problems.messages or "train" in refused:
        problems.refuse()
    if task == "spans":
        check = check_questions
    else:
        check = functools.partial(_check_examples, convert=converter(task, names))
    kept = {
        split: check(examples, split == "train", problems.logs[split])
        for split, examples in splits.items()
    }
    problems.refuse(names)
    if not kept["train"] and "train" in required:
        why = ", ".join(
            f"{found['count']} {reason}" for reason, found in problems.logs["train"].reasons.items()
        )
        raise DataError(
            f"training needs usable examples. Received: none ({why}). Check the data and its "
            "columns."
        )
    _report_repeats(kept, problems.logs)
    report = {
        split: {
            "examples_in": len(splits[split]),
            "examples_out": len(examples),
            "labels": count_labels([example.label for example in examples], task, names),
            "reasons": problems.logs[split].reasons,
        }
        for split, examples in kept.items()
    }
    return Labelled(kept, names, report)


def _lowercase(example):
    if isinstance(example, Question):
        return lowercase(example)
    return example._replace(text=example.text.lower(), pair=example.pair and example.pair.lower())


def _label_names(train, names, task, config, problems):
    """Returns the label names: those of the configuration, of the dataset, or of the training data.

    The names found in the training data are sorted.
    """
    if task not in ("classification", "multilabel"):
        return ()
    if config.labels_file:
        paths = problems.attempt(resolve, (config.labels_file,), config.data_dir, "labels_file")
        lines = [line for path in paths for line in problems.attempt(read_lines, path)]
        names = tuple(line.strip() for line in lines if line.strip())
        if len(set(names)) < len(names):
            problems.messages.append(
                f"labels must differ from each other. Received: {', '.join(names)} in {paths[0]}."
            )
    names = config.labels or names or found_names([example.label for example in train], task)
    if len(names) < (2 if task == "classification" else 1) and train:
        problems.messages.append(
            f"{task} needs labels to choose from. Received: {', '.join(names) or 'none'}. "
            "See --label_column."
        )
    return names


def _check_examples(examples, training, log, convert):
    """Returns the examples with converted labels, without training examples of empty text."""
    kept = []
    for example in examples:
        empty = not all(text.strip() for text in example.key if text is not None)
        if empty:
            log.count(
                "empty text",
                "dropped" if training else "kept",
                example.line,
                " ||| ".join(filter(None, example.key)),
            )
        try:
            converted = example._replace(label=convert(example.label))
        except WrongLabel as wrong:
            reason, found = wrong.args
            log.count(reason, "error", example.line, found)
            continue
        if not (empty and training):
            kept.append(converted)
    return kept


def repeats(splits):
    """Finds the texts that occur in an earlier split too, which would raise scores.

    Args:
        splits: dict, the splits of `Labelled`.

    Returns:
        {split: {earlier split: list of int}}. The ints are the indices of the examples of the split
        whose text occurs in the earlier one. Pairs are compared as a whole, and so are questions
        with their contexts.
    """
    keys = {split: {example.key for example in examples} for split, examples in splits.items()}
    return {
        split: {
            earlier: [
                index for index, example in enumerate(splits[split]) if example.key in keys[earlier]
            ]
            for earlier in SPLITS[:place]
        }
        for place, split in enumerate(SPLITS)
    }


def _report_repeats(splits, logs):
    for split, places in repeats(splits).items():
        for earlier, indices in places.items():
            for example in map(splits[split].__getitem__, indices):
                logs[split].count(
                    f"text also occurs in {earlier}", "kept", example.line, example.text
                )
    first = {}
    for example in splits["train"]:
        before = first.setdefault(example.key, example)
        # Questions are not compared, since they may well have several answers.
        if isinstance(example, Example) and before.label != example.label:
            logs["train"].count(
                "text has another label elsewhere",
                "kept",
                example.line,
                f"see {before.line}: {example.text}",
            )
