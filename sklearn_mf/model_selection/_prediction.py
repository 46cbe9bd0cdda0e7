"""What an estimator predicts for hidden entries: it reconstructs the data, or completes them."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import gen_batches

from sklearn_mf.model_selection._entries import check_holed
from sklearn_mf.model_selection._marks import mark_of
from sklearn_mf.utils._tables import column_names, native
from sklearn_mf.utils._validation import input_names

# Numbers in a reconstruction, which is dense: so much of it is made at a time.
BLOCK_SIZE = 2**23


def predict_hidden(estimator, visible, rows, columns):
    """Predictions of a fitted estimator for entries that it does not see.

    Parameters
    ----------
    estimator : estimator
        Reconstructs what it transforms, or is an imputer, whose `transform` completes the data,
        or a pipeline of both kinds: what steps other than imputers did is undone.
    visible : {array-like, sparse matrix} of shape (n_samples, n_features)
        What it sees.
    rows : ndarray of int of shape (n_hidden,)
        Rows of the entries, ascending.
    columns : ndarray of int of shape (n_hidden,)
        Their columns.

    Returns
    -------
    predicted : ndarray of shape (n_hidden,)
        The predictions.
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
            f"{name} leaves row {i}, column {labels[j]!r} missing, which cannot be scored then. If "
            "its fit saw no entry of that column, use keep_empty_features=True."
        )
    return predicted


def is_imputer(step):
    """Whether a step keeps what is observed, so that there is nothing to undo."""
    # Those of scikit-learn, and ours, have this parameter; others cannot be inverted.
    return hasattr(step, "add_indicator") or not hasattr(step, "inverse_transform")


def _steps(estimator):
    """Itself; of a search the best one; of a pipeline its steps, those of inner ones too."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, Pipeline):
        yield estimator
        return
    for _, step in estimator.steps:
        if step is not None and step != "passthrough":
            yield from _steps(step)


def _places(step, before, after):
    """Where an imputer has put each column that it was given; -1 where it left one out.

    Raises a ValueError if it is none, as what it was given has changed.
    """
    before, after = check_holed(before, mark_of(step)), check_holed(after)
    places = np.arange(before.shape[1])
    if hasattr(step, "get_feature_names_out"):
        names = list(enumerate(step.get_feature_names_out()))
        # Names of a ColumnTransformer begin with that of a transformer.
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
            f"{type(step).__name__} has no inverse_transform, and is no imputer: what transform "
            "returns has other columns, or other values where X is observed. Hidden entries cannot "
            "be predicted by it."
        )
    return places


def _reconstructed(estimator, visible, rows, columns):
    """Reconstruction at entries whose rows ascend; of all others, a block at a time."""
    codes = estimator.transform(visible)
    n_samples, n_features = visible.shape
    predicted = np.empty(len(rows))
    for block in gen_batches(n_samples, max(1, BLOCK_SIZE // n_features)):
        part = codes.iloc[block] if hasattr(codes, "iloc") else codes[block]
        here = slice(*np.searchsorted(rows, [block.start, block.stop]))
        model = np.asarray(estimator.inverse_transform(part))
        predicted[here] = model[rows[here] - block.start, columns[here]]
    return predicted
