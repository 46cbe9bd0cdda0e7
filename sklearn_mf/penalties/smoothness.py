"""Differences of adjacent rows, for ordered features such as spectra, curves and time series."""

from typing import Literal

import numpy as np

from sklearn_mf.penalties._base import PENALTIES, BasePenalty
from sklearn_mf.utils._validation import Integral, Interval, Real


@PENALTIES.register
class Smoothness(BasePenalty):
    r"""Squared differences along a factor, :math:`\tfrac\alpha2 \|\Delta^d V\|_F^2`.

    The rows of the factor are ordered, for example by wavelength in a spectrum, and the components
    should be smooth in this order. With differences of order 2, the components are smoothing
    splines: straight lines have no penalty, bends have. A feature without an observed entry is
    interpolated between its neighbors.

    Differences do not limit the size of a component. The other factor therefore needs a penalty of
    its own, and has one by default.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    order : int, default=2
        Order d of the differences. With 1, components tend to constants; with 2, to straight lines.
    positive : bool, default=False
        Whether coefficients must be non-negative.

    See Also
    --------
    Ridge : L2 penalty of the coefficients themselves.

    References
    ----------
    Eilers, P. H. C. (2003). A perfect smoother. Analytical Chemistry 75(14).
    :doi:`10.1021/ac034173t`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf.penalties import Smoothness
    >>> line, bent = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [1.0]])
    >>> print(Smoothness().value(line), Smoothness().value(bent))
    0.0 2.0
    """

    name = "smoothness"
    separable = "factor"
    is_smooth_where_allowed = True
    degree = 2
    _parameter_constraints: dict = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "order": [Interval(Integral, 1, None, closed="left")],
        "positive": ["boolean"],
    }

    def __init__(
        self, alpha: float = 1.0, order: int = 2, positive: Literal["W", "H", False, True] = False
    ):
        self.alpha = alpha
        self.order = order
        self.positive = positive

    @property
    def is_smooth(self):
        """Whether coefficients are unconstrained."""
        return not self.positive

    @property
    def is_rotation_invariant(self):
        """Whether the value does not change if all rows are rotated: if they are unconstrained."""
        return not self.positive

    @property
    def is_free(self):
        """Whether the value is zero wherever it is finite."""
        return self.alpha == 0

    @property
    def curvature(self):
        """An upper bound of the eigenvalues: each difference at most doubles the norm."""
        return self.alpha * 4.0**self.order

    def value(self, V):
        """Return alpha times half the squared differences; see `BasePenalty.value`."""
        return 0.5 * self.alpha * float(np.sum(self._differences(V) ** 2, dtype=np.float64))

    def gradient(self, V):
        """Apply the differences and their transpose; see `BasePenalty.gradient`."""
        if len(V) <= self.order:
            return np.zeros_like(V)
        padded = np.pad(self._differences(V), ((self.order, self.order), (0, 0)))
        sign = V.dtype.type((-1) ** self.order * self.alpha)
        return sign * np.diff(padded, n=self.order, axis=0)

    def prox(self, V, step):
        """Clip at zero if coefficients must be non-negative; see `BasePenalty.prox`."""
        return np.maximum(V, 0) if self.positive else V

    def _differences(self, V):
        return np.diff(V, n=self.order, axis=0)
