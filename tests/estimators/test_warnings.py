"""Warnings point at the line of the user: this file, whatever lies between it and the package."""

import ast
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import low_rank, punch_holes, starts
from scipy import sparse
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import sklearn_mf
from sklearn_mf import (
    NMF,
    FactorizationImputer,
    ImplicitFactorization,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
    TripletRegressor,
    non_negative_factorization,
)
from sklearn_mf.model_selection import EntryHoldout, MaskedEntryScorer, cross_val_entries

PACKAGE = Path(sklearn_mf.__file__).parent


def holed():
    return punch_holes(low_rank())


def without_row(X=None):
    X = holed() if X is None else X
    X[3] = np.nan
    return X


def without_column():
    X = holed()
    X[:, 3] = np.nan
    return X


def model(**parameters):
    return MatrixFactorization(**{"n_components": 2, "solver": "als", "alpha_W": 0.1} | parameters)


def positive():
    return np.abs(low_rank())


def short(**parameters):
    """An estimator that does not converge."""
    return model(tol=1e-12, max_iter=2, **parameters)


def as_frames(estimator):
    return estimator.set_output(transform="pandas")


def fitted():
    return model().fit(holed())


def counts():
    X = np.random.default_rng(0).poisson(3.0, size=(30, 5))
    return MatrixFactorization(2, loss="poisson", alpha_W=0.1).fit(X)


EMPTY_ROW, EMPTY_COLUMN = "1 of 30 samples have no", "1 of 20 features have no"
NOT_CONVERGED, NOTHING, NO_SCORE = "did not converge", "this batch", "score is not defined"
# What to call, and how the warning begins.
CASES = {
    "fit": (lambda: model().fit(without_row()), EMPTY_ROW),
    "weights as y": (lambda: model().fit(holed(), np.linspace(0.5, 2, 30)), "y is not used"),
    "fit_transform": (lambda: model().fit_transform(without_row()), EMPTY_ROW),
    "fit_transform of frames": (lambda: as_frames(model()).fit_transform(without_row()), EMPTY_ROW),
    "transform": (lambda: fitted().transform(without_row()), EMPTY_ROW),
    "transform of frames": (lambda: as_frames(fitted()).transform(without_row()), EMPTY_ROW),
    "predict_entries": (lambda: fitted().predict_entries(without_row(), [0, 3], [1, 1]), "1 of 2"),
    "fit without column": (lambda: model().fit(without_column()), EMPTY_COLUMN),
    "transform_columns": (
        lambda: fitted().transform_columns(without_column(), fitted().transform(holed())),
        EMPTY_COLUMN,
    ),
    "score": (lambda: fitted().score(np.full((3, 20), np.nan)), NO_SCORE),
    "score of interactions": (
        lambda: ImplicitFactorization(2, random_state=0).fit(np.eye(6)).score(np.eye(6)),
        NO_SCORE,
    ),
    "values by an estimator that ranks": (
        lambda: TripletRegressor(ImplicitFactorization(2, random_state=0)).fit(
            [["a", "x"], ["a", "y"], ["b", "x"], ["b", "z"]], [1.0, 2.0, 3.0, 5.0]
        ),
        "ImplicitFactorization ranks pairs",
    ),
    "recommend": (
        lambda: fitted().recommend(np.ones((3, 20)), n=2),
        "Nothing is left to recommend",
    ),
    "partial_fit": (lambda: fitted().partial_fit(np.full((3, 20), np.nan)), NOTHING),
    "not converged": (lambda: short().fit(holed()), NOT_CONVERGED),
    "not converged, frames": (lambda: as_frames(short()).fit_transform(holed()), NOT_CONVERGED),
    "early stopping": (
        lambda: short(early_stopping=True, random_state=0).fit(holed()),
        "early_stopping=True",
    ),
    "in a pipeline": (
        lambda: make_pipeline(FunctionTransformer(), short()).fit_transform(holed()),
        NOT_CONVERGED,
    ),
    "in a grid search": (
        lambda: GridSearchCV(short(), {"n_components": [1, 2]}, cv=2).fit(holed()),
        NOT_CONVERGED,
    ),
    "in a scorer": (lambda: MaskedEntryScorer()(fitted(), without_row()), EMPTY_ROW),
    "in a cross-validation": (lambda: cross_val_entries(short(), holed(), cv=2), NOT_CONVERGED),
    "in a hold-out": (lambda: EntryHoldout(short()).fit(holed()), NOT_CONVERGED),
    "the last fit of a search": (
        lambda: RankSearchCV(short(), [1, 2], cv=2, random_state=0).fit(holed()),
        NOT_CONVERGED,
    ),
    "an imputer": (
        lambda: FactorizationImputer(random_state=0).fit_transform(without_column()),
        "Features without any observed value",
    ),
    "an imputer of too little": (
        lambda: FactorizationImputer(random_state=0).fit(np.where(np.eye(4), 1.0, np.nan)),
        "The rank cannot be chosen",
    ),
    "the score of an imputer of one row": (
        lambda: FactorizationImputer(random_state=0).fit(holed()).score(holed()[:1]),
        NO_SCORE,
    ),
    "infinite rates": (
        lambda: counts().inverse_transform(np.full((1, 2), 1e4)),
        "predictions under loss='poisson' are infinite",
    ),
    "an imputer's estimator": (
        lambda: FactorizationImputer(short()).fit_transform(holed()),
        NOT_CONVERGED,
    ),
    "NMF": (lambda: NMF(2, tol=1e-12, max_iter=2).fit_transform(positive()), NOT_CONVERGED),
    "NMF, frames": (
        lambda: as_frames(NMF(2, tol=1e-12, max_iter=2)).fit_transform(positive()),
        NOT_CONVERGED,
    ),
    "NMF that ignores a start": (
        lambda: NMF(2).fit(positive(), **dict(zip("WH", starts(positive(), 2), strict=True))),
        "W and H are ignored",
    ),
    "NMF from zeros": (
        lambda: NMF(2, init="nndsvd", solver="mu", tol=1e-2).fit(positive()),
        "The multiplicative update",
    ),
    "MiniBatchNMF": (
        lambda: MiniBatchNMF(2).fit(positive()).partial_fit(np.full((3, 20), np.nan)),
        NOTHING,
    ),
    "MiniBatchNMF that ignores a start": (
        lambda: MiniBatchNMF(2).partial_fit(
            positive(), **dict(zip("WH", starts(positive(), 2), strict=True))
        ),
        "W and H are ignored",
    ),
    "non_negative_factorization": (
        lambda: non_negative_factorization(without_row(positive()), n_components=2),
        EMPTY_ROW,
    ),
    "a forgotten unstored": (
        lambda: model(bias="both").fit(sparse.csr_array(np.diag([1.0, 3, 3, 2, 3]))),
        "look like ratings",
    ),
    "unstored without effect": (
        lambda: model(unstored="missing").fit_transform(low_rank()),
        "X is dense",
    ),
    "a long table": (
        lambda: model().fit(np.column_stack([np.argwhere(np.ones((20, 15))), np.ones(300)])),
        "(user, item, rating)",
    ),
    "a single penalty": (
        lambda: as_frames(model(alpha_H=0.0, tol=1e-2)).fit_transform(low_rank()),
        "hardly any effect",
    ),
    "short rows": (
        lambda: as_frames(model(alpha_W=0.0).fit(low_rank())).transform(
            np.where(np.arange(20) == 3, low_rank(), np.nan)
        ),
        "have fewer observed entries",
    ),
    "a score of one row": (lambda: model().fit(low_rank()).score(low_rank()[:1]), NO_SCORE),
    "a mark that marks nothing": (
        lambda: as_frames(model(missing_values=-999)).fit_transform(low_rank()),
        "does not occur",
    ),
    "codes alone": (
        lambda: non_negative_factorization(
            positive(), *starts(positive(), 2), n_components=2, update_H=False
        ),
        "When update_H=False, the provided initial W is not used",
    ),
}


