"""What a fine-tuned model does well and badly: reports as JSON-able dicts, as text, as files with
pictures.

    a test set -> a report      classification_report, multilabel_report, regression_report,
                                span_report, text_report
    a report -> text            report_text, report_markdown, scores_markdown
    a report -> files, images   write_report, tensorboard_images
    what several runs say       seeds_summary, seeds_text

A report is {"kind", "examples", "scores", "mistakes", ...}; every number in it is finite.
"""

import math
import pathlib
import re
import statistics

import numpy as np

from transformer.evaluation import plots
from transformer.evaluation.curves import overfitting_remark
from transformer.files import replacing, write_json, write_text
from transformer.metrics.answers import span_matches, span_scores
from transformer.metrics.classification import (
    calibration_bins,
    classification_scores,
    multilabel_scores,
    per_class_scores,
    regression_scores,
    sentence_chrf,
)

# How many mistakes a report shows, and how many points of a regression it keeps for the picture.
WORST, POINTS = 20, 2000


def classification_report(texts, pairs, labels, probabilities, names, train_labels=None):
    """A test set with one class an example.

    Args:
        texts: list of N str.
        pairs: the second texts, N str; None: there are none.
        labels: int (N,), classes from 0 to C - 1.
        probabilities: float (N, C).
        names: C str.
        train_labels: int (M,), for the majority baseline.

    Returns:
        {"kind": "classification", "examples": N, "scores":
        transformer.metrics.classification.classification_scores, "names", "per_class": of
        per_class_scores, "confusion": [[count]] with a row for each true class, "calibration": bins
        of calibration_bins, "mistakes": the 20 most confident, {"text", "pair", "true",
        "predicted", "probability"}}.

    Raises:
        ValueError: lengths disagree, a value is not finite, a label is no class, or rows are no
            probabilities.
    """
    from sklearn.metrics import confusion_matrix

    pairs = _checked_texts(texts, pairs, labels, names, probabilities)
    scores = classification_scores(labels, probabilities, train_labels)
    labels, probabilities = (
        np.asarray(labels).astype("int64"),
        np.asarray(probabilities).astype("float64"),
    )
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    mistakes = [
        {
            "text": texts[i],
            "pair": pairs[i],
            "true": names[labels[i]],
            "predicted": names[predictions[i]],
            "probability": float(confidence[i]),
        }
        for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:WORST]
    ]
    return {
        "kind": "classification",
        "examples": len(texts),
        "scores": scores,
        "names": list(names),
        "per_class": per_class_scores(labels, predictions, names),
        "confusion": confusion_matrix(labels, predictions, labels=range(len(names))).tolist(),
        "calibration": calibration_bins(labels, probabilities),
        "mistakes": mistakes,
    }


def multilabel_report(texts, pairs, labels, probabilities, names, threshold=0.5):
    """A test set with any number of labels an example; those of at least `threshold` probability
    are predicted.

    Args:
        texts, pairs, names: as for `classification_report`.
        labels: 0/1 (N, C).
        probabilities: float (N, C).

    Returns:
        {"kind": "multilabel", "examples", "scores":
        transformer.metrics.classification.multilabel_scores, "names", "per_class", "mistakes": the
        20 examples with the most wrong labels, of equals those furthest off, {"text", "pair",
        "true": names, "predicted": names, "wrong": how many labels, "probability": {name: of each
        wrong label}}}.

    Raises:
        ValueError: as for `classification_report`.
    """
    pairs = _checked_texts(texts, pairs, labels, names, probabilities)
    scores = multilabel_scores(labels, probabilities, threshold)
    labels, probabilities = (
        np.asarray(labels).astype("int64"),
        np.asarray(probabilities).astype("float64"),
    )
    predictions = (probabilities >= threshold).astype("int64")
    wrong = predictions != labels  # (N, C)
    order = np.lexsort((-(wrong * np.abs(labels - probabilities)).max(axis=1), -wrong.sum(axis=1)))
    mistakes = [
        {
            "text": texts[i],
            "pair": pairs[i],
            "true": [names[n] for n in np.flatnonzero(labels[i])],
            "predicted": [names[n] for n in np.flatnonzero(predictions[i])],
            "wrong": int(wrong[i].sum()),
            "probability": {names[n]: float(probabilities[i, n]) for n in np.flatnonzero(wrong[i])},
        }
        for i in order[:WORST]
        if wrong[i].any()
    ]
    return {
        "kind": "multilabel",
        "examples": len(texts),
        "scores": scores,
        "names": list(names),
        "per_class": per_class_scores(labels, predictions, names),
        "mistakes": mistakes,
    }


