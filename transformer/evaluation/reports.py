"""Reports on what a fine-tuned model does well and badly.

A report is a dict {"kind", "examples", "scores", "mistakes", ...} that JSON can store. Every number
in it is finite.

    test set -> report          classification_report, multilabel_report, regression_report,
                                span_report, text_report
    report -> text              report_text, report_markdown, scores_markdown
    report -> files, images     write_report, tensorboard_images
    scores of several seeds     seeds_summary, seeds_text
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

# Number of mistakes that a report shows, and of regression points that it keeps for the plot.
WORST, POINTS = 20, 2000


def classification_report(texts, pairs, labels, probabilities, names, train_labels=None):
    """Reports on a test set with one class for each example.

    Args:
        texts: list of N str.
        pairs: list of N str, the second texts. None if there are none.
        labels: int (N,), classes from 0 to C - 1.
        probabilities: float (N, C), each row adding up to 1.
        names: C str, the names of the classes.
        train_labels: int (M,), the labels of the training data, for the majority baseline. None
            uses `labels`.

    Returns:
        dict with
        "kind": "classification";
        "examples": N;
        "scores": from `transformer.metrics.classification.classification_scores`;
        "names": list of the C names;
        "per_class": from `per_class_scores`;
        "confusion": list of lists of counts, one row for each true class;
        "calibration": from `calibration_bins`;
        "mistakes": the 20 most confident ones, {"text", "pair", "true", "predicted",
        "probability"}.

    Raises:
        ValueError: if lengths disagree, a value is not finite, a label is not a class, or a row is
            not a probability distribution.
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
    """Reports on a test set with any number of labels for each example.

    Args:
        texts: list of N str.
        pairs: list of N str, the second texts. None if there are none.
        labels: 0/1 (N, C).
        probabilities: float (N, C), each between 0 and 1.
        names: C str, the names of the labels.
        threshold: a label is predicted if its probability is at least this.

    Returns:
        dict with
        "kind": "multilabel";
        "examples": N;
        "scores": from `transformer.metrics.classification.multilabel_scores`;
        "names": list of the C names;
        "per_class": from `per_class_scores`;
        "mistakes": the 20 examples with the most wrong labels, the largest error first in a tie,
        {"text", "pair", "true": names, "predicted": names, "wrong": number of wrong labels,
        "probability": {name: probability} of the wrong labels}.

    Raises:
        ValueError: if lengths disagree, a value is not finite, a label is neither 0 nor 1, or a
            probability is outside [0, 1].
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
    """Reports on a test set with a number for each example.

    Args:
        texts: list of N str.
        pairs: list of N str, the second texts. None if there are none.
        labels: float (N,).
        predictions: float (N,), in the same unit as `labels`.
        train_labels: float (M,), the labels of the training data, for the mean baseline. None uses
            `labels`.

    Returns:
        dict with
        "kind": "regression";
        "examples": N;
        "scores": from `transformer.metrics.classification.regression_scores`;
        "points": {"true", "predicted"}, lists of up to 2,000 examples spread evenly over the set;
        "mistakes": the 20 largest errors, {"text", "pair", "true", "predicted", "error"}, where
        "error" is predicted - true.

    Raises:
        ValueError: if lengths disagree or a value is not finite.
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
    """Reports on a test set of questions that are answered with a span of a text.

    Args:
        questions: list of N str.
        contexts: list of N str.
        references: N lists of str, the accepted answers. An empty list means no answer.
        predictions: list of N str. "" means no answer.
        language: language code. "zh" uses the rules of CMRC 2018, any other code those of SQuAD.

    Returns:
        dict with
        "kind": "spans";
        "examples": N;
        "scores": from `transformer.metrics.answers.span_scores`, in percent;
        "mistakes": the 20 with the lowest F1, without exact matches, {"question", "context",
        "answers", "predicted", "f1": 0 to 1}.

    Raises:
        ValueError: if lengths disagree.
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
    """Reports on a test set of texts that are answered with texts.

    Args:
        sources: list of N str.
        references: list of N str.
        predictions: list of N str.
        scores: dict, the scores of the predictions by a `transformer.tasks.text_to_text.Task`.

    Returns:
        dict with
        "kind": "text2text";
        "examples": N;
        "scores": `scores`;
        "mistakes": the 20 with the lowest chrF, without exact matches, {"source", "reference",
        "predicted", "chrf": percent}.

    Raises:
        ValueError: if lengths disagree.
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
    """Returns mean and standard deviation of the scores of one recipe run with several seeds.

    Args:
        runs: list of dict, the scores of one seed each. Scores that are not numbers or not in every
            dict are left out.

    Returns:
        {"seeds": number of runs, "scores": {name: {"mean", "std"}}}. "std" is the sample standard
        deviation (n - 1), None for one run.

    Raises:
        ValueError: if the list is empty or a score is not finite.
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
    """Formats a `seeds_summary` as lines such as "accuracy 0.912 ± 0.004 (3 seeds)".

    Args:
        summary: dict from `seeds_summary`. It may also have "soup", the dict of the scores of the
            seeds' model soup, which are then added to the lines.

    Returns:
        str.
    """
    soup = summary.get("soup", {})
    count = "1 seed" if summary["seeds"] == 1 else f"{summary['seeds']} seeds"
    lines = []
    for name, score in summary["scores"].items():
        spread = "" if score["std"] is None else f" ± {_number(score['std'])}"
        mixed = f"; soup {_number(soup[name])}" if name in soup else ""
        lines.append(f"{name} {_number(score['mean'])}{spread} ({count}){mixed}")
    return "\n".join(lines)


def report_text(report):
    """Formats a report as tables for the console.

    Columns line up for Chinese too, whose characters are two columns wide.

    Args:
        report: dict, a report of this module.

    Returns:
        str.
    """
    lines = [f"{report['kind']}, {report['examples']:,} examples"]
    for title, header, rows in _sections(report):
        lines += ["", title, *_text_table([header, *rows])]
    if report.get("remark"):
        lines += ["", report["remark"]]
    return "\n".join(lines)


def report_markdown(report, pictures=()):
    """Formats a report as Markdown.

    Args:
        report: dict, a report of this module.
        pictures: names of PNG files in the same folder, without ".png".

    Returns:
        str.
    """
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
    """Formats the scores of a report as a Markdown table.

    Args:
        report: dict, a report of this module.

    Returns:
        str.
    """
    _, header, rows = next(_sections(report))
    return _markdown_table(header, rows)


def report_figures(report):
    """Plots what a report has data for.

    Args:
        report: dict, a report of this module.

    Returns:
        {name: matplotlib Figure}, with the names "confusion", "reliability", "regression" and
        "curves" where the report has the data.
    """
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
    """Writes report.json, report.md and the plots, each of them atomically.

    Args:
        folder: path of the folder, created if it does not exist.
        report: dict, a report of this module.
        curves: list of (step, name, value) of the training, such as (100, "validation/loss", 0.3).
            If given, report.json also has "curves", the points whose values are finite, and
            "remark" from `overfitting_remark`.

    Returns:
        list of pathlib.Path, the files written.
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
    """Draws the plots of a report for tf.summary.image.

    Args:
        report: dict, a report of this module.

    Returns:
        {name: uint8 (1, height, width, 3)}, with names such as "report/confusion".
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    images = {}
    for name, figure in report_figures(report).items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        images[f"report/{name}"] = np.asarray(canvas.buffer_rgba())[None, :, :, :3].copy()
    return images


def _checked_texts(texts, pairs, labels, names=None, probabilities=None):
    """Checks lengths and class names, and returns the second texts of the pairs.

    Returns:
        `pairs`, or "" for each text if `pairs` is None.

    Raises:
        ValueError: if lengths disagree, or the number of names differs from the number of classes.
    """
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
    """Yields (title, header, rows) of each table of a report. All cells are str."""
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
        # Leave out columns whose texts are all empty, such as "pair" without second texts.
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
    """Returns the whole matrix for up to ten classes, else the 20 most common confusions."""
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
    """Formats a number with three decimals.

    A number that would be shown as zero, or one of 1e9 and above, is shown with an exponent.
    """
    return f"{value:.2e}" if value and not 0.0005 <= abs(value) < 1e9 else f"{value:,.3f}"


def _cell(value):
    """Formats a value of a report as one line of text."""
    if isinstance(value, float):
        return _number(value)
    return " ".join(
        (", ".join(value) or "(none)" if isinstance(value, list) else str(value)).split()
    )


def _text_table(rows):
    """Returns the lines of a table whose first row is its header.

    A column of numbers is aligned to the right, and its header is cut to 12 columns. Other cells
    are cut to 48 columns.
    """
    from rich.cells import cell_len, set_cell_size

    def cut(cell, limit):
        return cell if cell_len(cell) <= limit else set_cell_size(cell, limit - 1).rstrip() + "…"

    lines = [""] * len(rows)
    for column in zip(*rows):
        right = all(re.fullmatch(r"[-+\d.,e]+", cell) for cell in column[1:])
        header, *cells = column
        # Only the header of a number column is cut, because a cut number would be another number.
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
    """Escapes text of a user's data for a Markdown table, cut to 300 characters.

    The result neither ends the table cell nor starts an HTML tag.
    """
    return (
        re.sub(r"([\\`*_\[\]|~])", r"\\\1", cell[:300]).replace("&", "&amp;").replace("<", "&lt;")
    )
