"""Which of the pretrained weights are learnt: all, none, or low-rank changes of projections (Hu
et al. 2022, LoRA)."""

import keras

# The variables that Keras adds to a layer for LoRA.
ADDED = ("lora_kernel_a", "lora_kernel_b")


def choose_trainable(pretrained, config):
    """Freezes what a TaskConfig does not tune, and adds the low-rank changes.

    With tuning="lora" a projection W becomes W + alpha / rank * A B, A random and B zero at first;
    a saved model holds the sum. The projections are Dense and EinsumDense layers of attention or
    feed-forward, ours or KerasHub's.

    Args:
        pretrained: a built encoder or Transformer without such changes, changed in place.
        config: TaskConfig.
    """
    if config.tuning == "lora":
        for layer in projections(pretrained, config.lora_targets):
            layer.enable_lora(config.lora_rank, lora_alpha=config.lora_alpha)
    if config.tuning != "full":
        for variable in pretrained.weights:
            if variable.name not in ADDED:
                variable.trainable = False


def projections(pretrained, targets):
    """The Dense and EinsumDense layers of a model that belong to "attention" or "feed_forward"."""
    kinds_of_layer = keras.layers.Dense, keras.layers.EinsumDense
    dense = [layer for layer in pretrained._flatten_layers() if isinstance(layer, kinds_of_layer)]
    kinds = {
        "attention": lambda path: "attention" in path or "pointer" in path,
        "feed_forward": lambda path: "feed" in path,
    }
    return [layer for layer in dense if any(kinds[target](layer.path) for target in targets)]
