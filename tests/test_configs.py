"""Every shipped recipe parses, and its flags make valid configurations."""

import pathlib
import re

import pytest
from absl import flags

import finetune
import train
from transformer.cli.flags import define, parse, read

ROOT = pathlib.Path(__file__).parents[1]
RECIPES = sorted((ROOT / "configs").glob("*.cfg"))


def program(path):
    """The module whose recipe it is."""
    return finetune if "python finetune.py" in path.read_text(encoding="utf-8") else train


def parsed(path):
    values, module = flags.FlagValues(), program(path)
    module.define_flags(values)
    define(*module.CONFIGS, flag_values=values)
    parse([f"{module.__name__}.py", f"--flagfile={path}"], values)
    return {config.__name__: read(config, values) for config in module.CONFIGS}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_parses_and_says_how_it_is_run(path):
    configs, module = parsed(path), program(path)
    data = configs["DataConfig" if module is train else "LabelledDataConfig"]
    kinds = (
        ("corpus", "source_train", "examples_train", "tfds")
        if module is train
        else ("train_files", "tfds")
    )
    assert any(getattr(data, kind) for kind in kinds)
    lines = path.read_text(encoding="utf-8").splitlines()
    header = " ".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    assert f"python {module.__name__}.py --flagfile=configs/{path.name}" in header
    # A recipe that was run says what came of it, any other that it was not run.
    result = re.search(
        r"(BLEU|ROUGE-L|exact match|accuracy|Pearson|F1) \d+(\.\d+)?.* \d+ (minute|second)s? on "
        r"two cores",
        header,
    )
    assert bool(result) != ("Not run here" in header)


def test_the_named_recipes_are_there():
    assert {path.stem for path in RECIPES} >= {
        "reverse",
        "phrasebook_en_de",
        "phrasebook_en_zh",
        "multi30k_en_de",
        "tatoeba_en_zh",
        "ted_pt_en",
        "wmt14_en_de_base",
        "wmt14_en_de_big",
    }


def test_wmt_recipes_are_the_papers_models():
    base, big = (parsed(ROOT / "configs" / f"wmt14_en_de_{size}.cfg") for size in ("base", "big"))
    assert [
        base["ModelConfig"].d_model,
        base["ModelConfig"].ffn_dim,
        base["ModelConfig"].dropout,
    ] == [512, 2048, 0.1]
    assert [
        big["ModelConfig"].d_model,
        big["ModelConfig"].num_heads,
        big["ModelConfig"].dropout,
    ] == [1024, 16, 0.3]
    assert base["TrainingConfig"].schedule == "noam" and base["TrainingConfig"].adam_beta_2 == 0.98
