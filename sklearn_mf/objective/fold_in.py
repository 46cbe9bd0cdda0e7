"""The best rows for a fixed factor: what codes mean, whatever solver found the components.

Under the squared loss rows are solved; under others they iterate, by Newton's steps or those of a
bound of the loss, until one after the other rests.
"""

from dataclasses import replace

import numpy as np

from sklearn_mf.objective.multiplicative import first_codes
from sklearn_mf.objective.regression import RowRegression
from sklearn_mf.observations import Runaways, of_ordinary_size
from sklearn_mf.utils._threads import in_threads, one_blas_thread

# Steps of a row, and how often one is halved.
ITERATIONS, MAX_HALVINGS = 500, 30
# So many entries at a time are several blocks for every thread, each worth the calls.
BLOCK = 1 << 18


def fold_in(regression: RowRegression):
    """The best rows of regressions under any loss and penalty.

    Rows do not influence one another: each starts at zero and stops by itself. What iterates does
    so in double precision: in single precision, rounding error along directions that cost next to
    nothing adds up.

    Parameters
    ----------
    regression : RowRegression
        Of every row.

    Returns
    -------
    W : ndarray of shape (n_rows, k)
        In the precision of the design.
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

    with one_blas_thread():  # between kernels and elementwise work its threads only wait
        work = W.size * regression.observations.shape[1]
        in_threads(of_block, regression.observations.blocks(BLOCK), work)
    return W


def _without_zeros(regression):
    """Regressions with the same solutions, that do not look at observed zeros.

    Where a zero costs its model value, all of them together are a linear form of the codes, which
    are not negative: a penalty of absolute values. It counts every column, so that nonzeros are
    left with their loss less their model value.
    """
    observations, loss, penalty = regression.observations, regression.loss, regression.penalty
    nonzeros = observations.nonzeros if loss.loss_at_zero_equals_model else None
    if nonzeros is None or not penalty.is_elastic:
        return regression
    # The same for all rows.
    model = observations.weighted_sum(regression.design) / penalty.scale[0]
    penalty = penalty._replace(l1=penalty.l1 + model)
    return replace(regression, observations=nonzeros, loss=loss.less_model, penalty=penalty)


def _iterated(regression, tol):
    """Rows that step until no coefficient moves by more than a share of the largest."""
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
    """Shorten the step of the rows whose cost would rise: Newton's may be too long."""
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
