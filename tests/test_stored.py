"""What an earlier version wrote is read by this one: a run, its checkpoints, an export, a
fine-tuned folder.

tests/stored has each of them, with what that version wrote for `TEXTS`. To store them again, for a
format that has changed:

    python -c 'from tests.test_stored import store; store("NAME")'
"""

import json
import pathlib
import random
import shutil

import numpy as np
import pytest
from keras.saving import load_model

from data.corpora.registry import CORPORA
from tests.programs import ROOT, run
from transformer.generation.generator import Generator
from transformer.pipelines.encoder import pipeline

STORED = sorted(
    path for path in (pathlib.Path(__file__).parent / "stored").iterdir() if path.is_dir()
)
TEXTS = ["Where is my new house?", "The small dog sees the cat.", "I do not know her brother", ""]
TRANSLATION = [
    "--corpus=phrasebook_en_de",
    "--corpus_size=4000",
    "--source_language=en",
    "--target_language=de",
    "--vocab_size=400",
    "--d_model=32",
    "--num_heads=2",
    "--num_layers=1",
    "--ffn_dim=64",
    "--norm=pre",
    "--dropout=0",
    "--max_tokens=1500",
    "--train_steps=400",
    "--learning_rate=1e-2",
    "--warmup_steps=50",
    "--schedule=cosine",
    "--eval_every=100",
    "--eval_decode=20",
    "--checkpoint_every=20",
    "--average_checkpoints=1",
    "--max_length=40",
    "--jit=off",
]


def store(name):
    folder = pathlib.Path(__file__).parent / "stored" / name
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        # Paths that say nothing of this machine.
        translation, kinds = (
            pathlib.Path("runs") / f"stored_{part}" for part in ("translation", "kinds")
        )
        run("train.py", *TRANSLATION, f"--run={translation}")
        run("-m", "transformer", "export", f"--run={translation}")
        write_kinds(kinds.with_suffix(".data"))
        run(
            "finetune.py",
            "--flagfile=configs/sentence_kind.cfg",
            f"--data_dir={kinds}.data",
            "--jit=off",
            f"--run={kinds}",
        )
    for path in (translation, kinds):
        ignore = shutil.ignore_patterns("tensorboard", "data_report.json", "report.*", "*.png")
        shutil.copytree(ROOT / path, folder / path.name.removeprefix("stored_"), ignore=ignore)
        shutil.rmtree(ROOT / path)
    shutil.rmtree(ROOT / f"{kinds}.data")
    outputs = {"translation": translations(folder), "kinds": answers(folder)}
    (folder / "outputs.json").write_text(
        json.dumps(outputs, ensure_ascii=False, indent=1), encoding="utf-8"
    )


def write_kinds(folder):
    """Sentences of the phrasebook, question or statement, as configs/sentence_kind.cfg reads
    them."""
    folder.mkdir(parents=True)
    for name, pairs in CORPORA["phrasebook_en_de"](400, seed=1).items():
        rows = [
            f"{source.rstrip('?.!')}\t{'question' if source.endswith('?') else 'statement'}"
            for source, _ in pairs
        ]
        random.Random(1).shuffle(rows)
        (folder / f"{name}.tsv").write_text("\n".join(rows[:200]) + "\n", encoding="utf-8")


def translations(folder):
    """Three outputs for each text, and their scores."""
    return Generator.from_run(folder / "translation", beam_size=3, n_best=3).n_best(TEXTS)


def answers(folder):
    return pipeline("text-classification", model=folder / "kinds")(TEXTS, top_k=2)


def equal(ours, theirs):
    """Whether two nested lists and dicts of texts and numbers are the same, the numbers to four
    digits."""
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(equal(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    return ours == pytest.approx(theirs, abs=1e-4) if isinstance(theirs, float) else ours == theirs


@pytest.fixture(params=STORED, ids=lambda path: path.name)
def stored(request):
    return request.param


def outputs_of(stored, part):
    return json.loads((stored / "outputs.json").read_text(encoding="utf-8"))[part]


def test_a_run_writes_what_it_wrote(stored):
    assert equal(translations(stored), outputs_of(stored, "translation"))


def test_a_fine_tuned_folder_answers_as_it_did(stored):
    assert equal(answers(stored), outputs_of(stored, "kinds"))


def test_an_export_writes_what_it_wrote(stored):
    ctranslate2 = pytest.importorskip("ctranslate2")
    from transformer.export.ctranslate2 import translate

    generator = Generator.from_run(stored / "translation", beam_size=3)
    translator = ctranslate2.Translator(str(stored / "translation" / "ctranslate2-float32"))
    best = [outputs[0][0] for outputs in outputs_of(stored, "translation")]
    assert translate(generator, translator, TEXTS, beam_size=3) == best


@pytest.mark.slow
def test_a_run_is_continued_to_the_weights_in_which_it_ended(stored, tmp_path):
    shutil.copytree(stored / "translation", tmp_path / "run")
    whole = load_model(tmp_path / "run" / "model.keras").get_weights()
    (tmp_path / "run" / "model.keras").unlink()
    (tmp_path / "run" / "checkpoints" / "step-00000400.safetensors").unlink()
    output = run("train.py", *TRANSLATION, f"--run={tmp_path / 'run'}").stdout
    assert "continuing from step 380" in output
    for ours, theirs in zip(
        load_model(tmp_path / "run" / "model.keras").get_weights(), whole, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
