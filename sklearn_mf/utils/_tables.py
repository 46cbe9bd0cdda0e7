"""Tables on the way in: frames of every make, masked arrays, and arrays of Python objects.

What is left is what scikit-learn reads as it is meant: masked and NA are NaN, and what holds no
numbers is refused by name, also where NumPy would make numbers of it.
"""

import datetime
import re
from collections.abc import Iterator, Mapping, Set
from numbers import Number

import numpy as np
from scipy import sparse

from sklearn_mf.utils._foreign import here
from sklearn_mf.utils._labels import LabeledMatrix

# How the types of columns that hold numbers begin, in pandas, polars and Arrow.
NUMBERS = re.compile(r"u?int\d|float|double|halffloat|bool|decimal|complex|null")
DATES = ("date", "timestamp", "period")  # the same of columns of dates
INTEGERS = re.compile(r"(u?)int(\d+)")
# Kinds of NumPy's dtypes that hold none: dates, durations, strings.
NO_NUMBERS = "mMUST"
# Columns that a message names before it stops.
NAMED = 5


def as_numbers(X, name, missing=np.nan):
    """A dense X whose masked entries are missing, and which holds numbers alone.

    X itself is returned where nothing needs to be done, and never changed.

    Parameters
    ----------
    X : array-like or DataFrame
        What a user hands over; not sparse.
    name : str
        What a message calls it.
    missing : float, default=np.nan
        What masked entries become.

    Returns
    -------
    X : array-like or DataFrame
        For `check_array`. A frame stays a frame, one of narwhals that which it wraps.

    Raises
    ------
    ValueError
        If it holds what is no number, or is a query that nobody has run.
    TypeError
        If it is a dict, a set or an iterator, or not in this memory.
    """
    X = here(native(X), name)
    if _is_query(X):
        raise ValueError(f"{name} is a LazyFrame, a query that nobody has run: call .collect().")
    if isinstance(X, Mapping | Set | Iterator):
        raise TypeError(
            f"{name} is a {type(X).__name__}: it must be an array, a table or a list of rows. Pass "
            "pandas.DataFrame(...) of a dict of columns, or a list of what an iterator yields."
        )
    if is_frame(X):
        return _frame_of_numbers(X, name)
    if hasattr(X, "unmasked"):  # the masked arrays of astropy, which are none of NumPy
        X = np.ma.array(X.unmasked, mask=X.mask)
    if isinstance(X, list | tuple):
        masked = any(isinstance(row, np.ma.MaskedArray) and row.ndim for row in X)
        X = np.ma.array([np.ma.asarray(row) for row in X]) if masked else np.asarray(X)
    if isinstance(X, np.ma.MaskedArray):
        X = _filled(X, missing)
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if kind is not None and kind in NO_NUMBERS:
        raise ValueError(
            f"{name} has the dtype {X.dtype}: only numbers are taken. Where strings, dates or "
            "durations are meant as numbers, convert them first, as by astype(float)."
        )
    if kind == "O" and isinstance(X, np.ndarray) and X.ndim == 2:
        return _array_of_numbers(X, name)
    return X


def native(X):
    """The frame that narwhals wraps, or X."""
    if type(X).__module__.partition(".")[0] == "narwhals" and hasattr(X, "to_native"):
        return X.to_native()
    return X


def is_frame(X):
    """Whether X is a frame of pandas or polars, or a table of Arrow: has columns with types."""
    if _is_query(X):
        return False  # which would be run, were it asked for its columns
    return hasattr(X, "columns") and (hasattr(X, "dtypes") or hasattr(X, "schema"))


def _is_query(X):
    """Whether X is what polars will compute only when it is told to."""
    return type(X).__name__ == "LazyFrame"


def column_names(X):
    """Names of the columns of a frame or a labeled matrix, None for everything else."""
    if isinstance(X, LabeledMatrix):
        return X.column_labels.tolist()
    if not is_frame(X):
        return None
    return list(X.columns if hasattr(X, "dtypes") else X.schema.names)


def is_sparse_with_holes(X):
    """Whether X is a frame of pandas that stores some entries, and for all others has NaN."""
    if not hasattr(X, "sparse"):
        return False
    fills = [getattr(kind, "fill_value", 0) for kind in X.dtypes]
    return bool(fills) and all(_is_nan(fill) for fill in fills)


def is_sparse(X):
    """Whether X is a sparse matrix, or a frame of pandas all of whose columns are sparse."""
    return sparse.issparse(X) or hasattr(X, "sparse")


def stored_entries(X):
    """What a frame `is_sparse_with_holes` of stores, as a CSR matrix."""
    columns = [X.iloc[:, j].array for j in range(X.shape[1])]
    rows = [column.sp_index.indices for column in columns]
    values = np.concatenate([column.sp_values for column in columns])
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in rows])])
    return sparse.csc_array((values, np.concatenate(rows), indptr), shape=X.shape).tocsr()


