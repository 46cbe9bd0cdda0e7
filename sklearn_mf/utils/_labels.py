"""Labels of the rows and columns of sparse matrices."""

from dataclasses import dataclass, field, replace
from importlib import import_module

import numpy as np
from scipy import sparse

# Maximum number of labels in a message.
NAMED = 5
# Names of the columns that `to_frame` adds.
RANK, SCORE = "rank", "score"


@dataclass(frozen=True, eq=False)
class LabeledMatrix:
    """A sparse matrix with a label for each row and each column.

    It is created from a long table by :func:`~sklearn_mf.recommending.pivot_entries`. The
    estimators of this package accept it as X. Column labels that are strings become their feature
    names.

    Attributes
    ----------
    X : csr_array of shape (n_samples, n_features)
        The entries.
    row_labels : ndarray of shape (n_samples,)
        Labels of the rows.
    column_labels : ndarray of shape (n_features,)
        Labels of the columns.
    names : tuple of (str, str)
        Names of the columns of the long table with the labels of rows and columns.
    make : {"pandas", "polars", "pyarrow"}
        The library of the long table.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mf.recommending import pivot_entries
    >>> frame = pd.DataFrame({"user": ["ann", "bob", "ann"], "item": ["tea", "tea", "jam"]})
    >>> data = pivot_entries(frame, rows="user", columns="item")
    >>> data
    LabeledMatrix(user=2, item=2, n_entries=3)
    >>> data.row_labels
    array(['ann', 'bob'], dtype=object)
    >>> data[1:].X.toarray()
    array([[0., 1.]])
    """

    X: sparse.csr_array
    row_labels: np.ndarray
    column_labels: np.ndarray
    names: tuple = ("row", "column")
    make: str = field(default="pandas")

    @property
    def shape(self):
        """Numbers of rows and columns."""
        return self.X.shape

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, rows):
        # scikit-learn slices with ``(rows, ...)``.
        if isinstance(rows, tuple):
            if len(rows) != 2 or rows[1] is not Ellipsis:
                raise TypeError(
                    "A LabeledMatrix can be indexed by rows only. Index its attribute X instead."
                )
            rows = rows[0]
        if isinstance(rows, int | np.integer):
            raise TypeError(f"Pass [{rows}] for a single row, which is a matrix of one row.")
        return replace(self, X=self.X[rows], row_labels=self.row_labels[rows])

    def __repr__(self):
        (rows, columns), (n, m) = self.names, self.shape
        return f"LabeledMatrix({rows}={n}, {columns}={m}, n_entries={self.X.nnz})"

    def to_frame(self, items, scores=None):
        """Return recommendations as a long table of labels, in the library of the original table.

        Parameters
        ----------
        items : array-like of int of shape (n_samples, n)
            Column indices for each row, the best first; -1 if there are fewer.
        scores : array-like of shape (n_samples, n), default=None
            Score of each recommendation.

        Returns
        -------
        frame : DataFrame or Table
            One row for each recommendation: the label of the row, the label of the column, the
            rank (from 1), and the score if `scores` is given. The first two columns have the
            same names as in the original table.

        Raises
        ------
        ValueError
            If the shapes do not match, an item is not a column, or a name is used twice.
        """
        items = np.asarray(items)
        if items.ndim != 2 or len(items) != len(self):
            raise ValueError(
                f"items has shape {items.shape}, but must have shape ({len(self)}, n): one row for "
                "each row of the matrix. Select the same rows of the matrix first, for example by "
                "data[rows]."
            )
        n_columns = self.shape[1]
        if not np.issubdtype(items.dtype, np.integer) or not (
            items.size == 0 or -1 <= items.min() <= items.max() < n_columns
        ):
            raise ValueError(f"items must be integers in [0, {n_columns}), with -1 for no item.")
        rows, places = np.nonzero(items >= 0)
        table = {
            self.names[0]: self.row_labels[rows],
            self.names[1]: self.column_labels[items[rows, places]],
            RANK: places + 1,
        }
        if scores is not None:
            scores = np.asarray(scores)
            if scores.shape != items.shape:
                raise ValueError(
                    f"scores has shape {scores.shape}, but items has shape {items.shape}: they "
                    "must match."
                )
            table[SCORE] = scores[rows, places]
        if {RANK, SCORE} & set(self.names):
            raise ValueError(
                f"The names {RANK!r} and {SCORE!r} are used for additional columns, but the labels "
                f"are named {self.names}: rename the columns of the long table."
            )
        library = import_module(self.make)
        return (library.table if self.make == "pyarrow" else library.DataFrame)(table)

    def heading(self):
        """Return an empty frame with the column labels as names; None if they are not strings."""
        if not all(isinstance(label, str) for label in self.column_labels.tolist()):
            return None
        names, library = self.column_labels.tolist(), import_module(self.make)
        if self.make == "pandas":
            return library.DataFrame(np.empty((0, len(names))), columns=names)
        if self.make == "polars":
            return library.DataFrame(schema=names)
        return library.table([library.array([], library.null())] * len(names), names=names)


