"""Translates a file with CTranslate2, with the weights and the tokenizer of an exported run."""

import os
import pathlib

from benchmarks.workers.protocol import serve


def build(task):
    """Returns the facts and the function `one_round`; see `protocol.serve`.

    Args:
        task: dict {"model", "compute_type", "workers", "source", "beam_size", "length_penalty",
            "max_batch_size", "longest"}.
    """
    import ctranslate2
    import sentencepiece

    tokenizer = pathlib.Path(task["model"]) / "tokenizer" / "joint.model"
    if not tokenizer.exists():
        raise SystemExit(
            "decode compares runs with one SentencePiece vocabulary for both languages. Received: "
            "another."
        )

    # Either every core translates its own batches, or all cores share each batch.
    threads = (
        dict(inter_threads=os.cpu_count(), intra_threads=1)
        if task["workers"]
        else dict(intra_threads=os.cpu_count())
    )
    translator = ctranslate2.Translator(task["model"], compute_type=task["compute_type"], **threads)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    texts = pathlib.Path(task["source"]).read_text(encoding="utf-8").splitlines()

    def one_round(count):
        for _ in range(count):
            pieces = processor.encode(texts, out_type=str)
            results = translator.translate_batch(
                pieces,
                beam_size=task["beam_size"],
                length_penalty=task["length_penalty"],
                max_batch_size=task["max_batch_size"],
                batch_type="tokens",
                max_decoding_length=task["longest"],
            )
            outputs = processor.decode([result.hypotheses[0] for result in results])
        return {"outputs": outputs}

    return {"sentences": len(texts), "version": ctranslate2.__version__}, one_round


if __name__ == "__main__":
    serve(build)
