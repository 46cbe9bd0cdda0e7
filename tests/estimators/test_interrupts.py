"""Ctrl-C and errors at any point: an estimator is as it was, or has the last good factors."""

import os
import pickle
import sys

import numpy as np
import pytest
from conftest import above_kernels, punch_holes, release_lock

import sklearn_mf
from sklearn_mf import NMF, FactorizationImputer, MatrixFactorization, MiniBatchNMF, RankSearchCV
from sklearn_mf.model_selection import EntryHoldout
from sklearn_mf.utils._all_at_once import Interrupted, all_at_once

PACKAGE = os.path.dirname(sklearn_mf.__file__) + os.sep


# At how many lines of a fit Ctrl-C is pressed.
N_POINTS = 10


class Injected:
    """Counts lines of the package, and raises a KeyboardInterrupt at one of them."""

    def __init__(self, at=None, files=PACKAGE):
        self.at, self.files, self.n_lines = at, files, 0

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *exception):
        sys.settrace(self.before)
        release_lock()

    def trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(self.files):
            return None
        if event == "line":
            if self.n_lines == self.at:
                sys.settrace(None)
                self.n_lines += 1
                raise KeyboardInterrupt
            self.n_lines += 1
        return self.trace


def table(seed, n_features=6, names=""):
    rng = np.random.default_rng(seed)
    X = rng.random((30, 2)) @ rng.random((2, n_features)) + 0.1 * rng.random((30, n_features))
    X = punch_holes(X, 0.15, seed=seed)
    if not names:
        return X
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(X, columns=[f"{names}{i}" for i in range(n_features)])


SMALL = {"max_iter": 6, "tol": 0, "random_state": 0}
FITS = {
    "als": MatrixFactorization(2, alpha_W=0.01, bias="both", solver="als", **SMALL),
    "lbfgs": MatrixFactorization(2, loss="huber", alpha_W=0.01, solver="lbfgs", **SMALL),
    "adam": MatrixFactorization(2, alpha_W=0.01, bias="features", solver="adam", **SMALL),
    "early stopping": MatrixFactorization(
        2, alpha_W=0.01, solver="gd", early_stopping=True, n_iter_no_change=50, **SMALL
    ),
    "warm start": MatrixFactorization(2, alpha_W=0.01, solver="als", warm_start=True, **SMALL),
    "cd": NMF(2, init="random", **SMALL),
    "mu": NMF(2, solver="mu", beta_loss=1, init="random", **SMALL),
    "mini-batch": MiniBatchNMF(2, batch_size=10, init="random", max_no_improvement=None, **SMALL),
}
OTHERS = {
    "auto": MatrixFactorization("auto", alpha_W=0.01, random_state=0, max_iter=20, tol=1e-3),
    "imputer": FactorizationImputer(random_state=0, add_indicator=True),
    "imputer of an estimator": FactorizationImputer(MatrixFactorization(1, alpha_W=0.01)),
    "search": RankSearchCV(
        MatrixFactorization(alpha_W=0.01, random_state=0, tol=1e-3), [1, 2], cv=2, random_state=0
    ),
    "search one by one": RankSearchCV(
        NMF(init="random", random_state=0, max_iter=30, tol=1e-2), [1, 2], cv=2, random_state=0
    ),
    "holdout": EntryHoldout(MatrixFactorization(1, alpha_W=0.01, random_state=0)),
}


def copy(estimator):
    return pickle.loads(pickle.dumps(estimator))


def points(fit):
    """Lines of the package to interrupt a fit at, evenly over all of its run."""
    with Injected() as counted:
        fit()
    return np.unique(np.linspace(0, counted.n_lines - 1, N_POINTS).astype(int))


def same(a, b):
    return pickle.dumps(a) == pickle.dumps(b)


def frozen(estimator):
    """All that a fit may change, and the very objects."""
    return dict(vars(estimator)), {
        name: same_bytes(value) for name, value in vars(estimator).items()
    }


def same_bytes(value):
    return pickle.dumps(value)


def is_as_before(estimator, before):
    objects, values = before
    now = vars(estimator)
    return now.keys() == objects.keys() and all(
        now[name] is objects[name] and same_bytes(now[name]) == values[name] for name in now
    )


def interrupted(estimator, fit, at):
    """Interrupt a fit; where it ended sooner this time, without a Ctrl-C, that is no loss."""
    with Injected(at) as injected:
        try:
            fit(estimator)
        except KeyboardInterrupt:
            return
    assert injected.n_lines <= at, "the KeyboardInterrupt was swallowed"


def check_the_last_good_factors(estimator, old, X):
    """Truth: a fit that was told to end after as many iterations."""
    n_iter = estimator.n_iter_
    full = copy(old).set_params(max_iter=n_iter, **({"tol": 0} if n_iter else {})).fit(X)
    if getattr(estimator, "early_stopping", False):
        scores = estimator.validation_scores_
        assert len(scores) <= n_iter
        best = 1 + int(np.argmax(scores)) if scores else n_iter
        full = copy(old).set_params(max_iter=max(best, len(scores) + (not scores))).fit(X)
    for name in ("components_", "feature_bias_", "reconstruction_err_"):
        np.testing.assert_array_equal(getattr(estimator, name), getattr(full, name), name)
    assert estimator.n_features_in_ == X.shape[1]
    assert len(estimator.loss_curve_) == len(estimator.loss_curve_seconds_) == n_iter
    np.testing.assert_array_equal(estimator.transform(X), full.transform(X))
    if hasattr(estimator, "partial_fit"):
        for model in (estimator, full):
            model.partial_fit(X)
        np.testing.assert_array_equal(estimator.components_, full.components_)