def numbered(column):
    """Return the indices of the labels in a column of a frame, or in an array.

    Parameters
    ----------
    column : Series, ChunkedArray or ndarray of shape (n_entries,)
        Labels of any type; None, NaN and NA are missing.

    Returns
    -------
    codes : ndarray of int of shape (n_entries,)
        Index of each label among the sorted labels, -1 if it is missing.
    labels : ndarray
        The distinct labels, sorted if they have an order.
    """
    if hasattr(column, "factorize"):
        codes, labels = _numbered_by_pandas(column)
    elif hasattr(column, "replace_strict"):
        codes, labels = _numbered_by_polars(column)
    elif hasattr(column, "combine_chunks"):
        codes, labels = _numbered_by_arrow(column)
    else:
        codes, labels = _numbered_in_array(np.asarray(column))
    if labels.dtype.kind == "f" and len(labels) and np.isnan(labels[-1]):
        # polars and Arrow sort NaN as the largest number.
        codes, labels = np.where(codes == len(labels) - 1, -1, codes), labels[:-1]
    return codes, labels.astype(object) if labels.dtype.kind in "TU" else labels


def _numbered_by_pandas(column):
    codes, labels = column.factorize(sort=True)
    return codes, labels.to_numpy()


def _numbered_by_polars(column):
    labels = column.drop_nulls().unique().sort()
    numbers = type(labels)(np.arange(len(labels)))
    codes = column.replace_strict(labels, numbers, default=-1, return_dtype=numbers.dtype)
    return codes.to_numpy().astype(np.intp), labels.to_numpy()


def _numbered_by_arrow(column):
    from pyarrow import compute, types

    if types.is_dictionary(column.type):  # categories that do not occur must be dropped
        column = column.cast(column.type.value_type)
    coded = compute.dictionary_encode(column.combine_chunks())
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    order = compute.sort_indices(coded.dictionary).to_numpy()
    places = np.empty(len(order) + 1, dtype=np.intp)
    places[order], places[-1] = np.arange(len(order)), -1
    return places[codes], coded.dictionary.to_numpy(zero_copy_only=False)[order]


def _numbered_in_array(values):
    if values.dtype.kind == "O":
        holes = np.array([_is_hole(value) for value in values.tolist()], dtype=bool)
    else:
        holes = values != values
    try:
        labels, codes = np.unique(values[~holes], return_inverse=True)
    except TypeError:  # labels of different types cannot be sorted
        places = {
            label: place for place, label in enumerate(dict.fromkeys(values[~holes].tolist()))
        }
        codes = np.array([places[label] for label in values[~holes].tolist()], dtype=np.intp)
        labels = np.fromiter(places, dtype=object, count=len(places))
    all_codes = np.full(len(values), -1, dtype=np.intp)
    all_codes[~holes] = codes
    return all_codes, labels


def _is_hole(value):
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def places_among(labels, known, name):
    """Return the indices of labels among known labels.

    Parameters
    ----------
    labels : ndarray
        Distinct labels.
    known : ndarray
        The known labels, in their order.
    name : str
        Name of the known labels for messages.

    Returns
    -------
    places : ndarray of int
        Index of each label, -1 if it is unknown.

    Raises
    ------
    ValueError
        If a known label is repeated.
    """
    where = {label: place for place, label in enumerate(known.tolist())}
    if len(where) < len(known):
        labels, counts = np.unique(known.astype(str), return_counts=True)
        raise ValueError(f"{name} contains {str(labels[np.argmax(counts)])!r} more than once.")
    return np.array([where.get(label, -1) for label in labels.tolist()], dtype=np.intp)


def as_labels(known, name):
    """Return a sequence of labels as an array, with strings as Python objects."""
    labels = np.asarray(known)
    if labels.ndim != 1:
        raise ValueError(f"{name} must be a sequence of labels, but has shape {labels.shape}.")
    if labels.dtype.kind not in "TU":
        return labels
    labels = np.empty(len(known), dtype=object)  # this does not convert numbers to strings
    labels[:] = known.tolist() if hasattr(known, "tolist") else list(known)
    return labels


def named(labels):
    """Return a few labels for a message."""
    some = ", ".join(repr(label) for label in np.asarray(labels)[:NAMED].tolist())
    return some + (f" and {len(labels) - NAMED} more" if len(labels) > NAMED else "")
