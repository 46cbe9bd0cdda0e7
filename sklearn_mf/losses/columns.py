"""A separate loss for each column, for tables of numbers, binary variables and counts."""

import numpy as np
from sklearn.utils.metaestimators import available_if

from sklearn_mf.losses._base import LOSSES, BaseLoss
from sklearn_mf.utils._hints import class_for_object
from sklearn_mf.utils._validation import check_parameters, column_indices

# Maximum number of columns named in a message.
NAMED = 5


class ColumnLosses:
    """Several losses side by side, each applied to its own entries.

    It has the methods of a `BaseLoss` and is created only by `resolve`.

    Parameters
    ----------
    parts : list of BaseLoss
        The losses.
    kinds : ndarray of int
        Index of the loss of each entry, in a shape that broadcasts to the data: (n_columns,) for a
        table, (n_rows, 1) for a transposed table, (n_entries,) for single entries.

    References
    ----------
    Udell, M., Horn, C., Zadeh, R. & Boyd, S. (2016). Generalized low rank models.
    Foundations and Trends in Machine Learning 9(1). :doi:`10.1561/2200000055`
    """

    # The loss of a zero depends on the column.
    loss_at_zero_equals_model = False

    def __init__(self, parts, kinds):
        self.parts = parts
        self.kinds = kinds

    @property
    def degree(self):
        """The exponent shared by all parts; None if they differ."""
        degrees = {part.degree for part in self.parts}
        return degrees.pop() if len(degrees) == 1 else None

    def in_unit(self, unit):
        """See `BaseLoss.in_unit`."""
        return ColumnLosses([part.in_unit(unit) for part in self.parts], self.kinds)

    @property
    def for_codes(self):
        """See `BaseLoss.for_codes`."""
        return ColumnLosses([part.for_codes for part in self.parts], self.kinds)

    @property
    def is_squared(self):
        """Whether all parts are the squared loss."""
        return all(part.is_squared for part in self.parts)

    @property
    def fits_mean(self):
        """Whether the mean of a column determines its best constant, under each of the losses."""
        return all(part.fits_mean for part in self.parts)

    @property
    def takes_any_model(self):
        """Whether all parts allow any model value."""
        return all(part.takes_any_model for part in self.parts)

    @property
    def is_robust(self):
        """Whether one of them is."""
        return any(part.is_robust for part in self.parts)

    def at(self, kinds):
        """Return the same losses for data with other loss indices."""
        return ColumnLosses(self.parts, kinds)

    def at_columns(self, columns):
        """Return the same losses for entries in these columns."""
        return self.at(self.kinds[columns])

    def value(self, x, m):
        """See `BaseLoss.value`."""
        return self._each("value", x, m)

    def gradient(self, x, m):
        """See `BaseLoss.gradient`."""
        return self._each("gradient", x, m)

    def curvature(self, x, m):
        """See `BaseLoss.curvature`."""
        return self._each("curvature", x, m)

    def mean(self, m):
        """See `BaseLoss.mean`."""
        return self._each("mean", m)

    def from_mean(self, mean):
        """See `BaseLoss.from_mean`."""
        return self._each("from_mean", mean)

    def parabola(self, x, m):
        """See `BaseLoss.parabola`: each loss uses its own bound or Newton approximation."""
        return self._each_pair("parabola", x, m)

    @available_if(lambda self: all(hasattr(part, "quadratic") for part in self.parts))
    def quadratic(self, x, m):
        """See `BaseLoss`. It is not defined if one of the losses has no quadratic bound."""
        return self._each_pair("quadratic", x, m)

    def _each(self, method, *arrays):
        out = np.empty_like(arrays[-1])
        for part, where in self._places(out.shape):
            out[where] = getattr(part, method)(*(array[where] for array in arrays))
        return out

    def _each_pair(self, method, x, m):
        weight, target = np.empty_like(m), np.empty_like(m)
        for part, where in self._places(m.shape):
            weight[where], target[where] = getattr(part, method)(x[where], m[where])
        return weight, target

    def _places(self, shape):
        """Yield each loss with an index of its entries."""
        if shape[0 if self.kinds.ndim == 2 else -1] != len(self.kinds):
            raise ValueError(
                f"The loss indices have shape {self.kinds.shape}, but the data have shape {shape}."
            )
        for number, part in enumerate(self.parts):
            found = np.flatnonzero(self.kinds == number)
            if len(found) == 0:
                continue
            if found[-1] - found[0] == len(found) - 1:
                found = slice(found[0], found[-1] + 1)  # adjacent columns allow a view
            yield part, found if self.kinds.ndim == 2 else (..., found)


