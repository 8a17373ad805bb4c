"""Model cards in Markdown (Mitchell et al. 2019).

A card tells what a model was trained on, how it was trained, how well it scores and where its
limits are.
"""

from transformer import __version__
from transformer.config import ModelConfig

# A card shows at most this many label names.
LABELS = 20
# Scores of baselines that need no model, and how the card words them.
BASELINES = {
    "majority_baseline": "the commonest label as the answer to every text has accuracy",
    "mean_baseline_mse": "the mean as the answer to every text has a mean squared error of",
}


def training_card(name, config, scores, table, samples):
    """Returns the model card of a run of train.py, in Markdown.

    Args:
        name: name of the run.
        config: dict, the content of config.json.
        scores: dict, the content of scores.json.
        table: str, the scores as a table.
        samples: str, some translations.
    """
    data, model = config["data"], config["model"]
    task = data["task"].replace("_", " ")
    if data["task"] == "translation":
        task += f", {data['source_language'] or 'source'} to {data['target_language'] or 'target'}"
    facts = {
        "Training data": _origin(data, "corpus", "tfds", "source_train", "examples_train"),
        "Model": f"{model['num_layers']} + {model['num_layers']} layers, width "
        f"{model['d_model']}, "
        f"feed-forward "
        f"{ModelConfig(**model).inner_dim}, {model['num_heads']} heads, "
        f"{scores.get('parameters', 0):,} parameters",
        "Training": f"{_updates(scores)}, {scores.get('tokens_per_second', 0):,.0f} target tokens "
        f"a second",
        "Replay": "`python train.py --flagfile=flags.cfg --run=NEW_FOLDER`",
    }
    sections = {
        f"Scores on {scores['examples']:,} test examples": f"```\n{table}\n```",
        "Samples": f"```\n{samples}\n```",
        "Limits": "The model knows what its training data shows, and no more: other kinds of "
        "text, "
        "names and long sentences\n"
        "come out worse than the scores say. Its output is not checked for truth or offence.",
    }
    return _card(
        name, f"An encoder-decoder Transformer trained from nothing for {task}", facts, sections
    )


def finetuning_card(name, config, data, report, tables, scores):
    """Returns the model card of a run of finetune.py, in Markdown.

    Args:
        name: name of the run.
        config: dict, the content of config.json.
        data: dict, the content of data_report.json.
        report: dict, a report of `transformer.evaluation.reports` on the test set.
        tables: str, the scores of the report in Markdown.
        scores: dict, the content of scores.json.
    """
    task, learning, labels = config["task"], config["finetuning"], config["labelled"]["labels"]
    pretrained = None if task["pretrained"] == "none" else task["pretrained"]
    named = ", ".join(
        [*labels[:LABELS], *([f"and {len(labels) - LABELS} more"] if len(labels) > LABELS else [])]
    )
    counts = ", ".join(f"{entry['examples_out']:,} {split}" for split, entry in data.items())
    targets = " and ".join(task["lora_targets"])
    head = "" if task["task"] == "text2text" else ", and the task's head"
    tuning = {
        "full": "all weights",
        "head": "the task's head alone",
        "lora": f"low-rank changes of {targets}, rank {task['lora_rank']}, alpha "
        f"{task['lora_alpha']:g}{head}",
    }[task["tuning"]]
    seeds, flags = f"seed {learning['seed']}", "flags.cfg"
    if soup := ",".join(map(str, config.get("soup", ()))):
        seeds, flags = (
            f"mean weights of seeds {soup}",
            f"../seed-{config['soup'][0]}/flags.cfg --seeds={soup} --soup",
        )
    facts = {
        "Pretrained model": pretrained or "none",
        "Data": f"{_origin(config['labelleddata'], 'train_files', 'tfds')}; examples: {counts}",
        "Task": task["task"] + (f"; labels: {named}" if labels else ""),
        "Tuning": f"{tuning}; {scores['parameters']:,} parameters in all",
        "Training": f"{_updates(scores)}, learning rate {learning['learning_rate']:g}, batches of "
        f"{learning['batch_size']}, {seeds}",
        "Replay": f"`python finetune.py --flagfile={flags} --run=NEW_FOLDER`",
    }
    baselines = [
        f"Baseline: {what} {report['scores'][key]:.3f}."
        for key, what in BASELINES.items()
        if key in report["scores"]
    ]
    found = "\n\n".join([*baselines, tables, "Mistakes and pictures: report.md."])
    sections = {
        f"Scores on {report['examples']:,} test examples": found,
        "Limits": _limits(data["test"], pretrained),
    }
    origin = f"fine-tuned from {pretrained}" if pretrained else "trained from nothing"
    return _card(name, f"A model for {task['task']}, {origin}", facts, sections)


def _limits(test, pretrained):
    """Returns the limits of a fine-tuned model as a Markdown list.

    Args:
        test: dict, the entry of the test set in data_report.json.
        pretrained: name of the pretrained model, or None.
    """
    seen = test["reasons"].get("text also occurs in train", {"count": 0})["count"]
    origin = f"the labels or in {pretrained}" if pretrained else "the labels"
    limits = [
        "Texts of another kind than the training data come out worse than the scores say; no text "
        "is refused.",
        f"What is one-sided in {origin} is one-sided in the answers; it was not measured.",
    ]
    limits += [
        f"Texts are cut at {lengths['max_length']} tokens: {lengths['truncated']:.1%} of the "
        f"test's."
        for part, lengths in test["lengths"].items()
        if lengths["truncated"] and part != "target"
    ]
    if seen:
        limits.append(
            f"{seen:,} test texts stand in the training data too, which raises the scores."
        )
    return "\n".join(f"- {limit}" for limit in limits)


def _card(name, summary, facts, sections):
    facts = "\n".join(f"- {fact}: {value}" for fact, value in facts.items())
    parts = [f"# {name}", f"{summary}, by transformer-keras {__version__}.", facts]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _origin(data, *options):
    """Returns the value of the option that names where the data came from.

    Args:
        data: dict of data options.
        *options: names of options. The first one with a value counts.
    """
    value = next((data[option] for option in options if data.get(option)), "?")
    return value if isinstance(value, str) else ", ".join(value)


def _updates(scores):
    return f"{scores.get('steps', 0):,} updates, {scores.get('minutes', 0):.1f} minutes"
