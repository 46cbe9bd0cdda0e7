"""Checks of parameters and data. The only file that touches scikit-learn's private names."""

from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.utils import check_array
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    MissingValues,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._param_validation import validate_params as _validate_params
from sklearn.utils._set_output import _get_container_adapter
from sklearn.utils.validation import _check_feature_names_in as input_names
from sklearn.utils.validation import _check_sample_weight, _get_feature_names, validate_data

from sklearn_mf.blocks import RowBlocks
from sklearn_mf.utils._all_at_once import all_at_once
from sklearn_mf.utils._foreign import is_dask
from sklearn_mf.utils._hints import class_for_object, did_you_mean, names_meant, number_for
from sklearn_mf.utils._labels import LabeledMatrix
from sklearn_mf.utils._sparse import entries_at, sound_csr
from sklearn_mf.utils._tables import (
    as_numbers,
    column_names,
    is_sparse_with_holes,
    native,
    stored_entries,
)
from sklearn_mf.utils._warnings import warn

__all__ = [
    "HasMethods",
    "Integral",
    "Interval",
    "MissingValues",
    "Options",
    "Real",
    "RealNotInt",
    "StrOptions",
    "admit",
    "cells_of",
    "check_X",
    "check_complete",
    "check_entry_weight",
    "check_features",
    "check_growth",
    "check_holed",
    "check_matplotlib_support",
    "check_numbers",
    "check_parameters",
    "check_sample_weight",
    "column_indices",
    "fit_context",
    "input_names",
    "is_nan",
    "validate_params",
    "warn_of_unused_mark",
    "wrap_in_container",
]

Function = TypeVar("Function", bound=Callable[..., Any])
FLOATS = [np.float64, np.float32]


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Function], Function]:
    """Decorate a fit with scikit-learn's context, and set its attributes all at once."""
    context = _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)
    return lambda fit: all_at_once(context(fit))


