"""Long tables, one row an entry, as the sparse matrices that estimators take."""

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
    """Make a sparse matrix of a long table that has a row for each entry.

    Parameters
    ----------
    frame : DataFrame of pandas or polars, or Table of Arrow
        The long table: who, what, and how much. It is not changed.
    rows : str
        Its column of row labels, such as customers.
    columns : str
        Its column of column labels, such as products.
    values : str or None, default=None
        Its column of numbers, such as ratings or quantities. None: 1 for every row of the table,
        so that the sum counts interactions.
    aggregate : {"sum", "mean", "max", "min", "last", "error"}, default="sum"
        What becomes of a pair of labels that comes more than once: the sum of its values, their
        mean, the largest or the least one, the last one in the order of the table, or an error. Of
        times "max" is the latest one, in whatever order the table is.
    row_labels : array-like or None, default=None
        The labels that the rows of the matrix shall have, in this order, whether they occur or
        not. None: those that occur, sorted.
    column_labels : array-like or None, default=None
        The same for columns. With ``feature_names_in_`` of a fitted estimator, or `column_labels`
        of the matrix that it was fitted to, a later table gets the columns that it knows.
    unknown : {"error", "drop"}, default="error"
        What becomes of a label that is not among the given ones: an error, or its rows of the
        table are left out.

    Returns
    -------
    data : LabeledMatrix
        With the matrix ``X``, ``row_labels`` and ``column_labels``. Estimators of this package
        take it as it is. Entries whose value is zero are stored.

    Raises
    ------
    ValueError
        If the table has no such column, a label or a value is missing, a value is no number, a
        label is unknown, or a pair comes twice and ``aggregate="error"``.
    TypeError
        If it is no table.

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
    """Refuse what is no frame, or has no such columns."""
    if type(frame).__name__ == "LazyFrame":
        raise ValueError("frame is a LazyFrame, a query that nobody has run: call .collect().")
    if not is_frame(frame):
        raise TypeError(
            f"frame is a {type(frame).__name__}: it must be a DataFrame of pandas or polars, or a "
            "Table of Arrow, with a row for each entry."
        )
    names = column_names(frame)
    for parameter, name in asked.items():
        if name is not None and names.count(name) != 1:
            raise ValueError(f"{parameter}={name!r}: frame has {_not_one(name, names)}")
    given = [name for name in asked.values() if name is not None]
    if len(set(given)) < len(given):
        raise ValueError(f"rows, columns and values must be different columns of frame: {asked}.")


def _not_one(name, names):
    """How many columns have a name, where that is not one, and what to do."""
    if name in names:
        return "more than one column of that name. Rename the others."
    if any(isinstance(other, tuple) for other in names):
        return (
            "no column of that name: its columns have several levels. Make one of them, as by "
            "frame.columns = frame.columns.map('_'.join)."
        )
    return f"no column of that name.{did_you_mean(name, names)}"


def _values(frame, values):
    """The numbers of all entries."""
    if values is None:
        return np.ones(len(frame))
    column = frame.select([values]) if hasattr(frame, "select") else frame[[values]]
    hint = "Leave rows without a value out."
    checks = {"labels": [values], "hint": hint, "ensure_min_samples": 0}
    return check_numbers(admit(column, "frame"), "frame", **checks)[:, 0]


def _coded(column, name, known, parameter, unknown):
    """Numbers of the labels in a column, -1 for those to be left out; and the labels."""
    codes, labels = numbered(column)
    if codes.size and codes.min() < 0:
        raise ValueError(
            f"frame has no label in row {np.argmin(codes)}, column {name!r}: leave rows without a "
            "label out, or name what is missing."
        )
    if known is None:
        return codes, labels
    known = as_labels(known, parameter)
    places = places_among(labels, known, parameter)
    strangers = labels[places < 0]
    if len(strangers) and unknown == "error":
        raise ValueError(
            f"Column {name!r} has labels that are not among {parameter}: {named(strangers)}. "
            f"{_remedy(strangers, known)}"
        )
    return places[codes], known


def _remedy(strangers, known):
    """What to do about unknown labels."""
    one, other = strangers.tolist()[0], known.tolist()[:1]
    if other and type(one) is not type(other[0]):
        kinds = type(one).__name__, type(other[0]).__name__
        return f"They are of the type {kinds[0]}, the known ones {kinds[1]}: convert either."
    return "unknown='drop' leaves them out."


def _aggregated(values, cells, labels, aggregate):
    """A CSR matrix of entries of which several may be of one cell."""
    (i, j), shape = cells, tuple(len(of_side) for of_side in labels)
    if 0 in shape or not len(values):
        raise ValueError("frame has no entry with known labels: there is no matrix to make of it.")
    X = sparse.csr_array((values, (i, j)), shape=shape)  # sums
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
            f"The pair {', '.join(pair)} comes more than once in frame, and "
            f"{repeated.sum()} rows repeat a pair. Use aggregate='sum', 'mean', 'max', 'min' "
            "or 'last'."
        )
    chosen = _one_of_each(keys, values, aggregate)
    return sparse.csr_array((values[chosen], (i[chosen], j[chosen])), shape=shape)


def _one_of_each(keys, values, aggregate):
    """Where each key has its largest or least value, or its last one."""
    ranks = np.arange(len(keys)) if aggregate == "last" else values
    order = np.lexsort((ranks, keys))
    changes = np.diff(keys[order]) != 0
    is_chosen = np.append(True, changes) if aggregate == "min" else np.append(changes, True)
    return order[is_chosen]
