"""Weighted ridge rows from observed entries: the compiled twin of ``reference``.

Rows are independent, so one parallel loop serves them all; very long ones are cut into
segments of a fixed length instead, whose sums are added in their order. So the result does
not depend on the number of threads. What is done for one row is C: see ``_row_system.h``.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.math cimport isnan, sqrt
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import numpy as np

from sklearn_mf.kernels._row_system cimport (
    choose_double_system, choose_float_system, double_system, float_system
)

cdef const float_system* singles = choose_float_system()
cdef const double_system* doubles = choose_double_system()

# Share of its diagonal that a Gram matrix must keep where rows are removed: less, and what is
# left would be rounding error of what was there.
cdef double LEAST_LEFT = 0.1


cdef int row_stride(int k, floating* kind) noexcept nogil:
    """Columns of a row in scratch space: k, rounded up to whole panels."""
    cdef int panel = singles.panel if floating is float else doubles.panel
    return (k + panel - 1) // panel * panel


cdef Scratch allocate(int stride, floating* kind) noexcept nogil:
    cdef Scratch scratch
    cdef size_t item = sizeof(floating)
    cdef size_t pointers = BLOCK * sizeof(void*), block = BLOCK * item, row = stride * item
    row = (row + 63) // 64 * 64
    scratch.memory = calloc(64 + pointers + 2 * block + (BLOCK + stride + 3) * row, 1)
    cdef char* start = <char*>(((<uintptr_t>scratch.memory) + 63) // 64 * 64)
    scratch.rows = start
    scratch.roots = start + pointers
    scratch.targets = start + pointers + block
    scratch.gathered = start + pointers + 2 * block
    scratch.gram = <char*>scratch.gathered + BLOCK * row
    scratch.moments = <char*>scratch.gram + stride * row
    scratch.inverse = <char*>scratch.moments + row
    scratch.solution = <char*>scratch.inverse + row
    return scratch


cdef void clear(int stride, Scratch* scratch, floating* kind) noexcept nogil:
    memset(scratch.gram, 0, <size_t>stride * stride * sizeof(floating))
    memset(scratch.moments, 0, stride * sizeof(floating))


cdef void add_block(int n, int k, int stride, Scratch* scratch, floating* kind) noexcept nogil:
    if floating is float:
        singles.add_rows(
            n, k, stride, <const float**>scratch.rows, <float*>scratch.roots,
            <float*>scratch.targets, <float*>scratch.gathered, <float*>scratch.gram,
            <float*>scratch.moments,
        )
    else:
        doubles.add_rows(
            n, k, stride, <const double**>scratch.rows, <double*>scratch.roots,
            <double*>scratch.targets, <double*>scratch.gathered, <double*>scratch.gram,
            <double*>scratch.moments,
        )


cdef int finish_row(
    int k, int stride, Scratch* scratch, floating row_scale, const floating* ridge, floating eps,
    floating* out,
) noexcept nogil:
    """Add the ridge, factor and solve. 1 where the system is singular, as in the reference."""
    cdef floating* gram = <floating*>scratch.gram
    cdef floating* solution = <floating*>scratch.solution
    cdef int p, status
    for p in range(k):
        gram[p * stride + p] += row_scale * ridge[p]
    if floating is float:
        status = singles.solve(
            k, stride, gram, <float*>scratch.moments, <float*>scratch.inverse, solution, eps
        )
    else:
        status = doubles.solve(
            k, stride, gram, <double*>scratch.moments, <double*>scratch.inverse, solution, eps
        )
    for p in range(k):
        out[p] = solution[p]
    return status


cdef int n_unpenalized(int k, const floating* ridge) noexcept nogil:
    """How many coefficients no penalty holds: so many entries are needed."""
    cdef int p, n = 0
    for p in range(k):
        n += not ridge[p] > 0
    return n


cdef void combine_block(
    int n, int k, const floating** rows, const floating* scales, floating* out
) noexcept nogil:
    if floating is float:
        singles.combine(n, k, rows, scales, out)
    else:
        doubles.combine(n, k, rows, scales, out)


cdef int solve_few(
    int n, int k, int stride, Scratch* scratch, floating eps, floating* out
) noexcept nogil:
    """The shortest coefficients that explain n gathered entries, fewer than there are of them.

    They are a combination of the entries' rows of the design. 1 where these may be dependent.
    """
    cdef const void* pointers[BLOCK]
    cdef const floating** rows = <const floating**>scratch.rows
    cdef const floating** weighted = <const floating**>pointers
    cdef floating* X = <floating*>scratch.gathered
    cdef floating* gram = <floating*>scratch.gram
    cdef floating* b = <floating*>scratch.moments
    cdef floating* solution = <floating*>scratch.solution
    cdef int narrow = row_stride(n, out), p, c, status
    if n == 0:
        return 1
    clear(stride, scratch, out)
    for p in range(n):
        weighted[p] = X + p * stride
        b[p] = (<floating*>scratch.targets)[p]
        for c in range(k):
            X[p * stride + c] = (<floating*>scratch.roots)[p] * rows[p][c]
    for p in range(n):
        if floating is float:
            singles.dots(n - p, k, weighted[p], weighted + p, gram + p * narrow + p)
        else:
            doubles.dots(n - p, k, weighted[p], weighted + p, gram + p * narrow + p)
    if floating is float:
        status = singles.solve(n, narrow, gram, b, <float*>scratch.inverse, solution, eps)
    else:
        status = doubles.solve(n, narrow, gram, b, <double*>scratch.inverse, solution, eps)
    if status == 0:
        combine_block(n, k, weighted, solution, out)
    return status


cdef int gather_entries(
    int most, int64_t n_entries, int k, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, Scratch* scratch,
) noexcept nogil:
    """Those with a weight, until there are enough; how many."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef int64_t p
    cdef int n = 0
    for p in range(n_entries):
        if n == most:
            break
        if weights != NULL and not weights[p] > 0:
            continue
        rows[n] = design + <int64_t>indices[p] * k
        roots[n] = 1 if weights == NULL else sqrt(weights[p])
        (<floating*>scratch.targets)[n] = roots[n] * targets[p]
        n += 1
    return n


