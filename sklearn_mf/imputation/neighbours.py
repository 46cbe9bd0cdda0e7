"""What rows that are alike have in common beyond a model of all rows."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

# Rows that are averaged, and neighbours that a model of all rows counts as among them.
N_NEIGHBORS, PRIOR = 20, 0.5
# Rows that are looked at together.
BLOCK = 4096


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

    def shifts(self, completed):
        """How neighbours differ from a model of all rows.

        Parameters
        ----------
        completed : ndarray of shape (n_samples, n_features)
            Rows, filled by the model.

        Returns
        -------
        shifts : ndarray of shape (2, n_samples, n_features)
            Average residual of the neighbours of each row, and how far their average entry is from
            that of the row. Both are zero where no neighbour has an observed entry.
        """
        # Here, because most of a session may pass without neighbours.
        from sklearn.neighbors import NearestNeighbors

        # A row may be a donor itself, which has nothing to tell of what is filled in it.
        n_neighbors = min(N_NEIGHBORS + 1, len(self.completed))
        search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(self.completed)
        values = self.completed * self.observed
        shifts = np.empty((2, *completed.shape))
        for start in range(0, len(completed), BLOCK):
            rows = slice(start, start + BLOCK)
            distances, indices = search.kneighbors(completed[rows])
            squares = distances**2
            farthest = np.maximum(squares[:, -1:], np.finfo(squares.dtype).tiny)
            weights = 1 - 0.99 * squares / farthest
            ends = np.arange(len(indices) + 1) * n_neighbors
            shape = len(indices), len(self.completed)
            average = sparse.csr_array((weights.ravel(), indices.ravel(), ends), shape=shape)
            seen = average @ self.observed
            shifts[0, rows] = average @ self.residuals / (seen + PRIOR)
            shifts[1, rows] = (average @ values - seen * completed[rows]) / (seen + PRIOR)
        return shifts
