"""Pictures of a model: what looks at what, and how a training went. Each function returns a matplotlib Figure."""

import pathlib

import numpy as np

from transformer.config import ConfigError


def attention_of(generator, source, target=None):
    """The attention weights of one translation.

    Args:
        generator: a transformer.generation.Generator. source: one text. target: its translation; None: the generator's own.

    Returns:
        {"source": pieces of the source, "target": pieces of the target, each ending in the end token,
        "weights": {"encoder", "decoder", "cross"}, a list over layers of float32 (H, queries, keys)}. Row t of "decoder"
        and "cross" is the step that wrote target piece t.
    """
    target = generator([source])[0] if target is None else target
    tokenizers = generator.source_tokenizer, generator.target_tokenizer
    ids = [[*tokenizer.encode([text])[0], tokenizer.eos_id] for tokenizer, text in zip(tokenizers, (source, target))]
    inputs = np.asarray([ids[0]]), np.asarray([[tokenizers[1].bos_id, *ids[1][:-1]]])
    weights = generator.model.attention_weights(inputs)
    arrays = {kind: [np.asarray(layer)[0] for layer in layers] for kind, layers in weights.items()}
    names = [[*tokenizer.pieces(text), "</s>"] for tokenizer, text in zip(tokenizers, (source, target))]
    return {"source": names[0], "target": names[1], "weights": arrays}


def plot_attention(weights, queries, keys, title=""):
    """A heat map of attention: a row for each query, a column for each key, dark where much is looked at.

    Args:
        weights: float (queries, keys); or (H, queries, keys), drawn side by side, a panel a head.
        queries, keys: list of str, the names of rows and columns.

    Raises:
        ConfigError: the names are not as many as rows and columns.
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
    for number, (axes, head) in enumerate(zip(figure.subplots(1, len(heads), squeeze=False)[0], heads)):
        axes.imshow(head, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
        axes.set_xticks(range(len(keys)), keys, rotation=90)
        axes.set_yticks(range(len(queries)), queries if number == 0 else [""] * len(queries))
        if len(heads) > 1:
            axes.set_title(f"head {number + 1}")
    figure.suptitle(title)
    _use_fonts_that_have(figure, "".join([*queries, *keys, title]))
    return figure


def _use_fonts_that_have(figure, text):
    """Chinese, Japanese and Korean need a font that matplotlib does not bring: takes one of the system's, if there is one."""
    from matplotlib import font_manager, text as matplotlib_text

    if all(character < "\u2e80" for character in text):
        return
    installed = {font.name for font in font_manager.fontManager.ttflist}
    wanted = ("Noto Sans CJK", "Noto Serif CJK", "WenQuanYi", "Source Han", "PingFang", "Microsoft YaHei", "SimHei",
              "Droid Sans Fallback")  # fmt: skip
    names = [name for start in wanted for name in sorted(installed) if name.startswith(start)]
    for label in figure.findobj(matplotlib_text.Text):
        label.set_fontfamily([*names[:1], "DejaVu Sans"])


def read_curves(run):
    """The scalars that a run wrote for TensorBoard.

    Returns:
        {name, such as "train/loss": (steps, values)}, lists; a step written twice, by a run that was continued, counts
        once, with its last value.

    Raises:
        ConfigError: the folder holds none.
    """
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    curves = {}
    for path in sorted((pathlib.Path(run) / "tensorboard").glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    curves.setdefault(value.tag, {})[event.step] = float(tensor_util.make_ndarray(value.tensor))
    if not curves:
        raise ConfigError(f"a run folder must hold curves in tensorboard/. Received: {run}. Name a run that has begun.")
    return {name: tuple(map(list, zip(*sorted(points.items())))) for name, points in curves.items()}


def plot_curves(runs, names=("train/loss", "validation/loss", "validation/bleu")):
    """Curves of one or several runs, a panel for each name, a line for each run that has it.

    Args:
        runs: {label: run folder}, or one run folder. names: of scalars, as in TensorBoard.
    """
    from matplotlib.figure import Figure

    runs = runs if isinstance(runs, dict) else {pathlib.Path(runs).name: runs}
    figure = Figure(figsize=(4 * len(names), 3), layout="constrained")
    curves = {label: read_curves(run) for label, run in runs.items()}
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for label, found in curves.items():
            if name in found:
                axes.plot(*found[name], label=label, marker="o" if len(found[name][0]) < 20 else None)
        axes.set_title(name)
        axes.set_xlabel("update")
        if axes.lines:
            axes.legend()
    return figure
