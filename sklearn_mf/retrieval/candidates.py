"""Which columns may be recommended: some for all rows, and filters of each row."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from sklearn_mf.utils._hints import did_you_mean
from sklearn_mf.utils._labels import LabeledMatrix
from sklearn_mf.utils._sparse import sound_csr


@dataclass(frozen=True)
class Candidates:
    """Columns that may be recommended.

    Attributes
    ----------
    columns : ndarray of int of shape (n_candidates,) or None
        Those for all rows, ascending; None are all.
    excluded : tuple of masks of shape (n_rows, n_features)
        What is not for a row; arrays or CSR arrays of bool.
    allowed : mask of shape (n_rows, n_features) or None
        What alone is for a row; None is everything.
    """

    columns: np.ndarray | None = None
    excluded: tuple = ()
    allowed: object = None

    @classmethod
    def of(cls, items, exclude, seen, shape, names=None):
        """What the parameters of `recommend` mean.

        Parameters
        ----------
        items : array-like, sparse matrix, LabeledMatrix or None
            Numbers, names or a mask of columns; or a mask of entries.
        exclude : array-like, sparse matrix or LabeledMatrix of shape (n_rows, n_features), or None
            A mask of entries.
        seen : mask of shape (n_rows, n_features) or None
            What is excluded besides.
        shape : tuple of two ints
            Numbers of rows and features.
        names : sequence of str or None
            Names of the features, where they have any.

        Returns
        -------
        candidates : Candidates
            Of these rows.
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
        """Those of some rows."""
        allowed = None if self.allowed is None else self.allowed[rows]
        return replace(self, excluded=tuple(m[rows] for m in self.excluded), allowed=allowed)

    def marker(self, rows):
        """What marks some columns that are not for these rows.

        Parameters
        ----------
        rows : slice
            Some rows.

        Returns
        -------
        mark : callable
            Of their scores and a slice of the columns; writes NaN into the scores.
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
        """Of a mask of these rows, an index of what is true in a slice of the columns."""
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
    """Rows and columns of what is true in a CSR array of bool."""
    rows = np.repeat(np.arange(mask.shape[0]), np.diff(mask.indptr))
    return rows[mask.data], mask.indices[mask.data]


def seen_in(X, unstored):
    """What the rows of X have seen: what is observed, and where zeros say nothing, not zero.

    Parameters
    ----------
    X : ndarray or CSR matrix
        Validated data, with NaN where missing.
    unstored : {"zero", "background", "missing"}
        What a sparse X does not store. If that is "missing", a zero that is there tells something.

    Returns
    -------
    mask : ndarray or CSR array of bool of the shape of X
        True where something was seen.
    """
    values = X.data if sparse.issparse(X) else X
    seen = ~np.isnan(values)
    if unstored != "missing":
        seen &= values != 0
    if sparse.issparse(X):
        return sparse.csr_array((seen, X.indices, X.indptr), shape=X.shape)
    return seen


def column_numbers(columns, n_features, names=None, parameter="items"):
    """Columns that numbers, names or a mask mean.

    Parameters
    ----------
    columns : array-like of shape (n_columns,) or (n_features,)
        Integers, strings, or as many booleans as there are features.
    n_features : int
        Number of features.
    names : sequence of str or None
        Their names, where they have any.
    parameter : str
        What a message calls the columns.

    Returns
    -------
    numbers : ndarray of int
        Ascending, each once.
    """
    return np.unique(column_list(columns, n_features, names, parameter))


def column_list(columns, n_features, names=None, parameter="items"):
    """Columns as in `column_numbers`, in the order in which they are given."""
    given = np.asarray(columns)
    if given.ndim != 1:
        raise ValueError(
            f"{parameter} must be a list of columns, even of a single one, got {columns!r}."
        )
    if not given.size:
        raise ValueError(f"{parameter} is empty: name a column at least.")
    if given.dtype == bool:
        if len(given) != n_features:
            raise ValueError(
                f"{parameter} is a mask of {len(given)} columns, X has {n_features} features."
            )
        if not given.any():
            raise ValueError(f"{parameter} is a mask of no column: one at least must be True.")
        return np.flatnonzero(given)
    if np.issubdtype(given.dtype, np.integer):
        outside = (given < 0) | (given >= n_features)
        if outside.any():
            raise ValueError(
                f"{parameter} has column {given[outside][0]}, but columns are numbered from 0 to "
                f"{n_features - 1}."
            )
        return given.astype(np.intp)
    if given.dtype.kind not in "OUT":
        raise ValueError(
            f"{parameter} must be integers, names or a mask of columns, got dtype {given.dtype}."
        )
    if names is None:
        raise ValueError(
            f"{parameter} has names, such as {given[0]!r}, but the data of fit had none. Use "
            "numbers of columns."
        )
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [name for name in given.tolist() if name not in numbers]
    if unknown:
        raise ValueError(
            f"{parameter} has {unknown[0]!r}, which is no column of X."
            f"{did_you_mean(unknown[0], names)}"
        )
    return np.array([numbers[name] for name in given.tolist()], dtype=np.intp)


def _without_labels(given, name, names):
    """The matrix of a labeled one, whose columns must be those of fit; or what else is given."""
    if not isinstance(given, LabeledMatrix):
        return given
    labels = given.column_labels.tolist()
    if names is not None and labels != list(names):
        strangers = [label for label in labels if label not in set(names)]
        what = f"such as {strangers[0]!r}" if strangers else "or in another order"
        raise ValueError(
            f"{name} has other columns than the data of fit, {what}. Make it with column_labels="
            "feature_names_in_ of the estimator."
        )
    return given.X


def _mask(given, name, shape):
    """A mask of entries: array or CSR array of bool."""
    if sparse.issparse(given):
        given = sound_csr(given, name)
        mask = sparse.csr_array((given.data != 0, given.indices, given.indptr), shape=given.shape)
    else:
        mask = np.asarray(given)
        if mask.dtype != bool:
            raise ValueError(
                f"{name} must be a mask, sparse or of booleans, got an array of dtype "
                f"{mask.dtype} and shape {mask.shape}."
            )
    if mask.shape != shape:
        raise ValueError(
            f"{name} has the shape {mask.shape}, it must be {shape}: one row for each of X, and "
            "one column for each feature."
        )
    return mask
