"""Plots of attention, training curves and evaluation results.

Each `plot_...` function returns a matplotlib Figure that is not registered with pyplot, so it need
not be closed. Names are drawn literally, so a dollar sign does not start a formula.
"""

import math
import pathlib

import numpy as np

from transformer.config import ConfigError


def attention_of(generator, source, target=None):
    """Computes the attention weights of one translation.

    Args:
        generator: a `transformer.generation.generator.Generator`.
        source: str, one text.
        target: str, its translation. None uses the translation of `generator`.

    Returns:
        {"source", "target", "weights"}. "source" and "target" are lists of str, the subwords of the
        two texts, each ending in the end token. "weights" is {"encoder", "decoder", "cross"}, each
        a list over layers of float32 (H, queries, keys). A pointer-generator also has "pointer", a
        list of one array. In all but "encoder", row t is the step that wrote target subword t.
    """
    target = generator([source])[0] if target is None else target
    tokenizers = generator.source_tokenizer, generator.target_tokenizer
    ids = [
        [*tokenizer.encode([text])[0], tokenizer.eos_id]
        for tokenizer, text in zip(tokenizers, (source, target))
    ]
    inputs = np.asarray([ids[0]]), np.asarray([[tokenizers[1].bos_id, *ids[1][:-1]]])
    weights = generator.model.attention_weights(inputs)
    arrays = {kind: [np.asarray(layer)[0] for layer in layers] for kind, layers in weights.items()}
    names = [
        [*tokenizer.pieces(text), "</s>"] for tokenizer, text in zip(tokenizers, (source, target))
    ]
    return {"source": names[0], "target": names[1], "weights": arrays}


