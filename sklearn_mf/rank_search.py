"""The rank by cross-validation of hidden entries, along paths of ranks."""

from functools import partial
from time import perf_counter

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.model_selection import EntryKFold, hide_entries, observed_entries
from sklearn_mf.model_selection._split import folds_of
from sklearn_mf.path import follow, has_risen, simplest_of_the_best
from sklearn_mf.utils._tables import is_frame, native, rebuilt
from sklearn_mf.utils._validation import (
    CheckedParametersMixin,
    HasMethods,
    Integral,
    Interval,
    check_parameters,
    check_X,
    fit_context,
)
from sklearn_mf.utils._warnings import quiet

__all__ = ["RankSearchCV"]

# What of the standard deviation of X may be lost in paths, which are twice as fast in single
# precision.
PRECISION = 1e-5


class RankSearchCV(CheckedParametersMixin, MetaEstimatorMixin, TransformerMixin, BaseEstimator):
    r"""Choose the number of components by cross-validation of hidden entries.

    The observed entries of X, not its rows, are split into folds. Each fold is hidden in turn and
    predicted by models of every rank that are fitted to the others,

    .. math::

        \mathrm{score}_{fk} =
        -\frac{1}{|F_f|} \sum_{(i,j) \in F_f} (x_{ij} - \hat x^{(k)}_{ij})^2,

    so that a component which only follows noise makes the score worse. The ranks of a fold are
    a path: the factors of the rank below, and the leading directions of what they leave, are
    improved by a sweep of alternating least squares, where a fit of its own would need
    many. A path ends when three scores in a row are 2 % worse than its best. Where
    alternating least squares does not solve each factor exactly (other solvers, positive
    factors, penalties of absolute values, ``early_stopping=True``, other estimators), models
    start anew at every rank.

    Chosen is the simplest model whose score is within one standard error of the best one: the
    smallest rank, and of equal ranks the largest penalty. An estimator of that kind is then
    fitted to all of X.

    Read more in the :ref:`User Guide <choosing_the_rank>`.

    Parameters
    ----------
    estimator : estimator instance
        With the parameter ``n_components`` and the method `predict_entries`, such as
        :class:`MatrixFactorization`. It is cloned.
    ranks : array-like of int
        Numbers of components to try, each at most ``min(n_samples, n_features)``.
    alphas : array-like of float or None, default=None
        Values of ``alpha_W`` to try with every rank; ``alpha_H`` follows where it is "same".
        The path of a penalty starts from the first rank of the next larger one. None: that of
        the estimator.
    cv : int, splitter or iterable, default=5
        Number of random folds of the observed entries, or how to split them: pairs of arrays
        ``(train, test)`` that number the observed entries of X in the order of its rows. An
        int leaves every row and column an entry to train on.
    one_standard_error : bool, default=True
        Whether to prefer the smallest rank within one standard error of the best. Otherwise
        the best is chosen.
    refit : bool, default=True
        Whether to fit an estimator of the chosen rank to all of X.
    path_max_iter : int, default=1
        Sweeps at each rank of a path but the first, which is fitted by the estimator's
        `max_iter`, to a tolerance of 1e-3 at least.
    n_jobs : int, default=None
        Number of folds to fit in parallel, as in :class:`joblib.Parallel`. With one job, the
        paths of large data share the threads of the kernels; results do not depend on it.
    random_state : int, RandomState instance or None, default=None
        Draws the folds and starts the search for directions of residuals.

    Attributes
    ----------
    best_rank_ : int
        The chosen number of components.
    best_estimator_ : estimator instance
        Fitted to all of X with that rank, if ``refit=True``.
    best_params_ : dict
        The chosen ``n_components``, and ``alpha_W`` if there are `alphas`.
    best_index_ : int
        Where it is in `cv_results_`.
    best_score_ : float
        Its mean score.
    cv_results_ : dict of ndarrays
        As in :class:`sklearn.model_selection.GridSearchCV`: "param_n_components", "params",
        "split0_test_score" and so on, "mean_test_score", "std_test_score", "rank_test_score",
        "mean_fit_time", "std_fit_time", "mean_score_time" and "std_score_time", in ascending
        order of the number of components. With `alphas` there is "param_alpha_W", too, largest
        first among equal ranks. Scores are negative mean squared errors, NaN where the path
        of a fold had ended. Times are those of a step of the path.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds of the last fit, if ``refit=True``.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    select_rank : Complete data, without any fit.
    sklearn_mf.plotting.RankSearchDisplay : Draws the scores.

    Notes
    -----
    The standard error is ``std_test_score / sqrt(n_splits_ - 1)`` at the best rank, that of a
    mean over folds.

    Paths are in single precision where X loses no more than 1e-5 of its standard deviation by
    it; the last fit is in that of X.

    References
    ----------
    Wold, S. (1978). Cross-validatory estimation of the number of components in factor and
    principal components models. Technometrics 20(4). :doi:`10.1080/00401706.1978.10489693`

    Owen, A. B. & Perry, P. O. (2009). Bi-cross-validation of the SVD and the nonnegative
    matrix factorization. Annals of Applied Statistics 3(2). :doi:`10.1214/08-AOAS227`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization, RankSearchCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3)) @ rng.standard_normal((3, 20))
    >>> X += 0.5 * rng.standard_normal(X.shape)
    >>> X[rng.random(X.shape) < 0.2] = np.nan
    >>> search = RankSearchCV(MatrixFactorization(), range(1, 7), random_state=0).fit(X)
    >>> search.best_rank_
    3
    >>> search.transform(X).shape
    (100, 3)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_entries"])],
        "ranks": ["array-like"],
        "alphas": ["array-like", None],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split"]), "cv_object"],
        "one_standard_error": ["boolean"],
        "refit": ["boolean"],
        "path_max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        ranks,
        *,
        alphas=None,
        cv=5,
        one_standard_error=True,
        refit=True,
        path_max_iter=1,
        n_jobs=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.ranks = ranks
        self.alphas = alphas
        self.cv = cv
        self.one_standard_error = one_standard_error
        self.refit = refit
        self.path_max_iter = path_max_iter
        self.n_jobs = n_jobs
        self.random_state = random_state

    # The estimator is checked when its clones are fitted.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Choose the rank, and fit an estimator of that rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without; never changed. A sparse X needs an estimator with
            ``unstored="missing"``: zeros that are not stored cannot be hidden.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        self : RankSearchCV
            The fitted search.

        Raises
        ------
        ValueError
            If the estimator is of another kind, X is too small for the ranks, or the folds
            are not pairs of arrays which number the observed entries of X.
        """
        checker = _check_estimator(self.estimator)
        checked = check_X(checker, X, reset=True)
        if sparse.issparse(checked) and checker.unstored != "missing":
            raise ValueError(
                "RankSearchCV cannot hide the zeros that a sparse X does not store. Use "
                "unstored='missing' for the estimator if they are missing, else X.toarray()."
            )
        grid = _check_ranks(self.ranks, checked.shape), _check_alphas(self.alphas, checker)
        rng = check_random_state(self.random_state)
        folds = _check_folds(self.cv, checked, rng)
        judge, work = _judge(checker, checked, X, grid, self.path_max_iter)
        seeds = rng.randint(2**31 - 1, size=len(folds))
        tasks = [(*fold, seed) for fold, seed in zip(folds, seeds, strict=True)]
        results = _of_all(judge, tasks, work, self.n_jobs)
        self.n_features_in_ = checker.n_features_in_
        if hasattr(checker, "feature_names_in_"):
            self.feature_names_in_ = checker.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.n_splits_ = len(folds)
        candidates = self._candidates(*grid)
        self.cv_results_ = _cv_results(candidates, np.array(results))
        scores = self.cv_results_["mean_test_score"], self.cv_results_["std_test_score"]
        n_errors = np.sqrt(max(self.n_splits_ - 1, 1)) if self.one_standard_error else np.inf
        self.best_index_ = simplest_of_the_best(*scores, n_errors)
        self.best_params_ = candidates[self.best_index_]
        self.best_rank_ = self.best_params_["n_components"]
        self.best_score_ = float(scores[0][self.best_index_])
        if self.refit:
            began = perf_counter()
            self.best_estimator_ = clone(self.estimator).set_params(**self.best_params_).fit(X)
            self.refit_time_ = perf_counter() - began
        return self

    def transform(self, X):
        """Codes of samples, by the estimator of the chosen rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without.

        Returns
        -------
        W : ndarray of shape (n_samples, n_features_out)
            Codes.
        """
        return self._best("transform").transform(X)

    def inverse_transform(self, X):
        """Reconstruct data from codes, by the estimator of the chosen rank.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Codes, as `transform` returns them.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            Expected data.
        """
        return self._best("inverse_transform").inverse_transform(X)

    def predict_entries(self, X, rows, columns):
        """Predict single entries, by the estimator of the chosen rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            What is observed of the samples.
        rows : array-like of int of shape (n_entries,)
            Rows of X.
        columns : array-like of int of shape (n_entries,)
            Columns of X.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Expected value of every pair of a row and a column.
        """
        return self._best("predict_entries").predict_entries(X, rows, columns)

    def score(self, X, y=None):
        """Score of the estimator of the chosen rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without.
        y : Ignored
            Not used, present by convention.

        Returns
        -------
        score : float
            What ``best_estimator_.score`` returns.
        """
        return self._best("score").score(X, y)

    def get_feature_names_out(self, input_features=None):
        """Names of the components, as the estimator of the chosen rank has them.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Only used to validate feature names with the names seen in `fit`.

        Returns
        -------
        feature_names_out : ndarray of str
            Names of the columns that `transform` returns.
        """
        return self._best("get_feature_names_out").get_feature_names_out(input_features)

    def _best(self, method):
        check_is_fitted(self)
        if not self.refit:
            raise AttributeError(
                f"{method} needs the estimator of the chosen rank: use refit=True, or "
                f"estimator.set_params(n_components={self.best_rank_})."
            )
        return self.best_estimator_

    def _candidates(self, ranks, alphas):
        """Parameters of all models, the simplest first: of equal rank, the most penalized."""
        if self.alphas is None:
            return [{"n_components": int(rank)} for rank in ranks]
        return [
            {"n_components": int(rank), "alpha_W": float(alpha)}
            for rank in ranks
            for alpha in alphas
        ]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "cv_results_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.input_tags.sparse &= getattr(self.estimator, "unstored", None) == "missing"
        if inner.transformer_tags is not None:
            tags.transformer_tags = inner.transformer_tags
        return tags