def validate_params(
    constraints: dict, *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Decorate a function whose arguments scikit-learn validates."""
    return _validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )


def check_parameters(instance):
    """Raise an InvalidParameterError, if a parameter of a loss, penalty or solver is wrong."""
    constraints = getattr(instance, "_parameter_constraints", {})
    parameters, name = instance.get_params(deep=False), type(instance).__name__
    try:
        validate_parameter_constraints(constraints, parameters, name)
    except InvalidParameterError:
        for parameter in parameters.items():
            _check_parameter(constraints, parameter, name)
    for parameter, value in parameters.items():
        if isinstance(value, type) and any(
            isinstance(constraint, HasMethods) for constraint in constraints[parameter]
        ):
            raise InvalidParameterError(
                f"The {parameter!r} parameter of {name} must be an object.{class_for_object(value)}"
            )


def _check_parameter(constraints, parameter, owner):
    """The same of one parameter, with a hint what was meant."""
    name, value = parameter
    try:
        validate_parameter_constraints(constraints, {name: value}, owner)
    except InvalidParameterError as error:
        options = [c.options for c in constraints[name] if isinstance(c, StrOptions)]
        hint = did_you_mean(value, set().union(*options)) or class_for_object(value)
        hint = hint or _number_meant(constraints, parameter, owner)
        raise InvalidParameterError(f"{error}{hint}") from None


def _number_meant(constraints, parameter, owner):
    """A hint at a number that would be right, where a string or a float of the same is not."""
    name, value = parameter
    number = number_for(value)
    if number is None:
        return ""
    try:
        validate_parameter_constraints(constraints, {name: number}, owner)
    except InvalidParameterError:
        return ""
    return f" Write {name}={number}."


def is_nan(missing_values):
    """Whether a ``missing_values`` parameter means NaN, or pandas.NA, which becomes NaN."""
    if isinstance(missing_values, Real):
        return missing_values != missing_values
    return type(missing_values).__name__ == "NAType"


def admit(X, name="X", *, missing=np.nan, keep_sparse=True):
    """What a user hands over, as scikit-learn reads it rightly: sound, and of numbers alone.

    Parameters
    ----------
    X : array-like, sparse matrix, DataFrame or LabeledMatrix
        Of any make; never changed.
    name : str, default="X"
        What a message calls it.
    missing : float, default=np.nan
        What masked entries become.
    keep_sparse : bool, default=True
        Whether what a frame of sparse columns does not store may stay so, where that is NaN.

    Returns
    -------
    X : array-like, CSR matrix or DataFrame
        Of a sparse one, each index lies within.
    """
    if isinstance(X, LabeledMatrix):
        X = X.X
    if sparse.issparse(X):
        return sound_csr(X, name)
    try:
        X = as_numbers(X, name, missing)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            _refuse_ragged_rows(X, name)
        raise
    if is_sparse_with_holes(X):
        return stored_entries(X) if keep_sparse else np.asarray(X)
    return X


def check_numbers(X, name="X", *, allow_nan=False, labels=None, hint="", **checks):
    """`check_array` for what was admitted, which says where there are infinities or NaN.

    Parameters
    ----------
    X : array-like, CSR matrix or DataFrame
        What `admit` returned.
    name : str, default="X"
        What a message calls it.
    allow_nan : bool, default=False
        Whether NaN may occur. Infinities may not.
    labels : sequence or None, default=None
        Names of the columns.
    hint : str, default=""
        What to do about NaN.
    **checks : dict
        For `check_array`; the dtypes are float64 and float32 unless it says otherwise.

    Returns
    -------
    X : ndarray or CSR matrix
        Of floats.
    """
    checks = {"dtype": FLOATS, "input_name": name} | checks
    finite = "allow-nan" if allow_nan else True
    try:
        with np.errstate(over="ignore"):
            return check_array(X, ensure_all_finite=finite, **checks)
    except ValueError as error:
        if not any(f"contains {what}" in str(error) for what in ("NaN", "infinity")):
            raise
        value, place = _first_not_finite(X, checks["dtype"], allow_nan)
        where = _place(place, labels)
        if np.isnan(value):
            text = f"Input {name} contains NaN in {where}. {hint}".rstrip()
        else:
            text = (
                f"Input {name} contains infinity, or a value too large for its dtype: {value} in "
                f"{where}."
            )
        raise ValueError(text) from error


def _refuse_ragged_rows(X, name):
    """Say which row has another length than the first, where X is a list of lists."""
    lengths = [len(row) if hasattr(row, "__len__") else 1 for row in X]
    for number, length in enumerate(lengths):
        if length != lengths[0]:
            raise ValueError(
                f"Rows of {name} differ in length: row 0 has {lengths[0]} values, row {number} "
                f"has {length}. Write NaN where a value is missing."
            )


def _first_not_finite(X, dtype, allow_nan):
    """The first value that a dtype has no number for, and where it is."""
    largest = np.finfo(dtype if isinstance(dtype, np.dtype) else np.float64).max
    options = {"accept_sparse": "csr", "ensure_2d": False, "allow_nd": True}
    X = check_array(X, dtype=np.float64, ensure_all_finite=False, **options)
    values = X.data if sparse.issparse(X) else X
    bad = ~(np.abs(values) <= largest)
    if allow_nan:
        bad &= ~np.isnan(values)
    first = np.unravel_index(np.argmax(bad), bad.shape)
    place = [cells[0] for cells in cells_of(X, bad)] if sparse.issparse(X) else first
    return values[first], tuple(int(i) for i in place)


def _place(place, labels=None):
    if len(place) < 2:
        return f"row {place[0]}" if place else "it"
    column = place[1] if labels is None else repr(labels[place[1]])
    return f"row {place[0]}, column {column}"


def check_complete(X, name, dtype=FLOATS, **checks):
    """Validate an array from which nothing is missing: codes, components, complete data."""
    return check_numbers(admit(X, name), name, dtype=dtype, **checks)


def check_X(estimator, X, *, reset):
    """Validate data with holes: a float array or CSR matrix, with NaN where missing.

    X itself is never changed, and not copied unless it must be converted. With ``reset=None``
    its columns are not the features of the estimator.
    """
    if is_dask(X) and _takes_blocks(estimator):
        from sklearn_mf.dask import row_blocks

        X = row_blocks(X)
    if isinstance(X, RowBlocks):
        return _check_blocks(estimator, X, reset=reset)
    table, mark = native(X), estimator.missing_values
    keep_sparse = getattr(estimator, "unstored", "zero") == "missing"
    X = check_holed(X, mark, keep_sparse=keep_sparse, estimator=estimator)
    if reset is not None:
        if isinstance(table, LabeledMatrix):  # whose names scikit-learn would not look for
            heading = table.heading()
            table = table.X if heading is None else heading
        try:
            validate_data(estimator, table, reset=reset, skip_check_array=True)
        except ValueError as error:
            names = column_names(table)
            if "feature names should match" not in str(error) or names is None:
                raise
            hint = names_meant(names, list(estimator.feature_names_in_))
            raise ValueError(f"{str(error).rstrip()}\n{hint.lstrip()}") from None
    if not getattr(estimator, "_takes_holes", True) and _has_nan(X):
        if isinstance(getattr(estimator, "n_components", None), RealNotInt):
            whom, remedy = f"n_components={estimator.n_components}", "n_components='auto'"
        else:
            whom, remedy = f"solver={estimator.solver!r}", "solver='als'"
        what = "NaN" if is_nan(mark) else f"missing_values={mark!r}"
        _, place = _first_not_finite(X, X.dtype, allow_nan=False)
        raise ValueError(
            f"Input X contains {what} in {_place(place, column_names(table))}, but {whom} needs "
            f"complete data. Use {remedy}."
        )
    return X


def check_features(estimator, X):
    """Refuse a collection of Dask whose columns are not those of the fit; nothing is computed."""
    from sklearn_mf.dask import heading_of

    validate_data(estimator, heading_of(X), reset=False, skip_check_array=True)


def _takes_blocks(estimator):
    return getattr(estimator, "_takes_blocks", False)


def _check_blocks(estimator, X, *, reset):
    """Validate what can be known of blocks before any of them is read."""
    if not _takes_blocks(estimator):
        raise TypeError(
            f"{type(estimator).__name__} does not take data in blocks. Where they fit into "
            "memory, stack what X.read(number) returns, or use MatrixFactorization."
        )
    if reset is not None:
        heading = X if X.heading is None else X.heading
        validate_data(estimator, heading, reset=reset, skip_check_array=True)
    check = partial(
        check_block,
        dtype=X.dtype,
        missing_values=estimator.missing_values,
        unstored=estimator.unstored,
    )
    return X.checked(check)


def check_block(X, first_row, entry_weight=None, *, dtype, missing_values, unstored):
    """Validate a block of rows and its weights; an error says where it is among all rows."""
    try:
        X = check_holed(X, missing_values, dtype=dtype)
        return X, check_entry_weight(entry_weight, X, unstored)
    except ValueError as error:
        raise ValueError(f"In the block that begins with row {first_row}: {error}") from error


def check_holed(X, missing_values=np.nan, *, keep_sparse=True, **checks):
    """Validate data with holes, as `check_X` does, of no estimator or of any.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame
        What a user hands over; never changed.
    missing_values : float or pandas.NA, default=np.nan
        How missing entries are marked.
    keep_sparse : bool, default=True
        See `admit`.
    **checks : dict
        For `check_array`.

    Returns
    -------
    X : ndarray or CSR matrix
        Of floats, with NaN where missing.
    """
    mark, mark_is_nan, labels = missing_values, is_nan(missing_values), column_names(native(X))
    X = admit(X, missing=np.nan if mark_is_nan else mark, keep_sparse=keep_sparse)
    hint = f"missing_values={mark!r} says how missing entries are marked: have one mark for all."
    X = check_numbers(
        X, allow_nan=mark_is_nan, labels=labels, hint=hint, accept_sparse="csr", **checks
    )
    if mark_is_nan:
        return X
    if sparse.issparse(X) and mark == 0:
        raise ValueError(
            "missing_values=0 is not possible for sparse X, whose zeros are not stored. Pass "
            "X.toarray(). Where the entries that X does not store are missing, estimators have "
            "unstored='missing'."
        )
    with np.errstate(over="ignore"):
        mark = X.dtype.type(mark)  # as X has it, if it has it
    if sparse.issparse(X):
        X = X.copy()
        X.data[X.data == mark] = np.nan
        return X
    return np.where(mark == X, X.dtype.type(np.nan), X)


def warn_of_unused_mark(estimator, X):
    """Say that nothing in validated X is marked as missing, where a mark was agreed on."""
    mark = estimator.missing_values
    if isinstance(X, RowBlocks):
        return  # which nobody has read
    if not is_nan(mark) and not _has_nan(X):
        warn(f"missing_values={mark!r} occurs nowhere in X: it marks no entry as missing.")


def check_growth(estimator, X):
    """Refuse a warm start on features that do not begin with those of the last fit."""
    shape = getattr(X, "shape", None) or np.shape(X)
    n_before = estimator.n_features_in_
    if len(shape) != 2:
        return  # which `check_X` will tell
    if shape[1] < n_before:
        raise ValueError(
            f"X has {shape[1]} features, but warm_start=True goes on from the components of "
            f"{n_before}. Features may be added, not removed: use warm_start=False."
        )
    before, now = getattr(estimator, "feature_names_in_", None), _get_feature_names(native(X))
    if before is not None and now is not None and list(now[:n_before]) != list(before):
        raise ValueError(
            "The first features of X must be those of the last fit, in their order, where "
            "warm_start=True: new features come last. Otherwise use warm_start=False."
        )


def _has_nan(X):
    # Infinities were refused, so a sum is NaN where an entry is, or where it overflows: a mask
    # of X's size is rarely needed.
    values = X.data if sparse.issparse(X) else X
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    return bool(np.isnan(total) and np.isnan(values).any())


def column_indices(X, columns):
    """Numbers of the columns that a specification means, as in ColumnTransformer.

    X is a frame, or an array.
    """
    if callable(columns):
        columns = columns(X)
    if isinstance(columns, bool | np.bool_):
        raise ValueError(f"{columns} names no columns. Use slice(None) for all of them.")
    if isinstance(columns, slice) and columns == slice(None):
        return list(range(X.shape[1]))
    try:
        return _get_column_indices(X, columns)
    except ValueError as error:
        known = _get_feature_names(X)
        asked = [columns] if isinstance(columns, str) else columns
        if known is None or isinstance(asked, slice):
            raise
        unknown = [name for name in asked if isinstance(name, str) and name not in known]
        if not unknown:
            raise
        raise ValueError(
            f"X has no column {unknown[0]!r}.{did_you_mean(unknown[0], known)}"
        ) from error


def check_sample_weight(sample_weight, X):
    """Validate sample weights: None, or an array of X's dtype, nowhere negative."""
    if sample_weight is None:
        return None
    if isinstance(X, RowBlocks):  # of which shape and precision matter here
        X = np.broadcast_to(np.zeros(1, dtype=X.dtype), X.shape)
    if np.ma.is_masked(sample_weight):
        raise ValueError(
            f"sample_weight is masked in row {np.argmax(np.ma.getmaskarray(sample_weight))}: fill "
            "it, with 0 where the sample is to be left out."
        )
    sample_weight = admit(sample_weight, "sample_weight")
    if not isinstance(sample_weight, Real):
        sample_weight = check_numbers(
            sample_weight, "sample_weight", dtype=X.dtype, ensure_2d=False, ensure_min_samples=0
        )
        if sample_weight.shape != X.shape[:1]:
            instead = " Weights of entries are entry_weight." if sample_weight.ndim == 2 else ""
            raise ValueError(
                f"sample_weight must be 1D, with one weight for each of {X.shape[0]} samples, but "
                f"sample_weight.shape is {sample_weight.shape}.{instead}"
            )
    return _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)


