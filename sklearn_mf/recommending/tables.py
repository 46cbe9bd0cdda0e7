"""Conversion of long tables, with one row per entry, to sparse matrices for estimators."""

import numpy as np
from scipy import sparse

from sklearn_mf.utils._hints import did_you_mean
from sklearn_mf.utils._labels import LabeledMatrix, as_labels, named, numbered, places_among
from sklearn_mf.utils._tables import column_names, is_frame, make_of, native
from sklearn_mf.utils._validation import StrOptions, admit, check_numbers, validate_params

__all__ = ["pivot_entries"]

LABELS = ["array-like", None]


@validate_params(
    {
        "aggregate": [StrOptions({"sum", "mean", "max", "min", "last", "error"})],
        "row_labels": LABELS,
        "column_labels": LABELS,
        "unknown": [StrOptions({"error", "drop"})],
    },
    prefer_skip_nested_validation=True,
)
def pivot_entries(
    frame,
    *,
    rows,
    columns,
    values=None,
    aggregate="sum",
    row_labels=None,
    column_labels=None,
    unknown="error",
):
    """Convert a long table with one row per entry to a sparse matrix.

    Parameters
    ----------
    frame : DataFrame of pandas or polars, or Table of Arrow
        The long table, with columns of row labels, column labels and values. It is not modified.
    rows : str
        Name of the column with the row labels, such as customers.
    columns : str
        Name of the column with the column labels, such as products.
    values : str or None, default=None
        Name of the column with the values, such as ratings or quantities. With None, every row of
        the table has the value 1, so that the sum counts interactions.
    aggregate : {"sum", "mean", "max", "min", "last", "error"}, default="sum"
        How to combine the values of a repeated pair of labels: their sum, their mean, the largest,
        the smallest, the last one in the order of the table, or an error. For times, "max" is the
        latest one, whatever the order of the table.
    row_labels : array-like or None, default=None
        Labels of the rows of the matrix, in this order, whether or not they occur in the table.
        None uses the labels that occur, sorted.
    column_labels : array-like or None, default=None
        Labels of the columns, likewise. Use ``feature_names_in_`` of a fitted estimator, or
        `column_labels` of its training data, to give a new table the columns that the estimator
        knows.
    unknown : {"error", "drop"}, default="error"
        What to do with a label that is not among the given ones: raise an error, or ignore the rows
        of the table with this label.

    Returns
    -------
    data : LabeledMatrix
        The matrix ``X`` with ``row_labels`` and ``column_labels``. The estimators of this package
        accept it directly. Entries whose value is zero are stored.

    Raises
    ------
    ValueError
        If the table does not have the named columns, if a label or a value is missing, if a value
        is not a number, if a label is unknown, or if a pair is repeated and ``aggregate="error"``.
    TypeError
        If `frame` is not a table.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mf.recommending import pivot_entries
    >>> frame = pd.DataFrame(
    ...     {
    ...         "customer": ["ann", "bob", "ann", "ann"],
    ...         "product": ["tea", "tea", "jam", "tea"],
    ...         "quantity": [1, 2, 3, 4],
    ...     }
    ... )
    >>> data = pivot_entries(frame, rows="customer", columns="product", values="quantity")
    >>> data.X.toarray()
    array([[3., 5.],
           [0., 2.]])
    >>> later = pd.DataFrame({"customer": ["eve"], "product": ["tea"], "quantity": [1]})
    >>> new = pivot_entries(
    ...     later,
    ...     rows="customer",
    ...     columns="product",
    ...     values="quantity",
    ...     column_labels=data.column_labels,
    ... )
    >>> new.X.toarray()
    array([[0., 1.]])
    """
    frame = native(frame)
    _check_table(frame, {"rows": rows, "columns": columns, "values": values})
    numbers = _values(frame, values)
    i, row_labels = _coded(frame[rows], rows, row_labels, "row_labels", unknown)
    j, column_labels = _coded(frame[columns], columns, column_labels, "column_labels", unknown)
    known = (i >= 0) & (j >= 0)
    if not known.all():
        i, j, numbers = i[known], j[known], numbers[known]
    labels = row_labels, column_labels
    X = _aggregated(numbers, (i, j), labels, aggregate)
    return LabeledMatrix(X, *labels, names=(rows, columns), make=make_of(frame))


