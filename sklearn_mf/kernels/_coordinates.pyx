"""Rows improved by coordinate descent on their normal equations: the twin of ``reference``.

Rows with a Gram matrix each descend one by one: the gradient of a row is kept up to date, so that a
coefficient that moves costs one pass over its row of the Gram matrix, and one that stays costs
nothing. Rows that share their Gram matrix descend side by side in vectors: see ``_row_system.h``.
What descent would reach only slowly, the minimum for given zeros and signs, a linear system tells.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.math cimport fabs
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_mf.kernels._row_system cimport (
    choose_double_system, choose_float_system, double_system, float_system, panel_penalty
)

cdef const float_system* singles = choose_float_system()
cdef const double_system* doubles = choose_double_system()


def descend_rows(grams, moments, penalty, start, tol, max_rounds, n_threads):
    """See ``sklearn_mf.kernels.reference.descend_rows``."""
    solution = np.array(start)
    violation = np.zeros_like(solution, shape=len(solution))
    if solution.size:
        descend = _descend_together if len(grams) == 1 else _descend_singly
        descend(grams, moments, *penalty, tol, max_rounds, n_threads, solution, violation)
    return solution, violation


# Rows with a Gram matrix each ------------------------------------------------------------


cdef floating descend_row(
    int k, const floating* gram, const floating* moments, floating scale,
    const floating* ridge, const floating* l1, const floating* lower, floating tol,
    int max_rounds, floating* gradient, floating* v,
) noexcept nogil:
    """What the first round found the projected gradient to be."""
    cdef int round, c, j
    cdef floating curvature, goal, size, slope, after, step, moved, largest, violation = 0
    cdef const floating* row
    for c in range(k):
        gradient[c] = scale * ridge[c] * v[c] - moments[c]
    for c in range(k):
        if v[c] != 0:
            for j in range(k):
                gradient[j] += v[c] * gram[<int64_t>c * k + j]
    for round in range(max_rounds):
        moved = 0
        largest = 0
        for c in range(k):
            row = gram + <int64_t>c * k
            curvature = row[c] + scale * ridge[c]
            if round == 0:
                slope = gradient[c]
                if v[c] != 0:
                    slope = <floating>fabs(slope + (scale if v[c] > 0 else -scale) * l1[c])
                elif slope > 0 and lower[c] == 0:
                    slope = 0
                else:
                    slope = max(<floating>fabs(slope) - scale * l1[c], 0)
                violation += slope
            # What no data and no ridge speak of stays: if zero, both factors might never leave it.
            after = v[c]
            if curvature > 0:
                after = 0
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
            break
    return violation


def _descend_singly(
    const floating[:, :, ::1] grams, const floating[:, ::1] moments, const floating[::1] scale,
    const floating[::1] ridge, const floating[::1] l1, const floating[::1] lower, double tol,
    int max_rounds, int n_threads, floating[:, ::1] solution, floating[::1] violation,
):
    cdef int64_t i, n_rows = solution.shape[0]
    cdef int k = solution.shape[1]
    cdef floating* gradient = NULL
    cdef bint failed = False
    with nogil, parallel(num_threads=n_threads):
        gradient = <floating*>malloc(k * sizeof(floating))
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if gradient == NULL:
                failed |= True
            else:
                violation[i] = descend_row(
                    k, &grams[i, 0, 0], &moments[i, 0], scale[i], &ridge[0], &l1[0], &lower[0],
                    <floating>tol, max_rounds, gradient, &solution[i, 0],
                )
        free(gradient)
    if failed:
        raise MemoryError("No memory for the scratch space of the row solver.")


# Rows that share theirs ------------------------------------------------------------------


cdef void descend_abreast(
    int64_t first, int64_t n, int k, const floating* gram, const panel_penalty* penalty,
    const floating[:, ::1] moments, const floating[::1] scale, floating tol, int max_rounds,
    floating* scratch, floating[:, ::1] solution, floating[::1] violation,
) noexcept nogil:
    """Rows from ``first`` on, n of them: as many as fit into vectors, or the last few."""
    cdef int abreast = singles.abreast if floating is float else doubles.abreast
    cdef floating* rows = scratch
    cdef floating* targets = rows + <int64_t>k * abreast
    cdef floating* scales = targets + <int64_t>k * abreast
    cdef floating* violations = scales + abreast
    cdef int64_t i
    cdef int c
    for i in range(abreast):
        # Beyond the last row are rows of zeros, which stay.
        scales[i] = scale[first + i] if i < n else 0
        violations[i] = 0
        for c in range(k):
            rows[c * abreast + i] = solution[first + i, c] if i < n else 0
            targets[c * abreast + i] = moments[first + i, c] if i < n else 0
    if floating is float:
        singles.descend_panel(
            k, gram, penalty, scales, targets, tol, max_rounds, rows, violations
        )
    else:
        doubles.descend_panel(
            k, gram, penalty, scales, targets, tol, max_rounds, rows, violations
        )
    for i in range(n):
        violation[first + i] = violations[i]
        for c in range(k):
            solution[first + i, c] = rows[c * abreast + i]


def _descend_together(
    const floating[:, :, ::1] grams, const floating[:, ::1] moments, const floating[::1] scale,
    const floating[::1] ridge, const floating[::1] l1, const floating[::1] lower, double tol,
    int max_rounds, int n_threads, floating[:, ::1] solution, floating[::1] violation,
):
    cdef int64_t i, n_rows = solution.shape[0]
    cdef int k = solution.shape[1]
    cdef int abreast = singles.abreast if floating is float else doubles.abreast
    cdef int64_t n_panels = (n_rows + abreast - 1) // abreast
    cdef panel_penalty penalty
    penalty.ridge, penalty.l1, penalty.lower = &ridge[0], &l1[0], &lower[0]
    cdef void* memory = NULL
    cdef floating* scratch = NULL
    cdef bint failed = False
    with nogil, parallel(num_threads=n_threads):
        memory = calloc(64 + <int64_t>(2 * k + 2) * abreast * sizeof(floating), 1)
        scratch = <floating*>((<uintptr_t>memory + 63) // 64 * 64)
        for i in prange(n_panels, schedule="dynamic", chunksize=4):
            if memory == NULL:
                failed |= True
            else:
                descend_abreast(
                    i * abreast, min(abreast, n_rows - i * abreast), k, &grams[0, 0, 0],
                    &penalty, moments, scale, <floating>tol, max_rounds, scratch, solution,
                    violation,
                )
        free(memory)
    if failed:
        raise MemoryError("No memory for the scratch space of the row solver.")


# The minimum for given zeros ----------------------------------------------------------------


cdef int solve_for(
    int n, const int* free_ones, int k, int stride, const floating* gram, const floating* moments,
    floating scale, const floating* ridge, const floating* l1, floating* scratch,
    const floating* v, floating eps,
) noexcept nogil:
    """The minimum over some coefficients, first in the scratch space. 1 where it is singular."""
    cdef floating* solution = scratch
    cdef floating* inverse = scratch + stride
    cdef floating* b = scratch + 2 * stride
    cdef floating* A = scratch + 3 * stride
    cdef int p, q, c
    memset(scratch, 0, <size_t>(stride + 3) * stride * sizeof(floating))
    for p in range(n):
        c = free_ones[p]
        b[p] = moments[c]
        if v[c] != 0:
            b[p] -= (scale if v[c] > 0 else -scale) * l1[c]
        for q in range(p, n):
            A[p * stride + q] = gram[<int64_t>c * k + free_ones[q]]
        A[p * stride + p] += scale * ridge[c]
    if floating is float:
        return singles.solve(n, stride, A, b, inverse, solution, eps)
    else:
        return doubles.solve(n, stride, A, b, inverse, solution, eps)


cdef bint is_held(floating l1, floating lower) noexcept nogil:
    """Whether a coefficient that is zero stays, and another one must not change its sign."""
    return l1 > 0 or lower == 0


cdef floating way_to_zero(floating before, floating after, bint held) noexcept nogil:
    """Share of the way to another value that a coefficient may go."""
    # Signs, not their product, which may underflow.
    if held and not (after > 0 if before > 0 else after < 0):
        return before / (before - after)
    return 1


cdef void solve_active_set_row(
    int k, const floating* gram, const floating* moments, floating scale, const floating* ridge,
    const floating* l1, const floating* lower, floating* scratch, int* free_ones, floating eps,
    floating* v,
) noexcept nogil:
    cdef int panel = singles.panel if floating is float else doubles.panel
    cdef int n, p, c
    cdef floating share, own
    while True:
        n = 0
        for c in range(k):
            if (v[c] != 0 or not is_held(l1[c], lower[c])) and (
                gram[<int64_t>c * k + c] + scale * ridge[c] > 0
            ):
                free_ones[n] = c
                n += 1
        if n == 0 or solve_for(
            n, free_ones, k, (n + panel - 1) // panel * panel, gram, moments, scale, ridge, l1,
            scratch, v, eps,
        ):
            return
        # As far as no coefficient changes its sign.
        share = 1
        for p in range(n):
            c = free_ones[p]
            share = min(share, way_to_zero(v[c], scratch[p], is_held(l1[c], lower[c])))
        for p in range(n):
            c = free_ones[p]
            own = way_to_zero(v[c], scratch[p], is_held(l1[c], lower[c]))
            if share == 1:
                v[c] = scratch[p]
            elif own <= share:
                v[c] = 0
            else:
                v[c] += share * (scratch[p] - v[c])
        if share == 1:
            return


def solve_active_set_rows(grams, moments, penalty, start, n_threads):
    """See ``sklearn_mf.kernels.reference.solve_active_set_rows``."""
    solution = np.array(start)
    if solution.size:
        # Descent goes on from what is solved, so that a part of the digits is worth having.
        eps = 0.1 * np.finfo(solution.dtype).eps
        _solve_active_sets(grams, moments, *penalty, eps, n_threads, solution)
    return solution


def _solve_active_sets(
    const floating[:, :, ::1] grams, const floating[:, ::1] moments, const floating[::1] scale,
    const floating[::1] ridge, const floating[::1] l1, const floating[::1] lower, double eps,
    int n_threads, floating[:, ::1] solution,
):
    cdef int64_t i, n_rows = solution.shape[0], step = grams.shape[0] > 1
    cdef int k = solution.shape[1]
    cdef int panel = singles.panel if floating is float else doubles.panel
    cdef int64_t stride = (k + panel - 1) // panel * panel
    cdef void* memory = NULL
    cdef floating* scratch = NULL
    cdef int* free_ones = NULL
    cdef bint failed = False
    with nogil, parallel(num_threads=n_threads):
        memory = malloc(64 + (stride + 3) * stride * sizeof(floating) + k * sizeof(int))
        scratch = <floating*>((<uintptr_t>memory + 63) // 64 * 64)
        free_ones = <int*>(scratch + (stride + 3) * stride)
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if memory == NULL:
                failed |= True
            else:
                solve_active_set_row(
                    k, &grams[i * step, 0, 0], &moments[i, 0], scale[i], &ridge[0], &l1[0],
                    &lower[0], scratch, free_ones, <floating>eps, &solution[i, 0],
                )
        free(memory)
    if failed:
        raise MemoryError("No memory for the scratch space of the row solver.")
