"""Mutation testing: counts how many small bugs in a module its tests detect.

Cosmic Ray's operators make the mutants, each with one change. A mutant of transformer/ROOM/NAME.py
is tested by tests/ROOM/test_NAME.py, a mutant of data/NAME.py by tests/data/test_NAME.py. The quick
tests run first, then the slow ones, without the real data sets of ../shared/data. A mutant is
killed if a test fails or the tests do not end within `SECONDS`.

Cosmic Ray itself would start Python and import TensorFlow for each mutant. Here a process that has
already imported the libraries forks, so a mutant takes seconds. Mutants that no test could detect
are listed in equivalent_mutants.json, each with its reason.
"""

import ast
import dataclasses
import difflib
import importlib
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

from transformer.config import ConfigError

ROOT = pathlib.Path(__file__).resolve().parents[1]
EQUIVALENT = pathlib.Path(__file__).parent / "equivalent_mutants.json"
# The modules that compute something. docs/reliability.md reports their scores.
MODULES = tuple(
    f"{name}.py"
    for name in (
        "transformer/model/attention",
        "transformer/model/positions",
        "transformer/model/dropout",
        "transformer/model/layers",
        "transformer/model/pointer",
        "transformer/model/transformer",
        "transformer/model/losses",
        "transformer/model/heads",
        "transformer/metrics/classification",
        "transformer/metrics/answers",
        "transformer/metrics/summaries",
        "transformer/metrics/code",
        "transformer/text/tokenizer",
        "transformer/training/objectives",
        "transformer/training/optimizers",
        "transformer/training/loop",
        "transformer/training/callbacks",
        "transformer/training/checkpoints",
        "transformer/generation/search",
        "transformer/generation/generator",
        "data/batches",
        "data/cleaning",
    )
)
# Cosmic Ray can replace an operator with many others. Only the nearest replacements are used,
# because the others are easier to detect.
REPLACEMENTS = {
    "Add_Sub",
    "Sub_Add",
    "Mul_Div",
    "Div_Mul",
    "FloorDiv_Div",
    "Mod_Mul",
    "Pow_Mul",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
    "BitXor_BitAnd",
    "LShift_RShift",
    "RShift_LShift",
    "Lt_LtE",
    "LtE_Lt",
    "Gt_GtE",
    "GtE_Gt",
    "Eq_NotEq",
    "NotEq_Eq",
    "Is_IsNot",
    "IsNot_Is",
    "Delete_USub",
    "Delete_Not",
    "Delete_Invert",
}
# Libraries that take long to import. They are imported once, before the forks. None of them may
# compute anything before a fork.
LIBRARIES = (
    "hypothesis",
    "keras",
    "pytest",
    "sacrebleu",
    "scipy.stats",
    "sklearn.metrics",
    "tensorflow",
    "tensorflow_text",
    "torch",
)
# After this many seconds the tests of a mutant are stopped, and it counts as killed. The limit is
# long because passing tests may be slow on a busy machine. pytest-timeout stops a single test that
# hangs much earlier.
SECONDS = 3600


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        module: path of the module from the root of the project.
        line: number of the first changed line, from 1.
        before: the lines that were replaced, joined into one.
        after: the lines that replace them, joined into one.
        text: source of the whole changed module.
    """

    module: str
    line: int
    before: str
    after: str
    text: str = dataclasses.field(repr=False)

    @property
    def key(self):
        """Identifies the mutant in equivalent_mutants.json, which has no line numbers."""
        return self.module, self.before, self.after


def run(config):
    """Tests the mutants of each module and prints those that survive.

    Args:
        config: BenchmarkConfig, of which modules and mutants are used.

    Returns:
        Rows {"module", "mutants", "killed", "survived", "equivalent", "score"}, one per module and
        one for all. `score` is the share of killed mutants among those that are not equivalent.

    Raises:
        ConfigError: A module does not exist or has no test file, or its tests fail without a
            mutant.
    """
    modules = config.modules or MODULES
    for module in modules:
        if not (ROOT / module).is_file() or not (ROOT / tests_of(module)).is_file():
            raise ConfigError(
                "--modules must be modules that have a test file, from the root of the project. "
                f"Received: {module}. Use transformer/model/attention.py, for example."
            )
    mutants = [mutant for module in modules for mutant in mutants_of(module, config.mutants)]
    reasons = {
        (row["module"], row["before"], row["after"]): row["reason"]
        for row in json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    }
    for unchanged, fails in try_all([_unchanged(module) for module in modules]):
        if fails:
            raise ConfigError(
                "tests must pass before a bug is put in. "
                f"Received: {tests_of(unchanged.module)}, which fails or does not end. Mend it "
                f"first."
            )
    verdicts, tried = {}, [mutant for mutant in mutants if mutant.key not in reasons]
    for number, (mutant, killed) in enumerate(try_all(tried), 1):
        if number % 50 == 0:
            print(f"{number} of {len(tried)} tried", file=sys.stderr, flush=True)
        verdicts[mutant] = "killed" if killed else "survived"
        if not killed:
            print(
                f"survived: {mutant.module}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}",
                flush=True,
            )
    verdicts |= {mutant: "equivalent" for mutant in mutants if mutant.key in reasons}
    rows = [
        _row(module, [verdicts[mutant] for mutant in mutants if mutant.module == module])
        for module in modules
    ]
    return [*rows, _row("all", list(verdicts.values()))]


def _row(name, verdicts):
    counts = {verdict: verdicts.count(verdict) for verdict in ("killed", "survived", "equivalent")}
    score = counts["killed"] / max(counts["killed"] + counts["survived"], 1)
    return {"module": name, "mutants": len(verdicts), **counts, "score": score}


def tests_of(module):
    """Returns the path of a module's test file, from the root of the project."""
    package, *rooms, name = pathlib.Path(module).parts
    # The tests of data/ are in one folder, those of transformer/ in one folder per subpackage.
    folder = ["data"] if package == "data" else rooms
    return "/".join(["tests", *folder, f"test_{name}"])


