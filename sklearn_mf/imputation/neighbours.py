"""Correction of a model of all rows by the residuals of similar rows."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

# Number of rows that are averaged, and number of neighbors to which the model of all rows is
# equivalent.
N_NEIGHBORS, PRIOR = 20, 0.5
# Number of rows that are processed together.
BLOCK = 1024


@dataclass(frozen=True)
class Neighbours:
    """Rows among which neighbors are found, completed by a model, with its residuals.

    Attributes
    ----------
    completed : ndarray of shape (n_donors, n_features)
        The rows with missing values replaced by the model.
    observed : ndarray of shape (n_donors, n_features)
        One for observed entries, zero for missing ones: only observed entries are averaged.
    residuals : ndarray of shape (n_donors, n_features)
        Residuals of the model; zero for missing entries.
    """

    completed: np.ndarray
    observed: np.ndarray
    residuals: np.ndarray

    @classmethod
    def of(cls, model, X):
        """Return the rows of X (NaN for missing values), completed by a model."""
        completed, observed = model.completed(X), (~np.isnan(X)).astype(X.dtype)
        return cls(completed, observed, model.residuals(completed) * observed)

    def shifts(self, X, completed):
        """Return the average differences between the neighbors and a model of all rows.

        The distance of neighbors depends on the observed entries of a row only, because the
        completed ones are to be corrected.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Rows with NaN for missing values.
        completed : ndarray of shape (n_samples, n_features)
            The same rows, completed by the model.

        Returns
        -------
        shifts : ndarray of shape (2, n_samples, n_features)
            Average residual of the neighbors of each row, and difference between their average
            entry and that of the row. Both are zero if no neighbor has an observed entry.
        """
        # A row may be among the candidates itself, but it has no information about its missing
        # entries.
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