@cache
def issued(name):
    """Every warning that a case issues."""
    call, _ = CASES[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return caught


@pytest.mark.parametrize("name", CASES)
def test_a_warning_points_at_the_line_of_the_user(name):
    _, text = CASES[name]
    assert any(text in str(warning.message) for warning in issued(name))
    assert {warning.filename for warning in issued(name)} == {__file__}


def is_warn(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "warn"


def texts():
    """The longest piece without a placeholder of every warning in the package."""
    for path in PACKAGE.rglob("*.py"):
        for node in filter(is_warn, ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
            message = node.args[0]
            pieces = message.values if isinstance(message, ast.JoinedStr) else [message]
            yield max((p.value for p in pieces if isinstance(p, ast.Constant)), key=len)


def test_every_warning_of_the_package_is_issued_above():
    messages = [str(warning.message) for name in CASES for warning in issued(name)]
    at_import = "The compiled kernels of sklearn_mf"
    missed = {t for t in texts() if not any(t in message for message in messages)}
    assert [text for text in missed if at_import not in text] == []


def test_nothing_else_warns():
    sources = {path.name: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert [name for name, source in sources.items() if "warnings.warn" in source] == [
        "_warnings.py"
    ]
    assert not any("stacklevel" in s for name, s in sources.items() if name != "_warnings.py")


def test_the_warning_of_missing_kernels_points_at_the_import(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nsys.modules['sklearn_mf.kernels._rows'] = None\nimport sklearn_mf  # here\n",
        encoding="utf-8",
    )
    ran = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
        env={"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert f"{script}:3: RuntimeWarning" in ran.stderr


def test_where_nobody_outside_is_on_the_stack_a_warning_still_comes_out():
    from threading import Thread

    from sklearn_mf.utils._warnings import warn

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread = Thread(target=warn, args=("as it is",))
        thread.start()
        thread.join()
    assert [str(warning.message) for warning in caught] == ["as it is"]


def test_frames_are_walked_as_python_itself_does(monkeypatch):
    """Python 3.12 skips by itself; both ways lead to the same line."""
    if sys.version_info < (3, 12):
        pytest.skip("there is one way")
    ours = issued("transform of frames")
    monkeypatch.setattr("sklearn_mf.utils._warnings.sys.version_info", (3, 11))
    issued.cache_clear()
    theirs = issued("transform of frames")
    assert [w.lineno for w in ours] == [w.lineno for w in theirs]
