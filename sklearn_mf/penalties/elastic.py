"""L2 and L1 penalties, which the kernels handle by their strengths."""

from typing import Literal

import numpy as np

from sklearn_mf.penalties._base import PENALTIES, BasePenalty

# In a unit in which the data have size one, this strength already makes all coefficients
# negligible; a larger one might overflow float32.
STRONGEST = 1e18


class ElasticPenalty(BasePenalty):
    """Base class of penalties that `ridge`, `l1` and `positive` describe completely.

    Attributes
    ----------
    ridge : float
        The number that the penalty adds to the diagonal of the normal equations.
    l1 : float
        Factor of the sum of absolute values.
    """

    separable = "entries"
    is_elastic = True
    # These properties follow from the declarations. They are constants here because every iteration
    # reads them.
    is_rowwise = True
    has_gradient = True
    has_curvature = True
    ridge = 0.0
    l1 = 0.0

    @property
    def is_smooth(self):
        """Whether the penalty is smooth and unconstrained, so that `prox` is never needed."""
        return self.l1 == 0 and not self.positive

    @property
    def is_smooth_where_allowed(self):
        """Whether the penalty is smooth, except for a non-negativity constraint."""
        return self.l1 == 0 or self.positive

    @property
    def is_rotation_invariant(self):
        """Whether the value does not change if all rows are rotated: only for L2 penalties."""
        return self.is_smooth

    @property
    def curvature(self):
        """Second derivative of the smooth part."""
        return self.ridge


@PENALTIES.register
class Ridge(ElasticPenalty):
    """L2 penalty, ``alpha / 2 * |v|^2``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.penalties import Ridge
    >>> print(Ridge(alpha=2.0).value(np.array([[3.0, 4.0]])))
    [25.]
    """

    name = "ridge"

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def in_unit(self, unit, of_objective):
        """See `BasePenalty.in_unit`."""
        return Ridge(min(self.alpha * unit**2 / of_objective, STRONGEST))

    @property
    def ridge(self):
        """The number that the penalty adds to the diagonal of the normal equations."""
        return self.alpha

    @property
    def is_free(self):
        """Whether the value is zero everywhere."""
        return self.alpha == 0

    def value(self, V):
        """Return alpha times half the squared norm; see `BasePenalty.value`."""
        return 0.5 * self.alpha * np.einsum("ik,ik->i", V, V)

    def gradient(self, V):
        """Return alpha times the row; see `BasePenalty.gradient`."""
        return self.alpha * V


@PENALTIES.register
class ElasticNet(ElasticPenalty):
    """L1 and L2 penalty, ``alpha * (l1_ratio |v|_1 + (1 - l1_ratio)/2 |v|^2)``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    l1_ratio : float, default=0.5
        Fraction of the L1 penalty, in [0, 1]. The L1 penalty sets coefficients exactly to zero.
    positive : bool, default=False
        Whether coefficients must be non-negative.

    See Also
    --------
    Ridge : The L2 penalty alone.

    References
    ----------
    Zou, H. & Hastie, T. (2005). Regularization and variable selection via the elastic net.
    Journal of the Royal Statistical Society B 67(2).
    :doi:`10.1111/j.1467-9868.2005.00503.x`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.penalties import ElasticNet
    >>> penalty = ElasticNet(alpha=2.0, l1_ratio=0.5)
    >>> print(penalty.value(np.array([[3.0, -4.0]])))
    [19.5]
    >>> print(penalty.prox(np.array([[3.0, -4.0, 0.2]]), step=0.5))
    [[ 2.5 -3.5  0. ]]
    """

    name = "elasticnet"

    def __init__(
        self,
        alpha: float = 1.0,
        l1_ratio: float = 0.5,
        positive: Literal["W", "H", False, True] = False,
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive

    def in_unit(self, unit, of_objective):
        """See `BasePenalty.in_unit`."""
        l1 = min(self.l1 * unit / of_objective, STRONGEST)
        ridge = min(self.ridge * unit**2 / of_objective, STRONGEST)
        share = l1 / (l1 + ridge) if l1 + ridge else self.l1_ratio
        return ElasticNet(l1 + ridge, share, self.positive)

    @property
    def ridge(self):
        """The number that the penalty adds to the diagonal of the normal equations."""
        return self.alpha * (1 - self.l1_ratio)

    @property
    def l1(self):
        """Factor of the sum of absolute values."""
        return self.alpha * self.l1_ratio

    @property
    def is_free(self):
        """Whether the value is zero wherever it is finite."""
        return self.alpha == 0

    def value(self, V):
        """Return the weighted sum of the L1 and L2 penalties; see `BasePenalty.value`."""
        return self.l1 * np.abs(V).sum(axis=1) + 0.5 * self.ridge * np.einsum("ik,ik->i", V, V)

    def gradient(self, V):
        """Return the ridge times the row; see `BasePenalty.gradient`."""
        return V.dtype.type(self.ridge) * V

    def prox(self, V, step):
        """Apply soft thresholding, and set negative numbers to zero; see `BasePenalty.prox`."""
        threshold = np.asarray(step * self.l1, dtype=V.dtype)
        if self.positive:
            return np.maximum(V - threshold if self.l1 else V, 0)
        return np.sign(V) * np.maximum(np.abs(V) - threshold, 0)
