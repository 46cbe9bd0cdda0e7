"""A common view of complete, incomplete and sparse data: observed entries and their weights.

The methods of an `ObservedMatrix` refer to its rows; ``T`` is the same data with rows and columns
exchanged, so that all other code is written once. The cases (complete rows, missing entries,
unstored zeros) are distinguished here, before any loop. X is copied only if necessary, and never
modified.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from sklearn_mf.observations._base import HeldOut, ObservedMatrix
from sklearn_mf.observations.answers import gradient_of, parabola_of, value_of
from sklearn_mf.observations.background import BackgroundObservations
from sklearn_mf.observations.blocked import BlockedObservations
from sklearn_mf.observations.dense import DenseObservations
from sklearn_mf.observations.ordinary import of_ordinary_size
from sklearn_mf.observations.runaways import Runaways
from sklearn_mf.observations.stored import StoredObservations, keep_entries
from sklearn_mf.observations.zero_filled import ZeroFilledObservations
from sklearn_mf.utils._sparse import entries_at

__all__ = [
    "BackgroundObservations",
    "BlockedObservations",
    "DenseObservations",
    "HeldOut",
    "Look",
    "ObservedMatrix",
    "Runaways",
    "StoredObservations",
    "ZeroFilledObservations",
    "gradient_of",
    "observe",
    "of_ordinary_size",
    "parabola_of",
    "value_of",
]


def observe(X, *, unstored="zero", entry_weight=None, sample_weight=None, column_kinds=None):
    """Return a view of validated data.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_columns)
        Floating-point data. NaN, stored or not, is missing.
    unstored : {"zero", "missing"}
        Meaning of the unstored entries of a sparse X.
    entry_weight : ndarray, CSR matrix or None
        Non-negative weights. Entries with weight zero, or whose weight is not stored, are missing.
    sample_weight : ndarray of shape (n_rows,) or None
        Non-negative weights of the rows.
    column_kinds : ndarray of int of shape (n_columns,) or None
        Index of the loss of each column, if there are several.

    Returns
    -------
    observations : ObservedMatrix
        The view.
    """
    if not sparse.issparse(X):
        if entry_weight is not None:
            entry_weight = entry_weight.toarray() if sparse.issparse(entry_weight) else entry_weight
            X = np.where(entry_weight == 0, np.nan, X).astype(X.dtype, copy=False)
        return DenseObservations(X, entry_weight, sample_weight, kinds=column_kinds)
    arrays = tuple(np.ascontiguousarray(part) for part in (X.data, X.indices, X.indptr))
    X = sparse.csr_array(arrays, shape=X.shape)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    weights = None
    if entry_weight is not None:
        X, weights = _align(X, entry_weight, unstored)
        unstored = "missing"
    if unstored == "zero":
        return ZeroFilledObservations(X, sample_weight, kinds=column_kinds)
    keep = ~np.isnan(X.data)
    if not keep.all():
        X, weights = keep_entries(X, weights, keep)
    kinds = None if column_kinds is None else column_kinds[X.indices]
    return StoredObservations(X, weights, sample_weight, kinds=kinds)


@dataclass(frozen=True)
class Look:
    """How blocks of rows are viewed, wherever they are read; see `observe`.

    Attributes
    ----------
    make : callable
        Gets validated rows, their ``entry_weight`` and their ``sample_weight``; returns their
        observations.
    factor : float
        By which values are multiplied.
    """

    make: Callable
    factor: float = 1.0

    def __call__(self, block, sample_weight=None):
        """Return the observations of a block of data and the weights of its entries, or None."""
        X, entry_weight = block
        found = self.make(X, entry_weight=entry_weight, sample_weight=sample_weight)
        return found if self.factor == 1 else found.times(self.factor)

    def times(self, factor):
        """Return the same view with all values multiplied by a number."""
        return replace(self, factor=self.factor * factor)


def _align(X, entry_weight, unstored):
    """Return data and weights at the entries that have both."""
    E = sparse.csr_array(entry_weight, copy=True)
    E.sum_duplicates()
    E.eliminate_zeros()
    pattern, other = (E, X) if unstored == "zero" else (X, E)
    rows = np.repeat(np.arange(X.shape[0]), np.diff(pattern.indptr))
    found = entries_at(other, rows, pattern.indices)
    data, weights = (found, E.data) if unstored == "zero" else (X.data, found)
    aligned = sparse.csr_array((data, pattern.indices, pattern.indptr), shape=X.shape)
    weights = weights.astype(X.dtype, copy=False)
    return keep_entries(aligned, weights, weights > 0)
