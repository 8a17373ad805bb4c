"""The update step: sums over tokens however the batch is cut, and a training that can be cut anywhere."""

import dataclasses
import errno
import pathlib
import shutil
import signal
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from data.batches import training_dataset
from data.pairs import Pair
from tests.programs import run_apart
from transformer import checkpoints, training
from transformer.callbacks import Count, NotFiniteError
from transformer.config import ConfigError, ModelConfig, TrainingConfig
from transformer.evaluation import Validation
from transformer.files import replacing
from transformer.losses import cross_entropy
from transformer.model import Transformer
from transformer.tasks import TASKS
from transformer.training import (
    Progress, choose_weights, make_strategy, make_trainee, precision_warning, resume, set_precision, settle_jit, start_training,
    use_jit,
)  # fmt: skip

# Without biases: the key bias has no gradient but rounding noise, which Adam makes as large as any other.
MODEL = ModelConfig(d_model=16, num_heads=2, num_layers=1, ffn_dim=32, vocab_size=13, dropout=0.0, use_bias=False)
# Of a Progress, what differs between trainings that learn the same.
MEASURED = {"seconds": 0.0, "peak_memory_gib": 0.0}


@pytest.fixture(autouse=True)
def float32():
    keras.utils.set_random_seed(3)
    yield
    set_precision("float32")


def batch_at(step, rows=4, length=6):
    """A copying task with lines of different length: (source, target_in), target_out."""
    rng = np.random.default_rng(step)
    target = rng.integers(4, 13, (rows, length)).astype("int32")
    for row, count in enumerate(rng.integers(1, length + 1, rows)):
        target[row, count:] = 0
    start = np.where(target[:, :1] != 0, 2, 0).astype("int32")
    return (target, np.concatenate([start, target[:, :-1] * (target[:, 1:] != 0)], 1)), target


def dataset(start, stop, shape_of=lambda step: ()):
    split, plan = types.SimpleNamespace(gather=batch_at), types.SimpleNamespace(batch=lambda step: (step, *shape_of(step)))
    return training_dataset(split, plan, start, stop - start)


def trainee_of(dropout=0.0, **options):
    defaults = dict(learning_rate=0.01, schedule="constant", warmup_steps=0, train_steps=6, label_smoothing=0.1,
                    keep_best_metric="bleu")  # fmt: skip
    defaults["adam_epsilon"] = 1e-4  # smaller, and rounding noise in a tiny gradient counts as much as a large one
    config = TrainingConfig(**{**defaults, "checkpoint_every": 2, "eval_every": 3, "log_every": 2, **options})
    set_precision(config.precision)
    keras.utils.set_random_seed(5)
    model = dataclasses.replace(MODEL, dropout=dropout)
    trainee, _ = make_trainee(lambda: Transformer.from_model_config(model), config)
    return trainee, config


def weights(trainee):
    return np.concatenate([variable.numpy().ravel() for variable in trainee.model.trainable_variables])


def validation_of(trainee, batches=None, write=lambda texts: texts):
    return Validation(trainee.model, batches or [batch_at(1000)], write, [Pair("a b c d", "a b c d")], TASKS["translation"])


def start(trainee, config, folder, **options):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    arguments = dict(
        make_dataset=lambda step: dataset(step, config.train_steps), batch_at=batch_at,
        evaluate=validation_of(trainee), padding_share=0.0,
    )  # fmt: skip
    return start_training(trainee, config, folder, **{**arguments, **options})


def test_gradients_are_those_of_the_mean_over_tokens():
    trainee, config = trainee_of()
    inputs, targets = tf.nest.map_structure(tf.constant, batch_at(0))
    with tf.GradientTape() as tape:
        loss, count = cross_entropy(targets, trainee.model(inputs), 0.1)
        mean = loss / count
    expected = tape.gradient(mean, [v.value for v in trainee.model.trainable_variables])
    total = trainee._gradients((inputs, targets), trainee.model.trainable_variables, 1.0 / np.count_nonzero(batch_at(0)[1]))
    assert float(total[0]) == pytest.approx(float(mean), abs=1e-5)
    for ours, theirs in zip(total[1:], expected):
        np.testing.assert_allclose(ours, tf.convert_to_tensor(theirs), atol=1e-6)


