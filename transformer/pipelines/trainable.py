"""How a pretrained model learns from labelled texts, in a run folder that the same call continues:
what is so for every task.

Where text becomes batches it is data/ that makes them: like the programs, this module and the
pipelines join the two packages.
"""

import math
import pathlib
import random
import sys
import tempfile

import keras

from data.batches import batch_at, training_dataset
from data.config import LabelledDataConfig
from data.readers.labelled import fingerprint, labelled_from
from data.report import format_lengths
from transformer.config import FinetuningConfig
from transformer.training import checkpoints
from transformer.training.loop import (
    choose_weights,
    make_strategy,
    make_trainee,
    precision_warning,
    set_precision,
    start_training,
)
from transformer.training.workers import is_chief

# Most training examples that a validation scores: a forward pass each, a third of what learning
# from them takes.
WATCHED = 1000


class FineTunable:
    """A pipeline that `fit` or `train` teaches. A subclass has `config`, a TaskConfig, and

    objective: what is minimised; see transformer.training.objectives.
    _begin(labelled, config): checks the options and returns them, a FinetuningConfig.
    _encoded(examples): the examples as a Plan takes them, and {part of an example:
        data.report.length_report}.
    _remarks(examples, split): lines on the training examples, for the console.
    _plan(split, config, replicas): the data.batches.Plan of them.
    _new_model(examples, config): the model that learns.
    _validation(model, examples, config): a function () -> its scores, {name: number}, and some of
        its answers; see callbacks.Validate.
    _sampled(model, examples, split, count, config): a function () -> {name: number}, its scores on
        about `count` training examples.
    _learnt(model, evaluate, folder): keeps the model with its best weights; `evaluate` is that of
        `_validation`.
    results(examples, train): the report on a test set, and what predictions.jsonl has of each
        example.
    """

    beyond = "cut at"  # what becomes of examples that exceed the longest

    def fit(
        self,
        texts,
        labels=None,
        pairs=None,
        validation_data=None,
        run=None,
        data=LabelledDataConfig(),
        **options,
    ):
        """Fine-tunes on labelled texts. A task's head is new, also where `fit` was called before;
        what was pretrained goes on.

        Args:
            texts: list of str, with `labels` (names, numbers, lists of names, texts) and perhaps
                `pairs`, the second texts; or without labels a tf.data.Dataset, a pandas DataFrame,
                a list of dicts: see data.readers.labelled.labelled_from.
            validation_data: (texts, labels[, pairs]) or as `texts`; without it a share of the
                training data.
            run: folder for checkpoints and TensorBoard, where the same call continues; None:
                nothing is kept.
            data: a LabelledDataConfig, whose columns, labels and shares count.
            options: fields of FinetuningConfig, such as epochs=3, batch_size=32,
                learning_rate=5e-5, seed=1.

        Returns:
            The pipeline itself.

        Raises:
            ConfigError, DataError: options or data that cannot be used.
        """
        labelled = labelled_from(
            self.config.task, _given(texts, labels, pairs), validation=validation_data, config=data
        )
        with tempfile.TemporaryDirectory() as temporary:
            _, stopped = self.train(
                labelled, FinetuningConfig(**options), pathlib.Path(run or temporary)
            )
        if stopped:
            raise KeyboardInterrupt(
                f"{stopped.name}: the training was stopped"
                + (f" and is saved in {run}" if run else "")
            )
        return self

    def evaluate(self, texts, labels=None, pairs=None, data=LabelledDataConfig()):
        """The report on labelled texts: see transformer.evaluation.reports. Arguments: as for
        `fit`."""
        test = labelled_from(
            self.config.task, test=_given(texts, labels, pairs), config=data
        ).splits["test"]
        return self.results(test)[0]

    def train(self, labelled, config, folder, sections=None, claimed=lambda lengths: None):
        """Fine-tunes on a data.readers.labelled.Labelled in a run folder, or continues to; leaves
        the best weights in the pipeline, unless a signal stopped it. Where it fails, the pipeline
        is as it was. Of several workers the chief's alone is taught.

        Args:
            labelled: its splits "train" and "validation" count.
            config: FinetuningConfig.
            folder: the run folder.
            sections: of config.json, besides those that the pipeline knows of.
            claimed: called once the folder is this run's, to write more into it, with {split:
                lengths, as of `_encoded`}.

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
        task = self.config
        config.check_dropout(
            task.encoder_dropout, *((task.head_dropout,) if task.task != "text2text" else ())
        )
        config = self._begin(labelled, config)
        strategy = _prepare(config)
        with strategy.scope():
            self._load()
        train, validation = labelled.splits["train"], labelled.splits["validation"]
        if not validation:
            print(
                "there is no validation data: the best weights are those that are best on the "
                "training data",
                flush=True,
            )
        split, lengths = self._measured(labelled.splits)
        plan = self._plan(split, config, strategy.num_replicas_in_sync)
        config = config.counted(plan.steps_per_epoch)
        data = {"labels": labelled.labels, "training and validation texts": fingerprint(labelled)}
        sections |= {"task": self.config, "finetuning": config, "labelled": data}
        chief = is_chief(config.distribution)
        if chief:
            if checkpoints.claim_run(folder, self._sections() | sections):
                print(f"continuing the run in {folder}", flush=True)
            claimed(lengths)
        trainee, jit = make_trainee(
            lambda: self._new_model(train, config), config, self.objective, strategy
        )
        if config.initial_seed >= 0:
            _reseed(trainee.model, config.seed)
        evaluate = watch = self._validation(trainee.model, validation or train, config)
        if validation:
            watch = _beside(
                evaluate,
                self._sampled(trainee.model, train, split, min(len(validation), WATCHED), config),
            )
        remarks = self._told(lengths) + self._remarks(train, split)
        print(*remarks, f"{_summary(trainee.model, split, plan)}; {jit}", sep="\n", flush=True)
        progress, stopped = start_training(
            trainee,
            config,
            folder,
            make_dataset=lambda step: training_dataset(
                split, plan, step, config.train_steps - step
            ),
            batch_at=lambda step: batch_at(split, plan, step),
            evaluate=watch,
            padding_share=plan.padding_share,
            num_shapes=len(plan.shapes),
        )
        if chief and not stopped:
            choose_weights(trainee, config, folder, evaluate)
            self._learnt(trainee.model, evaluate, folder)
        return progress, stopped

    def _measured(self, splits):
        """The training examples as a Plan takes them, and {split: the lengths in it, as of
        `_encoded`}."""
        encoded = {name: self._encoded(examples) for name, examples in splits.items() if examples}
        return encoded["train"][0], {name: lengths for name, (_, lengths) in encoded.items()}

    def _told(self, lengths):
        return [
            f"{name:<12}{part} {format_lengths(report, self.beyond)}"
            for name, parts in lengths.items()
            for part, report in parts.items()
        ]

    def _load(self):
        """Loads what is pretrained, where that is not done yet."""

    def _sections(self):
        """Of config.json, besides those of data, task and training."""
        return {}


def soup(members, validation, config):
    """The mean of the weights of models that learnt one task from one start, each in another order:
    a "uniform soup" (Wortsman et al. 2022, section 2), as quick as one of them and often better
    than the best.

    Args:
        members: an iterator of FineTunables; the first of them is given the mean, the others may be
            forgotten one by one.
        validation: examples.
        config: the FinetuningConfig of one.

    Returns:
        The first of the members, and its scores on the validation examples.
    """
    first = next(members)
    totals, count = first.model.get_weights(), 1
    for member in members:
        count += 1
        totals = [total + array for total, array in zip(totals, member.model.get_weights())]
    first.model.set_weights([total / count for total in totals])
    return first, first._validation(first.model, validation, config)()[0]


def are_several(inputs):
    """Whether a pipeline was called with several inputs: anything but a text or a dict that one
    can go through."""
    return hasattr(inputs, "__iter__") and not isinstance(inputs, (str, dict))


def _beside(evaluate, sampled):
    """`evaluate` with the scores of training examples beside its own, named "train/NAME"."""

    def both():
        results, sample = evaluate()  # first: it tunes what the scores need
        return results | {f"train/{name}": value for name, value in sampled().items()}, sample

    return both


def _given(texts, labels, pairs):
    """The arguments of `fit` as labelled_from takes them."""
    return texts if labels is None else (texts, labels, *([] if pairs is None else [pairs]))


def _prepare(config):
    """Sets precision and seed; returns the strategy."""
    if warning := precision_warning(config.precision):
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    set_precision(config.precision)
    keras.utils.set_random_seed(config.seed if config.initial_seed < 0 else config.initial_seed)
    return make_strategy(config.distribution, config.model_devices)


def _reseed(model, seed):
    """Gives dropout the seeds of another start than the weights'."""
    generator = random.Random(seed)
    for variable in model.variables:
        if "seed_generator" in variable.path:
            variable.assign([generator.randrange(2**31), 0])


def _summary(model, split, plan):
    total = model.count_params()
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return (
        f"{total:,} parameters, {trained:,} of them learnt ({trained / total:.2%}); "
        f"{len(split):,} "
        f"inputs in "
        f"{plan.steps_per_epoch:,} batches; shapes {plan.shapes}; padding {plan.padding_share:.1%}"
    )
