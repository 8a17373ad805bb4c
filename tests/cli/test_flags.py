"""Dataclasses as flags: parsing, precedence, flagfiles, and the messages for a user's mistakes."""

import dataclasses
import errno
import os
import pathlib
import re
import signal
import subprocess
import sys

import hypothesis
import pytest
from absl import flags as absl_flags
from hypothesis import strategies

from data.config import DataConfig, LabelledDataConfig
from transformer.cli import flags
from transformer.config import (
    ConfigError,
    DecodingConfig,
    FinetuningConfig,
    ModelConfig,
    TaskConfig,
    TokenizerConfig,
    TrainingConfig,
    option,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALL = (ModelConfig, TokenizerConfig, TrainingConfig, DecodingConfig)


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    size: int = option(3, "how many")
    rate: float = option(0.5, "how fast")
    loud: bool = option(False, "how loud")
    name: str = option("", "what it is called")
    kind: str = option("a", "which", choices=("a", "b"))
    words: tuple = option((), "some words")


def toy(*arguments):
    values = absl_flags.FlagValues()
    flags.define(ToyConfig, flag_values=values)
    flags.parse(["toy.py", *arguments], values)
    return flags.read(ToyConfig, values)


def model(*arguments):
    values = absl_flags.FlagValues()
    flags.define(ModelConfig, flag_values=values)
    flags.parse(["train.py", *arguments], values)
    return flags.read(ModelConfig, values)


def test_defaults_are_the_dataclass():
    values = absl_flags.FlagValues()
    flags.define(*ALL, flag_values=values)
    flags.parse(["train.py"], values)
    assert [flags.read(config, values) for config in ALL] == [config() for config in ALL]


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--size=7"], ToyConfig(size=7)),
        (["--size", "7"], ToyConfig(size=7)),
        (["--size=7", "--size=-8"], ToyConfig(size=-8)),
        (["--rate=1e-3"], ToyConfig(rate=0.001)),
        (["--loud"], ToyConfig(loud=True)),
        (["--loud", "--noloud"], ToyConfig()),
        (["--loud=true"], ToyConfig(loud=True)),
        (["--name=a=b # c"], ToyConfig(name="a=b # c")),
        (["--kind=b"], ToyConfig(kind="b")),
        (['--words=a,"b,c", #'], ToyConfig(words=("a", "b,c", "#"))),
        (["--words="], ToyConfig()),
        (["-size=7", "-loud"], ToyConfig(size=7, loud=True)),
        (["-size", "7", "-name", "a"], ToyConfig(size=7, name="a")),
        (["--name", "--loud"], ToyConfig(name="--loud")),
        (["--name", "", "--size", "-7"], ToyConfig(size=-7)),
        (["--loud=1", "--words", "a, b"], ToyConfig(loud=True, words=("a", "b"))),
    ],
)
def test_each_type_is_parsed(arguments, expected):
    result = toy(*arguments)
    assert result == expected
    assert [type(value) for value in dataclasses.astuple(result)] == [
        int,
        float,
        bool,
        str,
        str,
        tuple,
    ]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--sizes=3"], "unknown flag --sizes. Did you mean --size?"),
        (["--nolod"], "unknown flag --nolod. Did you mean --noloud?"),
        (["--qqqq=3"], "unknown flag --qqqq. See --help."),
        (["--size=1e3"], "flag --size=1e3: expected a whole number, written with digits only."),
        (["--size="], "flag --size=: expected a whole number, written with digits only."),
        (["--rate=fast"], "flag --rate=fast: expected a number, such as 0.1 or 1e-3."),
        (["--rate=nan"], "flag --rate=nan: expected a finite number."),
        (["--rate=inf"], "flag --rate=inf: expected a finite number."),
        (["--rate=-Infinity"], "flag --rate=-Infinity: expected a finite number."),
        (["--rate=1e999"], "flag --rate=1e999: expected a finite number."),
        (["--size", "x"], "flag --size=x: expected a whole number, written with digits only."),
        (["-size=x"], "flag --size=x: expected a whole number, written with digits only."),
        (["--noloud=1"], "--noloud=1 does not take an argument."),
        (["--nosize"], "unknown flag --nosize. Did you mean --size?"),
        (["--si-ze=3"], "unknown flag --si-ze. Did you mean --size?"),
        (["--flagfil=x"], "unknown flag --flagfil. Did you mean --flagfile?"),
        (
            ['--words="a'],
            "flag --words=\"a: Unable to parse the value '\"a' as a comma separated list of "
            "strings: unexpected end of data.",
        ),
        (["--flagfile="], "--flagfile needs a file. Write --flagfile=FILE."),
        (["--name", "x", "y"], "every argument must be a flag. Received: 'y'. Write --name=value."),
        (["-"], "every argument must be a flag. Received: '-'. Write --name=value."),
        (["--loud=maybe"], "flag --loud=maybe: expected true or false."),
        (["--kind=c"], "flag --kind=c: value should be one of <a|b>."),
        (["--size"], "Missing value for flag --size."),
        ([""], "every argument must be a flag. Received: ''. Write --name=value."),
        (["--size=x", ""], "flag --size=x: expected a whole number, written with digits only."),
        (
            ["--loud", "true"],
            "every argument must be a flag. Received: 'true'. Write --name=value.",
        ),
        (
            ["--", "--size=3"],
            "every argument must be a flag. Received: '--size=3'. Write --name=value.",
        ),
        (["--flagfile"], "--flagfile needs a file. Write --flagfile=FILE."),
        (
            ["--flagfile=/no/x"],
            "--flagfile must name a readable text file. Received: /no/x (No such file or "
            "directory).",
        ),
    ],
)
def test_a_mistake_is_named(arguments, message):
    with pytest.raises(ConfigError) as error:
        toy(*arguments)
    assert str(error.value) == message


