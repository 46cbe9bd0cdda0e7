"""How well hidden entries are predicted: higher is better for every metric."""

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
    """Hidden entries and what an estimator predicts for them.

    Attributes
    ----------
    estimator : estimator
        What predicted them.
    visible : {ndarray, CSR matrix} of shape (n_samples, n_features)
        What it predicted them from, with NaN where something is missing.
    rows, columns, values : ndarray of shape (n_hidden,)
        The hidden entries.
    predicted : ndarray of shape (n_hidden,)
        Their predictions.
    """

    estimator: object
    visible: object
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    predicted: np.ndarray


def check_metric(metric):
    """The function of a `Prediction` that a ``metric`` parameter means; of rankings itself."""
    if ranks(metric):
        metric.check()
        return metric
    if callable(metric):
        return lambda prediction: metric(prediction.values, prediction.predicted)
    name, _, k = metric.partition("@")
    if name == "ndcg" and (metric == name or (k.isdecimal() and int(k) > 0)):
        return partial(_ndcg, k=int(k) if k else None)
    if metric not in METRICS:
        raise ValueError(
            f"metric must be one of {sorted(METRICS)}, 'ndcg', 'ndcg@10' or such, or a callable "
            f"metric(y_true, y_pred); got {metric!r}.{did_you_mean(metric, [*METRICS, 'ndcg'])}"
        )
    return METRICS[metric]


def ranks(metric):
    """Whether a metric ranks columns, and compares no predictions."""
    return hasattr(metric, "score_hidden")


def reads_unstored_as_missing(estimator):
    """Whether what is removed from a sparse X is missing for an estimator, and not zero."""
    # Imputers fill what is marked as missing, never what is not stored.
    parameters = [(name.split("__")[-1], value) for name, value in estimator.get_params().items()]
    stated = {value for name, value in parameters if name == "unstored"}
    return stated == {"missing"} and "add_indicator" not in dict(parameters)


def check_unstored(estimator, X, metric):
    """Refuse sparse X, if entries that are removed from it would be read as zeros."""
    if ranks(metric):
        metric.check_data(X)  # and zeros are meant: nobody has chosen what is hidden
    elif is_sparse(X) and not reads_unstored_as_missing(estimator):
        raise ValueError(
            "Entries of a sparse X cannot be hidden from an estimator that reads what is not "
            "stored as zeros. Use unstored='missing', if it is missing; else pass X.toarray()."
        )


def score_hidden(estimator, X, visible, hidden, metric):
    """Score of a fitted estimator on hidden entries of X, predicted from the visible ones.

    Parameters
    ----------
    estimator : estimator
        Fitted; a factorization or an imputer.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The data.
    visible : {array-like, sparse matrix} of shape (n_samples, n_features)
        X without the hidden entries, and maybe others, as the estimator marks what is missing.
    hidden : ndarray of int
        Their numbers.
    metric : str, callable or RankingScorer
        See `check_metric`.

    Returns
    -------
    score : float
        Higher is better.
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
    """Hide what a splitter's first split tests, and score it; see `score_hidden`."""
    check_metric(metric)
    if not hasattr(estimator, "transform"):
        raise ValueError(
            f"{type(estimator).__name__} has no transform: hidden entries are predicted by "
            "transform and inverse_transform of factorizations, or by transform of imputers."
        )
    check_unstored(estimator, X, metric)
    visible, hidden = first_split(estimator, X, splitter)
    return score_hidden(estimator, X, visible, hidden, metric)


def first_split(estimator, X, splitter):
    """What is left of X by a splitter's first split for an estimator, and the hidden entries."""
    mark = mark_of(estimator)
    _, hidden = next(splitter.split(check_holed(X, mark)))
    return hide_entries(X, hidden, missing_values=mark), hidden


def _r2(prediction):
    """Against the means of the visible entries of each feature: what `SimpleImputer` predicts."""
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
    """Twice the mean loss of the estimator, on the scale of X."""
    last = last_step(prediction.estimator)
    # An imputer's estimator knows the loss.
    fitted = getattr(last_step(getattr(last, "estimator_", last)), "loss_", None)
    if fitted is None:
        raise ValueError(
            "metric='deviance' needs an estimator with a loss_, at the end of a pipeline or "
            f"alone; {type(prediction.estimator).__name__} has none. Use metric='r2'."
        )
    loss = fitted.at_columns(prediction.columns)
    return -2 * np.mean(loss.value(prediction.values, loss.from_mean(prediction.predicted)))


def _ndcg(prediction, k):
    """Mean over the rows with at least two hidden entries; their values are the gains."""
    if prediction.values.size and prediction.values.min() < 0:
        raise ValueError("metric='ndcg' needs values that are not negative: they are the gains.")
    counts = np.bincount(prediction.rows)
    total = n_rows = 0
    # Rows with as many hidden entries as one another are one table.
    for count in np.unique(counts[counts > 1]):
        chosen = counts[prediction.rows] == count
        shape = (-1, count)
        gains, ranks = (
            array[chosen].reshape(shape) for array in (prediction.values, prediction.predicted)
        )
        total += len(gains) * ndcg_score(gains, ranks, k=k)
        n_rows += len(gains)
    if n_rows == 0:
        raise ValueError("metric='ndcg' needs rows with at least two hidden entries: hide more.")
    return total / n_rows


METRICS = {"r2": _r2, "rmse": _rmse, "mae": _mae, "deviance": _deviance}
