"""Runs our training step on one batch, with the Trainee that train.py fits."""

from benchmarks import work
from benchmarks.workers.protocol import serve


def prepared(task):
    """Prepares a training of a model of `work.SIZES`.

    Args:
        task: dict {"size", "precision", "jit", and optionally "shape": fields of the size to
            change}.

    Returns:
        The Trainee with its train function built, an iterator that repeats one batch, and the
        number of target tokens in it.
    """
    from transformer.cli.flags import import_keras

    import_keras()
    import keras
    import tensorflow as tf

    from transformer.config import ModelConfig, TrainingConfig
    from transformer.model.transformer import Transformer
    from transformer.training.loop import make_trainee, set_precision

    size = {**work.SIZES[task["size"]], **task.get("shape", {})}
    keras.utils.set_random_seed(1)
    set_precision(task["precision"])
    config = TrainingConfig(
        precision=task["precision"],
        jit=task["jit"],
        learning_rate=work.LEARNING_RATE,
        schedule="constant",
        warmup_steps=0,
        label_smoothing=work.LABEL_SMOOTHING,
    )
    trainee, _ = make_trainee(
        lambda: Transformer.from_model_config(ModelConfig(**work.model_options(size))), config
    )
    source, target_in, target_out = map(tf.constant, work.batch(size))
    segments = tf.ones_like(source), tf.ones_like(target_in)
    data = tf.data.Dataset.from_tensors(((source, target_in, *segments), target_out)).repeat()
    trainee.make_train_function()
    return trainee, iter(data), target_out.shape.num_elements()


def build(task):
    """Returns the facts and the function `one_round`; see `protocol.serve` and `prepared`."""
    trainee, batches, tokens = prepared(task)

    def one_round(count):
        for _ in range(count):
            loss = float(trainee.train_function(batches)["loss"])
        return {"loss": loss}

    return {"parameters": trainee.model.count_params(), "tokens": tokens}, one_round


if __name__ == "__main__":
    serve(build)