def plot_attention(weights, queries, keys, title=""):
    """Plots attention as a heat map. Dark cells have a large weight.

    Args:
        weights: float (queries, keys), or (H, queries, keys) for one panel per head, side by side.
        queries: list of str, the names of the rows.
        keys: list of str, the names of the columns.
        title: str, drawn above the plot.

    Returns:
        A matplotlib Figure.

    Raises:
        ConfigError: if the number of names differs from the number of rows or columns.
    """
    from matplotlib.figure import Figure

    heads = np.asarray(weights)[None] if np.ndim(weights) == 2 else np.asarray(weights)
    if heads.shape[1:] != (len(queries), len(keys)):
        raise ConfigError(
            "attention weights must have a row for each query and a column for each key. "
            f"Received: {heads.shape[1:]} for {len(queries)} queries and {len(keys)} keys."
        )
    size = (1.0 + 0.32 * len(keys)) * len(heads), 1.2 + 0.32 * len(queries)
    figure = Figure(figsize=size, layout="constrained")
    for number, (axes, head) in enumerate(
        zip(figure.subplots(1, len(heads), squeeze=False)[0], heads)
    ):
        axes.imshow(head, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        axes.set_xticks(range(len(keys)), keys, rotation=90, parse_math=False)
        axes.set_yticks(
            range(len(queries)), queries if number == 0 else [""] * len(queries), parse_math=False
        )
        if len(heads) > 1:
            axes.set_title(f"head {number + 1}")
    figure.suptitle(title, parse_math=False)
    _use_fonts_that_have(figure, "".join([*queries, *keys, title]))
    return figure


def read_curves(run):
    """Reads the scalars that a run wrote for TensorBoard.

    Args:
        run: path of the run folder.

    Returns:
        {name: (steps, values)}, with names such as "train/loss" and two lists each. A step that a
        continued run has written twice counts once, with its last value.

    Raises:
        ConfigError: if the run folder holds no curves.
    """
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    curves = {}
    for path in sorted((pathlib.Path(run) / "tensorboard").glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    curves.setdefault(value.tag, {})[event.step] = float(
                        tensor_util.make_ndarray(value.tensor)
                    )
    if not curves:
        raise ConfigError(
            f"a run folder must hold curves in tensorboard/. Received: {run}. Name a run that has "
            f"begun."
        )
    return {name: tuple(map(list, zip(*sorted(points.items())))) for name, points in curves.items()}


def plot_curves(runs, names=("train/loss", "validation/loss", "validation/bleu")):
    """Plots curves of one or several runs, one panel for each name.

    A panel has one line for each run that has the scalar.

    Args:
        runs: {label: run folder}, or one run folder.
        names: names of scalars, as in TensorBoard.

    Returns:
        A matplotlib Figure.

    Raises:
        ConfigError: if a run folder holds no curves.
    """
    from matplotlib.figure import Figure

    runs = runs if isinstance(runs, dict) else {pathlib.Path(runs).name: runs}
    figure = Figure(figsize=(4 * len(names), 3), layout="constrained")
    curves = {label: read_curves(run) for label, run in runs.items()}
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for label, found in curves.items():
            if name in found:
                axes.plot(
                    *found[name], label=label, marker="o" if len(found[name][0]) < 20 else None
                )
        axes.set_title(name)
        axes.set_xlabel("update")
        if axes.lines:
            axes.legend()
    return figure


def plot_confusion(matrix, names):
    """Plots a confusion matrix: true classes in rows, predicted classes in columns.

    A cell is darker the larger its share of the row. Class names are drawn for up to 60 classes,
    counts for up to 30. If no installed font has the script of the names, a class is drawn as its
    index in `names`, from 0.

    Args:
        matrix: int (C, C), counts.
        names: C str.

    Returns:
        A matplotlib Figure.

    Raises:
        ConfigError: if the number of names differs from the number of rows or columns.
    """
    from matplotlib.figure import Figure

    matrix, classes = np.asarray(matrix), len(names)
    if matrix.shape != (classes, classes):
        raise ConfigError(
            "a confusion matrix must have a row and a column for each name. "
            f"Received: {matrix.shape} for {classes} names. Use names of all classes."
        )
    drawn = not _other_scripts("".join(names)) or _font_of_other_scripts()
    labels = (
        [_short(name, 24) if drawn else str(number) for number, name in enumerate(names)]
        if classes <= 60
        else []
    )
    # Sizes in inches: the cells, and a margin for the longest name beside or below them, where a
    # Chinese character is twice as wide as a letter. The constants leave room for the axis titles.
    cells, margin = (
        min(0.45 * classes, 20.0),
        0.09 * max((_width(label) for label in labels), default=0),
    )
    figure = Figure(figsize=(2.0 + cells + margin, 1.6 + cells + margin), layout="constrained")
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=90, parse_math=False)
    axes.set_yticks(ticks, labels, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row, column in np.argwhere(matrix) if classes <= 30 else ():
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(
            column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8, color=color
        )
    _use_fonts_that_have(figure, "".join(labels))
    return figure


def plot_reliability(bins):
    """Plots a reliability diagram (Guo et al. 2017, figure 1): accuracy for each confidence bin.

    A bar below the diagonal means that the model is overconfident.

    Args:
        bins: list of dict, from `transformer.metrics.classification.calibration_bins`.

    Returns:
        A matplotlib Figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    lows, widths = [row["low"] for row in bins], [row["high"] - row["low"] for row in bins]
    axes.bar(
        lows,
        [row["accuracy"] for row in bins],
        widths,
        align="edge",
        edgecolor="black",
        label="accuracy",
    )
    axes.plot([0, 1], [0, 1], color="gray", linestyle="--", label="perfectly calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    axes.legend(loc="upper left")
    return figure


def plot_regression(labels, predictions):
    """Plots one point for each example: true number on the x axis, predicted one on the y axis.

    On the dashed diagonal the two are equal.

    Args:
        labels: float (N,).
        predictions: float (N,).

    Returns:
        A matplotlib Figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter(labels, predictions, s=12, alpha=0.5)
    ends = min(*labels, *predictions), max(*labels, *predictions)
    axes.plot(ends, ends, color="gray", linestyle="--")
    axes.set(xlabel="true", ylabel="predicted")
    return figure


def plot_points(points):
    """Plots training against validation curves, one panel for each quantity, four in a row.

    A panel has one line for each part that has the quantity, such as "train" and "validation".

    Args:
        points: list of (step, name, value), such as (100, "validation/loss", 0.3). The quantity is
            what follows the last "/" of the name, the part is what precedes it. Values that are not
            finite, such as an overflowed perplexity, are left out.

    Returns:
        A matplotlib Figure.
    """
    from matplotlib.figure import Figure

    panels = {}
    for step, name, value in points:
        if np.isfinite(value):
            part, _, quantity = name.rpartition("/")
            panels.setdefault(quantity, {}).setdefault(part, {})[step] = value
    # Quantities with several parts come first, because they can be compared.
    ordered = sorted(panels.items(), key=lambda panel: -len(panel[1]))
    columns = min(max(len(panels), 1), 4)
    rows = max(math.ceil(len(panels) / columns), 1)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, (quantity, parts) in zip(grid, ordered):
        # Sorted, so that "train" has the same color in all panels.
        for part, line in sorted(parts.items()):
            axes.plot(
                *zip(*sorted(line.items())),
                label=part or quantity,
                marker="o" if len(line) < 20 else None,
            )
        axes.set_title(quantity)
        axes.set_xlabel("update")
        axes.legend()
    return figure


def _other_scripts(text):
    """Returns whether text has characters, such as Chinese, that matplotlib's own font lacks."""
    return any(character >= "\u2e80" for character in text)


def _font_of_other_scripts():
    """Returns the name of an installed font with Chinese, Japanese and Korean, or ""."""
    from matplotlib import font_manager

    installed = sorted({font.name for font in font_manager.fontManager.ttflist})
    wanted = (
        "Noto Sans CJK",
        "Noto Serif CJK",
        "WenQuanYi",
        "Source Han",
        "PingFang",
        "Microsoft YaHei",
        "SimHei",
        "Droid Sans Fallback",
    )
    return next((name for start in wanted for name in installed if name.startswith(start)), "")


def _use_fonts_that_have(figure, text):
    """Sets a system font for Chinese, Japanese and Korean, if the text needs it and one exists.

    The fonts that come with matplotlib do not have these scripts.
    """
    from matplotlib import text as matplotlib_text

    if not _other_scripts(text):
        return
    families = [name for name in (_font_of_other_scripts(), "DejaVu Sans") if name]
    for label in figure.findobj(matplotlib_text.Text):
        label.set_fontfamily(families)


def _width(text):
    """Returns the approximate width of text, in Latin letters."""
    return len(text) + sum(character >= "\u2e80" for character in text)


def _short(text, width):
    """Returns text on one line, cut to `width` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
