"""Non-negative matrix factorization as in scikit-learn, with missing values."""

from typing import Literal

import numpy as np

from sklearn_mf.estimators._base_checks import warn_of_empty_rows
from sklearn_mf.estimators._base_nmf import BETAS, NonnegativeFactorization
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers import BaseSolver, CoordinateDescent, MultiplicativeUpdate
from sklearn_mf.utils._typing import ArrayLike, MatrixLike, RandomState
from sklearn_mf.utils._validation import (
    StrOptions,
    check_complete,
    check_parameters,
    check_X,
    validate_params,
)
from sklearn_mf.utils._warnings import warn


class NMF(NonnegativeFactorization):
    r"""Non-negative matrix factorization of data with missing entries.

    Find non-negative transformed data W (the codes) and non-negative components H so that
    :math:`X \approx W H`, using only the observed entries of X. It has the parameters, the
    objective and the attributes of :class:`sklearn.decomposition.NMF` and can replace it. Missing
    entries are NaN or, with ``unstored="missing"``, the entries that a sparse X does not store.
    The objective is

    .. math::

        \sum_{(i,j)\ \mathrm{observed}} s_i e_{ij}\, d_\beta(x_{ij},\ w_i^\top h_j)
        + \alpha_W \sum_i s_i n_i\, \mathrm{pen}(w_i)
        + \alpha_H \sum_j n'_j\, \mathrm{pen}(h_j)

    where :math:`\mathrm{pen}(v) = \rho \|v\|_1 + \frac{1 - \rho}{2} \|v\|_2^2` and
    :math:`\rho` is the parameter ``l1_ratio``. The beta divergence :math:`d_\beta` is half the
    squared error by default. Sample weights :math:`s_i` and entry weights :math:`e_{ij}` are 1
    unless given. The sums :math:`n_i = \sum_j e_{ij}` and :math:`n'_j = \sum_i s_i e_{ij}` over
    observed entries are ``n_features`` and ``n_samples`` for complete data without weights.

    Parameters
    ----------
    n_components : int, {"auto"} or None, default="auto"
        Number of components. None: the number of features. "auto": the number of components of a
        custom W or H if one is given, otherwise the number of features.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default=None
        Initialization of W and H.

        - None: "nndsvda" if ``n_components <= min(n_samples, n_features)``, otherwise "random".
        - "random": absolute values of normal random numbers, scaled by
          ``sqrt(X.mean() / n_components)``.
        - "nndsvd": the non-negative parts of the leading singular vectors of X.
        - "nndsvda": the same, with zeros replaced by the mean of X.
        - "nndsvdar": the same, with zeros replaced by small random numbers.
        - "custom": the W and H that are passed to `fit` or `fit_transform`.
    solver : {"cd", "mu"} or solver object, default="cd"
        "cd" is coordinate descent, which requires ``beta_loss="frobenius"``. "mu" is
        multiplicative updates, for any beta divergence. Pass a solver object, such as
        ``CoordinateDescent(extrapolated=False, rounds=1)``, to change its options.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        The beta divergence, by its name or its beta, which is 2, 1 and 0 for the three names.
        Values other than "frobenius" require ``solver="mu"``. If beta is 0 or less, X must not
        contain zeros.
    tol : float, default=1e-4
        Tolerance of the stopping condition, as in scikit-learn. "cd" stops when the sum of the
        absolute projected gradients is at most `tol` times that of the first iteration. "mu" stops
        when ten iterations decrease the square root of twice the objective by less than `tol` times
        its initial value.
    max_iter : int, default=200
        Maximum number of iterations.
    random_state : int, RandomState instance or None, default=None
        Random numbers for the initialization and for `shuffle`. Pass an int for reproducible
        results.
    alpha_W : float, default=0.0
        Strength of the penalty on W. It is multiplied by the number of observed entries of each
        row.
    alpha_H : float or "same", default="same"
        Strength of the penalty on H. It is multiplied by the number of observed entries of each
        column. "same": the same as `alpha_W`.
    l1_ratio : float, default=0.0
        Share :math:`\rho` of the penalties that applies to absolute values, in [0, 1]. The rest
        applies to squares.
    verbose : int, default=0
        If positive, every ``verbose``-th iteration prints the objective.
    shuffle : bool, default=False
        Whether "cd" updates the components in random order.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        Placeholder for missing entries of X. Masked entries of a masked array are missing as well.
    unstored : {"zero", "missing"}, default="zero"
        Meaning of the entries that a sparse X does not store.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The components H.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        Square root of twice the beta divergence between the observed entries of X and ``W H``,
        where W is the transformed X.
    n_iter_ : int
        Number of iterations.
    loss_curve_ : list of float
        The objective after every iteration.
    loss_curve_seconds_ : list of float
        Seconds from the start of the solver to the end of every iteration.
    solver_ : BaseSolver
        The solver that was used.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    MatrixFactorization : Factors of any sign, biases, other losses and solvers.
    sklearn.decomposition.NMF : Complete data only.

    Notes
    -----
    The transformed data (codes) of a sample depend only on its own observed entries and on the
    components: `fit_transform` solves for W once more with the final H, exactly as `transform`
    does.

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
        **NonnegativeFactorization._parameter_constraints,
        "solver": [StrOptions({"cd", "mu"}), BaseSolver],
        "shuffle": ["boolean"],
    }

    def __init__(
        self,
        n_components: int | Literal["auto"] | None = "auto",
        *,
        init: str | None = None,
        solver: str | BaseSolver = "cd",
        beta_loss: float | str = "frobenius",
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: RandomState = None,
        alpha_W: float = 0.0,
        alpha_H: float | Literal["same"] = "same",
        l1_ratio: float = 0.0,
        verbose: int = 0,
        shuffle: bool = False,
        missing_values: object = np.nan,
        unstored: Literal["zero", "missing"] = "zero",
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

    def _resolve_loss(self, table, X):
        if self.solver == "cd" and BETAS.get(self.beta_loss, self.beta_loss) != 2:
            raise ValueError(
                "Invalid beta_loss parameter: solver 'cd' does not handle beta_loss = "
                f"{self.beta_loss!r}. Use solver='mu'."
            )
        return super()._resolve_loss(table, X)

    def _solver(self):
        if self.solver == "cd":
            return CoordinateDescent(shuffle=self.shuffle)
        return MultiplicativeUpdate() if self.solver == "mu" else self.solver

    def _start(self, context, problem: Problem, unit, random_state):
        if self.init == "nndsvd" and context[1].name == "mu":
            warn(
                "The multiplicative update ('mu') solver cannot update zeros present in the "
                "initialization, and so leads to poorer results when used jointly with "
                "init='nndsvd'. You may try init='nndsvda' or init='nndsvdar' instead.",
            )
        return super()._start(context, problem, unit, random_state)

    def _codes_at(self, X, H, entry_weight):
        """Codes of data at components that no fit found, and these, validated."""
        X = check_X(self, X, reset=True)
        loss = self._resolve_loss(None, X)
        observations = self._observe(X, loss, entry_weight)
        if H is None:
            raise ValueError("update_H=False needs H: the components for which W is found.")
        H = check_complete(H, "H", dtype=X.dtype, order="C")
        k = self._n_components_for(X.shape[1], (None, H))
        H = self._check_factor(H, "H", (k, X.shape[1]), X.dtype)
        problem = self._objective(loss).problem(observations, k)
        unit = self._solver_of(problem).unit_of(problem)
        warn_of_empty_rows(observations)
        Ht = unit.inside(np.ascontiguousarray(H.T), k)
        with threads_for(observations), np.errstate(over="ignore", invalid="ignore"):
            return unit.outside(unit.problem(problem).fold_in(Ht), k), H


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "W": ["array-like", None],
        "H": ["array-like", None],
        "update_H": ["boolean"],
    },
    prefer_skip_nested_validation=False,
)
def non_negative_factorization(
    X: MatrixLike,
    W: ArrayLike | None = None,
    H: ArrayLike | None = None,
    n_components: int | Literal["auto"] | None = "auto",
    *,
    init: str | None = None,
    update_H: bool = True,
    solver: str | BaseSolver = "cd",
    beta_loss: float | str = "frobenius",
    tol: float = 1e-4,
    max_iter: int = 200,
    alpha_W: float = 0.0,
    alpha_H: float | Literal["same"] = "same",
    l1_ratio: float = 0.0,
    random_state: RandomState = None,
    verbose: int = 0,
    shuffle: bool = False,
    missing_values: object = np.nan,
    unstored: Literal["zero", "missing"] = "zero",
    sample_weight: ArrayLike | None = None,
    entry_weight: MatrixLike | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    r"""Factorize a non-negative matrix with missing entries: `NMF` as a function.

    Find non-negative W and H so that :math:`X \approx W H`, or only W for a given H. The parameters
    and the results are those of :func:`sklearn.decomposition.non_negative_factorization`, and the
    objective is that of :class:`~sklearn_mf.NMF`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Non-negative data, with or without missing values. X is never changed.
    W : array-like of shape (n_samples, n_components), default=None
        Initial W, if ``init="custom"``.
    H : array-like of shape (n_components, n_features), default=None
        Initial H, if ``init="custom"``. With ``update_H=False``, the components for which W is
        found.
    n_components : int, {"auto"} or None, default="auto"
        Number of components. None: the number of features. "auto": the number of components of a
        custom W or H if one is given, otherwise the number of features.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default=None
        Initialization, see :class:`~sklearn_mf.NMF`. It has no effect if ``update_H=False``.
    update_H : bool, default=True
        Whether to find H as well. If False, W is found for the given H, as in ``NMF.transform``,
        which solves to the minimum for any `solver`, `tol` and `max_iter`.
    solver : {"cd", "mu"} or solver object, default="cd"
        "cd" is coordinate descent, which requires ``beta_loss="frobenius"``. "mu" is
        multiplicative updates, for any beta divergence.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        The beta divergence, by its name or its beta, which is 2, 1 and 0 for the three names.
    tol : float, default=1e-4
        Tolerance of the stopping condition, see :class:`~sklearn_mf.NMF`.
    max_iter : int, default=200
        Maximum number of iterations.
    alpha_W : float, default=0.0
        Strength of the penalty on W. It is multiplied by the number of observed entries of each
        row.
    alpha_H : float or "same", default="same"
        Strength of the penalty on H. It is multiplied by the number of observed entries of each
        column. "same": the same as `alpha_W`.
    l1_ratio : float, default=0.0
        Share :math:`\rho` of the penalties that applies to absolute values, in [0, 1]. The rest
        applies to squares.
    random_state : int, RandomState instance or None, default=None
        Random numbers for the initialization and for `shuffle`. Pass an int for reproducible
        results.
    verbose : int, default=0
        If positive, every ``verbose``-th iteration prints the objective.
    shuffle : bool, default=False
        Whether "cd" updates the components in random order.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        Placeholder for missing entries of X. Masked entries of a masked array are missing as well.
    unstored : {"zero", "missing"}, default="zero"
        Meaning of the entries that a sparse X does not store.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to leaving
        it out. They do not change W for a given H.
    entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        Non-negative weight of every entry; 0, or not stored, is missing.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components)
        The codes of the data at H, as ``NMF.fit_transform`` returns them. scikit-learn's
        function returns the W that its solver ended with, which is no better.
    H : ndarray of shape (n_components, n_features)
        The components.
    n_iter : int
        Iterations done; 1 where ``update_H=False``.

    Raises
    ------
    ValueError
        If X, W or H are negative, W or H have the wrong shape, or they are needed and missing.

    See Also
    --------
    NMF : The estimator, which keeps the components for other data.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import non_negative_factorization
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, 6.0], [3.0, 6.0, np.nan]])
    >>> W, H, n_iter = non_negative_factorization(X, n_components=1)
    >>> print((W @ H).round(2))
    [[1. 2. 3.]
     [2. 4. 6.]
     [3. 6. 9.]]
    >>> W, _, _ = non_negative_factorization([[4.0, np.nan, 12.0]], H=H, update_H=False)
    >>> print((W @ H).round(2))
    [[ 4.  8. 12.]]
    """
    model = NMF(
        n_components,
        init=init,
        solver=solver,
        beta_loss=beta_loss,
        tol=tol,
        max_iter=max_iter,
        random_state=random_state,
        alpha_W=alpha_W,
        alpha_H=alpha_H,
        l1_ratio=l1_ratio,
        verbose=verbose,
        shuffle=shuffle,
        missing_values=missing_values,
        unstored=unstored,
    )
    if update_H:
        weights = {"sample_weight": sample_weight, "entry_weight": entry_weight}
        W = model.fit_transform(X, W=W, H=H, **weights)
        return W, model.components_, model.n_iter_
    if W is not None:
        warn(
            "When update_H=False, the provided initial W is not used.",
            RuntimeWarning,
        )
    check_parameters(model)
    return *model._codes_at(X, H, entry_weight), 1
