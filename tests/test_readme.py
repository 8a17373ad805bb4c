"""What the README tells a user to type is typed here, with files of three lines and trainings of
three steps."""

import pathlib
import re
import subprocess
import sys

import pytest
from absl import flags

import finetune
from transformer.cli.flags import define, parse, read

pytestmark = pytest.mark.slow  # it trains, or starts programs

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORTER = (
    "--train_steps=3 --eval_every=3 --log_every=1 --d_model=16 --num_heads=2 --num_layers=1 "
    "--ffn_dim=32 --vocab_size=300 --max_tokens=256"
)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands():
    """Every command of the README's bash blocks, lines that end in a backslash joined, comments
    dropped."""
    text = re.sub(r"\\\n\s*", " ", "".join(blocks("bash")))
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: the programs, and a few lines of text for each split."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("train.py", "finetune.py", "configs", "transformer", "data"):
        (folder / name).symlink_to(ROOT / name)
    for split in ("train", "val", "test"):
        (folder / f"{split}.en").write_text(
            "".join(f"{split} sentence {n} is short.\n" for n in range(30)), encoding="utf-8"
        )
        (folder / f"{split}.de").write_text(
            "".join(f"Satz {n} von {split} ist kurz.\n" for n in range(30)), encoding="utf-8"
        )
    rows = "".join(
        f"this is {word} number {n}\t{word}\n" for n in range(40) for word in ("good", "bad")
    )
    (folder / "labelled.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    pairs = "".join(f"word {n}\tWort {n}\n" for n in range(40))
    (folder / "pairs.tsv").write_text(f"source\ttarget\n{pairs}", encoding="utf-8")
    return folder


# A dozen programs, one after the other: beside four busy processes they take ten minutes.
@pytest.mark.timeout(3600)
def test_the_commands_run_in_their_order(folder):
    ran = []
    for command in commands():
        if command.startswith(("make ", "pip ", "git ", "cd ", "python -m venv", ". ")):
            continue
        if command.startswith("tensorboard"):
            command += " --inspect"  # reads what it would show, and ends
        if "train.py" in command:
            command += f" {SHORTER}"
        if "finetune.py" in command:
            command += " --epochs=1 --validation_share=0.3 --test_share=0.3"
        if "--data_dir=DIR" in command:
            continue  # needs the files of that recipe; its flags are parsed in test_configs.py
        shell = (
            f'python() {{ "{sys.executable}" "$@"; }}; '
            f'tensorboard() {{ python -m tensorboard.main "$@"; }}; {command}'
        )
        done = subprocess.run(["bash", "-c", shell], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
        ran.append(command.split()[0])
    assert ran.count("python") >= 2 and "tensorboard" in ran and "echo" in ran


def test_the_python_examples_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["logits"].shape == (1, 3, 1000)
    assert isinstance(names["generator"](["Two dogs."])[0], str)
    assert set(names["classifier"]("a good book")[0]) == {"label", "score"}
    assert (
        set(names["translator"]("a dog")[0]) == {"translation_text"}
        and (folder / "runs" / "pets" / "model.keras").exists()
    )


def test_what_the_readme_names_exists():
    for path in re.findall(
        r"`((?:configs|data|transformer|notebooks|docs|tests)/[\w./-]*)`", README
    ):
        assert (ROOT / path).exists(), path
    for recipe in re.findall(r"--flagfile=(configs/\S+?\.cfg)", README):
        assert (ROOT / recipe).is_file(), recipe


def guide(name):
    """The arguments of each finetune.py command in a guide, in order."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "docs" / name).read_text(encoding="utf-8"))
    return [
        line.split("#")[0].split()[2:]
        for line in re.findall("^python finetune.py .*", text, flags=re.MULTILINE)
    ]


def code_of(path):
    """The code blocks of a page without comments, which may be in another language."""
    text = (ROOT / path).read_text(encoding="utf-8")
    blocks = re.findall("^```.*?^```", text, flags=re.MULTILINE | re.DOTALL)
    return [[line.split("  #")[0] for line in block.splitlines()] for block in blocks]


@pytest.mark.parametrize("english", ["README.md", "docs/distributed.md"])
def test_a_page_shows_the_same_code_in_two_languages(english):
    blocks = code_of(english)
    assert blocks == code_of(english.replace(".md", "_zh.md")) and len(blocks) > 5


def test_links_lead_to_files():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert link.startswith("https://") or (page.parent / link).exists(), (page.name, link)


def test_the_commands_of_the_guide_name_flags_that_exist_and_runs_that_were_made():
    assert len(guide("finetuning.md")) == 10
    assert [
        command for command in guide("finetuning.md") if not command[-1].startswith("--seeds")
    ] == guide("finetuning_zh.md")
    made = {}
    for command in guide("finetuning.md"):
        flagfile, *rest = command if command[0].startswith("--flagfile=") else (None, *command)
        earlier = (
            made[flagfile.removeprefix("--flagfile=").removesuffix("/flags.cfg")]
            if flagfile
            else []
        )
        values = flags.FlagValues()
        finetune.define_flags(values)
        define(*finetune.CONFIGS, flag_values=values)
        parse(["finetune.py", *earlier, *rest], values)
        assert all(read(config, values) for config in finetune.CONFIGS)
        made[values["run"].value] = [*earlier, *rest]


def test_the_makefile_has_what_is_said():
    for target in ("train", "test", "test-fast", "lint", "mutants"):
        assert subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True).returncode == 0
