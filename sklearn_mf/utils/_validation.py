"""Checks of parameters and data. The only file that touches scikit-learn's private names."""

from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context as fit_context
from sklearn.utils import check_array, get_tags
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
    validate_params,
)
from sklearn.utils._set_output import _get_container_adapter
from sklearn.utils.validation import _check_feature_names_in as input_names
from sklearn.utils.validation import _check_sample_weight, _get_feature_names, validate_data

from sklearn_mf.utils._hints import class_for_object, did_you_mean

__all__ = [
    "CheckedParametersMixin",
    "HasMethods",
    "Integral",
    "Interval",
    "MissingValues",
    "Options",
    "Real",
    "RealNotInt",
    "StrOptions",
    "check_X",
    "check_entry_weight",
    "check_growth",
    "check_limits",
    "check_matplotlib_support",
    "check_parameters",
    "check_sample_weight",
    "check_table",
    "column_indices",
    "fit_context",
    "input_names",
    "is_nan",
    "validate_params",
    "wrap_in_container",
]

FLOATS = [np.float64, np.float32]
# How the types of columns that hold no numbers begin, in pandas and in polars.
NO_NUMBERS = ("category", "categorical", "enum", "str", "utf8", "datetime", "timedelta")


def check_parameters(instance):
    """Raise an InvalidParameterError, if a parameter of a loss, penalty or solver is wrong."""
    constraints = getattr(instance, "_parameter_constraints", {})
    for name, value in instance.get_params(deep=False).items():
        try:
            validate_parameter_constraints(constraints, {name: value}, type(instance).__name__)
        except InvalidParameterError as error:
            options = [c.options for c in constraints[name] if isinstance(c, StrOptions)]
            hint = did_you_mean(value, set().union(*options)) or class_for_object(value)
            raise InvalidParameterError(f"{error}{hint}") from None
        if isinstance(value, type) and any(isinstance(c, HasMethods) for c in constraints[name]):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(instance).__name__} must be an object."
                f"{class_for_object(value)}"
            )


class CheckedParametersMixin:
    """For estimators, whose methods check the parameters first: they say what was meant, too."""

    def _validate_params(self):
        check_parameters(self)


def is_nan(missing_values):
    """Whether a ``missing_values`` parameter means NaN, or pandas.NA, which becomes NaN."""
    if isinstance(missing_values, Real):
        return missing_values != missing_values
    return type(missing_values).__name__ == "NAType"


def check_X(estimator, X, *, reset):
    """Validate data with holes: a float array or CSR matrix, with NaN where missing.

    X itself is never changed, and not copied unless it must be converted. With ``reset=None``
    its columns are not the features of the estimator.
    """
    missing_values = estimator.missing_values
    holes_are_nan = is_nan(missing_values)
    if sparse.issparse(X) and not holes_are_nan and missing_values == 0:
        raise ValueError(
            "missing_values=0 is not possible for sparse X. Where the entries that X does not "
            "store are missing, use unstored='missing'."
        )
    checks = {
        "accept_sparse": "csr",
        "dtype": FLOATS,
        "ensure_all_finite": "allow-nan" if holes_are_nan else True,
    }
    if reset is None:
        X = check_array(X, input_name="X", **checks)
    else:
        X = validate_data(estimator, X, reset=reset, **checks)
    if holes_are_nan:
        if not get_tags(estimator).input_tags.allow_nan and _has_nan(X):
            raise ValueError(
                f"Input X contains NaN, but solver={estimator.solver!r} needs complete data. "
                "Use solver='als'."
            )
        return X
    if sparse.issparse(X):
        X = X.copy()
        X.data[X.data == missing_values] = np.nan
        return X
    return np.where(missing_values == X, X.dtype.type(np.nan), X)


def check_table(estimator, X, *, reset):
    """Validate a dense table with holes: a float array, with NaN where missing.

    X itself is never changed, and not copied unless it must be converted.
    """
    _refuse_categories(X)
    missing_values = estimator.missing_values
    holes_are_nan = is_nan(missing_values)
    finite = "allow-nan" if holes_are_nan else True
    X = validate_data(estimator, X, reset=reset, dtype=FLOATS, ensure_all_finite=finite)
    return X if holes_are_nan else np.where(missing_values == X, X.dtype.type(np.nan), X)


def _refuse_categories(X):
    """Say which columns of a DataFrame hold categories, strings or dates."""
    if not hasattr(X, "dtypes") or not hasattr(X, "columns"):
        return
    kinds = zip(X.columns, X.dtypes, strict=True)
    bad = [str(name) for name, kind in kinds if _holds_no_numbers(X[name], kind)]
    if bad:
        raise ValueError(
            f"X has columns of categories, strings or dates: {bad}. Only numbers can be imputed "
            "here: leave such columns out, or encode them, each with its own imputer in a "
            "ColumnTransformer."
        )


def _holds_no_numbers(column, kind):
    name = str(kind).lower()
    if name == "object":
        return any(isinstance(value, str) for value in column)
    return name.startswith(NO_NUMBERS)


def check_limits(min_value, max_value, n_features):
    """Validate the range of imputed values: a least and a largest one for every feature."""
    limits = []
    for name, value in (("min_value", min_value), ("max_value", max_value)):
        limit = np.asarray(value, dtype=np.float64)
        if limit.shape not in ((), (n_features,)):
            raise ValueError(
                f"{name} has the shape {limit.shape}, it must be a number or have one for each "
                f"of the {n_features} features."
            )
        limits.append(np.broadcast_to(limit, n_features))
    low, high = limits
    if not (low < high).all():
        raise ValueError("min_value must be less than max_value, for every feature.")
    return low, high


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
    before, now = getattr(estimator, "feature_names_in_", None), _get_feature_names(X)
    if before is not None and now is not None and list(now[:n_before]) != list(before):
        raise ValueError(
            "The first features of X must be those of the last fit, in their order, where "
            "warm_start=True: new features come last. Otherwise use warm_start=False."
        )


def _has_nan(X):
    # Infinities were refused, so a sum is NaN where an entry is: no mask of X's size.
    values = X.data if sparse.issparse(X) else X
    return bool(np.isnan(values.sum()))


def column_indices(X, columns):
    """Numbers of the columns that a specification means, as in ColumnTransformer."""
    if callable(columns):
        columns = columns(X)
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
    return _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)


def check_entry_weight(entry_weight, X):
    """Validate entry weights: None, or an array or CSR matrix like X, nowhere negative."""
    if entry_weight is None:
        return None
    entry_weight = check_array(
        entry_weight, accept_sparse="csr", dtype=X.dtype, input_name="entry_weight"
    )
    if entry_weight.shape != X.shape:
        raise ValueError(
            f"entry_weight has the shape {entry_weight.shape}, X has {X.shape}: they must agree."
        )
    values = entry_weight.data if sparse.issparse(entry_weight) else entry_weight
    if values.size and values.min() < 0:
        raise ValueError("entry_weight has negative values: use 0 for entries that do not count.")
    return entry_weight


def wrap_in_container(estimator, values, original, columns):
    """Put values into the container that ``set_output`` asks for, under these column names."""
    adapter = _get_container_adapter("transform", estimator)
    if adapter is None:
        return values
    return adapter.create_container(values, original, columns=columns)
