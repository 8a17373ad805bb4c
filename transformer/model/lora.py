"""Chooses which pretrained weights to train: all, none, or LoRA matrices (Hu et al. 2022)."""

import keras

# Names of the variables that Keras adds to a layer for LoRA.
ADDED = ("lora_kernel_a", "lora_kernel_b")


def choose_trainable(pretrained, config):
    """Freezes the weights that a TaskConfig does not tune, and adds LoRA if it asks for it.

    With tuning="full" nothing changes. With tuning="head" all pretrained weights are frozen. With
    tuning="lora" they are frozen too, and each selected projection W becomes W + alpha / rank * A
    B, where A starts random and B starts at zero. A saved model holds the sum.

    The projections are the Dense and EinsumDense layers of attention and feed-forward blocks, in
    our models and in KerasHub's.

    Args:
        pretrained: a built encoder or Transformer without LoRA. It is changed in place.
        config: a TaskConfig.
    """
    if config.tuning == "lora":
        for layer in projections(pretrained, config.lora_targets):
            layer.enable_lora(config.lora_rank, lora_alpha=config.lora_alpha)
    if config.tuning != "full":
        for variable in pretrained.weights:
            if variable.name not in ADDED:
                variable.trainable = False


def projections(pretrained, targets):
    """Returns the Dense and EinsumDense layers that belong to the given targets.

    Args:
        pretrained: a built encoder or Transformer.
        targets: a sequence of "attention", "feed_forward" or both. Pointer layers count as
            attention.

    Returns:
        A list of layers.
    """
    kinds_of_layer = keras.layers.Dense, keras.layers.EinsumDense
    dense = [layer for layer in pretrained._flatten_layers() if isinstance(layer, kinds_of_layer)]
    kinds = {
        "attention": lambda path: "attention" in path or "pointer" in path,
        "feed_forward": lambda path: "feed" in path,
    }
    return [layer for layer in dense if any(kinds[target](layer.path) for target in targets)]
