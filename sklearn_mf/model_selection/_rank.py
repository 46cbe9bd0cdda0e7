"""Rank selection for complete data without fitting a model."""

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from sklearn.utils import check_random_state

from sklearn_mf.utils._typing import MatrixLike, RandomState
from sklearn_mf.utils._validation import (
    Integral,
    Interval,
    StrOptions,
    check_complete,
    validate_params,
)

__all__ = ["select_rank"]


@validate_params(
    {
        "method": [StrOptions({"gavish-donoho", "parallel"})],
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def select_rank(
    X: MatrixLike,
    *,
    method: str = "gavish-donoho",
    n_permutations: int = 20,
    random_state: RandomState = None,
) -> int:
    r"""Number of components of a complete matrix that exceed the noise.

    With singular values :math:`\sigma_1 \ge \sigma_2 \ge \dots` of X, the optimal hard threshold
    for noise of unknown size gives

    .. math::

        \hat k = \#\{i : \sigma_i > \omega(\beta)\, \sigma_\mathrm{med}\},
        \qquad \omega(\beta) = \lambda(\beta) / \sqrt{\mu_\beta},

    where :math:`\sigma_\mathrm{med}` is their median, :math:`\beta \le 1` the ratio of the sides
    of X, :math:`\mu_\beta` the median of the Marchenko-Pastur distribution, and
    :math:`\lambda(\beta)^2 = 2(\beta + 1) + 8\beta / (\beta + 1 + \sqrt{\beta^2 + 14\beta + 1})`.
    Parallel analysis counts the leading singular values above the 95 % quantile of the
    corresponding singular values of X after a permutation of each column.

    Read more in the :ref:`User Guide <choosing_the_rank>`.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Complete data. They are not centered: center them first if necessary.
    method : {"gavish-donoho", "parallel"}, default="gavish-donoho"
        "gavish-donoho" is the optimal hard threshold for white noise of unknown size. "parallel" is
        parallel analysis, for noise whose size differs between columns.
    n_permutations : int, default=20
        Number of permutations of the columns for "parallel".
    random_state : int, RandomState instance or None, default=None
        Controls the permutations.

    Returns
    -------
    rank : int
        Number of leading singular values above the threshold; 0 if there are none.

    Raises
    ------
    ValueError
        If `X` is not complete, or `method` or `n_permutations` is invalid.

    See Also
    --------
    RankSearchCV : Also for data with missing values, penalties and other losses.

    Notes
    -----
    The median is that of the noise only if the rank is much smaller than half of the shorter side.

    References
    ----------
    Gavish, M. & Donoho, D. L. (2014). The optimal hard threshold for singular values is
    4/sqrt(3). IEEE Trans. Inf. Theory 60(8). :doi:`10.1109/TIT.2014.2323359`

    Horn, J. L. (1965). A rationale and test for the number of factors in factor analysis.
    Psychometrika 30(2). :doi:`10.1007/BF02289447`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import select_rank
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3)) @ rng.standard_normal((3, 20))
    >>> X += 0.5 * rng.standard_normal(X.shape)
    >>> select_rank(X)
    3
    >>> select_rank(X, method="parallel", random_state=0)
    3
    """
    X = check_complete(X, "X")
    values = np.linalg.svd(X, compute_uv=False)
    if method == "gavish-donoho":
        return int((values > _hard_threshold(X.shape) * np.median(values)).sum())
    rng = check_random_state(random_state)
    noise = [
        np.linalg.svd(
            np.column_stack([rng.permutation(column) for column in X.T]), compute_uv=False
        )
        for _ in range(n_permutations)
    ]
    above = values > np.quantile(noise, 0.95, axis=0)
    return int(np.cumprod(above).sum())


def _hard_threshold(shape):
    """Return equation 5 of the paper: lambda(beta) over the root of the median."""
    beta = min(shape) / max(shape)
    low, high = (1 - beta**0.5) ** 2, (1 + beta**0.5) ** 2

    half = (high - low) / 2

    def density(angle):  # substitution x = low + rise, smooth at both ends
        rise = 2 * half * np.sin(angle / 2) ** 2
        return half * (1 + np.cos(angle)) * rise / (low + rise) / (2 * np.pi * beta)

    angle = brentq(lambda a: quad(density, 0, a)[0] - 0.5, 1e-6, np.pi)
    median = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    root = (beta**2 + 14 * beta + 1) ** 0.5
    return (2 * (beta + 1) + 8 * beta / (beta + 1 + root)) ** 0.5 / median**0.5
