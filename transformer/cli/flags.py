"""Command-line flags from dataclasses, with absl.

    def run(model, training, flag_values):
        import keras  # heavy imports go here, so that --help and a misspelt flag answer at once

    sys.exit(main(run, configs=(ModelConfig, TrainingConfig), description="Train a Transformer."))

Each field of a dataclass becomes one flag with the same name, type, default and help. The flags
live in a private `absl.flags.FlagValues`, so the flags of absl and TensorFlow do not appear among
them.
"""

import dataclasses
import difflib
import errno
import math
import os
import re
import signal
import sys

from absl import flags

from transformer.config import PRESETS, ConfigError, ModelConfig
from transformer.files import write_text


class _WholeNumber(flags.ArgumentParser):
    """Parses an int. absl's own error message is Python's "invalid literal for int()"."""

    def parse(self, argument):
        try:
            return int(argument)
        except ValueError:
            raise ValueError("expected a whole number, written with digits only.") from None


class _Number(flags.ArgumentParser):
    """Parses a finite float. NaN would pass every comparison with a minimum or maximum."""

    def parse(self, argument):
        try:
            number = float(argument)
        except ValueError:
            raise ValueError("expected a number, such as 0.1 or 1e-3.") from None
        if not math.isfinite(number):
            raise ValueError("expected a finite number.")
        return number


class _Switch(flags.BooleanParser):
    """Parses a bool, with an error message that names the allowed values."""

    def parse(self, argument):
        try:
            return super().parse(argument)
        except ValueError:
            raise ValueError("expected true or false.") from None


class _Words(flags.ListParser):
    """Parses comma-separated text to a tuple of str. Double quotes protect a word with a comma."""

    def parse(self, argument):
        return argument if isinstance(argument, tuple) else tuple(super().parse(argument))


_PARSERS = {
    bool: _Switch,
    int: _WholeNumber,
    float: _Number,
    tuple: _Words,
    str: flags.ArgumentParser,
}


def _flag(field):
    """Returns the absl flag of one dataclass field."""
    kind = type(field.default)
    if kind not in _PARSERS:
        raise TypeError(
            f"a flag's default must be bool, int, float, str or tuple. Received: {field!r}."
        )
    choices = field.metadata.get("choices")
    parser = flags.EnumParser(list(choices)) if choices else _PARSERS[kind]()
    serializer = flags.CsvListSerializer(",") if kind is tuple else flags.ArgumentSerializer()
    return flags.Flag(
        parser,
        serializer,
        field.name,
        field.default,
        field.metadata.get("help") or "",
        boolean=kind is bool,
    )


def _fields(config):
    """Returns the fields of a dataclass that are flags."""
    return [field for field in dataclasses.fields(config) if field.metadata.get("flag", True)]