def test_a_preset_counts_where_it_stands(tmp_path):
    big = dict(d_model=1024, num_heads=16, num_layers=6, ffn_dim=4096, dropout=0.3)
    assert model("--preset=big") == model("--preset", "big") == ModelConfig(**big)
    assert model("--preset=big", "--num_heads=8", "--dropout=0.1") == ModelConfig(
        **{**big, "num_heads": 8, "dropout": 0.1}
    )
    (tmp_path / "a.cfg").write_text("--preset=tiny\n--num_layers=5\n")
    assert model(f"--flagfile={tmp_path}/a.cfg") == ModelConfig(
        d_model=128, num_heads=4, num_layers=5, ffn_dim=256
    )
    assert model(f"--flagfile={tmp_path}/a.cfg", "--preset=big") == ModelConfig(**big)
    assert model("-preset=big", "--use_bias") == model("-preset", "big") == ModelConfig(**big)
    (tmp_path / "b.cfg").write_text("--num_heads=3\n--preset=tiny\n")
    assert model(f"--flagfile={tmp_path}/b.cfg") == ModelConfig(
        d_model=128, num_heads=4, num_layers=2, ffn_dim=256
    )


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "\n--preset=huge\n",
            "{}:2: flag --preset=huge: value should be one of <tiny|small|base|big>.",
        ),
        (
            "--preset\n--num_heads=2\n",
            "{}:1: flag --preset=: value should be one of <tiny|small|base|big>.",
        ),
    ],
)
def test_a_preset_that_there_is_not(tmp_path, text, message):
    path = tmp_path / "a.cfg"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        model(f"--flagfile={path}")
    assert str(error.value) == message.format(path)
    with pytest.raises(ConfigError, match="^flag --preset=: value should be"):
        model("--preset")
    with pytest.raises(ConfigError, match="^unknown flag --preset"):  # of a model alone
        toy("--preset=big")


def test_a_limit_is_a_finite_number():
    values = absl_flags.FlagValues()
    flags.define(TrainingConfig, flag_values=values)
    with pytest.raises(ConfigError, match="^flag --clip_norm=inf: expected a finite number.$"):
        flags.parse(["train.py", "--clip_norm=inf"], values)


def test_what_a_program_finds_out_itself_is_no_flag():
    with pytest.raises(ConfigError, match="^unknown flag --vocab_size. See"):
        model("--vocab_size=9")
    assert model() == ModelConfig()


