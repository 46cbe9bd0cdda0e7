"""Scores of the predictions of hidden entries; higher is better for every metric."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.metrics import mean_absolute_error, ndcg_score, root_mean_squared_error

from sklearn_mf.components import last_step
from sklearn_mf.fitting.scores import explained_share
from sklearn_mf.model_selection._entries import check_holed, hide_entries, observed_entries
from sklearn_mf.model_selection._marks import mark_of
from sklearn_mf.model_selection._prediction import predict_hidden
from sklearn_mf.utils._hints import did_you_mean
from sklearn_mf.utils._tables import is_sparse


@dataclass(frozen=True)
class Prediction:
    """Hidden entries and an estimator's predictions of them.

    Attributes
    ----------
    estimator : estimator
        The estimator that predicted the entries.
    visible : {ndarray, CSR matrix} of shape (n_samples, n_features)
        The data from which it predicted them, with NaN for missing entries.
    rows, columns, values : ndarray of shape (n_hidden,)
        Row, column and value of each hidden entry.
    predicted : ndarray of shape (n_hidden,)
        Predicted value of each hidden entry.
    """

    estimator: object
    visible: object
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    predicted: np.ndarray


def check_metric(metric):
    """Return the function of a `Prediction` for a ``metric``, or the metric if it ranks columns."""
    if ranks(metric):
        metric.check()
        return metric
    if callable(metric):
        return lambda prediction: metric(prediction.values, prediction.predicted)
    name, _, k = metric.partition("@")
    if name == "ndcg" and (metric == name or (k.isdecimal() and int(k) > 0)):
        return partial(_ndcg, k=int(k) if k else None)
    if metric not in METRICS:
        hint = did_you_mean(metric, [*METRICS, "ndcg"])
        raise ValueError(
            f"metric must be one of {sorted(METRICS)}, 'ndcg', 'ndcg@k' with an integer k, or a "
            f"callable metric(y_true, y_pred); got {metric!r}.{hint}"
        )
    return METRICS[metric]


def ranks(metric):
    """Return whether a metric ranks columns, instead of comparing predictions with values."""
    return hasattr(metric, "score_hidden")


def reads_unstored_as_missing(estimator):
    """Return whether unstored entries of a sparse X are missing for an estimator, not zero."""
    # Imputers fill entries that are marked as missing, but never unstored entries.
    parameters = [(name.split("__")[-1], value) for name, value in estimator.get_params().items()]
    stated = {value for name, value in parameters if name == "unstored"}
    return stated == {"missing"} and "add_indicator" not in dict(parameters)


def check_unstored(estimator, X, metric):
    """Refuse a sparse X if entries removed from it would count as zeros."""
    if ranks(metric):
        metric.check_data(X)  # rankings hide positive entries, and zeros are candidates
    elif is_sparse(X) and not reads_unstored_as_missing(estimator):
        raise ValueError(
            "Entries of a sparse X cannot be hidden from an estimator for which unstored entries "
            "are zeros. If they are missing, use unstored='missing'. Otherwise pass X.toarray()."
        )


def score_hidden(estimator, X, visible, hidden, metric):
    """Return the score of a fitted estimator on hidden entries, predicted from the visible ones.

    Parameters
    ----------
    estimator : estimator
        A fitted factorization or imputer.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data.
    visible : {array-like, sparse matrix} of shape (n_samples, n_features)
        X without the hidden entries (and possibly others), in the form that the estimator expects.
    hidden : ndarray of int
        Indices of the hidden entries.
    metric : str, callable or RankingScorer
        The score; see `check_metric`.

    Returns
    -------
    score : float
        The score; higher is better.
    """
    if ranks(metric):
        return metric.score_hidden(estimator, X, visible, hidden)
    mark = mark_of(estimator)
    rows, columns, values = (array[hidden] for array in observed_entries(X, missing_values=mark))
    predicted = predict_hidden(estimator, visible, rows, columns)
    values, visible = values.astype(predicted.dtype), check_holed(visible, mark)
    prediction = Prediction(estimator, visible, rows, columns, values, predicted)
    score = check_metric(metric)(prediction)
    if np.ndim(score) != 0 or isinstance(score, str):
        raise ValueError(f"metric={metric!r} must return one number, got {score!r}.")
    return float(score)


def hide_and_score(estimator, X, splitter, metric):
    """Hide the test entries of a splitter's first split and score them; see `score_hidden`."""
    check_metric(metric)
    if not hasattr(estimator, "transform"):
        raise ValueError(
            f"{type(estimator).__name__} has no transform. Hidden entries can be predicted by "
            "factorizations, with transform and inverse_transform, or by imputers, with transform."
        )
    check_unstored(estimator, X, metric)
    visible, hidden = first_split(estimator, X, splitter)
    return score_hidden(estimator, X, visible, hidden, metric)


def first_split(estimator, X, splitter):
    """Return X without the test entries of a splitter's first split, and these entries."""
    mark = mark_of(estimator)
    _, hidden = next(splitter.split(check_holed(X, mark)))
    return hide_entries(X, hidden, missing_values=mark), hidden


def _r2(prediction):
    """Return R^2 relative to the means of the visible entries, which `SimpleImputer` predicts."""
    _, columns, values = observed_entries(prediction.visible)
    n_features = prediction.visible.shape[1]
    counts = np.bincount(columns, minlength=n_features)
    means = np.bincount(columns, weights=values, minlength=n_features) / np.maximum(counts, 1)
    error = np.sum((prediction.values - prediction.predicted) ** 2)
    baseline = np.sum((prediction.values - means[prediction.columns]) ** 2)
    return explained_share(error, baseline)


def _rmse(prediction):
    return -root_mean_squared_error(prediction.values, prediction.predicted)


def _mae(prediction):
    return -mean_absolute_error(prediction.values, prediction.predicted)


def _deviance(prediction):
    """Return twice the mean loss of the estimator, on the scale of X."""
    last = last_step(prediction.estimator)
    # An imputer stores the loss in its estimator.
    fitted = getattr(last_step(getattr(last, "estimator_", last)), "loss_", None)
    if fitted is None:
        raise ValueError(
            "metric='deviance' needs an estimator with the attribute loss_, alone or as the last "
            f"step of a pipeline, but {type(prediction.estimator).__name__} has none. Use "
            "metric='r2'."
        )
    loss = fitted.at_columns(prediction.columns)
    return -2 * np.mean(loss.value(prediction.values, loss.from_mean(prediction.predicted)))


def _ndcg(prediction, k):
    """Return the mean over rows with at least two hidden entries, whose values are the gains."""
    if prediction.values.size and prediction.values.min() < 0:
        raise ValueError("metric='ndcg' needs non-negative values, because they are the gains.")
    counts = np.bincount(prediction.rows)
    total = n_rows = 0
    # Rows with the same number of hidden entries form one table.
    for count in np.unique(counts[counts > 1]):
        chosen = counts[prediction.rows] == count
        shape = (-1, count)
        gains, ranks = (
            array[chosen].reshape(shape) for array in (prediction.values, prediction.predicted)
        )
        total += len(gains) * ndcg_score(gains, ranks, k=k)
        n_rows += len(gains)
    if n_rows == 0:
        raise ValueError(
            "metric='ndcg' needs rows with at least two hidden entries: hide more entries."
        )
    return total / n_rows


METRICS = {"r2": _r2, "rmse": _rmse, "mae": _mae, "deviance": _deviance}
