"""Factorization of implicit feedback: all cells count, and interactions count more."""

from collections.abc import Callable
from typing import Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_mf.blocks import RowBlocks
from sklearn_mf.estimators._base_streams import StreamedFactorization
from sklearn_mf.fitting.hidden_ranks import HiddenRanks, score_of_hidden_ranks
from sklearn_mf.fitting.interactions import Confidence
from sklearn_mf.fitting.observed import observed_in_blocks
from sklearn_mf.losses import Squared
from sklearn_mf.objective.objective import Objective, Strength
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.solvers import BaseSolver
from sklearn_mf.starts.start import INITS
from sklearn_mf.utils._typing import ArrayLike, MatrixLike, RandomState
from sklearn_mf.utils._validation import (
    Integral,
    Interval,
    Options,
    Real,
    StrOptions,
    check_X,
    fit_context,
)

NONNEGATIVE = Interval(Real, 0, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")


class ImplicitFactorization(StreamedFactorization):
    r"""Low-rank factorization of implicit feedback: purchases, plays, clicks.

    Rows of X are samples (users), columns are features (items), and values are the strength of an
    interaction. An interaction is taken as a preference, which is more certain the larger its
    value. A cell without an interaction is weak evidence that the item is not wanted. Therefore
    **every cell** counts. With codes :math:`w_i` and components :math:`h_j`, the objective is

    .. math::

        \tfrac12 \sum_{(i,j) \in S} s_i (a + \kappa_{ij}) (p_{ij} - \hat{x}_{ij})^2
        + \tfrac12 \sum_{(i,j) \notin S} s_i\, a\, \hat{x}_{ij}^2
        + \tfrac{\alpha_W}{2} \sum_i s_i n_i^g \|w_i\|^2
        + \tfrac{\alpha_H}{2} \sum_j n_j'^{\,g} \|h_j\|^2,
        \qquad \hat{x}_{ij} = b_j + c_i + w_i^\top h_j

    where S are the stored entries with preferences :math:`p = 1` (0 for dislikes) and confidences
    :math:`\kappa_{ij}`, :math:`a` is the weight of all cells, :math:`s_i` are sample weights, and
    :math:`n_i = a d + \sum_j \kappa_{ij}` is the total weight of a row of d columns; :math:`n'_j`
    is that of a column. The time is proportional to the number of stored entries, and no dense
    matrix of the shape of X is formed. On small data, :class:`MatrixFactorization` on the dense
    preferences, with the same weights as `entry_weight`, minimizes the same objective.

    Read more in :ref:`implicit_feedback`.

    Parameters
    ----------
    n_components : int, default=64
        Number of components. If X has fewer features, the number of features is used.
    unobserved_weight : float, default=0.1
        Weight :math:`a` of all cells. Smaller values suit data with many columns: with binary
        confidences, 10 to 40 times the share of the cells that are stored is a good start.
    confidence : {"binary", "linear", "log"} or callable, default="binary"
        Confidence that a stored value x adds to the weight of its cell: 1, ``abs(x)``,
        ``log(1 + abs(x))``, or the result of a callable for an array of absolute values.
    confidence_scale : float, default=1.0
        Factor by which the confidence is multiplied.
    bias : {False, "features", "samples", "both"}, default=False
        Offsets that are added to the product :math:`W H` and solved for like all other
        coefficients.

        - "features": one offset :math:`b_j` for each column, its popularity. It is not penalized.
        - "samples": one offset :math:`c_i` for each row, penalized like W. `transform` returns it
          as an additional last column.
        - "both": both of them, each penalized like its factor.
    positive : {False, True, "W", "H"}, default=False
        Which factors are constrained to be non-negative: none, both, or one of them.
    alpha_W : float, default=0.003
        Strength of the penalty on W.
    alpha_H : float or "same", default="same"
        Strength of the penalty on H. "same": the same as `alpha_W`.
    alpha_scaling : float, default=1.0
        Exponent :math:`g` of the total weight of a row or column that multiplies its penalty. With
        0 it is a plain ridge penalty.
    negative : {"error", "dislike"}, default="error"
        Meaning of negative values: an error, or a dislike, whose preference is 0.
    solver : {"als", "gd", "lbfgs"} or solver object, default="als"
        Algorithm that finds the components. "als" solves for each row exactly. ``ALS(inner="cg")``
        uses conjugate gradients instead, and ``ALS(inner="blocks")`` solves for blocks of
        components in turn.
    init : {"auto", "svd", "random"}, array-like or callable, default="auto"
        Initialization of H, of shape (n_components, n_features), as in
        :class:`MatrixFactorization`. "auto" is "svd".
    max_iter : int, default=16
        Maximum number of sweeps over both factors.
    tol : float, default=0.0
        The solver stops when a sweep decreases the objective by less than this share of it. With 0,
        `max_iter` sweeps are done. With `early_stopping`, the solver stops when the score of hidden
        entries improves by less than `tol`.
    early_stopping : bool, default=False
        Whether to hide some entries from the solver, to stop when it no longer ranks them higher,
        and to keep the factors that ranked them highest, see `score`.
    validation_fraction : float, default=0.1
        With `early_stopping`, the share of the stored entries to hide, in (0, 1). At least one
        entry of each row and column stays visible.
    n_iter_no_change : int, default=5
        With `early_stopping`, the number of sweeps within which the best score must improve by more
        than `tol`.
    warm_start : bool, default=False
        Whether `fit` starts from the components of the previous fit. X may then have additional
        features after the previous ones.
    random_state : int, RandomState instance or None, default=None
        Random numbers for the initialization and for hiding entries. Pass an int for reproducible
        results.
    verbose : int, default=0
        If positive, every ``verbose``-th sweep prints the objective.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The components H.
    feature_bias_ : ndarray of shape (n_features,)
        Offset of each feature, zeros without feature biases.
    n_components_ : int
        Number of components.
    loss_curve_ : list of float of length n_iter_
        Objective after every sweep, over all cells.
    loss_curve_seconds_ : list of float of length n_iter_
        Seconds from the start of the solver to the end of every sweep.
    validation_scores_ : list of float of length n_iter_, or None
        With `early_stopping`, the score of the hidden entries after every sweep.
    best_validation_score_ : float or None
        The highest of `validation_scores_`, which is that of `components_`.
    reconstruction_err_ : float
        Square root of the weighted sum of squared errors over all cells.
    n_iter_ : int
        Number of sweeps.
    n_samples_seen_ : int or float
        Number of rows, or the sum of their weights, in `fit` and in all calls of `partial_fit`
        after it.
    solver_ : solver object
        The solver that was used.
    loss_ : loss object
        The squared error.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string names.

    See Also
    --------
    MatrixFactorization : For ratings, where entries that are not stored are missing.

    Notes
    -----
    Predicted scores are not probabilities. They are about 1 for interactions and about 0 for most
    other cells, and are meant for ranking.

    The code of a sample without any stored entry is zero, so all its scores are equal. With feature
    biases, popular features are recommended to it.

    The components of a feature that no sample has met are zero, too. It scores 0, less than what a
    sample is thought to want but more than negative scores, so a long list may have it. With
    feature biases, others are ahead of it by their popularity. Leave it out with `items` of
    `recommend`: ``model.recommend(X, items=X.sum(axis=0) > 0)``.

    References
    ----------
    Hu, Y., Koren, Y. & Volinsky, C. (2008). Collaborative filtering for implicit feedback
    datasets. ICDM 2008. :doi:`10.1109/ICDM.2008.22`

    Rendle, S., Krichene, W., Zhang, L. & Koren, Y. (2022). Revisiting the performance of iALS on
    item recommendation benchmarks. RecSys 2022. :doi:`10.1145/3523227.3548486`

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from sklearn_mf import ImplicitFactorization
    >>> plays = csr_array([[9, 2, 0, 0], [3, 1, 1, 0], [0, 0, 5, 1], [0, 0, 2, 0]])
    >>> model = ImplicitFactorization(2, confidence="log", random_state=0).fit(plays)
    >>> scores = model.inverse_transform(model.transform(csr_array([[1, 0, 0, 0]])))
    >>> print(scores.argsort()[0, ::-1][:2])
    [0 1]
    """

    # Every cell counts, so there are no parameters for what is missing.
    missing_values = np.nan
    unstored = "background"
    _judge = HiddenRanks
    _takes_blocks = True

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "unobserved_weight": [POSITIVE],
        "confidence": [StrOptions({"binary", "linear", "log"}), callable],
        "confidence_scale": [POSITIVE],
        "bias": [StrOptions({"features", "samples", "both"}), Options(bool, {False})],
        "positive": [StrOptions({"W", "H"}), Options(bool, {False, True})],
        "alpha_W": [NONNEGATIVE],
        "alpha_H": [NONNEGATIVE, StrOptions({"same"})],
        "alpha_scaling": [NONNEGATIVE],
        "negative": [StrOptions({"error", "dislike"})],
        "solver": [StrOptions({"als", "gd", "lbfgs"}), BaseSolver],
        "init": [StrOptions({"auto", *INITS}), "array-like", callable],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [NONNEGATIVE],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        unobserved_weight: float = 0.1,
        confidence: str | Callable = "binary",
        confidence_scale: float = 1.0,
        bias: Literal["features", "samples", "both", False] = False,
        positive: Literal["W", "H", False, True] = False,
        alpha_W: float = 0.003,
        alpha_H: float | Literal["same"] = "same",
        alpha_scaling: float = 1.0,
        negative: Literal["error", "dislike"] = "error",
        solver: str | BaseSolver = "als",
        init: str | ArrayLike | Callable = "auto",
        max_iter: int = 16,
        tol: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        random_state: RandomState = None,
        verbose: int = 0,
    ):
        self.n_components = n_components
        self.unobserved_weight = unobserved_weight
        self.confidence = confidence
        self.confidence_scale = confidence_scale
        self.bias = bias
        self.positive = positive
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.alpha_scaling = alpha_scaling
        self.negative = negative
        self.solver = solver
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
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
            Interactions, such as counts, durations or ones. X is never changed. Zeros, whether
            stored or not, are cells without an interaction.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weights that multiply the confidences. An entry whose weight is 0 or not
            stored is treated as if X did not store it.

        Returns
        -------
        self : ImplicitFactorization
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
            Interactions. X is never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weights that multiply the confidences.

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
        """Update the components with a batch of new rows, none of which is kept.

        After `fit` the components count as the rows they came from. A batch takes one solution of
        its codes, and one of the components by regression on all codes so far, of which sums are
        kept: ``n_features * n_components ** 2`` numbers. `solver` plays no role, nor do
        `max_iter`, `tol` and `early_stopping`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The next rows, one or more; never changed.
        y : Ignored
            Not used, present by convention. Weights are passed by name.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights. Weight 2 is equivalent to the sample twice, and weight 0 to
            leaving it out.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weights that multiply the confidences.

        Returns
        -------
        self : ImplicitFactorization
            Fitted to all rows so far.
        """
        is_first = not hasattr(self, "components_")
        X = check_X(self, X, reset=is_first)
        loss = Squared()
        observations = self._observe(X, loss, entry_weight, sample_weight)
        # A batch may have fewer rows than components.
        n_components = min(self.n_components, X.shape[1]) if is_first else self.n_components_
        posed = self._objective(loss).problem(observations, n_components)
        self._advance((X, self._solver_of(posed)), posed)
        return self

    def score(
        self, X: MatrixLike, y: object = None, entry_weight: MatrixLike | None = None
    ) -> float:
        """How high hidden entries are ranked among all that was not seen, in [0, 1].

        A fifth of the stored entries of every row is hidden, always the same ones, and codes are
        solved on the others. All columns that are not seen are ranked by their scores. An entry at
        rank r gains ``1 / log2(1 + r)``; the gains of a row are divided by what they would be if
        all of its hidden entries came first (NDCG without a cutoff), and averaged over rows. Of
        long data 5,000 rows, spread over all, are judged.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Interactions.
        y : Ignored
            Not used, present by convention.
        entry_weight : {array-like, sparse matrix} of shape (n_samples, n_features), \
default=None
            Non-negative weights that multiply the confidences.

        Returns
        -------
        score : float
            Higher is better.
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=False)
        observations = self._observe(X, self.loss_, entry_weight)
        problem = self._unit.problem(self._problem(observations))
        return score_of_hidden_ranks(problem, self._model)

    def _observe(self, X, loss, entry_weight=None, sample_weight=None):
        confidence = Confidence(
            self.unobserved_weight, self.confidence, self.confidence_scale, self.negative
        )
        if isinstance(X, RowBlocks):
            return observed_in_blocks(X, confidence.observed, entry_weight, sample_weight)
        return confidence.observed(X, self._feature_names, entry_weight, sample_weight)

    def _resolve_loss(self, table, X):
        return Squared()

    def _objective(self, loss):
        strength = Strength(self.alpha_W, self.alpha_W)
        others = self.alpha_H, 0.0, self.alpha_scaling
        return Objective(loss, self.bias, self.positive, strength, *others)

    def _pose(self, observations: ObservedMatrix, loss, known):
        n_components = min(self.n_components, observations.shape[1])
        return self._objective(loss).problem(observations, n_components), known

    def _standard_deviations(self, observations: ObservedMatrix, W, cells):
        raise ValueError("return_std=True: scores of implicit feedback have no error to speak of.")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        tags.input_tags.positive_only = self.negative == "error"
        return tags