def regression_report(texts, pairs, labels, predictions, train_labels=None):
    """A test set with a number an example.

    Args:
        texts, pairs: as for `classification_report`.
        labels, predictions: float (N,), in the same unit.
        train_labels: float (M,), for the baseline.

    Returns:
        {"kind": "regression", "examples", "scores":
        transformer.metrics.classification.regression_scores, "points": {"true", "predicted"} of up
        to 2,000 examples spread over the set, "mistakes": the 20 furthest off, {"text", "pair",
        "true", "predicted", "error": predicted - true}}.

    Raises:
        ValueError: lengths disagree, or a value is not finite.
    """
    pairs = _checked_texts(texts, pairs, labels)
    scores = regression_scores(labels, predictions, train_labels)
    labels, predictions = (
        np.asarray(labels).astype("float64"),
        np.asarray(predictions).astype("float64"),
    )
    errors = predictions - labels
    shown = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), POINTS)).astype("int64"))
    return {
        "kind": "regression",
        "examples": len(texts),
        "scores": scores,
        "points": {"true": labels[shown].tolist(), "predicted": predictions[shown].tolist()},
        "mistakes": [
            {
                "text": texts[i],
                "pair": pairs[i],
                "true": float(labels[i]),
                "predicted": float(predictions[i]),
                "error": float(errors[i]),
            }
            for i in np.argsort(-np.abs(errors), kind="stable")[:WORST]
            if errors[i]
        ],
    }


def span_report(questions, contexts, references, predictions, language=""):
    """A test set of questions that a span of a text answers.

    Args:
        questions, contexts: lists of N str.
        references: N lists of accepted answers, empty where there is none.
        predictions: N str, "" for no answer.
        language: "zh" takes CMRC 2018's rules, any other SQuAD's.

    Returns:
        {"kind": "spans", "examples", "scores": transformer.metrics.answers.span_scores, percent,
        "mistakes": the first 20 of the lowest F1, none of exact ones, {"question", "context",
        "answers", "predicted", "f1": 0 to 1}}.

    Raises:
        ValueError: lengths disagree.
    """
    _checked_texts(questions, contexts, references)
    scores = span_scores(references, predictions, language)
    matches = span_matches(references, predictions, language)
    wrong = sorted((f1, i) for i, (exact, f1) in enumerate(matches) if not exact)
    return {
        "kind": "spans",
        "examples": len(questions),
        "scores": scores,
        "mistakes": [
            {
                "question": questions[i],
                "context": contexts[i],
                "answers": list(references[i]),
                "predicted": predictions[i],
                "f1": f1,
            }
            for f1, i in wrong[:WORST]
        ],
    }


def text_report(sources, references, predictions, scores):
    """A test set of texts that are answered with texts.

    Args:
        sources, references, predictions: lists of N str.
        scores: of them, by a transformer.tasks.text_to_text.Task.

    Returns:
        {"kind": "text2text", "examples", "scores", "mistakes": the first 20 of the lowest chrF,
        none of exact ones, {"source", "reference", "predicted", "chrf": percent}}.

    Raises:
        ValueError: lengths disagree.
    """
    _checked_texts(sources, sources, references)
    pairs = zip(sentence_chrf(references, predictions), references, predictions)
    wrong = sorted(
        (chrf, i) for i, (chrf, ours, theirs) in enumerate(pairs) if ours.strip() != theirs.strip()
    )
    return {
        "kind": "text2text",
        "examples": len(sources),
        "scores": scores,
        "mistakes": [
            {
                "source": sources[i],
                "reference": references[i],
                "predicted": predictions[i],
                "chrf": chrf,
            }
            for chrf, i in wrong[:WORST]
        ],
    }