@pytest.mark.parametrize("options", [dict(accumulate_steps=2), dict(accumulate_steps=4, clip_norm=0.5)])
def test_accumulated_micro_batches_equal_one_batch(options):
    """Also where the micro-batches hold different numbers of real tokens."""
    one, _ = trainee_of(**{**options, "accumulate_steps": 1})
    many, _ = trainee_of(**options)
    for trainee in (one, many):
        trainee.fit(dataset(0, 3), verbose=0)
    np.testing.assert_allclose(weights(one), weights(many), atol=2e-6)


def test_the_gradient_is_clipped_to_its_global_norm():
    """What reaches the optimizer has norm 0.01 and the direction of the gradient."""
    found = []
    for clip_norm in (0.0, 0.01):
        trainee, _ = trainee_of(clip_norm=clip_norm)
        trainee.optimizer.apply = lambda gradients, variables: found.append(tf.concat([tf.reshape(g, -1) for g in gradients], 0))
        logs = trainee.train_step(tf.nest.map_structure(tf.constant, batch_at(0)))
    norm = float(logs["gradient_norm"])
    assert norm == pytest.approx(float(tf.norm(found[0])), rel=1e-5) and norm > 0.1
    np.testing.assert_allclose(found[1], found[0] * 0.01 / norm, atol=1e-7)


def test_gradients_are_summed_in_one_order():
    """Three summands and more TensorFlow adds in the order in which they come, so that trainings of one seed would differ by rounding."""
    trainee, _ = trainee_of()
    assert MODEL.tie_embeddings and MODEL.num_layers == 1  # each further layer of a decoder reads the memory, whose summands come in order
    data = tf.nest.map_structure(tf.constant, batch_at(0))
    step = tf.function(lambda: trainee._gradients(data, trainee.model.trainable_variables, 1.0)).get_concrete_function()
    sums = [len(operation.inputs) for operation in step.graph.get_operations() if operation.type == "AddN"]
    assert {*sums} == {2}


@pytest.mark.parametrize("rows, steps, devices", [(1, 1, 2), (7, 1, 4), (8, 2, 2)])
def test_several_replicas_equal_one_device(rows, steps, devices):
    code = """
import keras, numpy as np, sys, tensorflow as tf
sys.path.insert(0, ".")
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * DEVICES)
from tests.test_training import dataset, trainee_of, weights
found, losses = [], []
for distribution in ("none", "mirrored"):
    rows, accumulate_steps = ROWS, STEPS
    trainee, _ = trainee_of(distribution=distribution, clip_norm=0.5, accumulate_steps=accumulate_steps)
    step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: losses.append([float(logs[name]) for name in sorted(logs)]))
    trainee.fit(dataset(0, 20, lambda step: (rows,)), verbose=0, callbacks=[step])
    found.append(weights(trainee))
assert trainee.distribute_strategy.num_replicas_in_sync == DEVICES
print(np.abs(found[0] - found[1]).max())
np.testing.assert_allclose(*found, atol=1e-6)
assert len(losses) == 40
np.testing.assert_allclose(losses[20:], losses[:20], rtol=1e-5)  # gradient norm, loss, tokens
print("equal")
"""
    code = code.replace("ROWS, STEPS", f"{rows}, {steps}").replace("DEVICES", str(devices))
    assert run_apart("-c", code, every_core=True).stdout.endswith("equal\n")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_learns(precision):
    trainee, _ = trainee_of(precision=precision, train_steps=60)
    first = validation_of(trainee, [batch_at(0)]).token_scores()["loss"]
    trainee.fit(dataset(0, 60), verbose=0)
    assert validation_of(trainee, [batch_at(0)]).token_scores()["loss"] < first - 0.5
    assert all(variable.dtype == "float32" for variable in trainee.model.trainable_variables)


