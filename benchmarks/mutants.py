"""How many small bugs the tests see: mutants made by Cosmic Ray's operators, one at a time.

Each is tried by the test file of its module's name, tests/test_NAME.py: first by its quick tests,
then by the slow ones, without the real data sets of ../shared/data. A mutant is killed where a test
fails, or where the tests do not end within `SECONDS`. Cosmic Ray itself would start Python and
import TensorFlow for each; here a process that has imported the libraries forks, so that a mutant
takes seconds. The mutants that no test could see are listed in equivalent_mutants.json, each with
its reason.
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
# What computes: the modules whose score docs/reliability.md tells.
MODULES = (
    *(
        f"transformer/{name}.py"
        for name in (
            "attention",
            "positions",
            "dropout",
            "layers",
            "pointer",
            "model",
            "losses",
            "heads",
            "objectives",
            "optimization",
            "training",
            "callbacks",
            "checkpoints",
            "decoding",
            "generation",
            "tokenizer",
            "metrics",
            "answer_metrics",
            "summary_metrics",
            "code_metrics",
        )
    ),
    "data/batches.py",
    "data/cleaning.py",
)
# Of the many operators that Cosmic Ray would put in the place of one, the nearest: more of them
# would only be more easily seen.
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
# What takes long to import, so that each fork has it. None of it computes anything before.
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
# Seconds after which the tests of a mutant are ended, and it counts as killed: a busy machine may
# need them for tests that pass. One test that hangs is ended by pytest-timeout long before.
SECONDS = 3600


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: where it stands, what was there and what is, in a line."""

    module: str
    line: int
    before: str
    after: str
    text: str = dataclasses.field(repr=False)  # of the whole module

    @property
    def key(self):
        return self.module, self.before, self.after


def run(config):
    """Rows {"module", "mutants", "killed", "survived", "equivalent", "score"}, a row a module
    and their sum."""
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
    """The test file in which a maintainer would look for a module's tests, from the root of the
    project."""
    return f"tests/test_{pathlib.Path(module).stem}.py"


def mutants_of(module, count=0):
    """`count` mutants of a module, drawn at random but the same each time, or all of them (0),
    in the order of their lines."""
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
        except (
            AttributeError,
            SyntaxError,
        ):  # not every operator of Cosmic Ray 8.7 fits all that it finds
            continue
        if mutant:
            mutants[mutant.line, mutant.before, mutant.after] = mutant
        if len(mutants) == count:
            break
    return sorted(mutants.values(), key=lambda mutant: (mutant.line, mutant.after))


def _unchanged(module):
    return Mutant(module, 0, "", "", (ROOT / module).read_text(encoding="utf-8"))


def _mutant(module, text, mutated):
    """The Mutant of a changed text; None where it is the same program, written otherwise."""
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
    """Yields (mutant, whether its module's tests fail with it) as they become known.

    Each core has a copy of the project, in which a mutant is put in its place.
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
    """Forks a process that runs tests in a copy of the project; returns its number."""
    process = os.fork()
    if process:
        return process
    os.setpgid(0, 0)
    os.sched_setaffinity(0, {core})
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.chdir(folder)
    # What this program had imported of the project was not changed.
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
    """Waits for one of the processes {number: when it began}: its number and exit code; one that
    takes too long is killed."""
    while True:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process in begun:
            return process, os.waitstatus_to_exitcode(status)
        for process, since in begun.items():
            if time.monotonic() - since > SECONDS:
                os.killpg(process, signal.SIGKILL)
        time.sleep(0.05)