def integer_columns(X):
    """Which columns hold integers or booleans, and which numbers they can hold.

    Columns of Python objects are what their values are, where none but booleans, or none but
    integers, are among them.

    Parameters
    ----------
    X : DataFrame or array-like
        What a user hands over.

    Returns
    -------
    columns : dict of {int: tuple}
        Of each such column its dtype and the tuple (least, largest). For arrays, whose columns
        have one dtype, it has none or all of them.
    """
    X = native(X)
    if not is_frame(X):
        dtypes = [X.dtype] * X.shape[1] if hasattr(X, "dtype") else []
    else:
        dtypes = list(X.dtypes if hasattr(X, "dtypes") else X.schema.types)
    columns = {}
    for j, dtype in enumerate(dtypes):
        if str(dtype) == "object" and hasattr(X, "iloc"):
            dtype = _kind_of_objects(X.iloc[:, j].to_numpy(dtype=object))
        span = _span(str(dtype).lower().removeprefix("sparse["))
        if span is not None:
            columns[j] = dtype, span
    return columns


def _span(dtype):
    """Least and largest number of a type that holds integers or booleans, else None."""
    if dtype.startswith("bool"):
        return 0.0, 1.0
    found = INTEGERS.match(dtype)
    if not found:
        return None
    unsigned, bits = bool(found[1]), int(found[2])
    end = 2.0**bits if unsigned else 2.0 ** (bits - 1)
    # Where floats are further apart than integers, the largest one below the end.
    return (0.0 if unsigned else -end), min(end - 1, np.nextafter(end, 0))


def _kind_of_objects(values):
    """The dtype of Python's booleans, or integers; None of others, and of both together."""
    types = {type(value) for value in values if not (_is_hole(type(value)) or _is_nan(value))}
    if types and all(issubclass(kind, bool | np.bool_) for kind in types):
        return "bool"
    if types and all(issubclass(kind, int | np.integer) and kind is not bool for kind in types):
        return "int64"
    return None


def rebuilt(table, values):
    """Another frame of the make, the names and the index of a table."""
    frame, names = native(table), column_names(native(table))
    if hasattr(frame, "iloc"):
        new = type(frame)(values, index=frame.index, columns=frame.columns)
    elif hasattr(frame, "dtypes"):
        new = type(frame)(values, schema=names)
    else:
        new = type(frame).from_arrays(list(values.T), names=names)
    return _wrapped_like(table, new)


def without(table, hidden, mark=np.nan):
    """A copy of a frame from which some entries are missing.

    Columns keep the types that they had, as far as these know missing entries, or have a number
    for the mark; those of a table of Arrow are floats.

    Parameters
    ----------
    table : DataFrame
        Of numbers.
    hidden : ndarray of bool of shape (n_rows, n_columns)
        Which entries to leave out.
    mark : float, default=np.nan
        What is to stand there instead.

    Returns
    -------
    visible : DataFrame
        Of the make of the table.
    """
    frame, instead = native(table), ()
    if not hasattr(frame, "dtypes"):
        return rebuilt(table, np.where(hidden, mark, np.asarray(frame, dtype=np.float64)))
    if not _is_nan(mark):
        frame, instead = _with_room_for(mark, frame), (mark,)
    if hasattr(frame, "iloc"):
        return _wrapped_like(table, frame.mask(hidden, *instead))
    columns = frame.get_columns()
    series = [
        column.set(type(column)(mask), *(instead or (None,)))
        for column, mask in zip(columns, hidden.T, strict=True)
    ]
    return _wrapped_like(table, type(frame)(series))


def _with_room_for(number, frame):
    """A frame whose columns of integers or booleans are floats where these have no such number."""
    names = column_names(frame)
    narrow = [
        names[j]
        for j, (dtype, (least, largest)) in integer_columns(frame).items()
        if str(dtype).lower().startswith("bool")
        or not (least <= number <= largest and number == int(number))
    ]
    return _cast(frame, dict.fromkeys(narrow, float))


def _cast(frame, dtypes):
    """A frame of pandas or polars, some of whose columns, by their names, have other dtypes."""
    return frame.astype(dtypes) if hasattr(frame, "iloc") else frame.cast(dtypes)


def _wrapped_like(table, frame):
    if native(table) is table:
        return frame
    import narwhals  # whose frame the table was

    return narwhals.from_native(frame)


def retyped(frame, dtypes, table, missing):
    """A frame of pandas or polars in which some columns are those of a table, but filled.

    What the table has is taken from there: large integers are no floats.

    Parameters
    ----------
    frame : DataFrame
        Of floats: the table, filled.
    dtypes : dict of {int: tuple}
        Of such a column of the table, its name in the frame and the dtype that it gets.
    table : DataFrame, or anything else
        Of another make, or none at all, it is not looked at.
    missing : ndarray of bool of shape (n_rows, n_columns)
        Which entries the table has not.

    Returns
    -------
    frame : DataFrame
        Of the same make and names.
    """
    is_pandas = hasattr(frame, "iloc")
    new = _cast(frame, dict(dtypes.values()))
    if make_of(table) != make_of(frame):
        return new
    for j, (name, dtype) in dtypes.items():
        if is_pandas:
            (rows,) = np.nonzero(~missing[:, j])
            column = new[name].copy()
            column.iloc[rows] = table.iloc[rows, j].astype(dtype).array
            new[name] = column
        else:
            seen = table.to_series(j)
            seen = seen.alias(name).cast(dtype)
            new = new.with_columns(seen.zip_with(type(seen)(~missing[:, j]), new[name]))
    return new