def stated_losses(loss):
    """Return the losses named by a ``loss`` parameter, without their columns and unchecked."""
    stated = list(loss) if isinstance(loss, dict | list) else [loss]
    stated = [item[0] if isinstance(item, tuple) and item else item for item in stated]
    return [LOSSES.get(item) if isinstance(item, str) else item for item in stated]


def resolve(loss, X, names=None):
    """Return the loss that a ``loss`` parameter specifies: one for all columns, or one for each.

    Parameters
    ----------
    loss : str, BaseLoss, dict or list
        The parameter of `MatrixFactorization`.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The data to whose columns it refers.
    names : ndarray of str of shape (n_features,) or None
        Names of the columns for messages.

    Returns
    -------
    loss : BaseLoss or ColumnLosses
        The loss, with checked parameters and exactly one loss for each column.
    """
    if not isinstance(loss, dict | list):
        return _checked(loss)
    labels = [f"column {j}" if names is None else repr(names[j]) for j in range(X.shape[1])]
    parts, numbers = [], {}
    kinds, times_named = np.zeros((2, len(labels)), dtype=np.intp)
    for stated, columns in _pairs(loss, X, len(labels)):
        part = _checked(stated)
        number = numbers.setdefault(_identity(part), len(parts))
        if number == len(parts):
            parts.append(part)
        kinds[columns] = number
        np.add.at(times_named, columns, 1)
    _refuse(labels, np.flatnonzero(times_named == 0), "no loss")
    _refuse(labels, np.flatnonzero(times_named > 1), "more than one loss")
    return ColumnLosses(parts, kinds.astype(np.min_scalar_type(len(parts))))


def check_data(loss, observations, names=None):
    """Raise a ValueError that names the column if its loss does not accept an observed entry.

    Parameters
    ----------
    loss : BaseLoss or ColumnLosses
        The loss.
    observations : ObservedMatrix
        The data.
    names : ndarray of str of shape (n_features,) or None
        Names of the columns for messages.
    """
    numbers = loss.kinds
    if numbers is None:
        try:
            for values in observations.each_value() if hasattr(loss, "check_data") else ():
                loss.check_data(values)
            return
        except ValueError as error:
            at_once = error
        numbers = np.zeros(observations.shape[1], dtype=np.intp)
    for j, number in enumerate(numbers):
        part = loss.parts[number]
        if not hasattr(part, "check_data"):
            continue
        try:
            part.check_data(observations.T.row_values(j))
        except ValueError as error:
            label = j if names is None else repr(names[j])
            raise ValueError(f"Column {label} of X: {error}") from None
    if loss.kinds is None:
        raise at_once  # the error does not belong to a single column


def _checked(stated):
    loss = LOSSES.resolve(stated)
    if not isinstance(loss, BaseLoss):
        raise ValueError(
            f"loss contains {loss!r}, but must contain the name of a loss, one of "
            f"{sorted(LOSSES)}, or a loss object.{class_for_object(loss)}"
        )
    for method in ("value", "gradient"):
        if getattr(type(loss), method) is getattr(BaseLoss, method):
            raise ValueError(
                f"loss={loss!r} does not define {method}(x, m), which every solver needs."
            )
    if loss is stated:  # the object of the user, not a default one
        check_parameters(loss)
    return loss


def _pairs(loss, X, n_columns):
    """Return each stated loss with the indices of its columns."""
    items = list(loss.items()) if isinstance(loss, dict) else loss
    if not any(isinstance(item, tuple) for item in items):
        if len(items) != n_columns:
            raise ValueError(
                f"loss is a list of {len(items)} losses, but X has {n_columns} columns: pass one "
                "loss for each column, or pairs of a loss and its columns."
            )
        items = [(item, [j]) for j, item in enumerate(items)]
    for item in items:
        if not (isinstance(item, tuple) and len(item) == 2):
            raise ValueError(
                f"loss contains {item!r} in a list of pairs: each item must be a loss and "
                "its columns."
            )
        stated, columns = item
        try:
            yield stated, np.asarray(column_indices(X, columns), dtype=np.intp)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ValueError(
                f"loss assigns {stated!r} to the columns {columns!r}: {error}"
            ) from error


def _identity(loss):
    """Return a key that is equal for equal losses, so that they are merged."""
    try:
        key = (type(loss), *sorted(loss.get_params().items()))
        hash(key)
    except TypeError:
        return id(loss)
    return key


def _refuse(labels, columns, what):
    if len(columns) == 0:
        return
    named = ", ".join(labels[j] for j in columns[:NAMED])
    if len(columns) > NAMED:
        named += f" and {len(columns) - NAMED} more"
    raise ValueError(f"loss assigns {what} to {named}: name every column of X exactly once.")