def _heading(config):
    """Returns the heading of a dataclass in --help: `LabelledDataConfig` -> "labelled data"."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", config.__name__.removesuffix("Config")).lower()


def define(*configs, flag_values):
    """Defines one flag for each field of each dataclass, and `--preset` with `ModelConfig`.

    Args:
        *configs: dataclasses whose fields are made with `transformer.config.option`.
        flag_values: the absl `FlagValues` to which the flags are added.

    Raises:
        ValueError: if two flags have the same name.
        TypeError: if the default of a field has a type that a flag cannot have.
    """
    for config in configs:
        if config is ModelConfig:
            preset = flags.Flag(
                flags.EnumParser(list(PRESETS)),
                flags.ArgumentSerializer(),
                "preset",
                None,
                "sizes of the model: stands for the flags of these sizes",
            )
            flags.DEFINE_flag(preset, flag_values, module_name=_heading(config))
        for field in _fields(config):
            if field.name in flag_values:
                raise ValueError(
                    f"a flag's name must be free. Received: {field.name} of {config.__name__}. "
                    f"Rename it."
                )
            flags.DEFINE_flag(_flag(field), flag_values, module_name=_heading(config))


def read(config, flag_values):
    """Creates an instance of a dataclass from the values of the flags.

    Args:
        config: the dataclass.
        flag_values: the absl `FlagValues` with its flags.

    Returns:
        An instance of `config`.

    Raises:
        ConfigError: if the dataclass rejects a value.
    """
    return config(**{field.name: flag_values[field.name].value for field in _fields(config)})


def given(configs, flag_values):
    """Returns the names of the flags whose value differs from their default.

    Args:
        configs: dataclasses whose flags are checked.
        flag_values: the absl `FlagValues` with their flags.

    Returns:
        list of str.
    """
    names = [field.name for config in configs for field in _fields(config)]
    return [name for name in names if flag_values[name].value != flag_values[name].default]


def parse(argv, flag_values):
    """Sets flags from command-line arguments.

    A later argument overrides an earlier one. The lines of a flagfile and the sizes of a preset
    count at the position of `--flagfile` and `--preset`.

    Args:
        argv: the program's name and its arguments: `--name=value`, `--name value`, `--switch`,
            `--noswitch`, `--flagfile=FILE`. A flagfile has one `--name=value` per line. Lines that
            start with # or // are comments. A path in a nested `--flagfile` is relative to the
            folder of the flagfile that names it.
        flag_values: the absl `FlagValues`, changed in place.

    Raises:
        ConfigError: if a flag is unknown (the message names the nearest known one), a value has the
            wrong type, an argument is not a flag, or a flagfile cannot be read.
    """
    # absl treats flags as parsed only after a call, and there may be no arguments.
    flag_values([argv[0]])
    arguments = _expand(argv[1:])
    while arguments:
        # Parse one argument at a time, so that an error can be attributed to it.
        argument, where = arguments.pop(0)
        taken = [argument]
        if argument == "--":
            taken += [following for following, _ in arguments]
        elif not where and arguments and _wants_value(argument, flag_values):
            taken.append(arguments.pop(0)[0])
        try:
            rest = flag_values([argv[0], *taken])[1:]
        except flags.UnrecognizedFlagError as error:
            raise ConfigError(
                f"{where}unknown flag --{error.flagname}.{_nearest(error.flagname, flag_values)}"
            ) from None
        except (flags.Error, ValueError) as error:
            raise ConfigError(f"{where}{str(error).rstrip('.')}.") from None
        if rest:
            raise ConfigError(
                f"{where}every argument must be a flag. Received: {rest[0]!r}. Write --name=value."
            )


def _wants_value(argument, flag_values):
    """Returns whether an argument is the first half of `--name value`."""
    name = argument.removeprefix("-").removeprefix("-")
    return argument.startswith("-") and name in flag_values and not flag_values[name].boolean


def _expand(arguments, folder="", parents=()):
    """Expands flagfiles and presets.

    Each `--flagfile` is replaced by the lines of the file. Each `--preset` is followed by its
    sizes.

    Args:
        arguments: list of str, or of (argument, place) as returned.
        folder: folder to which the paths of flagfiles are relative.
        parents: paths of the flagfiles being read, to detect one that includes itself.

    Returns:
        list of (argument, place). The place is "FILE:LINE: " or "".
    """
    expanded, arguments = [], list(arguments)
    while arguments:
        argument = arguments.pop(0)
        argument, where = argument if isinstance(argument, tuple) else (argument, "")
        name, equals, value = argument.partition("=")
        if name not in ("--flagfile", "-flagfile", "--preset", "-preset"):
            expanded.append((argument, where))
            continue
        if not equals and not where and arguments:
            value = arguments.pop(0)
        if name.endswith("preset"):
            sizes = PRESETS.get(value, {}).items()
            expanded += [
                (f"--preset={value}", where),
                *((f"--{field}={size}", where) for field, size in sizes),
            ]
            continue
        if not value:
            raise ConfigError(f"{where}--flagfile needs a file. Write --flagfile=FILE.")
        path = os.path.normpath(os.path.join(folder, os.path.expanduser(value)))
        if path in parents:
            raise ConfigError(
                f"{where}a flagfile must not include itself. Received: {path}. Remove the line."
            )
        expanded += _expand(_flagfile_lines(path, where), os.path.dirname(path), (*parents, path))
    return expanded


def flagfiles(argv):
    """Returns the paths of the flagfiles among the arguments, in order.

    Args:
        argv: the program's name and its arguments.

    Returns:
        list of str.
    """
    pairs = [
        (*argument.partition("="), following)
        for argument, following in zip(argv[1:], [*argv[2:], ""])
    ]
    return [
        path if equals else following
        for name, equals, path, following in pairs
        if name in ("--flagfile", "-flagfile")
    ]


def _flagfile_lines(path, where):
    """Returns (argument, "FILE:LINE: ") of each argument in a flagfile."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(
            f"{where}--flagfile must name a readable text file. Received: {path} ({reason})."
        ) from None
    found = [
        (line, f"{path}:{number}: ")
        for number, line in enumerate(lines, 1)
        if line and not line.startswith(("#", "//"))
    ]
    for line, place in found:
        if not re.match(r"--[^\s=]+(=|$)", line):
            raise ConfigError(f"{place}a line must be --name=value. Received: {line!r}.")
    return found


def _nearest(name, flag_values):
    known = [
        *flag_values,
        "flagfile",
        *(f"no{known}" for known in flag_values if flag_values[known].boolean),
    ]
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
    return f" Did you mean --{near[0]}?" if near else " See --help."


def write_flagfile(configs, path, header=""):
    """Writes a flagfile from which `parse` and `read` recreate equal instances.

    Args:
        configs: dataclass instances. Every field is written, including those at their default.
        path: path of the file, which is replaced atomically.
        header: text for comments at the top.

    Raises:
        ConfigError: if a value cannot be written as one line of text: it has a line break, spaces
            at an end, or is not UTF-8.
    """
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    for config in configs:
        lines += ["", f"# {_heading(type(config))}"]
        lines += [_line(field, getattr(config, field.name)) for field in _fields(config)]
    write_text(path, "\n".join(lines).lstrip("\n") + "\n")


