r"""The normal distribution of the columns of a table, from rows with holes, and shrunk.

With S its covariance and P the inverse of S, what a row misses has, given what it shows, the
covariance :math:`C = P_{mm}^{-1}` and the mean :math:`\mu_m - C P_{mo} (x_o - \mu_o)`. In turns,
holes are filled so and S is estimated from the rows, which are complete then, with C added (the EM
algorithm; Little & Rubin 2002, *Statistical Analysis with Missing Data*, section 11.2).

Few rows know a large covariance badly. It is therefore drawn towards one that takes fewer numbers:
that of a few factors, with noise of its own in every column.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_mf.utils._holes import Holes

# Iterations at most, and the relative change of the columns' noise that ends them.
MAX_ITER, TOL = 30, 1e-2
# What is added to the variance of standardized columns, so that they may repeat one another.
LEAST_VARIANCE = 1e-10
# Sweeps that fit the factors of a target, and the least noise that they leave, as a share of the
# column's variance.
FACTOR_SWEEPS, LEAST_NOISE = 3, 0.02


@dataclass(frozen=True)
class Shrinkage:
    """What a covariance of standardized columns is drawn to, and how far.

    Attributes
    ----------
    weights : dict of {int: float}
        Shares of targets, by their number of factors; the rest, of 1, is the covariance itself.
        The target without factors has columns that do not depend on one another.
    """

    weights: dict

    @classmethod
    def average(cls, shrinkages, shares):
        """Mixture of several."""
        weights = {}
        for shrinkage, share in zip(shrinkages, shares, strict=True):
            for rank, weight in shrinkage.weights.items():
                weights[rank] = weights.get(rank, 0.0) + float(share * weight)
        return cls({rank: weight for rank, weight in weights.items() if weight > 0})

    @property
    def weight(self):
        """Share of all targets."""
        return sum(self.weights.values())

    def of_more_rows(self, ratio):
        """The same, where the rows are `ratio` times as many: they count more than before."""
        factor = 1 / (self.weight + (1 - self.weight) * ratio)
        return Shrinkage({rank: factor * weight for rank, weight in self.weights.items()})

    def __call__(self, covariance):
        """The mixture of a covariance and its targets."""
        mixture = (1 - self.weight) * covariance
        for rank, weight in self.weights.items():
            mixture += weight * _of_factors(covariance, rank)
        return mixture


def _of_factors(covariance, rank):
    """The most likely covariance of so many factors: components where they exceed the noise."""
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
        Of every column.
    covariance : ndarray of shape (n_features, n_features)
        Of all columns.
    n_seen : float
        Number of complete rows that would tell as much about it.
    """

    mean: np.ndarray
    covariance: np.ndarray
    n_seen: float

    @classmethod
    def of_means(cls, X):
        """Columns that do not depend on one another."""
        counts = np.maximum((~np.isnan(X)).sum(axis=0), 1)
        mean = np.nansum(X, axis=0) / counts
        variance = np.nansum((X - mean) ** 2, axis=0) / counts
        return cls(mean, np.diag(variance + LEAST_VARIANCE), counts.mean())

    @classmethod
    def of_pairs(cls, X):
        """Columns that depend on one another as in the rows that have both of a pair.

        Deviations are those from the means of these rows: where a column misses its extremes,
        deviations from the means of all rows may have the wrong sign.
        """
        normal, seen = cls.of_means(X), (~np.isnan(X)).astype(X.dtype)
        deviations = np.where(seen > 0, X - normal.mean, 0)
        counts = np.maximum(seen.T @ seen, 1)
        means = deviations.T @ seen / counts
        variances = (deviations**2).T @ seen / counts - means**2
        covariances = deviations.T @ deviations / counts - means * means.T
        scales = np.sqrt(np.maximum(variances * variances.T, LEAST_VARIANCE))
        # Of few rows a correlation is not known.
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
        """Variance of each column, given all others."""
        return 1 / np.diag(self.precision)

    def fitted(self, X, shrinkage, max_iter=MAX_ITER):
        """Fill and estimate in turns, until the noise of the columns stays.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Standardized data, NaN where missing.
        shrinkage : Shrinkage
            Is applied in every turn.
        max_iter : int
            Turns at most.

        Returns
        -------
        normal : Normal
            The distribution.
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
        """The same with its covariance shrunk."""
        return replace(self, covariance=shrinkage(self.covariance))

    def completed(self, X):
        """X with expected values in its holes."""
        deviations, holes = self._deviations(X)
        filled = np.zeros((len(X), holes.n_columns))
        for cells, means, *_ in self._given(deviations, holes):
            filled[cells] = means
        return np.where(holes.missing, filled[:, : X.shape[1]] + self.mean, X)

    def residuals(self, completed):
        """What of each entry is not explained by the others of its row."""
        precision = self.precision
        return (completed - self.mean) @ precision / np.diag(precision)

    def variances(self, X):
        """Variance of every missing cell around its expected value; zero where observed.

        The distribution itself is not known exactly: as in a regression, this adds the more the
        further the row is from the mean.
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
        """One draw of the distribution, and from it one of every missing cell."""
        drawn = self._drawn(random_state)
        deviations, holes = drawn._deviations(X)
        filled = np.zeros((len(X), holes.n_columns))
        for cells, means, which, _, spread in drawn._given(deviations, holes):
            normal = random_state.standard_normal((*means.shape, 1))
            filled[cells] = means + (_root(spread)[which] @ normal)[:, :, 0]
        return np.where(holes.missing, filled[:, : X.shape[1]] + drawn.mean, X)

    def _drawn(self, random_state):
        """Another distribution that the rows allow: of inverse Wishart covariance."""
        p = len(self.mean)
        freedom = max(self.n_seen, p)
        # Bartlett: normal numbers below a diagonal of roots of chi squares.
        triangle = np.tril(random_state.standard_normal((p, p)), -1)
        triangle += np.diag(np.sqrt(random_state.chisquare(freedom - np.arange(p))))
        root = _root(self.covariance) @ np.linalg.inv(triangle).T
        root *= np.sqrt(freedom)
        shift = root @ random_state.standard_normal(p) / np.sqrt(self.n_seen)
        return replace(self, mean=self.mean + shift, covariance=root @ root.T)

    def _updated(self, X, holes, shrinkage):
        """Estimated from the rows as this distribution completes them."""
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
        """From the mean, zero in holes, and the holes."""
        holes = Holes(np.isnan(X))
        return np.where(holes.missing, 0, X - self.mean), holes

    def _given(self, deviations, holes):
        """What is missing, given what is observed of each row."""
        precision = self.precision
        moments = np.zeros((len(deviations), holes.n_columns))
        moments[:, : len(precision)] = deviations @ precision
        for rows, which, columns, spread in holes.inverses(precision):
            cells = rows[:, None], columns[which]
            # A copy for each row only where rows share patterns.
            of_rows = spread if len(rows) == len(spread) else spread[which]
            means = -(of_rows @ moments[cells][:, :, None])[:, :, 0]
            yield cells, means, which, columns, spread


def _root(covariances):
    """R with ``R R'`` the covariance, or each of several: of exact data all but singular ones."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariances)
        return vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
