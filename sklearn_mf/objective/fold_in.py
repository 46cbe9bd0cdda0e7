"""The fold-in: the optimal rows (codes) for a fixed factor, independent of the solver.

Under the squared loss, rows have an exact solution. Under other losses they are iterated, by Newton
steps or by minimizing a quadratic bound of the loss, until each row has converged.
"""

from dataclasses import replace

import numpy as np

from sklearn_mf.objective.multiplicative import first_codes
from sklearn_mf.objective.regression import RowRegression
from sklearn_mf.observations import Runaways, of_ordinary_size
from sklearn_mf.utils._threads import in_threads, one_blas_thread

# Maximum number of steps of a row, and maximum number of times that a step is halved.
ITERATIONS, MAX_HALVINGS = 500, 30
# Number of entries in a block: several blocks for every thread, each large enough.
BLOCK = 1 << 18


def fold_in(regression: RowRegression):
    """Return the optimal rows of regressions with any loss and penalty.

    The rows do not depend on one another: each starts at zero and stops separately. Iterative
    methods use double precision, because in single precision rounding errors accumulate along
    directions with almost no cost.

    Parameters
    ----------
    regression : RowRegression
        The regressions of all rows.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        The optimal rows, in the precision of the design.
    """
    design, n_rows = regression.design, regression.observations.shape[0]
    W = np.zeros_like(design, shape=(n_rows, design.shape[1]))
    loss = regression.loss
    if loss.is_squared and not regression.penalty.is_elastic:
        return regression.best(W)
    if loss.is_squared:
        design, penalty, size = of_ordinary_size(design, regression.penalty)
        rows = replace(regression, design=design, penalty=penalty).best(W)
        return rows if (size == 1).all() else rows / size
    tol = 1e-8 if loss.takes_any_model else 1e-10
    tol = max(tol, 10 * np.finfo(W.dtype).eps)
    regression = _without_zeros(regression)
    regression = replace(
        regression,
        loss=regression.loss.for_codes,
        design=regression.design.astype(np.float64),
        offsets=regression.offsets.astype(np.float64),
        penalty=regression.penalty.of_type(np.float64),
    )

    def of_block(part):
        rows, block = part
        W[rows] = _iterated(regression.of(block.in_double(), rows), tol)

    with one_blas_thread():  # the threads of BLAS would only spin between other work
        work = W.size * regression.observations.shape[1]
        in_threads(of_block, regression.observations.blocks(BLOCK), work)
    return W


def _without_zeros(regression):
    """Return regressions with the same solutions that do not iterate over observed zeros.

    If the loss of a zero equals its model value, the sum over all entries of the model values is a
    linear form of the codes. The codes are non-negative, so this form is an L1 penalty. It also
    counts the nonzero entries, whose loss is therefore reduced by their model value.
    """
    observations, loss, penalty = regression.observations, regression.loss, regression.penalty
    nonzeros = observations.nonzeros if loss.loss_at_zero_equals_model else None
    if nonzeros is None or not penalty.is_elastic:
        return regression
    # This sum is the same for all rows.
    model = observations.weighted_sum(regression.design) / penalty.scale[0]
    penalty = penalty._replace(l1=penalty.l1 + model)
    return replace(regression, observations=nonzeros, loss=loss.less_model, penalty=penalty)


def _iterated(regression, tol):
    """Iterate each row until no coefficient moves by more than a fraction of the largest one."""
    loss, design, block = regression.loss, regression.design, regression.observations
    if loss.takes_any_model:
        codes = np.zeros((block.shape[0], design.shape[1]))
    else:
        codes = first_codes(block, loss, design, regression.penalty)
    moving = np.arange(len(codes))
    is_bounded = hasattr(loss, "quadratic")
    runaways = Runaways(block, regression.penalty, is_bounded=is_bounded)
    for _ in range(ITERATIONS):
        part, before = regression.of_rows(moving), codes[moving]
        bound = part.bounded(before)
        after = bound.best(before)
        if not is_bounded:
            after = _halved(part, before, after)
        codes[moving] = after
        change = np.abs(after - before).max(axis=1, initial=0)
        moves = change > tol * np.abs(after).max(axis=1, initial=0)
        is_runaway = runaways.found(moving, bound.observations, after - before, design)
        moving = moving[moves & ~is_runaway]
        if len(moving) == 0:
            break
    return codes


def _halved(regression, before, after):
    """Halve the steps of rows whose cost would increase, because Newton steps may be too long."""
    rows = np.arange(len(after))
    limit = regression.costs(before)
    rows = rows[~(regression.costs(after) <= limit)]
    for _ in range(MAX_HALVINGS):
        if len(rows) == 0:
            return after
        after[rows] = (after[rows] + before[rows]) / 2
        rows = rows[~(regression.of_rows(rows).costs(after[rows]) <= limit[rows])]
    after[rows] = before[rows]
    return after
