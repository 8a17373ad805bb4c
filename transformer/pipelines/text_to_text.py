"""A pipeline that writes texts with an encoder-decoder.

It can be called, fine-tuned on new pairs, evaluated, and saved as a run folder again.
"""

import dataclasses
import math
import pathlib

from data.batches import Plan, batch_at, evaluation_batches, positions_of
from data.config import DataConfig, DataError, LabelledDataConfig
from data.pairs import Pair
from data.prepare import changed_texts, encode_pairs
from data.report import length_report
from transformer.config import ConfigError, TaskConfig
from transformer.evaluation.evaluation import Validation, evaluate_generator, predictions_of
from transformer.evaluation.reports import text_report
from transformer.files import write_json
from transformer.generation.generator import Generator, reading_of
from transformer.metrics.classification import bleu_metric
from transformer.model import lora
from transformer.model.transformer import Transformer
from transformer.pipelines.trainable import FineTunable, are_several
from transformer.pretrained.encoders import with_dropout
from transformer.tasks.text_to_text import find_task
from transformer.text.tokenizer import save_tokenizers
from transformer.training import checkpoints
from transformer.training.objectives import TokenObjective

# The options of the pretrained run's data that a fine-tuned run keeps. They say how texts are read
# and written, not where they came from.
KEPT = (
    "task",
    "copy_unknown",
    "clean",
    "source_language",
    "target_language",
    "lowercase",
    "max_source_length",
    "max_target_length",
)
# The fields of TaskConfig that `fit` takes. The others are for tasks with a head.
OPTIONS = (
    "max_length",
    "language",
    "encoder_dropout",
    "tuning",
    "lora_rank",
    "lora_alpha",
    "lora_targets",
)


