"""Dataclasses as flags: parsing, precedence, flagfiles, and the messages for a user's mistakes."""

import dataclasses
import errno
import os
import signal

import pytest
from absl import flags as absl_flags

from transformer import flags
from transformer.config import ConfigError, DecodingConfig, ModelConfig, TokenizerConfig, TrainingConfig, option

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


@pytest.mark.parametrize("arguments, expected", [
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
])
def test_each_type_is_parsed(arguments, expected):
    result = toy(*arguments)
    assert result == expected
    assert [type(value) for value in dataclasses.astuple(result)] == [int, float, bool, str, str, tuple]


@pytest.mark.parametrize("arguments, message", [
    (["--sizes=3"], "unknown flag --sizes. Did you mean --size?"),
    (["--nolod"], "unknown flag --nolod. Did you mean --noloud?"),
    (["--qqqq=3"], "unknown flag --qqqq. See --help."),
    (["--size=1e3"], "flag --size=1e3: expected a whole number, written with digits only."),
    (["--size="], "flag --size=: expected a whole number, written with digits only."),
    (["--rate=fast"], "flag --rate=fast: expected a number, such as 0.1 or 1e-3."),
    (["--rate=nan"], "flag --rate=nan: expected a finite number."),
    (["--loud=maybe"], "flag --loud=maybe: expected true or false."),
    (["--kind=c"], "flag --kind=c: value should be one of <a|b>."),
    (["--size"], "Missing value for flag --size."),
    ([""], "every argument must be a flag. Received: ''. Write --name=value."),
    (["--size=x", ""], "flag --size=x: expected a whole number, written with digits only."),
    (["--loud", "true"], "every argument must be a flag. Received: 'true'. Write --name=value."),
    (["--", "--size=3"], "every argument must be a flag. Received: '--size=3'. Write --name=value."),
    (["--flagfile"], "--flagfile needs a file. Write --flagfile=FILE."),
    (["--flagfile=/no/x"], "--flagfile must name a readable text file. Received: /no/x (No such file or directory)."),
])
def test_a_mistake_is_named(arguments, message):
    with pytest.raises(ConfigError) as error:
        toy(*arguments)
    assert str(error.value) == message


def test_a_preset_counts_where_it_stands(tmp_path):
    big = dict(d_model=1024, num_heads=16, num_layers=6, ffn_dim=4096, dropout=0.3)
    assert model("--preset=big") == model("--preset", "big") == ModelConfig(**big)
    assert model("--preset=big", "--num_heads=8", "--dropout=0.1") == ModelConfig(**{**big, "num_heads": 8, "dropout": 0.1})
    (tmp_path / "a.cfg").write_text("--preset=tiny\n--num_layers=5\n")
    assert model(f"--flagfile={tmp_path}/a.cfg") == ModelConfig(d_model=128, num_heads=4, num_layers=5, ffn_dim=256)
    assert model(f"--flagfile={tmp_path}/a.cfg", "--preset=big") == ModelConfig(**big)


def test_flagfiles_are_named_in_both_forms():
    assert flags.flagfiles(["train.py", "--flagfile=a.cfg", "--x=1", "--flagfile", "b.cfg"]) == ["a.cfg", "b.cfg"]
    assert flags.flagfiles(["train.py", "--x=--flagfile"]) == []


def test_a_flagfile_counts_where_it_stands_and_includes_from_its_own_folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.cfg").write_text("--size=5\n--name=inner\n")
    (tmp_path / "a.cfg").write_text("# comment\n// comment\n\n--flagfile=inner/b.cfg\n  --name=größer  \n--loud\n",
                                    encoding="utf-8")
    assert toy(f"--flagfile={tmp_path}/a.cfg") == ToyConfig(size=5, name="größer", loud=True)
    assert toy("--size=1", "--flagfile", f"{tmp_path}/a.cfg", "--noloud") == ToyConfig(size=5, name="größer")


@pytest.mark.parametrize("text, message", [
    ("--size=1\n--siz=2\n", "{}:2: unknown flag --siz. Did you mean --size?"),
    ("\n\n--size=x\n", "{}:3: flag --size=x: expected a whole number, written with digits only."),
    ("--size 2\n", "{}:1: a line must be --name=value. Received: '--size 2'."),
    ("size=2\n", "{}:1: a line must be --name=value. Received: 'size=2'."),
    ("--flagfile=a.cfg\n", "{}:1: a flagfile must not include itself. Received: {}. Remove the line."),
])
def test_a_mistake_in_a_flagfile_is_located(tmp_path, text, message):
    path = tmp_path / "a.cfg"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        toy(f"--flagfile={path}")
    assert str(error.value) == message.format(path, path)