def check_entry_weight(entry_weight, X, unstored, names=None):
    """Validate entry weights: None, or an array or CSR matrix like X, nowhere negative.

    What is masked is 0: the entry is missing. NaN may stand where X has no entry. Where X has
    names, those of a frame of weights must be the same.
    """
    if entry_weight is None:
        return None
    name = "entry_weight"
    _check_columns(entry_weight, name, names)
    E = admit(entry_weight, name, missing=0.0)
    shape = getattr(E, "shape", None) or np.shape(E)
    if shape != X.shape:
        instead = " Weights of samples are sample_weight." if len(shape) == 1 else ""
        if shape == X.shape[::-1]:
            instead = f" Pass {name}.T."
        raise ValueError(
            f"{name} has the shape {shape}, X has {X.shape}: they must agree, as a 2D array."
            f"{instead}"
        )
    E = check_numbers(E, name, allow_nan=True, dtype=X.dtype, accept_sparse="csr")
    if _has_nan(E):
        E = _zero_where_missing(E, X, unstored)
    values = E.data if sparse.issparse(E) else E
    if values.size and values.min() < 0:
        rows, columns = cells_of(E, values < 0)
        raise ValueError(
            f"{name} has negative values, the first in {_place((rows[0], columns[0]))}: use 0 for "
            "entries that do not count."
        )
    return E


