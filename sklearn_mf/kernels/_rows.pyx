"""Weighted ridge rows from observed entries: the compiled twin of ``reference``.

Rows are independent, so one parallel loop serves them all, and the result does not depend
on the number of threads.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.math cimport isnan, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

import numpy as np

from sklearn_mf.kernels._blas cimport (
    add_gram, add_transposed_product, cholesky, cholesky_solve
)

ctypedef fused index_t:
    int32_t
    int64_t

# Rows of the design gathered at a time: small enough for the second-level cache at
# rank 128, long enough for the rank-k update to run at full speed.
cdef enum:
    BLOCK = 128


cdef int finish_row(
    int k, floating* gram, floating* diagonal, floating ridge,
    const floating* penalized, floating eps, floating* out,
) noexcept nogil:
    """Add the ridge, factor and solve. 1 where the system is singular, as in the reference."""
    cdef floating largest = 0
    cdef int p
    for p in range(k):
        gram[p * k + p] += ridge * penalized[p]
        diagonal[p] = gram[p * k + p]
        largest = max(largest, diagonal[p])
    if cholesky(k, gram) != 0:
        return 1
    for p in range(k):
        if not gram[p * k + p] * gram[p * k + p] > 10 * k * eps * diagonal[p]:
            return 1
        if not diagonal[p] > eps * largest:
            return 1
    cholesky_solve(k, gram, out)
    return 0


cdef inline void gather(
    int k, const floating* row, floating target, floating weight,
    floating* gathered_row, floating* gathered_target,
) noexcept nogil:
    cdef floating root = sqrt(weight)
    cdef int p
    for p in range(k):
        gathered_row[p] = root * row[p]
    gathered_target[0] = root * target


cdef int solve_stored_row(
    int64_t n_entries, int k, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, floating ridge,
    const floating* penalized, floating eps, floating* scratch, floating* out,
) noexcept nogil:
    cdef floating* rows = scratch
    cdef floating* values = rows + BLOCK * k
    cdef floating* gram = values + BLOCK
    cdef floating* diagonal = gram + k * k
    cdef int filled = 0
    cdef int64_t p
    cdef floating weight = 1
    memset(gram, 0, k * k * sizeof(floating))
    memset(out, 0, k * sizeof(floating))
    for p in range(n_entries):
        if weights != NULL:
            weight = weights[p]
        gather(
            k, design + <int64_t>indices[p] * k, targets[p], weight,
            rows + filled * k, values + filled,
        )
        filled += 1
        if filled == BLOCK or p == n_entries - 1:
            add_gram(filled, k, rows, gram)
            add_transposed_product(filled, k, rows, values, out)
            filled = 0
    return finish_row(k, gram, diagonal, ridge, penalized, eps, out)


cdef int solve_dense_row(
    int64_t n_columns, int k, const char* row, Py_ssize_t stride,
    const char* weights, Py_ssize_t weight_stride, const floating* offsets,
    const floating* design, floating ridge, const floating* penalized,
    floating eps, floating* scratch, floating* out,
) noexcept nogil:
    cdef floating* rows = scratch
    cdef floating* values = rows + BLOCK * k
    cdef floating* gram = values + BLOCK
    cdef floating* diagonal = gram + k * k
    cdef int filled = 0
    cdef int64_t j
    cdef floating target, weight = 1
    memset(gram, 0, k * k * sizeof(floating))
    memset(out, 0, k * sizeof(floating))
    for j in range(n_columns):
        target = (<const floating*>(row + j * stride))[0]
        if isnan(target):
            continue
        if weights != NULL:
            weight = (<const floating*>(weights + j * weight_stride))[0]
        gather(
            k, design + j * k, target - offsets[j], weight, rows + filled * k, values + filled
        )
        filled += 1
        if filled == BLOCK:
            add_gram(filled, k, rows, gram)
            add_transposed_product(filled, k, rows, values, out)
            filled = 0
    if filled > 0:
        add_gram(filled, k, rows, gram)
        add_transposed_product(filled, k, rows, values, out)
    return finish_row(k, gram, diagonal, ridge, penalized, eps, out)


cdef size_t scratch_size(int k, size_t item) noexcept nogil:
    return (<size_t>BLOCK * (k + 1) + <size_t>k * (k + 1)) * item


def solve_rows(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] targets,
    weights, const floating[:, ::1] design, const floating[::1] ridge,
    const floating[::1] penalized, int n_threads,
):
    """See ``sklearn_mf.kernels.reference.solve_rows``."""
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef int k = design.shape[1]
    dtype = np.float32 if floating is float else np.float64
    solution = np.zeros((n_rows, k), dtype=dtype)
    status = np.zeros(n_rows, dtype=np.int32)
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        status[:] = k > 0
        return solution, status
    cdef floating[:, ::1] out = solution
    cdef int32_t[::1] state = status
    cdef const floating[::1] weight_view
    cdef const floating* weight_data = NULL
    if weights is not None:
        weight_view = weights
        weight_data = &weight_view[0]
    cdef floating eps = np.finfo(dtype).eps
    cdef floating* scratch
    cdef const floating* row_weights
    with nogil, parallel(num_threads=n_threads):
        scratch = <floating*>malloc(scratch_size(k, sizeof(floating)))
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if scratch == NULL:
                state[i] = -1
                continue
            row_weights = NULL
            if weight_data != NULL:
                row_weights = weight_data + indptr[i]
            state[i] = solve_stored_row(
                indptr[i + 1] - indptr[i], k, &indices[0] + indptr[i],
                &targets[0] + indptr[i], row_weights, &design[0, 0], ridge[i],
                &penalized[0], eps, scratch, &out[i, 0],
            )
        free(scratch)
    return solution, status


def solve_dense_rows(
    const floating[:, :] targets, weights, const floating[::1] offsets,
    const floating[:, ::1] design, const floating[::1] ridge,
    const floating[::1] penalized, int n_threads,
):
    """See ``sklearn_mf.kernels.reference.solve_dense_rows``."""
    cdef int64_t i, n_rows = targets.shape[0]
    cdef int64_t n_columns = targets.shape[1]
    cdef int k = design.shape[1]
    dtype = np.float32 if floating is float else np.float64
    solution = np.zeros((n_rows, k), dtype=dtype)
    status = np.zeros(n_rows, dtype=np.int32)
    if k == 0 or n_rows == 0 or n_columns == 0:
        status[:] = k > 0
        return solution, status
    cdef floating[:, ::1] out = solution
    cdef int32_t[::1] state = status
    cdef const floating[:, :] weight_view
    cdef const char* weight_data = NULL
    cdef Py_ssize_t weight_row_stride = 0, weight_stride = 0
    if weights is not None:
        weight_view = weights
        weight_data = <const char*>&weight_view[0, 0]
        weight_row_stride = weight_view.strides[0]
        weight_stride = weight_view.strides[1]
    cdef const char* data = <const char*>&targets[0, 0]
    cdef Py_ssize_t row_stride = targets.strides[0]
    cdef Py_ssize_t stride = targets.strides[1]
    cdef floating eps = np.finfo(dtype).eps
    cdef floating* scratch
    cdef const char* row_weights
    with nogil, parallel(num_threads=n_threads):
        scratch = <floating*>malloc(scratch_size(k, sizeof(floating)))
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if scratch == NULL:
                state[i] = -1
                continue
            row_weights = NULL
            if weight_data != NULL:
                row_weights = weight_data + i * weight_row_stride
            state[i] = solve_dense_row(
                n_columns, k, data + i * row_stride, stride, row_weights, weight_stride,
                &offsets[0], &design[0, 0], ridge[i], &penalized[0], eps, scratch,
                &out[i, 0],
            )
        free(scratch)
    return solution, status
