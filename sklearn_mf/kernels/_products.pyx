"""Products over stored entries: the compiled twin of ``reference``."""
from cython cimport floating
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t

import numpy as np

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


def max_threads():
    """Number of threads that OpenMP would use now; 1 where the kernels were built without it."""
    return SKLEARN_MF_MAX_THREADS


cdef inline floating dot(int k, const floating* a, const floating* b) noexcept nogil:
    cdef floating total = 0
    cdef int p
    for p in range(k):
        total += a[p] * b[p]
    return total


def values_at(
    const index_t[::1] indptr, const index_t[::1] indices,
    const floating[:, ::1] W, const floating[:, ::1] Ht, int n_threads,
):
    """See ``sklearn_mf.kernels.reference.values_at``."""
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef index_t p
    cdef int k = W.shape[1]
    values = np.zeros(indices.shape[0], dtype=np.float32 if floating is float else np.float64)
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        return values
    cdef floating[::1] out = values
    for i in prange(n_rows, nogil=True, schedule="dynamic", chunksize=64, num_threads=n_threads):
        for p in range(indptr[i], indptr[i + 1]):
            out[p] = dot(k, &W[i, 0], &Ht[indices[p], 0])
    return values


cdef inline void add_scaled(int k, floating a, const floating* x, floating* out) noexcept nogil:
    cdef int p
    for p in range(k):
        out[p] += a * x[p]


def sparse_times_dense(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] data,
    const floating[:, ::1] dense, int n_threads,
):
    """See ``sklearn_mf.kernels.reference.sparse_times_dense``."""
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef index_t p
    cdef int k = dense.shape[1]
    product = np.zeros((n_rows, k), dtype=np.float32 if floating is float else np.float64)
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        return product
    cdef floating[:, ::1] out = product
    for i in prange(n_rows, nogil=True, schedule="dynamic", chunksize=64, num_threads=n_threads):
        for p in range(indptr[i], indptr[i + 1]):
            add_scaled(k, data[p], &dense[indices[p], 0], &out[i, 0])
    return product
