"""Products with tall factors: the compiled twin of ``reference``."""
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uintptr_t

import numpy as np

from sklearn_mf.kernels._row_system cimport (
    choose_double_system, choose_float_system, double_system, float_system
)

cdef extern from *:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define SKLEARN_MF_MAX_THREADS omp_get_max_threads()
    #else
    #define SKLEARN_MF_MAX_THREADS 1
    #endif
    """
    int SKLEARN_MF_MAX_THREADS

ctypedef fused index_t:
    int32_t
    int64_t

cdef const float_system* singles = choose_float_system()
cdef const double_system* doubles = choose_double_system()

cdef enum:
    # Entries of a row that are looked up at a time.
    BLOCK = 128
    # Rows of a dense matrix that a thread takes at a time: whole tiles of six.
    ROWS = 252


def max_threads():
    """Number of threads that OpenMP would use now; 1 where the kernels were built without it."""
    return SKLEARN_MF_MAX_THREADS


def values_at(
    const index_t[::1] indptr, const index_t[::1] indices,
    const floating[:, ::1] W, const floating[:, ::1] Ht, int n_threads,
):
    """See ``sklearn_mf.kernels.reference.values_at``."""
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef int k = W.shape[1]
    values = np.zeros(indices.shape[0], dtype=np.float32 if floating is float else np.float64)
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        return values
    cdef floating[::1] out = values
    for i in prange(n_rows, nogil=True, schedule="dynamic", chunksize=64, num_threads=n_threads):
        values_of_row(
            indptr[i + 1] - indptr[i], k, &indices[0] + indptr[i], &W[i, 0], &Ht[0, 0],
            &out[0] + indptr[i],
        )
    return values


cdef void values_of_row(
    int64_t n_entries, int k, const index_t* indices, const floating* vector,
    const floating* dense, floating* out,
) noexcept nogil:
    cdef const void* pointers[BLOCK]
    cdef const floating** rows = <const floating**>pointers
    cdef int64_t start = 0
    cdef int n, p
    while start < n_entries:
        n = <int>min(<int64_t>BLOCK, n_entries - start)
        for p in range(n):
            rows[p] = dense + <int64_t>indices[start + p] * k
        if floating is float:
            singles.dots(n, k, vector, rows, out + start)
        else:
            doubles.dots(n, k, vector, rows, out + start)
        start += n


def sparse_times_dense(entries, offsets, row_offsets, dense, n_threads):
    """See ``sklearn_mf.kernels.reference.sparse_times_dense``."""
    return _sparse_times_dense(*entries, offsets, row_offsets, dense, n_threads)


def _sparse_times_dense(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] data, weights,
    offsets, row_offsets, const floating[:, ::1] dense, int n_threads,
):
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef int k = dense.shape[1]
    product = np.zeros((n_rows, k), dtype=np.float32 if floating is float else np.float64)
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        return product
    cdef floating[:, ::1] out = product
    cdef const floating[::1] weight_view, offset_view, row_offset_view
    cdef const floating* weight_data = NULL
    cdef const floating* offset_data = NULL
    cdef const floating* row_offset_data = NULL
    if weights is not None:
        weight_view = weights
        weight_data = &weight_view[0]
    if offsets is not None:
        offset_view = offsets
        offset_data = &offset_view[0]
    if row_offsets is not None:
        row_offset_view = row_offsets
        row_offset_data = &row_offset_view[0]
    cdef const floating* row_weights
    cdef floating row_offset
    for i in prange(n_rows, nogil=True, schedule="dynamic", chunksize=64, num_threads=n_threads):
        row_weights = NULL
        if weight_data != NULL:
            row_weights = weight_data + indptr[i]
        row_offset = 0
        if row_offset_data != NULL:
            row_offset = row_offset_data[i]
        combine_row(
            indptr[i + 1] - indptr[i], k, &indices[0] + indptr[i], &data[0] + indptr[i],
            row_weights, offset_data, row_offset, &dense[0, 0], &out[i, 0],
        )
    return product


cdef void combine_row(
    int64_t n_entries, int k, const index_t* indices, const floating* data,
    const floating* weights, const floating* offsets, floating row_offset,
    const floating* dense, floating* out,
) noexcept nogil:
    cdef const floating* rows[BLOCK]
    cdef floating scales[BLOCK]
    cdef int64_t start = 0
    cdef int n, p
    while start < n_entries:
        n = <int>min(<int64_t>BLOCK, n_entries - start)
        for p in range(n):
            rows[p] = dense + <int64_t>indices[start + p] * k
            scales[p] = data[start + p] - row_offset
            if offsets != NULL:
                scales[p] -= offsets[indices[start + p]]
            if weights != NULL:
                scales[p] *= weights[start + p]
        if floating is float:
            singles.combine(n, k, rows, scales, out)
        else:
            doubles.combine(n, k, rows, scales, out)
        start += n


def dense_times_dense(const floating[:, :] A, const floating[:, :] B, int n_threads):
    """See ``sklearn_mf.kernels.reference.dense_times_dense``."""
    if A.strides[0] % <int64_t>sizeof(floating) or A.strides[1] % <int64_t>sizeof(floating):
        return dense_times_dense(np.array(A), B, n_threads)  # a field of packed records
    cdef int64_t i, j, n_rows = A.shape[0], depth = A.shape[1], k = B.shape[1]
    cdef int64_t wide = singles.wide if floating is float else doubles.wide
    cdef int64_t stride = (k + wide - 1) // wide * wide
    dtype = np.float32 if floating is float else np.float64
    if n_rows == 0 or depth == 0 or k == 0:
        return np.zeros((n_rows, k), dtype=dtype)
    product = np.zeros((n_rows, stride), dtype=dtype)
    # Panels of whole vectors, aligned to them.
    cdef floating[::1] memory = np.zeros(depth * stride + 64 // sizeof(floating), dtype=dtype)
    cdef int64_t start = (-<int64_t><uintptr_t>&memory[0] % 64 + 64) % 64 // sizeof(floating)
    panels = np.asarray(memory)[start : start + depth * stride].reshape(-1, depth, wide)
    for j in range(0, k, wide):
        panels[j // wide, :, : k - j] = B[:, j : j + wide]
    cdef floating[:, ::1] out = product
    cdef int64_t down = A.strides[0] // <int64_t>sizeof(floating)
    cdef int64_t across = A.strides[1] // <int64_t>sizeof(floating)
    cdef int64_t n_blocks = (n_rows + ROWS - 1) // ROWS
    for i in prange(n_blocks, nogil=True, schedule="dynamic", num_threads=n_threads):
        multiply_rows(
            min(<int64_t>ROWS, n_rows - i * ROWS), depth, stride, &A[0, 0] + i * ROWS * down, down,
            across, &memory[start], &out[i * ROWS, 0],
        )
    return np.ascontiguousarray(product[:, :k])


cdef void multiply_rows(
    int64_t n, int64_t depth, int64_t stride, const floating* A, int64_t down, int64_t across,
    const floating* B, floating* out,
) noexcept nogil:
    if floating is float:
        singles.multiply(n, depth, stride, A, down, across, B, out)
    else:
        doubles.multiply(n, depth, stride, A, down, across, B, out)
