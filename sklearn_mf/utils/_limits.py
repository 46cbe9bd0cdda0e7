"""What an imputer may fill in: limits of each column, and which columns hold whole numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from sklearn_mf.utils._tables import integer_columns
from sklearn_mf.utils._validation import Real, column_indices


@dataclass(frozen=True)
class Limits:
    """Limits of imputed values, column by column.

    Attributes
    ----------
    low, high : ndarray of shape (n_features,)
        Least and largest value of each; of whole numbers, whole numbers.
    whole : ndarray of bool of shape (n_features,)
        Whose values are rounded.
    stored : dict of {int: tuple}
        Those of whole numbers that were stored as integers or booleans: the dtype, and the
        least and largest number that it holds.
    """

    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray
    stored: dict

    @classmethod
    def of_imputer(cls, imputer, table, names, empty):
        """Limits as the parameters of an imputer tell them.

        Parameters
        ----------
        imputer : FactorizationImputer
            Has `min_value`, `max_value` and `round_features`.
        table : DataFrame, ndarray or sparse matrix of shape (n_samples, n_features)
            What it is fitted to.
        names : sequence of str
            What messages call the columns.
        empty : ndarray of bool of shape (n_features,)
            Columns that have no values, and so need no limits.

        Returns
        -------
        limits : Limits
            Of the columns.

        Raises
        ------
        ValueError
            If they leave no value for a column, or are something else.
        """
        low = _column_limits("min_value", imputer.min_value, -np.inf, table, names, empty)
        high = _column_limits("max_value", imputer.max_value, np.inf, table, names, empty)
        _refuse(low > high, low, high, names, "min_value must not be greater")
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
        _refuse(ends[0] > ends[1], low, high, names, "no integer lies between (round_features)")
        stored = {j: kind for j, kind in stored.items() if whole[j]}
        for j, (_, span) in stored.items():
            for end in ends:
                end[j] = np.clip(end[j], *span)
        return cls(*ends, whole, stored)

    def within(self, values, columns):
        """Values of some columns, rounded and brought within the limits."""
        values = np.where(self.whole[columns], np.rint(values), values)
        return np.clip(values, self.low[columns], self.high[columns])

    def limited(self, columns):
        """Which of some columns have a limit."""
        return np.isfinite(self.low[columns]) | np.isfinite(self.high[columns])

    def truncated(self, draws, mean, std, columns):
        """Draws of normal distributions as draws of those that end at the limits.

        Each takes the place in the truncated distribution that it has in the whole one, so that
        what was drawn together stays together. Whole numbers at the limits have as much room as
        others.

        Parameters
        ----------
        draws, mean, std : ndarray of shape (n_entries,)
            What was drawn, and from which distributions.
        columns : ndarray of int of shape (n_entries,)
            Of which columns; each has a limit.

        Returns
        -------
        draws : ndarray of shape (n_entries,)
            Within the limits, but for rounding.
        """
        room = 0.5 * self.whole[columns]
        low, high = self.low[columns] - room, self.high[columns] + room
        # Without spread there is one value, whatever its place.
        unit = np.where(std > 0, std, 1)
        places = _truncated((draws - mean) / unit, (low - mean) / unit, (high - mean) / unit)
        return mean + std * places


def _column_limits(name, value, free, table, names, empty):
    """One limit of each column, as a parameter tells it; `free` where there is none."""
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
            f"{name} has the shape {np.shape(value)}, it must be a number, an array of one for "
            f"each of the {len(names)} features, or a dict by feature."
        )
    limits[empty] = free
    for wrong in (np.isnan(limits), limits == -free):
        if wrong.any():
            raise ValueError(
                f"{name} is {limits[wrong][0]} in column {names[np.argmax(wrong)]!r}, which has "
                f"values: {free} or None is no limit."
            )
    return limits


def _is_by_column(value):
    """Whether it is a dict, or a Series of pandas that knows names of columns."""
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
            f"min_value={low[j]} and max_value={high[j]} leave no value for column {names[j]!r}: "
            f"{why}."
        )


def _truncated(z, low, high):
    """Standard normal numbers, moved to where they are in the distribution between two ends.

    Probabilities are logarithms, and numbers are moved on the left, where these are exact in the
    tail: however far out an interval is, or a number in one that holds the middle.
    """
    sign = np.where((low > 0) | ((high >= 0) & (z > 0)), -1.0, 1.0)
    z, low, high = (
        sign * z,
        np.minimum(sign * low, sign * high),
        np.maximum(sign * low, sign * high),
    )
    log_place = np.logaddexp(log_ndtr(-z) + log_ndtr(low), log_ndtr(z) + log_ndtr(high))
    return sign * ndtri_exp(log_place)
