"""Weighted rows that begin with a diagonal form: the compiled twin of ``reference``.

A row of fewer entries than coefficients is solved in terms of its entries (the dual form of a
ridge regression), one of more in terms of its coefficients. Rows are independent, and each is one
thread's: the result does not depend on how many there are.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc, free
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

# Rows of the design that are looked up at a time.
cdef enum:
    BLOCK = 128

# Rows of so few entries are solved as soon as refined.
FEW = 4


cdef struct Scratch:
    # What one thread works on; all parts are aligned to vectors.
    int stride      # of the design, and of what is stride x stride
    void* memory
    void* rows      # pointers to rows of the design, max(BLOCK, stride, longest) of them
    void* roots     # as many roots of weights
    void* targets   # as many
    void* diagonal  # stride: of the row's form
    void* scales    # stride: its inverse, or the root of that
    void* moments   # stride
    void* inverse   # stride
    void* solution  # stride
    void* gathered  # max(BLOCK, stride) x stride
    void* gram      # stride x stride


cdef int padded(int k, floating* kind) noexcept nogil:
    """Columns of a row in scratch space: k, rounded up to whole panels."""
    cdef int panel = singles.panel if floating is float else doubles.panel
    return (k + panel - 1) // panel * panel


cdef Scratch allocate(int stride, int64_t longest, floating* kind) noexcept nogil:
    cdef Scratch scratch
    cdef size_t most = max(BLOCK, stride)
    cdef size_t pointers = (max(<int64_t>most, longest) * sizeof(void*) + 63) // 64 * 64
    cdef size_t block = (most * sizeof(floating) + 63) // 64 * 64
    cdef size_t row = (stride * sizeof(floating) + 63) // 64 * 64
    scratch.memory = calloc(64 + pointers + 2 * block + (most + stride + 5) * row, 1)
    cdef char* start = <char*>(((<uintptr_t>scratch.memory) + 63) // 64 * 64)
    scratch.stride = stride
    scratch.rows = start
    scratch.roots = start + pointers
    scratch.targets = start + pointers + block
    scratch.diagonal = start + pointers + 2 * block
    scratch.scales = <char*>scratch.diagonal + row
    scratch.moments = <char*>scratch.scales + row
    scratch.inverse = <char*>scratch.moments + row
    scratch.solution = <char*>scratch.inverse + row
    scratch.gathered = <char*>scratch.solution + row
    scratch.gram = <char*>scratch.gathered + most * row
    return scratch


cdef struct Row:
    # The entries of a row; their numbers are of type floating.
    int64_t n
    const void* targets
    const void* weights


cdef void look_up(
    const Row* row, int64_t start, int n, const index_t* indices, const floating* design,
    Scratch* scratch,
) noexcept nogil:
    """Pointers to the rows of the design, roots of weights, and targets times these."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef const floating* weights = <const floating*>row.weights
    cdef int p
    for p in range(n):
        rows[p] = design + <int64_t>indices[start + p] * scratch.stride
        roots[p] = sqrt(weights[start + p])
        (<floating*>scratch.targets)[p] = roots[p] * (<const floating*>row.targets)[start + p]


