"""Non-negative matrix factorization, as scikit-learn's, with holes."""

import numpy as np

from sklearn_mf.estimators._base_checks import warn_of_empty_rows
from sklearn_mf.estimators._base_nmf import BETAS, NonnegativeFactorization
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers import BaseSolver, CoordinateDescent, MultiplicativeUpdate
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
        What stands for a missing entry in X. What is masked is missing as well.
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
        **NonnegativeFactorization._parameter_constraints,
        "solver": [StrOptions({"cd", "mu"}), BaseSolver],
        "shuffle": ["boolean"],
    }

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
    X,
    W=None,
    H=None,
    n_components="auto",
    *,
    init=None,
    update_H=True,
    solver="cd",
    beta_loss="frobenius",
    tol=1e-4,
    max_iter=200,
    alpha_W=0.0,
    alpha_H="same",
    l1_ratio=0.0,
    random_state=None,
    verbose=0,
    shuffle=False,
    missing_values=np.nan,
    unstored="zero",
    sample_weight=None,
    entry_weight=None,
):
    r"""Factorize a non-negative matrix with missing entries: `NMF` as a function.

    Finds non-negative W and H so that :math:`X \approx W H`, or W alone for a given H. Parameters
    and results are those of :func:`sklearn.decomposition.non_negative_factorization`, which it
    replaces; the objective is that of :class:`~sklearn_mf.NMF`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Non-negative data, with or without missing values. X is never changed.
    W : array-like of shape (n_samples, n_components), default=None
        Where to start, if ``init="custom"``.
    H : array-like of shape (n_components, n_features), default=None
        Where to start, if ``init="custom"``; with ``update_H=False`` the components for which W
        is found.
    n_components : int, {"auto"} or None, default="auto"
        Number of components. None: that of the features. "auto": as many as a custom W or H
        has, else as None.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default=None
        How to start; see :class:`~sklearn_mf.NMF`. Without effect where ``update_H=False``.
    update_H : bool, default=True
        Whether to find H, too. False: W is found for the given H, by the routine of
        ``NMF.transform``, which goes to the minimum whatever `solver`, `tol` and `max_iter` say.
    solver : {"cd", "mu"} or solver object, default="cd"
        "cd": coordinate descent, for half the squared error. "mu": multiplicative updates, for
        every beta divergence.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        Beta of the divergence: 2, 1 and 0 for the names.
    tol : float, default=1e-4
        When to stop; see :class:`~sklearn_mf.NMF`.
    max_iter : int, default=200
        Iterations at most.
    alpha_W : float, default=0.0
        Strength of the penalty of W, times the number of observed entries of its row.
    alpha_H : float or "same", default="same"
        Strength of the penalty of H, times the number of observed entries of its column. "same":
        as `alpha_W`.
    l1_ratio : float, default=0.0
        Share of absolute values in the penalties, from 0 to 1; the rest are squares.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers for the start, and for `shuffle`.
    verbose : int, default=0
        Whether to print a line every so often.
    shuffle : bool, default=False
        Whether "cd" visits the components in random order.
    missing_values : int, float, np.nan or pandas.NA, default=np.nan
        What stands for a missing entry in X. What is masked is missing as well.
    unstored : {"zero", "missing"}, default="zero"
        What the entries are that a sparse X does not store.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out. They do not change W
        for a given H.
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
