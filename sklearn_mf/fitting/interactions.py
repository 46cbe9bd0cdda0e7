"""From counts of interactions to observations: what was met is wanted, with some confidence."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from sklearn_mf.observations import BackgroundObservations
from sklearn_mf.utils._sparse import entries_at
from sklearn_mf.utils._validation import cells_of, check_entry_weight, check_sample_weight


@dataclass(frozen=True)
class Confidence:
    """How sure a stored value makes that a row wants a column.

    Attributes
    ----------
    background : float
        Weight of all cells, stored or not.
    kind : {"binary", "linear", "log"} or callable
        What a stored value adds to it, see `of_sizes`.
    scale : float
        By which this is multiplied.
    negative : {"error", "dislike"}
        What negative values are.
    """

    background: float
    kind: str | Callable = "binary"
    scale: float = 1.0
    negative: str = "error"

    def of_sizes(self, sizes):
        """Weights beside the background, of absolute values."""
        if callable(self.kind):
            found = np.asarray(self.kind(sizes), dtype=sizes.dtype)
            if found.shape != sizes.shape:
                raise ValueError(
                    f"confidence returned an array of shape {found.shape} for values of shape "
                    f"{sizes.shape}: it must return a number for each."
                )
        else:
            found = {"binary": np.ones_like, "linear": np.array, "log": np.log1p}[self.kind](sizes)
        with np.errstate(over="ignore", under="ignore"):  # which is refused by name
            return found * sizes.dtype.type(self.scale)

    def observed(self, X, names=None, entry_weight=None, sample_weight=None):
        """Every cell of X: what is stored with its confidence, all others as zeros.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Validated but for signs and NaN.
        names : ndarray of str or None, default=None
            Of the features, for messages.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Multiplies confidences. 0, or not stored: as if X did not store the entry.
        sample_weight : array-like of shape (n_samples,), default=None
            As users give it.

        Returns
        -------
        observations : BackgroundObservations
            Preferences of 1, or 0 for dislikes.

        Raises
        ------
        ValueError
            If a value is NaN, or negative and no dislike, or a confidence is not positive, or a
            weight is beyond what can be computed with.
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
                f"Input X contains NaN in {_first(X, wrong, names)}. What is not known need not be "
                "stored: every cell counts, those that are not stored as hardly wanted."
            )
        wrong = X.data < 0
        if self.negative == "error" and wrong.any():
            raise ValueError(
                f"Negative values in data passed to ImplicitFactorization (input X): "
                f"{_first(X, wrong, names)} has {X.data[wrong][0]:g}. Use negative='dislike' if "
                "it was met and not wanted, or remove it."
            )

    def _check_confidences(self, X, extra, names):
        # Solvers multiply weights with each other, and add up the products.
        most = float(np.finfo(X.dtype).max) ** 0.25
        if self.background > most:
            raise ValueError(
                f"unobserved_weight={self.background:g} must be at most {most:.2g}, or products of "
                f"weights overflow in {X.dtype}. Its share of confidence_scale is what counts: "
                "divide both by the same number."
            )
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            target = X.dtype.type(self.background) / extra
            wrong = ~((extra > 0) & (extra <= most) & np.isfinite(target * X.shape[1]))
        if wrong.any():
            raise ValueError(
                f"confidence={self.kind!r} and confidence_scale={self.scale:g} make the "
                f"confidence of {_first(X, wrong, names)} {extra[wrong][0]:g}, of a value of "
                f"{X.data[wrong][0]:g}: it must be positive, at most {most:.2g}, and no vanishing "
                f"share of unobserved_weight={self.background:g}, or numbers overflow in {X.dtype}."
            )


def _nonzeros(X):
    """A CSR matrix of what is not zero, each cell once."""
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
