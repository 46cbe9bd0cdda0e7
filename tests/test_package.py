"""The package as a whole: its import, its kernels, its memory, its documentation."""

import importlib
import importlib.util
import inspect
import os
import subprocess
import sys
import tracemalloc
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

import sklearn_mf
from sklearn_mf import MatrixFactorization, losses, penalties, solvers
from sklearn_mf.utils import discovery

MODULES = ["sklearn_mf", "sklearn_mf.components", "sklearn_mf.estimators", "sklearn_mf.kernels"]
MODULES += ["sklearn_mf.conformance", "sklearn_mf.objective"]
MODULES += [
    "sklearn_mf.losses",
    "sklearn_mf.model_selection",
    "sklearn_mf.penalties",
    "sklearn_mf.plotting",
]
MODULES += ["sklearn_mf.solvers"]


def python(code, *options, **environment):
    """Run code in a fresh interpreter that imports the same package as this one."""
    inherited = {name: value for name, value in os.environ.items() if name != "SKLEARN_MF_KERNELS"}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=inherited | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


TELL = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import sklearn_mf
    from sklearn_mf import kernels
for warning in caught:
    print(warning.category.__name__, warning.message)
print(kernels.IMPLEMENTATION)
"""

BLOCK = """
blocked = {"sklearn_mf.kernels._rows", "sklearn_mf.kernels._products"}
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in blocked:
            raise ModuleNotFoundError(f"blocked {name}", name=name)

sys.meta_path.insert(0, Blocker())
"""

FIT = """
import numpy as np
X = np.outer(np.arange(1.0, 7), [1.0, 2, 3, 4])
X[2, 1] = np.nan
print(sklearn_mf.MatrixFactorization(1, solver="als").fit(X).reconstruction_err_ < 1e-3)
"""


def has_compiled_kernels():
    names = ("sklearn_mf.kernels._products", "sklearn_mf.kernels._rows")
    return all(importlib.util.find_spec(name) for name in names)


needs_compiled = pytest.mark.skipif(not has_compiled_kernels(), reason="nothing was compiled")


class TestKernels:
    def test_the_reference_can_be_asked_for_without_a_warning(self):
        done = python(TELL + FIT, SKLEARN_MF_KERNELS="reference")
        assert done.stdout.split() == ["reference", "True"], done.stderr

    @needs_compiled
    @pytest.mark.parametrize("wanted", [{}, {"SKLEARN_MF_KERNELS": "compiled"}])
    def test_the_compiled_kernels_run_where_they_are(self, wanted):
        done = python(TELL + FIT, **wanted)
        assert done.stdout.split() == ["compiled", "True"], done.stderr

    @pytest.mark.parametrize("value", ["nonsense", "Compiled", "0"])
    def test_an_unknown_choice_is_refused_by_the_name_of_the_variable(self, value):
        done = python("import sklearn_mf", SKLEARN_MF_KERNELS=value)
        assert done.returncode != 0
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("ImportError: SKLEARN_MF_KERNELS")
        assert repr(value) in last

    def test_missing_kernels_are_warned_of_once_and_replaced(self):
        done = python(BLOCK + TELL + FIT)
        *warned, implementation, works = done.stdout.splitlines()
        assert (implementation, works) == ("reference", "True"), done.stderr
        assert len(warned) == 1
        assert warned[0].startswith("RuntimeWarning")
        assert "compiled kernels" in warned[0]

    def test_one_missing_extension_replaces_them_all(self):
        block = BLOCK + "blocked.remove('sklearn_mf.kernels._rows')\n"
        done = python(block + TELL + "print(kernels.solve_rows.__module__)")
        assert done.stdout.splitlines()[-2:] == ["reference", "sklearn_mf.kernels.reference"]

    def test_missing_kernels_are_an_error_where_they_are_demanded(self):
        done = python(BLOCK + "import sklearn_mf", SKLEARN_MF_KERNELS="compiled")
        assert done.returncode != 0
        assert done.stderr.strip().splitlines()[-1].startswith(("ImportError", "ModuleNotFound"))
        assert "_products" in done.stderr.strip().splitlines()[-1]

    @needs_compiled
    def test_compiled_and_reference_kernels_have_the_same_parameters(self):
        from sklearn_mf.kernels import _products, _refinement, _rows, _stochastic, reference

        for compiled in (
            _rows.solve_rows,
            _rows.solve_dense_rows,
            _refinement.refine_rows,
            _stochastic.sgd_epoch,
            _products.values_at,
            _products.sparse_times_dense,
            _products.max_threads,
        ):
            twin = getattr(reference, compiled.__name__)
            assert list(inspect.signature(compiled).parameters) == list(
                inspect.signature(twin).parameters
            )


def test_the_import_adds_little_to_that_of_scikit_learn():
    code = "from time import perf_counter\nstart = perf_counter()\nimport sklearn.decomposition\n"
    code += "theirs = perf_counter()\nimport sklearn_mf\n"
    code += "print((perf_counter() - theirs) / (theirs - start))"
    # A busy machine can only disturb it: one good run is proof.
    assert any(float(python(code).stdout) < 0.25 for _ in range(5))


def test_the_import_brings_no_optional_package():
    optional = ["pandas", "polars", "matplotlib", "rich", "sklearn.utils.estimator_checks"]
    code = "import sys, sklearn.decomposition\nbefore = set(sys.modules)\nimport sklearn_mf\n"
    done = python(f"{code}print(sorted((set(sys.modules) - before) & set({optional})))")
    assert done.stdout.strip() == "[]", done.stderr


def test_show_versions_names_what_a_bug_report_needs(capsys):
    sklearn_mf.show_versions()
    printed = dict(line.strip().split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert printed["kernels"].startswith(sklearn_mf.kernels.IMPLEMENTATION)
    assert printed["numpy"] == np.__version__
    assert printed["python"] == sys.version.split()[0]
    assert {"sklearn-mf", "scikit-learn", "scipy", "joblib", "threadpoolctl"} <= set(printed)


def peak_share(estimator, X):
    """Most memory that a fit takes beside X, as a share of X."""
    tracemalloc.start()
    try:
        estimator.fit(X)
        return tracemalloc.get_traced_memory()[1] / X.nbytes
    finally:
        tracemalloc.stop()


def large(missing):
    """80 MB: the temporaries of blocks, some 30 MB whatever the data, are less than half."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 2)) @ rng.standard_normal((2, 500))
    if missing:
        X[rng.integers(0, len(X), 5000), rng.integers(0, X.shape[1], 5000)] = np.nan
    return X


