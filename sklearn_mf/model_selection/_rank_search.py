"""Selection of the rank by cross-validation over entries, along paths of ranks."""

from time import perf_counter
from typing import Self

import numpy as np
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.fitting.paths import PRECISION
from sklearn_mf.fitting.ranks import simplest_of_the_best
from sklearn_mf.model_selection._blocks import block_folds_of
from sklearn_mf.model_selection._candidates import Candidates, results_of
from sklearn_mf.model_selection._split import EntryKFold, folds_of
from sklearn_mf.utils._callbacks import CallbackSupportMixin, SearchTasks
from sklearn_mf.utils._hiding import hiding_stream
from sklearn_mf.utils._typing import ArrayLike, MatrixLike, RandomState
from sklearn_mf.utils._validation import (
    HasMethods,
    Integral,
    Interval,
    check_parameters,
    check_X,
    fit_context,
)

__all__ = ["RankSearchCV"]


def _has_best(search):
    """Return whether there is, or will be, a fitted estimator to which methods are delegated."""
    if not search.refit:
        chosen = getattr(search, "best_rank_", "best_rank_")
        raise AttributeError(
            "This method needs the estimator of the chosen rank: use refit=True, or fit "
            f"estimator.set_params(n_components={chosen}) yourself."
        )
    return True


