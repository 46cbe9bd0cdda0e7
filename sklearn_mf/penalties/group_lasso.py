"""Lengths of groups of coefficients, which are zero together or not at all."""

from typing import Literal

import numpy as np

from sklearn_mf.penalties._base import PENALTIES, BasePenalty
from sklearn_mf.utils._validation import Interval, Real, StrOptions


@PENALTIES.register
class GroupLasso(BasePenalty):
    r"""Lengths of rows or of components, :math:`\alpha \sum_g \|v_g\|_2`.

    A group g becomes zero as a whole where it explains too little. With ``groups="components"``
    components that are not needed vanish. With ``groups="rows"`` features without a relation
    to the others have no part in any component; such a penalty may be that of samples as well.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, at least 0.
    groups : {"components", "rows"}, default="components"
        What is zero together: a column of the tall factor, or one of its rows.
    positive : bool, default=False
        Whether coefficients may not be negative.

    See Also
    --------
    ElasticNet : Each coefficient becomes zero by itself.

    References
    ----------
    Yuan, M. & Lin, Y. (2006). Model selection and estimation in regression with grouped
    variables. Journal of the Royal Statistical Society B 68(1).
    :doi:`10.1111/j.1467-9868.2005.00532.x`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.penalties import GroupLasso
    >>> V = np.array([[3.0, 0.1], [4.0, 0.2]])
    >>> print(GroupLasso().value(V[:, :1]))
    5.0
    >>> print(GroupLasso().prox(V, step=1.0))
    [[2.4 0. ]
     [3.2 0. ]]
    """

    name = "grouplasso"
    _parameter_constraints: dict = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "groups": [StrOptions({"components", "rows"})],
        "positive": ["boolean"],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        groups: Literal["components", "rows"] = "components",
        positive: bool = False,
    ):
        self.alpha = alpha
        self.groups = groups
        self.positive = positive

    @property
    def separable(self):
        """Rows cost by themselves where they are the groups."""
        return "rows" if self.groups == "rows" else "factor"

    @property
    def degree(self):
        """Lengths of components grow as these do."""
        return 1 if self.groups == "components" else None

    @property
    def is_free(self):
        """Whether the value is zero wherever it is finite."""
        return self.alpha == 0

    @property
    def is_rotation_invariant(self):
        """Whether only lengths of rows count."""
        return self.groups == "rows" and not self.positive

    def _lengths(self, V):
        return np.linalg.norm(V, axis=1 if self.groups == "rows" else 0, keepdims=True)

    def value(self, V):
        """Sum of the lengths times alpha; see `BasePenalty.value`."""
        lengths = self.alpha * self._lengths(V)
        return lengths[:, 0] if self.groups == "rows" else float(lengths.sum())

    def prox(self, V, step):
        """Shorten each group by the step, at most to zero; see `BasePenalty.prox`."""
        if self.positive:
            V = np.maximum(V, 0)
        lengths = self._lengths(V)
        shorter = np.maximum(lengths - V.dtype.type(self.alpha) * step, 0)
        share = np.divide(shorter, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return V * share.astype(V.dtype, copy=False) + 0  # no negative zeros