def test_a_written_flagfile_is_literal_and_gives_the_same_values(tmp_path):
    config = ToyConfig(size=-4, rate=1e-9, loud=True, name="# x = y", kind="b", words=("a,b", '"', "ü", "#"))
    flags.write_flagfile([config], tmp_path / "run.cfg", header="first\nsecond")
    assert (tmp_path / "run.cfg").read_text(encoding="utf-8") == (
        "# first\n# second\n\n# toy\n--size=-4\n--rate=1e-09\n--loud=True\n--name=# x = y\n--kind=b\n"
        '--words="a,b","""",ü,#\n'
    )
    assert toy(f"--flagfile={tmp_path}/run.cfg") == config
    assert [path.name for path in tmp_path.iterdir()] == ["run.cfg"]


def test_every_config_survives_its_flagfile_with_and_without_defaults(tmp_path):
    configs = [ModelConfig(d_model=66, num_heads=3, dropout=1 / 3, use_bias=False),
               TokenizerConfig(user_symbols=("<a>",)), TrainingConfig(learning_rate=0.1 + 0.2), DecodingConfig()]
    flags.write_flagfile(configs, tmp_path / "run.cfg")
    values = absl_flags.FlagValues()
    flags.define(*ALL, flag_values=values)
    flags.parse(["train.py", f"--flagfile={tmp_path}/run.cfg"], values)
    assert [flags.read(config, values) for config in ALL] == configs


@pytest.mark.parametrize("config", [ToyConfig(name="two\nlines"), ToyConfig(name="end "), ToyConfig(name=" start"),
                                    ToyConfig(words=(" a", "b")), ToyConfig(size=None), ToyConfig(name="\u2028")])
def test_what_no_line_can_hold_is_refused_and_nothing_is_written(tmp_path, config):
    with pytest.raises(ConfigError, match="must fit one line"):
        flags.write_flagfile([config], tmp_path / "run.cfg")
    assert not list(tmp_path.iterdir())


def test_one_name_in_two_dataclasses_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Other:
        size: int = option(1, "again")

    with pytest.raises(ValueError, match="Received: size of Other"):
        flags.define(ToyConfig, Other, flag_values=absl_flags.FlagValues())


def define_more(values):
    absl_flags.DEFINE_string("run", "x", "name of the run", flag_values=values)
    absl_flags.DEFINE_enum("pace", "slow", ["slow", "fast"], "how soon", flag_values=values)


def test_help_is_grouped_one_line_a_flag(capsys):
    code = flags.main(None, (ToyConfig,), "Play.", define_more, argv=["/bin/toy.py", "--size=x", "--help"])
    assert code == 0
    assert capsys.readouterr().out == """\
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


def test_main_gives_run_its_configs_and_flags():
    calls = []

    def run(*arguments):
        calls.append(arguments)

    argv = ["toy.py", "--size=4", "--run=y", "--train_steps=9"]
    assert flags.main(run, (ToyConfig, TrainingConfig), "", define_more, argv=argv) == 0
    (config, training, values), = calls
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
    assert capsys.readouterr() == ("", "error: bad line 3\nerror: wrong\n"
                                       "error: unknown flag --train_step. Did you mean --train_steps?\n"
                                       "error: train_steps must be at least 1. Received: 0.\n")
    with pytest.raises(ZeroDivisionError):  # a programmer's error keeps its traceback
        flags.main(fail(ZeroDivisionError()), (ToyConfig,), argv=["t"])


def test_main_returns_the_code_of_run_and_130_for_ctrl_c():
    def interrupt(*_):
        raise KeyboardInterrupt

    assert flags.main(lambda *_: 1, (ToyConfig,), argv=["t"]) == 1
    assert flags.main(interrupt, (ToyConfig,), argv=["t"]) == 130


def test_a_disk_that_is_full_is_no_traceback(capsys):
    def fail(number):
        def run(*_):
            raise OSError(number, os.strerror(number), "x.json")

        return run

    for number in (errno.ENOSPC, errno.EROFS):
        assert flags.main(fail(number), (ToyConfig,), argv=["t"]) == 2
        assert f"{os.strerror(number)}: 'x.json'. Make room and run the same command again." in capsys.readouterr().err
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
