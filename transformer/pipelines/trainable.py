"""Fine-tuning on labelled texts, as far as it is the same for every task.

A training belongs to a run folder, and the same call resumes it. data/ turns texts into batches.
This module and the other pipelines join data/ and transformer/, as the programs do.
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

# At most this many training examples are scored at each validation. A forward pass takes a third of
# the time of training on the same examples.
WATCHED = 1000


class FineTunable:
    """Base class of the pipelines, which `fit` or `train` fine-tunes.

    A subclass has `config`, a `TaskConfig`, and these members:

    - `objective`: the class of the training objective, see transformer/training/objectives.py.
    - `_begin(labelled, config)`: checks the options and returns them, a `FinetuningConfig`.
    - `_encoded(examples)`: returns the examples in the form that `Plan` takes, and a dict from part
      of an example to its `length_report`.
    - `_remarks(examples, split)`: returns lines about the training examples, for the console.
    - `_plan(split, config, replicas)`: returns the `Plan` of the training examples.
    - `_new_model(examples, config)`: returns the model to train.
    - `_validation(model, examples, config)`: returns a function () -> (scores, sample), where
      scores are {name: number} and sample has some of the answers. See `Validate` in
      transformer/training/callbacks.py.
    - `_sampled(model, examples, split, count, config)`: returns a function () -> {name: number},
      the scores on about `count` training examples.
    - `_learnt(model, evaluate, folder)`: keeps the model with its best weights. `evaluate` is the
      function from `_validation`.
    - `results(examples, train)`: returns the report on a test set, and the rows of
      predictions.jsonl.

    Attributes:
        beyond: str, what happens to examples that are too long, for the console.
    """

    beyond = "cut at"

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
        """Fine-tunes on labelled texts.

        The task's head starts from new random weights, even if `fit` was called before. The
        pretrained weights are trained further.

        Args:
            texts: list of str, with `labels`. Or without `labels`: a `tf.data.Dataset`, a pandas
                DataFrame or a list of dicts, see `labelled_from` in data/readers/labelled.py.
            labels: list of names, numbers, lists of names, or texts, one for each text.
            pairs: list of str, the second texts. None means that there are none.
            validation_data: (texts, labels) or (texts, labels, pairs), or the same as `texts`. None
                takes a share of the training data.
            run: str or path, the run folder for checkpoints and TensorBoard, where the same call
                resumes. None keeps no files.
            data: `LabelledDataConfig`. Its columns, labels and shares are used.
            **options: fields of `FinetuningConfig`, such as epochs=3, batch_size=32,
                learning_rate=5e-5, seed=1.

        Returns:
            The pipeline itself.

        Raises:
            ConfigError: the options cannot be used.
            DataError: the data cannot be used.
            KeyboardInterrupt: a signal stopped the training.
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
        """Evaluates the pipeline on labelled texts.

        Args:
            texts: see `fit`.
            labels: see `fit`.
            pairs: see `fit`.
            data: see `fit`.

        Returns:
            A report, see transformer/evaluation/reports.py.

        Raises:
            ConfigError: the options cannot be used.
            DataError: the data cannot be used.
        """
        test = labelled_from(
            self.config.task, test=_given(texts, labels, pairs), config=data
        ).splits["test"]
        return self.results(test)[0]

    def train(self, labelled, config, folder, sections=None, claimed=lambda lengths: None):
        """Fine-tunes in a run folder, or resumes a run there.

        The pipeline gets the best weights, unless a signal stops the training. If the training
        fails, the pipeline stays as it was. With several workers, only the chief's pipeline gets
        the weights.

        Args:
            labelled: `Labelled`, from data/readers/labelled.py. Its splits "train" and "validation"
                are used.
            config: `FinetuningConfig`.
            folder: str or path, the run folder.
            sections: dict, further sections of config.json. None adds nothing to the pipeline's
                own.
            claimed: function that is called once the folder belongs to this run, to write more
                files into it. Its argument is {split: lengths}, where lengths are those of
                `_encoded`.

        Returns:
            A tuple `(progress, stopped)`: the `Progress`, and the signal that stopped the training
            or None.
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
                "warning: no validation data, so the best weights are chosen on the training data",
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
        """Returns the training examples in the form that Plan takes, and the lengths in each split.

        The lengths are {split: lengths}, as `_encoded` returns them.
        """
        encoded = {name: self._encoded(examples) for name, examples in splits.items() if examples}
        return encoded["train"][0], {name: lengths for name, (_, lengths) in encoded.items()}

    def _told(self, lengths):
        return [
            f"{name:<12}{part} {format_lengths(report, self.beyond)}"
            for name, parts in lengths.items()
            for part, report in parts.items()
        ]

    def _load(self):
        """Loads the pretrained model, if that is not done yet."""

    def _sections(self):
        """Returns the sections of config.json other than those of data, task and training."""
        return {}


def soup(members, validation, config):
    """Averages the weights of models that were fine-tuned for one task from the same start.

    The models differ in the order of their training data. This is a "uniform soup" (Wortsman et al.
    2022, section 2). It is as fast as one of the models, and often better than the best.

    Args:
        members: iterator of `FineTunable`. The first one gets the average. The others are needed
            only one at a time.
        validation: list of validation examples.
        config: the `FinetuningConfig` of one of the models.

    Returns:
        A tuple `(first, scores)`: the first of the members, and its scores on the validation
        examples.
    """
    first = next(members)
    totals, count = first.model.get_weights(), 1
    for member in members:
        count += 1
        totals = [total + array for total, array in zip(totals, member.model.get_weights())]
    first.model.set_weights([total / count for total in totals])
    return first, first._validation(first.model, validation, config)()[0]


def are_several(inputs):
    """Returns whether a pipeline was called with several inputs.

    Several inputs are any iterable other than a str or a dict.
    """
    return hasattr(inputs, "__iter__") and not isinstance(inputs, (str, dict))


def _beside(evaluate, sampled):
    """Returns `evaluate` with the scores of training examples added, named "train/NAME"."""

    def both():
        # Evaluate first, because that tunes the thresholds for all scores.
        results, sample = evaluate()
        return results | {f"train/{name}": value for name, value in sampled().items()}, sample

    return both


def _given(texts, labels, pairs):
    """Returns the arguments of `fit` as `labelled_from` takes them."""
    return texts if labels is None else (texts, labels, *([] if pairs is None else [pairs]))


def _prepare(config):
    """Sets the precision and the random seed, and returns the distribution strategy."""
    if warning := precision_warning(config.precision):
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    set_precision(config.precision)
    keras.utils.set_random_seed(config.seed if config.initial_seed < 0 else config.initial_seed)
    return make_strategy(config.distribution, config.model_devices)


def _reseed(model, seed):
    """Seeds dropout from `seed`, whatever seed the weights start from."""
    generator = random.Random(seed)
    for variable in model.variables:
        if "seed_generator" in variable.path:
            variable.assign([generator.randrange(2**31), 0])


def _summary(model, split, plan):
    total = model.count_params()
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return (
        f"{total:,} parameters, {trained:,} of them trainable ({trained / total:.2%}); "
        f"{len(split):,} inputs in {plan.steps_per_epoch:,} batches per epoch; batch shapes "
        f"{plan.shapes}; padding {plan.padding_share:.1%}"
    )
