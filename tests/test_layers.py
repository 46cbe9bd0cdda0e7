"""Imports go downward only, and no file outgrows its reader."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import sklearn_mf

PACKAGE = Path(sklearn_mf.__file__).parent
MAX_LINES = 600

DESIGN = PACKAGE.parent / "doc" / "design.md"


def floors():
    """The floor of every module in the list of the design, by the prefix of its dotted name."""
    found = {"sklearn_mf": 10}
    section = DESIGN.read_text(encoding="utf-8").partition("## Floors")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", section, flags=re.M)
    for floor, modules in rows:
        for module in re.findall(r"`([\w.]+)`", modules):
            found[f"sklearn_mf.{module}"] = int(floor)
    return found


# A module stands on the floor of the longest prefix of its name.
FLOORS = floors()
# Helpers of one floor may use one another; elsewhere siblings share only their base.
SOCIABLE = {0, 1, 2, 3, 5, 6, 8, 10}
# Allowed by their floors, but not meant to know of one another.
APART = {
    ("sklearn_mf.losses", "sklearn_mf.observations"),
    ("sklearn_mf.penalties", "sklearn_mf.observations"),
    ("sklearn_mf.fitting", "sklearn_mf.imputation"),
}
PRIVATE_NAMES_OF_SKLEARN = "sklearn_mf.utils._validation"


def place(module):
    """The entry of FLOORS that a module, or a name in a module, belongs to."""
    while module not in FLOORS:
        module = module.rpartition(".")[0]
    return module


def imports(source):
    """Dotted names that a source imports, and its relative imports as ``.``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "."
            else:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_sibling_allowed(module, imported):
    floor = FLOORS[place(module)]
    if floor in SOCIABLE:
        return True
    package = place(module)
    if place(imported) != package:
        return False
    name = imported.removeprefix(f"{package}.").partition(".")[0]
    return module == package or name == "_base" or name.startswith("_base_")


def complaint(module, imported):
    """What is wrong with an import, or None."""
    if imported == ".":
        return f"{module} has a relative import"
    if imported.split(".")[0] == "sklearn":
        is_private = any(part.startswith("_") for part in imported.split("."))
        if is_private and module != PRIVATE_NAMES_OF_SKLEARN:
            return f"{module} imports the private {imported}"
    if imported.split(".")[0] != "sklearn_mf":
        return None
    upper, lower = FLOORS[place(module)], FLOORS[place(imported)]
    if lower > upper:
        return f"{module} imports upward: {imported}"
    if (place(module), place(imported)) in APART:
        return f"{module} must not know of {imported}"
    if lower == upper and not is_sibling_allowed(module, imported):
        return f"{module} imports its sibling {imported}"
    return None


def violations(module, source):
    found = (complaint(module, imported) for imported in imports(source))
    return [text for text in found if text]


