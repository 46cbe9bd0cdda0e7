"""Conversion of counts of interactions to observations with confidence weights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_mf.observations import BackgroundObservations
from sklearn_mf.utils._sparse import entries_at
from sklearn_mf.utils._validation import cells_of, check_entry_weight, check_sample_weight


@dataclass(frozen=True)
class Confidence:
    """The confidence with which a stored value means that a row prefers a column.

    Attributes
    ----------
    background : float
        Weight of all entries, stored or not.
    kind : {"binary", "linear", "log"} or callable
        The additional weight as a function of the stored value; see `of_sizes`.
    scale : float
        Number by which the additional weight is multiplied.
    negative : {"error", "dislike"}
        Meaning of negative values.
    """

    background: float
    kind: str | Callable = "binary"
    scale: float = 1.0
    negative: str = "error"

    def of_sizes(self, sizes):
        """Return the additional weights of absolute values."""
        if callable(self.kind):
            found = np.asarray(self.kind(sizes), dtype=sizes.dtype)
            if found.shape != sizes.shape:
                raise ValueError(
                    f"confidence returned an array of shape {found.shape} for values of shape "
                    f"{sizes.shape}: it must return one number for each value."
                )
        else:
            found = {"binary": np.ones_like, "linear": np.array, "log": np.log1p}[self.kind](sizes)
        with np.errstate(over="ignore", under="ignore"):  # checked below, with a clear message
            return found * sizes.dtype.type(self.scale)

    def observed(self, X, names=None, entry_weight=None, sample_weight=None):
        """Return all entries of X: stored ones with their confidence, the others as zeros.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Data that are validated, except for signs and NaN.
        names : ndarray of str or None, default=None
            Names of the features for messages.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Factors of the confidences. An entry with weight 0 (or no stored weight) counts as
            unstored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, as passed by the user.

        Returns
        -------
        observations : BackgroundObservations
            The preferences, 1 or (for dislikes) 0.

        Raises
        ------
        ValueError
            If a value is NaN, or negative without ``negative="dislike"``; or if a confidence or
            weight is not positive or overflows.
        """
        weights = check_entry_weight(entry_weight, X, "background", names)
        sample_weight = check_sample_weight(sample_weight, X)
        X = _nonzeros(X)
        self._check_values(X, names)
        extra = self.of_sizes(np.abs(X.data))
        if weights is not None:
            rows, columns = cells_of(X, np.ones(X.nnz, dtype=bool))
            is_sparse = sparse.issparse(weights)
            found = entries_at(weights, rows, columns) if is_sparse else weights[rows, columns]
            X, extra = _only(X, found > 0), (extra * found)[found > 0]
        self._check_confidences(X, extra, names)
        X = sparse.csr_array(((X.data > 0).astype(X.dtype), X.indices, X.indptr), shape=X.shape)
        return BackgroundObservations.of_entries(X, extra, self.background, sample_weight)

    def _check_values(self, X, names):
        wrong = np.isnan(X.data)
        if wrong.any():
            raise ValueError(
                f"Input X contains NaN in {_first(X, wrong, names)}. Remove entries that are not "
                "known: all entries that X does not store have a small weight."
            )
        wrong = X.data < 0
        if self.negative == "error" and wrong.any():
            raise ValueError(
                f"Negative values in data passed to ImplicitFactorization (input X): "
                f"{_first(X, wrong, names)} has {X.data[wrong][0]:g}. Use negative='dislike' if "
                "negative values are dislikes, or remove them."
            )

    def _check_confidences(self, X, extra, names):
        # Solvers multiply weights with each other and sum the products.
        most = float(np.finfo(X.dtype).max) ** 0.25
        if self.background > most:
            raise ValueError(
                f"unobserved_weight={self.background:g} must be at most {most:.2g}, because "
                f"products of weights would overflow in {X.dtype}. Only its ratio to "
                "confidence_scale matters: divide both by the same number."
            )
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            target = X.dtype.type(self.background) / extra
            wrong = ~((extra > 0) & (extra <= most) & np.isfinite(target * X.shape[1]))
        if wrong.any():
            raise ValueError(
                f"confidence={self.kind!r} with confidence_scale={self.scale:g} gives the "
                f"confidence {extra[wrong][0]:g} for the value {X.data[wrong][0]:g} in "
                f"{_first(X, wrong, names)}. It must be positive, at most {most:.2g}, and not too "
                f"small compared with unobserved_weight={self.background:g}, because numbers would "
                f"overflow in {X.dtype}."
            )


def _nonzeros(X):
    """Return a canonical CSR matrix of the nonzero entries."""
    if not sparse.issparse(X):
        return sparse.csr_array(X)
    if X.has_canonical_format and X.data.all():
        return X
    X = sparse.csr_array(X, copy=True)
    X.sum_duplicates()
    X.eliminate_zeros()
    return X


def _only(X, keep):
    kept_before = np.concatenate([[0], np.cumsum(keep)]).astype(X.indptr.dtype)
    return sparse.csr_array((X.data[keep], X.indices[keep], kept_before[X.indptr]), shape=X.shape)


def _first(X, wrong, names):
    rows, columns = cells_of(X, wrong)
    return f"row {rows[0]}, column {columns[0] if names is None else repr(names[columns[0]])}"