def _visible(X, table, train):
    """A validated X without all entries but those to train on; with the names of its table."""
    hidden = np.ones(len(observed_entries(X)[0]), dtype=bool)
    hidden[train] = False
    visible = hide_entries(X, np.flatnonzero(hidden))
    return rebuilt(table, visible) if is_frame(native(table)) else visible


def _judge(estimator, X, table, grid, n_sweeps):
    """What gives score, fit time and score time of all candidates on a fold; what a step does.

    The second is the number of multiplications in the largest step of a path, 0 where whole
    estimators are fitted.
    """
    if hasattr(estimator, "_path_results"):
        check_parameters(estimator)
        loss = estimator._resolve_loss(table, X)
        observations = estimator._observe(X, loss).stored()
        if estimator._can_follow_paths(observations, loss):
            unit = estimator._unit_of_paths(observations, loss)
            observations = unit.observations(observations).in_short(PRECISION)
            judge = partial(_along_path, estimator, (observations, (loss, unit)), grid, n_sweeps)
            return judge, observations.n_observed * int(grid[0][-1]) ** 2
    return partial(_one_by_one, estimator, (X, None if sparse.issparse(X) else table), grid), 0


def _of_all(judge, tasks, work, n_jobs):
    """What is to be judged: by processes, or along paths whose threads fill each other's gaps."""
    if work and effective_n_jobs(n_jobs) == 1:
        return follow(lambda task: judge(*task), tasks, work)
    if effective_n_jobs(n_jobs) == 1:
        return [_quietly(judge, *task) for task in tasks]
    return Parallel(n_jobs=n_jobs)(delayed(_quietly)(judge, *task) for task in tasks)


