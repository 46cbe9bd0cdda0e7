"""Completion of a table without tuning: all choices are made by predicting hidden entries.

The rows are modeled by one distribution: a normal distribution (`normal.py`) or, for many columns,
a variational factorization (`variational.py`). If the data have clusters or curves, which such a
distribution describes badly, its predictions are corrected by similar rows (`neighbours.py`). The
strength of the shrinkage and of this correction is chosen by predicting hidden entries: in small
tables each entry is hidden once, in large tables a sufficient number.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.imputation.neighbours import Neighbours
from sklearn_mf.imputation.normal import Normal, Shrinkage
from sklearn_mf.imputation.variational import VariationalFactors, fit_variational
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._warnings import warn

# Number of parts in which entries are hidden; fewer parts are used if they hide enough entries.
N_PARTS, ENOUGH_HIDDEN = 10, 1500
# Maximum number of rows that are used for the choices, and as neighbors.
MAX_ROWS, MAX_DONORS = 1000, 2000
# Maximum number of columns for which the full covariance is estimated. If there are at least this
# number of rows, there must also be no more columns than rows.
MAX_FEATURES, FEW_ROWS = 200, 20
# Ranks are doubled until this number of doublings did not decrease the error.
PATIENCE = 2
# Weights of the shrinkage target. The first two determine its rank; then smaller weights are tried
# as long as they decrease the error.
FIRST_WEIGHTS, WEIGHTS = (1.0, 0.5), (0.2, 0.05, 0.01, 1e-3, 1e-4, 1e-6, 1e-8)
# A smaller weight is tried only if the last one decreased the error below this fraction, for
# weights up to SMALL. If the error is below NEARLY_EXACT (a fraction of the variance), the models
# are fitted again for each weight.
GAIN, SMALL, NEARLY_EXACT = 0.97, 0.01, 0.02
# Candidates are averaged with weights like those of models with normally distributed errors,
# counting only one of DOUBT entries, and at least LEAST_POWER. Candidates with less than
# LEAST_SHARE of the largest weight are dropped. Errors below LEAST_ERROR do not matter, because the
# columns are standardized.
DOUBT, LEAST_POWER, LEAST_SHARE, LEAST_ERROR = 10, 2, 0.05, 1e-12
# With fewer entries than this, every candidate is fitted and not only derived from the first fit;
# the second number is the maximum number of iterations.
FEW_ENTRIES, FEW_ENTRIES_ITER = 1000, 100
# Maximum number of iterations of the fits for the choices, of those for small weights, and of the
# final fit.
MAX_ITER, FOLLOWING_ITER, LAST_ITER = 20, 5, 12
# Neighbors are used if they decrease the squared error by this fraction, and by this number of
# standard errors.
LEAST_GAIN, CERTAINTY = 0.005, 1.5
# Smallest variance by which an entry is weighted, as a fraction of the mean squared error.
LEAST_SPREAD = 1e-3
# Number of reweighting iterations.
REWEIGHTINGS = 5
# Number of hidden entries to which the model's own variance is equivalent, as a prior.
SPREAD_PRIOR = 20


@dataclass(frozen=True)
class Completion:
    """A distribution of the rows, with a correction by similar rows.

    Attributes
    ----------
    model : Normal or VariationalFactors
        The distribution.
    neighbours : Neighbours or None
        The rows used for the correction, if it is needed.
    shares : ndarray of shape (2,)
        Factors of the two shifts that the neighbors suggest.
    spread : float
        Ratio of the squared errors of hidden entries to the variances that the model predicts.
    """

    model: Normal | VariationalFactors
    neighbours: Neighbours | None = None
    shares: np.ndarray | None = None
    spread: float = 1.0

    def predict(self, X):
        """Return X with missing values replaced by expected values."""
        completed = self.model.completed(X)
        if self.neighbours is None:
            return completed
        shifts = np.tensordot(self.shares, self.neighbours.shifts(X, completed), 1)
        return np.where(np.isnan(X), completed + shifts, X)

    def variances(self, X):
        """Return the variance of every missing entry; zero for observed entries."""
        return self.spread * self.model.variances(X)

    def sample(self, X, random_state):
        """Draw a model from its posterior, and all missing values from this model."""
        rest = self.model.sample(X, random_state) - self.model.completed(X)
        return self.predict(X) + np.sqrt(self.spread) * rest


@dataclass(frozen=True)
class Trial:
    """A table with some hidden entries, and a model of the other entries.

    Attributes
    ----------
    visible : ndarray of shape (n_samples, n_features)
        The table with NaN for missing and hidden entries.
    rows : ndarray of int of shape (n_rows,)
        Rows with hidden entries.
    hidden : ndarray of bool of shape (n_rows, n_features)
        Mask of the hidden entries in these rows.
    values : ndarray of shape (n_hidden,)
        Values of the hidden entries.
    model : Normal
        The model, fitted to the visible entries.
    """

    visible: np.ndarray
    rows: np.ndarray
    hidden: np.ndarray
    values: np.ndarray
    model: Normal

    @classmethod
    def of(cls, X, hidden):
        """Return a trial whose model is shrunk by an amount that depends on the shape of X."""
        visible = np.where(hidden, np.nan, X)
        rows = np.flatnonzero(hidden.any(axis=1))
        n, p = X.shape
        shrinkage = Shrinkage({min(2, p // 2): p / (n + p)})
        model = Normal.of_pairs(visible).fitted(visible, shrinkage, MAX_ITER)
        return cls(visible, rows, hidden[rows], X[hidden], model)

    def shrunk(self, shrinkage):
        """Return the trial with a different shrinkage of the model."""
        model = self.model.shrunk(shrinkage)
        if np.isfinite(self.visible).sum() < FEW_ENTRIES:
            model = model.fitted(self.visible, shrinkage, FEW_ENTRIES_ITER)
        return replace(self, model=model)

    def fitted(self, shrinkage):
        """Return the trial after more iterations of the fit with this shrinkage."""
        return replace(self, model=self.model.fitted(self.visible, shrinkage, FOLLOWING_ITER))

    def rests(self):
        """Return the residuals of the hidden entries."""
        return self.values - self.model.completed(self.visible[self.rows])[self.hidden]


def fit_completion(X, random_state):
    """Choose the shrinkage and the correction by hidden entries, and fit to all entries.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Standardized data with NaN for missing values and at least one entry in every column.
    random_state : RandomState
        Chooses the hidden entries.

    Returns
    -------
    completion : Completion
        The model, fitted to all of X.
    errors : dict of {int: float}
        Mean squared error of the hidden entries for every rank that was tried.
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
                "The rank cannot be chosen by hidden entries, because every entry of X is the only "
                "one of its row or column. Missing values are replaced by the means of the "
                "features. Pass an estimator for another imputation."
            )
        return Completion(Normal.of_means(X)), {0: np.nan}
    trials = [Trial.of(some, hidden) for hidden in parts]
    shrinkage, errors, trials = _choose(trials, X.shape[1])
    trials = [trial.shrunk(shrinkage) for trial in trials]
    shares, rests = _correction(trials, rng)
    of_all = shrinkage.of_more_rows(len(X) / len(some))
    first = Normal.of_pairs(X)
    if min(errors.values()) < NEARLY_EXACT:  # such accuracy needs many iterations
        first = replace(trials[0].model, n_seen=first.n_seen)
    has_few_entries = np.isfinite(X).sum() < FEW_ENTRIES
    model = first.fitted(X, of_all, FEW_ENTRIES_ITER if has_few_entries else LAST_ITER)
    neighbours = None
    if shares is not None:
        neighbours = Neighbours.of(model, _some_rows(X, MAX_DONORS, rng))
    return Completion(model, neighbours, shares, _spread(model, trials, rests)), errors