def seeds_summary(runs):
    """Mean and spread of the scores of one recipe run with several seeds.

    Args:
        runs: list of score dicts, one a seed. What is no number, or not in every dict, is left out.

    Returns:
        {"seeds": how many, "scores": {name: {"mean", "std": sample standard deviation (n - 1); None
        of one run}}}.

    Raises:
        ValueError: the list is empty, or a score is not finite.
    """
    if not runs:
        raise ValueError("a summary needs the scores of at least one run. Received: none.")
    names = [
        name
        for name in runs[0]
        if all(
            isinstance(run.get(name), (int, float)) and not isinstance(run[name], bool)
            for run in runs
        )
    ]
    for name in names:
        if not all(math.isfinite(run[name]) for run in runs):
            raise ValueError(
                f"scores must be finite. Received: {name} = {[run[name] for run in runs]}. Leave "
                f"that run out."
            )
    columns = {name: [run[name] for run in runs] for name in names}
    return {
        "seeds": len(runs),
        "scores": {
            name: {
                "mean": statistics.fmean(values),
                "std": statistics.stdev(values) if len(values) > 1 else None,
            }
            for name, values in columns.items()
        },
    }


def seeds_text(summary):
    """A `seeds_summary` as lines: "accuracy 0.912 ± 0.004 (3 seeds)"; with the scores of their
    "soup", these too."""
    soup = summary.get("soup", {})
    count = "1 seed" if summary["seeds"] == 1 else f"{summary['seeds']} seeds"
    lines = []
    for name, score in summary["scores"].items():
        spread = "" if score["std"] is None else f" ± {_number(score['std'])}"
        mixed = f"; soup {_number(soup[name])}" if name in soup else ""
        lines.append(f"{name} {_number(score['mean'])}{spread} ({count}){mixed}")
    return "\n".join(lines)


def report_text(report):
    """A report as tables for the console; columns line up for Chinese too, whose characters are
    two wide."""
    lines = [f"{report['kind']}, {report['examples']:,} examples"]
    for title, header, rows in _sections(report):
        lines += ["", title, *_text_table([header, *rows])]
    if report.get("remark"):
        lines += ["", report["remark"]]
    return "\n".join(lines)


def report_markdown(report, pictures=()):
    """A report as Markdown; `pictures` are names of PNG files beside it, without ".png"."""
    parts = [f"# {report['kind'].capitalize()}, {report['examples']:,} examples"]
    if report.get("remark"):
        parts.append(report["remark"])
    parts += [
        f"## {title}\n\n{_markdown_table(header, rows)}"
        for title, header, rows in _sections(report)
    ]
    parts += [f"![{name}]({name}.png)" for name in pictures]
    return "\n\n".join(parts) + "\n"


def scores_markdown(report):
    """The scores of a report as a table in Markdown."""
    _, header, rows = next(_sections(report))
    return _markdown_table(header, rows)


def report_figures(report):
    """{"confusion", "reliability", "regression", "curves": matplotlib Figure}, those that the
    report has data for."""
    figures = {}
    if "confusion" in report:
        figures["confusion"] = plots.plot_confusion(report["confusion"], report["names"])
        figures["reliability"] = plots.plot_reliability(report["calibration"])
    if "points" in report:
        figures["regression"] = plots.plot_regression(
            report["points"]["true"], report["points"]["predicted"]
        )
    if report.get("curves"):
        figures["curves"] = plots.plot_points(report["curves"])
    return figures


def write_report(folder, report, curves=()):
    """Writes report.json, report.md and the pictures, each in one step.

    Args:
        folder: made if it is not there.
        report: of one of the functions above.
        curves: list of (step, name, value) of the training, such as (100, "validation/loss", 0.3):
            report.json then has "curves", without what is not finite, and "remark", of
            `overfitting_remark`.

    Returns:
        The paths written, a list of pathlib.Path.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if curves:
        finite = [
            [int(step), name, float(value)] for step, name, value in curves if math.isfinite(value)
        ]
        report = report | {"curves": finite, "remark": overfitting_remark(finite)}
    figures = report_figures(report)
    paths = [folder / "report.json", folder / "report.md"]
    write_json(paths[0], report)
    write_text(paths[1], report_markdown(report, figures))
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        with replacing(paths[-1]) as temporary:
            figure.savefig(temporary)
    return paths


def tensorboard_images(report):
    """The pictures of a report as tf.summary.image takes them: {name, such as
    "report/confusion": uint8 (1, H, W, 3)}."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    images = {}
    for name, figure in report_figures(report).items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        images[f"report/{name}"] = np.asarray(canvas.buffer_rgba())[None, :, :, :3].copy()
    return images


