r"""A Bayesian factorization without tuning parameters, fitted by variational inference.

The model of standardized data has a separate noise variance for every column,

.. math::

    x_{ij} \sim N(w_i^\top h_j + b_j,\ \psi_j), \qquad
    w_i \sim N(0, I), \qquad h_j \sim N(0, \mathrm{diag}(\lambda)^{-1}),

The posterior is approximated by independent normal distributions of the rows of both factors
(Bishop 1999, :doi:`10.1049/cp:19991160`; Ilin & Raiko 2010, *Practical approaches to principal
component analysis in the presence of missing values*, JMLR 11). The posterior of each factor is a
ridge regression on the other factor, whose uncertainty adds to the Gram matrices. The noise
variances and the precisions :math:`\lambda` are estimated as well, so that unnecessary components
vanish. With as many components as columns, the model is a shrunken normal distribution of the
columns.

Rows are written as ``(w, 1)`` on the left and ``(h, b)`` on the right, so that biases need no
special case.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils.extmath import randomized_svd

from sklearn_mf.fitting.uncertainty import entry_variances
from sklearn_mf.observations import DenseObservations, HeldOut, ObservedMatrix
from sklearn_mf.systems import RowPenalty, RowSystems, roots
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._holes import row_patterns
from sklearn_mf.utils._warnings import warn

# Fraction of the entries that are hidden to choose the rank. If they are fewer than ENOUGH_HIDDEN,
# further entries are hidden in turn, until there are enough or all have been hidden.
HIDDEN_SHARE, ENOUGH_HIDDEN = 0.1, 250
# Maximum number of iterations for every rank.
MAX_ITER, TOL = 40, 3e-3
# Largest rank that is tried, and number of ranks without improvement after which the search ends.
# Beyond CHEAP_RANK, where the next rank costs more, one of them is enough.
MAX_RANK, PATIENCE, CHEAP_RANK = 64, 2, 8
# A larger rank must decrease the error below this fraction.
GAIN = 0.998
# Number of entries to which the mean noise of all columns is equivalent, as a prior of the noise of
# each, and smallest noise variance of standardized data.
NOISE_PRIOR, LEAST_NOISE = 2.0, 1e-6
# Smallest fraction of the noise variance that remains when components are added.
FIRST_NOISE = 0.05
# Number of floats in the covariances of rows that are processed together.
BLOCK = 1 << 21


@dataclass(frozen=True)
class VariationalFactors:
    """Posterior of the factor of the columns, which determines that of any row.

    Attributes
    ----------
    right : ndarray of shape (n_features, k + 1)
        Means of the rows ``(h, b)``.
    covariance : ndarray of shape (n_features, k + 1, k + 1)
        Covariances of these rows.
    noise : ndarray of shape (n_features,)
        Noise variance of each column.
    precision : ndarray of shape (k,)
        Precision of the prior of each component.
    """

    right: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray
    precision: np.ndarray

    @classmethod
    def of_means(cls, X):
        """Return the model of rank zero, with the mean and the variance of every column."""
        counts = np.maximum((~np.isnan(X)).sum(axis=0), 1)
        mean = np.nansum(X, axis=0) / counts
        noise = np.maximum(np.nansum((X - mean) ** 2, axis=0) / counts, LEAST_NOISE)
        covariance = (noise / counts)[:, None, None]
        return cls(mean[:, None], covariance, noise, np.zeros(0))

    @property
    def rank(self):
        """Number of components."""
        return len(self.precision)

    def rows(self, X):
        """Yield the posterior of the rows of the left factor.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Standardized data with NaN for missing values.

        Yields
        ------
        rows : ndarray of int
            Indices of a block of rows.
        left : ndarray of shape (n_rows, k + 1)
            Means of ``(w, 1)``.
        patterns : ndarray of bool of shape (n_patterns, n_features)
            The distinct patterns of observed columns in these rows.
        which : ndarray of int of shape (n_rows,)
            Index of the pattern of each row.
        covariance : ndarray of shape (n_patterns, k + 1, k + 1)
            Covariance of the rows of each pattern. For the constant 1 it is zero.
        """
        k, q = self.rank, self.rank + 1
        # The expectation of r r', divided by the noise variance, for every column.
        squares = self.right[:, :, None] * self.right[:, None, :] + self.covariance
        squares = (squares[:, :k] / self.noise[:, None, None]).reshape(len(self.right), k * q)
        step = max(1, BLOCK // (q * q + X.shape[1]))
        for start in range(0, len(X), step):
            block = X[start : start + step]
            observed = ~np.isnan(block)
            patterns, which = row_patterns(observed)
            sums = (patterns.astype(X.dtype) @ squares).reshape(len(patterns), k, q)
            covariance = np.zeros((len(patterns), q, q))
            of_patterns = RowSystems(sums[:, :, :k], sums[:, :, k], _unit_ridge(len(sums), k))
            covariance[:, :k, :k] = of_patterns.inverses()
            moments = np.where(observed, block / self.noise, 0) @ self.right[:, :k]
            moments -= sums[which, :, k]
            left = np.ones((len(block), q))
            left[:, :k] = (covariance[which, :k, :k] @ moments[:, :, None])[:, :, 0]
            yield np.arange(start, start + len(block)), left, patterns, which, covariance

    def predict(self, X):
        """Return the expected value of every entry."""
        return np.concatenate([left @ self.right.T for _, left, *_ in self.rows(X)])

    def completed(self, X):
        """Return X with missing values replaced by expected values."""
        return np.where(np.isnan(X), self.predict(X), X)

    def variances(self, X):
        """Return the variance of every missing entry; zero for observed entries."""
        variance, every = np.zeros_like(X), np.arange(len(self.right))
        for rows, left, _, which, covariance in self.rows(X):
            i, columns = np.nonzero(np.isnan(X[rows]))
            sides = (left, covariance, which), (self.right, self.covariance, every)
            variance[rows[i], columns] = self.noise[columns] + entry_variances(*sides, i, columns)
        return variance

    def sample(self, X, random_state):
        """Draw all entries: first the factor of the columns, then that of the rows, then noise."""
        shift = random_state.standard_normal(self.right.shape)
        right = self.right + (roots(self.covariance) @ shift[:, :, None])[:, :, 0]
        drawn = replace(self, right=right, covariance=np.zeros_like(self.covariance))
        values = random_state.standard_normal(X.shape) * np.sqrt(self.noise)
        for rows, left, _, which, covariance in drawn.rows(X):
            shift = random_state.standard_normal(left.shape)
            left = left + (roots(covariance)[which] @ shift[:, :, None])[:, :, 0]
            values[rows] += left @ right.T
        return values

    def grown(self, X, rank, random_state):
        """Add components along the leading directions of the residuals."""
        observed = ~np.isnan(X)
        rest = np.where(observed, X - self.predict(X), 0)
        more = rank - self.rank
        _, lengths, directions = randomized_svd(rest, more, random_state=random_state)
        new = directions.T * lengths / np.sqrt(len(X) * observed.mean())
        right = np.insert(self.right, [self.rank] * more, new, axis=1)
        covariance = np.zeros((len(right), rank + 1, rank + 1))
        old = [*range(self.rank), rank]
        covariance[np.ix_(range(len(right)), old, old)] = self.covariance
        precision = 1 / np.maximum((right[:, :rank] ** 2).mean(axis=0), LEAST_NOISE)
        # Too large an initial noise hides the new components: it decreases slowly but increases
        # fast.
        noise = np.maximum(FIRST_NOISE * self.noise, self.noise - (new**2).sum(axis=1))
        return VariationalFactors(right, covariance, noise, precision)

    def fitted(self, X):
        """Iterate until the noise variances no longer decrease.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Standardized data with NaN for missing values.

        Returns
        -------
        factors : VariationalFactors
            The fitted posterior.
        """
        if self.rank == 0:
            return self.of_means(X)
        factors, before = self, np.inf
        for _ in range(MAX_ITER):
            factors = factors._updated(X)
            after = np.log(factors.noise).mean()
            if abs(before - after) < TOL:
                break
            before = after
        return factors

    def _updated(self, X):
        q, (n, p) = self.rank + 1, X.shape
        filled = np.nan_to_num(X)
        grams, moments = np.zeros((p, q * q)), np.zeros((p, q))
        total = np.zeros((q, q))
        for rows, left, patterns, which, covariance in self.rows(X):
            observed = ~np.isnan(X[rows])
            squares = (left[:, :, None] * left[:, None, :]).reshape(-1, q * q)
            counts = np.bincount(which, minlength=len(patterns))
            spread = covariance.reshape(-1, q * q) * counts[:, None]
            grams += observed.T.astype(X.dtype) @ squares + patterns.T.astype(X.dtype) @ spread
            moments += filled[rows].T @ left
            total += squares.sum(axis=0).reshape(q, q) + spread.sum(axis=0).reshape(q, q)
        grams = grams.reshape(p, q, q)
        prior = RowPenalty.of_ridge(self.noise, np.append(self.precision, 0))
        inverse = RowSystems(grams, moments, prior).inverses()
        right = (inverse @ moments[:, :, None])[:, :, 0]
        covariance = self.noise[:, None, None] * inverse
        # The expected squared residuals consist of squares of the data, of the model, and their
        # products.
        second = right[:, :, None] * right[:, None, :] + covariance
        squares = np.einsum("ij,ij->j", filled, filled)
        squares += np.einsum("jkl,jkl->j", grams, second) - 2 * np.einsum(
            "jk,jk->j", right, moments
        )
        counts = grams[:, -1, -1]
        squares = np.maximum(squares, 0)
        mean = squares.sum() / counts.sum()
        noise = (squares + NOISE_PRIOR * mean) / (counts + NOISE_PRIOR)
        return replace(
            self, right=right, covariance=covariance, noise=np.maximum(noise, LEAST_NOISE)
        )._turned(total / n)

    def _turned(self, second):
        """Return the same model in the form in which the codes agree with their prior.

        The codes are centered with variance one, and the components are orthogonal, so that each
        has its own precision. Without this step, many more iterations are needed (Ilin & Raiko
        2010, section 4.2).
        """
        k = self.rank
        turn = np.eye(k + 1)
        mean = second[:k, k]
        turn[:k, k] = mean
        turn[:k, :k] = np.linalg.cholesky(second[:k, :k] - np.outer(mean, mean))
        right, covariance = self.right @ turn, turn.T @ self.covariance @ turn
        sums = right.T @ right + covariance.sum(axis=0)
        _, vectors = np.linalg.eigh(sums[:k, :k])
        turn = np.eye(k + 1)
        turn[:k, :k] = vectors[:, ::-1]
        right, covariance = right @ turn, turn.T @ covariance @ turn
        squares = np.einsum("jk,jk->k", right, right) + np.einsum("jkk->k", covariance)
        precision = len(right) / np.maximum(squares[:k], LEAST_NOISE)
        return replace(self, right=right, covariance=covariance, precision=precision)


def fit_variational(X, random_state):
    """Choose the rank by hidden entries, and fit to all entries.

    The rank is doubled, and each fit starts from the previous one, until the error of the hidden
    entries no longer decreases. The first candidate is rank zero, the means of the columns. In
    small tables entries are hidden several times, because otherwise the choice would depend on
    chance.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Standardized data with NaN for missing values.
    random_state : RandomState
        Chooses the hidden entries.

    Returns
    -------
    factors : VariationalFactors
        The model, fitted to all of X.
    errors : dict of {int: float}
        Mean squared error of the hidden entries for every rank that was tried.
    """
    trials = _trials(DenseObservations(X), hiding_stream(random_state))
    ranks = _ranks(min(X.shape) - 1)
    if not any(trial.held_out.hidden.n_observed for trial in trials):
        if len(ranks) > 1:
            warn(
                "The rank cannot be chosen by hidden entries, because every entry of X is the only "
                "one of its row or column. Missing values are replaced by the means of the "
                "features. Pass an estimator for another imputation."
            )
        return VariationalFactors.of_means(X), {0: np.nan}
    best, errors, waited = trials[0].factors, {}, 0
    for rank in ranks:
        if rank:
            trials = [trial.grown(rank, random_state) for trial in trials]
        error = float(np.mean(np.concatenate([trial.squared_errors() for trial in trials])))
        # For standardized data, errors below the smallest noise variance do not matter.
        gained = not errors or error < GAIN * min(errors.values()) - LEAST_NOISE
        waited = 0 if gained else waited + 1
        errors[rank] = error
        if waited == 0:
            best = trials[0].factors
        elif waited == PATIENCE or rank > CHEAP_RANK:
            break
    return best.fitted(X), errors


@dataclass(frozen=True)
class Trial:
    """A factorization of the visible entries of a table with hidden entries.

    Attributes
    ----------
    held_out : HeldOut
        The standardized data, divided into visible and hidden entries.
    factors : VariationalFactors
        The model, fitted to the visible entries.
    """

    held_out: HeldOut
    factors: VariationalFactors

    def grown(self, rank, random_state):
        """Return the trial with more components."""
        visible = self.held_out.visible.values
        grown = self.factors.grown(visible, rank, random_state)
        return replace(self, factors=grown.fitted(visible))

    def squared_errors(self):
        """Return the squared error of every hidden entry."""
        hidden = self.held_out.hidden
        rows = np.repeat(np.arange(hidden.shape[0]), np.diff(hidden.indptr))
        predicted = self.factors.predict(self.held_out.visible.values)
        return (predicted[rows, hidden.indices] - hidden.values) ** 2


def _trials(observations: ObservedMatrix, rng):
    """Return enough trials to hide ENOUGH_HIDDEN entries, or nearly all of them once."""
    n_trials = np.ceil(ENOUGH_HIDDEN / (HIDDEN_SHARE * observations.n_observed))
    parts = [
        observations.hold_out(HIDDEN_SHARE, rng)
        for _ in range(int(min(n_trials, np.ceil(1 / HIDDEN_SHARE))))
    ]
    return [Trial(part, VariationalFactors.of_means(part.visible.values)) for part in parts]


def _ranks(largest):
    largest = min(largest, MAX_RANK)
    return sorted({0, largest, *(2**i for i in range(largest.bit_length()))})


def _unit_ridge(n, k):
    """Return the penalty that corresponds to a normal prior with variance one."""
    return RowPenalty.of_ridge(np.ones(n), np.ones(k))