cdef void add_entries(
    int64_t n_entries, int k, int stride, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, Scratch* scratch,
) noexcept nogil:
    """Add the entries of a row to its normal equations."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef floating* values = <floating*>scratch.targets
    cdef int64_t start = 0, p
    cdef int n, q
    while start < n_entries:
        n = <int>min(<int64_t>BLOCK, n_entries - start)
        for q in range(n):
            p = start + q
            rows[q] = design + <int64_t>indices[p] * k
            roots[q] = 1 if weights == NULL else sqrt(weights[p])
            values[q] = roots[q] * targets[p]
        add_block(n, k, stride, scratch, values)
        start += n


cdef int solve_long_row(
    int64_t n_entries, int k, int stride, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, Scratch* scratches, floating row_scale,
    const floating* ridge, floating eps, floating* out, int n_threads,
) noexcept nogil:
    """One row in segments; the sums of all are gathered in the first of the scratch spaces."""
    cdef int64_t n_segments = (n_entries + SEGMENT - 1) // SEGMENT
    cdef int64_t first = 0, start
    cdef const floating* part
    cdef int n, s, j
    clear(stride, &scratches[0], out)
    while first < n_segments:
        n = <int>min(<int64_t>SEGMENTS_AT_A_TIME, n_segments - first)
        for s in prange(n, schedule="dynamic", chunksize=1, num_threads=n_threads):
            start = (first + s) * SEGMENT
            part = NULL
            if weights != NULL:
                part = weights + start
            clear(stride, &scratches[1 + s], out)
            add_entries(
                min(<int64_t>SEGMENT, n_entries - start), k, stride, indices + start,
                targets + start, part, design, &scratches[1 + s],
            )
        for s in range(n):
            for j in range(stride * stride):
                (<floating*>scratches[0].gram)[j] += (<floating*>scratches[1 + s].gram)[j]
            for j in range(stride):
                (<floating*>scratches[0].moments)[j] += (<floating*>scratches[1 + s].moments)[j]
        first += n
    return finish_row(k, stride, &scratches[0], row_scale, ridge, eps, out)


def solve_rows(entries, design, row_scale, ridge, n_threads):
    """See ``sklearn_mf.kernels.reference.solve_rows``."""
    return _solve_rows(*entries, design, row_scale, ridge, n_threads)


def _solve_rows(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] targets,
    weights, const floating[:, ::1] design, const floating[::1] row_scale,
    const floating[::1] ridge, int n_threads,
):
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef int k = design.shape[1], n, needed
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
    cdef int unpenalized = n_unpenalized(k, &ridge[0])
    cdef Scratch scratch
    cdef Scratch[1 + SEGMENTS_AT_A_TIME] segments
    cdef const floating* row_weights
    with nogil, parallel(num_threads=n_threads):
        scratch = allocate(stride, &out[0, 0])
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if indptr[i + 1] - indptr[i] > LONG:
                continue
            if scratch.memory == NULL:
                state[i] = -1
                continue
            row_weights = NULL
            if weight_data != NULL:
                row_weights = weight_data + indptr[i]
            needed = unpenalized if row_scale[i] > 0 else k
            n = gather_entries(
                min(needed, BLOCK), indptr[i + 1] - indptr[i], k, &indices[0] + indptr[i],
                &targets[0] + indptr[i], row_weights, &design[0, 0], &scratch,
            )
            if n < min(needed, BLOCK):
                state[i] = 1
                if needed == k:
                    state[i] = solve_few(n, k, stride, &scratch, eps, &out[i, 0])
                continue
            clear(stride, &scratch, &out[0, 0])
            add_entries(
                indptr[i + 1] - indptr[i], k, stride, &indices[0] + indptr[i],
                &targets[0] + indptr[i], row_weights, &design[0, 0], &scratch,
            )
            state[i] = finish_row(
                k, stride, &scratch, row_scale[i], &ridge[0], eps, &out[i, 0]
            )
        free(scratch.memory)
    lengths = np.diff(indptr)
    cdef int s
    cdef bint allocated = True
    if lengths.max() <= LONG:
        return solution, status
    for s in range(1 + SEGMENTS_AT_A_TIME):
        segments[s] = allocate(stride, &out[0, 0])
        allocated = allocated and segments[s].memory != NULL
    for i in np.flatnonzero(lengths > LONG):
        if not allocated:
            state[i] = -1
            continue
        row_weights = NULL
        if weight_data != NULL:
            row_weights = weight_data + indptr[i]
        with nogil:
            state[i] = solve_long_row(
                indptr[i + 1] - indptr[i], k, stride, &indices[0] + indptr[i],
                &targets[0] + indptr[i], row_weights, &design[0, 0], segments, row_scale[i],
                &ridge[0], eps, &out[i, 0], n_threads,
            )
    for s in range(1 + SEGMENTS_AT_A_TIME):
        free(segments[s].memory)
    return solution, status


def normal_equations(entries, design, n_threads):
    """See ``sklearn_mf.kernels.reference.normal_equations``."""
    return _normal_equations(*entries, design, n_threads)


def _normal_equations(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] targets,
    weights, const floating[:, ::1] design, int n_threads,
):
    cdef int64_t i, n_rows = indptr.shape[0] - 1
    cdef int k = design.shape[1]
    dtype = np.float32 if floating is float else np.float64
    grams, moments = np.zeros((n_rows, k, k), dtype=dtype), np.zeros((n_rows, k), dtype=dtype)
    if k == 0 or n_rows == 0 or indices.shape[0] == 0:
        return grams, moments
    cdef floating[:, :, ::1] gram_out = grams
    cdef floating[:, ::1] out = moments
    cdef const floating[::1] weight_view
    cdef const floating* weight_data = NULL
    if weights is not None:
        weight_view = weights
        weight_data = &weight_view[0]
    cdef int stride = row_stride(k, &out[0, 0])
    cdef Scratch scratch
    cdef const floating* row_weights
    cdef bint failed = False
    with nogil, parallel(num_threads=n_threads):
        scratch = allocate(stride, &out[0, 0])
        for i in prange(n_rows, schedule="dynamic", chunksize=8):
            if scratch.memory == NULL:
                failed |= True
                continue
            row_weights = NULL
            if weight_data != NULL:
                row_weights = weight_data + indptr[i]
            clear(stride, &scratch, &out[0, 0])
            add_entries(
                indptr[i + 1] - indptr[i], k, stride, &indices[0] + indptr[i],
                &targets[0] + indptr[i], row_weights, &design[0, 0], &scratch,
            )
            unfold(k, stride, &scratch, &gram_out[i, 0, 0], &out[i, 0])
        free(scratch.memory)
    if failed:
        raise MemoryError("No memory for the scratch space of the row solver.")
    return grams, moments


cdef void unfold(
    int k, int stride, Scratch* scratch, floating* gram, floating* moments
) noexcept nogil:
    """Copy the equations out of scratch space, the upper triangle to both."""
    cdef int i, j
    cdef floating value
    for i in range(k):
        moments[i] = (<floating*>scratch.moments)[i]
        for j in range(i, k):
            value = (<floating*>scratch.gram)[<int64_t>i * stride + j]
            gram[<int64_t>i * k + j] = value
            gram[<int64_t>j * k + i] = value


cdef void add_dense_entries(
    int64_t n_columns, int k, int stride, const char* row, Py_ssize_t step,
    const char* weights, Py_ssize_t weight_step, const floating* offsets,
    const floating* design, Scratch* scratch,
) noexcept nogil:
    """Add what a row observes to its normal equations."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef floating* values = <floating*>scratch.targets
    cdef int filled = 0
    cdef int64_t j
    cdef floating target
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
            add_block(filled, k, stride, scratch, values)
            filled = 0
    if filled > 0:
        add_block(filled, k, stride, scratch, values)


