"""Stochastic steps of entries: the compiled twin of ``reference``.

Each block is the work of one thread. Threads take the blocks in their order, and wait until those
before it that share its rows or its columns are done, for nothing else. So the result does not
depend on the number of threads, and a thread that the system holds up does not stop the others at
once. What is done for one entry is C: see ``_row_system.h``.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc, free

import numpy as np

from sklearn_mf.kernels._row_system cimport (
    ASIDE, BIAS, SQUARES, STRENGTH, choose_double_system, choose_float_system, double_system,
    entry_block, entry_side, float_system
)

cdef extern from *:
    """
    #ifdef _MSC_VER
    #define WIN32_LEAN_AND_MEAN
    #include <windows.h>
    static long take(volatile long *next) { return InterlockedExchangeAdd(next, 1); }
    static void announce(volatile long *turn) { InterlockedExchangeAdd(turn, 1); }
    static void wait_for(volatile long *turn, long wanted)
    {
        while (InterlockedExchangeAdd(turn, 0) < wanted) SwitchToThread();
    }
    #else
    #include <sched.h>
    static long take(volatile long *next)
    {
        return __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
    }
    static void announce(volatile long *turn) { __atomic_fetch_add(turn, 1, __ATOMIC_RELEASE); }
    static void wait_for(volatile long *turn, long wanted)
    {
        for (int n = 0; __atomic_load_n(turn, __ATOMIC_ACQUIRE) < wanted; n++)
            if (n > 1000) sched_yield();
    }
    #endif
    """
    long take(long* next) noexcept nogil
    void announce(long* turn) noexcept nogil
    void wait_for(long* turn, long wanted) noexcept nogil

cdef const float_system* singles = choose_float_system()
cdef const double_system* doubles = choose_double_system()


def sgd_epoch(entries, blocks, rows, columns, rate, adapt, n_threads):
    """See ``sklearn_mf.kernels.reference.sgd_epoch``."""
    # Copies: what is handed in stays as it is.
    rows, columns = ((side[0].copy(), side[1].copy(), *side[2:]) for side in (rows, columns))
    errors = _sgd_epoch(*entries, *blocks, *rows, *columns, rate, adapt, n_threads)
    return rows[:2], columns[:2], errors


def _sgd_epoch(
    const int32_t[::1] row_of, const int32_t[::1] column_of, const floating[::1] targets,
    row_weights, column_weights, const int64_t[::1] starts, const int64_t[:, ::1] strata,
    floating[:, ::1] W, floating[::1] W_squares, const floating[::1] W_strength,
    tuple W_penalty, floating[:, ::1] Ht, floating[::1] Ht_squares,
    const floating[::1] Ht_strength, tuple Ht_penalty, floating rate, double adapt,
    int n_threads,
):
    cdef int k = W.shape[1] - (W_penalty[3] is not None)
    errors = np.zeros(starts.shape[0] - 1)
    if row_of.shape[0] == 0:
        return errors
    cdef const floating[::1] row_weight_view, column_weight_view
    cdef entry_block entries
    entries.rows, entries.columns, entries.targets = &row_of[0], &column_of[0], &targets[0]
    entries.row_weights = entries.column_weights = NULL
    if row_weights is not None:
        row_weight_view = row_weights
        entries.row_weights = &row_weight_view[0]
    if column_weights is not None:
        column_weight_view = column_weights
        entries.column_weights = &column_weight_view[0]
    cdef double[::1] error_of = errors
    cdef int panel = singles.panel if floating is float else doubles.panel
    cdef int stride = (k + panel - 1) // panel * panel
    cdef entry_side left = side_of(W_penalty, adapt / k)
    cdef entry_side right = side_of(Ht_penalty, adapt / k)
    cdef void* left_memory = load(k, stride, W, W_squares, W_strength, &left)
    cdef void* right_memory = load(k, stride, Ht, Ht_squares, Ht_strength, &right)
    # The next block, and how many blocks of each group of rows and of columns are done.
    cdef long* turns = <long*>calloc(1 + 2 * strata.shape[1], sizeof(long))
    cdef int64_t i
    try:
        if left_memory == NULL or right_memory == NULL or turns == NULL:
            raise MemoryError("No memory for the scratch space of the stochastic steps.")
        with nogil:
            with parallel(num_threads=n_threads):
                take_blocks(starts, strata, stride, &entries, &left, &right, rate, turns)
            for i in prange(
                error_of.shape[0], schedule="dynamic", chunksize=1, num_threads=n_threads
            ):
                error_of[i] = error_of_block(
                    starts[i], starts[i + 1], stride, &entries, &left, &right, rate
                )
            unload(k, stride, &left, W, W_squares)
            unload(k, stride, &right, Ht, Ht_squares)
    finally:
        free(left_memory)
        free(right_memory)
        free(turns)
    return errors


cdef entry_side side_of(tuple penalty, double adapt):
    cdef entry_side side
    side.factor = side.aside = NULL
    side.ridge, side.l1, side.lower = penalty[0], penalty[1], penalty[2]
    side.has_bias = penalty[3] is not None
    side.bias_ridge = penalty[3] or 0
    side.adapt = adapt
    return side


cdef void* load(
    int k, int stride, const floating[:, ::1] factor, const floating[::1] squares,
    const floating[::1] strength, entry_side* side,
) noexcept nogil:
    """Copy a factor to rows of whole panels, aligned; the memory to free, NULL without any."""
    cdef int64_t i, n = factor.shape[0]
    cdef int c
    cdef void* memory = calloc(64 + n * (stride + ASIDE) * sizeof(floating), 1)
    if memory == NULL:
        return NULL
    cdef floating* rows = <floating*>((<uintptr_t>memory + 63) // 64 * 64)
    cdef floating* aside = rows + n * stride
    for i in range(n):
        for c in range(k):
            rows[i * stride + c] = factor[i, c]
        aside[ASIDE * i + BIAS] = factor[i, k] if side.has_bias else 0
        aside[ASIDE * i + SQUARES] = squares[i]
        aside[ASIDE * i + STRENGTH] = strength[i]
    side.factor, side.aside = rows, aside
    return memory


cdef void unload(
    int k, int stride, entry_side* side, floating[:, ::1] factor, floating[::1] squares,
) noexcept nogil:
    cdef floating* rows = <floating*>side.factor
    cdef floating* aside = <floating*>side.aside
    cdef int64_t i
    cdef int c
    for i in range(factor.shape[0]):
        for c in range(k):
            factor[i, c] = rows[i * stride + c]
        if side.has_bias:
            factor[i, k] = aside[ASIDE * i + BIAS]
        squares[i] = aside[ASIDE * i + SQUARES]


cdef entry_block part_of(const entry_block* entries, int64_t start, floating kind) noexcept nogil:
    cdef entry_block part
    part.rows, part.columns = entries.rows + start, entries.columns + start
    part.targets = <const floating*>entries.targets + start
    part.row_weights = part.column_weights = NULL
    if entries.row_weights != NULL:
        part.row_weights = <const floating*>entries.row_weights + start
    if entries.column_weights != NULL:
        part.column_weights = <const floating*>entries.column_weights + start
    return part


cdef void take_blocks(
    const int64_t[::1] starts, const int64_t[:, ::1] strata, int stride,
    const entry_block* entries, const entry_side* left, const entry_side* right, floating rate,
    long* turns,
) noexcept nogil:
    """What one thread does: the next block whenever its rows and its columns are free."""
    cdef int64_t n_groups = strata.shape[1], position, stratum, block
    cdef long* rows
    cdef long* columns
    while True:
        position = take(turns)
        if position >= strata.shape[0] * n_groups:
            return
        stratum = position // n_groups
        block = strata[stratum, position % n_groups]
        rows = turns + 1 + block // n_groups
        columns = turns + 1 + n_groups + block % n_groups
        wait_for(rows, stratum)
        wait_for(columns, stratum)
        sgd_block(starts[block], starts[block + 1], stride, entries, left, right, rate)
        announce(rows)
        announce(columns)


cdef void sgd_block(
    int64_t start, int64_t stop, int stride, const entry_block* entries, const entry_side* left,
    const entry_side* right, floating rate,
) noexcept nogil:
    cdef entry_block part = part_of(entries, start, rate)
    if floating is float:
        singles.sgd_steps(stop - start, stride, &part, left, right, rate)
    else:
        doubles.sgd_steps(stop - start, stride, &part, left, right, rate)


cdef double error_of_block(
    int64_t start, int64_t stop, int stride, const entry_block* entries, const entry_side* left,
    const entry_side* right, floating kind,
) noexcept nogil:
    cdef entry_block part = part_of(entries, start, kind)
    if floating is float:
        return singles.squared_error(stop - start, stride, &part, left, right)
    else:
        return doubles.squared_error(stop - start, stride, &part, left, right)
