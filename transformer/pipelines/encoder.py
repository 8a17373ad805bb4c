"""`pipeline(task, model)` turns texts into answers, and `fit` fine-tunes a pretrained model.

Examples:
    # A KerasHub preset, a Hugging Face folder or a run of train.py
    classifier = pipeline("text-classification", model="bert_base_en")
    classifier.fit(["so good", "so bad"], ["positive", "negative"], epochs=3)
    classifier("not bad at all")  # [{"label": "positive", "score": 0.98}]
    classifier.save("runs/mine")  # pipeline("text-classification", model="runs/mine")

    # A run of train.py, which `fit` trains further
    translator = pipeline("translation", model="runs/multi30k_en_de")
"""

import dataclasses
import json
import pathlib
import random

import numpy as np

from data.batches import Plan, Texts, batch_at
from data.config import LabelledDataConfig
from data.report import length_report
from transformer.compilation import compiled
from transformer.config import ConfigError, TaskConfig, from_json
from transformer.files import write_json
from transformer.model import lora
from transformer.model.heads import TextModel
from transformer.pipelines.text_to_text import GenerationPipeline
from transformer.pipelines.trainable import FineTunable, are_several
from transformer.pretrained.encoders import load_encoder, load_text_model, renewed
from transformer.tasks.encoder import TASKS
from transformer.training import checkpoints
from transformer.training.objectives import HeadObjective

# Hugging Face's names of tasks, for an encoder and for an encoder-decoder.
TEXT_PIPELINES = {
    "text-classification": "classification",
    "multilabel-classification": "multilabel",
    "text-regression": "regression",
    "question-answering": "spans",
}
OUTPUTS = {
    "translation": "translation_text",
    "summarization": "summary_text",
    "text2text-generation": "generated_text",
}
# The number of inputs that are answered at once.
BATCH = 32


def pipeline(task, model, **options):
    """Creates a pipeline for a task.

    Args:
        task: "text-classification", "multilabel-classification" (any number of labels for each
            text), "text-regression", "question-answering", "translation", "summarization" or
            "text2text-generation".
        model: str or path. For the last three tasks, a run folder of train.py or of finetune.py
            --task=text2text. For the others, a folder that finetune.py or `save` wrote, or a
            pretrained model to fine-tune with `fit`; see `load_encoder` in
            transformer/pretrained/encoders.py.
        **options: for a pretrained model to fine-tune, fields of `TaskConfig`, such as
            tuning="lora". For the last three tasks, fields of `DecodingConfig`. Their `fit` takes
            the fields of `TaskConfig`.

    Returns:
        A `TextPipeline` or a `GenerationPipeline`.

    Raises:
        ConfigError: there is no such task or model, or the model was fine-tuned already and is
            given options or another task.
    """
    if task in OUTPUTS:
        return GenerationPipeline.from_run(model, OUTPUTS[task], **options)
    if task not in TEXT_PIPELINES:
        raise ConfigError(
            f"task must be one of {', '.join([*TEXT_PIPELINES, *OUTPUTS])}. Received: {task!r}."
        )
    if not (pathlib.Path(model) / "task.json").exists():
        return TextPipeline(
            TaskConfig(**{"task": TEXT_PIPELINES[task], **options, "pretrained": str(model)})
        )
    loaded = TextPipeline.load(model)
    if options or loaded.config.task != TEXT_PIPELINES[task]:
        raise ConfigError(
            f"{model} is already fine-tuned for task={loaded.config.task!r}, so neither its task "
            f"nor its options can change. Received: {task!r} (task={TEXT_PIPELINES[task]!r}), "
            f"options {options or 'none'}."
        )
    return loaded


