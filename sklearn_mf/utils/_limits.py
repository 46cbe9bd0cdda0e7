"""Limits of imputed values, and integer columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from sklearn_mf.utils._tables import integer_columns
from sklearn_mf.utils._validation import Real, column_indices


@dataclass(frozen=True)
class Limits:
    """Limits of the imputed values of each column.

    Attributes
    ----------
    low, high : ndarray of shape (n_features,)
        Smallest and largest value of each column; integers for integer columns.
    whole : ndarray of bool of shape (n_features,)
        Mask of the columns whose values are rounded.
    stored : dict of {int: tuple}
        For integer columns that were stored as integers or booleans: the dtype, and its smallest
        and largest number.
    """

    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray
    stored: dict

    @classmethod
    def of_imputer(cls, imputer, table, names, empty):
        """Return the limits given by the parameters of an imputer.

        Parameters
        ----------
        imputer : FactorizationImputer
            An imputer with `min_value`, `max_value` and `round_features`.
        table : DataFrame, ndarray or sparse matrix of shape (n_samples, n_features)
            The training data.
        names : sequence of str
            Names of the columns for messages.
        empty : ndarray of bool of shape (n_features,)
            Mask of the columns without values, which need no limits.

        Returns
        -------
        limits : Limits
            The limits.

        Raises
        ------
        ValueError
            If the limits are invalid, or allow no value for a column.
        """
        low = _column_limits("min_value", imputer.min_value, -np.inf, table, names, empty)
        high = _column_limits("max_value", imputer.max_value, np.inf, table, names, empty)
        _refuse(low > high, low, high, names, "min_value must not exceed max_value")
        whole, stored = np.zeros(len(names), dtype=bool), integer_columns(table)
        rounded = imputer.round_features
        if isinstance(rounded, str) and rounded == "from_dtype":
            whole[list(stored)] = True
        elif rounded is not None:
            try:
                whole[column_indices(table, rounded)] = True
            except ValueError as error:
                raise ValueError(f"round_features={rounded!r}: {error}") from error
        ends = np.where(whole, np.ceil(low), low), np.where(whole, np.floor(high), high)
        _refuse(ends[0] > ends[1], low, high, names, "no integer is between them (round_features)")
        stored = {j: kind for j, kind in stored.items() if whole[j]}
        for j, (_, span) in stored.items():
            for end in ends:
                end[j] = np.clip(end[j], *span)
        return cls(*ends, whole, stored)

    def within(self, values, columns):
        """Round the values of some columns and clip them to the limits."""
        values = np.where(self.whole[columns], np.rint(values), values)
        return np.clip(values, self.low[columns], self.high[columns])

    def limited(self, columns):
        """Return which of some columns have a limit."""
        return np.isfinite(self.low[columns]) | np.isfinite(self.high[columns])

    def truncated(self, draws, mean, std, columns):
        """Convert draws of normal distributions to draws of truncated ones.

        The quantiles of the draws do not change, so draws that belong together stay together. In
        integer columns, the limits include the rounding interval of the first and last integer.

        Parameters
        ----------
        draws, mean, std : ndarray of shape (n_entries,)
            The draws, and the means and standard deviations of their distributions.
        columns : ndarray of int of shape (n_entries,)
            Column of each draw; each has a limit.

        Returns
        -------
        draws : ndarray of shape (n_entries,)
            The draws within the limits, up to rounding errors.
        """
        room = 0.5 * self.whole[columns]
        low, high = self.low[columns] - room, self.high[columns] + room
        # Without variance, there is a single value for all quantiles.
        unit = np.where(std > 0, std, 1)
        places = _truncated((draws - mean) / unit, (low - mean) / unit, (high - mean) / unit)
        return mean + std * places


def _column_limits(name, value, free, table, names, empty):
    """Return a limit for each column from a parameter; `free` for columns without a limit."""
    limits = np.full(len(names), free)
    if _is_by_column(value):
        for column, limit in value.items():
            try:
                [j] = column_indices(table, [column])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            limits[j] = _number(name, limit, free, names[j])
    elif np.ndim(value) == 0:
        limits[:] = free if value is None else value
    elif np.shape(value) == limits.shape:
        limits[:] = [
            _number(name, limit, free, column) for limit, column in zip(value, names, strict=True)
        ]
    else:
        raise ValueError(
            f"{name} must be a number, an array with one number for each of the {len(names)} "
            f"features, or a dict by feature, but has shape {np.shape(value)}."
        )
    limits[empty] = free
    for wrong in (np.isnan(limits), limits == -free):
        if wrong.any():
            raise ValueError(
                f"{name} is {limits[wrong][0]} in column {names[np.argmax(wrong)]!r}, which has "
                f"values: use {free} or None for no limit."
            )
    return limits


def _is_by_column(value):
    """Return whether a value is a dict, or a pandas Series indexed by column names."""
    if isinstance(value, Mapping):
        return True
    return hasattr(value, "iloc") and all(isinstance(name, str) for name in value.index)


def _number(name, limit, free, column):
    if limit is None:
        return free
    if not isinstance(limit, Real):
        raise ValueError(f"{name} of {column!r} must be a number, got {limit!r}.")
    return float(limit)


def _refuse(wrong, low, high, names, why):
    if wrong.any():
        j = np.argmax(wrong)
        raise ValueError(
            f"min_value={low[j]} and max_value={high[j]} allow no value for column {names[j]!r}: "
            f"{why}."
        )


def _truncated(z, low, high):
    """Convert standard normal draws to the same quantiles of a truncated distribution.

    The probabilities are logarithms, and the numbers are mirrored to the left tail, where these are
    accurate, even for intervals far from the mean.
    """
    sign = np.where((low > 0) | ((high >= 0) & (z > 0)), -1.0, 1.0)
    z, low, high = (
        sign * z,
        np.minimum(sign * low, sign * high),
        np.maximum(sign * low, sign * high),
    )
    log_place = np.logaddexp(log_ndtr(-z) + log_ndtr(low), log_ndtr(z) + log_ndtr(high))
    return sign * ndtri_exp(log_place)
