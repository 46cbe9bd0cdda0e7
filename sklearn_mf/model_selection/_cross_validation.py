"""Cross-validation over entries."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.parallel import Parallel, delayed

from sklearn_mf.model_selection._entries import check_holed, hide_entries, observed_entries
from sklearn_mf.model_selection._marks import mark_of
from sklearn_mf.model_selection._metrics import check_metric, check_unstored, score_hidden
from sklearn_mf.model_selection._split import EntryKFold, folds_of
from sklearn_mf.utils._typing import ArrayLike, MatrixLike
from sklearn_mf.utils._validation import Integral, is_nan


def cross_val_entries(
    estimator: BaseEstimator,
    X: MatrixLike,
    *,
    cv: object = None,
    metric: str | Callable = "r2",
    groups: ArrayLike | None = None,
    params: dict | None = None,
    n_jobs: int | None = None,
    return_estimator: bool = False,
) -> dict[str, Any]:
    """Cross-validate an estimator over entries, as `cross_validate` does over samples.

    For each split, the whole estimator, which may be a pipeline, is fitted to the training entries
    and predicts the test entries from them.

    Parameters
    ----------
    estimator : estimator
        A factorization, whose `inverse_transform` reconstructs the data, or an imputer, whose
        `transform` completes the data: :class:`~sklearn_mf.FactorizationImputer`, those of
        scikit-learn, and others that keep the observed entries. In a pipeline, the steps that are
        not imputers are inverted. The estimator is cloned for every split.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Data, which are never modified. Missing entries are NaN, or marked by the parameter
        `missing_values` of the estimator (in a pipeline, of the first step that has this
        parameter). The unstored entries of a sparse X are missing.
    cv : int, splitter or iterable, default=None
        None stands for an :class:`EntryKFold` with five folds, an int for that number of folds,
        always with the same random folds. Alternatively, a splitter of entries, or pairs of arrays
        of training and test entries, numbered as in :func:`observed_entries`.
    metric : str, callable or RankingScorer, default="r2"
        The score, as in :class:`MaskedEntryScorer`. With a :class:`RankingScorer`, the hidden
        entries of a sparse X are ranked among all columns; its `fraction` is ignored.
    groups : array-like, default=None
        Passed to `split` of the splitter: the times of the entries for
        :class:`EntryTimeSeriesSplit`.
    params : dict, default=None
        Parameters for `fit` of the estimator.
    n_jobs : int, default=None
        Number of splits to fit in parallel, as in
        :func:`sklearn.model_selection.cross_validate`.
    return_estimator : bool, default=False
        Whether to return the fitted estimators.

    Returns
    -------
    scores : dict of ndarray of shape (n_splits,)
        "test_score", "fit_time", "score_time" and, if requested, the list "estimator".

    See Also
    --------
    sklearn.model_selection.cross_validate : Splits samples.

    References
    ----------
    Wold, S. (1978). Cross-validatory estimation of the number of components in factor and
    principal components models. Technometrics 20(4), 397-405.
    :doi:`10.1080/00401706.1978.10489693`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.model_selection import cross_val_entries
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 20)) + rng.normal(size=(100, 20)) / 2
    >>> for n_components in (1, 2, 3):
    ...     model = MatrixFactorization(n_components, alpha_W=0.01)
    ...     print(cross_val_entries(model, X)["test_score"].mean().round(2))
    0.47
    0.9
    0.88

    Of scikit-learn's imputers:

    >>> from sklearn.impute import KNNImputer
    >>> print(cross_val_entries(KNNImputer(), X)["test_score"].mean().round(2))
    0.81
    """
    check_metric(metric)
    check_unstored(estimator, X, metric)
    mark = mark_of(estimator)
    table = X if is_nan(mark) else check_holed(X, mark)  # splitters expect NaN
    if cv is None or isinstance(cv, Integral):
        cv = EntryKFold(5 if cv is None else cv, random_state=0)
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_score)(clone(estimator), X, train, test, metric, params or {})
        for train, test in folds_of(cv, table, groups)
    )
    estimators, *columns = zip(*results, strict=True)
    names = ("fit_time", "score_time", "test_score")
    scores = {name: np.array(column) for name, column in zip(names, columns, strict=True)}
    if return_estimator:
        scores["estimator"] = list(estimators)
    return scores


def _fit_and_score(estimator, X, train, test, metric, params):
    start = perf_counter()
    # Entries that are neither in train nor in test, such as later ones, must be hidden as well.
    mark = mark_of(estimator)
    n_observed = len(observed_entries(X, missing_values=mark)[0])
    unseen = np.setdiff1d(np.arange(n_observed), train)
    visible = hide_entries(X, unseen, missing_values=mark)
    estimator.fit(visible, **params)
    fitted = perf_counter()
    score = score_hidden(estimator, X, visible, np.sort(test), metric)
    return estimator, fitted - start, perf_counter() - fitted, score