class RankSearchCV(
    CallbackSupportMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    BaseEstimator,
    # The estimator itself puts the transformed data into a container.
    auto_wrap_output_keys=None,
):
    r"""Select the number of components by cross-validation over entries.

    The observed entries of X, not its rows, are split into folds. Each fold is hidden in turn and
    predicted by models of every rank that are fitted to the other folds,

    .. math::

        \mathrm{score}_{fk} =
        -\frac{1}{|F_f|} \sum_{(i,j) \in F_f} (x_{ij} - \hat x^{(k)}_{ij})^2,

    so that a component that only fits noise decreases the score. The ranks of a fold form a path:
    each model starts from the factors of the previous rank and the leading directions of its
    residuals. Sweeps of alternating least squares improve it until the error of the hidden entries
    no longer decreases. Often one sweep is enough, where a separate fit would need many. A path
    ends when three consecutive scores are 2 % worse than its best score. If alternating least
    squares does not solve for each factor exactly (other solvers, non-negative factors, L1
    penalties, ``early_stopping=True``, other estimators), a separate model is fitted for every
    rank.

    If the estimator has ``alpha_W="auto"``, several strengths of the penalty are tried with each
    rank, and each rank gets the score of its best strength.

    The selected model is the simplest one whose score is within one standard error of the best
    score: the smallest rank, and among models of this rank the largest penalty. An estimator with
    these parameters is then fitted to all of X.

    Read more in the :ref:`User Guide <choosing_the_rank>`.

    Parameters
    ----------
    estimator : estimator instance
        An estimator with the parameter ``n_components`` and the method `predict_entries`, such as
        :class:`MatrixFactorization`. It is cloned.
    ranks : array-like of int
        Numbers of components to try, each between 1 and ``min(n_samples, n_features)``.
    alphas : array-like of float or None, default=None
        Values of ``alpha_W`` to try with every rank; ``alpha_H`` follows if it is "same". The path
        of a penalty starts from the first rank of the next larger penalty. Smaller penalties are
        skipped after three consecutive penalties without improvement. None uses the value of the
        estimator; if that is "auto", multiples of the standard deviation of X are tried.
    cv : int, splitter or iterable, default=5
        Number of random folds of the observed entries, or a way to split them: a splitter of
        entries, or pairs of arrays ``(train, test)`` with indices of the observed entries of X,
        numbered row by row. An int leaves at least one training entry in every row and column. For
        a sparse X whose unstored entries are zeros, blocks are hidden, as in bi-cross-validation
        (Owen & Perry 2009): a fifth of the columns, in rows that are held out. An int is then the
        number of random blocks, each with the same fraction of the rows, and a splitter of
        scikit-learn, or pairs of arrays, splits the rows. With ``entry_weight``, entries that have
        a weight are observed even if X does not store them, and single entries are hidden.
    one_standard_error : bool, default=True
        Whether to select the smallest rank within one standard error of the best score. Otherwise
        the best rank is selected.
    refit : bool, default=True
        Whether to fit an estimator with the selected rank to all of X. Otherwise `transform` and
        the other methods of the estimator are not available.
    path_max_iter : int, default=100
        Maximum number of sweeps for each rank of a path. The sweeps end when one of them decreases
        the error of the hidden entries by less than 1 %. The first rank is fitted with the
        `max_iter` of the estimator, and a tolerance of at least 1e-3.
    n_jobs : int, default=None
        Number of folds to fit in parallel, as in :class:`joblib.Parallel`. With one job, the paths
        of large data share the threads of the kernels. The results do not depend on it.
    verbose : int, default=0
        Whether to print a line for every fold and one for the selected model.
    random_state : int, RandomState instance or None, default=None
        Controls the folds and the random starts of the search for directions of residuals.

    Attributes
    ----------
    best_rank_ : int
        The selected number of components.
    best_estimator_ : estimator instance
        The estimator with this rank, fitted to all of X, if ``refit=True``.
    best_params_ : dict
        The selected ``n_components``, and ``alpha_W`` if `alphas` is given.
    best_index_ : int
        Index of the selected model in `cv_results_`.
    best_score_ : float
        Mean score of the selected model.
    cv_results_ : dict of ndarrays
        As in :class:`sklearn.model_selection.GridSearchCV`: "param_n_components", "params",
        "split0_test_score" and so on, "mean_test_score", "std_test_score", "rank_test_score",
        "mean_fit_time", "std_fit_time", "mean_score_time" and "std_score_time", in ascending order
        of the number of components. With `alphas` there is also "param_alpha_W", with the largest
        value first among equal ranks. Scores are negative mean squared errors, or NaN after the
        path of a fold has ended. Times are those of one step of the path.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Time of the final fit in seconds, if ``refit=True``.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    select_rank : For complete data, without fitting a model.
    sklearn_mf.plotting.RankSearchDisplay : Plots the scores.

    Notes
    -----
    The standard error is that of the mean difference between the scores of a model and of the best
    one, over the folds, or of the best score itself if that is smaller: all models are scored on
    the same entries, so the scores of a fold are correlated. Differences below a thousandth of the
    best score, or below 1e-10 of the variance of X, are ignored.

    Paths are computed in single precision if the rounding error of X is at most 1e-5 of its
    standard deviation. The final fit uses the precision of X.

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
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        ranks: ArrayLike | None,
        *,
        alphas: ArrayLike | None = None,
        cv: object = 5,
        one_standard_error: bool = True,
        refit: bool = True,
        path_max_iter: int | None = 100,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: RandomState = None,
    ):
        self.estimator = estimator
        self.ranks = ranks
        self.alphas = alphas
        self.cv = cv
        self.one_standard_error = one_standard_error
        self.refit = refit
        self.path_max_iter = path_max_iter
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    # The estimator is validated when its clones are fitted.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: MatrixLike, y: object = None, **params) -> Self:
        """Select the rank and fit an estimator with this rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values, which are never modified.
        y : Ignored
            Not used, present by convention.
        **params : dict
            ``groups`` is passed to `split` of `cv`, the others to `fit` of the estimator. With
            ``sample_weight`` and ``entry_weight``, the scores are weighted, too; an entry with
            weight 0 is missing. With metadata routing, each parameter goes to the object that
            requests it.

        Returns
        -------
        self : RankSearchCV
            The fitted object.

        Raises
        ------
        ValueError
            If the estimator is not supported, if X is too small for the ranks, or if the folds are
            not pairs of arrays of valid indices (of observed entries of X, or of its rows if blocks
            are hidden).
        """
        fit_params, split_params = self._routed_to_fit(params)
        checker = _check_estimator(self.estimator)
        checked = check_X(checker, X, reset=True)
        grid = _check_ranks(self.ranks, checked.shape), _check_alphas(self.alphas, checker)
        candidates = Candidates.of(checker, checked, X, grid, fit_params)
        rng = check_random_state(self.random_state)
        folds = _check_folds(self.cv, candidates, split_params, rng)
        seeds = rng.randint(2**31 - 1, size=len(folds))
        tasks = SearchTasks(self, {"X": X, "y": y}, 1 + self.refit)
        with tasks.task("search"):
            judged = [(*fold, seed) for fold, seed in zip(folds, seeds, strict=True)]
            results = results_of(candidates, judged, self.path_max_iter, self.n_jobs)
        self.n_features_in_ = checker.n_features_in_
        for name in ("feature_names_in_", "best_estimator_", "refit_time_"):
            vars(self).pop(name, None)
        if hasattr(checker, "feature_names_in_"):
            self.feature_names_in_ = checker.feature_names_in_
        self._choose(self._choices(*grid), results, PRECISION**2 * candidates.variance)
        if self.verbose:
            self._print()
        if self.refit:
            began = perf_counter()
            best = clone(self.estimator).set_params(**self.best_params_)
            with tasks.task("refit-with-best-params", best):
                self.best_estimator_ = best.fit(X, **fit_params)
            self.refit_time_ = perf_counter() - began
        tasks.finish()
        return self

    def _choose(self, choices, results, least):
        """Store the results and select a model."""
        self.n_splits_ = len(results)
        self.cv_results_ = _cv_results(choices, results)
        scores = [self.cv_results_[f"split{n}_test_score"] for n in range(self.n_splits_)]
        if self.one_standard_error:
            self.best_index_ = simplest_of_the_best(np.transpose(scores), least)
        else:
            self.best_index_ = int(np.nanargmax(np.mean(scores, axis=0)))
        self.best_params_ = choices[self.best_index_]
        self.best_rank_ = self.best_params_["n_components"]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])

    @available_if(_has_best)
    def transform(self, X: MatrixLike, **params) -> np.ndarray:
        """Transform the data with the estimator of the selected rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values.
        **params : dict
            Parameters for `transform` of the estimator, such as ``entry_weight``.

        Returns
        -------
        W : ndarray of shape (n_samples, n_features_out)
            The transformed data (codes).
        """
        return self._best().transform(X, **self._routed_to("transform", params))

    @available_if(_has_best)
    def inverse_transform(self, X: MatrixLike) -> np.ndarray:
        """Reconstruct data from codes, with the estimator of the selected rank.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Codes, as returned by `transform`.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            The reconstructed data.
        """
        return self._best().inverse_transform(X)

    @available_if(_has_best)
    def predict_entries(
        self, X: MatrixLike, rows: ArrayLike, columns: ArrayLike, return_std: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict single entries with the estimator of the selected rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Observed entries of the samples.
        rows : array-like of int of shape (n_entries,)
            Row index of each entry.
        columns : array-like of int of shape (n_entries,)
            Column index of each entry.
        return_std : bool, default=False
            Whether to return standard deviations as well.

        Returns
        -------
        values : ndarray of shape (n_entries,)
            Expected value of each entry.
        std : ndarray of shape (n_entries,)
            Standard deviation of a new observation of each entry, only if `return_std` is True.
        """
        wanted = {"return_std": True} if return_std else {}
        return self._best().predict_entries(X, rows, columns, **wanted)

    @available_if(_has_best)
    def score(self, X: MatrixLike, y: object = None, **params) -> float:
        """Return the score of the estimator of the selected rank.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values.
        y : Ignored
            Not used, present by convention.
        **params : dict
            Parameters for `score` of the estimator, such as ``entry_weight``.

        Returns
        -------
        score : float
            The result of ``best_estimator_.score``.
        """
        return self._best().score(X, y, **self._routed_to("score", params))

    @available_if(_has_best)
    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Used only to validate feature names against the names seen in `fit`.

        Returns
        -------
        feature_names_out : ndarray of str
            Names of the components, as given by the estimator of the selected rank.
        """
        return self._best().get_feature_names_out(input_features)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the container of the transformed data, as for the estimator.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            Container of the output of `transform`. None leaves the setting unchanged.

        Returns
        -------
        self : RankSearchCV
            This object.
        """
        for estimator in (self.estimator, getattr(self, "best_estimator_", None)):
            if estimator is not None and transform is not None:
                estimator.set_output(transform=transform)
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Get metadata routing of this object.

        Returns
        -------
        routing : MetadataRouter
            The routing of weights and groups.
        """
        methods = MethodMapping()
        for method in ("fit", "transform", "score"):
            methods.add(caller=method, callee=method)
        router = MetadataRouter(owner=self).add(estimator=self.estimator, method_mapping=methods)
        if hasattr(self.cv, "get_metadata_routing"):
            splits = MethodMapping().add(caller="fit", callee="split")
            router.add(splitter=self.cv, method_mapping=splits)
        return router

    def _routed_to_fit(self, params):
        """Divide metadata into parameters of the estimator and of the splitter."""
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **params)
            return dict(routed.estimator.fit), dict(routed.get("splitter", {}).get("split", {}))
        to_fit = {name: value for name, value in params.items() if name != "groups"}
        return to_fit, {"groups": params.get("groups")}

    def _routed_to(self, method, params):
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, method, **params).estimator[method]
        return params

    def _best(self):
        check_is_fitted(self)
        return self.best_estimator_

    def _print(self):
        """Print a line for every fold, with the rank that predicts its hidden entries best."""
        ranks = self.cv_results_["param_n_components"]
        for number in range(self.n_splits_):
            scores = self.cv_results_[f"split{number}_test_score"]
            best = int(np.nanargmax(scores))
            print(
                f"[RankSearchCV] fold {number + 1}/{self.n_splits_}  best rank {ranks[best]}  "
                f"error {-scores[best]:.6e}"
            )
        print(f"[RankSearchCV] selected: {self.best_params_}  error {-self.best_score_:.6e}")

    def _choices(self, ranks, alphas):
        """Return the parameters of all models in order: ascending rank, descending penalty."""
        if self.alphas is None:
            return [{"n_components": int(rank)} for rank in ranks]
        return [
            {"n_components": int(rank), "alpha_W": float(alpha)}
            for rank in ranks
            for alpha in alphas
        ]

    def _validate_params(self):
        check_parameters(self)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "cv_results_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        if inner.transformer_tags is not None:
            tags.transformer_tags = inner.transformer_tags
        return tags


def _cv_results(candidates, found):
    """Return the results of cross-validation in the format of scikit-learn."""
    # The axes are folds, penalties and ranks; candidates of equal rank become adjacent.
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
    """Return a clone of the estimator if it has the parameters that the search needs."""
    needed = {"n_components", "alpha_W", "missing_values", "unstored"}
    if not needed <= set(estimator.get_params(deep=False)):
        raise ValueError(
            f"estimator={estimator!r} must have the parameters n_components, alpha_W, "
            "missing_values and unstored, like MatrixFactorization and NMF of sklearn_mf. For a "
            "pipeline, use RankSearchCV as one of its steps."
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
    if alphas is None:
        return [estimator.alpha_W]
    alphas = np.asarray(alphas)
    if alphas.ndim != 1 or not len(alphas) or alphas.dtype.kind not in "iuf":
        raise ValueError(f"alphas must be one or more numbers in one dimension, got {alphas!r}.")
    if not (alphas >= 0).all() or np.isinf(alphas).any():
        raise ValueError(f"alphas must be finite and non-negative, got {alphas!r}.")
    return np.unique(alphas)[::-1].astype(np.float64).tolist()


def _check_folds(cv, candidates, params, rng):
    """Return pairs of arrays of observed entries, or masks of blocks of rows and columns."""
    X = candidates.X
    if candidates.counts_zeros:
        return block_folds_of(cv, candidates, params.get("groups"), hiding_stream(rng))
    weights = candidates.weights()
    n_entries = len(weights)
    if isinstance(cv, Integral):
        folds = list(EntryKFold(cv, random_state=rng).split(X))
    else:
        folds = folds_of(cv, X, **params)
    if not folds or not all(len(part) and weights[part].any() for fold in folds for part in fold):
        raise ValueError(
            f"cv={cv!r} gives a fold without hidden or training entries: X has too few "
            f"observed entries ({n_entries}), or too few in each row and column. Use fewer folds."
        )
    return folds
