"""Random estimators and data for `fuzz.py`: one integer makes one case, always the same."""

from dataclasses import dataclass, field
from random import Random

import numpy as np
import pandas as pd
from scipy import sparse

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    MatrixFactorization,
    MiniBatchNMF,
    RankSearchCV,
)
from sklearn_mf.losses import Absolute, BetaDivergence, Huber, Logistic, Poisson, Quantile
from sklearn_mf.model_selection import EntryHoldout
from sklearn_mf.solvers import (
    ALS,
    LBFGS,
    SGD,
    Adam,
    CoordinateDescent,
    GradientDescent,
    MultiplicativeUpdate,
    Spectral,
)

NUMPY = ("C", "F", "strided", "backwards", "read-only", "list", "frame")
SPARSE = ("csr", "csc", "coo", "csr_matrix", "coo, duplicates", "csr, unsorted")


@dataclass
class Case:
    """What is to be tried.

    Attributes
    ----------
    seed : int
        Makes this case.
    kind : str
        What is called, a name in ``fuzz.CHECKS``.
    estimator : estimator or None
        On what, unless it is a function.
    dense : ndarray
        The data, NaN where they are missing: what the container holds.
    X : object
        The data in their container.
    weights : dict
        Arguments of `fit`: sample_weight, entry_weight.
    arguments : dict
        Other arguments, of functions.
    """

    seed: int
    kind: str
    estimator: object
    dense: np.ndarray
    X: object
    weights: dict = field(default_factory=dict)
    arguments: dict = field(default_factory=dict)

    @property
    def reproduction(self):
        """Lines of Python that do the same."""
        with np.printoptions(threshold=10_000, linewidth=100, floatmode="unique"):
            lines = [f"X = np.{self.dense!r}  # as {describe(self.X)}"]
            lines += [f"{name} = {value!r}" for name, value in self.weights.items()]
            lines += [f"{name} = {value!r}" for name, value in self.arguments.items()]
        return "\n".join([*lines, f"{self.kind}: {self.estimator!r}"])


def describe(X):
    """Name a container."""
    if isinstance(X, np.ndarray):
        return f"ndarray of strides {X.strides}, writeable={X.flags.writeable}"
    return type(X).__name__


def make(seed, *, scales=True):
    """The case of a seed."""
    draw = Random(seed)
    rng = np.random.default_rng(seed)
    kinds = {
        "MatrixFactorization": 50,
        "NMF": 18,
        "MiniBatchNMF": 8,
        "non_negative_factorization": 4,
        "FactorizationImputer": 7,
        "RankSearchCV": 2,
        "EntryHoldout": 3,
        "model_selection": 4,
        "select_rank": 3,
    }
    kind = draw.choices([*kinds], [*kinds.values()])[0]
    estimator = ESTIMATORS[kind](draw) if kind in ESTIMATORS else None
    dense = _data(draw, rng, _wish(draw, kind, estimator), scales)
    if kind == "select_rank":
        dense = np.nan_to_num(dense)
    case = Case(seed, kind, estimator, dense, None)
    case.X = _contained(draw, dense, _inner(estimator), kind == "FactorizationImputer")
    if kind in ("MatrixFactorization", "NMF", "MiniBatchNMF", "non_negative_factorization"):
        case.weights = _weights(draw, rng, case)
    _fit_parameters_to(case, draw, rng)
    return case


def _inner(estimator):
    """The factorization in an estimator, or the estimator."""
    return getattr(estimator, "estimator", None) or estimator


# Estimators ----------------------------------------------------------------------------------


def _penalties(draw):
    alpha = draw.choice([0.0, 0.0, 0.0, 1e-8, 0.01, 0.1, 1.0, 100.0, 1e6])
    return {
        "alpha_W": alpha,
        "alpha_H": draw.choice(["same", "same", "same", "same", 0.0, 0.1, 10.0]),
        "l1_ratio": draw.choice([0.0, 0.0, 0.0, 0.3, 1.0]),
    }


def _stopping(draw):
    return {
        "max_iter": draw.choice([1, 2, 5, 10, 30]),
        "tol": draw.choice([1e-4, 1e-4, 0.0, 1e-10, 0.1, 10.0]),
        "random_state": draw.randrange(5),
    }


