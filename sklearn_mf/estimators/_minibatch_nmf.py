"""Non-negative matrix factorization in batches of rows, with missing values."""

from typing import Literal, Self

import numpy as np
from sklearn.utils import check_random_state

from sklearn_mf.estimators._base import model_attributes
from sklearn_mf.estimators._base_nmf import NonnegativeFactorization
from sklearn_mf.estimators._base_traps import warn_of_traps
from sklearn_mf.fitting.stream import check_finite
from sklearn_mf.fitting.threads import threads_for
from sklearn_mf.objective.factor_model import FactorModel
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.solvers.minibatch import MiniBatchUpdate
from sklearn_mf.utils._typing import ArrayLike, MatrixLike, RandomState
from sklearn_mf.utils._validation import check_X, fit_context
from sklearn_mf.utils._warnings import warn


class MiniBatchNMF(NonnegativeFactorization):
    r"""Non-negative matrix factorization in batches of rows, with missing entries.

    Find non-negative transformed data W (the codes) and non-negative components H so that
    :math:`X \approx W H`, using only the observed entries of X and the objective of
    :class:`~sklearn_mf.NMF`. The components are updated after every batch, so that data with many
    rows need few passes, and `partial_fit` can be used for data that do not fit into memory. It has
    the parameters and attributes of :class:`sklearn.decomposition.MiniBatchNMF` and can replace it.
    Missing entries are NaN or, with ``unstored="missing"``, the entries that a sparse X does not
    store.

    Each batch :math:`B` updates two sums for every coefficient of H, over its observed entries:

    .. math::

        a_{pj} &\leftarrow \phi\, a_{pj} + h_{pj}^{1/\gamma}
        \sum_{i \in B} s_i e_{ij}\, w_{ip}\, x_{ij} \hat{x}_{ij}^{\beta - 2} \\
        b_{pj} &\leftarrow \phi\, b_{pj}
        + \sum_{i \in B} s_i e_{ij}\, w_{ip}\, \hat{x}_{ij}^{\beta - 1}
        + \lambda_1 + \lambda_2 h_{pj}

    Then :math:`h_{pj} = (a_{pj} / b_{pj})^\gamma`. Here :math:`\hat{x}` is the model, sample
    weights :math:`s_i` and entry weights :math:`e_{ij}` are 1 unless given, :math:`\gamma` is the
    exponent of multiplicative updates, and :math:`\lambda_1` and :math:`\lambda_2` are the
    strengths of the penalty on absolute values and on squares, times the number of entries of the
    batch in column j. A column without an entry in the batch keeps its sums and its components.

    Parameters
    ----------
    n_components : int, {"auto"} or None, default="auto"
        Number of components. None: the number of features. "auto": the number of components of a
        custom W or H if one is given, otherwise the number of features.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default=None
        Initialization, see :class:`~sklearn_mf.NMF`. Coefficients of H that are zero stay zero.
    batch_size : int, default=1024
        Number of rows of a batch.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        The beta divergence, by its name or its beta, which is 2, 1 and 0 for the three names. If
        beta is 0 or less, X must not contain zeros.
    tol : float, default=1e-4
        The solver stops when a batch changes H by less than this share of its norm. 0 disables
        this rule.
    max_no_improvement : int or None, default=10
        The solver stops after this number of batches that do not decrease a moving average of
        their objective. None disables this rule.
    max_iter : int, default=200
        Maximum number of passes over the data.
    alpha_W : float, default=0.0
        Strength of the penalty on W. It is multiplied by the number of observed entries of each
        row.
    alpha_H : float or "same", default="same"
        Strength of the penalty on H. It is multiplied by the number of observed entries of each
        column. "same": the same as `alpha_W`.
    l1_ratio : float, default=0.0
        Share of the penalties that applies to absolute values, in [0, 1]. The rest applies to
        squares.
    forget_factor : float, default=0.7
        Share of the weight of a batch that is left after one more pass over the data:
        :math:`\phi` is `forget_factor` to the power ``batch_size / n_samples``. With 1, all batches
        count the same. In `partial_fit` a call counts as a pass, unless `fit` came before.
    fresh_restarts : bool, default=False
        Whether the codes of a batch are solved from scratch in every pass instead of being updated
        once. This gives better components for the same number of passes, which take longer.
    fresh_restarts_max_iter : int, default=30
        Maximum number of updates of the codes when they are solved from scratch, also in
        `partial_fit`.
    transform_max_iter : int, default=None
        Not used, present for compatibility with scikit-learn. `transform` always solves to the
        minimum.
    random_state : int, RandomState instance or None, default=None
        Random numbers for the initialization. Pass an int for reproducible results.
    verbose : int, default=0
        If positive, every ``verbose``-th pass prints the objective.
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
        where W is the transformed X. Only after `fit`.
    n_iter_ : int
        Number of passes over the data, the last of which may be incomplete. Only after `fit`.
    n_steps_ : int
        Number of batches so far.
    loss_curve_ : list of float
        The objective in every pass, with each batch evaluated at the components before its update.
        Only after `fit`.
    loss_curve_seconds_ : list of float
        Seconds from the start of the solver to the end of every pass. Only after `fit`.
    solver_ : BaseSolver
        The solver that was used. Only after `fit`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    NMF : Uses all rows at once.
    MatrixFactorization : Its `partial_fit` supports factors of any sign and other losses.
    sklearn.decomposition.MiniBatchNMF : Complete data only.

    Notes
    -----
    The codes of a sample depend on its own observed entries and on the components, on nothing
    else, however they were found: `fit_transform` and `transform` solve them to the end.
    scikit-learn's update them a number of times, from a start that depends on all samples of X.

    A sample of weight two counts as the same sample twice in its batch.

    References
    ----------
    Lefèvre, A., Bach, F. & Févotte, C. (2011). Online algorithms for nonnegative matrix
    factorization with the Itakura-Saito divergence. IEEE Workshop on Applications of Signal
    Processing to Audio and Acoustics. :doi:`10.1109/ASPAA.2011.6082314`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MiniBatchNMF
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random((500, 2)) @ rng.random((2, 20))
    >>> X = np.where(rng.random(truth.shape) < 0.3, np.nan, truth)
    >>> model = MiniBatchNMF(2, batch_size=50, random_state=0)
    >>> W = model.fit_transform(X)
    >>> error = np.linalg.norm(model.inverse_transform(W) - truth)
    >>> bool(error < 0.1 * np.linalg.norm(truth))
    True
    """

    _parameter_constraints: dict = {
        **NonnegativeFactorization._parameter_constraints,
        **MiniBatchUpdate._parameter_constraints,
        "transform_max_iter": MiniBatchUpdate._parameter_constraints["max_no_improvement"],
    }

    def __init__(
        self,
        n_components: int | Literal["auto"] | None = "auto",
        *,
        init: str | None = None,
        batch_size: int = 1024,
        beta_loss: float | str = "frobenius",
        tol: float = 1e-4,
        max_no_improvement: int | None = 10,
        max_iter: int = 200,
        alpha_W: float = 0.0,
        alpha_H: float | Literal["same"] = "same",
        l1_ratio: float = 0.0,
        forget_factor: float = 0.7,
        fresh_restarts: bool = False,
        fresh_restarts_max_iter: int = 30,
        transform_max_iter: int | None = None,
        random_state: RandomState = None,
        verbose: int = 0,
        missing_values: object = np.nan,
        unstored: Literal["zero", "missing"] = "zero",
    ):
        self.n_components = n_components
        self.init = init
        self.batch_size = batch_size
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.max_iter = max_iter
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.forget_factor = forget_factor
        self.fresh_restarts = fresh_restarts
        self.fresh_restarts_max_iter = fresh_restarts_max_iter
        self.transform_max_iter = transform_max_iter
        self.random_state = random_state
        self.verbose = verbose
        self.missing_values = missing_values
        self.unstored = unstored

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: MatrixLike,
        y: object = None,
        W: ArrayLike | None = None,
        H: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        entry_weight: MatrixLike | None = None,
    ) -> Self:
        """Update the components with a batch of rows, none of which is kept.

        After `fit` it goes on from there. Otherwise the first batch starts the components, as
        `init` says. Rows without an observed entry change nothing, nor do `batch_size`,
        `max_iter` and `fresh_restarts`: the codes of the batch are solved anew.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The next rows, one or more, non-negative; never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        W : array-like of shape (n_samples, n_components), default=None
            Where to start, if ``init="custom"``, in the first batch.
        H : array-like of shape (n_components, n_features), default=None
            Where to start, if ``init="custom"``, in the first batch.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weight of every entry. An entry whose weight is 0, masked or not stored
            is missing. The weight may be NaN where X has no entry.

        Returns
        -------
        self : MiniBatchNMF
            Fitted to all rows so far.
        """
        is_first = not hasattr(self, "components_")
        X = check_X(self, X, reset=is_first)
        loss = self._resolve_loss(None, X)
        observations = self._observe(X, loss, entry_weight, sample_weight)
        if is_first:
            warn_of_traps(self, X, loss, entry_weight is not None)
        if not observations.T.row_totals().any():
            warn("X has no observed entry: this batch changes nothing.")
            return self
        kernels = threads_for(observations, uses_kernels=True)
        with kernels, np.errstate(over="ignore", invalid="ignore"):
            if is_first:
                batch, unit, Ht, sums = self._started(X, observations, loss, self._custom(W, H))
            else:
                unit, sums = self._unit, self._sums
                problem = self._objective(loss).problem(observations, self.n_components_)
                batch = unit.problem(problem)
                Ht = unit.inside(self.components_.T, self.n_components_)
                Ht = np.ascontiguousarray(Ht, dtype=X.dtype)
            _, Ht, sums, _ = self._solver_of(batch).update(batch, None, Ht, sums)
        check_finite(Ht)
        fitted = {"loss_": loss, "n_steps_": getattr(self, "n_steps_", 0) + 1}
        fitted |= {"_unit": unit, "_sums": sums}
        vars(self).update(model_attributes(FactorModel.found(batch, Ht, unit)), **fitted)
        return self

    def _started(self, X, observations: ObservedMatrix, loss, custom):
        """The first batch of a stream, in its unit, and where it starts."""
        batch, custom = self._pose(observations, loss, custom)
        solver = self._solver_of(batch)
        unit = solver.unit_of(batch)
        batch = unit.problem(batch)
        rng = check_random_state(self.random_state)
        _, Ht = self._start((X, solver, custom), batch, unit, rng)
        unseen = batch.T.observations.row_totals() == 0
        # They may have entries in later batches, and could not leave zero.
        Ht[unseen] = Ht[~unseen].mean(axis=0)
        return batch, unit, Ht, solver.sums_before(batch, Ht)

    def _solver(self):
        parameters = MiniBatchUpdate._parameter_constraints
        return MiniBatchUpdate(**{name: getattr(self, name) for name in parameters})

    def _fitted_attributes(self, result):
        memory = result.state.memory
        return {
            **super()._fitted_attributes(result),
            "n_steps_": memory.n_steps,
            "_sums": memory.sums,
        }