def _quietly(judge, *task):
    with quiet(ConvergenceWarning):
        return judge(*task)


def _along_path(estimator, data, grid, n_sweeps, train, test, seed):
    (observations, terms), (ranks, alphas), parts = data, grid, []
    for entries in (train, test):
        chosen = np.zeros(observations.n_observed, dtype=bool)
        chosen[entries] = True
        parts.append(observations.only(chosen))
    grid = ranks, [(alpha, alpha) for alpha in alphas]  # of components, and of biases
    return estimator._path_results(parts, terms, grid, n_sweeps, seed)


def _one_by_one(estimator, data, grid, train, test, seed):
    X, table = data
    rows, columns, values = (array[test] for array in observed_entries(X))
    visible = _visible(X, table, train)
    ranks, alphas = grid
    results = np.full((len(alphas), len(ranks), 3), np.nan)
    with quiet(UserWarning):  # the last fit says what there is to say
        for alpha, row in zip(alphas, results, strict=True):
            for number, rank in enumerate(ranks):
                began = perf_counter()
                changes = {"n_components": int(rank), "alpha_W": alpha, "missing_values": np.nan}
                model = clone(estimator).set_params(**changes).fit(visible)
                fitted = perf_counter()
                errors = values.astype(np.float64) - model.predict_entries(visible, rows, columns)
                score = -np.mean(errors**2)
                row[number] = score, fitted - began, perf_counter() - fitted
                if has_risen(-row[: number + 1, 0], len(test)):
                    break
    return results