@above_kernels
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", FITS)
def test_a_second_fit_leaves_the_first_or_its_last_good_factors(name):
    first, second = table(0, 5, "a"), table(1, 6, "b")
    if name == "warm start":
        second = table(1, 5, "a")
    old = copy(FITS[name]).fit(first)
    kept = 0
    for at in points(lambda: copy(old).fit(second)):
        model = copy(old)
        before = frozen(model)
        interrupted(model, lambda model: model.fit(second), at)
        if is_as_before(model, before):
            continue
        kept += 1
        check_the_last_good_factors(model, old, second)
    assert kept > 0


@above_kernels
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", OTHERS)
def test_a_second_fit_without_factors_of_its_own_leaves_the_first(name):
    first, second = table(0, 5, "a"), table(1, 6, "b")
    old = copy(OTHERS[name]).fit(first)
    full = copy(old).fit(second)
    for at in points(lambda: copy(old).fit(second)):
        model = copy(old)
        before = frozen(model)
        interrupted(model, lambda model: model.fit(second), at)
        if not is_as_before(model, before):  # the very last lines, or iterations of the last fit
            assert list(model.feature_names_in_) == list(second.columns)
            for attribute in ("n_components_", "best_rank_", "hidden_errors_"):
                if hasattr(full, attribute):
                    assert getattr(model, attribute) == getattr(full, attribute)
            if hasattr(full, "cv_results_"):
                key = "mean_test_score"
                np.testing.assert_array_equal(model.cv_results_[key], full.cv_results_[key])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["als", "mini-batch"])
@pytest.mark.parametrize("fitted", [False, True])
def test_a_batch_that_is_interrupted_never_was(name, fitted):
    X, batch = table(0), table(1)
    old = copy(FITS[name])
    if fitted:
        old.fit(X)
    full = copy(old).partial_fit(batch)
    for at in points(lambda: copy(old).partial_fit(batch)):
        model = copy(old)
        before = frozen(model)
        interrupted(model, lambda model: model.partial_fit(batch), at)
        assert is_as_before(model, before) or same(vars(model), vars(full))
        if is_as_before(model, before):
            model.partial_fit(batch)
            np.testing.assert_array_equal(model.components_, full.components_)


@above_kernels
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", [*FITS, *OTHERS])
def test_a_first_fit_that_is_interrupted_leaves_nothing_or_all(name):
    estimator, X = {**FITS, **OTHERS}[name], table(0)
    full = copy(estimator).fit(X)
    for at in points(lambda: copy(estimator).fit(X)):
        model = copy(estimator)
        before = frozen(model)
        interrupted(model, lambda model: model.fit(X), at)
        assert is_as_before(model, before) or vars(model).keys() == vars(full).keys()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_ctrl_c_in_the_first_score_of_hidden_entries_is_no_other_error():
    validation = PACKAGE + os.path.join("fitting", "early_stopping.py")
    model = copy(FITS["early stopping"])
    X = table(0)
    with Injected(files=validation) as counted:
        copy(model).fit(X)
    assert counted.n_lines > 5
    for at in range(min(60, counted.n_lines)):
        with Injected(at, validation), pytest.raises(KeyboardInterrupt):
            copy(model).fit(X)


@pytest.mark.parametrize("name", [*FITS, *OTHERS])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_fails_leaves_the_last_one(name):
    model = copy({**FITS, **OTHERS}[name]).fit(table(0))
    before = frozen(model)
    wrong = np.full((4, 9 + 5), np.nan)
    if name.startswith("imputer"):  # which takes a table without any value
        wrong[0, 0] = np.inf
    with pytest.raises(ValueError, match=r"no observed entry|at least|cannot hide any|missing|inf"):
        model.fit(wrong)
    assert is_as_before(model, before)


class TestAllAtOnce:
    class Estimator:
        def __init__(self):
            self.parameter = 1

        @all_at_once
        def fit(self, ends_with=None):
            """Fit."""
            self.half_ = 1
            if ends_with:
                raise ends_with
            self.whole_ = 1
            return self

    def test_it_returns_the_estimator_itself(self):
        estimator = self.Estimator()
        assert estimator.fit() is estimator
        assert vars(estimator) == {"parameter": 1, "half_": 1, "whole_": 1}
        assert estimator.fit.__doc__ == "Fit."

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_after_an_error_nothing_has_happened(self, error):
        estimator = self.Estimator()
        with pytest.raises(error):
            estimator.fit(error)
        assert vars(estimator) == {"parameter": 1}

    def test_what_was_complete_is_kept(self):
        estimator = self.Estimator()
        with pytest.raises(KeyboardInterrupt) as error:
            estimator.fit(Interrupted)
        assert error.type is KeyboardInterrupt
        assert estimator.half_ == 1

    def test_attributes_can_go_too(self):
        pytest.importorskip("pandas")
        model = MatrixFactorization(1, alpha_W=0.1).fit(table(0, names="a"))
        assert hasattr(model, "feature_names_in_")
        model.fit(table(0))
        assert not hasattr(model, "feature_names_in_")
