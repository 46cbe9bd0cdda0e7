"""The workhorse: low-rank factorization of data with holes."""

import warnings
from dataclasses import replace

import numpy as np
from sklearn.utils import check_array, check_random_state

from sklearn_mf.estimators._base import (
    BaseFactorization,
    SquaredErrorOfMean,
    threads_for,
    warn_of_empty_rows,
)
from sklearn_mf.initialization import INITS, overall_constant, start, zeros
from sklearn_mf.losses import LOSSES, BaseLoss
from sklearn_mf.losses.columns import resolve, stated_losses
from sklearn_mf.penalties import Ridge
from sklearn_mf.problem import Problem, Side
from sklearn_mf.solvers import SOLVERS, BaseSolver, Spectral
from sklearn_mf.utils._validation import (
    Integral,
    Interval,
    MissingValues,
    Options,
    Real,
    StrOptions,
    check_parameters,
    check_X,
    fit_context,
)


class MatrixFactorization(BaseFactorization):
    r"""Low-rank matrix factorization of data with missing entries.

    Finds codes W and components H so that :math:`X \approx W H`, from the observed
    entries of X alone. Missing entries are NaN in a dense or sparse X, or, with
    ``unstored="missing"``, what a sparse X does not store. The objective is

    .. math::

        \sum_{(i,j)\ \mathrm{observed}} s_i e_{ij}\,
            \mathrm{loss}(x_{ij},\ b_j + c_i + w_i^\top h_j)
        + \frac{\alpha_W}{2} \sum_i s_i n_i^g \|w_i\|_2^2
        + \frac{\alpha_H}{2} \sum_j m_j^g \|h_j\|_2^2

    with the loss :math:`\frac{1}{2}(x - \hat{x})^2` unless said otherwise (under the
    logistic loss and that of Poisson, :math:`W H` stands for log-odds and logarithms of
    rates), sample weights
    :math:`s_i` and entry weights :math:`e_{ij}` (both 1 unless given),
    :math:`n_i = \sum_j e_{ij}` and :math:`m_j = \sum_i s_i e_{ij}` over observed entries,
    and :math:`g` the parameter ``alpha_scaling``. Biases are penalized as `bias` says.
    With nothing missing and ``g = 1`` the
    penalties are those of :class:`sklearn.decomposition.NMF`.

    Read more in the :ref:`User Guide <user_guide>`.

    Parameters
    ----------
    n_components : int, default=None
        Rank, at most ``min(n_samples, n_features)``. None: 10, or that minimum where it
        is smaller.
    loss : str or loss object, default="squared"
        Cost of an entry, see :mod:`sklearn_mf.losses`: "squared", "huber", "absolute",
        "quantile", "logistic" for data of 0 and 1, "poisson" for counts.
    bias : {False, "features", "samples", "both"}, default=False
        Offsets beside the product. "features": :math:`b_j`, not penalized, so that
        complete data are centred as in :class:`sklearn.decomposition.PCA`. "samples":
        :math:`c_i`, penalized like W; `transform` returns it as one more, last column.
        "both": both, penalized like their factors. Where there is a sample bias, biases
        are deviations from the mean of all observed entries (under losses that are not
        squared, from a constant that suits the loss), so that penalties pull towards that
        mean and not towards zero.
    alpha_W : float, default=0.0
        Penalty of W.
    alpha_H : float or "same", default="same"
        Penalty of H. "same": as `alpha_W`.
    alpha_scaling : float, default=1.0
        Power :math:`g` of the number of observed entries that multiplies each row's
        penalty. 1: entry by entry, as in scikit-learn's NMF, and one good value serves
        data of all sizes. 0: plain ridge.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        What stands for a missing entry, as in :class:`sklearn.impute.SimpleImputer`.
    unstored : {"zero", "missing"}, default="zero"
        What the entries are that a sparse X does not store. Stored zeros are
        observations in either case.
    solver : {"auto", "als", "gd", "svd"} or solver object, default="auto"
        How the components are found, see :mod:`sklearn_mf.solvers`. "auto": the exact
        "svd" where it serves (complete data), else "als", or "gd" for a loss that
        "als" cannot serve. The solver never changes what a code means.
    init : {"auto", "svd", "random"}, array-like or callable, default="auto"
        Where H, of shape (n_components, n_features), starts. "svd": leading singular
        vectors, missing entries at their bias. "random": normal numbers of the scale of
        X. "auto": "svd" for the squared loss, "random" for others, which an outlier's
        singular vector could lead astray. An array is H itself; a callable gets
        ``(X, n_components, random_state)`` and returns it.
    max_iter : int, default=200
        Iterations at most.
    tol : float, default=1e-4
        Stop when an iteration lowers the objective by less than this share of it (for
        "gd": ten iterations together). 0: never stop before `max_iter`.
    warm_start : bool, default=False
        Whether `fit` starts from the components of the fit before.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers for the start; an int gives the same result every time.
    verbose : int, default=0
        Print the objective of every ``verbose``-th iteration; 0 for silence.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features)
        H. Without penalty, on complete data: right singular vectors, as in PCA.
    feature_bias_ : ndarray of shape (n_features,)
        What is added to every sample's model values; zeros where ``bias=False``.
    n_components_ : int
        Rank.
    reconstruction_err_ : float
        Root of the weighted sum of squared errors over the observed entries, on the scale
        of the data whatever the loss.
    loss_curve_ : list of float of length n_iter_
        Objective after every iteration.
    n_iter_ : int
        Iterations done.
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
    >>> model = MatrixFactorization(n_components=1)
    >>> W = model.fit_transform(X)
    >>> print(model.inverse_transform(W).round(2))
    [[1. 2. 3.]
     [2. 4. 6.]
     [3. 6. 9.]]
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "loss": [StrOptions(set(LOSSES)), BaseLoss, dict, list],
        "bias": [StrOptions({"features", "samples", "both"}), Options(bool, {False})],
        "alpha_W": [Interval(Real, 0, None, closed="left")],
        "alpha_H": [Interval(Real, 0, None, closed="left"), StrOptions({"same"})],
        "alpha_scaling": [Interval(Real, 0, None, closed="left")],
        "missing_values": [MissingValues(numeric_only=True)],
        "unstored": [StrOptions({"zero", "missing"})],
        "solver": [StrOptions({"auto", *SOLVERS}), BaseSolver],
        "init": [StrOptions({"auto", *INITS}), "array-like", callable],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=None,
        *,
        loss="squared",
        bias=False,
        alpha_W=0.0,
        alpha_H="same",
        alpha_scaling=1.0,
        missing_values=np.nan,
        unstored="zero",
        solver="auto",
        init="auto",
        max_iter=200,
        tol=1e-4,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.loss = loss
        self.bias = bias
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.alpha_scaling = alpha_scaling
        self.missing_values = missing_values
        self.unstored = unstored
        self.solver = solver
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
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
            Not used, present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, or not stored, is missing.

        Returns
        -------
        self : MatrixFactorization
            The fitted estimator.
        """
        self._fit(X, sample_weight, entry_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, sample_weight=None, entry_weight=None):
        """Find the components and return the codes; the same as `fit`, then `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Data, with holes or without; never changed.
        y : Ignored
            Not used, present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, or not stored, is missing.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components) or (n_samples, n_components + 1)
            Codes. The bias of the sample is one more, last column where there is one.
        """
        problem, state, W = self._fit(X, sample_weight, entry_weight)
        return self._fitted_codes(problem, state) if W is None else W

    def _fit(self, X, sample_weight, entry_weight):
        """Fit; what was solved, how, and the codes if they were needed."""
        table = X
        X = check_X(self, X, reset=True)
        n_components = self._check_n_components(X.shape)
        loss = self._resolve_loss(table, X)
        observations = self._observe(X, loss, entry_weight, sample_weight)
        _check_observed(observations)
        problem = self._problem(observations, loss, n_components)
        solver = self._check_solver(problem)
        with threads_for(observations):
            if self._has_sample_bias:
                problem = replace(problem, offset=overall_constant(problem))
            W, Ht = zeros(problem)
            if solver.needs_start:
                random_state = check_random_state(self.random_state)
                init = self._check_init(X, problem, random_state)
                W, Ht = start(problem, init, random_state)
            state = solver.solve(
                problem, W, Ht, max_iter=self.max_iter, tol=self.tol, verbose=self.verbose
            )
            if state.interrupted and not state.history:
                raise KeyboardInterrupt  # before there was anything to keep
            self._set_fitted(problem, solver, state)
            W, half_squares = None, state.loss
            if half_squares is None:
                W = self._fitted_codes(problem, state)
                error = loss if loss.is_squared else SquaredErrorOfMean(loss)
                half_squares = observations.total_loss(*self._model_factors(W), error)
        self.reconstruction_err_ = float(np.sqrt(2 * half_squares))
        if state.interrupted:
            raise KeyboardInterrupt
        warn_of_empty_rows(observations)
        return problem, state, W

    def _fitted_codes(self, problem, state):
        """What `transform` would say, whatever W the solver had."""
        with threads_for(problem.observations), np.errstate(over="ignore", invalid="ignore"):
            return problem.fold_in(state.Ht)

    @property
    def _has_sample_bias(self):
        return self.bias in ("samples", "both")

    def _problem(self, observations, loss, n_components):
        alpha_H = self.alpha_W if self.alpha_H == "same" else self.alpha_H
        has_feature_bias = self.bias in ("features", "both")
        return Problem(
            observations,
            loss,
            rows=Side(Ridge(self.alpha_W), has_bias=self._has_sample_bias),
            # Alone, the feature bias is free; beside a sample bias it must share.
            columns=Side(
                Ridge(alpha_H), has_bias=has_feature_bias, bias_share=float(self.bias == "both")
            ),
            n_components=n_components,
            alpha_scaling=self.alpha_scaling,
        )

    def _resolve_loss(self, table, X):
        """The loss or losses, of columns as ``table`` names them."""
        named = hasattr(table, "columns")
        return resolve(self.loss, table if named else X, getattr(self, "feature_names_in_", None))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        solver = SOLVERS.get(self.solver) if isinstance(self.solver, str) else self.solver
        tags.input_tags.allow_nan &= getattr(solver, "allows_missing", True)
        tags.input_tags.positive_only = any(
            getattr(loss, "positive_only", False) for loss in stated_losses(self.loss)
        )
        return tags

    def _check_n_components(self, shape):
        most = min(shape)
        if self.n_components is None:
            return min(10, most)
        if self.n_components > most:
            raise ValueError(
                f"n_components={self.n_components} is too large: it must be at most "
                f"min(n_samples, n_features)={most}."
            )
        return self.n_components

    def _check_solver(self, problem):
        if self.solver != "auto":
            solver = SOLVERS.resolve(self.solver)
        elif Spectral.obstacle(problem) is None:
            solver = Spectral()
        else:
            solver = SOLVERS["als" if hasattr(problem.loss, "quadratic") else "gd"]()
        check_parameters(solver)
        solver.check(problem)
        return solver

    def _check_init(self, X, problem, random_state):
        """The name of a start, or the features' factor to start from, transposed."""
        if self.warm_start and hasattr(self, "components_"):
            H, name = self.components_, "warm_start=True: components_ of the last fit"
        elif isinstance(self.init, str):
            if self.init == "auto":
                return "svd" if problem.loss.is_squared else "random"
            return self.init
        elif callable(self.init):
            H = self.init(X, problem.n_components, random_state)
            name = "what the callable init returned"
        else:
            H, name = self.init, "init"
        H = check_array(H, dtype=X.dtype, input_name=name)
        expected = (problem.n_components, X.shape[1])
        if H.shape != expected:
            raise ValueError(f"{name} has the shape {H.shape}, it must be {expected}.")
        if self.warm_start and problem.columns.has_bias and hasattr(self, "feature_bias_"):
            H = np.vstack([H, self.feature_bias_ - problem.offset])
        return H.T

    def _set_fitted(self, problem, solver, state):
        k = problem.n_components
        bias = state.Ht[:, k] if problem.columns.has_bias else np.zeros_like(state.Ht[:, 0])
        self.components_ = np.ascontiguousarray(state.Ht[:, :k].T)
        self.feature_bias_ = bias + bias.dtype.type(problem.offset)
        self.loss_ = problem.loss
        self.n_components_ = k
        self.n_iter_ = max(1, state.n_iter)
        self.loss_curve_ = state.history
        self.solver_ = solver


def _check_observed(observations):
    """Refuse data without any entry; say which features have none."""
    empty = np.flatnonzero(observations.T.row_totals() == 0)
    if len(empty) == observations.shape[1]:
        raise ValueError("X has no observed entry: everything is missing, or has weight 0.")
    if len(empty):
        warnings.warn(
            f"{len(empty)} of {observations.shape[1]} features have no observed entry, the "
            f"first is column {empty[0]}: their components are zero.",
            UserWarning,
            stacklevel=3,
        )
