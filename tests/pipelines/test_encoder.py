"""pipeline(...): called, taught, evaluated, saved; with shapes as Hugging Face's have them."""

import dataclasses
import signal

import numpy as np
import pandas
import pytest
import tensorflow as tf

from data.config import DataError, LabelledDataConfig
from data.readers.squad import Question
from tests.pretrained.test_encoders import preset, write_run
from tests.programs import run_apart
from transformer.config import ConfigError, ModelConfig, TaskConfig, TokenizerConfig
from transformer.pipelines import trainable
from transformer.pipelines.encoder import GenerationPipeline, TextPipeline, pipeline
from transformer.pretrained.encoders import KerasHubEncoder, TextEncoder, new_encoder
from transformer.text.encoder_inputs import Frame, RunInputs
from transformer.text.tokenizer import CharacterTokenizer
from transformer.training.loop import Progress

pytestmark = pytest.mark.slow  # it trains, or starts programs

GOOD, BAD = ("good", "great", "fine", "lovely"), ("bad", "awful", "dull", "poor")
WORDS = [
    f"{start} {word} {end}"
    for start in ("so", "a", "very", "this was")
    for end in ("film", "book", "")
    for word in (*GOOD, *BAD)
]
LABELS = [
    "positive" if any(word in text.split() for word in GOOD) else "negative" for text in WORDS
]
# Texts of words that tests.pretrained.test_encoders.preset knows.
KNOWN = [
    "the cat",
    "the cats",
    "cat the",
    "cats sat",
    "sat",
    "the sat",
    "sat sat",
    "the the",
    "cat sat the",
    "the the sat",
]
SIZES = ModelConfig(d_model=16, num_heads=2, num_layers=1, ffn_dim=32, norm="pre")
FAST = dict(epochs=12, batch_size=16, learning_rate=1e-2, checkpoint_every=1000, log_every=1000)


def fresh(task="classification", texts=WORDS, **options):
    """A pipeline with a tiny encoder from nothing."""
    config = TaskConfig(task=task, max_length=24, **options)
    tokenizer = TokenizerConfig(tokenizer="character")
    return TextPipeline(config, lambda: new_encoder(SIZES, tokenizer, texts, config.max_length))


@pytest.fixture(scope="module")
def classifier():
    return fresh().fit(WORDS, LABELS, validation_data=(WORDS[::3], LABELS[::3]), **FAST)


def test_one_text_and_several(classifier):
    one = classifier("so good film")
    assert (
        one == [{"label": "positive", "score": pytest.approx(one[0]["score"])}]
        and one[0]["score"] > 0.8
    )
    several = classifier(["so good film", "very awful book"])
    assert [row["label"] for row in several] == ["positive", "negative"] and several[
        0
    ] == pytest.approx(one[0])
    assert classifier([]) == []
    texts = ["so good film", "very awful book"]
    assert (
        classifier(np.array(texts))
        == classifier(pandas.Series(texts, [7, 8]))
        == classifier(iter(texts))
        == several
    )
    assert classifier({"text": texts[0]}) == classifier(text=texts[0]) == one


def test_all_labels_sum_to_one(classifier):
    rows = classifier("so dull ", top_k=None)
    assert [row["label"] for row in rows] == ["negative", "positive"] and sum(
        row["score"] for row in rows
    ) == pytest.approx(1)
    assert classifier(["so dull "], top_k=None) == [rows]


def test_it_is_saved_and_loaded(classifier, tmp_path):
    classifier.save(tmp_path / "run")
    again = pipeline("text-classification", model=tmp_path / "run")
    assert again(WORDS) == classifier(WORDS)
    for other in ("text-regression", "multilabel-classification"):
        with pytest.raises(ConfigError, match="is already fine-tuned for task='classification'"):
            pipeline(other, model=tmp_path / "run")


