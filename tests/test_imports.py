"""Who may import whom, read from the source: a room of transformer/ imports from lower rooms and
itself.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# From the lowest room to the highest; the modules of transformer/ itself are below all of them.
ROOMS = [
    "model",
    "metrics",
    "text",
    "training",
    "generation",
    "evaluation",
    "tasks",
    "pretrained",
    "export",
    "pipelines",
    "cli",
]
# Rooms and modules that run on every backend of Keras. One more is pure but for a kernel that
# TensorFlow has: training/optimizers. What TensorFlow compiles, compilation compiles.
PURE_KERAS = [
    "model",
    "metrics",
    "config",
    "training/objectives",
    "generation/search",
    "pretrained/encoders",
]
MODULES = sorted(
    path for path in (ROOT / "transformer").glob("**/*.py") if path.name != "__init__.py"
)
SOURCES = sorted(
    {
        *ROOT.glob("*.py"),
        *ROOT.glob("transformer/**/*.py"),
        *ROOT.glob("data/**/*.py"),
        *ROOT.glob("benchmarks/**/*.py"),
    }
)


def imports(source):
    """Dotted names of all that Python source imports, at whatever depth: {"keras",
    "transformer.config", ...}."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "write absolute imports"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_level_imports(source):
    """The same for what runs when the module is imported: not inside a function."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [ast.Pass()]
    return imports(ast.unparse(tree))


def packages(names):
    return {name.partition(".")[0] for name in names}


def room_of(module):
    """The room of a module: "model" for transformer.model.layers, "" for transformer.config."""
    parts = module.split(".")
    if parts[1] == "__main__":
        return "cli"
    return parts[1] if parts[1] in ROOMS else ""


def too_high(room, names):
    """Those of the imported modules of transformer/ that stand in a higher room than `room`."""
    above = ROOMS[ROOMS.index(room) + 1 :] if room else ROOMS
    return sorted(
        name for name in names if name.startswith("transformer.") and room_of(name) in above
    )


def test_the_reader_sees_every_form_of_import():
    source = "import a.b, c as d\nfrom e.f import g\ndef h():\n"
    source += "    from transformer.text import tokenizer\n"
    assert imports(source) == {
        "a.b",
        "c",
        "e.f",
        "e.f.g",
        "transformer.text",
        "transformer.text.tokenizer",
    }
    assert module_level_imports(source) == {"a.b", "c", "e.f", "e.f.g"}
    assert too_high("model", imports(source)) == ["transformer.text", "transformer.text.tokenizer"]
    assert too_high("text", imports(source)) == too_high("cli", imports(source)) == []
    assert too_high("", {"transformer.cli.flags", "transformer.files"}) == ["transformer.cli.flags"]


def dotted(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_room_imports_only_from_lower_rooms(path):
    folder = path.relative_to(ROOT / "transformer").parts[0]
    assert path.parent == ROOT / "transformer" or folder in ROOMS, (
        f"add {folder} to ROOMS in tests/test_imports.py"
    )
    wrong = too_high(room_of(dotted(path)), imports(path.read_text(encoding="utf-8")))
    assert not wrong, f"{dotted(path)} must import only from lower rooms. Received: {wrong}."


@pytest.mark.parametrize("name", PURE_KERAS)
def test_the_model_is_pure_keras(name):
    place = ROOT / "transformer" / name
    for path in sorted(place.glob("*.py")) or [place.with_suffix(".py")]:
        used = packages(imports(path.read_text(encoding="utf-8")))
        assert not used & {"tensorflow", "tensorflow_text", "torch", "jax"}, path


def test_importing_the_package_or_the_flags_loads_neither_keras_nor_tensorflow():
    for name in ("__init__", "config", "cli/__init__", "cli/flags"):
        source = (ROOT / "transformer" / f"{name}.py").read_text(encoding="utf-8")
        assert not packages(module_level_imports(source)) & {
            "keras",
            "tensorflow",
            "tensorflow_text",
            "numpy",
        }, name


def test_transformer_never_imports_data_but_where_the_two_are_joined():
    for path in MODULES:
        if room_of(dotted(path)) not in ("pipelines", "cli"):
            assert "data" not in packages(imports(path.read_text(encoding="utf-8"))), path


def test_data_imports_only_what_knows_no_model_from_transformer():
    allowed = (
        "transformer.config",
        "transformer.text.symbols",
        "transformer.files",
        "transformer.text.tokenizer",
    )
    for path in ROOT.glob("data/**/*.py"):
        names = [
            name
            for name in imports(path.read_text(encoding="utf-8"))
            if name.startswith("transformer.")
        ]
        assert all(name.startswith(allowed) for name in names), f"{path.name}: {names}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles_or_evaluates_text(path):
    source = path.read_text(encoding="utf-8")
    assert not packages(imports(source)) & {
        "pickle",
        "cPickle",
        "dill",
        "cloudpickle",
        "joblib",
        "shelve",
        "marshal",
    }
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    assert not names & {"eval", "exec"}
    assert not any(
        keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True)
        for call in calls
        for keyword in call.keywords
    )


def test_the_package_lists_what_it_offers():
    import transformer

    offered = {*transformer.__all__}
    assert {"Transformer", "Encoder", "Decoder", "Generator", "pipeline"} <= offered
    assert offered == {*dir(transformer)}
