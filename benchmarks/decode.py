"""Compares decoding speed with CTranslate2: sentences per second of a trained run on a file.

Both decode the same weights, greedily and with a beam. There is no length penalty, because only
then do both rank hypotheses by the same score. With one, ours uses GNMT's formula and CTranslate2 a
power of the length.
"""

import pathlib
import shutil
import tempfile

from benchmarks.rounds import Contestant, compete
from benchmarks.train import chosen_peers

PEERS = {
    "ctranslate2": dict(compute_type="float32", workers=True, max_batch_size=1024),
    "ctranslate2_shared": dict(compute_type="float32", workers=False, max_batch_size=4096),
    "ctranslate2_int8": dict(compute_type="int8", workers=True, max_batch_size=1024),
}
BEAMS = (1, 4)


def run(config):
    """Decodes --source with --run and with each peer, for each beam size.

    Returns:
        The rows of `rounds.compete`, with the beam size, sentences per second, and the share of
        outputs that equal those of the first contestant.

    Raises:
        ConfigError: --run or --source does not exist, or a peer is unknown.
    """
    config.require("decode", "run", "source")
    names, rows, source = (
        chosen_peers(config, PEERS),
        [],
        str(pathlib.Path(config.source).resolve()),
    )
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        kinds = sorted({PEERS[name]["compute_type"] for name in names})
        longest = export(config.run, source, folder, kinds) if names else 0
        for beam_size in BEAMS:
            task = {
                "beam_size": beam_size,
                "source": source,
                "longest": longest,
                "length_penalty": 0.0,
            }
            contestants = [
                Contestant(
                    name,
                    "decode_ctranslate2",
                    {**task, **PEERS[name], "model": str(folder / PEERS[name]["compute_type"])},
                    config.peers_python,
                )
                for name in names
            ]
            contestants.append(
                Contestant(
                    "ours", "decode_ours", {**task, "run": str(pathlib.Path(config.run).resolve())}
                )
            )
            found = compete(contestants, config.rounds, warm_up=2)
            first = found[0]["outputs"]
            for row in found:
                outputs = row.pop("outputs")
                same = sum(a == b for a, b in zip(first, outputs)) / len(first)
                rows.append(
                    {
                        "beam_size": beam_size,
                        **row,
                        "sentences_per_second": len(first) / row["seconds"],
                        "same": same,
                    }
                )
    finally:
        shutil.rmtree(folder)
    return rows


def export(run, source, folder, kinds):
    """Exports a run to one CTranslate2 folder per compute type.

    Args:
        run: a run folder.
        source: path of the file of source texts.
        folder: pathlib.Path, where the exports are written.
        kinds: list of str, the compute types, such as "float32".

    Returns:
        int, the largest number of tokens that our Generator would write for a line of `source`.
    """
    from transformer.cli.flags import import_keras

    import_keras()
    from transformer.export.ctranslate2 import export_ctranslate2, sources_of
    from transformer.generation.generator import Generator

    generator, texts = Generator.from_run(run), sources_of(run)
    for kind in kinds:
        count, same = export_ctranslate2(generator, folder / kind, kind, texts)
        print(f"exported {kind}: {same} of {count} greedy outputs the same", flush=True)
    lines = pathlib.Path(source).read_text(encoding="utf-8").splitlines()
    return max(generator.longest_output(len(generator.source_ids(line))) for line in lines)
