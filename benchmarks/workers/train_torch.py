"""PyTorch's own nn.TransformerEncoder and nn.TransformerDecoder, eager, with the fused Adam."""

import math

from benchmarks import work
from benchmarks.workers.protocol import serve


def build(task):
    import numpy as np
    import torch
    from torch import nn

    size = {**work.SIZES[task["size"]], **task.get("shape", {})}
    torch.manual_seed(1)
    width, vocab_size, length = size["d_model"], size["vocab_size"], size["length"]

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(vocab_size, width)
            nn.init.normal_(self.embedding.weight, std=width**-0.5)
            options = dict(d_model=width, nhead=size["num_heads"], dim_feedforward=size["ffn_dim"], dropout=work.DROPOUT,
                           batch_first=True)
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**options), size["num_layers"])
            self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**options), size["num_layers"])
            self.dropout = nn.Dropout(work.DROPOUT)
            angle = torch.arange(length)[:, None] * torch.exp(-math.log(10000.0) * torch.arange(0, width, 2) / width)
            self.register_buffer("positions", torch.stack([angle.sin(), angle.cos()], -1).reshape(length, width))
            self.register_buffer("causal", nn.Transformer.generate_square_subsequent_mask(length))
            for parameter in [*self.encoder.parameters(), *self.decoder.parameters()]:
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

        def embed(self, ids):
            return self.dropout(self.embedding(ids) * width**0.5 + self.positions)

        def forward(self, source, target):
            padding = torch.where(source == work.PAD, -1e9, 0.0)
            memory = self.encoder(self.embed(source), src_key_padding_mask=padding)
            hidden = self.decoder(
                self.embed(target), memory, tgt_mask=self.causal, memory_key_padding_mask=padding, tgt_is_causal=True
            )
            return hidden @ self.embedding.weight.T

    model = Model().train()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=work.LEARNING_RATE, betas=work.BETAS, eps=work.EPSILON, fused=task.get("fused", True)
    )
    source, target_in, target_out = (torch.from_numpy(np.ascontiguousarray(ids)).long() for ids in work.batch(size))
    model_step = torch.compile(model) if task.get("compile") else model

    def one_round(count):
        for _ in range(count):
            with torch.autocast("cpu", torch.bfloat16, enabled=task["precision"] == "bfloat16"):
                logits = model_step(source, target_in)
            loss = nn.functional.cross_entropy(
                logits.reshape(-1, vocab_size).float(), target_out.reshape(-1), ignore_index=work.PAD,
                label_smoothing=work.LABEL_SMOOTHING,
            )  # fmt: skip
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            last = loss.item()
        return {"loss": last}

    count = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": count, "tokens": target_out.numel()}, one_round


if __name__ == "__main__":
    serve(build)
