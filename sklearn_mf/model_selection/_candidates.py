"""Candidate models of a search, scored on entries that were hidden from their fit."""

import copy
from dataclasses import dataclass, field
from functools import cached_property, partial
from time import perf_counter

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from sklearn_mf.fitting.hidden import HiddenGroups, n_enough, total_weight
from sklearn_mf.fitting.observed import observed
from sklearn_mf.fitting.paths import PRECISION, Paths, follow, has_risen
from sklearn_mf.fitting.ranks import of_every_rank, strengths_for_ranks
from sklearn_mf.losses.columns import resolve
from sklearn_mf.losses.squared import SquaredErrorOfMean
from sklearn_mf.model_selection._entries import check_holed, hide_entries, observed_entries
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.objective.objective import Objective
from sklearn_mf.observations import HeldOut, ObservedMatrix, observe
from sklearn_mf.utils._sparse import entries_at
from sklearn_mf.utils._tables import is_frame, native, rebuilt
from sklearn_mf.utils._validation import check_entry_weight, check_parameters, check_sample_weight
from sklearn_mf.utils._warnings import quiet

WEIGHTS = {"sample_weight", "entry_weight"}
# Parameters of the estimators whose ranks can be scored along paths: those of MatrixFactorization.
OF_PATHS = {"loss", "bias", "positive", "alpha_H", "l1_ratio", "alpha_scaling", "solver", "init"}
OF_PATHS |= {"early_stopping", "warm_start", "max_iter", "tol"}


@dataclass(frozen=True)
class Candidates:
    """The models of every rank and penalty, and the data to which they are fitted.

    Attributes
    ----------
    estimator : estimator
        The estimator to clone for every model.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated data. Entries that are missing or have weight zero are NaN, or not stored.
    table : {array-like, sparse matrix}
        The data as passed by the user, with names.
    grid : tuple of sequences
        Ranks in ascending order, and values of ``alpha_W`` in descending order, or "auto".
    params : dict
        Parameters for `fit` of every model, including weights.
    """

    estimator: BaseEstimator
    X: object
    table: object
    grid: tuple
    params: dict = field(default_factory=dict)

    @classmethod
    def of(cls, estimator, X, table, grid, params):
        """Validate the weights and mark entries with weight zero as missing."""
        params = {name: value for name, value in params.items() if value is not None}
        if "sample_weight" in params:
            params["sample_weight"] = check_sample_weight(params["sample_weight"], X)
        if "entry_weight" in params:
            E = check_entry_weight(params["entry_weight"], X, estimator.unstored)
            if sparse.issparse(X) and estimator.unstored == "zero":
                # Entries without a weight are missing. Unstored zeros with a weight are observed.
                E, X = _weighted_zeros(E, X)
                estimator = clone(estimator).set_params(unstored="missing")
            params["entry_weight"] = E
            X = hide_entries(X, np.flatnonzero(_entries_of(E, X) == 0))
        return cls(estimator, X, table, grid, params)

    def weights(self):
        """Weights of the observed entries."""
        rows, _, values = observed_entries(self.X)
        weights = np.ones(len(values))
        if "sample_weight" in self.params:
            weights *= self.params["sample_weight"][rows]
        if "entry_weight" in self.params:
            weights *= _entries_of(self.params["entry_weight"], self.X)
        return weights

    @cached_property
    def variance(self):
        """Variance of the observed entries, including observed zeros of a sparse X."""
        values = observed_entries(self.X)[2].astype(np.float64)
        size = np.prod(self.X.shape) if self.counts_zeros else len(values)
        mean = values.sum() / size
        return float(((values - mean) ** 2).sum() + (size - len(values)) * mean**2) / size

    @property
    def counts_zeros(self):
        """Whether X is sparse and its unstored entries are observed zeros."""
        return sparse.issparse(self.X) and self.estimator.unstored == "zero"

    def fitted(self, X, rank, alpha, params):
        """Fit one model to a part of the data."""
        changes = {"n_components": int(rank), "alpha_W": alpha, "missing_values": np.nan}
        return clone(self.estimator).set_params(**changes).fit(X, **params)

    def results(self, judge, n_hidden):
        """Return score, fit time and score time of all candidates, each fitted separately.

        Parameters
        ----------
        judge : callable
            A function of a rank and a penalty. It returns a score, and the time at which the fit
            ended.
        n_hidden : int
            Number of hidden entries.

        Returns
        -------
        results : ndarray of shape (n_alphas, n_ranks, 3)
            NaN for candidates that were skipped because the errors no longer decreased.
        """
        ranks, alphas = self.grid
        results = np.full((len(alphas), len(ranks), 3), np.nan)
        with quiet(UserWarning):  # the final fit repeats relevant warnings
            for alpha, row in zip(alphas, results, strict=True):
                for number, rank in enumerate(ranks):
                    began = perf_counter()
                    score, fitted = judge(rank, alpha)
                    row[number] = score, fitted - began, perf_counter() - fitted
                    if has_risen(-row[: number + 1, 0], n_hidden):
                        break
        return results


