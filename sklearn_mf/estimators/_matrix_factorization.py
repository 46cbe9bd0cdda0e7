"""The workhorse: low-rank factorization of data with holes."""

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

    Finds codes W and components H so that :math:`X \approx W H`, from the observed
    entries of X alone. Missing entries are NaN in a dense or sparse X, or, with
    ``unstored="missing"``, what a sparse X does not store. The objective is

    .. math::

        \sum_{(i,j)\ \mathrm{observed}} s_i e_{ij}\,
            \mathrm{loss}(x_{ij},\ b_j + c_i + w_i^\top h_j)
        + \alpha_W \sum_i s_i n_i^g\, \mathrm{pen}(w_i)
        + \alpha_H \sum_j m_j^g\, \mathrm{pen}(h_j)

    with :math:`\mathrm{pen}(v) = \rho \|v\|_1 + \frac{1 - \rho}{2} \|v\|_2^2`, where
    :math:`\rho` is the parameter ``l1_ratio``, with the loss
    :math:`\frac{1}{2}(x - \hat{x})^2` unless said otherwise (under the logistic loss and that
    of Poisson, :math:`W H` stands for log-odds and logarithms of rates), sample weights
    :math:`s_i` and entry weights :math:`e_{ij}` (both 1 unless given),
    :math:`n_i = \sum_j e_{ij}` and :math:`m_j = \sum_i s_i e_{ij}` over observed entries,
    and :math:`g` the parameter ``alpha_scaling``. Biases are penalized as `bias` says.
    With nothing missing and ``g = 1`` the
    penalties are those of :class:`sklearn.decomposition.NMF`.

    Read more in the :ref:`User Guide <user_guide>`.

    Parameters
    ----------
    n_components : int, float, "auto" or None, default=None
        Rank, at most ``min(n_samples, n_features)``. None: 10, or that minimum where it
        is smaller; where entries are missing and ``alpha_W="auto"``, at most 50, the one with
        which hidden entries are predicted best. "auto": a fifth of the entries is hidden, up to
        five times, and the smallest rank is taken, of at most 50, whose error there is within one
        standard error of the least, as in :class:`RankSearchCV`; 1 where no entry can be spared. Of
        a sparse X whose zeros count a fifth of the columns is hidden, in a fifth of the rows. A
        float in (0, 1): the smallest rank that has at least this share of the variance, or with
        ``bias=False`` of the squares, of dense, complete X, as in
        :class:`sklearn.decomposition.PCA`.
        For `partial_fit` both are as None.
    loss : str, loss object, dict or list, default="squared"
        Cost of an entry, see :mod:`sklearn_mf.losses`: "squared", "huber", "absolute",
        "quantile", "logistic" for data of 0 and 1, "poisson" for counts. For a loss of each
        column a dict ``{loss: columns}``, a list of pairs ``(loss, columns)``, or a list
        with one loss for each column. Columns as in
        :class:`sklearn.compose.ColumnTransformer`: names, numbers, slices, masks or
        callables; each must be named exactly once.
    bias : {False, "features", "samples", "both"}, default=False
        Offsets beside the product. "features": :math:`b_j`, not penalized, so that
        complete data are centred as in :class:`sklearn.decomposition.PCA`. "samples":
        :math:`c_i`, penalized like W; `transform` returns it as one more, last column.
        "both": both, penalized like their factors. Where there is a sample bias, biases
        are deviations from the mean of all observed entries (under losses that are not
        squared, from a constant that suits the loss), so that penalties pull towards that
        mean and not towards zero.
    positive : {False, True, "W", "H"}, default=False
        Which factors may not be negative: none, both, or one of them. Biases are free, and so
        are the data.
    alpha_W : float or "auto", default="auto"
        Penalty of W. "auto": none where X is complete; where entries are missing, the one with
        which hidden entries are predicted best, a share of the deviation of the data, so that
        their unit does not matter (see `alpha_W_`). Where no alternation tells which that is (with
        `positive`, `l1_ratio`, or a loss without a quadratic bound), where there is too little to
        hide, and for `partial_fit`, it is a tenth of the deviation, or 0.4 for a loss without a
        quadratic bound, times the share of the entries that are missing. A number has a
        unit: under the squared loss data c times as large need c times as large a penalty of
        squares, and :math:`c^{3/2}` times as large a one of absolute values, for a model c times
        as large.
    alpha_H : float or "same", default="same"
        Penalty of H. "same": as `alpha_W`.
    l1_ratio : float, default=0.0
        Share :math:`\rho` of the penalties that falls on absolute values, in [0, 1]: they make
        coefficients exactly zero. Biases are always penalized by their squares.
    penalty : penalty object, dict or None, default=None
        What takes the place of the elastic net above, see :mod:`sklearn_mf.penalties`: the penalty
        of H, such as ``Smoothness(alpha=0.1)``, or a dict with penalties of "W", "H" or both. A
        penalty has a strength of its own, in place of `alpha_H` or `alpha_W`, which remain
        those of the factor that is not named, and of biases. `alpha_W` must then be a
        number, and not be zero: factors share their size, and one that costs nothing would grow
        for ever.
    alpha_scaling : float, default=1.0
        Power :math:`g` of the number of observed entries that multiplies each row's
        penalty. 1: entry by entry, as in scikit-learn's NMF, and one good value serves
        data of all sizes. 0: plain ridge.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        What stands for a missing entry, as in :class:`sklearn.impute.SimpleImputer`. What is
        masked is missing as well.
    unstored : {"zero", "missing"}, default="zero"
        What the entries are that a sparse X does not store. Stored zeros are
        observations in either case.
    whiten : bool, default=False
        Whether `transform` divides codes by their standard deviations in `fit`, as
        :class:`sklearn.decomposition.PCA` does; `inverse_transform` multiplies them again. Sample
        biases stay as they are. It needs ``positive=False`` and ``l1_ratio=0``, and `fit`.
    solver : str or solver object, default="auto"
        How the components are found: "adam", "als", "gd", "lbfgs", "sgd" or "svd", see
        :mod:`sklearn_mf.solvers`. "auto": the exact "svd" where it serves (complete data),
        else "als", or "lbfgs" for a loss that "als" cannot serve. The solver never changes
        what a code means.
    init : {"auto", "svd", "random"}, array-like or callable, default="auto"
        Where H, of shape (n_components, n_features), starts. "svd": leading singular
        vectors, missing entries at their bias. "random": normal numbers of the scale of
        X. "auto": "svd" for the squared loss unless the solver is "sgd", else "random", as
        an outlier's singular vector could lead other losses astray; where hidden entries have
        chosen the penalty, the components that predicted them instead of "svd". An array is H
        itself; a callable gets ``(X, n_components, random_state)`` and returns it.
    max_iter : int, default=200
        Iterations at most.
    tol : float, default=1e-4
        Stop when an iteration lowers the objective by less than this share of it (for
        "gd": ten iterations together). 0: never stop before `max_iter`. With
        `early_stopping`: stop when the score of hidden entries gains less than this.
    early_stopping : bool, default=False
        Whether to hide some entries from the solver, stop when it predicts them no better,
        and keep the factors that predicted them best. Drawn once, by `random_state`: a
        weight of two is then not quite the same as the sample twice.
    validation_fraction : float, default=0.1
        Share of the observed entries to hide, in (0, 1); every row and column keeps one.
        Of a sparse X whose unstored entries are zeros, the share of the samples to set
        aside, and to predict a fifth of the features of from the others.
    n_iter_no_change : int, default=5
        With `early_stopping`, iterations in which the best score must gain more than `tol`.
    warm_start : bool, default=False
        Whether `fit` starts from the components of the fit before. X may have new features,
        after the old ones.
    forget_factor : float, default=1.0
        What each row of `partial_fit` leaves of the weight of those before it, in (0, 1]. 1:
        nothing is forgotten. With 0.999 a row counts half after 693 more, whatever the size
        of the batches.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers for the start; an int gives the same result every time.
    verbose : int, default=0
        Print a line every ``verbose``-th iteration: the objective, how it changed, the score
        of hidden entries where there are some, and the seconds so far. 0 for silence.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features)
        H, in one form whatever the solver, unless factors are positive, ``l1_ratio > 0`` or
        rotations change what a `penalty` is: codes are uncorrelated and ordered by the variance
        that they explain, and the entry of largest size in each component is positive. Without
        penalty components are orthonormal, as in PCA, and codes centred where there is a feature
        bias; with one they are of the lengths that are penalized least. A component of zeros is
        one that the data do not need.
    explained_variance_ : ndarray of shape (n_components_,), or None
        Variance of the model values of each component, summed over the features: without penalty
        that of the codes. About zero with ``bias=False`` or "samples". With sample weights the
        number of samples is their sum. None where components have no such form, and after
        `partial_fit`, which moves components as little as it can.
    explained_variance_ratio_ : ndarray of shape (n_components_,), or None
        Its share of the variance that biases leave of the data; what is missing is taken to be
        explained as well as what is observed. None too where model values have another scale
        than the data, as under the logistic loss and that of Poisson.
    singular_values_ : ndarray of shape (n_components_,), or None
        Roots of the sums of squares of which `explained_variance_` is the mean.
    feature_bias_ : ndarray of shape (n_features,)
        What is added to every sample's model values; with ``bias=False`` zeros. For features
        without an observed entry a mean of all entries, whatever `bias` is.
    n_components_ : int
        Rank.
    alpha_W_ : float or None
        The penalty of W: `alpha_W`, or what "auto" has chosen. Biases then carry the chosen share
        itself, since their penalty has no unit. None where `penalty` names W.
    reconstruction_err_ : float
        Root of the weighted sum of squared errors over the observed entries, on the scale
        of the data whatever the loss.
    loss_curve_ : list of float of length n_iter_
        Objective after every iteration; that of the entries which the solver saw.
    loss_curve_seconds_ : list of float of length n_iter_
        Seconds from the start of the solver to the end of every iteration.
    validation_scores_ : list of float of length n_iter_, or None
        With `early_stopping`, the score of the hidden entries after every iteration: R^2
        against the means of the features, D^2 under other losses, as in `score`.
    best_validation_score_ : float or None
        With `early_stopping`, the highest of them, which the components have.
    n_iter_ : int
        Iterations done.
    n_samples_seen_ : int or float
        Number of rows with an observed entry, or their weight, that `fit` and the calls of
        `partial_fit` after it have seen.
    loss_ : loss object
        The loss, or the losses of the columns, with columns resolved.
    solver_ : solver object
        The solver that ran.
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
    The codes of a sample depend on its own observed entries and on the components, on
    nothing else: `fit_transform` solves W once more at the final H, by the same routine
    as `transform`. On interruption (Ctrl-C) the factors of the last full iteration stay
    fitted.

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
        n_components=None,
        *,
        loss="squared",
        bias=False,
        positive=False,
        alpha_W="auto",
        alpha_H="same",
        l1_ratio=0.0,
        penalty=None,
        alpha_scaling=1.0,
        missing_values=np.nan,
        unstored="zero",
        whiten=False,
        solver="auto",
        init="auto",
        max_iter=200,
        tol=1e-4,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        forget_factor=1.0,
        random_state=None,
        verbose=0,
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
    def fit(self, X, y=None, sample_weight=None, entry_weight=None):
        """Find the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without; never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, masked or not stored is missing. NaN may
            stand where X has no entry.

        Returns
        -------
        self : MatrixFactorization
            The fitted estimator.
        """
        self._fit(X, y, sample_weight, entry_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, sample_weight=None, entry_weight=None):
        """Find the components and return the codes; the same as `fit`, then `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without; never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, masked or not stored is missing. NaN may
            stand where X has no entry.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components) or (n_samples, n_components + 1)
            Codes. The bias of the sample is one more, last column where there is one.
        """
        return self._codes_of(self._fit(X, y, sample_weight, entry_weight))

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None, entry_weight=None):
        """Update the components with a batch of rows, none of which is kept.

        After `fit` the components count as the rows they came from. Otherwise the first batch
        starts them, as `init` says. Then a batch takes one solution of its codes, and one of
        the components by regression on all codes so far, of which sums are kept:
        ``n_features * n_components ** 2`` numbers where entries are missing. `solver` plays
        no role, nor do `max_iter`, `tol` and `early_stopping`. Rows without an observed
        entry change nothing.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The next rows, one or more; never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, masked or not stored is missing. NaN may
            stand where X has no entry.

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
        choice = choose(self, objective, observations, self._goes_on)
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
