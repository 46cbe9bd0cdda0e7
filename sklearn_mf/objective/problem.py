"""The minimization problem. A `Problem` is immutable.

Both factors are stored as tall arrays: W (n_rows, k) and Ht (n_columns, k). If a side has a bias,
it is the last column of its factor. All methods are written for rows; ``T`` is the same problem
with rows and columns exchanged.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sklearn_mf.losses import BaseLoss
from sklearn_mf.objective.balance import cheapest_scale, even_scale
from sklearn_mf.objective.factor_penalty import FactorPenalty
from sklearn_mf.objective.fold_in import fold_in
from sklearn_mf.objective.layout import Layout
from sklearn_mf.objective.multiplicative import GradientParts
from sklearn_mf.objective.regression import RowRegression
from sklearn_mf.objective.side import Side
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.systems import RowPenalty
from sklearn_mf.utils._twins import twin

# Accuracy of coordinate descent within one sweep: largest move of a round relative to the largest
# coefficient, and maximum number of rounds.
FEW_ROUNDS = (1e-2, 10)
# The same for proximal gradient descent, which makes shorter steps: with moves of 1e-3, alternation
# with smooth components stopped at an objective 5 % above that of gradient descent.
MANY_STEPS = (1e-6, 500)
# Number of rows whose squares are summed together.
CHUNK = 1024


@dataclass(frozen=True)
class Problem:
    r"""The sum of losses over observed entries plus the penalties on both factors.

    .. math::

        \sum_{(i,j)\ \mathrm{observed}} s_i e_{ij}\,
            \mathrm{loss}(x_{ij},\ b_j + c_i + w_i^\top h_j + o)
        + \sum_i s_i n_i^g\, \mathrm{pen}_W(w_i) + \sum_j n_j'^{\,g}\, \mathrm{pen}_H(h_j)

    where s are the weights of samples and e those of entries, whose sums are n in rows and n' in
    columns. The factors are tall: `W` has one row for each sample, ``Ht`` one row for each feature.
    If a side has a bias, it is the last column of its factor. A problem is immutable; `T` is the
    same problem with samples and features exchanged.

    Attributes
    ----------
    observations : ObservedMatrix
        The data.
    loss : BaseLoss
        Loss of an entry.
    rows : Side
        Penalty and bias of the samples.
    columns : Side
        Penalty and bias of the features.
    n_components : int
        The rank, without biases.
    alpha_scaling : float
        Exponent of the number of observed entries that multiplies the penalty of each row.
    offset : float
        The offset that is added to every model value.

    See Also
    --------
    sklearn_mf.solvers.BaseSolver : Solves problems.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.losses import Squared
    >>> from sklearn_mf.objective import Problem, Side
    >>> from sklearn_mf.observations import observe
    >>> from sklearn_mf.penalties import Ridge
    >>> X = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, 6.0]])
    >>> problem = Problem(observe(X), Squared(), Side(Ridge(0.1)), Side(Ridge(0.1)), 1)
    >>> W, Ht = np.array([[1.0], [1.0]]), np.array([[1.0], [2.0], [3.0]])
    >>> value, W_slope, Ht_slope = problem.value_and_gradient(W, Ht)
    >>> print(round(value, 2))
    6.45
    >>> print(problem.value(W, Ht - 0.1 * Ht_slope) < value)
    True
    >>> print(problem.fold_in(Ht).round(2))  # the best W for this Ht
    [[0.98]
     [1.96]]
    """

    observations: ObservedMatrix
    loss: BaseLoss
    rows: Side
    columns: Side
    n_components: int
    alpha_scaling: float = 1.0
    offset: float = 0.0

    @twin
    def T(self):
        """The same problem with rows and columns exchanged."""
        return replace(self, observations=self.observations.T, rows=self.columns, columns=self.rows)

    @cached_property
    def layout(self):
        """Positions of components and biases in the factors."""
        biases = self.rows.has_bias, self.columns.has_bias
        return Layout(self.n_components, *biases, self.offset)

    @property
    def width(self):
        """Number of columns of the row factor: the components, and the bias if there is one."""
        return self.layout.width

    @cached_property
    def is_smooth(self):
        """Whether the objective is smooth and unconstrained, so that no proximal step is needed."""
        return self.rows.penalty.is_smooth and self.columns.penalty.is_smooth

    @cached_property
    def is_elastic(self):
        """Whether both penalties consist of L2 and L1 penalties and non-negativity constraints."""
        return self.rows.penalty.is_elastic and self.columns.penalty.is_elastic

    @property
    def is_quadratic(self):
        """Whether both penalties are L2 penalties."""
        return self.is_elastic and self.is_smooth

    @property
    def is_turnable(self):
        """Whether the penalties do not change if components and codes are rotated."""
        sides = self.rows.penalty, self.columns.penalty
        return all(penalty.is_rotation_invariant for penalty in sides)

    @cached_property
    def penalty_scale(self):
        """Number that multiplies the penalty of each row, from its observed entries."""
        if self.rows.penalty_scale is not None:
            return self.rows.penalty_scale
        return self.observations.row_totals() ** self.observations.dtype.type(self.alpha_scaling)

    @cached_property
    def _ridge(self):
        """L2 penalty on each column of the row factor, before multiplication by its scale."""
        return self._per_coefficient(self.rows.penalty.ridge, self.rows.bias_ridge)

    @cached_property
    def factor_penalty(self):
        """The penalty on the row factor, of any kind."""
        bias_ridge = self.rows.bias_ridge if self.rows.has_bias else 0.0
        return FactorPenalty(self.rows.penalty, self.penalty_scale, self.n_components, bias_ridge)

    @cached_property
    def row_penalty(self):
        """The strengths of the penalty on the row factor, if they describe it completely."""
        if not self.rows.penalty.is_elastic:
            return self.factor_penalty
        lower = 0.0 if self.rows.penalty.positive else -np.inf
        return RowPenalty(
            self.penalty_scale,
            self._ridge,
            self._per_coefficient(self.rows.penalty.l1, 0.0),
            self._per_coefficient(lower, -np.inf),
        )

    def _per_coefficient(self, component, bias):
        return self.layout.per_coefficient(component, bias, self.observations.dtype)

    def check_factors(self, W, Ht, source="Factors"):
        """Raise a ValueError if the shapes of the factors do not match this problem.

        Parameters
        ----------
        W, Ht : ndarray
            The factors.
        source : str, default="Factors"
            Beginning of the message: the origin of the factors.
        """
        n_rows, n_columns = self.observations.shape
        expected = (n_rows, self.width), (n_columns, self.T.width)
        if (W.shape, Ht.shape) != expected:
            raise ValueError(
                f"{source}: W has shape {W.shape} and Ht has shape {Ht.shape}, but {expected[0]} "
                f"and {expected[1]} are expected."
            )

    def model_factors(self, W, Ht):
        """Return two tall arrays whose product is the model, including biases and offset."""
        return self.layout.factors(W, Ht)

    # The objective --------------------------------------------------------------------

    def value(self, W, Ht):
        """Return the objective at two factors.

        Parameters
        ----------
        W : ndarray of shape (n_rows, k)
            Factor of the samples.
        Ht : ndarray of shape (n_columns, k)
            Factor of the features.

        Returns
        -------
        value : float
            The sum of losses and penalties.
        """
        self.check_factors(W, Ht)
        data = self.observations.total_loss(*self.model_factors(W, Ht), self.loss)
        return data + self.penalty(W, Ht)

    def penalty(self, W, Ht):
        """Return the sum of the penalties on both factors."""
        return self._penalty_value(W) + self.T._penalty_value(Ht)

    def value_and_gradient(self, W, Ht):
        """Return the objective and the derivatives of its smooth part.

        Parameters
        ----------
        W : ndarray of shape (n_rows, k)
            Factor of the samples.
        Ht : ndarray of shape (n_columns, k)
            Factor of the features.

        Returns
        -------
        value : float
            The sum of losses and penalties.
        W_gradient : ndarray of shape (n_rows, k)
            Derivative with respect to W, divided by the row weights: a row with weight two moves
            like two copies of the row.
        Ht_gradient : ndarray of shape (n_columns, k)
            Derivative with respect to Ht, likewise.
        """
        self.check_factors(W, Ht)
        left, right = self.model_factors(W, Ht)
        total, *gradients = self.observations.loss_and_gradient(left, right, self.loss)
        W_gradient, Ht_gradient = self.layout.gradients(*gradients)
        total += self._penalty_value(W) + self.T._penalty_value(Ht)
        return total, self._with_penalty(W_gradient, W), self.T._with_penalty(Ht_gradient, Ht)

    def gradient_parts(self, W, Ht, *, with_loss=False):
        """Return the two parts of the derivative of the loss for non-negative W, without penalties.

        Parameters
        ----------
        W, Ht : ndarray
            The factors, which must be non-negative.
        with_loss : bool
            Whether to compute the loss as well, which needs additional logarithms or powers.

        Returns
        -------
        parts : GradientParts
            The parts, divided by the row weights.
        """
        parts = self.observations.split_gradient(W, Ht, self.loss, with_loss=with_loss)
        loss, negative, positive = parts
        return GradientParts(negative, positive, loss if with_loss else None)

    def prox(self, W, Ht, row_step, column_step):
        """Apply the proximal operators of the nonsmooth parts of the penalties.

        Parameters
        ----------
        W : ndarray of shape (n_rows, k)
            Factor of the samples after a gradient step.
        Ht : ndarray of shape (n_columns, k)
            Factor of the features after a gradient step.
        row_step, column_step : float or ndarray
            Step sizes, for all coefficients, each row or each coefficient.

        Returns
        -------
        W, Ht : ndarray
            The results. If the penalties are smooth, these are the same arrays.
        """
        return self.factor_penalty.prox(W, row_step), self.T.factor_penalty.prox(Ht, column_step)

    def pack(self, W, Ht):
        """Return both factors, or two arrays of the same shapes, as one vector."""
        return np.concatenate([W.ravel(), Ht.ravel()])

    def unpack(self, packed):
        """Return views of the factors in a packed vector."""
        n_rows, n_columns = self.observations.shape
        size = n_rows * self.width
        return packed[:size].reshape(n_rows, -1), packed[size:].reshape(n_columns, -1)

    def inner_product(self, one, other):
        """Return the inner product of two pairs of factors or gradients, with weighted rows."""
        per_row = np.einsum("ik,ik->i", one[0], other[0])
        return float(per_row @ self.row_weight + np.vdot(one[1], other[1]))

    @cached_property
    def row_weight(self):
        weight, n_rows = self.observations.row_weight, self.observations.shape[0]
        return np.ones(n_rows, dtype=self.observations.dtype) if weight is None else weight

    @cached_property
    def weighted_scale(self):
        """Number that multiplies the penalty of each row in the objective, including its weight."""
        return (self.row_weight * self.penalty_scale).astype(np.float64)

    @cached_property
    def _is_free(self):
        """Whether the row factor is not penalized."""
        return self.rows.penalty.is_free and not (self.rows.has_bias and self.rows.bias_ridge)

    def _penalty_value(self, W):
        return 0.0 if self._is_free else self.factor_penalty.value(W, self.weighted_scale)

    def _with_penalty(self, gradient, W):
        return gradient if self._is_free else gradient + self.factor_penalty.slope(W)

    def row_curvature(self, Ht):
        """Return the largest second derivative along any row of W, for a loss of curvature one."""
        design, _ = self.layout.design(Ht)
        curvature = self.factor_penalty.curvature
        if self.rows.penalty.is_rowwise:
            curvature = (curvature * (self.row_weight > 0)).max(initial=0)
        return float(np.linalg.norm(self._gram(design), 2) + curvature)

    def row_metric(self, Ht):
        """Return the mean second derivatives along the rows of W, for a loss of curvature one."""
        design, _ = self.layout.design(Ht)
        weight = self.observations.column_weight
        all_weight = len(design) if weight is None else weight.sum()
        mean_total = np.average(self.observations.row_totals(), weights=self.row_weight)
        mean_scale = np.average(self.penalty_scale, weights=self.row_weight)
        return mean_total / all_weight * self._gram(design) + np.diag(mean_scale * self._ridge)

    def _gram(self, design):
        weight = self.observations.column_weight
        return design.T @ (design if weight is None else design * weight[:, None])

    def balanced(self, W, Ht):
        """Return the same model with each component scaled so that its penalties are smallest.

        A solver that alternates between the factors finds this scale only slowly. It has a closed
        form if the penalties are sums over components, of squares or of norms.

        Parameters
        ----------
        W, Ht : ndarray
            The factors.

        Returns
        -------
        W, Ht : ndarray
            The rescaled factors, or the same arrays if no other scale costs less.
        """
        if not (self._has_costs and self.T._has_costs):
            return W, Ht
        free = self.rows.penalty.is_free, self.columns.penalty.is_free
        left, right = self.layout.components(W), self.layout.components(Ht)
        if all(free):
            scale = even_scale(self._squares(left), self.T._squares(right))
        elif any(free):
            return W, Ht  # the unpenalized side would grow without bound
        else:
            scale = cheapest_scale(*self._costs(left), *self.T._costs(right))
        if (scale == 1).all():
            return W, Ht
        scale = scale.astype(W.dtype)
        W, Ht = W.copy(), Ht.copy()
        self.layout.components(W)[:] /= scale
        self.layout.components(Ht)[:] *= scale
        return W, Ht

    def _squares(self, W):
        """Return the sum of squares of each component."""
        if self.observations.row_weight is None:
            return np.einsum("ik,ik->k", W, W, dtype=np.float64)
        return np.einsum("i,ik,ik->k", self.row_weight, W, W, dtype=np.float64)

    @property
    def _has_costs(self):
        return self.rows.penalty.is_elastic or self.rows.penalty.degree is not None

    def _costs(self, W):
        """Return the costs of each component that scale linearly and quadratically with it."""
        penalty, scale = self.rows.penalty, self.weighted_scale
        if not penalty.is_elastic:
            alone = replace(self.factor_penalty, n_components=1)
            costs = np.array([alone.value(column[:, None], scale) for column in W.T])
            nothing = np.zeros_like(costs)
            return (costs, nothing) if penalty.degree == 1 else (nothing, costs)
        absolute_values = scale @ np.abs(W) if penalty.l1 else np.zeros(W.shape[1])
        squares = _sum_of_squares(scale, W) if penalty.ridge else np.zeros(W.shape[1])
        return penalty.l1 * absolute_values, 0.5 * penalty.ridge * squares

    def batches(self, kind, size, rng):
        """Yield batches of rows or entries in random order.

        Parameters
        ----------
        kind : {"rows", "entries"}
            What the batches consist of.
        size : int
            Maximum size of a batch.
        rng : RandomState
            Controls the order.

        Yields
        ------
        rows : ndarray or slice
            The rows of W in the batch.
        part : Problem
            The problem of the batch. The objectives of all batches add up to that of this problem.
        """
        samples = self.observations
        everything = samples.row_totals() @ self.row_weight
        if kind == "rows":
            order = rng.permutation(samples.shape[0])
            groups = np.split(order, range(size, len(order), size))
            dealt = ((rows, samples.take(rows)) for rows in groups)
        else:
            dealt = ((slice(None), batch) for batch in samples.stored().deal(size, rng))
        for rows, observations in dealt:
            share = observations.row_totals() @ self.row_weight[rows] / everything
            of_columns = replace(self.columns, penalty_scale=self.T.penalty_scale * share)
            of_rows = self.rows
            if kind == "entries":
                of_rows = replace(of_rows, penalty_scale=self.penalty_scale * share)
            yield rows, replace(self, observations=observations, rows=of_rows, columns=of_columns)

    # One factor, with the other one fixed -------------------------------------------------

    def regression(self, Ht):
        """Return the regressions of the rows of W on this Ht."""
        return RowRegression(
            self.observations, self.loss, *self.layout.design(Ht), self.row_penalty
        )

    def solve_rows(self, Ht, W):
        """Return the best W for this Ht under the quadratic bound of the loss at (W, Ht).

        The result is exact for the squared loss and ridge penalties. Otherwise the objective does
        not increase.

        Parameters
        ----------
        Ht : ndarray of shape (n_columns, k)
            The fixed factor.
        W : ndarray of shape (n_rows, k)
            The current rows.

        Returns
        -------
        W : ndarray of shape (n_rows, k)
            The improved rows.
        """
        if not self.rows.penalty.is_elastic:
            return self._approach_rows(Ht, W)
        if not self.rows.penalty.is_smooth:
            return self.descend_rows(Ht, W)
        self.check_factors(W, Ht)
        return self.regression(Ht).solved(W)

    def _approach_rows(self, Ht, W):
        """Return an improved W for this Ht, by a few steps of proximal gradient descent."""
        self.check_factors(W, Ht)
        regression = self.regression(Ht)
        if self.rows.penalty.is_rowwise:
            return regression.stepped(W, MANY_STEPS)
        return regression.approached_together(W, MANY_STEPS).rows

    def refine_rows(self, Ht, W, reduction):
        """Return an improved W for this Ht, by conjugate gradients up to a relative residual."""
        self.check_factors(W, Ht)
        return self.regression(Ht).refined(W, reduction)

    def descend_blocks(self, Ht, W, size):
        """Return an improved W for this Ht, by solving for blocks of coefficients in turn."""
        self.check_factors(W, Ht)
        return self.regression(Ht).solved_in_blocks(W, size)

    def descend_rows(self, Ht, W):
        """Return an improved W for this Ht, by a few rounds of coordinate descent."""
        self.check_factors(W, Ht)
        return self.regression(Ht).lowered(W, FEW_ROUNDS)

    def descend(self, Ht, W, accuracy, order):
        """Make coordinate descent on W for this Ht under the squared loss.

        Parameters
        ----------
        Ht : ndarray of shape (n_columns, k)
            The fixed factor.
        W : ndarray of shape (n_rows, k)
            The initial rows.
        accuracy : tuple of (float, int)
            Largest move of a round relative to the largest coefficient, and maximum number of
            rounds.
        order : ndarray of int of shape (k,) or slice
            Order in which the coefficients of a row are visited.

        Returns
        -------
        descent : Descent
            The rows, their loss, and their initial distance from a stationary point.
        """
        regression = self.regression(Ht)
        if isinstance(order, slice):  # the natural order
            return regression.descended(W, accuracy)
        regression = replace(
            regression,
            design=np.ascontiguousarray(regression.design[:, order]),
            penalty=regression.penalty.of_coefficients(order),
        )
        descent = regression.descended(W[:, order], accuracy)
        rows = np.empty_like(descent.rows)
        rows[:, order] = descent.rows
        return replace(descent, rows=rows)

    def value_after(self, descent, Ht):
        """Return the objective after a descent, from its own result if that is accurate enough."""
        samples = self.observations
        if self.layout.is_plain:
            loss = 0.5 * samples.total_squares + float(descent.loss @ self.row_weight)
            if loss > np.sqrt(np.finfo(samples.dtype).eps) * samples.total_squares:
                return loss + self.penalty(descent.rows, Ht)
        return self.value(descent.rows, Ht)

    def feasible(self, W):
        """Return the nearest rows that satisfy the constraints of the penalty."""
        return self.factor_penalty.prox(W, W.dtype.type(0))

    def bounds(self, W, design):
        """Yield slices of rows, and observations whose squared loss is an upper bound of this loss.

        Parameters
        ----------
        W : ndarray of shape (n_rows, k)
            Rows at whose model ``W @ design.T``, without offsets, the bound touches the loss.
        design : ndarray of shape (n_columns, k)
            The other factor.

        Yields
        ------
        rows : slice
            The rows of a block.
        observations : ObservedMatrix
            The targets and weights of the bound.
        """
        if self.loss.is_squared:
            yield slice(0, len(W)), self.observations
            return
        no_offsets = np.zeros_like(design, shape=len(design))
        all_rows = RowRegression(self.observations, self.loss, design, no_offsets, self.row_penalty)
        for rows, block in self.observations.blocks():
            yield rows, all_rows.of(block, rows).bounded(W[rows]).observations

    def row_systems(self, Ht):
        """Return the normal equations of the rows of W under the squared loss."""
        return self.observations.systems(*self.layout.design(Ht), self.row_penalty)

    def fold_in(self, Ht):
        """Return the best W for this Ht, which defines the codes for any solver; see `fold_in`."""
        return fold_in(self.regression(Ht))


def _sum_of_squares(weight, W):
    """Return the sum of squares of each column in double precision, in chunks that stay cached."""
    parts = (slice(start, start + CHUNK) for start in range(0, len(W), CHUNK))
    return sum(weight[part] @ np.square(W[part], dtype=np.float64) for part in parts)
