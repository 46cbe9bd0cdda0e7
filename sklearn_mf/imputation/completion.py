"""Filling the holes of a table without a parameter: as hidden entries of the table advise.

The rows are taken for draws from one distribution, :mod:`sklearn_mf.normal` or, of many columns,
:mod:`sklearn_mf.variational`. Where clusters or curves make it a poor one, rows that are alike
correct it (:mod:`sklearn_mf.neighbours`). How far it is shrunk and how much the neighbours say is
what predicts hidden entries best: of small tables all of them in turn, of large ones enough.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.imputation.neighbours import Neighbours
from sklearn_mf.imputation.normal import Normal, Shrinkage
from sklearn_mf.imputation.variational import VariationalFactors, fit_variational
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._warnings import warn

# Entries are hidden in so many parts; no more of them than hide enough.
N_PARTS, ENOUGH_HIDDEN = 10, 1500
# Rows at most that choose, and that are neighbours.
MAX_ROWS, MAX_DONORS = 1000, 2000
# Columns at most of which the covariances are estimated one by one, and no more than rows where
# these are no few.
MAX_FEATURES, FEW_ROWS = 200, 20
# Ranks are doubled, so often without a gain.
PATIENCE = 2
# Shares of a target: two that judge its rank, then less and less, as far as that gains.
FIRST_WEIGHTS, WEIGHTS = (1.0, 0.5), (0.2, 0.05, 0.01, 1e-3, 1e-4, 1e-6, 1e-8)
# What a weight must leave of the error for one that is smaller still, from the small ones on. Where
# less than so much of the variance is left, fits follow the weights.
GAIN, SMALL, NEARLY_EXACT = 0.97, 0.01, 0.02
# Candidates are mixed as if they were wrong by normal errors, of which one in so many entries
# tells; not those that would get less than the least share, compared with the best. Of
# standardized columns no smaller error matters.
DOUBT, LEAST_POWER, LEAST_SHARE, LEAST_ERROR = 10, 2, 0.05, 1e-12
# Entries up to which every candidate is fitted, not only derived from the first fit, and by how
# many iterations at most.
FEW_ENTRIES, FEW_ENTRIES_ITER = 1000, 100
# Iterations at most of fits that choose, of those that follow the weights, and of the last one.
MAX_ITER, FOLLOWING_ITER, LAST_ITER = 20, 5, 12
# What neighbours must gain, of the squared error and in standard errors, to be asked.
LEAST_GAIN, CERTAINTY = 0.005, 1.5
# Least variance that an entry weighs by, as a share of the mean squared error.
LEAST_SPREAD = 1e-3
# Times that entries are weighed anew.
REWEIGHTINGS = 5
# Hidden entries that the spread as the model has it counts as.
SPREAD_PRIOR = 20


@dataclass(frozen=True)
class Completion:
    """A distribution of rows, corrected by neighbours.

    Attributes
    ----------
    model : Normal or VariationalFactors
        The distribution.
    neighbours : Neighbours or None
        What corrects it, if it needs to be.
    shares : ndarray of shape (2,)
        How much of each of their shifts is added.
    spread : float
        Squared errors of hidden entries, as a multiple of what the model expects.
    """

    model: Normal | VariationalFactors
    neighbours: Neighbours | None = None
    shares: np.ndarray | None = None
    spread: float = 1.0

    def predict(self, X):
        """X with its holes filled by expected values."""
        completed = self.model.completed(X)
        if self.neighbours is None:
            return completed
        shifts = np.tensordot(self.shares, self.neighbours.shifts(X, completed), 1)
        return np.where(np.isnan(X), completed + shifts, X)

    def variances(self, X):
        """Variance of every missing cell around its expected value; zero where observed."""
        return self.spread * self.model.variances(X)

    def sample(self, X, random_state):
        """One draw of the model, and from it of everything that is missing."""
        rest = self.model.sample(X, random_state) - self.model.completed(X)
        return self.predict(X) + np.sqrt(self.spread) * rest


@dataclass(frozen=True)
class Trial:
    """A table of which some entries are hidden, and a model of the others.

    Attributes
    ----------
    visible : ndarray of shape (n_samples, n_features)
        NaN where missing or hidden.
    rows : ndarray of int of shape (n_rows,)
        Those that have hidden entries.
    hidden : ndarray of bool of shape (n_rows, n_features)
        Where they have them.
    values : ndarray of shape (n_hidden,)
        Which they are.
    model : Normal
        Fitted to what is visible.
    """

    visible: np.ndarray
    rows: np.ndarray
    hidden: np.ndarray
    values: np.ndarray
    model: Normal

    @classmethod
    def of(cls, X, hidden):
        """A trial with a model that is shrunk as the shape of X suggests."""
        visible = np.where(hidden, np.nan, X)
        rows = np.flatnonzero(hidden.any(axis=1))
        n, p = X.shape
        shrinkage = Shrinkage({min(2, p // 2): p / (n + p)})
        model = Normal.of_pairs(visible).fitted(visible, shrinkage, MAX_ITER)
        return cls(visible, rows, hidden[rows], X[hidden], model)

    def shrunk(self, shrinkage):
        """With the model shrunk otherwise."""
        model = self.model.shrunk(shrinkage)
        if np.isfinite(self.visible).sum() < FEW_ENTRIES:
            model = model.fitted(self.visible, shrinkage, FEW_ENTRIES_ITER)
        return replace(self, model=model)

    def fitted(self, shrinkage):
        """With the model fitted further, as it is to be shrunk."""
        return replace(self, model=self.model.fitted(self.visible, shrinkage, FOLLOWING_ITER))

    def rests(self):
        """What the model leaves of hidden entries."""
        return self.values - self.model.completed(self.visible[self.rows])[self.hidden]


def fit_completion(X, random_state):
    """Choose by hidden entries, then fit to all.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Standardized data, NaN where missing, with an entry at least in every column.
    random_state : RandomState
        Chooses the entries to hide.

    Returns
    -------
    completion : Completion
        Fitted to all of X.
    errors : dict of {int: float}
        Mean squared error of the hidden entries at every rank that was tried.
    """
    n_samples, n_features = X.shape
    if n_features > MAX_FEATURES or n_features > n_samples >= FEW_ROWS:
        factors, errors = fit_variational(X, random_state)
        return Completion(factors), errors
    rng = hiding_stream(random_state)
    some = _some_rows(X, MAX_ROWS, rng)
    parts = _hidden_parts(~np.isnan(some), rng)
    if not parts:
        if min(X.shape) > 1:
            warn(
                "The rank cannot be chosen by hidden entries, each entry of X being the last one "
                "of its row or column: what is missing is filled by the means of the features. "
                "Pass an estimator to fill it otherwise."
            )
        return Completion(Normal.of_means(X)), {0: np.nan}
    trials = [Trial.of(some, hidden) for hidden in parts]
    shrinkage, errors, trials = _choose(trials, X.shape[1])
    trials = [trial.shrunk(shrinkage) for trial in trials]
    shares, rests = _correction(trials, rng)
    of_all = shrinkage.of_more_rows(len(X) / len(some))
    first = Normal.of_pairs(X)
    if min(errors.values()) < NEARLY_EXACT:  # which takes many iterations to get near to
        first = replace(trials[0].model, n_seen=first.n_seen)
    has_few_entries = np.isfinite(X).sum() < FEW_ENTRIES
    model = first.fitted(X, of_all, FEW_ENTRIES_ITER if has_few_entries else LAST_ITER)
    neighbours = None
    if shares is not None:
        neighbours = Neighbours.of(model, _some_rows(X, MAX_DONORS, rng))
    return Completion(model, neighbours, shares, _spread(model, trials, rests)), errors


def _some_rows(X, n_rows, rng):
    """So many rows of X, in their order."""
    if len(X) <= n_rows:
        return X
    return X[np.sort(rng.choice(len(X), n_rows, replace=False))]


def _hidden_parts(observed, rng):
    """Masks of entries to hide, none of which takes all of a row or column."""
    cells = rng.permutation(np.flatnonzero(observed))
    size = -(-len(cells) // N_PARTS)
    if size > ENOUGH_HIDDEN:
        # Some rows are enough, and are filled in less time than all.
        n_rows, n_columns = observed.shape
        judges = rng.random(n_rows) < ENOUGH_HIDDEN / size
        cells = cells[:size][judges[cells[:size] // n_columns]]
    n_parts = min(N_PARTS, max(1, round(ENOUGH_HIDDEN / size)))
    parts = []
    for start in range(0, n_parts * size, size):
        part = np.zeros(observed.shape, dtype=bool)
        part.ravel()[cells[start : start + size]] = True
        for axis in 0, 1:
            part &= (observed & ~part).any(axis=axis, keepdims=True)
        if part.any():
            parts.append(part)
    return parts


def _choose(trials, n_features):
    """What predicts hidden entries best, the least error of every rank, and the trials then."""
    errors = {}

    def error(rank, weight):
        if (rank, weight) not in errors:
            shrinkage = Shrinkage({rank: weight})
            rests = [trial.shrunk(shrinkage).rests() for trial in trials]
            errors[rank, weight] = float(np.mean(np.concatenate(rests) ** 2))
        return errors[rank, weight]

    def best(rank):
        return min(error(rank, weight) for weight in FIRST_WEIGHTS)

    error(0, 1.0)
    rank = more = 1
    while more < PATIENCE * 2 * rank and 2 * more <= n_features // 3:
        more *= 2
        if best(more) < best(rank):
            rank = more
    if n_features > 1:
        before = best(rank)
        for weight in WEIGHTS:
            if before < NEARLY_EXACT:
                trials = [trial.fitted(Shrinkage({rank: weight})) for trial in trials]
            after = error(rank, weight)
            if weight <= SMALL and after > GAIN * before:
                break
            before = min(before, after)
    of_rank = {}
    for (rank, _), value in errors.items():
        of_rank[rank] = min(value, of_rank.get(rank, np.inf))
    # Of candidates that are about as good, chance would choose another one every time.
    n_hidden = sum(len(trial.values) for trial in trials)
    values = np.maximum([*errors.values()], LEAST_ERROR)
    shares = (values / values.min()) ** -max(LEAST_POWER, n_hidden / DOUBT)
    shares *= shares > LEAST_SHARE
    shares /= shares.sum()
    candidates = [Shrinkage({rank: weight}) for rank, weight in errors]
    return Shrinkage.average(candidates, shares), of_rank, trials


def _correction(trials, rng):
    """Shares of the shifts of neighbours, None if they do not help, and the rests after that."""
    rests, shifts, variances = [], [], []
    for trial in trials:
        model, X = trial.model, trial.visible[trial.rows]
        donors = Neighbours.of(model, _some_rows(trial.visible, MAX_DONORS, rng))
        completed = model.completed(X)
        rests.append(trial.values - completed[trial.hidden])
        shifts.append(donors.shifts(X, completed)[:, trial.hidden])
        variances.append(model.variances(X)[trial.hidden])
    rests, shifts = np.concatenate(rests), np.concatenate(shifts, axis=1)
    # As if errors had a t-distribution: few entries that are far off must not decide. Beforehand
    # a share is about as likely to be -1 as 1.
    square, variances = np.mean(rests**2), np.concatenate(variances)
    variances, corrected = np.maximum(variances, LEAST_SPREAD * square), rests
    for _ in range(REWEIGHTINGS):
        weighted = shifts * 2 / (variances + corrected**2)
        shares = np.linalg.solve(weighted @ shifts.T + np.eye(2), weighted @ rests)
        corrected = rests - shares @ shifts
    weights = 1 / (variances + corrected**2 + rests**2)
    gains = weights * (rests**2 - corrected**2)
    error = gains.std() / np.sqrt(len(gains))
    if gains.mean() < max(LEAST_GAIN * np.mean(weights * rests**2), CERTAINTY * error):
        shares, corrected = None, rests
    return shares, corrected


def _spread(model, trials, rests):
    """What trials leave of hidden entries, squared, as a multiple of what a model expects.

    It is the last model, fitted to all, whose variances are to be right.
    """
    variances = [model.variances(trial.visible[trial.rows])[trial.hidden] for trial in trials]
    variances = np.concatenate(variances)
    prior = SPREAD_PRIOR * variances.mean()
    return (np.sum(rests**2) + prior) / (np.sum(variances) + prior)
