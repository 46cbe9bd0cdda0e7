"""Predictions of hidden entries by reconstruction or completion of the data."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import gen_batches

from sklearn_mf.model_selection._entries import check_holed
from sklearn_mf.model_selection._marks import mark_of
from sklearn_mf.utils._tables import column_names, native
from sklearn_mf.utils._validation import input_names

# Maximum number of entries of the dense reconstruction that are computed at a time.
BLOCK_SIZE = 2**23


def predict_hidden(estimator, visible, rows, columns):
    """Return the predictions of a fitted estimator for entries that were hidden from it.

    Parameters
    ----------
    estimator : estimator
        A factorization, which reconstructs its input; an imputer, whose `transform` completes the
        data; or a pipeline of both, in which the steps other than imputers are inverted.
    visible : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data without the hidden entries.
    rows : ndarray of int of shape (n_hidden,)
        Row of each hidden entry, in ascending order.
    columns : ndarray of int of shape (n_hidden,)
        Column of each hidden entry.

    Returns
    -------
    predicted : ndarray of shape (n_hidden,)
        The predicted values.
    """
    steps = list(_steps(estimator))
    if not any(is_imputer(step) for step in steps):
        return _reconstructed(estimator, visible, rows, columns)
    values, places = visible, []
    for step in steps:
        before, values = values, step.transform(values)
        places.append(_places(step, before, values) if is_imputer(step) else None)
    for step, where in zip(reversed(steps), reversed(places), strict=True):
        if where is None:
            values = step.inverse_transform(values)
        else:
            values = np.where(where < 0, np.nan, np.asarray(values)[:, where])
    predicted = np.asarray(values, dtype=np.float64)[rows, columns]
    unknown = np.isnan(predicted)
    if unknown.any():
        i, j = rows[unknown][0], columns[unknown][0]
        labels = column_names(native(visible)) or [f"x{k}" for k in range(visible.shape[1])]
        name = next(type(step).__name__ for step in steps if is_imputer(step))
        raise ValueError(
            f"{name} leaves row {i}, column {labels[j]!r} missing, so it cannot be scored. If this "
            "column had no observed entry in fit, use keep_empty_features=True."
        )
    return predicted


def is_imputer(step):
    """Return whether a step keeps the observed entries, so that it need not be inverted."""
    # The imputers of scikit-learn and of this package have this parameter. Other steps without
    # `inverse_transform` cannot be inverted.
    return hasattr(step, "add_indicator") or not hasattr(step, "inverse_transform")


def _steps(estimator):
    """Return the fitted steps of (nested) pipelines and of the best estimator of searches."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, Pipeline):
        yield estimator
        return
    for _, step in estimator.steps:
        if step is not None and step != "passthrough":
            yield from _steps(step)


def _places(step, before, after):
    """Return the output column of each input column of an imputer; -1 for dropped columns.

    A ValueError is raised if the step changes observed values, so that it is not an imputer.
    """
    before, after = check_holed(before, mark_of(step)), check_holed(after)
    places = np.arange(before.shape[1])
    if hasattr(step, "get_feature_names_out"):
        names = list(enumerate(step.get_feature_names_out()))
        # The names of a ColumnTransformer begin with the name of the transformer.
        found = {name.partition("__")[2]: place for place, name in names}
        found |= {name: place for place, name in names}
        places = np.array([found.get(name, -1) for name in input_names(step)])
    elif after.shape[1] != before.shape[1]:
        places[:] = -1
    kept = places >= 0
    observed = ~np.isnan(before[:, kept])
    given, returned = before[:, kept][observed], after[:, places[kept]][observed]
    if not (kept.any() and np.allclose(given, returned, rtol=1e-6, atol=0)):
        raise ValueError(
            f"{type(step).__name__} has no inverse_transform and is not an imputer: its transform "
            "returns other columns, or changes observed values of X. It cannot predict hidden "
            "entries."
        )
    return places


def _reconstructed(estimator, visible, rows, columns):
    """Return reconstructed values at entries in ascending rows, one block of rows at a time."""
    codes = estimator.transform(visible)
    n_samples, n_features = visible.shape
    predicted = np.empty(len(rows))
    for block in gen_batches(n_samples, max(1, BLOCK_SIZE // n_features)):
        part = codes.iloc[block] if hasattr(codes, "iloc") else codes[block]
        here = slice(*np.searchsorted(rows, [block.start, block.stop]))
        model = np.asarray(estimator.inverse_transform(part))
        predicted[here] = model[rows[here] - block.start, columns[here]]
    return predicted
