"""Conversion of tables: data frames of several libraries, masked arrays, and object arrays.

The result is what scikit-learn reads correctly: masked values and NA become NaN, and columns that
are not numeric are refused by name, even if NumPy could convert them.
"""

import datetime
import re
from collections.abc import Iterator, Mapping, Set
from numbers import Number

import numpy as np
from scipy import sparse

from sklearn_mf.utils._foreign import here
from sklearn_mf.utils._labels import LabeledMatrix

# Beginnings of the names of numeric column types in pandas, polars and Arrow.
NUMBERS = re.compile(r"u?int\d|float|double|halffloat|bool|decimal|complex|null")
DATES = ("date", "timestamp", "period")  # the same of columns of dates
INTEGERS = re.compile(r"(u?)int(\d+)")
# Kinds of NumPy dtypes that are not numeric: dates, durations, strings.
NO_NUMBERS = "mMUST"
# Maximum number of columns in a message.
NAMED = 5


def as_numbers(X, name, missing=np.nan):
    """Return a dense numeric X, in which masked entries are missing.

    X itself is returned if nothing must be changed. It is never modified.

    Parameters
    ----------
    X : array-like or DataFrame
        Data passed by the user; not sparse.
    name : str
        Name of the data for messages.
    missing : float, default=np.nan
        The value of masked entries.

    Returns
    -------
    X : array-like or DataFrame
        Data for `check_array`. A frame remains a frame; a frame of narwhals is unwrapped.

    Raises
    ------
    ValueError
        If X contains values that are not numbers, or is a query without results.
    TypeError
        If X is a dict, a set or an iterator, or is not in memory.
    """
    X = here(native(X), name)
    if _is_query(X):
        raise ValueError(f"{name} is a LazyFrame, a query without results: call .collect() first.")
    if isinstance(X, Mapping | Set | Iterator):
        raise TypeError(
            f"{name} must be an array, a table or a list of rows, got {type(X).__name__}. Use "
            "pandas.DataFrame(...) for a dict of columns, or list(...) for an iterator."
        )
    if is_frame(X):
        return _frame_of_numbers(X, name)
    if hasattr(X, "unmasked"):  # masked arrays of astropy are not NumPy masked arrays
        X = np.ma.array(X.unmasked, mask=X.mask)
    if isinstance(X, list | tuple):
        masked = any(isinstance(row, np.ma.MaskedArray) and row.ndim for row in X)
        X = np.ma.array([np.ma.asarray(row) for row in X]) if masked else np.asarray(X)
    if isinstance(X, np.ma.MaskedArray):
        X = _filled(X, missing)
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if kind is not None and kind in NO_NUMBERS:
        raise ValueError(
            f"{name} has dtype {X.dtype}, but must be numeric. If strings, dates or durations "
            "stand for numbers, convert them first, for example by astype(float)."
        )
    if kind == "O" and isinstance(X, np.ndarray) and X.ndim == 2:
        return _array_of_numbers(X, name)
    return X


def native(X):
    """Return the frame wrapped by narwhals, or X."""
    if type(X).__module__.partition(".")[0] == "narwhals" and hasattr(X, "to_native"):
        return X.to_native()
    return X


def is_frame(X):
    """Return whether X is a frame of pandas or polars or an Arrow table, with typed columns."""
    if _is_query(X):
        return False  # asking for its columns would run the query
    return hasattr(X, "columns") and (hasattr(X, "dtypes") or hasattr(X, "schema"))


def _is_query(X):
    """Return whether X is a lazy query of polars."""
    return type(X).__name__ == "LazyFrame"


def column_names(X):
    """Return the column names of a frame or a labeled matrix, otherwise None."""
    if isinstance(X, LabeledMatrix):
        return X.column_labels.tolist()
    if not is_frame(X):
        return None
    return list(X.columns if hasattr(X, "dtypes") else X.schema.names)


def is_sparse_with_holes(X):
    """Return whether X is a sparse frame of pandas whose unstored entries are NaN."""
    if not hasattr(X, "sparse"):
        return False
    fills = [getattr(kind, "fill_value", 0) for kind in X.dtypes]
    return bool(fills) and all(_is_nan(fill) for fill in fills)


def is_sparse(X):
    """Return whether X is a sparse matrix, or a pandas frame with sparse columns only."""
    return sparse.issparse(X) or hasattr(X, "sparse")


def stored_entries(X):
    """Return the stored entries of a frame of `is_sparse_with_holes`, as a CSR matrix."""
    columns = [X.iloc[:, j].array for j in range(X.shape[1])]
    rows = [column.sp_index.indices for column in columns]
    values = np.concatenate([column.sp_values for column in columns])
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in rows])])
    return sparse.csc_array((values, np.concatenate(rows), indptr), shape=X.shape).tocsr()


