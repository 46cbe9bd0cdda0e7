"""What users are told who meant something else: what is wrong, where, and what to write instead."""

import numpy as np
import pandas as pd
import pytest
from conftest import fit_for, low_rank, punch_holes
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
)
from sklearn_mf.losses import LOSSES, BaseLoss, Huber, Squared
from sklearn_mf.model_selection import (
    EntryHoldout,
    EntryKFold,
    MaskedEntryScorer,
    bi_cross_val_score,
    cross_val_entries,
)
from sklearn_mf.solvers import SOLVERS, Adam, BaseSolver
from sklearn_mf.starts.nonnegative import NONNEGATIVE_INITS

NAMES = ["age", "height", "weight", "income"]


def complete(n_features=4):
    return low_rank(30, n_features, rank=2)


def model(**parameters):
    return MatrixFactorization(**{"n_components": 2, "random_state": 0} | parameters)


def message(call, *args, error=ValueError, **kwargs):
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def misspelled(name):
    """Two letters exchanged, or one too many."""
    return {name[:1] + name[2:3] + name[1:2] + name[3:], name + name[-1], name.upper()} - {name}


class TestNames:
    @pytest.mark.parametrize("name", sorted(LOSSES))
    def test_losses(self, name):
        for wrong in misspelled(name):
            told = message(model(loss=wrong).fit, complete())
            assert "'loss' parameter of MatrixFactorization" in told
            assert told.endswith(f"Did you mean {name!r}?")

    @pytest.mark.parametrize("name", sorted(LOSSES))
    def test_losses_of_columns(self, name):
        for wrong in misspelled(name):
            told = message(model(loss={wrong: slice(None)}).fit, complete())
            assert told.endswith(f"Did you mean {name!r}?")

    @pytest.mark.parametrize("name", [name for name in SOLVERS if len(name) > 2])
    def test_solvers(self, name):
        wrong = name + name[-1]
        told = message(model(solver=wrong).fit, complete())
        assert told.endswith(f"Did you mean {name!r}?")

    @pytest.mark.parametrize("cls", [NMF, MiniBatchNMF])
    @pytest.mark.parametrize("name", NONNEGATIVE_INITS)
    def test_starts(self, cls, name):
        told = message(cls(2, init=name.upper()).fit, np.abs(complete()))
        assert told.endswith(f"Did you mean {name!r}?")

    @pytest.mark.parametrize(
        ("estimator", "name"),
        [
            (model(bias="feature"), "features"),
            (model(init="randon"), "random"),
            (model(unstored="mssing"), "missing"),
            (model(n_components="Auto"), "auto"),
            (NMF(2, beta_loss="kullback-leiber"), "kullback-leibler"),
            (MiniBatchNMF(2, alpha_H="sam"), "same"),
        ],
    )
    def test_other_parameters(self, estimator, name):
        told = message(estimator.fit, np.abs(complete()))
        assert told.endswith(f"Did you mean {name!r}?")

    @pytest.mark.parametrize(("wrong", "name"), [("rsme", "rmse"), ("R2", "r2"), ("NDCG", "ndcg")])
    def test_metrics(self, wrong, name):
        X = complete()
        for call in (
            lambda: MaskedEntryScorer(metric=wrong)(model().fit(X), X),
            lambda: cross_val_entries(model(), X, metric=wrong),
            lambda: EntryHoldout(model(), metric=wrong).fit(X),
        ):
            assert message(call).endswith(f"Did you mean {name!r}?")

    def test_parameters_of_splitters(self):
        told = message(lambda: next(EntryKFold(stratify="row").split(complete())))
        assert told.endswith("Did you mean 'rows'?")

    @pytest.mark.parametrize("columns", ["heght", ["age", "heght"]])
    def test_columns_of_a_loss(self, columns):
        told = message(model(loss={"huber": columns}).fit, pd.DataFrame(complete(), columns=NAMES))
        assert "X has no column 'heght'" in told
        assert told.endswith("Did you mean 'height'?")

    def test_columns_to_round(self):
        X = pd.DataFrame(punch_holes(complete()), columns=NAMES)
        told = message(FactorizationImputer(round_features=["Income"]).fit, X)
        assert "X has no column 'Income'" in told
        assert told.endswith("Did you mean 'income'?")

    def test_nothing_is_asked_where_nothing_is_alike(self):
        assert "Did you mean" not in message(model(solver="newton").fit, complete())
        assert "Did you mean" not in message(model(alpha_W="none").fit, complete())