cdef int solve_dual(
    const Row* row, int k, const index_t* indices, const floating* design,
    const floating* moments, bint has_moments, floating eps, Scratch* scratch, floating* out,
) noexcept nogil:
    """By one number for each entry: the least system where entries are few."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef floating* targets = <floating*>scratch.targets
    cdef floating* diagonal = <floating*>scratch.diagonal
    cdef floating* scales = <floating*>scratch.scales
    cdef floating* K = <floating*>scratch.gram
    cdef floating* y = <floating*>scratch.solution
    cdef int n = <int>row.n, p, c, status = 0
    cdef int narrow = padded(n, out)
    for c in range(k):
        out[c] = moments[c] / diagonal[c]
    if n == 0:
        return 0
    look_up(row, 0, n, indices, design, scratch)
    if has_moments:
        if floating is float:
            singles.dots(n, k, out, rows, y)
        else:
            doubles.dots(n, k, out, rows, y)
        for p in range(n):
            targets[p] -= roots[p] * y[p]
    for c in range(k):
        scales[c] = 1 / sqrt(diagonal[c])
    memset(K, 0, <size_t>narrow * narrow * sizeof(floating))
    for p in range(n):
        K[<int64_t>p * narrow + p] = 1
    for p in range(n, narrow):
        targets[p] = 0
    if floating is float:
        singles.add_products(n, k, narrow, rows, roots, scales, <float*>scratch.gathered, K)
        status = singles.solve(n, narrow, K, targets, <float*>scratch.inverse, y, eps)
    else:
        doubles.add_products(n, k, narrow, rows, roots, scales, <double*>scratch.gathered, K)
        status = doubles.solve(n, narrow, K, targets, <double*>scratch.inverse, y, eps)
    if status:
        return 1
    for p in range(n):
        y[p] *= roots[p]
    memset(scales, 0, k * sizeof(floating))
    if floating is float:
        singles.combine(n, k, rows, y, scales)
    else:
        doubles.combine(n, k, rows, y, scales)
    for c in range(k):
        out[c] += scales[c] / diagonal[c]
    return 0


cdef int solve_primal(
    const Row* row, int k, const index_t* indices, const floating* design,
    const floating* moments, floating eps, Scratch* scratch, floating* out,
) noexcept nogil:
    """By the normal equations."""
    cdef floating* A = <floating*>scratch.gram
    cdef floating* b = <floating*>scratch.moments
    cdef int64_t start = 0
    cdef int stride = scratch.stride, n, c, status
    memset(A, 0, <size_t>stride * stride * sizeof(floating))
    memset(b, 0, stride * sizeof(floating))
    if stride > k:
        memset(scratch.gathered, 0, <size_t>BLOCK * stride * sizeof(floating))
    for c in range(k):
        b[c] = moments[c]
        A[<int64_t>c * stride + c] = (<floating*>scratch.diagonal)[c]
    while start < row.n:
        n = <int>min(<int64_t>BLOCK, row.n - start)
        look_up(row, start, n, indices, design, scratch)
        if floating is float:
            singles.add_rows(
                n, k, stride, <const float**>scratch.rows, <float*>scratch.roots,
                <float*>scratch.targets, <float*>scratch.gathered, A, b,
            )
        else:
            doubles.add_rows(
                n, k, stride, <const double**>scratch.rows, <double*>scratch.roots,
                <double*>scratch.targets, <double*>scratch.gathered, A, b,
            )
        start += n
    if floating is float:
        status = singles.solve(
            k, stride, A, b, <float*>scratch.inverse, <float*>scratch.solution, eps
        )
    else:
        status = doubles.solve(
            k, stride, A, b, <double*>scratch.inverse, <double*>scratch.solution, eps
        )
    for c in range(k):
        out[c] = (<floating*>scratch.solution)[c]
    return status


cdef void refine(
    const Row* row, int k, const index_t* indices, const floating* design,
    const floating* moments, double reduction, int steps, Scratch* scratch, floating* out,
) noexcept nogil:
    """Conjugate gradients from `out` on, after division by the diagonal."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* diagonal = <floating*>scratch.diagonal
    cdef floating* b = <floating*>scratch.moments
    cdef floating* x = <floating*>scratch.solution
    cdef int stride = scratch.stride, c
    cdef int64_t p
    for p in range(row.n):
        rows[p] = design + <int64_t>indices[p] * stride
    for c in range(k):
        b[c], x[c] = moments[c], out[c]
    for c in range(k, stride):  # coefficients that no row has
        b[c] = x[c] = 0
        diagonal[c] = 1
    if floating is float:
        singles.refine(
            row.n, stride, rows, <const float*>row.weights, <const float*>row.targets, b,
            diagonal, reduction, steps, <float*>scratch.gram, x,
        )
    else:
        doubles.refine(
            row.n, stride, rows, <const double*>row.weights, <const double*>row.targets, b,
            diagonal, reduction, steps, <double*>scratch.gram, x,
        )
    for c in range(k):
        out[c] = x[c]


