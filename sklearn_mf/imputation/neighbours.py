"""What rows that are alike have in common beyond a model of all rows."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

# Rows that are averaged, and neighbours that a model of all rows counts as among them.
N_NEIGHBORS, PRIOR = 20, 0.5
# Rows that are looked at together.
BLOCK = 1024


@dataclass(frozen=True)
class Neighbours:
    """Rows to find neighbours among, complete by a model that also left residuals.

    Attributes
    ----------
    completed : ndarray of shape (n_donors, n_features)
        Where they are.
    observed : ndarray of shape (n_donors, n_features)
        One where an entry is observed, zero where it is filled: only observed ones are averaged.
    residuals : ndarray of shape (n_donors, n_features)
        What the model did not explain; zero where filled.
    """

    completed: np.ndarray
    observed: np.ndarray
    residuals: np.ndarray

    @classmethod
    def of(cls, model, X):
        """Rows of X, NaN where missing, as a model completes them."""
        completed, observed = model.completed(X), (~np.isnan(X)).astype(X.dtype)
        return cls(completed, observed, model.residuals(completed) * observed)

    def shifts(self, X, completed):
        """How neighbours differ from a model of all rows.

        Neighbours are near in what a row shows: what the model fills in is what they are to
        correct.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Rows, NaN where missing.
        completed : ndarray of shape (n_samples, n_features)
            The same, filled by the model.

        Returns
        -------
        shifts : ndarray of shape (2, n_samples, n_features)
            Average residual of the neighbours of each row, and how far their average entry is from
            that of the row. Both are zero where no neighbour has an observed entry.
        """
        # A row may be a donor itself, which has nothing to tell of what is filled in it.
        n_neighbors = min(N_NEIGHBORS + 1, len(self.completed))
        values = self.completed * self.observed
        donors, squares = self.completed.T, self.completed.T**2
        shifts = np.empty((2, *completed.shape))
        for start in range(0, len(completed), BLOCK):
            rows = slice(start, start + BLOCK)
            seen = ~np.isnan(X[rows])
            shown = np.where(seen, X[rows], 0)
            distances = (shown**2).sum(axis=1, keepdims=True) - 2 * shown @ donors
            distances += seen.astype(X.dtype) @ squares
            indices = np.argpartition(distances, n_neighbors - 1, axis=1)[:, :n_neighbors]
            nearest = np.maximum(np.take_along_axis(distances, indices, axis=1), 0)
            farthest = np.maximum(nearest.max(axis=1, keepdims=True), np.finfo(float).tiny)
            weights = 1 - 0.99 * nearest / farthest
            ends = np.arange(len(indices) + 1) * n_neighbors
            shape = len(indices), len(self.completed)
            average = sparse.csr_array((weights.ravel(), indices.ravel(), ends), shape=shape)
            counts = average @ self.observed
            shifts[0, rows] = average @ self.residuals / (counts + PRIOR)
            shifts[1, rows] = (average @ values - counts * completed[rows]) / (counts + PRIOR)
        return shifts