class TestClassesForObjects:
    @pytest.mark.parametrize("loss", [Huber, {Huber: slice(None)}, [(Huber, slice(None))]])
    def test_losses(self, loss):
        assert message(model(loss=loss).fit, complete()).endswith(
            "Huber is a class: pass an object, Huber()."
        )

    def test_solvers(self):
        assert "pass an object, Adam()" in message(model(solver=Adam).fit, complete())

    @pytest.mark.parametrize(
        "estimator",
        [
            RankSearchCV(MatrixFactorization, [1, 2]),
            EntryHoldout(MatrixFactorization),
            FactorizationImputer(MatrixFactorization),
        ],
        ids=lambda estimator: type(estimator).__name__,
    )
    def test_estimators(self, estimator):
        told = message(estimator.fit, punch_holes(complete()))
        assert "'estimator' parameter" in told
        assert "pass an object, MatrixFactorization()" in told


class Unfinished(BaseLoss):
    """A loss without a derivative."""

    name = "unfinished"

    def value(self, x, m):
        return (x - m) ** 2


class Empty(BaseLoss):
    """A loss of nothing."""

    name = "empty"


class TestLosses:
    @pytest.mark.parametrize("solver", ["auto", "als", "gd", "sgd", "lbfgs"])
    @pytest.mark.parametrize("wrap", [lambda loss: loss, lambda loss: [loss] * 4])
    def test_one_without_a_gradient(self, wrap, solver):
        told = message(model(loss=wrap(Unfinished()), solver=solver).fit, complete())
        assert "loss=Unfinished() does not define gradient(x, m)" in told

    def test_one_without_a_value(self):
        assert "Empty() does not define value(x, m)" in message(model(loss=Empty()).fit, complete())

    @pytest.mark.parametrize("loss", [["squared"] * 4, {Squared(): slice(None)}])
    def test_multiplicative_updates_of_several(self, loss):
        told = message(model(loss=loss, solver="mu", positive=True).fit, np.abs(complete()))
        assert "solver='mu' needs the same loss for all columns" in told
        assert "'als'" in told.split("Use one of", 1)[1]

    @pytest.mark.parametrize("name", sorted(LOSSES))
    def test_multiplicative_updates_of_one_loss_in_a_list(self, name):
        X = fit_for(name, np.abs(complete()))
        told = message(model(loss=[name] * 4, solver="mu", positive=True).fit, X)
        assert told.startswith("solver='mu' needs")


class TestExactData:
    @pytest.mark.parametrize("seed", range(10))
    @pytest.mark.parametrize("share", [0.0, 0.2])
    def test_coordinate_descent_that_never_stops_by_itself(self, share, seed):
        rng = np.random.default_rng(seed)
        W, H = rng.random((8, 2)), rng.random((2, 5))
        X = W @ H
        X[rng.random(X.shape) < share] = np.nan
        fitted = NMF(2, init="custom", tol=0, max_iter=20).fit(X, W=W, H=H)
        np.testing.assert_allclose(fitted.components_.T @ np.ones(2), H.T @ np.ones(2), atol=1)
        assert fitted.reconstruction_err_ < 1e-7
        assert fitted.n_iter_ == 20


class TestScorers:
    @pytest.mark.parametrize("metric", ["rmse", max])
    def test_a_metric_is_no_fraction(self, metric):
        X = complete()
        told = message(MaskedEntryScorer(metric), model().fit(X), X)
        assert f"use MaskedEntryScorer(metric={metric!r})" in told