def integer_columns(X):
    """Return the columns of integers or booleans, and the ranges of their types.

    A column of Python objects belongs to them if all of its values are booleans, or all are
    integers.

    Parameters
    ----------
    X : DataFrame or array-like
        Data passed by the user.

    Returns
    -------
    columns : dict of {int: tuple}
        For each such column, its dtype and the tuple (smallest, largest). For arrays, whose columns
        have the same dtype, it contains no columns or all of them.
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
    """Return the range of a type of integers or booleans, otherwise None."""
    if dtype.startswith("bool"):
        return 0.0, 1.0
    found = INTEGERS.match(dtype)
    if not found:
        return None
    unsigned, bits = bool(found[1]), int(found[2])
    end = 2.0**bits if unsigned else 2.0 ** (bits - 1)
    # Large integers are not exact as floats: use the largest float below the end.
    return (0.0 if unsigned else -end), min(end - 1, np.nextafter(end, 0))


def _kind_of_objects(values):
    """Return the dtype of Python booleans, or of integers; None for others and for both."""
    types = {type(value) for value in values if not (_is_hole(type(value)) or _is_nan(value))}
    if types and all(issubclass(kind, bool | np.bool_) for kind in types):
        return "bool"
    if types and all(issubclass(kind, int | np.integer) and kind is not bool for kind in types):
        return "int64"
    return None


def rebuilt(table, values):
    """Return a frame with other values and the library, names and index of a table."""
    frame, names = native(table), column_names(native(table))
    if hasattr(frame, "iloc"):
        new = type(frame)(values, index=frame.index, columns=frame.columns)
    elif hasattr(frame, "dtypes"):
        new = type(frame)(values, schema=names)
    else:
        new = type(frame).from_arrays(list(values.T), names=names)
    return _wrapped_like(table, new)


def without(table, hidden, mark=np.nan):
    """Return a copy of a frame in which some entries are missing.

    The columns keep their types if these can represent missing entries or the mark. Columns of an
    Arrow table become floats.

    Parameters
    ----------
    table : DataFrame
        A numeric table.
    hidden : ndarray of bool of shape (n_rows, n_columns)
        Mask of the entries to hide.
    mark : float, default=np.nan
        The value that replaces them.

    Returns
    -------
    visible : DataFrame
        The copy, of the same library.
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
    """Convert columns of integers or booleans that cannot represent a number to floats."""
    names = column_names(frame)
    narrow = [
        names[j]
        for j, (dtype, (least, largest)) in integer_columns(frame).items()
        if str(dtype).lower().startswith("bool")
        or not (least <= number <= largest and number == int(number))
    ]
    return _cast(frame, dict.fromkeys(narrow, float))


def _cast(frame, dtypes):
    """Convert some columns of a frame of pandas or polars, given by name, to other dtypes."""
    return frame.astype(dtypes) if hasattr(frame, "iloc") else frame.cast(dtypes)


def _wrapped_like(table, frame):
    if native(table) is table:
        return frame
    import narwhals  # the table was a frame of narwhals

    return narwhals.from_native(frame)


def retyped(frame, dtypes, table, missing):
    """Return a frame in which some columns have the types of a table, with imputed entries.

    Observed values are taken from the table, so that large integers do not become floats.

    Parameters
    ----------
    frame : DataFrame
        The completed table, with floats.
    dtypes : dict of {int: tuple}
        For each of these columns of the table, its name in the frame and its dtype in the result.
    table : DataFrame, or anything else
        The original table. It is not used if it is from another library, or not a frame.
    missing : ndarray of bool of shape (n_rows, n_columns)
        Mask of the entries missing in the table.

    Returns
    -------
    frame : DataFrame
        The result, with the same library and names as `frame`.
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
    """Return the name of the package of a frame."""
    return type(native(X)).__module__.partition(".")[0] if is_frame(native(X)) else None


def _frame_of_numbers(X, name):
    """Return a frame with numeric columns; refuse other columns by name."""
    kinds = X.dtypes if hasattr(X, "dtypes") else X.schema.types
    bad, converted = {}, {}
    if not len(kinds):
        raise ValueError(f"{name} has no columns: 0 feature(s), but at least one is required.")
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
            f"{name} has columns of categories, strings or dates: {named}. All columns must be "
            f"numeric: {_remedy(are_dates)}.{_example(X, bad)}{_pairs_hint(X, are_dates)}"
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
    """Return advice on columns of dates, and on columns of other values that are not numbers."""
    dates = "convert dates to numbers, such as days since the first one"
    if all(are_dates):
        return dates
    others = "remove such columns, or encode them first, for example by a ColumnTransformer"
    return f"{others}; {dates}" if any(are_dates) else others


def _floats(objects, name):
    """Return numbers, with NaN for None, NA and masked values; None for other objects."""
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
        raise ValueError(
            f"{name} contains an integer that is too large for a float: {error}."
        ) from None


def _is_real(kind):
    is_complex = issubclass(kind, complex | np.complexfloating)
    return (issubclass(kind, Number) or kind is np.bool_) and not is_complex


def _is_hole(kind):
    return kind is type(None) or kind.__name__ in ("NAType", "MaskedConstant")


def _array_of_numbers(X, name):
    """Convert an array of Python objects to numbers; refuse strings and dates by their place.

    Errors about other objects are left to scikit-learn.
    """
    no_numbers = {kind for kind in map(type, X.ravel().tolist()) if _is_no_number(kind)}
    if no_numbers:
        i, j = next(place for place in np.ndindex(X.shape) if type(X[place]) in no_numbers)
        raise ValueError(
            f"{name} contains {X[i, j]!r} in row {i}, column {j}: all values must be numbers, not "
            "strings, dates or durations."
        )
    floats = _floats(X, name)
    return X if floats is None else floats


def _is_no_number(kind):
    dates = datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64
    return issubclass(kind, (str, bytes, *dates)) or kind.__name__ in ("Period", "Interval")


def _filled(X, missing):
    """Return an array in which masked values are replaced."""
    if X.dtype.kind not in "biufO":
        return np.asarray(X.data)
    keeps_dtype = X.dtype in (np.float32, np.float64, object) or not np.ma.is_masked(X)
    values = np.array(X.data, dtype=X.dtype if keeps_dtype else np.float64)
    values[np.ma.getmaskarray(X)] = missing
    return values


def _is_nan(value):
    return isinstance(value, Number) and value != value