def test_which_flags_were_given():
    values = absl_flags.FlagValues()
    flags.define(ToyConfig, ModelConfig, flag_values=values)
    flags.parse(
        ["toy.py", "--size=4", "--rate=0.5", "--kind=a", "--nouse_bias", "--words=a"], values
    )
    assert flags.given([ModelConfig, ToyConfig], values) == ["use_bias", "size", "words"]
    assert flags.given([ModelConfig], values) == ["use_bias"]


def test_flagfiles_are_named_in_both_forms():
    assert flags.flagfiles(["train.py", "--flagfile=a.cfg", "--x=1", "--flagfile", "b.cfg"]) == [
        "a.cfg",
        "b.cfg",
    ]
    assert flags.flagfiles(["train.py", "-flagfile=c=d.cfg", "-flagfile", "e.cfg"]) == [
        "c=d.cfg",
        "e.cfg",
    ]
    assert flags.flagfiles(["--flagfile", "--x=--flagfile"]) == [] and flags.flagfiles(
        ["train.py", "--flagfile"]
    ) == [""]


def test_a_flagfile_counts_where_it_stands_and_includes_from_its_own_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.cfg").write_text("--size=5\n--name=inner\n")
    (tmp_path / "a.cfg").write_text(
        "# comment\n// comment\n\n--flagfile=inner/b.cfg\n  --name=größer  \n--loud\n",
        encoding="utf-8",
    )
    assert toy(f"--flagfile={tmp_path}/a.cfg") == ToyConfig(size=5, name="größer", loud=True)
    assert toy("--size=1", "--flagfile", f"{tmp_path}/a.cfg", "--noloud") == ToyConfig(
        size=5, name="größer"
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("--size=1\n--siz=2\n", "{}:2: unknown flag --siz. Did you mean --size?"),
        (
            "\n\n--size=x\n",
            "{}:3: flag --size=x: expected a whole number, written with digits only.",
        ),
        ("--size 2\n", "{}:1: a line must be --name=value. Received: '--size 2'."),
        ("size=2\n", "{}:1: a line must be --name=value. Received: 'size=2'."),
        (
            "--flagfile=a.cfg\n",
            "{}:1: a flagfile must not include itself. Received: {}. Remove the line.",
        ),
        # The first of two that are alike but for the mistake; one whose text is in the other's
        # message; a switch; half a flag.
        (
            "--size=1x\n--size=1\n",
            "{}:1: flag --size=1x: expected a whole number, written with digits only.",
        ),
        (
            "--size=1\n--size=1x\n--size=1\n",
            "{}:2: flag --size=1x: expected a whole number, written with digits only.",
        ),
        (
            "--size=x\n--name=x\n",
            "{}:1: flag --size=x: expected a whole number, written with digits only.",
        ),
        ("--loud\n--loud=x\n--loud\n", "{}:2: flag --loud=x: expected true or false."),
        ("--noloud\n--noloud=x\n--noloud\n", "{}:2: --noloud=x does not take an argument."),
        ("--loud\n--siz=1\n--size=x\n", "{}:2: unknown flag --siz. Did you mean --size?"),
        ("--size=1\n--name\n--loud\n", "{}:2: Missing value for flag --name."),
        ("--size=1\n--\n--loud\n", "{}:2: a line must be --name=value. Received: '--'."),
        ("--size=1\n--=3\n", "{}:2: a line must be --name=value. Received: '--=3'."),
        ("--size=1\n-loud\n", "{}:2: a line must be --name=value. Received: '-loud'."),
        ("--loud\n--flagfile\n", "{}:2: --flagfile needs a file. Write --flagfile=FILE."),
        (
            "# --siz=1\n//\n--flagfile=/no/x\n",
            "{}:3: --flagfile must name a readable text file. Received: /no/x (No such file or "
            "directory).",
        ),
    ],
)
def test_a_mistake_in_a_flagfile_is_located(tmp_path, text, message):
    path = tmp_path / "a.cfg"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        toy(f"--flagfile={path}")
    assert str(error.value) == message.format(path, path)