@pytest.mark.parametrize("precision, flags, warned", [
    ("bfloat16", "flags : fpu avx2 avx512f", True), ("bfloat16", "flags : fpu avx512_bf16", False),
    ("bfloat16", "Features : asimd bf16", False), ("float32", "flags : fpu", False), ("float16", "flags : fpu avx512_bf16", True),
])  # fmt: skip
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="a GPU computes in every precision")
def test_a_precision_that_the_processor_lacks_is_warned_of(tmp_path, precision, flags, warned):
    (tmp_path / "cpuinfo").write_text(flags)
    assert bool(precision_warning(precision, tmp_path / "cpuinfo")) == warned
    assert precision_warning("bfloat16", tmp_path / "none") == ""


def test_one_trace_for_each_shape():
    trainee, _ = trainee_of()
    shapes = [(4, 6), (2, 12), (4, 6), (2, 12), (4, 6)]
    trainee.fit(dataset(0, len(shapes), shapes.__getitem__), verbose=0)
    assert trainee.num_traces == 2


def test_validation_is_the_mean_over_all_tokens():
    trainee, _ = trainee_of()
    batches = [batch_at(1), batch_at(2, rows=2)]
    loss, count, right = 0.0, 0.0, 0.0
    for inputs, targets in batches:
        logits = keras.ops.convert_to_numpy(trainee.model(inputs))
        for t, l in zip(targets.ravel(), logits.reshape(-1, 13).astype("float64")):
            if t:
                loss, count = loss - l[t] + np.log(np.exp(l).sum()), count + 1
                right += l.argmax() == t
    assert validation_of(trainee, batches).token_scores() == {"loss": pytest.approx(loss / count, abs=1e-5), "accuracy": right / count}


def contents(folder):
    """All that a training knows, time aside: of its checkpoints the bits, and every (tag, step) in TensorBoard, sorted."""
    found = {}
    for path in sorted((folder / "checkpoints").iterdir()):
        arrays, progress = checkpoints.read_checkpoint(path)
        found[path.name] = {name: array.tobytes() for name, array in arrays.items()}, progress | MEASURED
    events = [event for path in sorted((folder / "tensorboard").iterdir()) for event in EventFileLoader(str(path)).Load()]
    return found, sorted((value.tag, event.step) for event in events for value in event.summary.value if value.tag != "config")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The contents of an uninterrupted run, with dropout."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    start(*trainee_of(dropout=0.2), folder)
    return contents(folder)


def test_a_continued_training_equals_an_uninterrupted_one(tmp_path, whole):
    start(*trainee_of(dropout=0.2), tmp_path, make_dataset=lambda step: dataset(step, 4))  # runs dry at step 4
    progress, stopped = start(*trainee_of(dropout=0.2), tmp_path)
    assert progress.step == 6 and stopped is None and contents(tmp_path) == whole
    assert progress.tokens == sum(np.count_nonzero(batch_at(step)[1]) for step in range(6))