cdef void remove_block(int n, int k, int stride, Scratch* scratch, floating* kind) noexcept nogil:
    if floating is float:
        singles.remove_rows(
            n, k, stride, <const float**>scratch.rows, <float*>scratch.roots,
            <float*>scratch.gathered, <float*>scratch.gram,
        )
    else:
        doubles.remove_rows(
            n, k, stride, <const double**>scratch.rows, <double*>scratch.roots,
            <double*>scratch.gathered, <double*>scratch.gram,
        )


cdef bint remove_dense_holes(
    int64_t n_columns, int k, int stride, const char* row, Py_ssize_t step,
    const char* weights, Py_ssize_t weight_step, const floating* offsets,
    const floating* design, const floating* gram, Scratch* scratch,
) noexcept nogil:
    """Normal equations of a complete row, less what is missing; whether enough is left."""
    cdef const floating** missing = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef floating* left = <floating*>scratch.gram
    cdef floating* moments = <floating*>scratch.moments
    cdef const floating* observed[BLOCK]
    cdef floating scales[BLOCK]
    cdef int n_missing = 0, n_observed = 0, p
    cdef int64_t j
    cdef floating target, weight
    for p in range(k):
        memcpy(left + <int64_t>p * stride, gram + <int64_t>p * k, k * sizeof(floating))
    for j in range(n_columns):
        target = (<const floating*>(row + j * step))[0]
        weight = 1
        if weights != NULL:
            weight = (<const floating*>(weights + j * weight_step))[0]
        if isnan(target):
            missing[n_missing] = design + j * k
            roots[n_missing] = sqrt(weight)
            n_missing += 1
        else:
            observed[n_observed] = design + j * k
            scales[n_observed] = weight * (target - offsets[j])
            n_observed += 1
        if n_missing == BLOCK:
            remove_block(n_missing, k, stride, scratch, left)
            n_missing = 0
        if n_observed == BLOCK:
            combine_block(n_observed, k, observed, scales, moments)
            n_observed = 0
    if n_missing > 0:
        remove_block(n_missing, k, stride, scratch, left)
    if n_observed > 0:
        combine_block(n_observed, k, observed, scales, moments)
    for p in range(k):
        if not (left[<int64_t>p * stride + p] >= <floating>LEAST_LEFT * gram[<int64_t>p * k + p]):
            return False
    return True