def _line(field, value):
    """Returns `--name=value`, after checking that it parses back to `value`."""
    flag = _flag(field)
    text = flag.serializer.serialize(value)
    try:
        # Raises an error for surrogates, which stand for bytes of an argument that are not UTF-8.
        text.encode()
        same = len(f"{text} ".splitlines()) == 1 and flag.parser.parse(text.strip()) == value
    except ValueError:
        same = False
    if not same:
        raise ConfigError(
            f"{field.name} must fit one line of a flagfile, in UTF-8, no space at the ends. "
            f"Received: {value!r}."
        )
    return f"--{field.name}={text}"


def help_text(program, description, configs, flag_values):
    """Returns what `--help` prints.

    Each flag is one line, `--name=default help (choices)`. Flags are grouped by dataclass, with the
    program's own flags first.

    Args:
        program: file name of the program.
        description: text to print before the flags.
        configs: dataclasses whose flags form a group each.
        flag_values: the absl `FlagValues` with all flags.

    Returns:
        str.
    """
    groups = {"program": list(map(flag_values.__getitem__, flag_values))}
    for module, members in flag_values.flags_by_module_dict().items():
        if module in map(_heading, configs):
            groups[module] = members
            groups["program"] = [flag for flag in groups["program"] if flag not in members]
    rows = [("", "--flagfile=FILE", "read flags from FILE, one a line; a later argument wins")]
    rows += [(heading, *_help_row(flag)) for heading, members in groups.items() for flag in members]
    width = max(len(name) for _, name, _ in rows)
    lines, last = [f"usage: python {program} [--name=value ...]", "", description.strip()], None
    for heading, name, text in rows:
        if heading != last:
            lines += ["", f"{heading}:"] if heading else [""]
        lines.append(f"  {name:<{width}}  {text}")
        last = heading
    return "\n".join(lines)


def _help_row(flag):
    default = flag.default
    if isinstance(default, tuple):
        default = flag.serializer.serialize(default)
    choices = "|".join(getattr(flag.parser, "enum_values", []))
    # absl's DEFINE_enum puts the choices before the help. They are shown after it here.
    text = flag.help.removeprefix(f"<{choices}>: ")
    return (
        f"--{flag.name}={'' if default is None else default}",
        f"{text} ({choices})" if choices else text,
    )


def import_keras():
    """Imports Keras and its backend without TensorFlow's startup messages.

    TensorFlow writes some of them to stderr whatever its log level, so stderr is redirected.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def run_command(argv, commands, text, run):
    """Runs the command that the first argument of a program names.

    Args:
        argv: the program's name and its arguments.
        commands: names of the commands.
        text: what `--help` prints.
        run: called as run(name, arguments), with the arguments after the name.

    Returns:
        The exit code: that of `run`, 0 after `--help`, 2 if no command is named.
    """
    if len(argv) > 1 and argv[1] in commands:
        return run(argv[1], argv[2:])
    wanted_help = len(argv) > 1 and argv[1] in ("--help", "-h", "help")
    print(
        text.strip()
        if wanted_help
        else f"error: a command is needed: {', '.join(commands)}.\n\n{text.strip()}",
        file=sys.stdout if wanted_help else sys.stderr,
    )
    return 0 if wanted_help else 2


_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def main(run, configs, description="", define_more=None, user_errors=(ConfigError,), argv=None):
    """Runs a program whose options are dataclasses.

    SIGTERM raises SystemExit in the program, so that `finally` blocks and context managers clean
    up.

    Args:
        run: called as run(*instances of configs, flag_values). If it returns an int, that is the
            exit code.
        configs: dataclasses whose fields are flags.
        description: text for `--help`.
        define_more: called with the `FlagValues`, to define flags that belong to no dataclass.
        user_errors: exception types besides ConfigError that the user can fix. Only their message
            is printed.
        argv: the program's name and its arguments. None uses `sys.argv`.

    Returns:
        The exit code: 0 on success, 2 after a user error (`error: ...` on stderr) or if files
        cannot be written, 130 after Ctrl-C, 141 if the reader of stdout has closed it.
    """
    argv = sys.argv if argv is None else argv
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    flag_values = flags.FlagValues()
    if define_more:
        define_more(flag_values)
    define(*configs, flag_values=flag_values)
    try:
        if {"--help", "-h", "-help"} & set(argv[1:]):
            print(help_text(os.path.basename(argv[0]), description, configs, flag_values))
            code = 0
        else:
            parse(argv, flag_values)
            code = run(*(read(config, flag_values) for config in configs), flag_values)
        sys.stdout.flush()
    except (ConfigError, *user_errors) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    # The reader of stdout, such as `head`, has closed it.
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        print(
            f"error: there must be room to write. Received: {error}. Make room and run the same "
            f"command again.",
            file=sys.stderr,
        )
        return 2
    return code if isinstance(code, int) else 0