def sources():
    """Every module of the package by its dotted name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(sources())


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward_only(module):
    assert violations(module, MODULES[module].read_text(encoding="utf-8")) == []


def test_every_floor_is_inhabited():
    assert {place(module) for module in MODULES} == set(FLOORS)


@pytest.mark.parametrize(
    "path",
    sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx", ".pxd")),
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


ALLOWED = [
    ("sklearn_mf", "from sklearn_mf.estimators import MatrixFactorization"),
    ("sklearn_mf", "from sklearn_mf.utils._show_versions import show_versions"),
    ("sklearn_mf.kernels", "from sklearn_mf.kernels import _rows, reference"),
    ("sklearn_mf.utils._threads", "from sklearn_mf import kernels"),
    ("sklearn_mf.utils._validation", "from sklearn.utils._param_validation import Interval"),
    ("sklearn_mf.utils.discovery", "def f():\n    from sklearn_mf import estimators"),
    ("sklearn_mf.observations", "import sklearn_mf.kernels"),
    ("sklearn_mf.starts", "from sklearn_mf.losses import Squared"),
    ("sklearn_mf.objective.problem", "from sklearn_mf.observations import ObservedMatrix"),
    ("sklearn_mf.solvers", "from sklearn_mf.solvers.als import ALS"),
    ("sklearn_mf.solvers.als", "from sklearn_mf.solvers._base import BaseSolver"),
    ("sklearn_mf.solvers.als", "from sklearn_mf.solvers import _base"),
    ("sklearn_mf.estimators._x", "from sklearn_mf.estimators._base import BaseFactorization"),
    ("sklearn_mf.estimators._x", "from sklearn_mf.solvers import SOLVERS"),
    ("sklearn_mf.objective.problem", "from sklearn.base import BaseEstimator\nimport scipy._lib"),
]

FORBIDDEN = [
    ("sklearn_mf.objective.problem", "from sklearn_mf import solvers", "upward"),
    ("sklearn_mf.objective.problem", "from sklearn_mf.solvers import SOLVERS", "upward"),
    ("sklearn_mf.objective.problem", "import sklearn_mf.estimators._base", "upward"),
    ("sklearn_mf.objective.problem", "from sklearn_mf import __version__", "upward"),
    ("sklearn_mf.objective", "from sklearn_mf.starts import start", "upward"),
    ("sklearn_mf.observations", "from sklearn_mf.losses import Squared", "upward"),
    ("sklearn_mf.kernels.reference", "from sklearn_mf.utils import _threads", "upward"),
    ("sklearn_mf.utils._threads", "from sklearn_mf.observations import observe", "upward"),
    ("sklearn_mf.utils._threads", "from sklearn_mf.utils import discovery", "upward"),
    ("sklearn_mf.losses", "def f():\n    import sklearn_mf.objective", "upward"),
    ("sklearn_mf.losses", "from sklearn_mf.penalties import Ridge", "sibling"),
    ("sklearn_mf.penalties", "from sklearn_mf import losses", "sibling"),
    ("sklearn_mf.losses", "from sklearn_mf.observations import observe", "must not know"),
    ("sklearn_mf.penalties", "from sklearn_mf import observations", "must not know"),
    ("sklearn_mf.solvers.als", "from sklearn_mf.solvers.spectral import Spectral", "sibling"),
    ("sklearn_mf.solvers.als", "from sklearn_mf.solvers import Spectral", "sibling"),
    ("sklearn_mf.solvers._base", "from sklearn_mf.solvers.als import ALS", "sibling"),
    ("sklearn_mf.estimators._x", "from sklearn_mf.estimators import _y", "sibling"),
    ("sklearn_mf.estimators._x", "from sklearn_mf.estimators._basement import y", "sibling"),
    ("sklearn_mf.solvers.als", "from ._base import BaseSolver", "relative"),
    ("sklearn_mf.objective.problem", "from . import losses", "relative"),
    ("sklearn_mf.objective.problem", "from sklearn.base import _fit_context", "private"),
    (
        "sklearn_mf.utils._threads",
        "from sklearn.utils._param_validation import Interval",
        "private",
    ),
    ("sklearn_mf.estimators._base", "import sklearn.utils._set_output", "private"),
]


@pytest.mark.parametrize(("module", "source"), ALLOWED)
def test_the_rules_let_sound_imports_pass(module, source):
    assert violations(module, source) == []


@pytest.mark.parametrize(("module", "source", "word"), FORBIDDEN)
def test_the_rules_catch_a_violation(module, source, word):
    [text] = violations(module, source)
    assert word in text
    assert module in text


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.pyx")), ids=lambda path: path.name)
def test_compiled_kernels_import_nothing_from_the_package_but_kernels(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    imported = [
        line.split()[1]
        for line in lines
        if line.split()[:1] in (["from"], ["import"], ["cimport"]) and "sklearn_mf" in line
    ]
    assert all(name.startswith("sklearn_mf.kernels") for name in imported)


# What such a parameter holds, and which types a function may be about.
HOLDS = {"problem": {"Problem"}, "observations": {"ObservedMatrix"}}
# Asked by estimators, of observations that losses must not know of.
UNTYPED = {("sklearn_mf.losses.columns", "check_data")}


def untyped(source):
    """Functions that take a problem or observations and do not say so."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            for argument in [*node.args.args, *node.args.kwonlyargs]:
                stated = argument.annotation and ast.unparse(argument.annotation)
                if argument.arg in HOLDS and stated not in HOLDS[argument.arg]:
                    yield node.name


@pytest.mark.parametrize("module", MODULES)
def test_who_takes_a_problem_imports_its_type(module):
    """So that the test of imports sees who depends on it."""
    found = untyped(MODULES[module].read_text(encoding="utf-8"))
    assert [name for name in found if (module, name) not in UNTYPED] == []


def test_an_unstated_type_is_caught():
    assert [*untyped("def f(problem): pass\ndef g(problem: Problem): pass")] == ["f"]


# Names with an underscore that scikit-learn and Python ask of everyone.
OF_OTHERS = {"_parameter_constraints", "_init_callback_context", "_getframe"}
OF_OTHERS |= {"_replace", "_fields"}


def private_uses(source):
    """Underscore attributes of objects that are defined elsewhere."""
    tree = ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        is_private = node.attr.startswith("_") and not node.attr.startswith("__")
        is_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if is_private and not is_self and node.attr not in own | OF_OTHERS:
            yield ast.unparse(node)


@pytest.mark.parametrize("module", MODULES)
def test_privates_stay_in_their_file(module):
    assert [*private_uses(MODULES[module].read_text(encoding="utf-8"))] == []


def test_the_use_of_a_private_is_caught():
    source = "def f(a):\n    a._x\n    a._own\n    a.b\ndef _own(): pass"
    assert [*private_uses(source)] == ["a._x"]


def classes():
    """Every class of the package."""
    for module in MODULES:
        if "kernels._" not in module:
            for value in vars(importlib.import_module(module)).values():
                if inspect.isclass(value) and value.__module__ == module:
                    yield value


def test_chains_of_inheritance_are_short():
    """At most three classes of ours, or nobody knows by heart which method is meant."""
    chains = [
        [base.__name__ for base in cls.__mro__ if base.__module__.startswith("sklearn_mf")]
        for cls in classes()
    ]
    assert len(chains) > 50
    assert [chain for chain in chains if len(chain) > 3] == []