def test_in_float16_too(tmp_path):
    options = dict(dropout=0.2, precision="float16")
    start(*trainee_of(**options), tmp_path / "whole")
    start(*trainee_of(**options), tmp_path / "cut", make_dataset=lambda step: dataset(step, 4))
    start(*trainee_of(**options), tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_checkpoints_best_and_average(tmp_path):
    trainee, config = trainee_of(keep_checkpoints=2, average_checkpoints=2)
    scores = iter([["a b c d"], ["x"], ["x"], ["a b c d"]])  # the first validation is the best
    translate = lambda texts: next(scores)  # noqa: E731
    progress, _ = start(trainee, config, tmp_path, evaluate=validation_of(trainee, write=translate))
    assert (progress.best_step, progress.without_gain) == (3, 1)
    names = [path.name for path in checkpoints.list_checkpoints(tmp_path)]
    assert names == ["step-00000004.safetensors", "step-00000006.safetensors"]
    chosen = choose_weights(trainee, config, tmp_path, validation_of(trainee, [batch_at(9)], translate))
    assert chosen == "best validation, step 3"
    best, _ = checkpoints.read_checkpoint(tmp_path / "checkpoints" / "best.safetensors")
    for name, variable in checkpoints.named_variables(trainee.model).items():
        np.testing.assert_array_equal(variable.numpy(), best[name])


def test_early_stopping(tmp_path):
    trainee, config = trainee_of(early_stopping=1, eval_every=1)
    progress, _ = start(trainee, config, tmp_path, evaluate=validation_of(trainee, write=lambda texts: ["no"]))
    assert progress.step == 2
    again, config = trainee_of(early_stopping=1, eval_every=1)
    assert start(again, config, tmp_path)[0].step == 2  # and stays stopped


@pytest.mark.parametrize("number, at", [(signal.SIGINT, 3), (signal.SIGTERM, 6)])
def test_a_signal_ends_a_validation_which_is_made_up_for(tmp_path, whole, number, at):
    first, config = trainee_of(dropout=0.2)
    evaluate, before = validation_of(first), signal.getsignal(number)

    def stopped_at():
        if first.optimizer.iterations == at:
            signal.raise_signal(number)
        return evaluate()

    progress, stopped = start(first, config, tmp_path, evaluate=stopped_at)
    assert (progress.step, progress.validated, stopped) == (at, at - 3, number) and signal.getsignal(number) is before
    assert checkpoints.read_newest(tmp_path)[1] == vars(progress)
    progress, stopped = start(*trainee_of(dropout=0.2), tmp_path)
    assert progress.validated == 6 and stopped is None and contents(tmp_path) == whole
    assert start(*trainee_of(dropout=0.2), tmp_path, evaluate=None)[0] == progress  # it is made once


# TensorFlow is imported once; it computes nothing before a fork.
KILLED = """
import os, pathlib, random, signal, sys, time
sys.path.insert(0, ".")
from tests.test_training import LONG, start, trainee_of
folder, rng, kills, ends = pathlib.Path(sys.argv[1]), random.Random(int(sys.argv[2])), 0, 0
while kills < 20:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 1)
        start(*trainee_of(**LONG), folder.with_name(f"cut{ends}"))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as lines:
        steps = rng.randrange(0, 9)
        for _, line in zip(range(steps), (line for line in lines if line.startswith("step "))):
            pass
        time.sleep(rng.random() * (0.03 if steps else 3.0))  # before the first step it restores and traces
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    ends, kills = ends + (not code), kills + bool(code)
"""
LONG = dict(train_steps=60, dropout=0.2, accumulate_steps=2, eval_every=4, checkpoint_every=3, log_every=1, keep_checkpoints=3,
            average_checkpoints=3, keep_best_metric="loss", early_stopping=4, learning_rate=0.03, jit="off")  # fmt: skip


def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    """Neither weights, optimizer, best, averages, patience nor a point of a curve; a checkpoint may be half written."""
    one, config = trainee_of(**LONG)
    expected, _ = start(one, config, tmp_path / "whole")
    assert expected.best_step < expected.step < 60  # it has stopped early
    seed = time.time_ns()
    print(f"killed at the moments of seed {seed}")
    run_apart("-c", KILLED, tmp_path / "cut", seed)
    for folder in tmp_path.glob("cut*"):
        checkpoints.claim_run(folder, {})
        other, config = trainee_of(**LONG)
        progress, _ = start(other, config, folder)
        assert dataclasses.replace(progress, **MEASURED) == dataclasses.replace(expected, **MEASURED)
        assert contents(folder) == contents(tmp_path / "whole")
        chosen = [choose_weights(trainee, config, place, validation_of(trainee))
                  for trainee, place in ((one, tmp_path / "whole"), (other, folder))]  # fmt: skip
        assert chosen[0] == chosen[1] and weights(one).tobytes() == weights(other).tobytes()


def test_after_a_broken_checkpoint_it_ends_in_the_same_weights(tmp_path, whole, capsys):
    start(*trainee_of(dropout=0.2), tmp_path, make_dataset=lambda step: dataset(step, 5))  # runs dry at step 5
    path = checkpoints.list_checkpoints(tmp_path)[-1]
    path.write_bytes(path.read_bytes()[:-1])
    trainee, config = trainee_of(dropout=0.2)
    start(trainee, config, tmp_path)
    said = capsys.readouterr()
    assert "step-00000005.safetensors" in said.err and "continuing from step 4\n" in said.out
    assert contents(tmp_path) == whole
    best = tmp_path / "checkpoints" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:100])
    assert choose_weights(trainee, config, tmp_path, validation_of(trainee)) == "average of 3 checkpoints"
    assert "best.safetensors" in capsys.readouterr().err