def make_of(X):
    """Which package a frame is of."""
    return type(native(X)).__module__.partition(".")[0] if is_frame(native(X)) else None


def _frame_of_numbers(X, name):
    """A frame whose columns of Python objects are numbers; refuses other columns by name."""
    kinds = X.dtypes if hasattr(X, "dtypes") else X.schema.types
    bad, converted = {}, {}
    if not len(kinds):
        raise ValueError(f"{name} has no columns: 0 feature(s), and at least one is needed.")
    for j, (label, kind) in enumerate(zip(column_names(X), kinds, strict=True)):
        kind = str(kind).lower().removeprefix("sparse[")
        if hasattr(X, "iloc") and kind.startswith(("object", "decimal")):
            objects = X.iloc[:, j].to_numpy(dtype=object)
            values = _floats(objects, f"column {X.columns[j]!r}")
            if values is None:
                bad[j] = label, any(isinstance(value, datetime.date) for value in objects)
            else:
                converted[j] = values
        elif not NUMBERS.match(kind):
            bad[j] = label, kind.startswith(DATES)
    if bad:
        labels, are_dates = zip(*bad.values(), strict=True)
        named = ", ".join(repr(label) for label in labels[:NAMED])
        if len(bad) > NAMED:
            named += f" and {len(bad) - NAMED} more"
        raise ValueError(
            f"{name} has columns of categories, strings or dates: {named}. Only numbers are taken: "
            f"{_remedy(are_dates)}.{_example(X, bad)}{_pairs_hint(X, are_dates)}"
        )
    if not converted:
        return X
    X = X.copy(deep=False)
    for j, values in converted.items():
        X.isetitem(j, values)
    return X


def _example(X, bad):
    """The first string in a column of pandas that should be numbers, and its place."""
    for j, (label, _) in bad.items():
        values = X.iloc[:, j].to_numpy(dtype=object) if hasattr(X, "iloc") else ()
        for row, value in enumerate(values):
            if isinstance(value, str):
                return f" Row {row} of {label!r} has {value!r}."
    return ""


def _pairs_hint(X, are_dates):
    """What to do with a long table, which names rows and columns and gives a value for them."""
    if len(are_dates) < 2 or any(are_dates) or X.shape[1] > 4:
        return ""
    return (
        " A table of pairs and their values becomes a matrix with "
        "sklearn_mf.recommending.pivot_entries."
    )


def _remedy(are_dates):
    """What to do about columns of dates, and of what is neither a number nor a date."""
    dates = "make numbers of dates, such as days since the first one"
    if all(are_dates):
        return dates
    others = "leave such columns out, or encode them first, as by a ColumnTransformer"
    return f"{others}; {dates}" if any(are_dates) else others


def _floats(objects, name):
    """Numbers, with NaN for None, NA and what is masked; None if there is anything else."""
    types = set(map(type, objects.ravel().tolist()))
    holes = {kind for kind in types if _is_hole(kind)}
    if not all(_is_real(kind) for kind in types - holes):
        return None
    if holes:
        is_hole = np.array([_is_hole(type(value)) for value in objects.flat], dtype=bool)
        objects = np.where(is_hole.reshape(objects.shape), np.nan, objects)
    try:
        return objects.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} has an integer that is too large for a float: {error}.") from None


def _is_real(kind):
    is_complex = issubclass(kind, complex | np.complexfloating)
    return (issubclass(kind, Number) or kind is np.bool_) and not is_complex


def _is_hole(kind):
    return kind is type(None) or kind.__name__ in ("NAType", "MaskedConstant")


def _array_of_numbers(X, name):
    """An array of Python objects as numbers; refuses strings and dates by their place.

    What is wrong with other objects is for scikit-learn to say.
    """
    no_numbers = {kind for kind in map(type, X.ravel().tolist()) if _is_no_number(kind)}
    if no_numbers:
        i, j = next(place for place in np.ndindex(X.shape) if type(X[place]) in no_numbers)
        raise ValueError(
            f"{name} has {X[i, j]!r} in row {i}, column {j}: only numbers are taken, no strings, "
            "dates or durations."
        )
    floats = _floats(X, name)
    return X if floats is None else floats


def _is_no_number(kind):
    dates = datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64
    return issubclass(kind, (str, bytes, *dates)) or kind.__name__ in ("Period", "Interval")


def _filled(X, missing):
    """An array with something in place of what is masked."""
    if X.dtype.kind not in "biufO":
        return np.asarray(X.data)
    keeps_dtype = X.dtype in (np.float32, np.float64, object) or not np.ma.is_masked(X)
    values = np.array(X.data, dtype=X.dtype if keeps_dtype else np.float64)
    values[np.ma.getmaskarray(X)] = missing
    return values


def _is_nan(value):
    return isinstance(value, Number) and value != value