def _loss(draw):
    if draw.random() < 0.65:
        return "squared"
    name = ["squared", "huber", "logistic", "poisson", "absolute", "quantile"]
    one = [
        *name,
        *name,
        Huber(delta=draw.choice([1e-3, 0.5, 100.0])),
        Logistic(classes=(0, 1)),
        Poisson(),
        Absolute(smoothing=draw.choice([1e-6, 1e-2, 1.0])),
        Quantile(draw.choice([0.01, 0.3, 0.9])),
        BetaDivergence(draw.choice([-1, 0, 0.5, 1, 1.5, 3])),
    ]
    if draw.random() < 0.8:
        return draw.choice(one)
    return [draw.choice(one[:12]) for _ in range(2)]  # `_fit_parameters_to` repeats them


def _solver(draw):
    solvers = [
        "als",
        "als",
        "svd",
        "cd",
        "mu",
        "gd",
        "lbfgs",
        "adam",
        "sgd",
        ALS(inner=draw.choice(["cholesky", "cg", "cd"]), memory=draw.choice([0, 1, 3])),
        Spectral(n_iter=draw.choice(["auto", 2])),
        CoordinateDescent(
            rounds=draw.choice(["auto", 1, 3]),
            extrapolated=draw.random() < 0.5,
            shuffle=draw.random() < 0.5,
        ),
        MultiplicativeUpdate(rounds=draw.choice(["auto", 2]), extrapolated=draw.random() < 0.5),
        GradientDescent(
            learning_rate=draw.choice(["auto", "auto", 0.1]),
            momentum=draw.choice([0.0, 0.5, "auto"]),
            nesterov=draw.random() < 0.5,
            preconditioned=draw.random() < 0.5,
        ),
        LBFGS(memory=draw.choice([1, 10]), projected=draw.choice([True, False])),
        Adam(
            learning_rate=draw.choice(["auto", "auto", 0.1]),
            schedule=draw.choice(["adaptive", "constant", "cosine"]),
            weight_decay=draw.choice([0.0, 0.1]),
            batch_size=draw.choice([None, 1, 7]),
            batches=draw.choice(["rows", "entries"]),
        ),
        SGD(
            learning_rate=draw.choice(["auto", "auto", 0.1]),
            schedule=draw.choice(["adagrad", "constant", "invscaling", "adaptive"]),
        ),
    ]
    return "auto" if draw.random() < 0.3 else draw.choice(solvers)


def _matrix_factorization(draw):
    solver = _solver(draw)
    is_mu = solver == "mu" or isinstance(solver, MultiplicativeUpdate)
    is_cd = solver == "cd" or isinstance(solver, CoordinateDescent)
    loss = "squared" if is_cd or solver == "svd" or isinstance(solver, Spectral) else _loss(draw)
    if is_mu:
        loss = draw.choice(["squared", BetaDivergence(draw.choice([-1, 0, 0.5, 1, 1.5, 3]))])
    positive = draw.choice([False, False, False, False, True, "W", "H"])
    is_beta = isinstance(loss, BetaDivergence)
    if is_beta and not is_mu:
        solver = draw.choice(["auto", "mu"])
    if draw.random() < 0.03:
        return MatrixFactorization(draw.choice(["auto", 0.7]), random_state=draw.randrange(5))
    return MatrixFactorization(
        draw.choice([1, 1, 1, 2, 2, 2, 3, 3, 5, None]),
        loss=loss,
        bias=False if is_mu or is_beta else draw.choice([False, "features", "samples", "both"]),
        positive=True if is_mu or is_beta else positive,
        **_penalties(draw),
        alpha_scaling=draw.choice([1.0, 1.0, 0.0, 0.5, 2.0]),
        unstored=draw.choice(["zero", "missing"]),
        solver=solver,
        init=draw.choice(["auto", "auto", "svd", "random"]),
        **_stopping(draw),
        early_stopping=draw.random() < 0.1,
        validation_fraction=draw.choice([0.1, 0.1, 0.01, 0.5]),
        n_iter_no_change=draw.choice([1, 5]),
        warm_start=draw.random() < 0.2,
        forget_factor=draw.choice([1.0, 0.9, 1e-3]),
    )


def _nonnegative(draw):
    return {
        "n_components": draw.choice([1, 2, 2, 3, 5, None, "auto"]),
        "init": draw.choice([None, "random", "nndsvd", "nndsvda", "nndsvdar"]),
        **_penalties(draw),
        **_stopping(draw),
        "unstored": draw.choice(["zero", "missing"]),
    }