def results_of(candidates, tasks, n_sweeps, n_jobs):
    """Return score, fit time and score time of all candidates on every fold.

    Parameters
    ----------
    candidates : Candidates
        The candidates to score.
    tasks : list of tuple
        The two parts of each fold, and a seed.
    n_sweeps : int
        Maximum number of sweeps in each step of a path.
    n_jobs : int or None
        Number of folds to fit in parallel.

    Returns
    -------
    results : ndarray of shape (n_folds, n_alphas, n_ranks, 3)
        NaN for candidates that were skipped because the errors no longer decreased. If ``alpha_W``
        is "auto", the results of each rank are those of its best strength.
    """
    found = _paths_of(candidates)
    if found is None:
        judge = partial(_by_blocks if candidates.counts_zeros else _one_by_one, candidates)
        return np.array(_judged(judge, tasks, 0, n_jobs))
    judge, strengths, first, work = found

    def on_grid(ranks, strengths, folds=slice(None)):
        judge_of_grid = partial(judge, (ranks, strengths), n_sweeps)
        return np.array(_judged(judge_of_grid, tasks[folds], work, n_jobs))

    ranks, alphas = candidates.grid
    if alphas != ["auto"]:
        return on_grid(ranks, strengths)
    n_hidden = [_n_hidden(*fold) for *fold, _ in tasks]
    enough = n_enough(np.mean(n_hidden))
    least = PRECISION**2 * candidates.variance
    return of_every_rank(ranks, strengths, on_grid, first, enough, least)[:, None]


def _paths_of(candidates):
    """Return a function that scores folds along paths, the strengths, and the work; or None."""
    estimator, X, params = candidates.estimator, candidates.X, candidates.params
    if not {*estimator.get_params(deep=False)} >= OF_PATHS or not set(params) <= WEIGHTS:
        return None
    check_parameters(estimator)
    table = native(candidates.table)
    loss = resolve(estimator.loss, table if is_frame(table) else X)
    observations = observed(X, loss, estimator.unstored, **params)
    if not candidates.counts_zeros:
        observations = observations.stored()
    objective = Objective.of(estimator, loss)
    paths = Paths.of(estimator, objective, observations)
    if paths is None:
        return None
    ranks, alphas = candidates.grid
    strengths, first = [(alpha, alpha) for alpha in alphas], 0  # for components and biases
    if alphas == ["auto"]:
        strengths, first = strengths_for_ranks(objective, observations)
    observations = paths.unit.observations(observations)
    if not candidates.counts_zeros:
        observations = observations.in_short(PRECISION)
    judge = partial(_along_path, paths, observations)
    return judge, strengths, first, observations.n_observed * int(ranks[-1]) ** 2