def test_a_mistake_is_where_it_was_made_whatever_stands_beside_it(tmp_path):
    (tmp_path / "a.cfg").write_text("--size=1\n--flagfile=b.cfg\n--kind=b\n")
    (tmp_path / "b.cfg").write_text("--loud\n--size=1x\n")
    expected = "flag --size=1x: expected a whole number, written with digits only."
    with pytest.raises(ConfigError, match=f"^{tmp_path}/b.cfg:2: {expected}$"):
        toy("--size", "1", f"--flagfile={tmp_path}/a.cfg", "--size=1")
    # Of the command line there is no place to tell, though a line of the file reads the same.
    (tmp_path / "b.cfg").write_text("--size=1\n")
    for arguments in (["--size=1x"], ["--size", "1x"]):
        with pytest.raises(ConfigError, match=f"^{expected}$"):
            toy(f"--flagfile={tmp_path}/a.cfg", *arguments)
        with pytest.raises(ConfigError, match=f"^{expected}$"):
            toy(*arguments, f"--flagfile={tmp_path}/a.cfg")
    with pytest.raises(ConfigError, match="^unknown flag --siz. "):
        toy(f"--flagfile={tmp_path}/a.cfg", "--siz=1")


def test_two_flagfiles_that_include_each_other_are_refused_and_one_file_twice_is_not(tmp_path):
    (tmp_path / "a.cfg").write_text("--flagfile=inner/b.cfg\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.cfg").write_text("--size=5\n--flagfile=../a.cfg\n")
    with pytest.raises(ConfigError) as error:
        toy(f"--flagfile={tmp_path}/a.cfg")
    assert str(error.value) == (
        f"{tmp_path}/inner/b.cfg:2: a flagfile must not include itself. Received: "
        f"{tmp_path}/a.cfg. Remove the line."
    )
    # Neither the first of a chain nor the last need be the one.
    (tmp_path / "inner" / "b.cfg").write_text("--flagfile=c.cfg\n")
    (tmp_path / "inner" / "c.cfg").write_text("--flagfile=b.cfg\n")
    with pytest.raises(ConfigError, match="inner/c.cfg:1: .* Received: .*/inner/b.cfg. Remove"):
        toy(f"--flagfile={tmp_path}/a.cfg")
    (tmp_path / "inner" / "b.cfg").write_text("--size=5\n")
    (tmp_path / "a.cfg").write_text("--flagfile=inner/b.cfg\n--size=6\n--flagfile=inner/b.cfg\n")
    assert toy(f"--flagfile={tmp_path}/a.cfg") == ToyConfig(size=5)


def test_what_kind_of_file_a_flagfile_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.cfg").write_bytes("\ufeff--name=größer\r\n--loud\r\n".encode())
    assert (
        toy("--flagfile=~/a.cfg")
        == toy("-flagfile", "~/a.cfg")
        == ToyConfig(name="größer", loud=True)
    )
    monkeypatch.chdir(tmp_path)
    assert toy("--flagfile=a.cfg") == ToyConfig(name="größer", loud=True)
    (tmp_path / "a.cfg").write_bytes(b"--name=\xff\n")
    with pytest.raises(ConfigError, match=r"Received: a.cfg \(it is not UTF-8\)"):
        toy("--flagfile=a.cfg")
    with pytest.raises(ConfigError, match=r"Received: . \(Is a directory\)"):
        toy("--flagfile=.")


def test_a_written_flagfile_is_literal_and_gives_the_same_values(tmp_path):
    config = ToyConfig(
        size=-4, rate=1e-9, loud=True, name="# x = y", kind="b", words=("a,b", '"', "ü", "#")
    )
    flags.write_flagfile([config], tmp_path / "run.cfg", header="first\nsecond")
    assert (tmp_path / "run.cfg").read_text(encoding="utf-8") == (
        "# first\n# second\n\n# toy\n--size=-4\n--rate=1e-09\n--loud=True\n--name=# x = y\n"
        "--kind=b\n"
        '--words="a,b","""",ü,#\n'
    )
    assert toy(f"--flagfile={tmp_path}/run.cfg") == config
    flags.write_flagfile([ToyConfig(), ToyConfig()], tmp_path / "run.cfg")
    half = "# toy\n--size=3\n--rate=0.5\n--loud=False\n--name=\n--kind=a\n--words=\n"
    assert (tmp_path / "run.cfg").read_text() == f"{half}\n{half}"
    flags.write_flagfile([], tmp_path / "run.cfg", header="one\n\ntwo")
    assert (tmp_path / "run.cfg").read_text() == "# one\n#\n# two\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run.cfg"]


