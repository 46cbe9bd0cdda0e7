"""Rows improved by coordinate descent on their normal equations: the twin of ``reference``.

The gradient of a row is kept up to date: a coefficient that moves costs one pass over its row
of the Gram matrix, one that stays costs nothing.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.math cimport fabs
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

import numpy as np


cdef void descend_row(
    int k, const floating* gram, const floating* moments, floating scale,
    const floating* ridge, const floating* l1, const floating* lower, floating tol,
    int max_rounds, floating* gradient, floating* v,
) noexcept nogil:
    cdef int _round, c, j
    cdef floating curvature, goal, size, after, step, moved, largest
    cdef const floating* row
    for c in range(k):
        gradient[c] = scale * ridge[c] * v[c] - moments[c]
    for c in range(k):
        if v[c] != 0:
            for j in range(k):
                gradient[j] += v[c] * gram[<int64_t>c * k + j]
    for _round in range(max_rounds):
        moved = 0
        largest = 0
        for c in range(k):
            row = gram + <int64_t>c * k
            curvature = row[c] + scale * ridge[c]
            after = 0
            if curvature > 0:
                goal = curvature * v[c] - gradient[c]
                size = <floating>fabs(goal) - scale * l1[c]
                if size > 0:
                    after = (size if goal > 0 else -size) / curvature
                if after < lower[c]:
                    after = lower[c]
            step = after - v[c]
            if step != 0:
                for j in range(k):
                    gradient[j] += step * row[j]
                gradient[c] += step * scale * ridge[c]
                v[c] = after
                moved = max(moved, <floating>fabs(step))
            largest = max(largest, <floating>fabs(after))
        if not moved > tol * largest:
            return


def descend_rows(grams, moments, penalty, start, tol, max_rounds, n_threads):
    """See ``sklearn_mf.kernels.reference.descend_rows``."""
    return _descend_rows(grams, moments, *penalty, start, tol, max_rounds, n_threads)


def _descend_rows(
    const floating[:, :, ::1] grams, const floating[:, ::1] moments, const floating[::1] scale,
    const floating[::1] ridge, const floating[::1] l1, const floating[::1] lower, start,
    double tol, int max_rounds, int n_threads,
):
    cdef int64_t i, n_rows = moments.shape[0]
    cdef int k = moments.shape[1]
    solution = np.array(start)
    if k == 0 or n_rows == 0:
        return solution
    cdef floating[:, ::1] out = solution
    cdef int64_t step = <int64_t>k * k if grams.shape[0] > 1 else 0
    cdef floating* gradient = NULL
    cdef bint failed = False
    with nogil, parallel(num_threads=n_threads):
        gradient = <floating*>malloc(k * sizeof(floating))
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if gradient == NULL:
                failed |= True
            else:
                descend_row(
                    k, &grams[0, 0, 0] + i * step, &moments[i, 0], scale[i], &ridge[0], &l1[0],
                    &lower[0], <floating>tol, max_rounds, gradient, &out[i, 0],
                )
        free(gradient)
    if failed:
        raise MemoryError("No memory for the scratch space of the row solver.")
    return solution
