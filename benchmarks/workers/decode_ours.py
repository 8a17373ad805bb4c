"""Translates a file with our Generator."""

import pathlib

from benchmarks.workers.protocol import serve


def build(task):
    """Returns the facts and the function `one_round`; see `protocol.serve`.

    Args:
        task: dict {"run", "source", "beam_size", "length_penalty"}.
    """
    from transformer.cli.flags import import_keras

    import_keras()
    from transformer.generation.generator import Generator, one_core_a_batch

    one_core_a_batch()
    generator = Generator.from_run(
        task["run"],
        beam_size=task["beam_size"],
        length_penalty=task["length_penalty"],
        n_best=1,
        temperature=0.0,
        min_length=0,
        no_repeat_ngram=0,
    )
    texts = pathlib.Path(task["source"]).read_text(encoding="utf-8").splitlines()

    def one_round(count):
        for _ in range(count):
            outputs = generator(texts)
        return {"outputs": outputs}

    return {"parameters": generator.model.count_params(), "sentences": len(texts)}, one_round


if __name__ == "__main__":
    serve(build)