def test_a_disk_that_is_full_ends_the_training_in_a_sentence(tmp_path, whole, monkeypatch):
    """At the next step, the last checkpoint untouched; when there is room again it continues."""
    write, failing = checkpoints._write, [False, False, True]

    def full(path, arrays, progress):
        if failing.pop(0):
            with replacing(path) as temporary:
                temporary.write_bytes(b"half")
                raise OSError(errno.ENOSPC, "No space left on device")
        write(path, arrays, progress)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_write", full)
        with pytest.raises(ConfigError, match=r"step-00000004.safetensors \(No space left on device\)"):
            start(*trainee_of(dropout=0.2), tmp_path)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"step-00000002.safetensors", "best.safetensors"}
    start(*trainee_of(dropout=0.2), tmp_path)
    assert contents(tmp_path) == whole


def store(path):
    """Writes a checkpoint of three updates, for the test below, when the format changes:

    python -c 'from tests.test_training import store; store("tests/stored/format-NUMBER.safetensors")'
    """
    trainee = stored_trainee()
    trainee.fit(dataset(0, 3), verbose=0)
    progress = Progress(step=3, tokens=47, seconds=1.5, best=-2.0, best_step=3, validated=3)
    checkpoints.save_checkpoint(path, checkpoints.named_variables(trainee.model, trainee.optimizer), vars(progress))


def stored_trainee():
    model = dataclasses.replace(MODEL, d_model=8, ffn_dim=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "MODEL", model)
        return trainee_of(dropout=0.2)[0]


