"""python -m transformer COMMAND: use a trained run, or train one with several processes.

    generate    write a text for each line of stdin or --input
    evaluate    score a run on a pair of files, or on a file of examples
    export      write a run in the format of a fast inference runtime
    launch      train with several processes on this machine, restarted if one is lost

`python -m transformer COMMAND --help` lists the flags of a command.
"""

import dataclasses
import itertools
import json
import os
import pathlib
import sys

from transformer.cli.flags import import_keras, main, run_command
from transformer.cli.launch import command_line as launch
from transformer.config import ConfigError, DecodingConfig

# Number of lines that are read, decoded and written at a time, so that a long file needs little
# memory and shows progress.
GROUP = 2048


def define_generate(flag_values):
    """Defines the flags of `generate`, besides those of `DecodingConfig`.

    Args:
        flag_values: the absl `FlagValues` to which the flags are added.
    """
    from absl import flags

    flags.DEFINE_string("run", "", "folder of a finished run", flag_values=flag_values)
    flags.DEFINE_string(
        "input", "-", "file to read, one text a line; -: stdin", flag_values=flag_values
    )
    flags.DEFINE_string(
        "output", "-", "file to write, one text a line; -: stdout", flag_values=flag_values
    )
    flags.DEFINE_bool(
        "jsonl",
        False,
        'a line is a JSON object, for texts of several lines: {"source"} in, with "prediction" out',
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "scores", False, "write score TAB text, and all of --n_best", flag_values=flag_values
    )


def define_evaluate(flag_values):
    """Defines the flags of `evaluate`, besides those of `DecodingConfig`.

    Args:
        flag_values: the absl `FlagValues` to which the flags are added.
    """
    from absl import flags

    flags.DEFINE_string("run", "", "folder of a finished run", flag_values=flag_values)
    flags.DEFINE_string("source", "", "file of source texts, one a line", flag_values=flag_values)
    flags.DEFINE_string("target", "", "file of reference texts", flag_values=flag_values)
    flags.DEFINE_string(
        "examples",
        "",
        "file of both instead: .tsv, .csv, .jsonl, SQuAD's .json, bAbI's .txt; .gz too",
        flag_values=flag_values,
    )
    for side in ("source", "target"):
        flags.DEFINE_string(
            f"{side}_column", side, "of --examples, as for train.py", flag_values=flag_values
        )
    flags.DEFINE_string(
        "problems",
        "",
        "file of programming problems instead, HumanEval's or MBPP's: pass@k",
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "run_code",
        False,
        "WARNING: run what the model writes for --problems, see docs/tasks.md",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "samples",
        1,
        "programs for each problem; more than 1 need a --temperature",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "lowercase", False, "lowercase sources, outputs and references", flag_values=flag_values
    )
    flags.DEFINE_bool("json", False, "print JSON instead of a table", flag_values=flag_values)


def define_export(flag_values):
    """Defines the flags of `export`.

    Args:
        flag_values: the absl `FlagValues` to which the flags are added.
    """
    from absl import flags

    flags.DEFINE_string("run", "", "folder of a finished run", flag_values=flag_values)
    flags.DEFINE_string(
        "output",
        "",
        "folder to write; empty: FORMAT-QUANTIZATION in the run's",
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "format", "ctranslate2", ["ctranslate2"], "of the runtime", flag_values=flag_values
    )
    flags.DEFINE_enum(
        "quantization", "float32", ["float32", "int8"], "of the matrices", flag_values=flag_values
    )


def load_generator(flag_values, decoding=None):
    """Loads the Generator of --run.

    Args:
        flag_values: the parsed flags.
        decoding: a `DecodingConfig`. Its flags that were given replace the options of the run. None
            uses the options of the run.

    Returns:
        A `Generator`.

    Raises:
        ConfigError: if --run is missing or not a finished run.
    """
    if not flag_values["run"].value:
        raise ConfigError("--run must name a run folder. Received: nothing. Write --run=runs/NAME.")
    names = [field.name for field in dataclasses.fields(decoding)] if decoding else []
    given = {
        name: getattr(decoding, name) for name in names if not flag_values[name].using_default_value
    }
    import_keras()
    from transformer.generation.generator import Generator, one_core_a_batch

    one_core_a_batch()
    return Generator.from_run(flag_values["run"].value, **given)