cdef int descend_in_blocks(
    const Row* row, int k, const index_t* indices, const floating* design,
    const floating* moments, int size, floating eps, Scratch* scratch, floating* model,
    floating* x,
) noexcept nogil:
    """Each block of coefficients in turn is solved, the others fixed; once."""
    cdef const floating** rows = <const floating**>scratch.rows
    cdef floating* roots = <floating*>scratch.roots
    cdef floating* targets = <floating*>scratch.targets
    cdef floating* A = <floating*>scratch.gram
    cdef floating* b = <floating*>scratch.moments
    cdef floating* y = <floating*>scratch.solution
    cdef const floating* diagonal = <const floating*>scratch.diagonal
    cdef int64_t start
    cdef int number, first, width, stride, n, p, c
    cdef bint is_known = False
    for number in range((k + size - 1) // size):
        first = number * size
        width = min(size, k - first)
        stride = padded(width, x)
        memset(A, 0, <size_t>stride * stride * sizeof(floating))
        memset(b, 0, stride * sizeof(floating))
        if stride > width:
            memset(scratch.gathered, 0, <size_t>BLOCK * stride * sizeof(floating))
        for c in range(width):
            b[c] = moments[first + c] - diagonal[first + c] * x[first + c]
            A[<int64_t>c * stride + c] = diagonal[first + c]
        start = 0
        while start < row.n:
            n = <int>min(<int64_t>BLOCK, row.n - start)
            look_up(row, start, n, indices, design, scratch)
            if not is_known:
                if floating is float:
                    singles.dots(n, k, x, rows, model + start)
                else:
                    doubles.dots(n, k, x, rows, model + start)
            for p in range(n):
                targets[p] -= roots[p] * model[start + p]
                rows[p] += first
            if floating is float:
                singles.add_rows(
                    n, width, stride, rows, roots, targets, <float*>scratch.gathered, A, b
                )
            else:
                doubles.add_rows(
                    n, width, stride, rows, roots, targets, <double*>scratch.gathered, A, b
                )
            start += n
        is_known = True
        if floating is float:
            p = singles.solve(width, stride, A, b, <float*>scratch.inverse, y, eps)
        else:
            p = doubles.solve(width, stride, A, b, <double*>scratch.inverse, y, eps)
        if p:
            continue  # this precision does not tell: the block stays
        for c in range(width):
            x[first + c] += y[c]
        start = 0
        while start < row.n and first + width < k:
            n = <int>min(<int64_t>BLOCK, row.n - start)
            for p in range(n):
                rows[p] = design + <int64_t>indices[start + p] * scratch.stride + first
            if floating is float:
                singles.dots(n, width, y, rows, roots)
            else:
                doubles.dots(n, width, y, rows, roots)
            for p in range(n):
                model[start + p] += roots[p]
            start += n
    return 0


cdef struct Way:
    # How rows are improved: solved where they have no more than `exact` entries; the others by
    # blocks of coefficients of a size, or where that is zero by steps of conjugate gradients.
    int64_t exact
    int size, steps
    double reduction


cdef int improve_one(
    Row row, Way way, int k, const index_t* indices, const floating* design,
    const floating* moments, bint has_moments, floating eps, Scratch* scratch, floating* model,
    floating* out,
) noexcept nogil:
    if row.n > way.exact:
        if way.size > 0:
            return descend_in_blocks(
                &row, k, indices, design, moments, way.size, eps, scratch, model, out
            )
        refine(&row, k, indices, design, moments, way.reduction, way.steps, scratch, out)
        return 0
    # The dual system saves whole panels of columns, or many pivots.
    if 2 * row.n <= k or padded(<int>min(row.n, k), out) < scratch.stride:
        return solve_dual(
            &row, k, indices, design, moments, has_moments, eps, scratch, out
        )
    return solve_primal(&row, k, indices, design, moments, eps, scratch, out)


cdef Row entries_of(
    int64_t start, int64_t stop, const floating* targets, const floating* weights
) noexcept nogil:
    cdef Row row
    row.n = stop - start
    row.targets = targets + start
    row.weights = weights + start
    return row


def solve_prior_rows(entries, design, prior, n_threads):
    """See ``sklearn_mf.kernels.reference_prior.solve_prior_rows``."""
    n_rows, k = len(entries[0]) - 1, design.shape[1]
    start = np.zeros((n_rows, k), dtype=design.dtype)
    return _improved(entries, design, prior, start, (np.iinfo(np.int64).max, 0, 0, 0.0), n_threads)


def refine_prior_rows(entries, design, prior, start, accuracy, n_threads):
    """See ``sklearn_mf.kernels.reference_prior.refine_prior_rows``."""
    reduction, steps = accuracy
    way = FEW, 0, min(steps, design.shape[1]), reduction
    return _improved(entries, design, prior, start, way, n_threads)


def descend_prior_rows(entries, design, prior, start, size, n_threads):
    """See ``sklearn_mf.kernels.reference_prior.descend_prior_rows``."""
    return _improved(entries, design, prior, start, (size, size, 0, 0.0), n_threads)


def _improved(entries, design, prior, start, way, n_threads):
    # The longest first, so that no thread is left with them alone.
    order = np.argsort(-np.diff(entries[0]), kind="stable")
    k, panel = design.shape[1], singles.panel if design.dtype == np.float32 else doubles.panel
    wide = _aligned(design, -(-k // panel) * panel)
    return _improved_rows(*entries, wide, *prior, start, order, way, n_threads)


def _aligned(design, stride):
    """The design with zeros beyond its columns; every row begins where a line of the cache does."""
    n, k = design.shape
    if stride == k and design.ctypes.data % 64 == 0:
        return design
    memory = np.empty(n * stride + 64 // design.itemsize, dtype=design.dtype)
    skipped = -memory.ctypes.data % 64 // design.itemsize
    wide = memory[skipped : skipped + n * stride].reshape(n, stride)
    wide[:, :k] = design
    wide[:, k:] = 0
    return wide


def _improved_rows(
    const index_t[::1] indptr, const index_t[::1] indices, const floating[::1] targets,
    const floating[::1] weights, const floating[:, ::1] design, const floating[::1] moments,
    const floating[::1] gram, const floating[::1] scale, const floating[::1] ridge,
    start, const int64_t[::1] order, ways, int n_threads,
):
    cdef int64_t i, r, n_rows = indptr.shape[0] - 1, most = 0
    cdef int k = moments.shape[0], stride = design.shape[1], c
    dtype = np.float32 if floating is float else np.float64
    solution = np.array(start, dtype=dtype, order="C")
    status = np.zeros(n_rows, dtype=np.int32)
    if k == 0 or n_rows == 0:
        return solution, status
    cdef floating[:, ::1] out = solution
    cdef int32_t[::1] state = status
    cdef floating eps = np.finfo(dtype).eps
    cdef bint has_moments = np.any(moments)
    cdef const index_t* index_data = NULL
    cdef const floating* target_data = NULL
    cdef const floating* weight_data = NULL
    if indices.shape[0] > 0:
        index_data, target_data, weight_data = &indices[0], &targets[0], &weights[0]
    cdef Way way
    way.exact, way.size, way.steps, way.reduction = ways
    most = indptr[order[0] + 1] - indptr[order[0]]
    cdef Scratch scratch
    cdef floating* model = NULL
    with nogil, parallel(num_threads=n_threads):
        scratch = allocate(stride, most, &out[0, 0])
        model = <floating*>calloc(most + 1, sizeof(floating))
        for r in prange(n_rows, schedule="dynamic", chunksize=4):
            i = order[r]
            if scratch.memory == NULL or model == NULL:
                state[i] = -1
                continue
            for c in range(k):
                (<floating*>scratch.diagonal)[c] = gram[c] + scale[i] * ridge[c]
            state[i] = improve_one(
                entries_of(indptr[i], indptr[i + 1], target_data, weight_data), way, k,
                index_data + indptr[i], &design[0, 0], &moments[0], has_moments, eps, &scratch,
                model, &out[i, 0],
            )
        free(model)
        free(scratch.memory)
    return solution, status
