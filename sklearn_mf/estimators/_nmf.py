"""Non-negative matrix factorization, as scikit-learn's, with holes."""

import warnings

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_non_negative

from sklearn_mf.estimators._base_fits import SolvedFactorization
from sklearn_mf.losses import BetaDivergence, Squared
from sklearn_mf.nonnegative import NONNEGATIVE_INITS, nonnegative_start
from sklearn_mf.penalties import ElasticNet
from sklearn_mf.problem import Problem, Side
from sklearn_mf.solvers import BaseSolver, CoordinateDescent, MultiplicativeUpdate
from sklearn_mf.utils._validation import (
    Integral,
    Interval,
    MissingValues,
    Real,
    StrOptions,
    check_parameters,
    fit_context,
)

BETAS = {"frobenius": 2, "kullback-leibler": 1, "itakura-saito": 0}


class NMF(SolvedFactorization):
    r"""Non-negative matrix factorization of data with missing entries.

    Finds non-negative codes W and components H so that :math:`X \approx W H`, from the observed
    entries of X alone. Parameters, objective and attributes are those of
    :class:`sklearn.decomposition.NMF`, which it replaces; missing entries are NaN, or, with
    ``unstored="missing"``, what a sparse X does not store. The objective is

    .. math::

        \sum_{(i,j)\ \mathrm{observed}} s_i e_{ij}\, d_\beta(x_{ij},\ w_i^\top h_j)
        + \alpha_W \sum_i s_i n_i\, \mathrm{pen}(w_i)
        + \alpha_H \sum_j m_j\, \mathrm{pen}(h_j)

    with :math:`\mathrm{pen}(v) = \rho \|v\|_1 + \frac{1 - \rho}{2} \|v\|_2^2`, where
    :math:`\rho` is the parameter ``l1_ratio``, the beta divergence :math:`d_\beta`, half the
    squared error unless said otherwise, sample weights :math:`s_i` and entry weights
    :math:`e_{ij}` (both 1 unless given), :math:`n_i = \sum_j e_{ij}` and
    :math:`m_j = \sum_i s_i e_{ij}` over observed entries: in complete data without weights
    ``n_features`` and ``n_samples``.

    Parameters
    ----------
    n_components : int, {"auto"} or None, default="auto"
        Number of components. None: that of the features. "auto": as many as a custom W or H
        has, else as None.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default=None
        How to start. "random": normal random numbers without their signs, scaled with
        ``sqrt(X.mean() / n_components)``. "nndsvd": the non-negative halves of singular vectors;
        with "nndsvda" their zeros are filled with the mean of X, with "nndsvdar" by small random
        numbers. "custom": W and H as `fit_transform` gets them. None: "nndsvda" if
        ``n_components <= min(n_samples, n_features)``, else "random".
    solver : {"cd", "mu"} or solver object, default="cd"
        "cd": coordinate descent, for half the squared error. "mu": multiplicative updates, for
        every beta divergence. Objects, such as
        ``CoordinateDescent(extrapolated=False, rounds=1)``, tune them.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        Beta of the divergence: 2, 1 and 0 for the names. Other than "frobenius" it needs
        ``solver="mu"``; at 0 and below, X may not contain zeros.
    tol : float, default=1e-4
        When to stop, as in scikit-learn: "cd" when the absolute projected gradients have this
        share of their first sum, "mu" when ten iterations lower the root of twice the objective
        by less than this share of its start.
    max_iter : int, default=200
        Iterations at most.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers for the start, and for `shuffle`.
    alpha_W : float, default=0.0
        Strength of the penalty of W, times the number of observed entries of its row.
    alpha_H : float or "same", default="same"
        Strength of the penalty of H, times the number of observed entries of its column. "same":
        as `alpha_W`.
    l1_ratio : float, default=0.0
        Share of absolute values in the penalties, from 0 to 1; the rest are squares.
    verbose : int, default=0
        Whether to print a line every so often.
    shuffle : bool, default=False
        Whether "cd" visits the components in random order.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        What stands for a missing entry in X.
    unstored : {"zero", "missing"}, default="zero"
        What the entries are that a sparse X does not store.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        H.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        Root of twice the beta divergence of the observed entries from ``W H``, where W are the
        codes of the data.
    n_iter_ : int
        Iterations done.
    loss_curve_ : list of float
        The objective after every iteration.
    loss_curve_seconds_ : list of float
        Seconds from the start of the solver to the end of every iteration.
    solver_ : BaseSolver
        The solver that was used.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X had some.

    See Also
    --------
    MatrixFactorization : Factors of any sign, biases, other losses and solvers.
    sklearn.decomposition.NMF : Complete data only.

    Notes
    -----
    The codes of a sample depend on its own observed entries and on the components, on nothing
    else: `fit_transform` solves W once more at the final H, by the same routine as `transform`.

    References
    ----------
    Cichocki, A. & Phan, A.-H. (2009). Fast local algorithms for large scale nonnegative matrix
    and tensor factorizations. IEICE Transactions E92-A(3). :doi:`10.1587/transfun.E92.A.708`

    Févotte, C. & Idier, J. (2011). Algorithms for nonnegative matrix factorization with the
    beta-divergence. Neural Computation 23(9). :doi:`10.1162/NECO_a_00168`

    Ang, A. M. S. & Gillis, N. (2019). Accelerating nonnegative matrix factorization algorithms
    using extrapolation. Neural Computation 31(2). :doi:`10.1162/neco_a_01157`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import NMF
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, 6.0], [3.0, 6.0, np.nan]])
    >>> model = NMF(n_components=1)
    >>> W = model.fit_transform(X)
    >>> print(model.inverse_transform(W).round(2))
    [[1. 2. 3.]
     [2. 4. 6.]
     [3. 6. 9.]]
    """

    _parameter_constraints: dict = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            None,
            StrOptions({"auto"}),
        ],
        "init": [StrOptions({*NONNEGATIVE_INITS, "custom"}), None],
        "solver": [StrOptions({"cd", "mu"}), BaseSolver],
        "beta_loss": [StrOptions(set(BETAS)), Real],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "alpha_W": [Interval(Real, 0, None, closed="left")],
        "alpha_H": [Interval(Real, 0, None, closed="left"), StrOptions({"same"})],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "verbose": ["verbose"],
        "shuffle": ["boolean"],
        "missing_values": [MissingValues(numeric_only=True)],
        "unstored": [StrOptions({"zero", "missing"})],
    }
    # There are no biases.
    bias = False
    _has_sample_bias = False
    _offset = 0.0

    def __init__(
        self,
        n_components="auto",
        *,
        init=None,
        solver="cd",
        beta_loss="frobenius",
        tol=1e-4,
        max_iter=200,
        random_state=None,
        alpha_W=0.0,
        alpha_H="same",
        l1_ratio=0.0,
        verbose=0,
        shuffle=False,
        missing_values=np.nan,
        unstored="zero",
    ):
        self.n_components = n_components
        self.init = init
        self.solver = solver
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.verbose = verbose
        self.shuffle = shuffle
        self.missing_values = missing_values
        self.unstored = unstored

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, W=None, H=None, sample_weight=None, entry_weight=None):
        """Find the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Non-negative data, with holes or without; never changed.
        y : Ignored
            Not used, present by convention.
        W : array-like of shape (n_samples, n_components), default=None
            Where to start, if ``init="custom"``.
        H : array-like of shape (n_components, n_features), default=None
            Where to start, if ``init="custom"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, or not stored, is missing.

        Returns
        -------
        self : NMF
            The fitted estimator.
        """
        self._fit_from(W, H, X, y, sample_weight, entry_weight)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, W=None, H=None, sample_weight=None, entry_weight=None):
        """Find the components and return the codes; the same as `fit`, then `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Non-negative data, with holes or without; never changed.
        y : Ignored
            Not used, present by convention.
        W : array-like of shape (n_samples, n_components), default=None
            Where to start, if ``init="custom"``.
        H : array-like of shape (n_components, n_features), default=None
            Where to start, if ``init="custom"``.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: 2 is the sample twice, 0 the sample absent.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry; 0, or not stored, is missing.

        Returns
        -------
        W : ndarray of shape (n_samples, n_components)
            Codes.
        """
        problem, state, W = self._fit_from(W, H, X, y, sample_weight, entry_weight)
        return self._fitted_codes(problem, state) if W is None else W

    def _fit_from(self, W, H, X, y, sample_weight, entry_weight):
        if self.init != "custom" and not (W is None and H is None):
            warnings.warn(
                "W and H are ignored where init is not 'custom'. Use init='custom' to start "
                "from them.",
                RuntimeWarning,
                stacklevel=4,
            )
        self._custom = W, H
        try:
            return self._fit(X, y, sample_weight, entry_weight)
        finally:
            del self._custom

    def _resolve_loss(self, table, X):
        beta = BETAS.get(self.beta_loss, self.beta_loss)
        if self.solver == "cd" and beta != 2:
            raise ValueError(
                "Invalid beta_loss parameter: solver 'cd' does not handle beta_loss = "
                f"{self.beta_loss!r}. Use solver='mu'."
            )
        return Squared() if beta == 2 else BetaDivergence(float(beta))

    def _check_n_components(self, shape):
        if self.n_components not in (None, "auto"):
            return self.n_components
        if self.n_components == "auto" and self.init == "custom":
            W, H = self._custom
            if H is not None:
                return len(H)
            if W is not None:
                return np.shape(W)[1]
        return shape[1]

    def _observe(self, X, loss, entry_weight=None, sample_weight=None):
        observations = super()._observe(X, loss, entry_weight, sample_weight)
        check_values(observations, type(self).__name__)
        return observations

    def _problem(self, observations, loss, n_components):
        alpha_H = self.alpha_W if self.alpha_H == "same" else self.alpha_H
        rows, columns = (
            Side(ElasticNet(alpha, self.l1_ratio, positive=True))
            for alpha in (self.alpha_W, alpha_H)
        )
        return Problem(observations, loss, rows, columns, n_components)

    def _check_solver(self, problem):
        solver = self.solver
        if solver == "cd":
            solver = CoordinateDescent(shuffle=self.shuffle)
        elif solver == "mu":
            solver = MultiplicativeUpdate()
        check_parameters(solver)
        solver.check(problem)
        return solver

    def _start(self, X, problem, solver, random_state):
        shape, k = problem.observations.shape, problem.n_components
        if self.init == "custom":
            W, H = self._custom
            W = self._check_factor(W, "W", (shape[0], k), X.dtype)
            H = self._check_factor(H, "H", (k, shape[1]), X.dtype)
            return W, np.ascontiguousarray(H.T)
        init = self.init
        # A sample of weight two counts as two, or it would not start as the sample twice.
        most = min(problem.row_weight.sum(dtype=np.float64), shape[1])
        if init == "nndsvd" and solver.name == "mu":
            warnings.warn(
                "The multiplicative update ('mu') solver cannot update zeros present in the "
                "initialization, and so leads to poorer results when used jointly with "
                "init='nndsvd'. You may try init='nndsvda' or init='nndsvdar' instead.",
                UserWarning,
                stacklevel=5,
            )
        if init is None:
            init = "nndsvda" if k <= most else "random"
        if init != "random" and k > most:
            raise ValueError(
                f"init={init!r} needs n_components <= min(n_samples, n_features)={most:g}, "
                f"but n_components={k}. Use init='random'."
            )
        return nonnegative_start(problem, init, random_state)

    def _check_factor(self, factor, name, shape, dtype):
        whom = f"{type(self).__name__} (input {name})"
        if factor is None:
            raise ValueError(f"init='custom' needs {name}, of shape {shape}, in fit.")
        factor = check_array(factor, dtype=dtype, order="C", input_name=name)
        if factor.shape != shape:
            raise ValueError(f"{name} has the shape {factor.shape}, it must be {shape}.")
        check_non_negative(factor, whom)
        if not factor.any():
            raise ValueError(f"{name} is full of zeros: from there no solver would go on.")
        return factor

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags


def check_values(observations, name):
    """Refuse negative data, in scikit-learn's words."""
    least = min((values.min(initial=0) for values in observations.each_value()), default=0)
    if least < 0:
        raise ValueError(f"Negative values in data passed to {name} (input X).")