BETA_LOSSES = ["frobenius", "frobenius", "kullback-leibler", "itakura-saito", -1.0, 0.5, 1.5, 3.0]


def _nmf(draw):
    solver = draw.choice(
        ["cd", "cd", "mu", CoordinateDescent(extrapolated=False, rounds=1), MultiplicativeUpdate()]
    )
    is_mu = solver == "mu" or isinstance(solver, MultiplicativeUpdate)
    return NMF(
        **_nonnegative(draw),
        solver=solver,
        beta_loss=draw.choice(BETA_LOSSES) if is_mu else "frobenius",
        shuffle=draw.random() < 0.2,
    )


def _minibatch_nmf(draw):
    return MiniBatchNMF(
        **_nonnegative(draw),
        beta_loss=draw.choice(BETA_LOSSES),
        batch_size=draw.choice([1, 2, 7, 1024]),
        max_no_improvement=draw.choice([1, 10, None]),
        forget_factor=draw.choice([0.0, 0.7, 1.0]),
        fresh_restarts=draw.random() < 0.2,
        fresh_restarts_max_iter=draw.choice([1, 5]),
        transform_max_iter=draw.choice([None, 3]),
    )


def _simple(draw):
    """A factorization that a search can go through."""
    if draw.random() < 0.3:
        return NMF(
            2, unstored="missing", max_iter=10, alpha_W=draw.choice([0.0, 0.1]), random_state=0
        )
    return MatrixFactorization(
        draw.choice([1, 2]),
        bias=draw.choice([False, "features", "both"]),
        alpha_W=draw.choice([0.0, 0.1]),
        positive=draw.choice([False, False, True]),
        unstored="missing",
        max_iter=10,
        random_state=draw.randrange(5),
    )


def _imputer(draw):
    return FactorizationImputer(
        _simple(draw) if draw.random() < 0.2 else None,
        add_indicator=draw.random() < 0.2,
        keep_empty_features=draw.random() < 0.3,
        min_value=draw.choice([-np.inf, -np.inf, -1.0]),
        max_value=draw.choice([np.inf, np.inf, 1.0]),
        sample_posterior=draw.random() < 0.2,
        random_state=draw.randrange(5),
    )


def _rank_search(draw):
    return RankSearchCV(
        _simple(draw),
        draw.choice([[1], [1, 2], [1, 3], [2, 1]]),
        alphas=draw.choice([None, None, [0.0, 0.1], [1.0, 0.01]]),
        cv=draw.choice([2, 3]),
        one_standard_error=draw.random() < 0.5,
        path_max_iter=draw.choice([1, 3]),
        random_state=draw.randrange(5),
    )


def _holdout(draw):
    return EntryHoldout(
        _simple(draw),
        test_size=draw.choice([0.1, 0.2, 0.5, 1, 3]),
        stratify=draw.choice([None, "rows", "columns"]),
        metric=draw.choice(["r2", "rmse", "mae", "deviance"]),
        random_state=draw.randrange(5),
    )


ESTIMATORS = {
    "MatrixFactorization": _matrix_factorization,
    "NMF": _nmf,
    "MiniBatchNMF": _minibatch_nmf,
    "non_negative_factorization": _nmf,
    "FactorizationImputer": _imputer,
    "RankSearchCV": _rank_search,
    "EntryHoldout": _holdout,
    "model_selection": _simple,
}


