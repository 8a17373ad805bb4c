"""Runs a training step of PyTorch in eager mode.

The model is made of PyTorch's nn.TransformerEncoder and nn.TransformerDecoder, or it is Marian of
Hugging Face Transformers. The optimizer is torch.optim.Adam, by default with its fused kernel.
"""

import math

from benchmarks import work
from benchmarks.workers.protocol import serve


def build(task):
    """Returns the facts and the function `one_round`; see `protocol.serve`.

    Args:
        task: dict {"size", "precision", and optionally "shape": fields of the size to change,
            "model": "modules" (default) or "marian", "fused": whether Adam is fused (default)}.
    """
    import numpy as np
    import torch

    size = {**work.SIZES[task["size"]], **task.get("shape", {})}
    torch.manual_seed(1)
    model, forward = {"modules": modules, "marian": marian}[task.get("model", "modules")](size)
    optimizer = torch.optim.Adam(
        model.train().parameters(),
        lr=work.LEARNING_RATE,
        betas=work.BETAS,
        eps=work.EPSILON,
        fused=task.get("fused", True),
    )
    source, target_in, target_out = (
        torch.from_numpy(np.ascontiguousarray(ids)).long() for ids in work.batch(size)
    )

    def one_round(count):
        for _ in range(count):
            with torch.autocast("cpu", torch.bfloat16, enabled=task["precision"] == "bfloat16"):
                logits = forward(source, target_in)
            loss = torch.nn.functional.cross_entropy(
                logits.reshape(-1, size["vocab_size"]).float(),
                target_out.reshape(-1),
                ignore_index=work.PAD,
                label_smoothing=work.LABEL_SMOOTHING,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            last = loss.item()
        return {"loss": last}

    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return {
        "parameters": count,
        "tokens": target_out.numel(),
        "version": torch.__version__,
    }, one_round


def modules(size):
    """Builds a model of PyTorch's own Transformer layers.

    Args:
        size: dict, as in `work.SIZES`.

    Returns:
        The model, and a function from source ids (B, S) and target ids (B, T) to logits (B, T, V).
    """
    import torch
    from torch import nn

    width, length = size["d_model"], size["length"]
    options = dict(
        d_model=width,
        nhead=size["num_heads"],
        dim_feedforward=size["ffn_dim"],
        dropout=work.DROPOUT,
        batch_first=True,
    )
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(size["vocab_size"], width),
            "dropout": nn.Dropout(work.DROPOUT),
            "encoder": nn.TransformerEncoder(
                nn.TransformerEncoderLayer(**options), size["num_layers"]
            ),
            "decoder": nn.TransformerDecoder(
                nn.TransformerDecoderLayer(**options), size["num_layers"]
            ),
        }
    )
    # Apply dropout only to embeddings and block outputs, as ours and Marian do. By default
    # PyTorch's layers also drop attention weights and activations, which costs time.
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
        elif isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
            module.dropout.p = 0.0
    nn.init.normal_(model["embedding"].weight, std=width**-0.5)
    angle = torch.arange(length)[:, None] * torch.exp(
        -math.log(10000.0) * torch.arange(0, width, 2) / width
    )
    positions = torch.stack([angle.sin(), angle.cos()], -1).reshape(length, width)
    causal = nn.Transformer.generate_square_subsequent_mask(length)

    def embed(ids):
        return model["dropout"](model["embedding"](ids) * width**0.5 + positions)

    def forward(source, target):
        padding = torch.where(source == work.PAD, -1e9, 0.0)
        memory = model["encoder"](embed(source), src_key_padding_mask=padding)
        hidden = model["decoder"](
            embed(target),
            memory,
            tgt_mask=causal,
            memory_key_padding_mask=padding,
            tgt_is_causal=True,
        )
        return hidden @ model["embedding"].weight.T

    return model, forward


def marian(size):
    """Does the same for Marian, which also has the layers of Vaswani et al. 2017."""
    from transformers import MarianConfig, MarianMTModel

    sides = {
        f"{side}_{name}": size[ours]
        for side in ("encoder", "decoder")
        for name, ours in (
            ("layers", "num_layers"),
            ("attention_heads", "num_heads"),
            ("ffn_dim", "ffn_dim"),
        )
    }
    model = MarianMTModel(
        MarianConfig(
            vocab_size=size["vocab_size"],
            d_model=size["d_model"],
            dropout=work.DROPOUT,
            activation_function="relu",
            scale_embedding=True,
            pad_token_id=work.PAD,
            eos_token_id=3,
            decoder_start_token_id=2,
            forced_eos_token_id=None,
            max_position_embeddings=size["length"],
            **sides,
        )
    )

    def forward(source, target):
        return model(
            input_ids=source,
            attention_mask=source.ne(work.PAD),
            decoder_input_ids=target,
            use_cache=False,
        ).logits

    return model, forward


if __name__ == "__main__":
    serve(build)
