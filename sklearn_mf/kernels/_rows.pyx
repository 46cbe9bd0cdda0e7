"""Weighted ridge rows from observed entries: the compiled twin of ``reference``.

Rows are independent, so one parallel loop serves them all, and the result does not depend
on the number of threads. What is done for one row is C: see ``_row_system.h``.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.math cimport isnan, sqrt
from libc.stdint cimport int32_t, int64_t, uintptr_t
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

# Rows of the design gathered at a time: they stay in the first-level cache.
cdef enum:
    BLOCK = 128


cdef struct Scratch:
    # What one thread works on; all parts are aligned to vectors.
    void* memory
    void* rows      # BLOCK pointers to rows of the design
    void* roots     # BLOCK roots of weights
    void* targets   # BLOCK
    void* gathered  # BLOCK x stride
    void* gram      # stride x stride
    void* solution  # stride
    void* inverse   # stride


cdef int row_stride(int k, floating* kind) noexcept nogil:
    """Columns of a row in scratch space: k, rounded up to whole panels."""
    cdef int panel = singles.panel if floating is float else doubles.panel
    return (k + panel - 1) // panel * panel


cdef Scratch allocate(int stride, floating* kind) noexcept nogil:
    cdef Scratch scratch
    cdef size_t item = sizeof(floating)
    cdef size_t pointers = BLOCK * sizeof(void*), block = BLOCK * item, row = stride * item
    row = (row + 63) // 64 * 64
    scratch.memory = malloc(64 + pointers + 2 * block + (BLOCK + stride + 2) * row)
    cdef char* start = <char*>(((<uintptr_t>scratch.memory) + 63) // 64 * 64)
    scratch.rows = start
    scratch.roots = start + pointers
    scratch.targets = start + pointers + block
    scratch.gathered = start + pointers + 2 * block
    scratch.gram = <char*>scratch.gathered + BLOCK * row
    scratch.solution = <char*>scratch.gram + stride * row
    scratch.inverse = <char*>scratch.solution + row
    return scratch


cdef void clear(int stride, Scratch* scratch, floating* kind) noexcept nogil:
    memset(scratch.gram, 0, <size_t>stride * stride * sizeof(floating))
    memset(scratch.solution, 0, stride * sizeof(floating))


cdef void add_block(int n, int k, int stride, Scratch* scratch, floating* kind) noexcept nogil:
    if floating is float:
        singles.add_rows(
            n, k, stride, <const float**>scratch.rows, <float*>scratch.roots,
            <float*>scratch.targets, <float*>scratch.gathered, <float*>scratch.gram,
            <float*>scratch.solution,
        )
    else:
        doubles.add_rows(
            n, k, stride, <const double**>scratch.rows, <double*>scratch.roots,
            <double*>scratch.targets, <double*>scratch.gathered, <double*>scratch.gram,
            <double*>scratch.solution,
        )


cdef int finish_row(
    int k, int stride, Scratch* scratch, floating ridge, const floating* penalized, floating eps,
    floating* out,
) noexcept nogil:
    """Add the ridge, factor and solve. 1 where the system is singular, as in the reference."""
    cdef floating* gram = <floating*>scratch.gram
    cdef floating* solution = <floating*>scratch.solution
    cdef int p, status
    for p in range(k):
        gram[p * stride + p] += ridge * penalized[p]
    if floating is float:
        status = singles.cholesky(k, stride, gram, <float*>scratch.inverse, eps)
        if status == 0:
            singles.substitute(k, stride, gram, <float*>scratch.inverse, solution)
    else:
        status = doubles.cholesky(k, stride, gram, <double*>scratch.inverse, eps)
        if status == 0:
            doubles.substitute(k, stride, gram, <double*>scratch.inverse, solution)
    for p in range(k):
        out[p] = solution[p]
    return status


cdef int solve_stored_row(
    int64_t n_entries, int k, int stride, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, floating ridge,
    const floating* penalized, floating eps, Scratch* scratch, floating* out,
) noexcept nogil:
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef floating* values = <floating*>scratch.targets
    cdef int filled = 0
    cdef int64_t p
    clear(stride, scratch, out)
    for p in range(n_entries):
        rows[filled] = design + <int64_t>indices[p] * k
        roots[filled] = 1 if weights == NULL else sqrt(weights[p])
        values[filled] = roots[filled] * targets[p]
        filled += 1
        if filled == BLOCK or p == n_entries - 1:
            add_block(filled, k, stride, scratch, out)
            filled = 0
    return finish_row(k, stride, scratch, ridge, penalized, eps, out)


cdef int solve_dense_row(
    int64_t n_columns, int k, int stride, const char* row, Py_ssize_t step,
    const char* weights, Py_ssize_t weight_step, const floating* offsets,
    const floating* design, floating ridge, const floating* penalized,
    floating eps, Scratch* scratch, floating* out,
) noexcept nogil:
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef floating* values = <floating*>scratch.targets
    cdef int filled = 0
    cdef int64_t j
    cdef floating target
    clear(stride, scratch, out)
    for j in range(n_columns):
        target = (<const floating*>(row + j * step))[0]
        if isnan(target):
            continue
        rows[filled] = design + j * k
        roots[filled] = 1
        if weights != NULL:
            roots[filled] = sqrt((<const floating*>(weights + j * weight_step))[0])
        values[filled] = roots[filled] * (target - offsets[j])
        filled += 1
        if filled == BLOCK:
            add_block(filled, k, stride, scratch, out)
            filled = 0
    if filled > 0:
        add_block(filled, k, stride, scratch, out)
    return finish_row(k, stride, scratch, ridge, penalized, eps, out)


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
    cdef int stride = row_stride(k, &out[0, 0])
    cdef Scratch scratch
    cdef const floating* row_weights
    with nogil, parallel(num_threads=n_threads):
        scratch = allocate(stride, &out[0, 0])
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if scratch.memory == NULL:
                state[i] = -1
                continue
            row_weights = NULL
            if weight_data != NULL:
                row_weights = weight_data + indptr[i]
            state[i] = solve_stored_row(
                indptr[i + 1] - indptr[i], k, stride, &indices[0] + indptr[i],
                &targets[0] + indptr[i], row_weights, &design[0, 0], ridge[i],
                &penalized[0], eps, &scratch, &out[i, 0],
            )
        free(scratch.memory)
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
    cdef Py_ssize_t weight_row_step = 0, weight_step = 0
    if weights is not None:
        weight_view = weights
        weight_data = <const char*>&weight_view[0, 0]
        weight_row_step = weight_view.strides[0]
        weight_step = weight_view.strides[1]
    cdef const char* data = <const char*>&targets[0, 0]
    cdef Py_ssize_t row_step = targets.strides[0]
    cdef Py_ssize_t step = targets.strides[1]
    cdef floating eps = np.finfo(dtype).eps
    cdef int stride = row_stride(k, &out[0, 0])
    cdef Scratch scratch
    cdef const char* row_weights
    with nogil, parallel(num_threads=n_threads):
        scratch = allocate(stride, &out[0, 0])
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if scratch.memory == NULL:
                state[i] = -1
                continue
            row_weights = NULL
            if weight_data != NULL:
                row_weights = weight_data + i * weight_row_step
            state[i] = solve_dense_row(
                n_columns, k, stride, data + i * row_step, step, row_weights, weight_step,
                &offsets[0], &design[0, 0], ridge[i], &penalized[0], eps, &scratch,
                &out[i, 0],
            )
        free(scratch.memory)
    return solution, status