def read_lines(path):
    """Returns the lines of a UTF-8 file.

    Lines end at line feeds only, because Unicode's other line separators are part of the text. A
    carriage return before the line feed is removed.

    Args:
        path: path of the file.

    Returns:
        list of str.

    Raises:
        ConfigError: if the file cannot be read or is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            return [line.rstrip("\n").removesuffix("\r") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"a file must be readable UTF-8 text. Received: {path!r} ({error})."
        ) from None


def open_text(path, stream, mode):
    """Opens a UTF-8 text file, or a standard stream.

    Args:
        path: path of the file, or "-" for the stream.
        stream: file descriptor of the stream, 0 for stdin or 1 for stdout.
        mode: "r" or "w".

    Returns:
        A text file object. Closing it leaves the stream open.

    Raises:
        ConfigError: if the file cannot be opened.
    """
    # Bytes that are not UTF-8 become U+FFFD, so that no line is lost.
    options = dict(encoding="utf-8-sig" if mode == "r" else "utf-8", errors="replace", newline="\n")
    try:
        return (
            open(stream, mode, closefd=False, **options)
            if path == "-"
            else open(path, mode, **options)
        )
    except OSError as error:
        verb = "read" if mode == "r" else "written"
        raise ConfigError(
            f"a file must be there to be {verb}. Received: {path!r} ({error.strerror})."
        ) from None


def generate(decoding, flag_values):
    """Writes one line for each line of --input, in the same order.

    Decoding flags that are not given are taken from the run. A line break within an output becomes
    a space, unless --jsonl is given.
    """
    target, with_scores, as_json = (
        flag_values[name].value for name in ("output", "scores", "jsonl")
    )
    temporary = target if target == "-" else f"{target}.tmp"
    with open_text(flag_values["input"].value, 0, "r") as reader:
        generator = load_generator(flag_values, decoding)
        with open_text(temporary, 1, "w") as writer:
            lines = (line.rstrip("\n").removesuffix("\r") for line in reader)
            for first in itertools.count(0, GROUP):
                group = list(itertools.islice(lines, GROUP))
                if not group:
                    break
                rows = (
                    [json_row(line, first + number) for number, line in enumerate(group, 1)]
                    if as_json
                    else []
                )
                texts = [row["source"] for row in rows] if as_json else group
                warn_of_cuts(generator, texts)
                answers = generator.n_best(texts, first)
                if as_json:
                    write_json_group(writer, rows, answers, with_scores)
                else:
                    write_group(writer, answers, with_scores)
    if target != "-":
        os.replace(temporary, target)


def warn_of_cuts(generator, texts):
    """Prints a warning to stderr if some texts are too long and will be truncated."""
    if cuts := generator.report_cuts(texts):
        print(f"warning: {cuts}", file=sys.stderr, flush=True)


def write_group(writer, answers, with_scores):
    """Writes the outputs of a group of lines as text.

    Args:
        writer: text file object.
        answers: list with one list of (text, score) for each line, the best first.
        with_scores: whether to write all outputs, each after its score and a tab, instead of the
            best one.
    """
    for outputs in answers:
        if with_scores:
            writer.writelines(f"{score:.4f}\t{one_line(text)}\n" for text, score in outputs)
        else:
            writer.write(f"{one_line(outputs[0][0])}\n")
    writer.flush()


def one_line(text):
    """Returns text with its line breaks replaced by spaces."""
    return " ".join(text.split("\n"))


def json_row(line, number):
    """Parses one line of JSON input.

    Args:
        line: str, a JSON object with a text "source".
        number: line number for the error message, from 1.

    Returns:
        dict.

    Raises:
        ConfigError: if the line is anything else.
    """
    from data.readers.files import is_text

    try:
        row = json.loads(line)
        if is_text(row["source"]):
            return row
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise ConfigError(
        f'a line must be a JSON object with a text "source". Received: line {number}: {line[:80]}.'
    )


def write_json_group(writer, rows, answers, with_scores):
    """Writes the rows of a group of lines as JSON, with the best output as "prediction".

    Args:
        writer: text file object.
        rows: list of dict, from `json_row`.
        answers: list with one list of (text, score) for each row, the best first.
        with_scores: whether to add "predictions", all outputs with their scores.
    """
    for row, outputs in zip(rows, answers):
        row["prediction"] = outputs[0][0]
        if with_scores:
            row["predictions"] = [{"text": text, "score": score} for text, score in outputs]
        writer.write(f"{json.dumps(row, ensure_ascii=False)}\n")
    writer.flush()


def read_pairs(flag_values):
    """Reads the pairs of --source and --target, or of --examples.

    Args:
        flag_values: the parsed flags. With --lowercase the pairs are lowercased.

    Returns:
        list of `data.pairs.Pair`, at least one.

    Raises:
        ConfigError: if a file cannot be read, there are no pairs, or the two files differ in
            length.
        DataError: if the file of examples is not valid.
    """
    from data.pairs import Pair
    from data.readers.sources import lowercase, read_examples

    if flag_values["examples"].value:
        columns = {name: flag_values[name].value for name in ("source_column", "target_column")}
        pairs = [
            Pair(*pair) for pair in read_examples(flag_values["examples"].value, columns=columns)
        ]
        if not pairs:
            raise ConfigError(
                f"a file of examples must have at least one. Received: "
                f"{flag_values['examples'].value}, which has none."
            )
    else:
        sources, references = (read_lines(flag_values[name].value) for name in ("source", "target"))
        if len(sources) != len(references) or not sources:
            raise ConfigError(
                "source and target must have as many lines as each other, and at least one. "
                "Received: "
                f"{len(sources)} lines in {flag_values['source'].value!r}, {len(references)} in "
                f"{flag_values['target'].value!r}."
            )
        pairs = list(map(Pair, sources, references))
    return list(map(lowercase, pairs)) if flag_values["lowercase"].value else pairs


def pair_scores(generator, pairs, data, flag_values):
    """Returns the scores of the run's task on pairs.

    Args:
        generator: the `Generator` of the run.
        pairs: list of `data.pairs.Pair`. Their kinds are found by the prefixes of the run.
        data: dict, the data options of the run.
        flag_values: the parsed flags. With --lowercase the outputs are lowercased.

    Returns:
        dict of scores.
    """
    from data.pairs import with_kind
    from transformer.evaluation.evaluation import evaluate_generator
    from transformer.tasks.text_to_text import find_task

    write = generator
    if flag_values["lowercase"].value:
        write = lambda texts: [text.lower() for text in generator(texts)]  # noqa: E731
    pairs = [with_kind(pair, map(str.strip, data["prefixes"])) for pair in pairs]
    warn_of_cuts(generator, [pair.source for pair in pairs])
    return evaluate_generator(write, pairs, find_task(data["task"]), data["target_language"])[0]


def read_problems(flag_values):
    """Reads the problems of --problems, after checking that their answers may and can be run.

    Args:
        flag_values: the parsed flags.

    Returns:
        list of `data.readers.humaneval.Problem`.

    Raises:
        ConfigError: if --run_code is not given, or programs cannot be confined on this machine.
        DataError: if the file of problems is not valid.
    """
    from data.readers.humaneval import read_problems
    from transformer.metrics.sandbox import run_programs

    if not flag_values["run_code"].value:
        raise ConfigError(
            "problems are scored by running what the model writes, which nobody has read. "
            "Received: no --run_code. "
            "Read in docs/tasks.md what is prevented, then add --run_code."
        )
    try:
        # Fail fast if this machine cannot run programs, before any answer is generated.
        run_programs(["pass"], run_code=True)
    except RuntimeError as error:
        raise ConfigError(str(error)) from None
    return read_problems(flag_values["problems"].value)


def problem_scores(generator, problems, data, flag_values):
    """Returns pass@k of generated programs.

    Args:
        generator: the `Generator` of the run.
        problems: list of `data.readers.humaneval.Problem`.
        data: dict, the data options of the run.
        flag_values: the parsed flags.

    Returns:
        dict of scores.

    Raises:
        ConfigError: if there are several samples of a problem, but decoding does not sample.
    """
    from transformer.evaluation.evaluation import evaluate_programs

    samples = flag_values["samples"].value
    if samples > 1 and not generator.config.temperature:
        raise ConfigError(
            f"several samples of a problem must differ. Received: --samples={samples}. Add "
            f"--temperature=0.8."
        )
    return evaluate_programs(
        generator, problems, data["corpus"] == "functions", samples, run_code=True
    )


def evaluate(decoding, flag_values):
    """Scores a run on texts with references, or on programming problems.

    Texts are scored with the metrics of the run's task, programming problems by their unit tests.
    Decoding flags that are not given are taken from the run.
    """
    from data.config import DataError

    names = [
        name for name in ("source", "target", "examples", "problems") if flag_values[name].value
    ]
    if names not in (["source", "target"], ["examples"], ["problems"]):
        raise ConfigError(
            "texts must come from --source and --target, from --examples or from --problems. "
            "Received: "
            f"{', '.join(f'--{name}' for name in names) or 'none'}. Name these files."
        )
    read, score = (
        (read_problems, problem_scores) if names == ["problems"] else (read_pairs, pair_scores)
    )
    try:
        examples = read(flag_values)
    except DataError as error:
        raise ConfigError(str(error)) from None
    generator = load_generator(flag_values, decoding)
    from transformer.evaluation.evaluation import scores_table
    from transformer.training.checkpoints import read_config

    scores = score(generator, examples, read_config(flag_values["run"].value)["data"], flag_values)
    print(json.dumps(scores, indent=2) if flag_values["json"].value else scores_table(scores))


def export(flag_values):
    """Exports a run as a CTranslate2 model and compares the outputs of the two.

    Both decode the run's test sources greedily.
    """
    generator = load_generator(flag_values)
    from transformer.export.ctranslate2 import export_ctranslate2, sources_of

    run, quantization = pathlib.Path(flag_values["run"].value), flag_values["quantization"].value
    folder = flag_values["output"].value or run / f"{flag_values['format'].value}-{quantization}"
    count, same = export_ctranslate2(generator, folder, quantization, sources_of(run))
    print(f"{folder}: {same} of {count} test sources have the same greedy output")


COMMANDS = {
    "generate": (generate, define_generate, (DecodingConfig,)),
    "evaluate": (evaluate, define_evaluate, (DecodingConfig,)),
    "export": (export, define_export, ()),
}


def command_line(argv):
    """Runs `python -m transformer COMMAND ...`.

    Args:
        argv: the program's name and its arguments.

    Returns:
        The exit code.
    """

    def run(name, arguments):
        if name == "launch":
            return launch(arguments)
        function, define_more, configs = COMMANDS[name]
        return main(
            function,
            configs,
            function.__doc__,
            define_more,
            argv=[f"-m transformer {name}", *arguments],
        )

    return run_command(argv, [*COMMANDS, "launch"], __doc__, run)


if __name__ == "__main__":
    sys.exit(command_line(sys.argv))