def _some_rows(X, n_rows, rng):
    """Return a random subset of the rows of X, in their order."""
    if len(X) <= n_rows:
        return X
    return X[np.sort(rng.choice(len(X), n_rows, replace=False))]


def _hidden_parts(observed, rng):
    """Return masks of entries to hide; every row and column keeps a visible entry."""
    cells = rng.permutation(np.flatnonzero(observed))
    size = -(-len(cells) // N_PARTS)
    if size > ENOUGH_HIDDEN:
        # A subset of the rows is enough, and takes less time.
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
    """Return the best shrinkage, the smallest error of every rank, and the updated trials."""
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
    # Averaging avoids a random choice among candidates that are about equally good.
    n_hidden = sum(len(trial.values) for trial in trials)
    values = np.maximum([*errors.values()], LEAST_ERROR)
    shares = (values / values.min()) ** -max(LEAST_POWER, n_hidden / DOUBT)
    shares *= shares > LEAST_SHARE
    shares /= shares.sum()
    candidates = [Shrinkage({rank: weight}) for rank, weight in errors]
    return Shrinkage.average(candidates, shares), of_rank, trials


def _correction(trials, rng):
    """Return the factors of the neighbors' shifts, or None, and the residuals after the shifts."""
    rests, shifts, variances = [], [], []
    for trial in trials:
        model, X = trial.model, trial.visible[trial.rows]
        donors = Neighbours.of(model, _some_rows(trial.visible, MAX_DONORS, rng))
        completed = model.completed(X)
        rests.append(trial.values - completed[trial.hidden])
        shifts.append(donors.shifts(X, completed)[:, trial.hidden])
        variances.append(model.variances(X)[trial.hidden])
    rests, shifts = np.concatenate(rests), np.concatenate(shifts, axis=1)
    # The weights are those of errors with a t-distribution, so that a few outliers do not decide.
    # The prior of each factor is a standard normal distribution.
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
    """Return the ratio of squared residuals of hidden entries to the model's variances.

    This uses the final model, fitted to all entries, because its variances are calibrated.
    """
    variances = [model.variances(trial.visible[trial.rows])[trial.hidden] for trial in trials]
    variances = np.concatenate(variances)
    prior = SPREAD_PRIOR * variances.mean()
    return (np.sum(rests**2) + prior) / (np.sum(variances) + prior)