def _cv_results(candidates, found):
    """What cross-validation found, by the keys of scikit-learn."""
    # Of folds, penalties and ranks; candidates of equal rank are neighbours.
    found = found.swapaxes(1, 2).reshape(len(found), len(candidates), 3)
    scores, fit_times, score_times = np.moveaxis(found, -1, 0)
    results = {}
    for name, times in (("fit", fit_times), ("score", score_times)):
        results[f"mean_{name}_time"] = times.mean(axis=0)
        results[f"std_{name}_time"] = times.std(axis=0)
    for name in candidates[0]:
        values = np.array([candidate[name] for candidate in candidates])
        results[f"param_{name}"] = np.ma.MaskedArray(values, mask=np.zeros(len(values), bool))
    results["params"] = candidates
    results |= {f"split{number}_test_score": row for number, row in enumerate(scores)}
    means = scores.mean(axis=0)
    results |= {"mean_test_score": means, "std_test_score": scores.std(axis=0)}
    results["rank_test_score"] = rankdata(-np.nan_to_num(means, nan=-np.inf), method="min").astype(
        np.int32
    )
    return results


def _check_estimator(estimator):
    """A clone of the estimator, if the rank of its like can be chosen here."""
    needed = {"n_components", "alpha_W", "missing_values", "unstored"}
    if not needed <= set(estimator.get_params(deep=False)):
        raise ValueError(
            f"estimator={estimator!r} must have the parameters n_components, alpha_W, "
            "missing_values and unstored, as MatrixFactorization and NMF of sklearn_mf. In a "
            "pipeline, let RankSearchCV be the step."
        )
    return clone(estimator)


def _check_ranks(ranks, shape):
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or not len(ranks) or not np.issubdtype(ranks.dtype, np.integer):
        raise ValueError(f"ranks must be one or more integers in one dimension, got {ranks!r}.")
    ranks = np.unique(ranks)
    n_samples, n_features = shape
    if ranks[0] < 1 or ranks[-1] > min(shape):
        raise ValueError(
            f"ranks must be from 1 to min(n_samples, n_features)={min(shape)}, got "
            f"{ranks[0]} to {ranks[-1]}: X has n_samples={n_samples} and n_features={n_features}."
        )
    return ranks


def _check_alphas(alphas, estimator):
    if alphas is None and estimator.alpha_W == "auto":
        raise ValueError(
            "alphas=None tries the alpha_W of the estimator, which is 'auto': pass alphas, or give "
            "the estimator a number."
        )
    if alphas is None:
        return np.array([estimator.alpha_W])
    alphas = np.asarray(alphas)
    if alphas.ndim != 1 or not len(alphas) or alphas.dtype.kind not in "iuf":
        raise ValueError(f"alphas must be one or more numbers in one dimension, got {alphas!r}.")
    if not (alphas >= 0).all() or np.isinf(alphas).any():
        raise ValueError(f"alphas must be finite and not negative, got {alphas!r}.")
    return np.unique(alphas)[::-1].astype(np.float64)


def _check_folds(cv, X, rng):
    """Pairs of arrays that number observed entries."""
    n_entries = len(observed_entries(X)[0])
    if isinstance(cv, Integral):
        folds = list(EntryKFold(cv, random_state=rng).split(X))
    else:
        folds = folds_of(cv, X)
    if not folds or not all(len(train) and len(test) for train, test in folds):
        raise ValueError(
            f"cv={cv!r} leaves a fold without an entry to hide or to train on: X has too few "
            f"observed entries ({n_entries}), or too few in each row and column."
        )
    return folds