def test_a_folder_that_is_not_whole(classifier, tmp_path):
    classifier.save(tmp_path)
    (tmp_path / "model.keras").write_bytes(b"half")
    with pytest.raises(ConfigError, match="cannot load the fine-tuned model, because a file"):
        pipeline("text-classification", model=tmp_path)
    (tmp_path / "task.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot load the fine-tuned model, because a file"):
        pipeline("text-classification", model=tmp_path)


def test_an_evaluation_is_a_report(classifier):
    report = classifier.evaluate(WORDS, LABELS)
    right = np.mean([row["label"] == label for row, label in zip(classifier(WORDS), LABELS)])
    assert (
        report["scores"]["accuracy"] == pytest.approx(right)
        and right > 0.9
        and report["examples"] == len(WORDS)
    )
    with pytest.raises(DataError, match="a label must be one of negative, positive"):
        classifier.evaluate(["x"], ["neutral"])


def test_the_code_of_the_article(tmp_path):
    """Word for word, but for the import and the model's place."""
    write_run(tmp_path)
    train_texts, train_labels = (
        ["a bed", "a cab", "dead", "a bee", "fade", "decade"] * 10,
        ["noun", "noun", "other"] * 20,
    )

    classifier = pipeline("text-classification", model=str(tmp_path))
    classifier.fit(train_texts, train_labels, epochs=3, batch_size=16)

    (answer,) = classifier("a bad cab")
    assert (
        list(answer) == ["label", "score"]
        and answer["label"] in ("noun", "other")
        and 0.5 <= answer["score"] <= 1
    )


QUESTIONS = [
    Question(f"{n}", "the", context, ((context.index("sat"), "sat"),))
    for n, context in enumerate(["cat sat", "sat cat", "cats sat", "sat", "the sat", "cat the sat"])
]
ON_KERAS_HUB = {
    "classification": (KNOWN, ["cat" if "cat" in text else "other" for text in KNOWN], "accuracy"),
    "multilabel": (
        KNOWN,
        [[word for word in ("cat", "sat") if word in text] for text in KNOWN],
        "f1_micro",
    ),
    "regression": (KNOWN, [float(text.count("the")) for text in KNOWN], "pearson"),
    "spans": (QUESTIONS, None, "exact_match"),
}


@pytest.mark.parametrize(
    "task, tuning", [*((task, "full") for task in ON_KERAS_HUB), ("classification", "lora")]
)
def test_every_head_learns_on_a_keras_hub_backbone(task, tuning, tmp_path):
    preset(tmp_path / "bert", "Bert")
    data, labels, metric = ON_KERAS_HUB[task]
    options = TaskConfig(
        task=task, tuning=tuning, pretrained=str(tmp_path / "bert"), max_length=12, stride=2
    )
    taught = TextPipeline(options)
    taught.fit(
        data,
        labels,
        validation_data=data if labels is None else (data, labels),
        **{**FAST, "epochs": 60},
    )
    assert isinstance(taught.encoder, KerasHubEncoder)
    assert taught.evaluate(data, labels)["scores"][metric] > (90 if task == "spans" else 0.9)
    taught.save(tmp_path / "run")
    again = TextPipeline.load(tmp_path / "run")
    inputs = (
        [{"question": one.question, "context": one.context} for one in data]
        if task == "spans"
        else data
    )
    assert again(inputs) == taught(inputs)


@pytest.mark.parametrize("kind", ["dataset", "batched", "columns", "dicts"])
def test_what_fit_takes(kind):
    data = {
        "dataset": tf.data.Dataset.from_tensor_slices((WORDS, LABELS)),
        "batched": tf.data.Dataset.from_tensor_slices({"text": WORDS, "label": LABELS}).batch(7),
        "columns": {"text": WORDS, "label": LABELS},
        "dicts": [{"text": text, "label": label} for text, label in zip(WORDS, LABELS)],
    }[kind]
    taught = fresh().fit(data, **{**FAST, "epochs": 1})
    assert taught.task.labels == ("negative", "positive") and len(taught("so good")) == 1


