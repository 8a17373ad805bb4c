"""Runs a short training on Multi30k and answers with its validation loss."""

import pathlib
import tempfile

from benchmarks import work
from benchmarks.workers.protocol import serve

MODEL = dict(d_model=128, num_heads=4, num_layers=2, ffn_dim=512, dropout=0.2)


def build(task):
    """Returns the facts and the function `one_round`; see `protocol.serve`.

    Args:
        task: dict {"data_dir", "precision", "dropout", "jit", "seed", "steps", "max_tokens"}.
    """
    from transformer.cli.flags import import_keras

    import_keras()
    import keras

    import transformer.model.attention
    import transformer.model.layers
    import transformer.model.transformer
    from data.batches import Plan, evaluation_batches, training_dataset
    from data.config import DataConfig
    from data.prepare import prepare
    from transformer.config import ModelConfig, TokenizerConfig, TrainingConfig
    from transformer.evaluation.evaluation import Validation
    from transformer.training.loop import make_trainee, set_precision

    # Replace our hashed dropout with Keras's own layer, which draws from Philox.
    if task["dropout"] == "plain":
        for module in (
            transformer.model.attention,
            transformer.model.layers,
            transformer.model.transformer,
        ):
            module.Dropout = keras.layers.Dropout
    data = DataConfig(
        data_dir=task["data_dir"], source_language="en", target_language="de", **work.MULTI30K
    )
    prepared = prepare(
        data,
        TokenizerConfig(vocab_size=6000),
        pathlib.Path(tempfile.gettempdir()) / "benchmarks-learning",
    )
    training = TrainingConfig(
        train_steps=task["steps"],
        max_tokens=task["max_tokens"],
        seed=task["seed"],
        precision=task["precision"],
        jit=task["jit"],
        learning_rate=2e-3,
        warmup_steps=200,
        schedule="inverse_sqrt",
    )
    keras.utils.set_random_seed(training.seed)
    set_precision(training.precision)
    config = ModelConfig(vocab_size=prepared.target_tokenizer.vocab_size, norm="pre", **MODEL)
    trainee, _ = make_trainee(
        lambda: transformer.model.transformer.Transformer.from_model_config(config), training
    )
    split = prepared.splits["train"]
    plan = Plan(split, training.max_tokens, training.seed)

    def one_round(count):
        trainee.fit(
            training_dataset(split, plan, 0, training.train_steps), verbose=0, shuffle=False
        )
        batches = evaluation_batches(prepared.splits["validation"], training.max_tokens)
        return Validation(trainee.model, batches).token_scores()

    return {"parameters": trainee.model.count_params(), "data": prepared.fingerprint}, one_round


if __name__ == "__main__":
    serve(build)
