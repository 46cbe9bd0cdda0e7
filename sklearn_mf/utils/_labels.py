"""Labels of rows and columns: numbered, looked up, and put beside a sparse matrix."""

from dataclasses import dataclass, field, replace
from importlib import import_module

import numpy as np
from scipy import sparse

# Labels that a message names before it stops.
NAMED = 5
# What `to_frame` adds to the names of rows and columns.
RANK, SCORE = "rank", "score"


@dataclass(frozen=True, eq=False)
class LabeledMatrix:
    """A sparse matrix with a label for each row and each column.

    :func:`~sklearn_mf.recommending.pivot_entries` makes one of a long table. Estimators of this
    package take it as X. Labels of columns that are strings become their feature names.

    Attributes
    ----------
    X : csr_array of shape (n_samples, n_features)
        The entries.
    row_labels : ndarray of shape (n_samples,)
        What the rows are called.
    column_labels : ndarray of shape (n_features,)
        What the columns are called.
    names : tuple of (str, str)
        What the rows and the columns are called in the long table.
    make : {"pandas", "polars", "pyarrow"}
        The library of that table.

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
        """Number of rows and number of columns."""
        return self.X.shape

    def __len__(self):
        return self.X.shape[0]

    def __getitem__(self, rows):
        # Slicing in scikit-learn asks for ``(rows, ...)``.
        if isinstance(rows, tuple):
            if len(rows) != 2 or rows[1] is not Ellipsis:
                raise TypeError("A LabeledMatrix is indexed by rows alone. Index X itself.")
            rows = rows[0]
        if isinstance(rows, int | np.integer):
            raise TypeError(f"Pass [{rows}] for a single row, which is a matrix of one row.")
        return replace(self, X=self.X[rows], row_labels=self.row_labels[rows])

    def __repr__(self):
        (rows, columns), (n, m) = self.names, self.shape
        return f"LabeledMatrix({rows}={n}, {columns}={m}, n_entries={self.X.nnz})"

    def to_frame(self, items, scores=None):
        """Recommendations as a long table of labels, in the library of the table before.

        Parameters
        ----------
        items : array-like of int of shape (n_samples, n)
            For each row columns, best first; -1 where there are fewer.
        scores : array-like of shape (n_samples, n), default=None
            What each is worth.

        Returns
        -------
        frame : DataFrame or Table
            With a row for each recommendation: the label of the row, that of the column, the
            rank from 1, and the score, if there are some. The first two have the names that they
            have in the long table.

        Raises
        ------
        ValueError
            If the shapes do not fit, an item is no column, or a name is that of another column.
        """
        items = np.asarray(items)
        if items.ndim != 2 or len(items) != len(self):
            raise ValueError(
                f"items has the shape {items.shape}, it must be ({len(self)}, n): one row for each "
                "row of the matrix. Take the same rows of the matrix first, as by data[rows]."
            )
        n_columns = self.shape[1]
        if not np.issubdtype(items.dtype, np.integer) or not (
            items.size == 0 or -1 <= items.min() <= items.max() < n_columns
        ):
            raise ValueError(f"items must hold integers in [0, {n_columns}), and -1 for none.")
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
                    f"scores has shape {scores.shape}, items has {items.shape}: they must agree."
                )
            table[SCORE] = scores[rows, places]
        if {RANK, SCORE} & set(self.names):
            raise ValueError(
                f"{RANK!r} and {SCORE!r} are names of further columns, beside {self.names}: rename "
                "the columns of the long table."
            )
        library = import_module(self.make)
        return (library.table if self.make == "pyarrow" else library.DataFrame)(table)

    def heading(self):
        """A frame without rows whose columns have these names; None if they are no strings."""
        if not all(isinstance(label, str) for label in self.column_labels.tolist()):
            return None
        names, library = self.column_labels.tolist(), import_module(self.make)
        if self.make == "pandas":
            return library.DataFrame(np.empty((0, len(names))), columns=names)
        if self.make == "polars":
            return library.DataFrame(schema=names)
        return library.table([library.array([], library.null())] * len(names), names=names)


def numbered(column):
    """Number the labels in a column of a frame, or in an array.

    Parameters
    ----------
    column : Series, ChunkedArray or ndarray of shape (n_entries,)
        Labels of any kind; None, NaN and NA stand for none.

    Returns
    -------
    codes : ndarray of int of shape (n_entries,)
        Where each label is in the sorted ones, -1 for none.
    labels : ndarray
        The distinct labels, sorted where they have an order.
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
        # polars and Arrow take it for a number, the largest one.
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

    if types.is_dictionary(column.type):  # which may have values that do not occur
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
    except TypeError:  # labels of several kinds, which have no order
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
    """Where labels are among known ones.

    Parameters
    ----------
    labels : ndarray
        Distinct labels.
    known : ndarray
        In the order in which they count.
    name : str
        What a message calls the known ones.

    Returns
    -------
    places : ndarray of int
        Of each label, -1 where it is unknown.

    Raises
    ------
    ValueError
        If a known label comes twice.
    """
    where = {label: place for place, label in enumerate(known.tolist())}
    if len(where) < len(known):
        labels, counts = np.unique(known.astype(str), return_counts=True)
        raise ValueError(f"{name} has {str(labels[np.argmax(counts)])!r} more than once.")
    return np.array([where.get(label, -1) for label in labels.tolist()], dtype=np.intp)


def as_labels(known, name):
    """A sequence of labels as an array, strings being Python's."""
    labels = np.asarray(known)
    if labels.ndim != 1:
        raise ValueError(f"{name} has the shape {labels.shape}: it must be a sequence of labels.")
    if labels.dtype.kind not in "TU":
        return labels
    labels = np.empty(len(known), dtype=object)  # numbers among strings stay numbers
    labels[:] = known.tolist() if hasattr(known, "tolist") else list(known)
    return labels


def named(labels):
    """A few labels, for a message."""
    some = ", ".join(repr(label) for label in np.asarray(labels)[:NAMED].tolist())
    return some + (f" and {len(labels) - NAMED} more" if len(labels) > NAMED else "")