def _judged(judge, tasks, work, n_jobs):
    """Score the folds in processes, or along paths whose threads share the cores."""
    if effective_n_jobs(n_jobs) > 1:
        return Parallel(n_jobs=n_jobs)(delayed(_quietly)(judge, *task) for task in tasks)
    if work:
        return follow(lambda task: judge(*task), tasks, work)
    return [_quietly(judge, *task) for task in tasks]


def _n_hidden(train, test, columns=None):
    """Return the number of entries that a fold hides, or of cells in a block."""
    return len(test) if columns is None else int(test.sum()) * int(columns.sum())


def _quietly(judge, *task):
    with quiet(ConvergenceWarning):
        return judge(*task)


def _weighted_zeros(E, X):
    """Return the nonzero weights, and X at their positions, with zeros stored."""
    E = sparse.csr_array(E, copy=True)
    E.sum_duplicates()
    E.eliminate_zeros()
    rows, columns, _ = observed_entries(E)
    values = entries_at(check_holed(X), rows, columns)
    return E, sparse.csr_array((values, E.indices, E.indptr), shape=E.shape)


def _entries_of(E, X):
    """Return the weights at the observed entries of X."""
    rows, columns, _ = observed_entries(X)
    return entries_at(E, rows, columns) if sparse.issparse(E) else E[rows, columns]


def _along_path(paths, observations: ObservedMatrix, grid, n_sweeps, *task):
    *fold, seed = task
    held_out = _held_out(observations, *fold)
    parts = held_out.visible, HiddenGroups(held_out)
    return np.concatenate(paths.results(parts, grid, n_sweeps, seed), axis=-1)


def _held_out(observations: ObservedMatrix, train, test, columns=None):
    """Return the parts of a fold, of entries or of a block."""
    if columns is not None:
        return observations.without_block(train, test, columns)
    parts = []
    for entries in (train, test):
        chosen = np.zeros(observations.n_observed, dtype=bool)
        chosen[entries] = True
        parts.append(observations.only(chosen))
    return HeldOut(*parts)


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
    """Return X with the training entries only, keeping the names of its table."""
    hidden = np.ones(len(observed_entries(candidates.X)[0]), dtype=bool)
    hidden[train] = False
    visible = hide_entries(candidates.X, np.flatnonzero(hidden))
    named = not sparse.issparse(visible) and is_frame(native(candidates.table))
    return rebuilt(candidates.table, visible) if named else visible


def _by_blocks(candidates, train, test, columns, seed):
    """Predict held-out rows from codes fitted to some of their columns."""
    X, params = sparse.csr_array(candidates.X), dict(candidates.params)
    weight = params.pop("sample_weight", None)
    if weight is not None:
        params["sample_weight"], weight = weight[train], weight[test].astype(np.float64)
    visible, rows = X[train], X[test]
    known, hidden = rows[:, ~columns], rows[:, columns].astype(np.float64)

    def judge(rank, alpha):
        model = candidates.fitted(visible, rank, alpha, params)
        fitted = perf_counter()
        codes = _of_columns(model, ~columns).transform(known).astype(np.float64)
        part = _of_columns(model, columns)
        seen = observe(hidden, sample_weight=weight, column_kinds=part.loss_.kinds)
        error = part.loss_ if part.loss_.is_squared else SquaredErrorOfMean(part.loss_)
        total = seen.total_loss(*FactorModel.of(part).factors(codes), error)
        return -2 * total / total_weight(seen), fitted

    return candidates.results(judge, _n_hidden(train, test, columns))


def _of_columns(model, columns):
    """Restrict a fitted model to some of its features."""
    model = copy.copy(model).set_output(transform="default")
    model.components_ = np.ascontiguousarray(model.components_[:, columns])
    model.feature_bias_ = model.feature_bias_[columns]
    model.n_features_in_ = int(columns.sum())
    if model.loss_.kinds is not None:
        model.loss_ = model.loss_.at_columns(columns)
    return model