STORED = sorted((pathlib.Path(__file__).parent / "stored").glob("format-*.safetensors"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_checkpoint_of_an_older_version_is_continued(tmp_path, path):
    trainee, place = stored_trainee(), checkpoints.checkpoint_path(tmp_path, 3)
    place.parent.mkdir()
    shutil.copy(path, place)
    assert resume(trainee, tmp_path) == Progress(step=3, tokens=47, seconds=1.5, best=-2.0, best_step=3, validated=3)
    # As the version that wrote the oldest of them had them, before and after one more update.
    assert validation_of(trainee).token_scores()["loss"] == pytest.approx(2.982651, abs=1e-4)
    trainee.fit(dataset(3, 4), verbose=0)
    assert validation_of(trainee).token_scores()["loss"] == pytest.approx(2.878806, abs=1e-4)


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(tmp_path):
    trainee, config = trainee_of()
    trainee.model.trainable_variables[0].assign(np.full(trainee.model.trainable_variables[0].shape, np.nan))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(NotFiniteError, match="loss nan, gradient_norm nan at step 1; its batch is in"):
        start(trainee, config, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    np.testing.assert_array_equal(np.load(tmp_path / "bad-batch-1.npz")["targets"], batch_at(0)[1])
    assert not checkpoints.list_checkpoints(tmp_path)


def test_a_gradient_that_is_no_number_is_an_error_but_in_float16(tmp_path):
    progress = Progress()
    logs = {"loss": 1.0, "gradient_norm": np.inf, "tokens": 3}
    for precision in ("float16", "bfloat16"):
        count = Count(progress, tmp_path, batch_at, precision)
        count.on_train_batch_begin(0)
        if precision == "float16":
            count.on_train_batch_end(0, logs)
            assert progress.step == 1
        else:
            with pytest.raises(NotFiniteError, match="Received: gradient_norm inf at step 2"):
                count.on_train_batch_end(0, logs)


def test_workers_that_find_different_checkpoints_are_told(tmp_path):
    same, other = (types.SimpleNamespace(gather=lambda mine, step=step: np.array([mine, [step]])) for step in (500, 0))
    training._check_same_step(same, 500, tmp_path)
    with pytest.raises(ConfigError, match="all workers must find the same checkpoint. Received: steps 500, 0 in .* disk that they share"):
        training._check_same_step(other, 500, tmp_path)


def test_resume_without_checkpoints_begins_at_nothing(tmp_path):
    trainee, _ = trainee_of()
    assert resume(trainee, tmp_path) == Progress()


def test_where_there_is_no_tpu_it_is_said(monkeypatch):
    def connect():
        raise ValueError("no address")

    monkeypatch.setattr(tf.distribute.cluster_resolver.TPUClusterResolver, "connect", connect)
    with pytest.raises(ConfigError, match="distribution='tpu' needs a TPU. Received: no address. Use --distribution=none"):
        make_strategy("tpu")


def test_jit_is_refused_where_it_cannot_work():
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ConfigError, match="--jit=off"):
        use_jit("on", two)
    assert use_jit("off", two)[0] is False
    assert use_jit("auto", two)[0] is False


@pytest.mark.parametrize("compilation, gain, chosen", [(10.0, 0.5, False), (1.0, 0.5, True), (0.0, -0.1, False)])
def test_jit_is_chosen_by_time_with_the_compilation_counted(monkeypatch, compilation, gain, chosen):
    """Six steps of 1 s, or of 1 - gain s after a compilation."""
    monkeypatch.setattr(training, "SHORT_TRAINING", 0.0)
    times = iter([("plain", 0.0, 1.0), ("compiled", compilation, 1.0 - gain)])
    monkeypatch.setattr(training, "_timed", lambda trainee, jit, batches: next(times))
    trainee, config = trainee_of(jit="auto")
    progress = Progress()
    said = settle_jit(trainee, config, progress, lambda step: dataset(step, 6))
    assert (progress.jit, trainee.train_function) == (chosen, "compiled" if chosen else "plain")
    assert said.startswith(f"jit {'on' if chosen else 'off'}: 1.00 s a step without XLA, {1 - gain:.2f} s with it after ")
    again, config = trainee_of(jit="auto")
    assert settle_jit(again, config, progress, None).endswith("as this run began") and again.jit_compile == chosen


@pytest.mark.parametrize("limit", [0.0, 300.0])
def test_timing_leaves_no_trace_in_the_weights(monkeypatch, tmp_path, limit):
    monkeypatch.setattr(training, "SHORT_TRAINING", limit)
    auto, config = trainee_of(jit="auto", dropout=0.2)
    progress, _ = start(auto, config, tmp_path / "auto")
    same, config = trainee_of(jit="on" if progress.jit else "off", dropout=0.2)
    start(same, config, tmp_path / "same")
    assert weights(auto).tobytes() == weights(same).tobytes() and auto.num_traces == 1
    assert progress.jit is not None  # kept: a machine that is slower when it continues would choose otherwise
    assert checkpoints.read_checkpoint(checkpoints.list_checkpoints(tmp_path / "auto")[-1])[1]["jit"] is progress.jit