def _check_table(frame, asked):
    """Refuse objects that are not data frames, or do not have the named columns."""
    if type(frame).__name__ == "LazyFrame":
        raise ValueError("frame is a LazyFrame, a query without results: call .collect() first.")
    if not is_frame(frame):
        raise TypeError(
            f"frame must be a DataFrame of pandas or polars, or a Table of Arrow, with one row for "
            f"each entry, got {type(frame).__name__}."
        )
    names = column_names(frame)
    for parameter, name in asked.items():
        if name is not None and names.count(name) != 1:
            raise ValueError(f"{parameter}={name!r}: frame has {_not_one(name, names)}")
    given = [name for name in asked.values() if name is not None]
    if len(set(given)) < len(given):
        raise ValueError(
            f"rows, columns and values must name different columns of frame, got {asked}."
        )


def _not_one(name, names):
    """Describe how many columns have a name, if it is not one, and what to do."""
    if name in names:
        return "more than one column with this name. Rename the others."
    if any(isinstance(other, tuple) for other in names):
        return (
            "no column with this name, because its columns have several levels. Flatten them, for "
            "example by frame.columns = frame.columns.map('_'.join)."
        )
    return f"no column with this name.{did_you_mean(name, names)}"


def _values(frame, values):
    """Return the values of all entries."""
    if values is None:
        return np.ones(len(frame))
    column = frame.select([values]) if hasattr(frame, "select") else frame[[values]]
    hint = "Remove rows without a value."
    checks = {"labels": [values], "hint": hint, "ensure_min_samples": 0}
    return check_numbers(admit(column, "frame"), "frame", **checks)[:, 0]


def _coded(column, name, known, parameter, unknown):
    """Return the indices of the labels of a column (-1 if they are dropped), and the labels."""
    codes, labels = numbered(column)
    if codes.size and codes.min() < 0:
        raise ValueError(
            f"frame has no label in row {np.argmin(codes)}, column {name!r}. Remove rows without a "
            "label, or replace missing labels."
        )
    if known is None:
        return codes, labels
    known = as_labels(known, parameter)
    places = places_among(labels, known, parameter)
    strangers = labels[places < 0]
    if len(strangers) and unknown == "error":
        raise ValueError(
            f"Column {name!r} contains labels that are not in {parameter}: {named(strangers)}. "
            f"{_remedy(strangers, known)}"
        )
    return places[codes], known


def _remedy(strangers, known):
    """Return advice on unknown labels."""
    one, other = strangers.tolist()[0], known.tolist()[:1]
    if other and type(one) is not type(other[0]):
        kinds = type(one).__name__, type(other[0]).__name__
        return (
            f"They have type {kinds[0]}, but the known labels have type {kinds[1]}: convert them."
        )
    return "Use unknown='drop' to ignore these rows."


def _aggregated(values, cells, labels, aggregate):
    """Return a CSR matrix of entries, combining repeated cells."""
    (i, j), shape = cells, tuple(len(of_side) for of_side in labels)
    if 0 in shape or not len(values):
        raise ValueError("frame has no entry with known labels, so the matrix would be empty.")
    X = sparse.csr_array((values, (i, j)), shape=shape)  # this sums repeated entries
    if X.nnz == len(values) or aggregate == "sum":
        return X
    if aggregate == "mean":
        X.data /= sparse.csr_array((np.ones_like(values), (i, j)), shape=shape).data
        return X
    keys = i.astype(np.int64) * shape[1] + j
    if aggregate == "error":
        repeated = np.ones(len(keys), dtype=bool)
        repeated[np.unique(keys, return_index=True)[1]] = False
        first = np.argmax(repeated)
        pair = named([labels[0][i[first]]]), named([labels[1][j[first]]])
        raise ValueError(
            f"The pair {', '.join(pair)} is repeated in frame, and {repeated.sum()} rows repeat a "
            "pair. Use aggregate='sum', 'mean', 'max', 'min' or 'last'."
        )
    chosen = _one_of_each(keys, values, aggregate)
    return sparse.csr_array((values[chosen], (i[chosen], j[chosen])), shape=shape)


def _one_of_each(keys, values, aggregate):
    """Return the index of the largest, smallest or last value of each key."""
    ranks = np.arange(len(keys)) if aggregate == "last" else values
    order = np.lexsort((ranks, keys))
    changes = np.diff(keys[order]) != 0
    is_chosen = np.append(True, changes) if aggregate == "min" else np.append(changes, True)
    return order[is_chosen]