class TestMemory:
    @pytest.mark.parametrize(
        ("solver", "missing", "bias", "order"),
        [
            ("auto", False, False, "C"),
            ("auto", False, "features", "F"),
            ("als", False, False, "C"),
            ("als", True, False, "C"),
            ("als", True, "both", "F"),
        ],
    )
    def test_a_fit_does_not_copy_dense_data(self, solver, missing, bias, order):
        X = np.asarray(large(missing), order=order)
        estimator = MatrixFactorization(2, solver=solver, bias=bias, max_iter=1, tol=0)
        # Beside biases and holes, factors that nothing holds are found in a unit of their own.
        alpha = 0.01 if bias == "both" else 0
        assert peak_share(estimator.set_params(random_state=0, alpha_W=alpha), X) < 0.5

    def test_the_measure_sees_a_copy(self):
        class Copying(MatrixFactorization):
            def fit(self, X):
                self.copy_ = X.copy()

        assert peak_share(Copying(), np.ones((1000, 1000))) >= 1


def public_names():
    for name in MODULES:
        module = importlib.import_module(name)
        yield from ((name, attribute) for attribute in module.__all__)


@pytest.mark.parametrize(("module", "name"), public_names())
def test_every_public_name_exists(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_public_names_are_listed_once():
    for name in MODULES:
        names = importlib.import_module(name).__all__
        assert len(set(names)) == len(names)


def documented_objects():
    """Dotted names of public classes, their public methods, and functions."""
    found = {}
    for module, name in public_names():
        thing = getattr(importlib.import_module(module), name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        origin = f"{thing.__module__}.{thing.__qualname__}"
        if not thing.__module__.startswith("sklearn_mf.kernels._"):
            found[origin] = thing
        if inspect.isclass(thing):
            for method, function in inspect.getmembers(thing, inspect.isfunction):
                if not method.startswith("_") and function.__module__.startswith("sklearn_mf"):
                    found[f"{function.__module__}.{function.__qualname__}"] = function
    for name, thing in inspect.getmembers(discovery, inspect.isfunction):
        if thing.__module__ == discovery.__name__:
            found[f"{discovery.__name__}.{name}"] = thing
    return found


DOCUMENTED = documented_objects()
# Of numpydoc's complaints: no docstring, summary or parameters; undocumented, unknown,
# untyped, undescribed or disordered parameters; undocumented returns.
SERIOUS = {"GL08", "SS01", "PR01", "PR02", "PR03", "PR04", "PR07", "PR10", "RT03"}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_everything_public_has_a_docstring_that_covers_its_signature(name):
    validate = pytest.importorskip("numpydoc.validate")
    thing = DOCUMENTED[name]
    doc = inspect.getdoc(thing)
    assert doc
    errors = dict(validate.validate(name)["errors"])
    serious = {code: text for code, text in errors.items() if code in SERIOUS}
    if "\n" not in doc:  # one line is enough for a small method
        serious.pop("PR01", None)
    if is_dataclass(thing):  # its fields are parameters and attributes at once
        serious.pop("PR01", None)
        docscrape = pytest.importorskip("numpydoc.docscrape")
        listed = {entry.name for entry in docscrape.ClassDoc(thing)["Attributes"]}
        assert listed >= {field.name for field in fields(thing)}
    assert serious == {}


def test_the_docstring_of_an_estimator_lists_its_parameters_with_their_defaults():
    doc = pytest.importorskip("numpydoc.docscrape").ClassDoc(MatrixFactorization)
    listed = {entry.name: entry.type for entry in doc["Parameters"]}
    signature = inspect.signature(MatrixFactorization).parameters
    assert list(listed) == list(signature)
    for name, parameter in signature.items():
        stated = eval(listed[name].rpartition("default=")[2], {"np": np})
        assert stated is parameter.default or stated == parameter.default


def test_the_docstring_of_an_estimator_lists_what_a_fit_sets():
    doc = pytest.importorskip("numpydoc.docscrape").ClassDoc(MatrixFactorization)
    listed = {entry.name for entry in doc["Attributes"]}
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(np.outer(np.arange(1.0, 6), [1.0, 2, 3]), columns=["a", "b", "c"])
    fitted = vars(MatrixFactorization(1).fit(X))
    assert listed == {name for name in fitted if name.endswith("_") or name == "n_features_in_"}


class TestDiscovery:
    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            (discovery.all_estimators, [("MatrixFactorization", MatrixFactorization)]),
            (
                discovery.all_solvers,
                [
                    ("als", solvers.ALS),
                    ("gd", solvers.GradientDescent),
                    ("sgd", solvers.SGD),
                    ("svd", solvers.Spectral),
                ],
            ),
            (
                discovery.all_losses,
                [
                    ("absolute", losses.Absolute),
                    ("huber", losses.Huber),
                    ("logistic", losses.Logistic),
                    ("poisson", losses.Poisson),
                    ("quantile", losses.Quantile),
                    ("squared", losses.Squared),
                ],
            ),
            (discovery.all_penalties, [("ridge", penalties.Ridge)]),
        ],
        ids=["estimators", "solvers", "losses", "penalties"],
    )
    def test_lists_name_every_class_in_order(self, found, expected):
        assert set(expected) <= set(found())
        assert found() == sorted(found())

    def test_every_subclass_in_the_package_is_found(self):
        def below(base):
            for cls in base.__subclasses__():
                yield cls
                yield from below(cls)

        pairs = [
            (solvers.BaseSolver, discovery.all_solvers),
            (losses.BaseLoss, discovery.all_losses),
            (penalties.BasePenalty, discovery.all_penalties),
        ]
        for base, found in pairs:
            # A loss without a name is one that its own estimators make.
            in_package = {
                cls
                for cls in below(base)
                if cls.__module__.startswith("sklearn_mf.") and hasattr(cls, "name")
            }
            assert in_package == {cls for _, cls in found()}

    def test_names_are_those_of_the_classes(self):
        for found in (discovery.all_solvers, discovery.all_losses, discovery.all_penalties):
            assert all(cls.name == name for name, cls in found())
