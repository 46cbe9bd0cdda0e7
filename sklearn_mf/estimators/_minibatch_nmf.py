"""Non-negative matrix factorization in batches of rows, as scikit-learn's, with holes."""

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
from sklearn_mf.utils._validation import check_X, fit_context
from sklearn_mf.utils._warnings import warn


class MiniBatchNMF(NonnegativeFactorization):
    r"""Non-negative matrix factorization in batches of rows, some of their entries missing.

    Finds non-negative codes W and components H so that :math:`X \approx W H`, from the observed
    entries of X alone, with the objective of :class:`~sklearn_mf.NMF`. The components change
    after every batch, so that long data need few passes, and `partial_fit` takes data that do not
    fit into memory. Parameters and attributes are those of
    :class:`sklearn.decomposition.MiniBatchNMF`, which it replaces; missing entries are NaN, or,
    with ``unstored="missing"``, what a sparse X does not store.

    A batch :math:`B` adds to two sums for every coefficient of H, over its observed entries:

    .. math::

        a_{cj} &\leftarrow \rho\, a_{cj} + h_{cj}^{1/\gamma}
        \sum_{i \in B} s_i e_{ij}\, w_{ic}\, x_{ij} m_{ij}^{\beta - 2} \\
        b_{cj} &\leftarrow \rho\, b_{cj}
        + \sum_{i \in B} s_i e_{ij}\, w_{ic}\, m_{ij}^{\beta - 1}
        + \lambda_1 + \lambda_2 h_{cj}

    and :math:`h_{cj} = (a_{cj} / b_{cj})^\gamma`, with the model :math:`m`, sample weights
    :math:`s_i` and entry weights :math:`e_{ij}` (both 1 unless given), the exponent
    :math:`\gamma` of multiplicative updates, and the penalty's :math:`\lambda_1` and
    :math:`\lambda_2` times the entries that the batch has in column j. A column without an entry
    in the batch keeps its sums and its components.

    Parameters
    ----------
    n_components : int, {"auto"} or None, default="auto"
        Number of components. None: that of the features. "auto": as many as a custom W or H
        has, else as None.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "custom"}, default=None
        How to start; see :class:`~sklearn_mf.NMF`. Coefficients of H that are zero stay zero.
    batch_size : int, default=1024
        Rows of a batch.
    beta_loss : float or {"frobenius", "kullback-leibler", "itakura-saito"}, default="frobenius"
        Beta of the divergence: 2, 1 and 0 for the names. At 0 and below, X may not contain
        zeros.
    tol : float, default=1e-4
        Stop when a batch changes H by less than this share of its norm. 0: never.
    max_no_improvement : int or None, default=10
        Stop after this many batches that do not lower a moving average of their costs. None:
        never.
    max_iter : int, default=200
        Passes over the data at most.
    alpha_W : float, default=0.0
        Strength of the penalty of W, times the number of observed entries of its row.
    alpha_H : float or "same", default="same"
        Strength of the penalty of H, times the number of observed entries of its column. "same":
        as `alpha_W`.
    l1_ratio : float, default=0.0
        Share of absolute values in the penalties, from 0 to 1; the rest are squares.
    forget_factor : float, default=0.7
        What a batch counts for after a pass: :math:`\rho` is its power of ``batch_size /
        n_samples``. 1: as much as the last one. In `partial_fit` a call counts as a pass, unless
        it goes on from `fit`.
    fresh_restarts : bool, default=False
        Whether the codes of a batch are solved anew each time, not updated once: better
        components after as many passes, which take longer.
    fresh_restarts_max_iter : int, default=30
        Updates of the codes at most, where they are solved anew; also in `partial_fit`.
    transform_max_iter : int, default=None
        Not used, present for scikit-learn's sake: codes are solved to the end, whatever this
        number.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers for the start.
    verbose : int, default=0
        Whether to print a line every so many passes.
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
        codes of the data. After `fit`.
    n_iter_ : int
        Passes over the data, the last of which may not have come to its end. After `fit`.
    n_steps_ : int
        Batches so far.
    loss_curve_ : list of float
        The objective in every pass: each batch's at the components that it met. After `fit`.
    loss_curve_seconds_ : list of float
        Seconds from the start to the end of every pass. After `fit`.
    solver_ : BaseSolver
        Who did the updates. After `fit`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X had some.

    See Also
    --------
    NMF : All rows at once.
    MatrixFactorization : Its `partial_fit` knows factors of any sign and other losses.
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
        n_components="auto",
        *,
        init=None,
        batch_size=1024,
        beta_loss="frobenius",
        tol=1e-4,
        max_no_improvement=10,
        max_iter=200,
        alpha_W=0.0,
        alpha_H="same",
        l1_ratio=0.0,
        forget_factor=0.7,
        fresh_restarts=False,
        fresh_restarts_max_iter=30,
        transform_max_iter=None,
        random_state=None,
        verbose=0,
        missing_values=np.nan,
        unstored="zero",
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
    def partial_fit(self, X, y=None, W=None, H=None, sample_weight=None, entry_weight=None):
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
