"""Rows improved by conjugate gradients: the compiled twin of ``reference``.

Nothing of size k x k is formed: a step looks at every entry of the row once.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_mf.kernels._row_system cimport (
    choose_double_system, choose_float_system, double_system, float_system
)

ctypedef fused index_t:
    int32_t
    int64_t

cdef const float_system* singles = choose_float_system()
cdef const double_system* doubles = choose_double_system()

# Entries of a row that are looked up at a time.
cdef enum:
    BLOCK = 128


cdef void add_image(
    int64_t n_entries, int k, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, const floating* vector, floating* out,
) noexcept nogil:
    """out += D' w (t - D vector), without targets out += D' w D vector, D the row's design."""
    cdef const floating* rows[BLOCK]
    cdef floating scales[BLOCK]
    cdef int64_t start = 0
    cdef int n, p
    while start < n_entries:
        n = <int>min(<int64_t>BLOCK, n_entries - start)
        for p in range(n):
            rows[p] = design + <int64_t>indices[start + p] * k
        if floating is float:
            singles.dots(n, k, vector, rows, scales)
        else:
            doubles.dots(n, k, vector, rows, scales)
        for p in range(n):
            if targets != NULL:
                scales[p] = targets[start + p] - scales[p]
            if weights != NULL:
                scales[p] *= weights[start + p]
        if floating is float:
            singles.combine(n, k, rows, scales, out)
        else:
            doubles.combine(n, k, rows, scales, out)
        start += n


cdef floating squared_norm(int k, const floating* vector) noexcept nogil:
    cdef floating total = 0
    cdef int p
    for p in range(k):
        total += vector[p] * vector[p]
    return total


cdef void refine_row(
    int64_t n_entries, int k, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, floating row_scale,
    const floating* ridge, floating reduction, floating* scratch, floating* x,
) noexcept nogil:
    """Hestenes and Stiefel's method from x on, until the residual is reduced enough."""
    cdef floating* residual = scratch
    cdef floating* direction = scratch + k
    cdef floating* image = scratch + 2 * k
    cdef floating square, before, first, steepness, length
    cdef int _step, p
    memset(residual, 0, k * sizeof(floating))
    add_image(n_entries, k, indices, targets, weights, design, x, residual)
    for p in range(k):
        residual[p] -= row_scale * ridge[p] * x[p]
        direction[p] = residual[p]
    first = square = squared_norm(k, residual)
    for _step in range(k):
        if not square > reduction * reduction * first:
            return
        memset(image, 0, k * sizeof(floating))
        add_image(n_entries, k, indices, NULL, weights, design, direction, image)
        steepness = 0
        for p in range(k):
            image[p] += row_scale * ridge[p] * direction[p]
            steepness += image[p] * direction[p]
        if not steepness > 0:
            return
        length = square / steepness
        for p in range(k):
            x[p] += length * direction[p]
            residual[p] -= length * image[p]
        before = square
        square = squared_norm(k, residual)
        for p in range(k):
            direction[p] = residual[p] + square / before * direction[p]


def refine_rows(entries, design, row_scale, ridge, start, reduction, n_threads):
    """See ``sklearn_mf.kernels.reference.refine_rows``."""
    return _refine_rows(*entries, design, row_scale, ridge, start, reduction, n_threads)


def _refine_rows(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] targets,
    weights, const floating[:, ::1] design, const floating[::1] row_scale,
    const floating[::1] ridge, const floating[:, ::1] start, double reduction,
    int n_threads,
):
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef int k = design.shape[1]
    solution = np.array(start)
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        solution[:] = 0
        return solution
    cdef floating[:, ::1] out = solution
    cdef const floating[::1] weight_view
    cdef const floating* weight_data = NULL
    if weights is not None:
        weight_view = weights
        weight_data = &weight_view[0]
    cdef const floating* row_weights
    cdef floating* scratch = NULL
    cdef bint failed = False
    with nogil, parallel(num_threads=n_threads):
        scratch = <floating*>malloc(3 * k * sizeof(floating))
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if scratch == NULL:
                failed |= True
            elif indptr[i] == indptr[i + 1]:
                memset(&out[i, 0], 0, k * sizeof(floating))
            else:
                row_weights = NULL
                if weight_data != NULL:
                    row_weights = weight_data + indptr[i]
                refine_row(
                    indptr[i + 1] - indptr[i], k, &indices[0] + indptr[i],
                    &targets[0] + indptr[i], row_weights, &design[0, 0], row_scale[i],
                    &ridge[0], <floating>reduction, scratch, &out[i, 0],
                )
        free(scratch)
    if failed:
        raise MemoryError("No memory for the scratch space of the row solver.")
    return solution
