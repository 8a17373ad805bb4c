"""pipeline(task, model=...): from texts to answers in one call, and `fit` to teach a pretrained model a task.

    classifier = pipeline("text-classification", model="bert_base_en")    # or a Hugging Face folder, a run of train.py
    classifier.fit(["so good", "so bad"], ["positive", "negative"], epochs=3)
    classifier("not bad at all")                                          # [{"label": "positive", "score": 0.98}]
    classifier.save("runs/mine")                                          # pipeline("text-classification", model="runs/mine")

Where text becomes batches it is data/ that makes them: like the programs, this module joins the two packages.
"""

import dataclasses
import json
import math
import pathlib
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from data.batches import Plan, Texts, batch_at, training_dataset
from data.config import LabelledDataConfig
from data.labelled import fingerprint, labelled_from
from data.report import format_lengths, length_report
from transformer import checkpoints, lora
from transformer.config import ConfigError, FinetuningConfig, TaskConfig
from transformer.encoders import load_encoder
from transformer.generation import Generator
from transformer.heads import TextModel
from transformer.objectives import HeadObjective
from transformer.text_inputs import load_text_inputs
from transformer.text_tasks import TASKS
from transformer.training import choose_weights, make_strategy, make_trainee, precision_warning, set_precision, start_training

# Tasks by the names that users of Hugging Face know, on an encoder and on an encoder-decoder.
TEXT_PIPELINES = {"text-classification": "classification", "text-regression": "regression", "question-answering": "spans"}
OUTPUTS = {"translation": "translation_text", "summarization": "summary_text", "text2text-generation": "generated_text"}
# Texts that are answered at once.
BATCH = 32


def pipeline(task, model, **options):
    """A ready pipeline.

    Args:
        task: "text-classification", "text-regression", "question-answering", "translation", "summarization" or
            "text2text-generation".
        model: for the last three a run folder of train.py. For the others a folder that finetune.py or `save` wrote; or a
            pretrained model that is yet to be taught by `fit`: see transformer.encoders.load_encoder.
        options: fields of TaskConfig, such as tuning="lora" or task="multilabel", for a model yet to be taught; fields of
            DecodingConfig for a run of train.py.

    Raises:
        ConfigError: there is no such task or model.
    """
    if task in OUTPUTS:
        return GenerationPipeline(Generator.from_run(model, **options), OUTPUTS[task])
    if task not in TEXT_PIPELINES:
        raise ConfigError(f"task must be one of {', '.join([*TEXT_PIPELINES, *OUTPUTS])}. Received: {task!r}.")
    if not (pathlib.Path(model) / "task.json").exists():
        return TextPipeline(TaskConfig(**{"task": TEXT_PIPELINES[task], **options, "pretrained": str(model)}))
    loaded = TextPipeline.load(model)
    if options or loaded.config.task not in (TEXT_PIPELINES[task], *(["multilabel"] if task == "text-classification" else [])):
        raise ConfigError(
            f"{model} was made for task={loaded.config.task!r}, and keeps its options. Received: {task!r}, {options or 'none'}."
        )
    return loaded


class GenerationPipeline:
    """Texts from texts, by a run of train.py. Arguments: a Generator, and the name of the output."""

    def __init__(self, generator, name):
        self.generator, self.name = generator, name

    def __call__(self, texts):
        """str or list of str -> [{name: str}], one for each text."""
        return [{self.name: text} for text in self.generator([texts] if isinstance(texts, str) else list(texts))]