def test_every_config_survives_its_flagfile_with_and_without_defaults(tmp_path):
    configs = [
        ModelConfig(d_model=66, num_heads=3, dropout=1 / 3, use_bias=False),
        TokenizerConfig(user_symbols=("<a>",)),
        TrainingConfig(learning_rate=0.1 + 0.2),
        DecodingConfig(),
    ]
    flags.write_flagfile(configs, tmp_path / "run.cfg")
    values = absl_flags.FlagValues()
    flags.define(*ALL, flag_values=values)
    flags.parse(["train.py", f"--flagfile={tmp_path}/run.cfg"], values)
    assert [flags.read(config, values) for config in ALL] == configs


@pytest.mark.parametrize(
    "config",
    [
        ToyConfig(name="two\nlines"),
        ToyConfig(name="end "),
        ToyConfig(name=" start"),
        ToyConfig(words=(" a", "b")),
        ToyConfig(size=None),
        ToyConfig(name="\u2028"),
        ToyConfig(rate=float("inf")),
        ToyConfig(name="\udcff"),
        ToyConfig(name="end\r"),
    ],
)
def test_what_no_line_can_hold_is_refused_and_nothing_is_written(tmp_path, config):
    with pytest.raises(ConfigError, match="must fit one line"):
        flags.write_flagfile([config], tmp_path / "run.cfg")
    assert not list(tmp_path.iterdir())


# Between them the signs that mean something to flagfiles, CSV, Python or a line's end.
TEXT = strategies.text(
    strategies.one_of(
        strategies.sampled_from(",\"'#=/\\-~ \t\n\r\x1f\u2028\xa0\ufeffaé中😀"),
        strategies.characters(exclude_characters="\0"),
    ),
    max_size=6,
)


def values_of(field):
    """A strategy of values that a field's own rule allows."""
    rule, kind = field.metadata, type(field.default)
    if rule["choices"]:
        return strategies.sampled_from(rule["choices"])
    if kind is int:
        return strategies.integers(rule["minimum"], rule["maximum"])
    if kind is float:
        return strategies.floats(
            rule["minimum"], rule["maximum"], allow_nan=False, allow_infinity=False
        )
    return {
        bool: strategies.booleans(),
        str: TEXT,
        tuple: strategies.lists(TEXT, max_size=3).map(tuple),
    }[kind]


