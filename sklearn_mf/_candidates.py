"""Candidates of a search, each judged by entries that were hidden from its fit."""

import copy
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from sklearn_mf.estimators._base import SquaredErrorOfMean
from sklearn_mf.estimators._base_strength import PRECISION
from sklearn_mf.model_selection import hide_entries, observed_entries
from sklearn_mf.observations import observe
from sklearn_mf.path import follow, has_risen
from sklearn_mf.utils._hiding import random_block
from sklearn_mf.utils._sparse import entries_at
from sklearn_mf.utils._tables import is_frame, native, rebuilt
from sklearn_mf.utils._validation import check_entry_weight, check_parameters, check_sample_weight
from sklearn_mf.utils._warnings import quiet

WEIGHTS = {"sample_weight", "entry_weight"}


@dataclass(frozen=True)
class Candidates:
    """Models of every rank and penalty, and the data that they are fitted to.

    Attributes
    ----------
    estimator : estimator
        Cloned for every model.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated; NaN, or not stored, where missing or of weight zero.
    table : {array-like, sparse matrix}
        X as it was given, with names.
    grid : tuple of sequences
        Ranks, ascending, and values of ``alpha_W``, largest first.
    params : dict
        For `fit` of every model, among them weights.
    """

    estimator: BaseEstimator
    X: object
    table: object
    grid: tuple
    params: dict = field(default_factory=dict)

    @classmethod
    def of(cls, estimator, X, table, grid, params):
        """Validate the weights, and take entries of weight zero for missing."""
        params = {name: value for name, value in params.items() if value is not None}
        if "sample_weight" in params:
            params["sample_weight"] = check_sample_weight(params["sample_weight"], X)
        if "entry_weight" in params:
            E = check_entry_weight(params["entry_weight"], X, estimator.unstored)
            params["entry_weight"] = E
            X = hide_entries(X, np.flatnonzero(_entries_of(E, X) == 0))
        return cls(estimator, X, table, grid, params)

    def weights(self):
        """What every observed entry counts for."""
        rows, _, values = observed_entries(self.X)
        weights = np.ones(len(values))
        if "sample_weight" in self.params:
            weights *= self.params["sample_weight"][rows]
        if "entry_weight" in self.params:
            weights *= _entries_of(self.params["entry_weight"], self.X)
        return weights

    @property
    def counts_zeros(self):
        """Whether X is sparse, and what it does not store is an observed zero."""
        return sparse.issparse(self.X) and self.estimator.unstored == "zero"

    def fitted(self, X, rank, alpha, params):
        """One of them, fitted to a part of the data."""
        changes = {"n_components": int(rank), "alpha_W": alpha, "missing_values": np.nan}
        return clone(self.estimator).set_params(**changes).fit(X, **params)

    def results(self, judge, n_hidden):
        """Score, fit time and score time of all, each fitted and judged by itself.

        Parameters
        ----------
        judge : callable
            Gets a rank and a penalty; returns a score and when the fit had ended.
        n_hidden : int
            Number of hidden entries.

        Returns
        -------
        results : ndarray of shape (n_alphas, n_ranks, 3)
            NaN where errors had risen for good.
        """
        ranks, alphas = self.grid
        results = np.full((len(alphas), len(ranks), 3), np.nan)
        with quiet(UserWarning):  # the last fit says what there is to say
            for alpha, row in zip(alphas, results, strict=True):
                for number, rank in enumerate(ranks):
                    began = perf_counter()
                    score, fitted = judge(rank, alpha)
                    row[number] = score, fitted - began, perf_counter() - fitted
                    if has_risen(-row[: number + 1, 0], n_hidden):
                        break
        return results


def judge_of(candidates, n_sweeps):
    """What judges all candidates on a fold, and what a step of it does.

    Parameters
    ----------
    candidates : Candidates
        To be judged.
    n_sweeps : int
        Sweeps at every step of a path.

    Returns
    -------
    judge : callable
        Gets the two parts of a fold and a seed; returns score, fit time and score time of
        every candidate, of shape (n_alphas, n_ranks, 3).
    work : int
        Multiplications in the largest step of a path, 0 where whole estimators are fitted.
    """
    estimator, X = candidates.estimator, candidates.X
    if candidates.counts_zeros:
        return partial(_by_blocks, candidates), 0
    if hasattr(estimator, "_path_results") and set(candidates.params) <= WEIGHTS:
        check_parameters(estimator)
        loss = estimator._resolve_loss(candidates.table, X)
        observations = estimator._observe(X, loss, **candidates.params).stored()
        if estimator._can_follow_paths(observations, loss):
            unit = estimator._unit_of_paths(observations, loss)
            observations = unit.observations(observations).in_short(PRECISION)
            grid = candidates.grid
            judge = partial(_along_path, estimator, (observations, (loss, unit)), grid, n_sweeps)
            return judge, observations.n_observed * int(grid[0][-1]) ** 2
    return partial(_one_by_one, candidates), 0


