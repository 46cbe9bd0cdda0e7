"""Alternating least squares."""

from sklearn_mf.solvers._base import SOLVERS, BaseSolver


@SOLVERS.register
class ALS(BaseSolver):
    """Alternating least squares: each factor in turn solved exactly, the other fixed.

    With H fixed the rows of W are independent ridge regressions on their observed
    entries, solved by Cholesky's method; rows without entries and singular systems take
    the minimum-norm solution. Other losses than the squared are replaced by their
    quadratic bound at the current factors. The objective never rises.

    A sweep costs ``O(n_observed * k**2 + (n_samples + n_features) * k**3)``.

    See Also
    --------
    Spectral : Exact where nothing is missing.
    GradientDescent : For losses without a quadratic bound.

    References
    ----------
    Zhou, Y., Wilkinson, D., Schreiber, R. & Pan, R. (2008). Large-scale parallel
    collaborative filtering for the Netflix prize. AAIM 2008.
    :doi:`10.1007/978-3-540-68880-8_32`

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mf import MatrixFactorization
    >>> from sklearn_mf.solvers import ALS
    >>> X = np.array([[1.0, 2.0], [2.0, np.nan], [3.0, 6.0]])
    >>> model = MatrixFactorization(1, solver=ALS()).fit(X)
    >>> print(model.inverse_transform(model.transform(X)).round(2))
    [[1. 2.]
     [2. 4.]
     [3. 6.]]
    """

    name = "als"
    requires_loss = ("quadratic",)

    def _step(self, problem, state):
        W = problem.solve_rows(state.Ht, state.W)
        Ht = problem.T.solve_rows(W, state.Ht)
        state.W, state.Ht = problem.balanced(W, Ht)
        return problem.value(state.W, state.Ht)