class GenerationPipeline(FineTunable):
    """A pipeline that writes a text for each text, with an encoder-decoder.

        translator = GenerationPipeline.from_run("runs/multi30k_en_de", "translation_text")
        translator("A dog runs.")  # [{"translation_text": "Ein Hund rennt."}]
        translator.fit(texts, targets, epochs=3, tuning="lora").save("runs/mine")

    Args:
        generator: `Generator`.
        name: str, the key of an output.
        config: `TaskConfig` with task="text2text".
        data: `DataConfig`. Only the fields in KEPT matter. They describe the texts that the model
            was trained on.
    """

    objective, beyond = TokenObjective, "longer than"

    def __init__(
        self,
        generator,
        name="generated_text",
        config=TaskConfig(task="text2text"),
        data=DataConfig(),
    ):
        self.generator, self.name, self.config, self.data = generator, name, config, data
        # Sections of config.json that describe the fine-tuning.
        self._history = {}

    @classmethod
    def from_run(cls, run, name="generated_text", config=None, **decoding):
        """Loads the pipeline from a run folder of train.py, finetune.py or `save`.

        Args:
            run: str or path, the run folder.
            name: str, the key of an output.
            config: `TaskConfig` with task="text2text". None takes the defaults.
            **decoding: fields of `DecodingConfig` that replace the run's own.

        Returns:
            A `GenerationPipeline`.

        Raises:
            ConfigError: the folder is not a finished run of an encoder-decoder.
        """
        generator, data = Generator.from_run(run, **decoding), checkpoints.read_config(run)["data"]
        config = config or TaskConfig(task="text2text", pretrained=str(run))
        return cls(generator, name, config, DataConfig(**{field: data[field] for field in KEPT}))

    @property
    def model(self):
        """The Transformer."""
        return self.generator.model

    def __call__(self, texts):
        """Writes a text for one input or for several.

        Args:
            texts: str or list of str.

        Returns:
            A list of {name: str}, one for each input.

        Raises:
            ConfigError: an input is not a str.
        """
        texts = list(texts) if are_several(texts) else [texts]
        if wrong := [text for text in texts if not isinstance(text, str)]:
            raise ConfigError(f"an input must be a str. Received: {str(wrong[0])[:100]}.")
        return [{self.name: text} for text in self.generator(texts)]

    def fit(
        self,
        texts,
        targets=None,
        validation_data=None,
        run=None,
        data=LabelledDataConfig(),
        **options,
    ):
        """Fine-tunes on pairs of texts, from the current weights and with their vocabulary.

        Args:
            texts: see `FineTunable.fit`.
            targets: list of str, the target texts, if `texts` does not have them.
            validation_data: see `FineTunable.fit`.
            run: see `FineTunable.fit`.
            data: see `FineTunable.fit`.
            **options: fields of `FinetuningConfig`, and those fields of `TaskConfig` that are in
                OPTIONS, as in fit(..., epochs=3, tuning="lora").

        Returns:
            The pipeline itself.

        Raises:
            ConfigError: the options cannot be used.
            DataError: the data cannot be used.
            KeyboardInterrupt: a signal stopped the training.
        """
        before = self.config
        self.config = dataclasses.replace(
            before, **{name: options.pop(name) for name in OPTIONS if name in options}
        )
        try:
            return super().fit(
                texts, targets, validation_data=validation_data, run=run, data=data, **options
            )
        finally:
            self.config = before

    def results(self, examples, train=()):
        """Makes the report on a test set, with the scores of the run's task.

        Args:
            examples: list of examples, the test set.
            train: not used.

        Returns:
            A tuple `(report, rows)`: the report of `text_report` in
            transformer/evaluation/reports.py, and a list with a dict for each example, the rows of
            predictions.jsonl.
        """
        pairs = list(map(self._pair, examples))
        scores, outputs = evaluate_generator(
            self.generator, pairs, self._task, self.data.target_language
        )
        texts = [pair.source for pair in pairs], [pair.target for pair in pairs]
        return text_report(*texts, outputs, scores), predictions_of(pairs, outputs)

    @property
    def _task(self):
        return find_task(self.data.task)

    def save(self, folder):
        """Writes a run folder as train.py does: model.keras, tokenizer/ and config.json.

        Args:
            folder: str or path. The folder is created if it does not exist.
        """
        folder, generator = pathlib.Path(folder), self.generator
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints.save_model(self.model, folder)
        save_tokenizers(
            folder / "tokenizer", generator.source_tokenizer, generator.target_tokenizer
        )
        write_json(folder / "config.json", self._history | self._sections())

    def _sections(self):
        return {"model": self.model.config, "decoding": self.generator.config, "data": self.data}

    def _begin(self, labelled, config):
        limit = self.config.max_length
        limits = {"max_source_length": limit, "max_target_length": limit} if limit else {}
        language = {"target_language": self.config.language} if self.config.language else {}
        self.data = dataclasses.replace(self.data, **limits, **language)
        # Fail fast if BLEU needs a missing package for this language.
        bleu_metric(self.data.target_language)
        written = self._task.metrics if config.eval_decode else ()
        return config.judged_by([*written, "loss", "accuracy"], self.config.task)

    def _encoded(self, examples):
        generator, limits = (
            self.generator,
            (self.data.max_source_length, self.data.max_target_length),
        )
        pairs = list(map(self._pair, examples))
        split, _, lengths = encode_pairs(
            pairs, generator.source_tokenizer, generator.target_tokenizer, self.data
        )
        return split, dict(zip(("source", "target"), map(length_report, lengths.T, limits)))

    def _remarks(self, examples, split):
        lines = (
            [f"{len(examples) - len(split):,} training pairs are too long and are left out"]
            if len(split) < len(examples)
            else []
        )
        changed = changed_texts(
            [self._pair(example).target for example in examples],
            self.generator.target_tokenizer,
            self.data,
        )
        if changed:
            lines.append(
                f"{len(changed):,} training targets change when they are encoded and decoded "
                f"with this vocabulary, such as {changed[0]}"
            )
        return lines

    def _check_some(self, split):
        if not len(split):
            raise DataError(
                "every split needs pairs that are short enough. Received: none with at most "
                f"{self.data.max_source_length} source tokens and {self.data.max_target_length} "
                "target tokens. Use a larger --max_length."
            )

    def _plan(self, split, config, replicas):
        self._check_some(split)
        plan = Plan(
            split,
            positions_of(split, config.batch_size),
            config.seed,
            config.accumulate_steps,
            replicas,
        )
        longest = (length for _, *lengths in plan.shapes for length in lengths)
        self.model.config.check_lengths(*longest, cure="Use a smaller --max_length.")
        return plan

    def _new_model(self, examples, config):
        model = Transformer.from_model_config(
            with_dropout(self.model.config, self.config.pretrained_dropout)
        )
        model.set_weights(self.model.get_weights())
        lora.choose_trainable(model, self.config)
        return model

    def _validation(self, model, examples, config):
        split, _ = self._encoded(examples)
        self._check_some(split)
        count = min(config.eval_decode, len(examples))
        pairs = [self._pair(examples[n * len(examples) // count]) for n in range(count)]
        generator = self._generator(model, self.generator.config.greedy)
        batches = evaluation_batches(split, positions_of(split, config.batch_size))
        return Validation(model, batches, generator, pairs, self._task, self.data.target_language)

    def _sampled(self, model, examples, split, count, config):
        plan = Plan(split, positions_of(split, config.batch_size), seed=0)
        steps = min(plan.steps_per_epoch, math.ceil(count / config.batch_size))
        # Do not decode texts, because decoding takes many times as long as a forward pass.
        validation = Validation(model, [batch_at(split, plan, step) for step in range(steps)])
        return lambda: {"accuracy": validation.token_scores()["accuracy"]}

    def _learnt(self, model, evaluate, folder):
        # Keep the model as it will be when the run is loaded: in float32, with LoRA merged.
        checkpoints.save_model(model, folder)
        learnt = Transformer.from_model_config(self.model.config, dtype="float32")
        learnt.load_weights(folder / "model.keras")
        self.generator, self._history = (
            self._generator(learnt, self.generator.config),
            checkpoints.read_config(folder),
        )

    def _generator(self, model, decoding):
        tokenizers = self.generator.source_tokenizer, self.generator.target_tokenizer
        return Generator(model, *tokenizers, decoding, **reading_of(dataclasses.asdict(self.data)))

    def _pair(self, example):
        """Returns an example as the pair that the model reads and writes."""
        pair = example.text, example.label
        if self.data.task != "code":
            pair = example.text.strip(), " ".join(example.label.strip().split("\n"))
        return Pair(*(map(str.lower, pair) if self.data.lowercase else pair))
