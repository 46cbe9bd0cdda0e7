r"""A shrunken normal distribution of the columns of a table with missing values.

Let S be the covariance and P its inverse. The missing entries of a row, given its observed ones,
have the covariance :math:`C = P_{mm}^{-1}` and the mean :math:`\mu_m - C P_{mo} (x_o - \mu_o)`. The
EM algorithm alternates between replacing missing entries by this mean and estimating S from the
completed rows, with C added (Little & Rubin 2002, *Statistical Analysis with Missing Data*, section
11.2).

A few rows determine a large covariance only badly. It is therefore shrunk towards a covariance with
fewer parameters: that of a factor analysis with few factors and a separate noise variance for every
column.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.utils._holes import Holes

# Maximum number of iterations, and relative change of the noise of the columns at which they stop.
MAX_ITER, TOL = 30, 1e-2
# Number added to the variance of standardized columns, so that columns may be equal.
LEAST_VARIANCE = 1e-10
# Number of sweeps that fit the factors of a target, and smallest noise variance that they leave, as
# a fraction of the variance of the column.
FACTOR_SWEEPS, LEAST_NOISE = 3, 0.02


@dataclass(frozen=True)
class Shrinkage:
    """The targets towards which a covariance of standardized columns is shrunk.

    Attributes
    ----------
    weights : dict of {int: float}
        Weights of the targets, by their number of factors. The remaining weight (up to 1) is that
        of the covariance itself. The target without factors has independent columns.
    """

    weights: dict

    @classmethod
    def average(cls, shrinkages, shares):
        """Return the weighted average of several shrinkages."""
        weights = {}
        for shrinkage, share in zip(shrinkages, shares, strict=True):
            for rank, weight in shrinkage.weights.items():
                weights[rank] = weights.get(rank, 0.0) + float(share * weight)
        return cls({rank: weight for rank, weight in weights.items() if weight > 0})

    @property
    def weight(self):
        """Total weight of all targets."""
        return sum(self.weights.values())

    def of_more_rows(self, ratio):
        """Return the shrinkage for `ratio` times as many rows, in which the targets weigh less."""
        factor = 1 / (self.weight + (1 - self.weight) * ratio)
        return Shrinkage({rank: factor * weight for rank, weight in self.weights.items()})

    def __call__(self, covariance):
        """Return the weighted average of a covariance and its targets."""
        mixture = (1 - self.weight) * covariance
        for rank, weight in self.weights.items():
            mixture += weight * _of_factors(covariance, rank)
        return mixture


def _of_factors(covariance, rank):
    """Return the maximum likelihood covariance with this number of factors."""
    variance = np.diag(covariance)
    if rank == 0:
        return np.diag(np.maximum(variance, 1))
    least = LEAST_NOISE * np.maximum(variance, 1)
    noise = 1 / np.diag(np.linalg.inv(covariance))
    for _ in range(FACTOR_SWEEPS):
        scale = np.sqrt(np.maximum(noise, least))
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        lengths = np.sqrt(np.maximum(values[-rank:] - 1, 0))
        components = scale[:, None] * vectors[:, -rank:] * lengths
        noise = variance - (components**2).sum(axis=1)
    return components @ components.T + np.diag(np.maximum(noise, least))


@dataclass(frozen=True)
class Normal:
    """A normal distribution of the rows of a table.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
        Mean of every column.
    covariance : ndarray of shape (n_features, n_features)
        Covariance of the columns.
    n_seen : float
        Number of complete rows with the same amount of information.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n_seen: float

    @classmethod
    def of_means(cls, X):
        """Return a distribution with independent columns."""
        counts = np.maximum((~np.isnan(X)).sum(axis=0), 1)
        mean = np.nansum(X, axis=0) / counts
        variance = np.nansum((X - mean) ** 2, axis=0) / counts
        return cls(mean, np.diag(variance + LEAST_VARIANCE), counts.mean())

    @classmethod
    def of_pairs(cls, X):
        """Return a distribution whose correlations are those of the rows observed in both columns.

        Deviations are relative to the means of these rows. If a column is not observed at its
        extremes, deviations from the means of all rows might have the wrong sign.
        """
        normal, seen = cls.of_means(X), (~np.isnan(X)).astype(X.dtype)
        deviations = np.where(seen > 0, X - normal.mean, 0)
        counts = np.maximum(seen.T @ seen, 1)
        means = deviations.T @ seen / counts
        variances = (deviations**2).T @ seen / counts - means**2
        covariances = deviations.T @ deviations / counts - means * means.T
        scales = np.sqrt(np.maximum(variances * variances.T, LEAST_VARIANCE))
        # Correlations from few rows are uncertain, so they are shrunk.
        correlations = covariances / scales * (1 - 1 / np.maximum(counts, 2))
        np.fill_diagonal(correlations, 1)
        values, vectors = np.linalg.eigh(correlations)
        correlations = (vectors * np.maximum(values, LEAST_NOISE)) @ vectors.T
        deviation = np.sqrt(np.diag(normal.covariance) / np.diag(correlations))
        return replace(normal, covariance=correlations * np.outer(deviation, deviation))

    @property
    def precision(self):
        """Inverse of the covariance."""
        return np.linalg.inv(self.covariance)

    @property
    def noise(self):
        """Variance of each column given all others."""
        return 1 / np.diag(self.precision)

    def fitted(self, X, shrinkage, max_iter=MAX_ITER):
        """Return the distribution fitted by the EM algorithm.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Standardized data with NaN for missing values.
        shrinkage : Shrinkage
            Shrinkage of the covariance in every iteration.
        max_iter : int
            Maximum number of iterations.

        Returns
        -------
        normal : Normal
            The fitted distribution.
        """
        normal, holes, before = self, Holes(np.isnan(X)), np.inf
        for _ in range(max_iter):
            normal = normal._updated(X, holes, shrinkage)
            after = np.log(normal.noise)
            if np.abs(before - after).mean() < TOL:
                break
            before = after
        return normal

    def shrunk(self, shrinkage):
        """Return the distribution with a shrunken covariance."""
        return replace(self, covariance=shrinkage(self.covariance))

    def completed(self, X):
        """Return X with missing values replaced by expected values."""
        deviations, holes = self._deviations(X)
        filled = np.zeros((len(X), holes.n_columns))
        for cells, means, *_ in self._given(deviations, holes):
            filled[cells] = means
        return np.where(holes.missing, filled[:, : X.shape[1]] + self.mean, X)

    def residuals(self, completed):
        """Return the part of each entry that the other entries of its row do not explain."""
        precision = self.precision
        return (completed - self.mean) @ precision / np.diag(precision)

    def variances(self, X):
        """Return the variance of every missing entry; zero for observed entries.

        The distribution itself is estimated. As in a regression, its uncertainty adds to the
        variance, and it adds more for rows farther from the mean.
        """
        deviations, holes = self._deviations(X)
        filled, variances = np.zeros((2, len(X), holes.n_columns))
        for cells, means, which, _, spread in self._given(deviations, holes):
            filled[cells] = means
            variances[cells] = np.einsum("ijj->ij", spread)[which]
        deviations += filled[:, : X.shape[1]]
        distances = np.einsum("ij,ij->i", deviations @ self.precision, deviations)
        unknown = 1 + (1 + distances) / self.n_seen
        return variances[:, : X.shape[1]] * unknown[:, None]

    def sample(self, X, random_state):
        """Draw a distribution from its posterior, and all missing values from this distribution."""
        drawn = self._drawn(random_state)
        deviations, holes = drawn._deviations(X)
        filled = np.zeros((len(X), holes.n_columns))
        for cells, means, which, _, spread in drawn._given(deviations, holes):
            normal = random_state.standard_normal((*means.shape, 1))
            filled[cells] = means + (_root(spread)[which] @ normal)[:, :, 0]
        return np.where(holes.missing, filled[:, : X.shape[1]] + drawn.mean, X)

    def _drawn(self, random_state):
        """Draw the distribution from its posterior, an inverse Wishart distribution."""
        p = len(self.mean)
        freedom = max(self.n_seen, p)
        # Bartlett's decomposition: normal numbers below a diagonal of roots of chi-squared numbers.
        triangle = np.tril(random_state.standard_normal((p, p)), -1)
        triangle += np.diag(np.sqrt(random_state.chisquare(freedom - np.arange(p))))
        root = _root(self.covariance) @ np.linalg.inv(triangle).T
        root *= np.sqrt(freedom)
        shift = root @ random_state.standard_normal(p) / np.sqrt(self.n_seen)
        return replace(self, mean=self.mean + shift, covariance=root @ root.T)

    def _updated(self, X, holes, shrinkage):
        """Return the distribution estimated from the rows that this one completes."""
        (n, p), q = X.shape, holes.n_columns
        deviations = np.where(holes.missing, 0, X - self.mean)
        filled, unknown = np.zeros((n, q)), np.zeros(q * q)
        for cells, means, which, columns, spread in self._given(deviations, holes):
            filled[cells] = means
            weights = spread * np.bincount(which)[:, None, None]
            pairs = q * columns[:, :, None] + columns[:, None, :]
            unknown += np.bincount(pairs.ravel(), weights.ravel(), minlength=q * q)
        deviations += filled[:, :p]
        shift = deviations.mean(axis=0)
        squares = deviations.T @ deviations + unknown.reshape(q, q)[:p, :p]
        covariance = squares / n - np.outer(shift, shift) + LEAST_VARIANCE * np.eye(p)
        return replace(self, mean=self.mean + shift, covariance=shrinkage(covariance))

    def _deviations(self, X):
        """Return the deviations from the mean, zero if missing, and the mask of missing entries."""
        holes = Holes(np.isnan(X))
        return np.where(holes.missing, 0, X - self.mean), holes

    def _given(self, deviations, holes):
        """Return the distribution of the missing entries given the observed ones of each row."""
        precision = self.precision
        moments = np.zeros((len(deviations), holes.n_columns))
        moments[:, : len(precision)] = deviations @ precision
        for rows, which, columns, spread in holes.inverses(precision):
            cells = rows[:, None], columns[which]
            # Copy the matrices for each row only if several rows have the same pattern.
            of_rows = spread if len(rows) == len(spread) else spread[which]
            means = -(of_rows @ moments[cells][:, :, None])[:, :, 0]
            yield cells, means, which, columns, spread


def _root(covariances):
    """Return R with ``R R'`` equal to each covariance, which may be nearly singular."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariances)
        return vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
