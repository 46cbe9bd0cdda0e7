"""Low-rank factorization of data with missing values."""

from collections.abc import Callable
from typing import Literal, Self

import numpy as np

from sklearn_mf.estimators._base_choice import check_n_components, choose
from sklearn_mf.estimators._base_spectrum import (
    ATTRIBUTES,
    deviation_of_codes,
    spectrum_attributes,
)
from sklearn_mf.estimators._base_streams import StreamedFactorization
from sklearn_mf.estimators._base_traps import warn_of_traps
from sklearn_mf.fitting.automatic import typical_strength
from sklearn_mf.fitting.solver import iterative_solver
from sklearn_mf.fitting.stream import seen_rows
from sklearn_mf.losses import LOSSES, BaseLoss
from sklearn_mf.losses.columns import resolve, stated_losses
from sklearn_mf.objective.objective import UNKNOWN, Objective, Strength
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.penalties import BasePenalty, ElasticNet
from sklearn_mf.solvers import SOLVERS, BaseSolver
from sklearn_mf.starts.start import INITS
from sklearn_mf.utils._tables import is_frame, native
from sklearn_mf.utils._typing import ArrayLike, MatrixLike, RandomState
from sklearn_mf.utils._validation import (
    Integral,
    Interval,
    MissingValues,
    Options,
    Real,
    RealNotInt,
    StrOptions,
    check_X,
    fit_context,
)
from sklearn_mf.utils._warnings import warn