def results_of(judge, tasks, work, n_jobs):
    """What is to be judged: by processes, or along paths whose threads fill each other's gaps.

    Parameters
    ----------
    judge : callable
        Of one fold.
    tasks : list of tuple
        What it is called with.
    work : int
        See `judge_of`.
    n_jobs : int or None
        Folds at a time.

    Returns
    -------
    results : list of ndarray
        In the order of the tasks.
    """
    if effective_n_jobs(n_jobs) > 1:
        return Parallel(n_jobs=n_jobs)(delayed(_quietly)(judge, *task) for task in tasks)
    if work:
        return follow(lambda task: judge(*task), tasks, work)
    return [_quietly(judge, *task) for task in tasks]


def blocks(candidates, n_blocks, rng):
    """Blocks of complete data to be hidden: rows that are set aside, and columns of these.

    Parameters
    ----------
    candidates : Candidates
        Of sparse data whose zeros count.
    n_blocks : int
        How many, each of that share of the rows.
    rng : Generator
        See `hiding_stream`.

    Returns
    -------
    blocks : list of tuple of two ndarrays of bool
        Masks of rows and of columns.
    """
    weight = candidates.params.get("sample_weight")
    return [random_block(candidates.X.shape, weight, 1 / n_blocks, rng) for _ in range(n_blocks)]


def _quietly(judge, *task):
    with quiet(ConvergenceWarning):
        return judge(*task)


def _entries_of(E, X):
    """What a matrix of weights has where X is observed."""
    rows, columns, _ = observed_entries(X)
    return entries_at(E, rows, columns) if sparse.issparse(E) else E[rows, columns]


def _along_path(estimator, data, grid, n_sweeps, train, test, seed):
    (observations, terms), (ranks, alphas), parts = data, grid, []
    for entries in (train, test):
        chosen = np.zeros(observations.n_observed, dtype=bool)
        chosen[entries] = True
        parts.append(observations.only(chosen))
    grid = ranks, [(alpha, alpha) for alpha in alphas]  # of components, and of biases
    return estimator._path_results(parts, terms, grid, n_sweeps, seed)


def _one_by_one(candidates, train, test, seed):
    rows, columns, values = (array[test] for array in observed_entries(candidates.X))
    visible, weights = _visible(candidates, train), candidates.weights()[test]

    E = candidates.params.get("entry_weight")
    told = {} if E is None else {"entry_weight": E}

    def judge(rank, alpha):
        model = candidates.fitted(visible, rank, alpha, candidates.params)
        fitted = perf_counter()
        predicted = model.predict_entries(visible, rows, columns, **told)
        errors = values.astype(np.float64) - predicted
        return -np.average(errors**2, weights=weights), fitted

    return candidates.results(judge, len(test))


def _visible(candidates, train):
    """X without all entries but those to train on; with the names of its table."""
    hidden = np.ones(len(observed_entries(candidates.X)[0]), dtype=bool)
    hidden[train] = False
    visible = hide_entries(candidates.X, np.flatnonzero(hidden))
    named = not sparse.issparse(visible) and is_frame(native(candidates.table))
    return rebuilt(candidates.table, visible) if named else visible


def _by_blocks(candidates, aside, columns, seed):
    """Of rows that no model saw some columns tell the codes, and the others are predicted."""
    X, params = sparse.csr_array(candidates.X), dict(candidates.params)
    weight = params.pop("sample_weight", None)
    if weight is not None:
        params["sample_weight"], weight = weight[~aside], weight[aside].astype(np.float64)
    visible, rows = X[~aside], X[aside]
    known, hidden = rows[:, ~columns], rows[:, columns].astype(np.float64)
    hidden = observe(hidden, sample_weight=weight)
    total_weight = hidden.row_totals().sum() if weight is None else hidden.row_totals() @ weight

    def judge(rank, alpha):
        model = candidates.fitted(visible, rank, alpha, params)
        fitted = perf_counter()
        codes = _of_columns(model, ~columns).transform(known).astype(np.float64)
        factors = _of_columns(model, columns)._model_factors(codes)
        error = SquaredErrorOfMean(model.loss_)
        if model.loss_.is_squared:
            error = model.loss_
        return -2 * hidden.total_loss(*factors, error) / total_weight, fitted

    return candidates.results(judge, hidden.n_observed)


def _of_columns(model, columns):
    """A fitted model of some of its features alone."""
    if model.loss_.kinds is not None:
        raise ValueError(
            "RankSearchCV hides blocks of a sparse X that stores no zeros, and needs one loss for "
            "all features. Use X.toarray()."
        )
    model = copy.copy(model).set_output(transform="default")
    model.components_ = np.ascontiguousarray(model.components_[:, columns])
    model.feature_bias_ = model.feature_bias_[columns]
    model.n_features_in_ = int(columns.sum())
    return model