class TextPipeline(FineTunable):
    """A pipeline with an encoder and a head, which `fit` or `train` fine-tunes.

    Args:
        config: `TaskConfig`.
        make_encoder: function () -> (encoder, `TextInputs`). None loads the encoder that the
            configuration names.
    """

    objective = HeadObjective

    def __init__(self, config, make_encoder=None):
        if config.task not in TASKS:
            raise ConfigError(
                f"an encoder's task must be one of {', '.join(TASKS)}. Received: {config.task!r}."
            )
        self.config = config
        self.make_encoder = make_encoder or (
            lambda: load_encoder(config.pretrained, config.pretrained_dropout)
        )
        self.task = self.encoder = self.tokenizer = self.model = self._forward = None
        self.tuned = {}

    @classmethod
    def load(cls, folder):
        """Loads the pipeline that `save` wrote.

        Args:
            folder: str or path.

        Returns:
            A `TextPipeline`.

        Raises:
            ConfigError: a file is missing or broken.
        """
        folder = pathlib.Path(folder)
        try:
            state = json.loads((folder / "task.json").read_text(encoding="utf-8"))
            config = from_json(TaskConfig, state["config"])
            new = cls(config)
            new.task, new.tuned = TASKS[config.task](state["labels"], config), state["tuned"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                "cannot load the fine-tuned model, because a file is missing or broken. "
                f"Received: {folder} ({error}). Fine-tune it again."
            ) from None
        model, new.tokenizer = load_text_model(folder)
        new._set_model(model)
        return new

    def _set_model(self, model):
        self.model, self.encoder = model, model.encoder
        # Do not use Keras's `predict`. Under a strategy with several replicas, each replica would
        # get the whole batch.
        self._forward = compiled(lambda ids, types: model((ids, types), training=False), model)

    def save(self, folder):
        """Writes the fine-tuned model into a folder: model.keras, tokenizer/ and task.json.

        `pipeline(task, model=folder)` loads it.

        Args:
            folder: str or path. The folder is created if it does not exist.

        Raises:
            ConfigError: the model is not fine-tuned yet.
        """
        self._check_taught()
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints.save_model(self.model, folder)
        self.tokenizer.save(folder / "tokenizer")
        state = {
            "config": dataclasses.asdict(self.config),
            "labels": self.task.labels,
            "tuned": self.tuned,
        }
        write_json(folder / "task.json", state)

    def __call__(self, inputs=None, top_k=1, **pair):
        """Answers one input or several, in the format of Hugging Face's pipelines.

        Args:
            inputs: a text or {"text": str}, a pair {"text": str, "text_pair": str}, or for question
                answering {"question": str, "context": str}. Several inputs are a list, an array or
                a column of these.
            top_k: int, the number of labels for each text, the most likely first. None gives all
                labels. For a multilabel task, 1 gives the labels that apply.
            **pair: the parts of one pair as keywords, instead of `inputs`.

        Returns:
            For one input, a list of dicts: {"label", "score"}, for a regression {"score"}, for a
            question {"answer", "start", "end", "score"}. For several inputs, a list with one such
            dict for each, or with a list of dicts for each if there can be several.

        Raises:
            ConfigError: the model is not fine-tuned yet, or an input has another form.
        """
        self._check_taught()
        inputs = pair if inputs is None else inputs
        several = are_several(inputs)
        examples = [_example(one, self.config.task) for one in (inputs if several else [inputs])]
        answers = self.answers(examples, self.predict(examples)[0], top_k) if examples else []
        single = top_k == 1 and self.config.task != "multilabel"
        return ([rows[0] for rows in answers] if single else answers) if several else answers[0]

    def answers(self, examples, predictions, top_k=1):
        """Turns predictions into answers.

        Args:
            examples: list of examples.
            predictions: from `predict`.
            top_k: see `__call__`.

        Returns:
            A list with a list of dicts for each example.
        """
        rows = self.task.answers(examples, predictions, **self.tuned)
        return [self.task.chosen(row, **self.tuned) if top_k == 1 else row[:top_k] for row in rows]

    def predict(self, examples, batch_size=BATCH):
        """Predicts the examples.

        Args:
            examples: list of examples.
            batch_size: int, the number of rows in a batch.

        Returns:
            A tuple `(predictions, loss)`: the task's predictions, and the mean loss, in nats or as
            a squared error. Without labels the loss is meaningless.
        """
        return self._predict(examples, self.task.features(self.tokenizer, examples), batch_size)

    def _predict(self, examples, features, batch_size):
        texts = self._rows(features)
        plan = Plan(
            texts, max(map(len, features.ids)), seed=0, rows=min(batch_size, len(features.ids))
        )
        outputs, losses, counts, head = [None] * len(texts), 0.0, 0.0, self.model.head
        for step in range(plan.steps_per_epoch):
            _, _, numbers = plan.batch(step)
            inputs, targets = batch_at(texts, plan, step)
            found = self._forward(*inputs)
            loss, count = head.loss(targets, found)
            losses, counts = losses + float(loss), counts + float(count)
            for (number,), row in zip(numbers, np.asarray(head.predictions(found))):
                outputs[number] = row[: len(features.ids[number])] if row.ndim == 2 else row
        return self.task.predictions(
            examples, features, outputs
        ), losses / counts if counts else float("nan")

    def _rows(self, features):
        return Texts(
            features.ids,
            features.types,
            features.targets,
            self.tokenizer.pad_id,
            self.task.empty,
            features.num_texts,
        )

    def _check_taught(self):
        if self.model is None:
            raise ConfigError(
                f"the model is not fine-tuned yet. Received: {self.config.pretrained}. Call fit "
                "first."
            )

    def evaluate(self, texts, labels=None, pairs=None, data=LabelledDataConfig()):
        """Evaluates the pipeline on labelled texts. The labels are those of its training.

        Args:
            texts: see `FineTunable.fit`.
            labels: see `FineTunable.fit`.
            pairs: see `FineTunable.fit`.
            data: `LabelledDataConfig`. Its `labels` and `labels_file` are not used.

        Returns:
            A report, see transformer/evaluation/reports.py.

        Raises:
            ConfigError: the model is not fine-tuned yet.
            DataError: the data cannot be used.
        """
        self._check_taught()
        return super().evaluate(
            texts, labels, pairs, dataclasses.replace(data, labels=self.task.labels, labels_file="")
        )

    def results(self, examples, train=()):
        """Makes the report on a test set.

        Args:
            examples: list of examples, the test set.
            train: list of training examples, for the baselines.

        Returns:
            A tuple `(report, rows)`: the report, and a list with a dict for each example, the rows
            of predictions.jsonl.
        """
        predictions, _ = self.predict(examples)
        report = self.task.report(examples, predictions, train=train, **self.tuned)
        answers = self.answers(examples, predictions)
        return report, [
            {**example._asdict(), "prediction": answer}
            for example, answer in zip(examples, answers)
        ]

    def _begin(self, labelled, config):
        if config.label_smoothing and self.config.task != "classification":
            raise ConfigError(
                "label_smoothing needs task='classification'. Received: "
                f"task={self.config.task!r}. Leave it out."
            )
        if self.config.pair_encoding == "bi" and any(
            example.pair is None for example in labelled.splits["train"]
        ):
            raise ConfigError(
                "pair_encoding='bi' needs pairs of texts. Received: single texts. Set "
                "pair_column, or use pair_encoding='cross'."
            )
        self.task = TASKS[self.config.task](labelled.labels, self.config)
        return config.judged_by(self.task.best_metrics, self.config.task)

    def _load(self):
        # After a first training, train a copy of the encoder. The copy has the precision and the
        # strategy of this training, and the trained model stays as it is.
        self.encoder, self.tokenizer = (
            (renewed(self.encoder), self.tokenizer) if self.encoder else self.make_encoder()
        )

    def _encoded(self, examples):
        features = self.task.features(self.tokenizer, examples)
        part = "window" if features.windows else "text"
        return self._rows(features), {
            part: length_report(features.lengths, self.config.input_length)
        }

    def _remarks(self, examples, split):
        return (
            [f"{len(split):,} windows of {len(examples):,} questions"]
            if self.config.task == "spans"
            else []
        )

    def _plan(self, split, config, replicas):
        longest = int(split.source_lengths.max())
        return Plan(
            split, longest, config.seed, config.accumulate_steps, replicas, rows=config.batch_size
        )

    def _new_model(self, examples, config):
        model = TextModel(
            self.encoder, self.task.head(examples, config.label_smoothing), name="text_model"
        )
        model.build()
        lora.choose_trainable(model.encoder, self.config)
        self._set_model(model)
        return model

    def _validation(self, model, examples, config):
        features = self.task.features(self.tokenizer, examples)

        def evaluate():
            predictions, loss = self._predict(examples, features, config.batch_size)
            self.tuned = self.task.tuned(examples, predictions)
            scores = self.task.scores(examples, predictions, **self.tuned)
            answers = self.answers(examples[:10], predictions[:10])
            rows = [
                (_shown(example), self.task.shown_label(example), str(row))
                for example, row in zip(examples, answers)
            ]
            return {
                "loss": loss,
                **{name: scores[name] for name in self.task.metrics if name in scores},
            }, rows

        return evaluate

    def _sampled(self, model, examples, split, count, config):
        sample = random.Random(0).sample(examples, min(len(examples), count))
        features = self.task.features(self.tokenizer, sample)

        def evaluate():
            scores = self.task.scores(
                sample, self._predict(sample, features, config.batch_size)[0], **self.tuned
            )
            return {name: scores[name] for name in self.task.metrics if name in scores}

        return evaluate

    def _learnt(self, model, evaluate, folder):
        # Tune again for the chosen weights. The last evaluation may have been of others.
        if self.tuned:
            evaluate()


def _shown(example):
    return " ||| ".join(
        part for part in (getattr(example, "text", None), getattr(example, "pair", None)) if part
    )


@dataclasses.dataclass(frozen=True)
class _Input:
    """An example without a label."""

    text: str = ""
    pair: str | None = None
    context: str = ""
    question: str = ""
    label: object = None
    answers: tuple = ()


def _example(one, task):
    """Returns an input of a pipeline, a text or a dict, as an example without a label."""
    if isinstance(one, str) and task != "spans":
        return _Input(text=one)
    spans = task == "spans"
    forms = [{"question", "context"}] if spans else [{"text"}, {"text", "text_pair"}]
    if (
        not isinstance(one, dict)
        or not all(isinstance(value, str) for value in one.values())
        or set(one) not in forms
    ):
        wanted = (
            "a dict with question and context, both str"
            if spans
            else "a str, or a dict with text and perhaps text_pair, both str"
        )
        raise ConfigError(f"an input must be {wanted}. Received: {str(one)[:100]}.")
    return (
        _Input(question=one["question"], context=one["context"])
        if spans
        else _Input(one["text"], one.get("text_pair"))
    )