def test_a_data_frame(classifier):
    frame = pandas.DataFrame({"mood": pandas.Categorical(LABELS), "text": WORDS})
    taught = fresh().fit(
        frame, data=LabelledDataConfig(label_column="mood"), **{**FAST, "epochs": 1}
    )
    assert taught.task.labels == ("negative", "positive")
    chosen = frame[frame.text.str.contains("film")].rename(
        columns={"mood": "label"}
    )  # its index has gaps
    films, moods = zip(*((text, label) for text, label in zip(WORDS, LABELS) if "film" in text))
    assert classifier.evaluate(chosen) == classifier.evaluate(films, moods)
    frame.loc[3, "text"] = None
    with pytest.raises(DataError, match="Received: 1 wrong in train: train:4"):
        fresh().fit(frame.rename(columns={"mood": "label"}))


def states(encoder):
    ids = np.arange(5, 17, dtype="int32").reshape(2, 6)
    return encoder((ids, np.zeros_like(ids)))


@pytest.mark.parametrize("tuning", ["full", "lora", "head"])
@pytest.mark.parametrize("make", ["ours", "keras_hub"])
def test_fit_again_goes_on_from_what_was_learnt(make, tuning, tmp_path):
    """In a copy, and in the precision of now; low-rank changes become part of what is changed
    anew."""
    options, data = {**FAST, "epochs": 2}, (WORDS, LABELS)
    if make == "ours":
        taught = fresh(tuning=tuning)
    else:
        preset(tmp_path / "bert", "Bert")
        taught = TextPipeline(
            TaskConfig(tuning=tuning, pretrained=str(tmp_path / "bert"), max_length=12)
        )
        data = KNOWN * 4, ["cat" if "cat" in text else "other" for text in KNOWN * 4]
    first = taught.fit(*data, **options).encoder
    changed = states(first)
    again = taught.fit(*data, learning_rate=0.0, epochs=1, batch_size=16).encoder
    assert again is not first and len(again.trainable_variables) == len(first.trainable_variables)
    np.testing.assert_allclose(states(again), changed, atol=1e-5)
    narrow = taught.fit(
        *data, precision="bfloat16", learning_rate=0.0, epochs=1, batch_size=16
    ).encoder
    assert states(narrow).dtype == "bfloat16"
    assert np.abs(np.asarray(states(narrow), "float32") - changed).max() < 0.1


def test_a_run_continues_in_one_process_and_refuses_other_data(tmp_path):
    options = dict(run=tmp_path / "run", **{**FAST, "epochs": 2})
    first, second = fresh().fit(WORDS, LABELS, **options), fresh().fit(WORDS, LABELS, **options)
    assert first(WORDS) == second(WORDS)  # it was over: nothing was learnt again
    with pytest.raises(ConfigError, match="training and validation texts"):
        fresh().fit(WORDS, LABELS[::-1], **options)


def test_a_fit_that_fails_leaves_the_pipeline_as_it_was():
    taught = fresh().fit(WORDS, LABELS, **{**FAST, "epochs": 1})
    before = taught(WORDS)
    with pytest.raises(ConfigError, match="keep_best_metric"):
        taught.fit(WORDS, list("wxyz") * 24, keep_best_metric="nothing")
    with pytest.raises(ConfigError, match="the loss and the gradient must be finite"):
        taught.fit(WORDS, LABELS, **{**FAST, "learning_rate": 1e30, "clip_norm": 0.0})
    assert taught(WORDS) == before


def test_label_smoothing_reaches_the_head():
    assert (
        fresh()
        .fit(WORDS, LABELS, label_smoothing=0.3, **{**FAST, "epochs": 1})
        .model.head.label_smoothing
        == 0.3
    )
    with pytest.raises(ConfigError, match="label_smoothing needs task='classification'"):
        fresh("regression").fit(["a", "b"], [1.0, 2.0], label_smoothing=0.3)


def test_r_drop_without_dropout_is_refused():
    with pytest.raises(
        ConfigError, match="rdrop_alpha needs dropout. Received: rdrop_alpha=1, all dropout rates 0"
    ):
        TextPipeline(TaskConfig(pretrained="any", encoder_dropout=0.0, head_dropout=0.0)).fit(
            WORDS, LABELS, rdrop_alpha=1.0
        )