def fits_a_line(value):
    """What a flagfile promises to keep, said without its code."""
    texts = value if isinstance(value, tuple) else (value,)
    line_ends = re.compile("[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
    half_characters = re.compile("[\ud800-\udfff]")
    return not any(
        text != text.strip() or line_ends.search(text) or half_characters.search(text)
        for text in texts
        if isinstance(text, str)
    )


@pytest.mark.parametrize(
    "kind", [ToyConfig, *ALL, FinetuningConfig, TaskConfig, DataConfig, LabelledDataConfig]
)
@hypothesis.settings(max_examples=40)
@hypothesis.given(data=strategies.data())
def test_whatever_an_option_may_be_comes_back_from_a_flagfile_or_is_refused(
    kind, data, tmp_path_factory
):
    config, fields = kind(), [field for field in dataclasses.fields(kind) if field.metadata["flag"]]
    for field in fields:
        try:
            config = dataclasses.replace(
                config, **{field.name: data.draw(values_of(field), field.name)}
            )
        except ConfigError:  # it does not go with the others
            continue
    path = tmp_path_factory.getbasetemp() / "any.cfg"
    if not all(fits_a_line(getattr(config, field.name)) for field in fields):
        with pytest.raises(ConfigError, match="must fit one line of a flagfile"):
            flags.write_flagfile([config], path)
        return
    flags.write_flagfile([config], path)
    values = absl_flags.FlagValues()
    flags.define(kind, flag_values=values)
    flags.parse(["any.py", f"--flagfile={path}"], values)
    assert flags.read(kind, values) == config


def test_one_name_in_two_dataclasses_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Other:
        size: int = option(1, "again")

    with pytest.raises(ValueError, match="Received: size of Other"):
        flags.define(ToyConfig, Other, flag_values=absl_flags.FlagValues())


def test_a_default_of_another_type_is_no_flag():
    @dataclasses.dataclass(frozen=True)
    class Other:
        size: object = option(None, "no size")

    with pytest.raises(
        TypeError, match="must be bool, int, float, str or tuple. Received: .*name='size'"
    ):
        flags.define(Other, flag_values=absl_flags.FlagValues())


def define_more(values):
    absl_flags.DEFINE_string("run", "x", "name of the run", flag_values=values)
    absl_flags.DEFINE_enum("pace", "slow", ["slow", "fast"], "how soon", flag_values=values)


def test_help_is_grouped_one_line_a_flag(capsys):
    code = flags.main(
        None, (ToyConfig,), "Play.", define_more, argv=["/bin/toy.py", "--size=x", "--help"]
    )
    assert code == 0
    assert (
        capsys.readouterr().out
        == """\
usage: python toy.py [--name=value ...]

Play.

  --flagfile=FILE  read flags from FILE, one a line; a later argument wins

program:
  --run=x          name of the run
  --pace=slow      how soon (slow|fast)

toy:
  --size=3         how many
  --rate=0.5       how fast
  --loud=False     how loud
  --name=          what it is called
  --kind=a         which (a|b)
  --words=         some words
"""
    )


@pytest.mark.parametrize("wish", ["--help", "-h", "-help"])
def test_help_of_the_model_and_of_labelled_data(wish, capsys):
    @dataclasses.dataclass(frozen=True)
    class LabelledToyConfig:
        words: tuple = option(("a", "b,c"), "some words")

    assert flags.main(None, (ModelConfig, LabelledToyConfig), " Play. ", argv=["toy.py", wish]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["usage: python toy.py [--name=value ...]", "", "Play."]
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["model:", "labelled toy:"] and lines[lines.index("labelled toy:") - 1] == ""
    options = {
        line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.startswith("  --")
    }
    assert (
        options["--preset="]
        == "sizes of the model: stands for the flags of these sizes (tiny|small|base|big)"
    )
    assert options["--norm=post"] == "where a residual block normalizes (pre|post)"
    assert options['--words=a,"b,c"'] == "some words" and not [
        name for name in options if "vocab_size" in name
    ]


def test_main_gives_run_its_configs_and_flags():
    calls = []

    def run(*arguments):
        calls.append(arguments)

    argv = ["toy.py", "--size=4", "--run=y", "--train_steps=9"]
    assert flags.main(run, (ToyConfig, TrainingConfig), "", define_more, argv=argv) == 0
    ((config, training, values),) = calls
    assert (config, training.train_steps, values.run) == (ToyConfig(size=4), 9, "y")


def test_main_turns_a_users_error_into_one_line_and_code_2(capsys):
    class Bad(ValueError):
        pass

    def fail(error):
        def run(*_):
            raise error

        return run

    assert flags.main(fail(Bad("bad line 3")), (ToyConfig,), user_errors=(Bad,), argv=["t"]) == 2
    assert flags.main(fail(ConfigError("wrong")), (ToyConfig,), user_errors=(Bad,), argv=["t"]) == 2
    assert flags.main(None, (TrainingConfig,), argv=["t", "--train_step=3"]) == 2
    assert flags.main(None, (TrainingConfig,), argv=["t", "--train_steps=0"]) == 2
    assert capsys.readouterr() == (
        "",
        "error: bad line 3\nerror: wrong\n"
        "error: unknown flag --train_step. Did you mean --train_steps?\n"
        "error: train_steps must be at least 1. Received: 0.\n",
    )
    with pytest.raises(ZeroDivisionError):  # a programmer's error keeps its traceback
        flags.main(fail(ZeroDivisionError()), (ToyConfig,), argv=["t"])


def test_main_returns_the_code_of_run_and_130_for_ctrl_c(capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    assert flags.main(lambda *_: 1, (ToyConfig,), argv=["t"]) == 1
    assert flags.main(lambda *_: "done", (ToyConfig,), argv=["t"]) == 0
    assert flags.main(interrupt, (ToyConfig,), argv=["t"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_main_reads_the_command_line_unless_told(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["toy.py", "--size=6"])
    assert flags.main(lambda config, _: config.size, (ToyConfig,)) == 6


@pytest.mark.parametrize("count", [1, 100_000])
def test_a_reader_of_the_output_who_has_gone_is_no_error(count):
    """`python toy.py | head -1`: the code is that of SIGPIPE, and nothing is said.

    A short text waits in Python until the end, unless that is told to keep nothing back.
    """
    program = (
        "import sys\nfrom transformer.cli import flags\n"
        f"sys.exit(flags.main(lambda _: print('x' * {count}), (), argv=['t']))\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": ""},
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "arguments, expected, out, err",
    [
        (["run", "--x"], 7, "", ""),
        (["stop"], 7, "", ""),
        (["--help"], 0, "How to use it.\n", ""),
        (["-h"], 0, "How to use it.\n", ""),
        (["help", "run"], 0, "How to use it.\n", ""),
        ([], 2, "", "error: a command is needed: run, stop.\n\nHow to use it.\n"),
        (["ru"], 2, "", "error: a command is needed: run, stop.\n\nHow to use it.\n"),
    ],
)
def test_a_command_is_run_by_its_name(arguments, expected, out, err, capsys):
    calls = []

    def run(name, rest):
        calls.append((name, rest))
        return 7

    text = "\nHow to use it.\n"
    assert flags.run_command(["program.py", *arguments], ("run", "stop"), text, run) == expected
    assert calls == ([(arguments[0], arguments[1:])] if expected == 7 else [])
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize("end", ["", "raise ImportError('no backend')\n"])
def test_keras_is_imported_in_silence_and_errors_are_heard_again(end, tmp_path, monkeypatch, capfd):
    """With a stand-in for Keras that greets, as its backend does."""
    greeting = (
        "import os\nos.write(2, b'Welcome.')\n"
        "os.environ['GREETED_AT'] = os.environ['TF_CPP_MIN_LOG_LEVEL']\n"
    )
    (tmp_path / "keras.py").write_text(greeting + end)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "keras", None)  # so that the real one is back afterwards
    del sys.modules["keras"]
    monkeypatch.setenv("GREETED_AT", "")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    opened = len(os.listdir("/proc/self/fd"))
    for level in ("3", "1"):  # what the user has set counts
        if end:
            with pytest.raises(ImportError, match="no backend"):
                flags.import_keras()
        else:
            flags.import_keras()
        assert os.environ["GREETED_AT"] == level
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
        sys.modules.pop("keras", None)
    assert len(os.listdir("/proc/self/fd")) == opened
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_a_disk_that_is_full_is_no_traceback(capsys):
    def fail(number):
        def run(*_):
            raise OSError(number, os.strerror(number), "x.json")

        return run

    for number in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EFBIG):
        assert flags.main(fail(number), (ToyConfig,), argv=["t"]) == 2
        assert (
            f"{os.strerror(number)}: 'x.json'. Make room and run the same command again."
            in capsys.readouterr().err
        )
    with pytest.raises(FileNotFoundError):  # a bug
        flags.main(fail(errno.ENOENT), (ToyConfig,), argv=["t"])


def test_sigterm_ends_the_program_as_an_error_does():
    ended = []

    def run(*_):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            ended.append(True)

    with pytest.raises(SystemExit) as error:
        flags.main(run, (ToyConfig,), argv=["t"])
    assert ended == [True] and error.value.code == 143
