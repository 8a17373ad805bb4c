"""DESIGN's levels, read from the source: a module of transformer/ imports from lower levels
only."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEVELS = [
    ["config", "compilation"],
    ["files"],
    ["metrics", "model_cards", "tokenizer", "copying", "checkpoints", "cluster", "execution"],
    [
        "dropout",
        "positions",
        "losses",
        "optimization",
        "decoding",
        "text_inputs",
        "answer_metrics",
        "summary_metrics",
        "code_metrics",
    ],
    ["attention", "vocabularies"],
    ["layers"],
    ["pointer"],
    ["model"],
    ["heads", "generation", "convert", "objectives"],
    ["encoders", "lora"],
    ["tasks", "callbacks", "evaluation", "visualization", "remarks"],
    ["reports"],
    ["text_tasks", "jax_backend"],
    ["training", "export"],
    ["fine_tuning", "flags"],
    ["generation_pipeline", "launch"],
    ["pipelines"],
    ["__main__"],
]
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}
# One more is pure but for a kernel that TensorFlow has: optimization. What TensorFlow compiles,
# compilation compiles.
PURE_KERAS = [
    "attention",
    "positions",
    "dropout",
    "layers",
    "pointer",
    "model",
    "losses",
    "objectives",
    "heads",
    "encoders",
    "decoding",
    "config",
    "metrics",
    "answer_metrics",
    "summary_metrics",
    "code_metrics",
    "execution",
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


def too_high(module, names):
    """Those of the imported modules of transformer/ that do not stand below `module`."""
    inner = {name.split(".")[1] for name in names if name.startswith("transformer.")} & set(LEVEL)
    return sorted(name for name in inner if LEVEL[name] >= LEVEL[module])


def test_the_reader_sees_every_form_of_import():
    source = "import a.b, c as d\nfrom e.f import g\ndef h():\n    from transformer import model\n"
    assert imports(source) == {"a.b", "c", "e.f", "e.f.g", "transformer", "transformer.model"}
    assert module_level_imports(source) == {"a.b", "c", "e.f", "e.f.g"}
    assert too_high("layers", imports(source)) == ["model"]
    assert too_high("heads", imports(source)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_from_lower_levels(path):
    assert path.stem in LEVEL, (
        f"transformer/{path.name} has no level: add it to LEVELS in tests/test_imports.py."
    )
    wrong = too_high(path.stem, imports(path.read_text(encoding="utf-8")))
    assert not wrong, (
        f"transformer/{path.name} must import only from levels below its own. Received: {wrong}."
    )


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.stem in PURE_KERAS], ids=lambda path: path.stem
)
def test_the_model_is_pure_keras(path):
    assert not packages(imports(path.read_text(encoding="utf-8"))) & {
        "tensorflow",
        "tensorflow_text",
        "torch",
        "jax",
    }


def test_importing_the_package_or_the_flags_loads_neither_keras_nor_tensorflow():
    for name in ("__init__", "config", "flags"):
        source = (ROOT / "transformer" / f"{name}.py").read_text(encoding="utf-8")
        assert not packages(module_level_imports(source)) & {
            "keras",
            "tensorflow",
            "tensorflow_text",
            "numpy",
        }, name


def test_transformer_never_imports_data_but_where_the_two_are_joined():
    joined = {
        ROOT / "transformer" / f"{name}.py"
        for name in ("fine_tuning", "generation_pipeline", "pipelines", "__main__")
    }
    for path in {*ROOT.glob("transformer/**/*.py")} - joined:
        assert "data" not in packages(imports(path.read_text(encoding="utf-8"))), path.name


def test_data_imports_only_what_knows_no_model_from_transformer():
    allowed = (
        "transformer.config",
        "transformer.copying",
        "transformer.files",
        "transformer.tokenizer",
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

    assert (
        {"Transformer", "Encoder", "Decoder", "Generator", "__version__"}
        <= {*dir(transformer)}
        == {*transformer.__all__}
    )