class Infinite(BaseEstimator):
    """Codes that are no codes."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def inverse_transform(self, X):
        return np.full_like(X, np.inf)


class TestImputers:
    def test_an_estimator_that_predicts_infinity_is_named(self):
        told = message(FactorizationImputer(Infinite()).fit_transform, punch_holes(complete()))
        assert told.startswith("Infinite predicts values that are not finite")

    @pytest.mark.parametrize("scale", [1e150, 1e160, 1e300])
    def test_data_whose_squares_overflow(self, scale):
        X = scale * punch_holes(complete())
        with np.errstate(all="ignore"):
            try:
                filled = FactorizationImputer(random_state=0).fit_transform(X)
            except ValueError as error:
                told = str(error)
            else:
                told = "" if np.isfinite(filled).all() else "infinite"
        assert told in ("", "X is too large to impute from: its squares overflow. Scale X.")


class Lazy(BaseSolver):
    """A solver that does nothing."""

    name = "lazy"


class Forgetful(BaseSolver):
    """A solver that returns nothing."""

    name = "forgetful"

    def _step(self, problem, state):
        pass


class Destructive(BaseSolver):
    """A solver that leaves nothing."""

    name = "destructive"

    def _step(self, problem, state):
        state.W = None
        return 1.0


class TestOtherMistakes:
    """What was an error of another kind, or none at all."""

    @pytest.mark.parametrize(
        ("estimator", "arguments", "told"),
        [
            (model(init=np.ones((3, 4))), {}, "init has the shape"),
            (model(init=lambda X, k, rng: np.ones((k, k))), {}, "callable init returned has"),
            (model(solver=Lazy()), {}, "define _step"),
            (model(solver=Forgetful()), {}, "Forgetful._step must return the objective"),
            (model(solver=Destructive()), {}, "Destructive returned factors of shapes None"),
            (NMF("auto", init="custom"), {"W": np.ones(30)}, "Expected 2D array"),
            (NMF(2, beta_loss=np.inf, solver="mu"), {}, "'beta_loss' parameter of NMF"),
            (NMF(2, beta_loss=np.nan, solver="mu"), {}, "'beta_loss' parameter of NMF"),
            (FactorizationImputer(min_value={"a": 1}), {}, "only supported for dataframes"),
            (FactorizationImputer(max_value=["a"] * 4), {}, "max_value of 'x0' must be a number"),
            (FactorizationImputer(round_features=True), {}, "Use slice(None) for all"),
            (model(loss={"huber": True}), {}, "Use slice(None) for all"),
            (RankSearchCV(model(), [1, 2], cv=[1, 2]), {}, "cv must be a splitter of entries"),
        ],
    )
    def test_in_fit(self, estimator, arguments, told):
        assert told in message(estimator.fit, np.abs(complete()), **arguments)

    @pytest.mark.parametrize("cv", ["five", 2.5, [1, 2], [([0.0], [1.0])], [("a", "b")]])
    def test_splits(self, cv):
        assert "cv" in message(cross_val_entries, model(), complete(), cv=cv)
        assert "cv" in message(RankSearchCV(model(), [1, 2], cv=cv).fit, complete())

    def test_splits_of_rows(self):
        told = message(cross_val_entries, model(), complete(), cv=KFold(3))
        assert "cv seems to split the rows of X" in told

    @pytest.mark.parametrize("cv", [3, 2.0, "23", None])
    def test_splits_of_blocks(self, cv):
        assert "cv must be a tuple of two integers" in message(
            bi_cross_val_score, model(), complete(), cv=cv
        )

    def test_scorers_of_what_reconstructs_nothing(self):
        X = complete()
        told = message(MaskedEntryScorer(), LinearRegression().fit(X, X[:, 0]), X)
        assert told.startswith("LinearRegression has no transform")

    @pytest.mark.parametrize("metric", [lambda x, m: x - m, lambda x, m: "small"])
    def test_metrics_that_return_no_number(self, metric):
        X = complete()
        told = message(MaskedEntryScorer(metric=metric), model(alpha_W=0.1).fit(X), X)
        assert "must return one number" in told