def _checked_texts(texts, pairs, labels, names=None, probabilities=None):
    """The pairs, "" for each text if there are none; ValueError if lengths disagree or a class
    has no name."""
    pairs = [""] * len(texts) if pairs is None else pairs
    if not len(texts) == len(pairs) == len(labels) or not len(texts):
        raise ValueError(
            "a report needs as many texts and pairs as labels, and at least one. "
            f"Received: {len(texts)} texts, {len(pairs)} pairs, {len(labels)} labels."
        )
    if names is not None and np.shape(probabilities)[1:] != (len(names),):
        raise ValueError(
            "probabilities must have a column for each name. "
            f"Received: shape {np.shape(probabilities)} for {len(names)} names. Name all classes."
        )
    return pairs


def _sections(report):
    """(title, header, rows) of each table of a report, all cells str."""
    signatures = {name: value for name, value in report["scores"].items() if isinstance(value, str)}
    numbers = [
        [name, _number(value)] for name, value in report["scores"].items() if name not in signatures
    ]
    yield "Scores", ["score", "value"], numbers
    if signatures:
        yield "Signatures", ["score", "signature"], [*map(list, signatures.items())]
    if "per_class" in report:
        header = ["name", "precision", "recall", "f1", "support"]
        yield (
            "Classes",
            header,
            [[_cell(row[column]) for column in header] for row in report["per_class"]],
        )
    if "confusion" in report:
        yield _confusion_section(report)
    if report["mistakes"]:
        # A column of texts that are all empty says nothing.
        header = [
            name
            for name in _MISTAKE_COLUMNS[report["kind"]]
            if any(row[name] != "" for row in report["mistakes"])
        ]
        yield (
            "Worst mistakes",
            header,
            [[_cell(row[name]) for name in header] for row in report["mistakes"]],
        )


_MISTAKE_COLUMNS = {
    "classification": ["probability", "true", "predicted", "text", "pair"],
    "multilabel": ["wrong", "true", "predicted", "text", "pair"],
    "regression": ["error", "true", "predicted", "text", "pair"],
    "spans": ["f1", "answers", "predicted", "question"],
    "text2text": ["chrf", "reference", "predicted", "source"],
}


def _confusion_section(report):
    """Up to ten classes the whole matrix, else the twenty commonest confusions."""
    names, matrix = report["names"], report["confusion"]
    if len(names) <= 10:
        rows = [[name, *map(str, row)] for name, row in zip(names, matrix)]
        return "Confusion matrix (a row for each true class)", ["true / predicted", *names], rows
    pairs = [
        (-count, i, j)
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if count and i != j
    ]
    rows = [[names[i], names[j], str(-count)] for count, i, j in sorted(pairs)[:WORST]]
    return "Commonest confusions", ["true", "predicted", "count"], rows


def _number(value):
    """Three decimals; a number that these would show as zero, and an astronomical one, by its
    power of ten."""
    return f"{value:.2e}" if value and not 0.0005 <= abs(value) < 1e9 else f"{value:,.3f}"


def _cell(value):
    """A value of a report as one line of text."""
    if isinstance(value, float):
        return _number(value)
    return " ".join(
        (", ".join(value) or "(none)" if isinstance(value, list) else str(value)).split()
    )


def _text_table(rows):
    """Lines of a table whose first row is its header; a column of numbers is set right, with its
    header cut short."""
    from rich.cells import cell_len, set_cell_size

    def cut(cell, limit):
        return cell if cell_len(cell) <= limit else set_cell_size(cell, limit - 1).rstrip() + "…"

    lines = [""] * len(rows)
    for column in zip(*rows):
        right = all(re.fullmatch(r"[-+\d.,e]+", cell) for cell in column[1:])
        header, *cells = column
        # A number without its end is another number.
        column = [cut(header, 12), *cells] if right else [cut(cell, 48) for cell in column]
        width = max(map(cell_len, column))
        for number, cell in enumerate(column):
            space = " " * (width - cell_len(cell))
            lines[number] += "  " + (space + cell if right else cell + space)
    return [line.rstrip() for line in lines]


def _markdown_table(header, rows):
    lines = [f"| {' | '.join(map(_escaped, row))} |" for row in (header, *rows)]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]])


def _escaped(cell):
    """Text of a user's data that neither ends a cell of a Markdown table nor begins HTML."""
    return (
        re.sub(r"([\\`*_\[\]|~])", r"\\\1", cell[:300]).replace("&", "&amp;").replace("<", "&lt;")
    )