def _fit_parameters_to(case, draw, rng):
    """What depends on the shape of X: ranks that fit, columns of lists, a start."""
    n_features = case.dense.shape[1]
    estimator = _inner(case.estimator)
    if estimator is None:
        case.arguments = {
            "method": draw.choice(["gavish-donoho", "parallel"]),
            "n_permutations": draw.choice([1, 5]),
            "random_state": draw.randrange(5),
        }
        return
    if isinstance(getattr(estimator, "loss", None), list):
        losses = [estimator.loss[draw.randrange(2)] for _ in range(n_features)]
        estimator.loss = losses
        if draw.random() < 0.3:
            stated = {loss if isinstance(loss, str) else id(loss): loss for loss in losses}
            estimator.loss = {
                loss: [j for j in range(n_features) if losses[j] is loss]
                for loss in stated.values()
            }
    most = min(case.dense.shape)
    is_free = isinstance(estimator, NMF | MiniBatchNMF)
    if isinstance(estimator, FactorizationImputer):
        return
    needs_fit = not is_free or str(estimator.init).startswith("nndsvd")
    if isinstance(estimator.n_components, int) and needs_fit and draw.random() < 0.98:
        estimator.n_components = min(estimator.n_components, most)
    takes_start = isinstance(estimator, MatrixFactorization)
    if takes_start and isinstance(estimator.n_components, int) and draw.random() < 0.05:
        H = rng.integers(0, 3, size=(estimator.n_components, n_features))
        estimator.init = H.astype(case.dense.dtype)
    if case.kind in ("NMF", "MiniBatchNMF", "non_negative_factorization") and draw.random() < 0.1:
        k = draw.randint(1, 4)
        estimator.set_params(n_components=k, init="custom")
        dtype = case.dense.dtype
        case.arguments["W"] = rng.integers(0, 3, size=(len(case.dense), k)).astype(dtype)
        largest = np.nanmax(case.dense, initial=0) or 1.0  # a start in the unit of the data
        case.arguments["H"] = (largest * rng.integers(0, 3, (k, n_features))).astype(dtype)
    if case.kind == "non_negative_factorization" and "H" in case.arguments:
        case.arguments["update_H"] = draw.random() < 0.5
        if not case.arguments["update_H"]:
            del case.arguments["W"]  # which would not be used


# Data ----------------------------------------------------------------------------------------


def _wish(draw, kind, estimator):
    """What data the estimator takes; now and then others."""
    if draw.random() < 0.05:
        return "any"
    estimator = _inner(estimator)
    if isinstance(estimator, NMF | MiniBatchNMF):
        return "positive" if _takes_no_zero(getattr(estimator, "beta_loss", 2)) else "nonnegative"
    losses = getattr(estimator, "loss", "squared")
    losses = losses if isinstance(losses, list) else [losses]
    names = {loss if isinstance(loss, str) else type(loss).__name__.lower() for loss in losses}
    if any(isinstance(loss, BetaDivergence) and loss.beta <= 0 for loss in losses):
        return "positive"
    if "logistic" in names:
        uses_zero = any(isinstance(loss, Logistic) and 0 in loss.classes for loss in losses)
        mixed = {"poisson", "betadivergence"} & names
        return (
            "ones"
            if mixed or (len(losses) > 1 and uses_zero)
            else ("binary" if uses_zero else "signs")
        )
    solver = getattr(estimator, "solver", None)
    is_mu = solver == "mu" or isinstance(solver, MultiplicativeUpdate)
    return "nonnegative" if {"poisson", "betadivergence"} & names or is_mu else "any"


def _takes_no_zero(beta_loss):
    return beta_loss == "itakura-saito" or (not isinstance(beta_loss, str) and beta_loss <= 0)


def _data(draw, rng, wish, scales):
    """A small matrix, with NaN where it has holes."""
    n, p = draw.choice([1, 2, 3, 5, 8, 12, 30]), draw.choice([1, 2, 3, 4, 6, 12])
    X = _values(draw, rng, wish, (n, p))
    if draw.random() < 0.2:  # duplicated rows or columns
        X = X[rng.integers(0, n, n)] if draw.random() < 0.6 else X[:, rng.integers(0, p, p)]
    dtype = draw.choice([np.float64, np.float64, np.float32])
    if scales and wish in ("any", "nonnegative", "positive") and draw.random() < 0.15:
        most = 30 if dtype is np.float64 else 15
        X = X * (10.0 ** draw.choice([-most, -8, 8, most]) / max(1.0, np.abs(X).max()))
    return _holed(draw, rng, X.astype(dtype))


def _values(draw, rng, wish, shape):
    if wish == "signs":
        return rng.choice([-1.0, 1.0], size=shape)
    if wish == "binary":
        return rng.choice([0.0, 1.0], size=shape)
    if wish == "ones":
        return np.ones(shape)
    k = draw.randint(1, 3)
    sides = (shape[0], k), (k, shape[1])
    X = {
        "integers": lambda: rng.integers(-2, 3, shape),
        "counts": lambda: rng.integers(0, 4, shape),
        "constant": lambda: np.full(shape, draw.choice([-1.0, 0.1, 1.0, 3.0, 1 / 3])),
        "zeros": lambda: np.zeros(shape),
        "low rank": lambda: rng.normal(size=sides[0]) @ rng.normal(size=sides[1]),
        "low rank integers": lambda: rng.integers(-1, 3, sides[0]) @ rng.integers(-1, 3, sides[1]),
        "constant columns": lambda: np.ones((shape[0], 1)) * rng.normal(size=shape[1]),
        "noise": lambda: rng.normal(size=shape),
        "outlier": lambda: rng.normal(size=shape) * np.where(rng.random(shape) < 0.05, 1e4, 1),
        "units": lambda: rng.normal(size=shape) * 10.0 ** rng.integers(-5, 6, shape[1]),
        "far mean": lambda: 1e5 + rng.normal(size=shape),
        "few": lambda: rng.normal(size=shape) * (rng.random(shape) < 0.2),
    }
    X = X[draw.choice([*X])]().astype(np.float64)
    if wish in ("nonnegative", "positive"):
        X = np.abs(X)
    return X + (X == 0) if wish == "positive" else X