def mutants_of(module, count=0):
    """Makes mutants of a module.

    Args:
        module: path of the module from the root of the project.
        count: how many to draw at random, always the same ones. 0 makes all.

    Returns:
        A list of distinct Mutants, in the order of their lines.
    """
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    text = (ROOT / module).read_text(encoding="utf-8")
    nodes, places = [*ast_nodes(get_ast(text))], []
    for name in operator_names():
        _, is_replacement, kind = name.partition("Operator_")
        if is_replacement and kind not in REPLACEMENTS or get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        found = sum(len([*operator.mutation_positions(node)]) for node in nodes)
        places += [(operator, place) for place in range(found)]
    random.Random(1).shuffle(places)
    mutants = {}
    for operator, place in places:
        try:
            mutant = _mutant(module, text, mutate_code(text, operator, place))
        # Some operators of Cosmic Ray 8.7 fail on code that they claim to match.
        except (AttributeError, SyntaxError):
            continue
        if mutant:
            mutants[mutant.line, mutant.before, mutant.after] = mutant
        if len(mutants) == count:
            break
    return sorted(mutants.values(), key=lambda mutant: (mutant.line, mutant.after))


def _unchanged(module):
    return Mutant(module, 0, "", "", (ROOT / module).read_text(encoding="utf-8"))


def _mutant(module, text, mutated):
    """Returns the Mutant of a changed text, or None if both texts have the same syntax tree."""
    if ast.dump(ast.parse(text)) == ast.dump(ast.parse(mutated)):
        return None
    old, new = text.splitlines(), mutated.splitlines()
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    _, start, end, new_start, new_end = next(
        change for change in matcher.get_opcodes() if change[0] != "equal"
    )
    before, after = (
        " ".join(" ".join(lines).split()) for lines in (old[start:end], new[new_start:new_end])
    )
    return Mutant(module, start + 1, before, after, mutated)


def try_all(mutants):
    """Tests mutants in parallel, one per core. Each core has its own copy of the project.

    Args:
        mutants: list of Mutant.

    Yields:
        (mutant, whether the tests of its module fail with it), in the order in which they finish.

    Raises:
        RuntimeError: pytest reports a usage error.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for library in LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        free = [
            (core, _copied(pathlib.Path(folder) / str(core))) for core in os.sched_getaffinity(0)
        ]
        waiting, running = list(reversed(mutants)), {}
        try:
            while waiting or running:
                while waiting and free:
                    mutant, (core, copy) = waiting.pop(), free.pop()
                    (copy / mutant.module).write_text(mutant.text, encoding="utf-8")
                    process = _begun(copy, tests_of(mutant.module), core)
                    running[process] = mutant, core, copy, time.monotonic()
                process, code = _ended({process: begun for process, (*_, begun) in running.items()})
                mutant, core, copy, _ = running.pop(process)
                shutil.copy(ROOT / mutant.module, copy / mutant.module)
                free.append((core, copy))
                if code == 4:
                    raise RuntimeError(
                        f"pytest could not run {tests_of(mutant.module)}. Received: its exit code "
                        f"4, a usage error."
                    )
                yield mutant, code != 0
        finally:
            for process in running:
                os.killpg(process, signal.SIGKILL)


def _copied(folder):
    ignore = shutil.ignore_patterns(
        ".git", ".venv", "runs", "build", "dist", "*.egg-info", "__pycache__"
    )
    return pathlib.Path(shutil.copytree(ROOT, folder, ignore=ignore))


def _begun(folder, tests, core):
    """Forks a process that runs tests in a copy of the project, and returns its process id."""
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    os.sched_setaffinity(0, {core})
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.chdir(folder)
    # Drop the modules of the project that were imported before the fork: they are not mutated.
    for name in [
        name
        for name in sys.modules
        if name.split(".")[0] in ("benchmarks", "data", "tests", "transformer")
    ]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import pytest

    for kind in ("not slow", "slow"):
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", kind, tests])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            os._exit(int(code))
    os._exit(0)


def _ended(begun):
    """Waits until one of some processes ends. Kills a process that runs longer than `SECONDS`.

    Args:
        begun: dict {process id: time.monotonic() when it began}.

    Returns:
        The process id and its exit code.
    """
    while True:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process in begun:
            return process, os.waitstatus_to_exitcode(status)
        for process, since in begun.items():
            if time.monotonic() - since > SECONDS:
                os.killpg(process, signal.SIGKILL)
        time.sleep(0.05)