def _check_columns(table, what, names):
    """Refuse a frame whose columns are not those of X, in their order."""
    found = column_names(native(table))
    if names is None or found is None or not all(isinstance(label, str) for label in found):
        return
    for label, expected in zip(found, names, strict=False):
        if label != expected:
            raise ValueError(
                f"{what} has the column {label!r} where X has {expected!r}: they must have the "
                "same columns in the same order."
            )


def _zero_where_missing(E, X, unstored):
    """Entry weights with 0 for NaN; refuses NaN where X has an entry."""
    E = E.copy()
    values = E.data if sparse.issparse(E) else E
    unknown = np.isnan(values)
    rows, columns = cells_of(E, unknown)
    if sparse.issparse(X):
        missing = np.isnan(X.data)
        marked = (~missing if unstored == "missing" else missing).astype(np.int8)
        pattern = sparse.csr_array((marked, X.indices, X.indptr), shape=X.shape)
        observed = (entries_at(pattern, rows, columns) > 0) == (unstored == "missing")
    else:
        observed = ~np.isnan(X[rows, columns])
    if observed.any():
        first = np.argmax(observed)
        raise ValueError(
            f"Input entry_weight contains NaN in {_place((rows[first], columns[first]))}, where X "
            "has an entry: use 0 for entries that do not count."
        )
    values[unknown] = 0
    return E


def cells_of(matrix, chosen):
    """Rows and columns of chosen values of an array, or of those that a CSR matrix stores."""
    if not sparse.issparse(matrix):
        return np.nonzero(chosen)
    places = np.flatnonzero(chosen)
    return np.searchsorted(matrix.indptr, places, side="right") - 1, matrix.indices[places]


def wrap_in_container(estimator, values, original, columns):
    """Put values into the container that ``set_output`` asks for, under these column names."""
    adapter = _get_container_adapter("transform", estimator)
    if adapter is None:
        return values
    return adapter.create_container(values, original, columns=columns)