cdef int gather_observed(
    int most, int64_t n_columns, int k, const char* row, Py_ssize_t step, const char* weights,
    Py_ssize_t weight_step, const floating* offsets, const floating* design, Scratch* scratch,
) noexcept nogil:
    """The same as `gather_entries` where NaN is missing."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef int64_t j
    cdef int n = 0
    cdef floating target, weight = 1
    for j in range(n_columns):
        if n == most:
            break
        target = (<const floating*>(row + j * step))[0]
        if weights != NULL:
            weight = (<const floating*>(weights + j * weight_step))[0]
        if isnan(target) or not weight > 0:
            continue
        rows[n] = design + j * k
        roots[n] = sqrt(weight)
        (<floating*>scratch.targets)[n] = roots[n] * (target - offsets[j])
        n += 1
    return n


cdef bint mostly_observed(
    int64_t n_columns, const char* row, Py_ssize_t step, floating* kind
) noexcept nogil:
    cdef int64_t j, missing = 0
    for j in range(n_columns):
        missing += isnan((<const floating*>(row + j * step))[0])
    return 2 * missing < n_columns


cdef int solve_dense_row(
    int64_t n_columns, int k, int stride, const char* row, Py_ssize_t step,
    const char* weights, Py_ssize_t weight_step, const floating* offsets,
    const floating* design, const floating* gram, floating row_scale,
    const floating* ridge, floating eps, Scratch* scratch, floating* out,
) noexcept nogil:
    """By what is missing where that is less than half of the row, else by what is there."""
    cdef bint done = False
    cdef int needed = n_unpenalized(k, ridge) if row_scale > 0 else k
    cdef int n = gather_observed(
        min(needed, BLOCK), n_columns, k, row, step, weights, weight_step, offsets, design, scratch
    )
    if n < min(needed, BLOCK):
        return solve_few(n, k, stride, scratch, eps, out) if needed == k else 1
    clear(stride, scratch, out)
    if gram != NULL and mostly_observed(n_columns, row, step, out):
        done = remove_dense_holes(
            n_columns, k, stride, row, step, weights, weight_step, offsets, design, gram, scratch
        )
        if not done:
            clear(stride, scratch, out)
    if not done:
        add_dense_entries(
            n_columns, k, stride, row, step, weights, weight_step, offsets, design, scratch
        )
    return finish_row(k, stride, scratch, row_scale, ridge, eps, out)


def solve_dense_rows(
    const floating[:, :] targets, weights, const floating[::1] offsets,
    const floating[:, ::1] design, gram, const floating[::1] row_scale,
    const floating[::1] ridge, int n_threads,
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
    cdef const floating[:, ::1] gram_view
    cdef const floating* gram_data = NULL
    if gram is not None:
        gram_view = gram
        gram_data = &gram_view[0, 0]
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
                &offsets[0], &design[0, 0], gram_data, row_scale[i], &ridge[0], eps,
                &scratch, &out[i, 0],
            )
        free(scratch.memory)
    return solution, status