def _holed(draw, rng, X):
    share = draw.choice([0, 0, 0, 0.05, 0.3, 0.6, 0.9])
    X = np.where(rng.random(X.shape) < share, np.nan, X).astype(X.dtype)
    if draw.random() < 0.1:
        X[draw.randrange(X.shape[0])] = np.nan
    if draw.random() < 0.1:
        X[:, draw.randrange(X.shape[1])] = np.nan
    if draw.random() < 0.003:
        X[:] = np.nan
    return X


# Containers and weights ------------------------------------------------------------------------


def _contained(draw, X, estimator, imputes):
    """The data in a container, holes not stored where the estimator says so."""
    takes_sparse = isinstance(estimator, MatrixFactorization | NMF | MiniBatchNMF) and not imputes
    if takes_sparse and draw.random() < 0.35:
        return stored(draw, X, getattr(estimator, "unstored", "zero"))
    return dense_container(X, draw.choice(NUMPY))


def dense_container(X, name):
    """X in the memory layout, or the container, of a name."""
    n, p = X.shape
    if name == "F":
        return np.asfortranarray(X)
    if name == "strided":
        wide = np.full((2 * n, 3 * p), 7, dtype=X.dtype)
        wide[::2, ::3] = X
        return wide[::2, ::3]
    if name == "backwards":
        return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    if name == "read-only":
        X = X.copy()
        X.flags.writeable = False
        return X
    if name == "list":
        return X.tolist()
    if name == "frame":
        return pd.DataFrame(X, columns=[f"c{j}" for j in range(p)])
    return X.copy()


def stored(draw, X, unstored):
    """X as a sparse matrix, of whatever format."""
    rows, columns = np.nonzero(~np.isnan(X) if unstored == "missing" else X != 0)
    keeps = np.array(
        [draw.random() < 0.9 or X[i, j] != 0 for i, j in zip(rows, columns, strict=True)], bool
    )
    rows, columns = rows[keeps], columns[keeps]
    if unstored == "missing":
        X[X == 0] = np.nan
        X[rows, columns] = np.nan_to_num(X[rows, columns])
    values = X[rows, columns]
    name = draw.choice(SPARSE)
    if name == "coo, duplicates" and len(values):
        rows, columns = np.append(rows, rows[0]), np.append(columns, columns[0])
        values = np.append(values, values[:1] / 2)
        values[0] -= values[-1]
    if name == "csr, unsorted":
        order = np.lexsort((-columns, rows))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(X)))])
        csr = sparse.csr_array((values[order], columns[order], indptr), shape=X.shape)
        return csr
    coo = sparse.coo_array((values, (rows, columns)), shape=X.shape)
    formats = {"csc": sparse.csc_array, "csr_matrix": sparse.csr_matrix, "csr": sparse.csr_array}
    return formats[name](coo) if name in formats else coo


def _weights(draw, rng, case):
    weights, (n, p) = {}, case.dense.shape
    choice = draw.random()
    if choice < 0.15:
        weights["sample_weight"] = _weight(draw, rng, n)
    if 0.1 < choice < 0.25:
        entry_weight = _weight(draw, rng, (n, p)).astype(case.dense.dtype)
        if draw.random() < 0.3:
            entry_weight = sparse.csr_array(entry_weight)
        weights["entry_weight"] = entry_weight
    return weights


def _weight(draw, rng, shape):
    make = [
        lambda: rng.integers(0, 3, shape),
        lambda: rng.random(shape),
        lambda: np.ones(shape),
        lambda: np.zeros(shape),
        lambda: (rng.random(shape) < 0.3) * 1e3,
    ]
    return draw.choices(make, [4, 4, 2, 0.3, 2])[0]().astype(np.float64)
