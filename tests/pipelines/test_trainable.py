"""What all fine-tuning has in common, with a training that changes nothing in its place."""

import keras
import numpy as np
import pytest

from data.config import LabelledDataConfig
from tests.pipelines.test_encoder import LABELS, SIZES, WORDS, fresh
from transformer.config import TaskConfig
from transformer.pipelines import trainable
from transformer.pipelines.trainable import FineTunable
from transformer.training.loop import Progress


class Reader(FineTunable):
    """Gives back the examples that it is evaluated on."""

    config = TaskConfig(task="regression")

    def results(self, examples, train=()):
        return [(example.text, example.pair, example.label) for example in examples], []


def test_an_evaluation_is_of_texts_of_pairs_or_of_rows():
    reader = Reader()
    assert reader.evaluate(["a", "b"], [1, 2.5]) == [("a", None, 1.0), ("b", None, 2.5)]
    assert reader.evaluate(["a", "b"], [1, 2], ["c", "d"]) == [("a", "c", 1.0), ("b", "d", 2.0)]
    data = LabelledDataConfig(text_column="x", label_column="y", pair_column="z")
    assert reader.evaluate([{"x": "a", "y": 1, "z": "c"}], data=data) == [("a", "c", 1.0)]


@pytest.fixture
def start(monkeypatch):
    """(options of `fit`) -> the model at the start of a training."""
    ended = Progress(), None
    monkeypatch.setattr(trainable, "start_training", lambda *arguments, **options: ended)
    monkeypatch.setattr(trainable, "choose_weights", lambda *arguments: None)
    data = dict(texts=WORDS, labels=LABELS, validation_data=(WORDS, LABELS))
    return lambda **options: fresh().fit(**data, epochs=1, **options).model


def seeds_of(model):
    seeds = [variable for variable in model.variables if "seed_generator" in variable.path]
    return [tuple(map(int, keras.ops.convert_to_numpy(variable))) for variable in seeds]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="begins its training")
def test_several_seeds_may_begin_with_one_head_but_no_two_layers_drop_the_same_places(start):
    models = [start(seed=seed, initial_seed=0) for seed in (1, 2, 1)]
    heads = [keras.ops.convert_to_numpy(model.head.outer.kernel) for model in models]
    np.testing.assert_array_equal(heads[0], heads[1])
    first, second, again = map(seeds_of, models)
    # One for the embeddings, for each of two blocks, and the head at least.
    assert first == again and len(first) >= 2 + 2 * SIZES.num_layers
    assert len({*first, *second}) == len(first) + len(second)
    # By default the seed is the head's too.
    other = keras.ops.convert_to_numpy(start(seed=2).head.outer.kernel)
    assert not np.array_equal(other, heads[0])
