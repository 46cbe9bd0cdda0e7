"""Validation of parameters and data: the only file that uses private names of scikit-learn."""

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
    """Raise an InvalidParameterError if a parameter of a loss, penalty or solver is invalid."""
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
    """Check one parameter, with a hint in the message."""
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
    """Return whether ``missing_values`` means NaN, including pandas.NA, which becomes NaN."""
    if isinstance(missing_values, Real):
        return missing_values != missing_values
    return type(missing_values).__name__ == "NAType"


def admit(X, name="X", *, missing=np.nan, keep_sparse=True):
    """Return data in a form that scikit-learn reads correctly: valid and numeric.

    Parameters
    ----------
    X : array-like, sparse matrix, DataFrame or LabeledMatrix
        Data passed by the user, which are never modified.
    name : str, default="X"
        Name of the data for messages.
    missing : float, default=np.nan
        The value of masked entries.
    keep_sparse : bool, default=True
        Whether a sparse frame with NaN for unstored entries may remain sparse.

    Returns
    -------
    X : array-like, CSR matrix or DataFrame
        The data; a sparse matrix has valid indices.
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
    """Call `check_array` on admitted data; errors locate infinite values and NaN.

    Parameters
    ----------
    X : array-like, CSR matrix or DataFrame
        The result of `admit`.
    name : str, default="X"
        Name of the data for messages.
    allow_nan : bool, default=False
        Whether NaN is allowed. Infinite values are not.
    labels : sequence or None, default=None
        Names of the columns.
    hint : str, default=""
        Advice about NaN.
    **checks : dict
        Parameters for `check_array`. The default dtypes are float64 and float32.

    Returns
    -------
    X : ndarray or CSR matrix
        The validated data, with floats.
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
    """Return the first value that a dtype cannot represent, and its place."""
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
    """Validate an array without missing entries: codes, components, complete data."""
    return check_numbers(admit(X, name), name, dtype=dtype, **checks)