def test_several_seeds_may_begin_with_one_head_and_drop_other_places():
    heads, dropped = [], []
    for seed, initial in ((1, 7), (2, 7), (2, -1)):
        options = {**FAST, "epochs": 1, "learning_rate": 0.0, "seed": seed, "initial_seed": initial}
        model = fresh().fit(WORDS, LABELS, **options).model
        heads.append(model.head.outer.kernel.numpy())
        dropped.append(
            [
                int(variable.numpy()[0])
                for variable in model.variables
                if "seed_generator" in variable.path
            ]
        )
    np.testing.assert_array_equal(heads[0], heads[1])
    assert (
        not np.array_equal(heads[1], heads[2]) and dropped[0] and not {*dropped[0]} & {*dropped[1]}
    )


def test_a_signal_ends_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(
        trainable, "choose_weights", lambda *arguments: pytest.fail("it was stopped")
    )
    monkeypatch.setattr(
        trainable, "start_training", lambda *arguments, **options: (Progress(), signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt, match="SIGINT: the training was stopped and is saved in"):
        fresh().fit(WORDS, LABELS, run=tmp_path / "run", **FAST)


@pytest.fixture
def untrained(monkeypatch):
    """`fit` ends where the training would begin."""
    ended = Progress(), None
    monkeypatch.setattr(trainable, "start_training", lambda *arguments, **options: ended)
    monkeypatch.setattr(trainable, "choose_weights", lambda *arguments: None)


def test_what_is_not_tuned_is_not_learnt(untrained, capsys):
    learnt, options = {}, dict(lora_rank=2, lora_targets=("feed_forward",))
    for tuning in ("full", "head", "lora"):
        model = fresh(tuning=tuning, **options).fit(WORDS, LABELS, epochs=1).model
        learnt[tuning] = [variable.path.split("/", 1)[1] for variable in model.trainable_variables]
    assert learnt["head"] == [path for path in learnt["full"] if path.startswith("head/")] != []
    changes = [path for path in learnt["lora"] if path not in learnt["head"]]
    assert [path.rsplit("/", 1)[1] for path in changes] == ["lora_kernel_a", "lora_kernel_b"] * 2
    assert len(learnt["lora"]) == len(learnt["head"]) + 4
    # The head has 16 x 16 and 16 x 2 weights and 18 biases; the changes go from 16 to 2 to 32 and
    # from 32 to 2 to 16.
    output = capsys.readouterr().out
    assert " 306 of them trainable" in output and f" {306 + 2 * 96} of them trainable" in output


def test_a_model_that_was_taught_keeps_its_options(untrained, tmp_path):
    fresh(tuning="head").fit(WORDS, LABELS, epochs=1).save(tmp_path)
    assert pipeline("text-classification", tmp_path).config.tuning == "head"
    with pytest.raises(
        ConfigError, match="nor its options can change. .* options {'tuning': 'lora'}"
    ):
        pipeline("text-classification", tmp_path, tuning="lora")


@pytest.mark.parametrize("asked, rate", [(0.35, 0.35), (0.0, 0.0), (-1.0, 0.2)])
def test_dropout_of_a_pretrained_encoder_is_its_own_or_the_rate_asked_for(
    untrained, tmp_path, asked, rate
):
    write_run(tmp_path, dropout=0.2)
    taught = pipeline("text-classification", str(tmp_path), encoder_dropout=asked)
    taught.fit(["a bed", "a cab"] * 5, ["x", "y"] * 5, epochs=1)
    assert taught.model.encoder.config.dropout == rate


def test_as_many_labels_as_asked_for_the_likeliest_first(untrained):
    texts, labels = ["so good", "so bad", "so dull"] * 4, ["one", "two", "three"] * 4
    taught = fresh().fit(texts, labels, epochs=1)
    every = taught("good", top_k=None)
    assert {row["label"] for row in every} == {"one", "two", "three"}
    assert every[0]["score"] >= every[1]["score"] >= every[2]["score"]
    assert taught("good", top_k=2) == every[:2] and taught("good") == every[:1]
    assert taught(["good"], top_k=2) == [every[:2]] and taught(["good"]) == every[:1]


def test_what_fills_up_a_batch_is_the_padding_of_the_encoder(untrained):
    """Here not 0, as it is not in RoBERTa: a short text among long ones has the scores that it has
    without padding."""
    letters = CharacterTokenizer("abc ")
    size, end = letters.vocab_size + 1, (letters.eos_id,)
    encoder = TextEncoder(dataclasses.replace(SIZES, vocab_size=size, pad_id=size - 1))
    encoder.build()
    inputs = RunInputs(letters, Frame((), end, end, False), size - 1, size)
    taught = TextPipeline(TaskConfig(max_length=24), lambda: (encoder, inputs))
    taught.fit(["a a", "b c"] * 5, ["x", "y"] * 5, epochs=1)
    texts = ["ab", "abc abc abc abc", "c"]
    for row, answer in zip(inputs.encode(texts, None, 24), taught(texts, top_k=None)):
        found = taught.model((np.array([row.ids]), np.array([row.types])), training=False)
        expected = np.asarray(taught.model.head.predictions(found))[0]
        scores = {one["label"]: one["score"] for one in answer}
        np.testing.assert_allclose([scores["x"], scores["y"]], expected, atol=1e-5)


MIRRORED = """
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
from tests.pipelines.test_encoder import FAST, LABELS, WORDS, fresh
# Gradients of other shapes.
fresh(tuning="head").fit(WORDS, LABELS, distribution="mirrored", **{**FAST, "epochs": 1})
taught = fresh().fit(WORDS, LABELS, **{**FAST, "epochs": 2})
taught.fit(WORDS, LABELS, distribution="mirrored", **{**FAST, "epochs": 6})
print("accuracy", taught.evaluate(WORDS, LABELS)["scores"]["accuracy"])
"""


def test_two_replicas():
    assert float(run_apart("-c", MIRRORED, every_core=True).stdout.split("accuracy")[-1]) > 0.8


def test_pairs_and_regression():
    pairs = [(a, b) for a in ("aa", "bb", "ab", "ba") for b in ("aa", "bb", "ab", "ba")]
    numbers = [float((a + b).count("a")) for a, b in pairs]
    texts, others = zip(*pairs)
    taught = fresh("regression", texts).fit(
        list(texts) * 4, numbers * 4, list(others) * 4, **{**FAST, "epochs": 30}
    )
    rows = taught([{"text": a, "text_pair": b} for a, b in pairs])
    assert np.corrcoef([row["score"] for row in rows], numbers)[0, 1] > 0.7 and set(rows[0]) == {
        "score"
    }
    assert taught(text="aa", text_pair="bb")[0]["score"] == pytest.approx(
        rows[1]["score"], abs=1e-4
    )


def test_several_labels(tmp_path):
    texts = ["red", "blue", "red blue", "green", ""] * 12
    data = [text.split() for text in texts if text]
    taught = fresh("multilabel", texts).fit([text for text in texts if text], data, **FAST)
    assert taught.task.labels == ("blue", "green", "red") and 0 < taught.tuned["threshold"] < 1
    assert all(row["score"] >= taught.tuned["threshold"] for row in taught("red blue"))
    assert taught(["red", "blue"]) == [taught("red"), taught("blue")]
    found = {row["label"]: row["score"] for row in taught("red blue", top_k=None)}
    assert min(found["red"], found["blue"]) > found["green"]
    taught.save(tmp_path)
    assert pipeline("multilabel-classification", tmp_path)(texts[:3]) == taught(texts[:3])


def test_questions():
    contexts = [
        f"{a} has {b}." for a in ("ann", "bob", "eve") for b in ("milk", "tea", "jam", "rice")
    ]
    questions = [
        Question(
            str(n),
            "what?",
            context,
            ((context.index("has") + 4, context[context.index("has") + 4 : -1]),),
        )
        for n, context in enumerate(contexts * 4)
    ]
    taught = fresh("spans", ["what?", *contexts], stride=4).fit(
        questions, validation_data=questions[:12], **{**FAST, "epochs": 25}
    )
    answer = taught(question="what?", context="bob has jam.")[0]
    assert (
        answer["answer"] == "jam"
        and (answer["start"], answer["end"]) == (8, 11)
        and 0 < answer["score"] <= 1
    )
    assert taught.evaluate(questions)["scores"]["exact_match"] > 80
    # In a test nothing is dropped: neither an answer that is not there nor an empty context.
    assert (
        taught.evaluate(
            [questions[0]._replace(answers=((0, "zzz"),)), questions[1]._replace(context="  ")]
        )["examples"]
        == 2
    )


def test_an_untaught_model_says_so_and_wrong_input_too(classifier):
    with pytest.raises(
        ConfigError, match="the model is not fine-tuned yet. Received: .*. Call fit"
    ):
        fresh()("text")
    with pytest.raises(ConfigError, match="task must be one of text-classification"):
        pipeline("poetry", model="x")
    with pytest.raises(ConfigError, match="an encoder's task must be one of classification"):
        TextPipeline(TaskConfig(task="text2text", pretrained="x"))
    with pytest.raises(ConfigError, match="an input must be a str, or a dict with text"):
        classifier([{"txt": "a"}])
    with pytest.raises(ConfigError, match="inputs must be all single texts or all pairs"):
        classifier(["a", {"text": "b", "text_pair": "c"}])
    with pytest.raises(ConfigError, match="keep_best_metric must be one of accuracy"):
        fresh().fit(WORDS, LABELS, keep_best_metric="bleu")


def test_generation_has_the_names_of_its_task():
    louder = GenerationPipeline(lambda texts: [text.upper() for text in texts], "translation_text")
    assert louder("a b") == louder(pandas.Series(["a b"])) == [{"translation_text": "A B"}]
    for wrong in (3, None, {"text": "a"}, ["a", 3]):
        with pytest.raises(ConfigError, match="an input must be a str. Received: "):
            louder(wrong)


def test_columns_have_names():
    data = LabelledDataConfig(text_column="sentence", label_column="mood")
    taught = fresh().fit({"sentence": WORDS, "mood": LABELS}, data=data, **{**FAST, "epochs": 1})
    assert taught.task.labels == ("negative", "positive")


def test_two_texts_read_apart(tmp_path):
    texts = [f"{one} {two}" for one in GOOD for two in BAD]
    firsts, seconds = texts, texts[1:] + texts[:1]
    alike = [float(len({*a.split()} & {*b.split()})) for a, b in zip(firsts, seconds)]
    judge = fresh("regression", texts, pair_encoding="bi").fit(
        firsts * 4, alike * 4, seconds * 4, **{**FAST, "epochs": 20}
    )
    scores = [
        row["score"]
        for row in judge([{"text": a, "text_pair": b} for a, b in zip(firsts, seconds)])
    ]
    assert np.corrcoef(scores, alike)[0, 1] > 0.8
    # The cosine knows no order.
    assert judge(text=firsts[0], text_pair=seconds[0])[0]["score"] == pytest.approx(
        judge(text=seconds[0], text_pair=firsts[0])[0]["score"], abs=1e-5
    )
    judge.save(tmp_path)
    assert pipeline("text-regression", tmp_path)(text="good bad", text_pair="good poor") == judge(
        text="good bad", text_pair="good poor"
    )
    with pytest.raises(ConfigError, match="needs pairs of texts. Received: single texts. Add"):
        judge("good bad")
    same = fresh("classification", texts, pair_encoding="bi")
    with pytest.raises(ConfigError, match="pair_encoding='bi' needs pairs of texts"):
        same.fit(texts, ["x", "y"] * 8, **FAST)
    assert (
        same.fit(
            firsts * 4, ["some" if number else "none" for number in alike] * 4, seconds * 4, **FAST
        ).model.head.num_texts
        == 2
    )
