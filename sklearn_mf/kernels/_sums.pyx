"""Sums of normal equations: the compiled twin of ``reference_sums``.

Of a symmetric matrix the upper triangle is kept, row after row. A row of the sums is one
thread's, so that the result does not depend on their number.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free

import numpy as np

from sklearn_mf.kernels._rows cimport (
    Scratch, add_entries, allocate, clear, finish_row, index_t, row_stride
)

# Systems handed to a thread at a time.
cdef enum:
    FEW = 8


def add_equations(entries, design, packed, moments, n_threads):
    """See ``sklearn_mf.kernels.reference_sums.add_equations``."""
    _add_equations(*entries, design, packed, moments, n_threads)


def _add_equations(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] targets,
    weights, const floating[:, ::1] design, floating[:, ::1] packed, floating[:, ::1] moments,
    int n_threads,
):
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef int k = design.shape[1]
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        return
    cdef const floating[::1] weight_view
    cdef const floating* weight_data = NULL
    if weights is not None:
        weight_view = weights
        weight_data = &weight_view[0]
    cdef int stride = row_stride(k, &moments[0, 0])
    cdef Scratch scratch
    cdef const floating* row_weights
    cdef bint failed = False
    with nogil, parallel(num_threads=n_threads):
        scratch = allocate(stride, &moments[0, 0])
        for i in prange(n_rows, schedule="dynamic", chunksize=FEW):
            if indptr[i + 1] == indptr[i]:
                continue
            if scratch.memory == NULL:
                failed |= True
                continue
            row_weights = NULL
            if weight_data != NULL:
                row_weights = weight_data + indptr[i]
            clear(stride, &scratch, &moments[0, 0])
            add_entries(
                indptr[i + 1] - indptr[i], k, stride, &indices[0] + indptr[i],
                &targets[0] + indptr[i], row_weights, &design[0, 0], &scratch,
            )
            add_to_packed(k, stride, &scratch, &packed[i, 0], &moments[i, 0])
        free(scratch.memory)
    if failed:
        raise MemoryError("No memory for the scratch space of the row solver.")


cdef void add_to_packed(
    int k, int stride, Scratch* scratch, floating* packed, floating* moments
) noexcept nogil:
    cdef int i, j
    cdef const floating* gram
    for i in range(k):
        moments[i] += (<floating*>scratch.moments)[i]
        gram = (<floating*>scratch.gram) + <int64_t>i * stride
        for j in range(i, k):
            packed[j - i] += gram[j]
        packed += k - i


def solve_systems(
    const floating[:, ::1] packed, const floating[:, ::1] moments,
    const floating[::1] row_scale, const floating[::1] ridge, int n_threads,
):
    """See ``sklearn_mf.kernels.reference_sums.solve_systems``."""
    cdef int64_t i, n_rows = moments.shape[0]
    cdef int k = moments.shape[1]
    dtype = np.float32 if floating is float else np.float64
    solution = np.zeros((n_rows, k), dtype=dtype)
    status = np.zeros(n_rows, dtype=np.int32)
    if k == 0 or n_rows == 0:
        return solution, status
    cdef floating[:, ::1] out = solution
    cdef int32_t[::1] state = status
    cdef floating eps = np.finfo(dtype).eps
    cdef int stride = row_stride(k, &out[0, 0])
    cdef Scratch scratch
    with nogil, parallel(num_threads=n_threads):
        scratch = allocate(stride, &out[0, 0])
        for i in prange(n_rows, schedule="dynamic", chunksize=FEW):
            if scratch.memory == NULL:
                state[i] = -1
                continue
            clear(stride, &scratch, &out[0, 0])
            unpack(k, stride, &packed[i, 0], &moments[i, 0], &scratch)
            state[i] = finish_row(
                k, stride, &scratch, row_scale[i], &ridge[0], eps, &out[i, 0]
            )
        free(scratch.memory)
    return solution, status


cdef void unpack(
    int k, int stride, const floating* packed, const floating* moments, Scratch* scratch
) noexcept nogil:
    cdef int i, j
    cdef floating* gram
    for i in range(k):
        (<floating*>scratch.moments)[i] = moments[i]
        gram = (<floating*>scratch.gram) + <int64_t>i * stride
        for j in range(i, k):
            gram[j] = packed[j - i]
        packed += k - i