def check_X(estimator, X, *, reset):
    """Validate data with missing entries: a float array or CSR matrix, with NaN for these.

    X is never modified, and copied only if it must be converted. With ``reset=None``, its columns
    are not the features of the estimator.
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
        if isinstance(table, LabeledMatrix):  # scikit-learn would not find its names
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
    """Validate a block of rows and its weights; errors contain the position of the block."""
    try:
        X = check_holed(X, missing_values, dtype=dtype)
        return X, check_entry_weight(entry_weight, X, unstored)
    except ValueError as error:
        raise ValueError(f"In the block that begins with row {first_row}: {error}") from error


def check_holed(X, missing_values=np.nan, *, keep_sparse=True, **checks):
    """Validate data with missing entries as `check_X` does, without an estimator.

    Parameters
    ----------
    X : array-like, sparse matrix or DataFrame
        Data passed by the user, which are never modified.
    missing_values : float or pandas.NA, default=np.nan
        The value that marks missing entries.
    keep_sparse : bool, default=True
        See `admit`.
    **checks : dict
        Parameters for `check_array`.

    Returns
    -------
    X : ndarray or CSR matrix
        The validated data, with floats and NaN for missing entries.
    """
    mark, mark_is_nan, labels = missing_values, is_nan(missing_values), column_names(native(X))
    X = admit(X, missing=np.nan if mark_is_nan else mark, keep_sparse=keep_sparse)
    hint = f"missing_values={mark!r} marks missing entries: use the same mark for all of them."
    X = check_numbers(
        X, allow_nan=mark_is_nan, labels=labels, hint=hint, accept_sparse="csr", **checks
    )
    if mark_is_nan:
        return X
    if sparse.issparse(X) and mark == 0:
        raise ValueError(
            "missing_values=0 is not possible for sparse X, whose zeros are not stored. Pass "
            "X.toarray(). If the unstored entries of X are missing, use unstored='missing'."
        )
    with np.errstate(over="ignore"):
        mark = X.dtype.type(mark)  # the mark in the precision of X
    if sparse.issparse(X):
        X = X.copy()
        X.data[X.data == mark] = np.nan
        return X
    return np.where(mark == X, X.dtype.type(np.nan), X)


def warn_of_unused_mark(estimator, X):
    """Warn if validated X does not contain the mark of missing entries."""
    mark = estimator.missing_values
    if isinstance(X, RowBlocks):
        return  # X has not been read
    if not is_nan(mark) and not _has_nan(X):
        warn(f"missing_values={mark!r} does not occur in X, so no entry is missing.")


def check_growth(estimator, X):
    """Refuse a warm start if the first features are not those of the last fit."""
    shape = getattr(X, "shape", None) or np.shape(X)
    n_before = estimator.n_features_in_
    if len(shape) != 2:
        return  # `check_X` raises an error for this
    if shape[1] < n_before:
        raise ValueError(
            f"X has {shape[1]} features, but warm_start=True continues with the components of "
            f"{n_before}. Features can be added, but not removed: use warm_start=False."
        )
    before, now = getattr(estimator, "feature_names_in_", None), _get_feature_names(native(X))
    if before is not None and now is not None and list(now[:n_before]) != list(before):
        raise ValueError(
            "With warm_start=True, the first features of X must be those of the last fit, in the "
            "same order, followed by new ones. Otherwise use warm_start=False."
        )


def _has_nan(X):
    # Infinite values have been refused, so a sum is NaN if an entry is NaN, or if it overflows.
    # A mask of the size of X is rarely needed.
    values = X.data if sparse.issparse(X) else X
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    return bool(np.isnan(total) and np.isnan(values).any())


def column_indices(X, columns):
    """Return the indices of the columns of a specification, as in ColumnTransformer.

    X is a frame or an array.
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
    """Validate sample weights: None, or a non-negative array of X's dtype."""
    if sample_weight is None:
        return None
    if isinstance(X, RowBlocks):  # only its shape and precision are needed
        X = np.broadcast_to(np.zeros(1, dtype=X.dtype), X.shape)
    if np.ma.is_masked(sample_weight):
        raise ValueError(
            f"sample_weight is masked in row {np.argmax(np.ma.getmaskarray(sample_weight))}: fill "
            "it, with 0 for samples to be ignored."
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
    """Validate entry weights: None, or a non-negative array or CSR matrix like X.

    Masked weights become 0, so that the entry is missing. NaN is allowed where X has no entry. If X
    has column names, a frame of weights must have the same ones.
    """
    if entry_weight is None:
        return None
    name = "entry_weight"
    _check_columns(entry_weight, name, names)
    E = admit(entry_weight, name, missing=0.0)
    shape = getattr(E, "shape", None) or np.shape(E)
    if shape != X.shape:
        instead = " Use sample_weight for weights of samples." if len(shape) == 1 else ""
        if shape == X.shape[::-1]:
            instead = f" Pass {name}.T."
        raise ValueError(
            f"{name} has shape {shape}, but X has shape {X.shape}: pass a 2D array of the same "
            f"shape.{instead}"
        )
    E = check_numbers(E, name, allow_nan=True, dtype=X.dtype, accept_sparse="csr")
    if _has_nan(E):
        E = _zero_where_missing(E, X, unstored)
    values = E.data if sparse.issparse(E) else E
    if values.size and values.min() < 0:
        rows, columns = cells_of(E, values < 0)
        raise ValueError(
            f"{name} has negative values, the first one in {_place((rows[0], columns[0]))}: use 0 "
            "for entries that should be ignored."
        )
    return E


def _check_columns(table, what, names):
    """Refuse a frame whose columns are not those of X, in the same order."""
    found = column_names(native(table))
    if names is None or found is None or not all(isinstance(label, str) for label in found):
        return
    for label, expected in zip(found, names, strict=False):
        if label != expected:
            raise ValueError(
                f"{what} has the column {label!r} instead of {expected!r}: it must have the same "
                "columns as X, in the same order."
            )


def _zero_where_missing(E, X, unstored):
    """Replace NaN by 0 in entry weights; refuse NaN where X has an entry."""
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
            "has an entry: use 0 for entries that should be ignored."
        )
    values[unknown] = 0
    return E


def cells_of(matrix, chosen):
    """Return rows and columns of selected values of an array, or of stored ones of a CSR matrix."""
    if not sparse.issparse(matrix):
        return np.nonzero(chosen)
    places = np.flatnonzero(chosen)
    return np.searchsorted(matrix.indptr, places, side="right") - 1, matrix.indices[places]


def wrap_in_container(estimator, values, original, columns):
    """Put values into the container requested by ``set_output``, with these column names."""
    adapter = _get_container_adapter("transform", estimator)
    if adapter is None:
        return values
    return adapter.create_container(values, original, columns=columns)