class TextPipeline:
    """A task on texts, with an encoder that `fit` or `train` teaches it.

    Args:
        config: a TaskConfig.
        make_encoder: () -> (encoder, TextInputs); default: load_encoder of the configuration.
    """

    def __init__(self, config, make_encoder=None):
        self.config = config
        dropout = None if config.encoder_dropout < 0 else config.encoder_dropout
        self.make_encoder = make_encoder or (lambda: load_encoder(config.pretrained, dropout))
        self.task = self.encoder = self.tokenizer = self.model = self._forward = None
        self.tuned = {}

    @classmethod
    def load(cls, folder):
        """The pipeline that `save` wrote into a folder.

        Raises:
            ConfigError: the folder holds none.
        """
        folder = pathlib.Path(folder)
        try:
            state = json.loads((folder / "task.json").read_text(encoding="utf-8"))
            config = TaskConfig(**{name: tuple(value) if isinstance(value, list) else value
                                   for name, value in state["config"].items()})  # fmt: skip
            new = cls(config)
            new._set_model(keras.models.load_model(folder / "model.keras", safe_mode=True, compile=False))
            new.task, new.tuned = TASKS[config.task](state["labels"], config), state["tuned"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"a fine-tuned model's folder must be whole. Received: {folder} ({error}). Run it again."
            ) from None
        new.tokenizer = load_text_inputs(folder / "tokenizer")
        return new

    def _set_model(self, model):
        self.model, self.encoder = model, model.encoder
        # Not `predict`, which under a strategy with several replicas gives each of them the whole batch.
        self._forward = tf.function(lambda ids, types: model((ids, types), training=False), reduce_retracing=True)

    def save(self, folder):
        """Writes model.keras, tokenizer/ and task.json into a folder; `pipeline(task, model=folder)` reads them."""
        self._check_taught()
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints.save_model(self.model, folder)
        self.tokenizer.save(folder / "tokenizer")
        state = {"config": dataclasses.asdict(self.config), "labels": self.task.labels, "tuned": self.tuned}
        checkpoints.write_json(folder / "task.json", state)

    def __call__(self, inputs=None, top_k=1, **pair):
        """Answers, as Hugging Face's pipelines give them.

        Args:
            inputs: a text, a pair {"text": str, "text_pair": str}, for question answering {"question": str, "context": str};
                or a list of such. `pair`: the parts of one pair as keywords instead.
            top_k: how many labels a text gets, the likeliest first; None: all. 1, where a text can have several labels: those
                that apply.

        Returns:
            For one input a list of dicts: {"label", "score"}, {"score"} for a regression, {"answer", "start", "end", "score"}
            for a question. For a list of inputs one such dict for each; a list of dicts for each where there can be several.
        """
        self._check_taught()
        inputs = pair if inputs is None else inputs
        several = isinstance(inputs, (list, tuple))
        examples = [_example(one, self.config.task) for one in (inputs if several else [inputs])]
        answers = self.answers(examples, self.predict(examples)[0], top_k) if examples else []
        single = top_k == 1 and self.config.task != "multilabel"
        return ([rows[0] for rows in answers] if single else answers) if several else answers[0]

    def answers(self, examples, predictions, top_k=1):
        """The answers to predictions of examples, a list of dicts for each; see `__call__`."""
        rows = self.task.answers(examples, predictions, **self.tuned)
        return [self.task.chosen(row, **self.tuned) if top_k == 1 else row[:top_k] for row in rows]

    def predict(self, examples, batch_size=BATCH):
        """The task's predictions for examples, and the mean loss (nats, or squared error); without labels it means nothing."""
        return self._predict(examples, self.task.features(self.tokenizer, examples), batch_size)

    def _predict(self, examples, features, batch_size):
        texts = self._texts(features)
        plan = Plan(texts, max(map(len, features.ids)), seed=0, rows=min(batch_size, len(features.ids)))
        outputs, losses, counts, head = [None] * len(texts), 0.0, 0.0, self.model.head
        for step in range(plan.steps_per_epoch):
            _, _, numbers = plan.batch(step)
            inputs, targets = batch_at(texts, plan, step)
            found = self._forward(*inputs)
            loss, count = head.loss(targets, found)
            losses, counts = losses + float(loss), counts + float(count)
            for (number,), row in zip(numbers, np.asarray(head.predictions(found))):
                outputs[number] = row[: len(features.ids[number])] if row.ndim == 2 else row
        return self.task.predictions(examples, features, outputs), losses / counts if counts else float("nan")

    def _texts(self, features):
        return Texts(features.ids, features.types, features.targets, self.tokenizer.pad_id, self.task.empty, features.num_texts)

    def _summary(self, features, plan, jit):
        total = self.model.count_params()
        trained = sum(math.prod(variable.shape) for variable in self.model.trainable_variables)
        lengths = format_lengths(length_report(features.lengths, self.config.max_length))
        if features.windows:
            questions = len({window.example for window in features.windows})
            lengths = f"{len(features.windows):,} windows of {questions:,} questions; {lengths}"
        return (
            f"{lengths}\n{total:,} parameters, {trained:,} of them learnt ({trained / total:.2%}); {len(features.ids):,} inputs "
            f"in {plan.steps_per_epoch:,} batches; shapes {plan.shapes}; padding {plan.padding_share:.1%}; {jit}"
        )

    def _check_taught(self):
        if self.model is None:
            raise ConfigError(
                "a pretrained model must be taught its task. Received: "
                f"{self.config.pretrained}, which was not. Call fit first."
            )

    def fit(self, texts, labels=None, pairs=None, validation_data=None, run=None, data=LabelledDataConfig(), **options):
        """Fine-tunes on labelled texts. The task's head is new, also where `fit` was called before; the encoder goes on.

        Args:
            texts: list of str, with `labels` (names, numbers, or lists of names) and perhaps `pairs`, the second texts; or
                without labels a tf.data.Dataset, a pandas DataFrame, a list of dicts: see data.labelled.labelled_from.
            validation_data: (texts, labels[, pairs]) or as `texts`; without it a share of the training data.
            run: folder for checkpoints and TensorBoard, where the same call continues; None: nothing is kept.
            data: a LabelledDataConfig, whose columns, labels and shares count.
            options: fields of FinetuningConfig, such as epochs=3, batch_size=32, learning_rate=5e-5, seed=1.

        Returns:
            The pipeline itself.

        Raises:
            ConfigError, DataError: options or data that cannot be used.
        """
        train = texts if labels is None else (texts, labels, *([] if pairs is None else [pairs]))
        labelled = labelled_from(self.config.task, train, validation=validation_data, config=data)
        with tempfile.TemporaryDirectory() as temporary:
            _, stopped = self.train(labelled, FinetuningConfig(**options), pathlib.Path(run or temporary))
        if stopped:
            raise KeyboardInterrupt(f"{stopped.name}: the training was stopped" + (f" and is saved in {run}" if run else ""))
        return self

    def evaluate(self, texts, labels=None, pairs=None, data=LabelledDataConfig()):
        """The report on labelled texts: see transformer.reports. Arguments: as for `fit`."""
        self._check_taught()
        given = texts if labels is None else (texts, labels, *([] if pairs is None else [pairs]))
        data = dataclasses.replace(data, labels=self.task.labels, labels_file="")
        return self.report(labelled_from(self.config.task, test=given, config=data).splits["test"])

    def report(self, examples, train=()):
        """The report on examples; `train`: those that were learnt from, for the baselines."""
        return self.task.report(examples, self.predict(examples)[0], train=train, **self.tuned)

    def train(self, labelled, config, folder, sections=None, claimed=lambda: None):
        """Fine-tunes on a data.labelled.Labelled in a run folder, or continues to; leaves the best weights in the model, or
        after a signal the last ones. Where it fails, the pipeline is as it was, but for what the encoder has learnt.

        Args:
            labelled: its splits "train" and "validation" count.
            config: FinetuningConfig.
            folder: the run folder.
            sections: of config.json, besides those of task and training.
            claimed: called once the folder is this run's, to write more into it.

        Returns:
            The Progress, and the signal that stopped the training or None.
        """
        before, policy = dict(vars(self)), keras.config.dtype_policy()
        try:
            return self._train(labelled, config, pathlib.Path(folder), sections or {}, claimed)
        except BaseException:
            vars(self).update(before)
            raise
        finally:
            keras.config.set_dtype_policy(policy)

    def _train(self, labelled, config, folder, sections, claimed):
        config, strategy = self._begin(labelled, config)
        train, validation = labelled.splits["train"], labelled.splits["validation"]
        if not validation:
            print("there is no validation data: the best weights are those that are best on the training data", flush=True)
        evaluate = self._validation(validation or train, config.batch_size)
        features = self.task.features(self.tokenizer, train)
        texts, replicas = self._texts(features), strategy.num_replicas_in_sync
        plan = Plan(texts, max(map(len, features.ids)), config.seed, config.accumulate_steps, replicas, rows=config.batch_size)
        config = config.counted(plan.steps_per_epoch)
        data = {"labels": labelled.labels, "training and validation texts": fingerprint(labelled)}
        sections = sections | {"task": dataclasses.asdict(self.config), "finetuning": dataclasses.asdict(config), "labelled": data}
        if checkpoints.claim_run(folder, sections):
            print(f"continuing the run in {folder}", flush=True)
        claimed()
        head = self.task.head(train, config.label_smoothing)
        trainee, jit = make_trainee(lambda: self._new_model(head), config, HeadObjective, strategy)
        print(self._summary(features, plan, jit), flush=True)
        progress, stopped = start_training(
            trainee, config, folder,
            make_dataset=lambda step: training_dataset(texts, plan, step, config.train_steps - step),
            batch_at=lambda step: batch_at(texts, plan, step),
            evaluate=evaluate, padding_share=plan.padding_share, num_shapes=len(plan.shapes),
        )  # fmt: skip
        if not stopped:
            choose_weights(trainee, config, folder, evaluate)
            if self.tuned:  # for the weights that were tried last
                evaluate()
        return progress, stopped

    def _begin(self, labelled, config):
        """Checks the options, makes task, encoder and tokenizer; returns the configuration and the strategy."""
        if config.label_smoothing and self.config.task != "classification":
            raise ConfigError(f"label_smoothing needs task='classification'. Received: {self.config.task!r}. Leave it out.")
        task = TASKS[self.config.task](labelled.labels, self.config)
        config = dataclasses.replace(config, keep_best_metric=task.checked_metric(config.keep_best_metric))
        if warning := precision_warning(config.precision):
            print(f"warning: {warning}", file=sys.stderr, flush=True)
        set_precision(config.precision)
        keras.utils.set_random_seed(config.seed)
        strategy = make_strategy(config.distribution)
        with strategy.scope():
            self.encoder, self.tokenizer = (self.encoder, self.tokenizer) if self.encoder else self.make_encoder()
        self.task = task
        return config, strategy

    def _new_model(self, head):
        """The encoder with a new head, of which that is trainable which the configuration says."""
        model = TextModel(self.encoder, head, name="text_model")
        model.build()
        lora.choose_trainable(model, self.config)
        self._set_model(model)
        return model

    def _validation(self, examples, batch_size):
        """() -> the scores of the model as it is, {name: number}, and ten of its answers: (text, label, answer)."""
        features = self.task.features(self.tokenizer, examples)

        def evaluate():
            predictions, loss = self._predict(examples, features, batch_size)
            self.tuned = self.task.tuned(examples, predictions)
            scores = self.task.scores(examples, predictions, **self.tuned)
            answers = self.answers(examples[:10], predictions[:10])
            rows = [(_shown(example), self.task.shown_label(example), str(row)) for example, row in zip(examples, answers)]
            return {"loss": loss, **{name: scores[name] for name in self.task.metrics if name in scores}}, rows

        return evaluate


def _shown(example):
    return " ||| ".join(part for part in (getattr(example, "text", None), getattr(example, "pair", None)) if part)


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
    """A text or a dict that a pipeline was called with, as an example without a label."""
    if isinstance(one, str) and task != "spans":
        return _Input(text=one)
    names = {"question", "context"} if task == "spans" else {"text", "text_pair"}
    if not isinstance(one, dict) or not all(isinstance(value, str) for value in one.values()) or set(one) != names:
        wanted = " and ".join(sorted(names)) if task == "spans" else "text, or a dict of text and text_pair"
        raise ConfigError(f"an input must have {wanted}, as str. Received: {str(one)[:100]}.")
    return (
        _Input(question=one["question"], context=one["context"]) if task == "spans" else _Input(one["text"], one["text_pair"])
    )
