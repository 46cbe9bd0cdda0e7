"""The columns that may be recommended: common candidates, and filters of single rows."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from sklearn_mf.utils._hints import did_you_mean
from sklearn_mf.utils._labels import LabeledMatrix
from sklearn_mf.utils._sparse import sound_csr


@dataclass(frozen=True)
class Candidates:
    """The columns that may be recommended.

    Attributes
    ----------
    columns : ndarray of int of shape (n_candidates,) or None
        Candidates for all rows, in ascending order. None stands for all columns.
    excluded : tuple of masks of shape (n_rows, n_features)
        Masks of columns that are excluded for single rows, as arrays or CSR arrays of bool.
    allowed : mask of shape (n_rows, n_features) or None
        Mask of the only columns that are allowed for single rows. None allows all.
    """

    columns: np.ndarray | None = None
    excluded: tuple = ()
    allowed: object = None

    @classmethod
    def of(cls, items, exclude, seen, shape, names=None):
        """Return the candidates specified by the parameters of `recommend`.

        Parameters
        ----------
        items : array-like, sparse matrix, LabeledMatrix or None
            Indices, names or a mask of columns, or a mask of entries.
        exclude : array-like, sparse matrix or LabeledMatrix of shape (n_rows, n_features), or None
            A mask of entries to exclude.
        seen : mask of shape (n_rows, n_features) or None
            Mask of entries that are excluded as well.
        shape : tuple of two ints
            Numbers of rows and features.
        names : sequence of str or None
            Names of the features, if they have any.

        Returns
        -------
        candidates : Candidates
            The candidates for these rows.
        """
        columns = allowed = None
        if items is not None:
            items = _without_labels(items, "items", names)
            if sparse.issparse(items) or np.ndim(items) == 2:
                allowed = _mask(items, "items", shape)
            else:
                columns = column_numbers(items, shape[1], names)
        exclude = _without_labels(exclude, "exclude", names)
        masks = [] if exclude is None else [_mask(exclude, "exclude", shape)]
        masks += [] if seen is None else [seen]
        return cls(columns, tuple(masks), allowed)

    def of_rows(self, rows):
        """Return the candidates of some rows."""
        allowed = None if self.allowed is None else self.allowed[rows]
        return replace(self, excluded=tuple(m[rows] for m in self.excluded), allowed=allowed)

    def marker(self, rows):
        """Return a function that marks columns that must not be recommended to these rows.

        Parameters
        ----------
        rows : slice
            The rows.

        Returns
        -------
        mark : callable
            A function of the scores of these rows and a slice of the columns. It sets scores to
            NaN.
        """
        excluded = [self._cells(mask, rows) for mask in self.excluded]
        allowed = None if self.allowed is None else self._cells(self.allowed, rows)

        def mark(scores, some):
            for cells in excluded:
                scores[cells(some)] = np.nan
            if allowed is not None:
                others = np.ones(scores.shape, dtype=bool)
                others[allowed(some)] = False
                scores[others] = np.nan

        return mark

    def _cells(self, mask, rows):
        """Return a function that finds the entries of a mask in a slice of the columns."""
        part = mask[rows]
        if self.columns is not None:
            part = part[:, self.columns]
        if not sparse.issparse(part):
            return lambda some: part[:, some]
        by_column = sparse.csc_array(part)
        starts = by_column.indptr
        j = np.repeat(np.arange(part.shape[1], dtype=starts.dtype), np.diff(starts))

        def within(some):
            few = slice(starts[some.start], starts[some.stop])
            is_true = by_column.data[few]
            return by_column.indices[few][is_true], j[few][is_true] - some.start

        return within


def entries_of_rows(mask):
    """Return the rows and columns of the true entries of a CSR array of bool."""
    rows = np.repeat(np.arange(mask.shape[0]), np.diff(mask.indptr))
    return rows[mask.data], mask.indices[mask.data]


def seen_in(X, unstored):
    """Return a mask of the entries that the rows of X have already seen.

    These are the observed entries, without zeros if these carry no information.

    Parameters
    ----------
    X : ndarray or CSR matrix
        Validated data with NaN for missing values.
    unstored : {"zero", "background", "missing"}
        Meaning of the unstored entries of a sparse X. With "missing", stored zeros are
        observations.

    Returns
    -------
    mask : ndarray or CSR array of bool of the shape of X
        The mask, True for seen entries.
    """
    values = X.data if sparse.issparse(X) else X
    seen = ~np.isnan(values)
    if unstored != "missing":
        seen &= values != 0
    if sparse.issparse(X):
        return sparse.csr_array((seen, X.indices, X.indptr), shape=X.shape)
    return seen


def column_numbers(columns, n_features, names=None, parameter="items"):
    """Return the indices of columns given as indices, names or a mask.

    Parameters
    ----------
    columns : array-like of shape (n_columns,) or (n_features,)
        Integers, strings, or a boolean for each feature.
    n_features : int
        Number of features.
    names : sequence of str or None
        Names of the features, if they have any.
    parameter : str
        Name of the parameter for messages.

    Returns
    -------
    numbers : ndarray of int
        Indices in ascending order, without repetitions.
    """
    return np.unique(column_list(columns, n_features, names, parameter))


def column_list(columns, n_features, names=None, parameter="items"):
    """Return indices of columns as `column_numbers` does, but in the given order."""
    given = np.asarray(columns)
    if given.ndim != 1:
        raise ValueError(
            f"{parameter} must be a list of columns, even of a single one, got {columns!r}."
        )
    if not given.size:
        raise ValueError(f"{parameter} is empty: pass at least one column.")
    if given.dtype == bool:
        if len(given) != n_features:
            raise ValueError(
                f"{parameter} is a mask of {len(given)} columns, but X has {n_features} features."
            )
        if not given.any():
            raise ValueError(
                f"{parameter} is a mask without a True value: select at least one column."
            )
        return np.flatnonzero(given)
    if np.issubdtype(given.dtype, np.integer):
        outside = (given < 0) | (given >= n_features)
        if outside.any():
            raise ValueError(
                f"{parameter} contains column {given[outside][0]}, but columns are numbered from 0 "
                f"to {n_features - 1}."
            )
        return given.astype(np.intp)
    if given.dtype.kind not in "OUT":
        raise ValueError(
            f"{parameter} must be integers, names or a mask of columns, got dtype {given.dtype}."
        )
    if names is None:
        raise ValueError(
            f"{parameter} contains names, such as {given[0]!r}, but the training data had none. "
            "Use column indices."
        )
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [name for name in given.tolist() if name not in numbers]
    if unknown:
        raise ValueError(
            f"{parameter} contains {unknown[0]!r}, which is not a column of X."
            f"{did_you_mean(unknown[0], names)}"
        )
    return np.array([numbers[name] for name in given.tolist()], dtype=np.intp)


def _without_labels(given, name, names):
    """Return the matrix of a LabeledMatrix with the columns of fit, or the object as it is."""
    if not isinstance(given, LabeledMatrix):
        return given
    labels = given.column_labels.tolist()
    if names is not None and labels != list(names):
        strangers = [label for label in labels if label not in set(names)]
        what = f"such as {strangers[0]!r}" if strangers else "or in another order"
        raise ValueError(
            f"{name} has different columns than the training data, {what}. Create it with "
            "column_labels=feature_names_in_ of the estimator."
        )
    return given.X


def _mask(given, name, shape):
    """Return a mask of entries as an array or a CSR array of bool."""
    if sparse.issparse(given):
        given = sound_csr(given, name)
        mask = sparse.csr_array((given.data != 0, given.indices, given.indptr), shape=given.shape)
    else:
        mask = np.asarray(given)
        if mask.dtype != bool:
            raise ValueError(
                f"{name} must be a sparse or boolean mask, got an array of dtype "
                f"{mask.dtype} and shape {mask.shape}."
            )
    if mask.shape != shape:
        raise ValueError(
            f"{name} has shape {mask.shape}, but must have shape {shape}: one row for each row of "
            "X, and one column for each feature."
        )
    return mask
