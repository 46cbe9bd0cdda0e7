"""The group lasso, which sets whole groups of coefficients to zero."""

from typing import Literal

import numpy as np

from sklearn_mf.penalties._base import PENALTIES, BasePenalty
from sklearn_mf.utils._validation import Interval, Real, StrOptions


@PENALTIES.register
class GroupLasso(BasePenalty):
    r"""Group lasso on rows or components, :math:`\alpha \sum_g \|v_g\|_2`.

    A group g that explains too little is set to zero as a whole. With ``groups="components"``,
    components that are not needed vanish. With ``groups="rows"``, features that are unrelated to
    the others take part in no component; with these groups the penalty can also be used for the
    samples.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    groups : {"components", "rows"}, default="components"
        The groups: the columns of the tall factor (components), or its rows.
    positive : bool, default=False
        Whether coefficients must be non-negative.

    See Also
    --------
    ElasticNet : Sets single coefficients to zero.

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
        """The parts of which the penalty is a sum: rows, if they are the groups."""
        return "rows" if self.groups == "rows" else "factor"

    @property
    def degree(self):
        """The exponent of the scale of a component: its norm is multiplied by the same number."""
        return 1 if self.groups == "components" else None

    @property
    def is_free(self):
        """Whether the value is zero wherever it is finite."""
        return self.alpha == 0

    @property
    def is_rotation_invariant(self):
        """Whether the value does not change if all rows are rotated: if rows are the groups."""
        return self.groups == "rows" and not self.positive

    def _lengths(self, V):
        return np.linalg.norm(V, axis=1 if self.groups == "rows" else 0, keepdims=True)

    def value(self, V):
        """Return alpha times the sum of the norms; see `BasePenalty.value`."""
        lengths = self.alpha * self._lengths(V)
        return lengths[:, 0] if self.groups == "rows" else float(lengths.sum())

    def prox(self, V, step):
        """Shorten the norm of each group by the step, at most to zero; see `BasePenalty.prox`."""
        if self.positive:
            V = np.maximum(V, 0)
        lengths = self._lengths(V)
        shorter = np.maximum(lengths - V.dtype.type(self.alpha) * step, 0)
        share = np.divide(shorter, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return V * share.astype(V.dtype, copy=False) + 0  # turns -0.0 into 0.0