class MatrixFactorization(StreamedFactorization):
    r"""Low-rank matrix factorization of data with missing entries.

    Find transformed data W (the codes) and components H so that :math:`X \approx W H`, using only
    the observed entries of X. Missing entries are NaN in a dense or sparse X or, with
    ``unstored="missing"``, the entries that a sparse X does not store. The objective is

    .. math::

        \sum_{(i,j)\ \mathrm{observed}} s_i e_{ij}\,
            \mathrm{loss}(x_{ij},\ b_j + c_i + w_i^\top h_j)
        + \alpha_W \sum_i s_i n_i^g\, \mathrm{pen}(w_i)
        + \alpha_H \sum_j n_j'^{\,g}\, \mathrm{pen}(h_j)

    where :math:`\mathrm{pen}(v) = \rho \|v\|_1 + \frac{1 - \rho}{2} \|v\|_2^2` and
    :math:`\rho` is the parameter ``l1_ratio``. The default loss is
    :math:`\frac{1}{2}(x - \hat{x})^2`. Under the logistic loss and the Poisson loss, :math:`W H`
    models log-odds and logarithms of rates. Sample weights :math:`s_i` and entry weights
    :math:`e_{ij}` are 1 unless given, :math:`n_i = \sum_j e_{ij}` and
    :math:`n'_j = \sum_i s_i e_{ij}` are sums over observed entries, and :math:`g` is the parameter
    ``alpha_scaling``. The parameter `bias` describes how biases are penalized. For complete data
    and ``g = 1`` the penalties are those of :class:`sklearn.decomposition.NMF`.

    Read more in the :ref:`User Guide <user_guide>`.

    Parameters
    ----------
    n_components : int, float, "auto" or None, default=None
        Number of components (the rank), at most ``min(n_samples, n_features)``.

        - None: 10, or ``min(n_samples, n_features)`` if that is smaller. If entries are missing and
          ``alpha_W="auto"``, the rank of at most 50 that predicts hidden entries best.
        - "auto": the smallest rank of at most 50 whose error on hidden entries is within one
          standard error of the smallest error, as in :class:`RankSearchCV`. A fifth of the observed
          entries is hidden, up to five times. For sparse X whose unstored entries are zeros, a
          fifth of the columns is hidden in a fifth of the rows. The rank is 1 if no entry can be
          hidden.
        - A float in (0, 1): the smallest rank that explains at least this share of the variance
          (with ``bias=False``, of the sum of squares), as in :class:`sklearn.decomposition.PCA`.
          X must be dense and complete.

        In `partial_fit`, None and "auto" both mean 10, or ``n_features`` if that is smaller.
    loss : str, loss object, dict or list, default="squared"
        Loss of an entry, see :mod:`sklearn_mf.losses`: "squared", "huber", "absolute",
        "quantile", "logistic" for data of 0 and 1, or "poisson" for counts. To use several losses,
        pass a dict ``{loss: columns}``, a list of pairs ``(loss, columns)``, or a list with one
        loss for each column. Columns are given as in :class:`sklearn.compose.ColumnTransformer`, by
        names, numbers, slices, masks or callables, and each must appear exactly once.
    bias : {False, "features", "samples", "both"}, default=False
        Offsets that are added to the product :math:`W H`.

        - "features": one offset :math:`b_j` for each feature. It is not penalized, so complete data
          are centred as in :class:`sklearn.decomposition.PCA`.
        - "samples": one offset :math:`c_i` for each sample, penalized like W. `transform` returns
          it as an additional last column.
        - "both": both of them, each penalized like its factor.

        With a sample bias, the offsets are deviations from the mean of all observed entries (from
        another constant under losses other than the squared loss), so that penalties shrink
        predictions towards that mean and not towards zero.
    positive : {False, True, "W", "H"}, default=False
        Which factors are constrained to be non-negative: none, both, or one of them. Biases and
        the data may be negative in any case.
    alpha_W : float or "auto", default="auto"
        Strength of the penalty on W.

        - "auto": no penalty if X is complete. If entries are missing, some observed entries are
          hidden, and the strength that predicts them best is used. It is proportional to the
          deviation of the data, so the unit of X does not matter; `alpha_W_` is the result. The
          search needs alternating least squares. With `positive`, ``l1_ratio > 0`` or a loss
          without a quadratic bound, for very small X, and in `partial_fit`, the strength is
          instead 0.1 times (0.4 times, for a loss without a quadratic bound) the deviation of the
          data times the share of missing entries.
        - A float has a unit. If X is multiplied by c, then under the squared loss the model is
          multiplied by c as well if a penalty on squares is multiplied by c, and a penalty
          on absolute values by :math:`c^{3/2}`.
    alpha_H : float or "same", default="same"
        Strength of the penalty on H. "same": the same as `alpha_W`.
    l1_ratio : float, default=0.0
        Share :math:`\rho` of the penalty that applies to absolute values, in [0, 1]. They make
        coefficients exactly zero. For biases the penalty is always on squares.
    penalty : penalty object, dict or None, default=None
        Penalty that replaces the elastic net of the objective above, see
        :mod:`sklearn_mf.penalties`: either the penalty of H, such as ``Smoothness(alpha=0.1)``, or
        a dict with penalties for "W", "H" or both. A penalty object has a strength of its own,
        which replaces `alpha_H` or `alpha_W`. These still apply to the factor that is not named and
        to biases. `alpha_W` must then be a positive number: without any penalty on one
        factor, it could grow without limit while the other shrinks.
    alpha_scaling : float, default=1.0
        Exponent :math:`g` of the number of observed entries that multiplies the penalty of each
        row. With 1 the penalty grows with the number of entries, as in scikit-learn's NMF, and
        the same value suits data of all sizes. With 0 it is a plain ridge penalty.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        Placeholder for missing entries, as in :class:`sklearn.impute.SimpleImputer`. Masked
        entries of a masked array are missing as well.
    unstored : {"zero", "missing"}, default="zero"
        Meaning of the entries that a sparse X does not store. Stored zeros are observations in
        either case.
    whiten : bool, default=False
        Whether `transform` divides each code by its standard deviation in `fit`, as
        :class:`sklearn.decomposition.PCA` does, and `inverse_transform` multiplies it again.
        Sample biases are not changed. This requires ``positive=False``, ``l1_ratio=0`` and `fit`
        instead of `partial_fit`.
    solver : str or solver object, default="auto"
        Algorithm that finds the components: "adam", "als", "gd", "lbfgs", "sgd" or "svd", see
        :mod:`sklearn_mf.solvers`. "auto" uses the exact "svd" if X is complete and it applies,
        otherwise "als", and "lbfgs" for a loss that "als" does not support. The solver affects
        speed, not what `transform` computes for given components.
    init : {"auto", "svd", "random"}, array-like or callable, default="auto"
        Initialization of H.

        - "svd": leading singular vectors of X, with the bias in place of missing entries.
        - "random": normal random numbers of the scale of X.
        - "auto": "svd" for the squared loss unless the solver is "sgd", otherwise "random",
          because an outlier can dominate the singular vectors. If hidden entries have chosen the
          penalty, the components that predicted them are used instead of "svd".
        - An array of shape (n_components, n_features) is H itself.
        - A callable is called with ``(X, n_components, random_state)`` and returns H.
    max_iter : int, default=200
        Maximum number of iterations.
    tol : float, default=1e-4
        The solver stops when an iteration (for "gd", ten iterations together) decreases the
        objective by less than this share of it. With 0, `max_iter` iterations are done. With
        `early_stopping`, the solver stops when the score of hidden entries improves by less than
        `tol`.
    early_stopping : bool, default=False
        Whether to hide some entries from the solver, to stop when their predictions no longer
        improve, and to keep the factors that predicted them best. The hidden entries are drawn
        once, with `random_state`, so a sample of weight two is then not exactly equivalent to
        the same sample twice.
    validation_fraction : float, default=0.1
        With `early_stopping`, the share of the observed entries to hide, in (0, 1). At least one
        entry of each row and column stays visible. For sparse X whose unstored entries are
        zeros, it is the share of the samples to set aside, of which a fifth of the features is
        predicted from the others.
    n_iter_no_change : int, default=5
        With `early_stopping`, the number of iterations within which the best score must improve by
        more than `tol`.
    warm_start : bool, default=False
        Whether `fit` starts from the components of the previous fit. X may then have additional
        features after the previous ones.
    forget_factor : float, default=1.0
        In `partial_fit`, the share of the weight of all earlier rows that is kept after each
        new row, in (0, 1]. With 1, all rows count the same. With 0.999, the weight of a row is
        halved after 693 more rows, for any batch size.
    random_state : int, RandomState instance or None, default=None
        Random numbers for the initialization and for hiding entries. Pass an int for reproducible
        results.
    verbose : int, default=0
        If positive, every ``verbose``-th iteration prints the objective, its change, the score of
        hidden entries if there are any, and the elapsed seconds.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features)
        The components H. They have one standard form, whatever the solver, unless factors are
        constrained to be non-negative, ``l1_ratio > 0``, or `penalty` depends on rotations of the
        components. In this form the codes are uncorrelated and sorted by the variance they
        explain, and the entry of largest absolute value of each component is positive. Without
        a penalty, the components are orthonormal as in PCA, and the codes are centred if there
        is a feature bias. With a penalty, the lengths of components are those of the smallest
        penalty, and components that the data do not need are zero.
    explained_variance_ : ndarray of shape (n_components_,), or None
        Variance of the model values of each component, summed over the features. Without a
        penalty this is the variance of the codes. It is taken about zero if `bias` is False or
        "samples". With sample weights, the number of samples is their sum. None if the components
        do not have the standard form, and after `partial_fit`, which changes components as little
        as possible.
    explained_variance_ratio_ : ndarray of shape (n_components_,), or None
        Share of the variance around the biases that each component explains. Missing entries are
        assumed to be explained as well as the observed ones. Also None if model values are
        not on the scale of the data, as under the logistic loss and the Poisson loss.
    singular_values_ : ndarray of shape (n_components_,), or None
        Square roots of the sums of squares whose mean is `explained_variance_`.
    feature_bias_ : ndarray of shape (n_features,)
        Offset of each feature, zeros if ``bias=False``. For features without any observed
        entry it is the mean of all entries, for any `bias`.
    n_components_ : int
        Number of components.
    alpha_W_ : float or None
        Strength of the penalty on W: `alpha_W`, or the strength that "auto" has chosen. None if
        `penalty` includes "W".
    reconstruction_err_ : float
        Square root of the weighted sum of squared errors of the observed entries, on the scale
        of the data under any loss.
    loss_curve_ : list of float of length n_iter_
        Objective after every iteration, on the entries that the solver saw.
    loss_curve_seconds_ : list of float of length n_iter_
        Seconds from the start of the solver to the end of every iteration.
    validation_scores_ : list of float of length n_iter_, or None
        With `early_stopping`, the score of the hidden entries after every iteration: R^2 relative
        to the means of the features, or D^2 under other losses, as in `score`.
    best_validation_score_ : float or None
        With `early_stopping`, the highest of `validation_scores_`, which is that of `components_`.
    n_iter_ : int
        Number of iterations.
    n_samples_seen_ : int or float
        Number of rows with an observed entry, or the sum of their weights, in `fit` and in all
        calls of `partial_fit` after it.
    loss_ : loss object
        The loss, or the losses of the columns with the columns resolved.
    solver_ : solver object
        The solver that was used.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    sklearn.decomposition.PCA : Complete data only.
    sklearn.decomposition.NMF : Non-negative factors, complete data only.

    Notes
    -----
    The transformed data (codes) of a sample depend only on its own observed entries and on the
    components: `fit_transform` solves for W once more with the final H, exactly as `transform`
    does. After an interruption (Ctrl-C), the estimator keeps the factors of the last complete
    iteration.

    References
    ----------
    Zhou, Y., Wilkinson, D., Schreiber, R. & Pan, R. (2008). Large-scale parallel
    collaborative filtering for the Netflix prize. AAIM 2008.
    :doi:`10.1007/978-3-540-68880-8_32`

    Udell, M., Horn, C., Zadeh, R. & Boyd, S. (2016). Generalized low rank models.
    Foundations and Trends in Machine Learning 9(1). :doi:`10.1561/2200000055`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, 6.0], [3.0, 6.0, np.nan]])
    >>> model = MatrixFactorization(n_components=1, random_state=0)
    >>> W = model.fit_transform(X)
    >>> print(model.inverse_transform(W).round(2))
    [[1. 2. 3.]
     [2. 4. 6.]
     [3. 6. 9.]]
    """

    _takes_blocks = True

    _parameter_constraints: dict = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            StrOptions({"auto"}),
            None,
        ],
        "loss": [StrOptions(set(LOSSES)), BaseLoss, dict, list],
        "bias": [StrOptions({"features", "samples", "both"}), Options(bool, {False})],
        "positive": [StrOptions({"W", "H"}), Options(bool, {False, True})],
        "alpha_W": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "alpha_H": [Interval(Real, 0, None, closed="left"), StrOptions({"same"})],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "penalty": [BasePenalty, dict, None],
        "alpha_scaling": [Interval(Real, 0, None, closed="left")],
        "missing_values": [MissingValues(numeric_only=True)],
        "unstored": [StrOptions({"zero", "missing"})],
        "whiten": ["boolean"],
        "solver": [StrOptions({"auto", *SOLVERS}), BaseSolver],
        "init": [StrOptions({"auto", *INITS}), "array-like", callable],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "forget_factor": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int | float | Literal["auto"] | None = None,
        *,
        loss: str | BaseLoss | dict | list = "squared",
        bias: Literal["features", "samples", "both", False] = False,
        positive: Literal["W", "H", False, True] = False,
        alpha_W: float | Literal["auto"] = "auto",
        alpha_H: float | Literal["same"] = "same",
        l1_ratio: float = 0.0,
        penalty: BasePenalty | dict | None = None,
        alpha_scaling: float = 1.0,
        missing_values: object = np.nan,
        unstored: Literal["zero", "missing"] = "zero",
        whiten: bool = False,
        solver: str | BaseSolver = "auto",
        init: str | ArrayLike | Callable = "auto",
        max_iter: int = 200,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        forget_factor: float = 1.0,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.n_components = n_components
        self.loss = loss
        self.bias = bias
        self.positive = positive
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.penalty = penalty
        self.alpha_scaling = alpha_scaling
        self.missing_values = missing_values
        self.unstored = unstored
        self.whiten = whiten
        self.solver = solver
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.forget_factor = forget_factor
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        entry_weight: MatrixLike | None = None,
    ) -> Self:
        """Find the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values. X is never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        self : MatrixFactorization
            The fitted estimator.
        """
        self._fit(X, y, sample_weight, entry_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(
        self,
        X: MatrixLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        entry_weight: MatrixLike | None = None,
    ) -> np.ndarray:
        """Find the components and return the transformed data; the same as `fit`, then `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with or without missing values. X is never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components) or (n_samples, n_components + 1)
            Transformed data (codes). If there is a sample bias, it is an additional last column.
        """
        return self._codes_after(self._fit(X, y, sample_weight, entry_weight), X, entry_weight)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: MatrixLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        entry_weight: MatrixLike | None = None,
    ) -> Self:
        """Update the components with a batch of rows, without keeping the rows.

        After `fit`, the components count as much as the rows that they were fitted to. Otherwise
        they are initialized from the first batch, according to `init`. Each call solves for the
        codes of the batch, and then for the components by regression on all codes so far. Only
        sums of these are kept: ``n_features * n_components ** 2`` numbers if entries are
        missing. The parameters `solver`, `max_iter`, `tol` and `early_stopping` are not used. Rows
        without an observed entry change nothing.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The next rows, one or more. X is never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        self : MatrixFactorization
            Fitted to all rows so far.
        """
        is_first = not hasattr(self, "components_")
        if self.whiten:
            raise ValueError(
                "whiten=True divides codes by their deviations in fit, which partial_fit does not "
                "know: use fit, or whiten=False."
            )
        table, X = X, check_X(self, X, reset=is_first)
        loss = self._resolve_loss(table, X)
        observations = seen_rows(self._observe(X, loss, entry_weight, sample_weight))
        n_components = self._n_components_of_stream(X, is_first)
        if is_first:
            warn_of_traps(self, X, loss, entry_weight is not None)
        if observations is None:
            warn("X has no observed entry: this batch changes nothing.")
            return self
        objective = self._objective(loss)
        if is_first and self.alpha_W == "auto":
            objective = objective.at(typical_strength(objective, observations))
        posed = objective.problem(observations, n_components)
        if not posed.is_elastic:
            raise ValueError(
                f"partial_fit adds normal equations, which {self.penalty!r} has not: use fit, or "
                "penalties that are Ridge or ElasticNet."
            )
        self._advance((X, iterative_solver(posed)), posed, self.forget_factor)
        vars(self).update(_chosen(posed), **dict.fromkeys(ATTRIBUTES))
        return self

    def _n_components_of_stream(self, X, is_first):
        if is_first:  # a batch may have fewer rows than components
            return check_n_components(self.n_components, X.shape[1:])
        if isinstance(self.n_components, Integral) and self.n_components != self.n_components_:
            raise ValueError(
                f"n_components={self.n_components}, but the components so far are "
                f"{self.n_components_}: partial_fit cannot change their number, fit can."
            )
        return self.n_components_

    def _objective(self, loss):
        objective = Objective.of(self, loss)
        if self.alpha_W == "auto":
            return objective.at(getattr(self, "_auto_strength", UNKNOWN))
        return objective

    def _pose(self, observations: ObservedMatrix, loss, known):
        objective = self._objective(loss)
        first = objective.problem(observations, 1)
        self._solver_of(first)  # before entries are hidden
        if self.whiten and not first.is_turnable:
            raise ValueError(
                "whiten=True needs codes that may be turned until they are uncorrelated: use "
                "positive=False, l1_ratio=0 and no penalty, or whiten=False."
            )
        choice = choose(self, objective, observations, self._is_warm_start)
        return objective.at(choice.strength).problem(observations, choice.n_components), choice.Ht

    def _resolve_loss(self, table, X):
        """The loss or losses, of columns as ``table`` names them."""
        table = native(table)
        return resolve(self.loss, table if is_frame(table) else X, self._feature_names)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if isinstance(self.n_components, RealNotInt):
            tags.input_tags.sparse = False
        tags.input_tags.positive_only = any(
            getattr(loss, "positive_only", False) for loss in stated_losses(self.loss)
        )
        return tags

    @property
    def _takes_holes(self):
        solver = SOLVERS.get(self.solver) if isinstance(self.solver, str) else self.solver
        is_share = isinstance(self.n_components, RealNotInt)
        return getattr(solver, "allows_missing", True) and not is_share

    def _fitted_attributes(self, result):
        return {
            **super()._fitted_attributes(result),
            **_chosen(result.posed),
            **spectrum_attributes(result),
        }

    def _whitened(self, W):
        return self._with_components(W, np.divide) if self.whiten else W

    def _unwhitened(self, W):
        return self._with_components(W, np.multiply) if self.whiten else W

    def _with_components(self, W, change):
        """Codes of components changed by their deviations; those of biases stay as they are."""
        W, deviations = W.copy(), deviation_of_codes(self, W.dtype)
        W[:, : self.n_components_] = change(W[:, : self.n_components_], deviations)
        return W


def _chosen(problem: Problem):
    """What has been chosen of a problem and is kept."""
    penalty, biases = problem.rows.penalty, problem.rows.bias_ridge
    if not isinstance(penalty, ElasticNet):  # an object's own, which says how strong it is
        return {"alpha_W_": None, "_auto_strength": Strength(biases, biases)}
    strength = Strength(float(penalty.alpha), biases, penalty.l1_ratio)
    return {"alpha_W_": strength.components, "_auto_strength": strength}
