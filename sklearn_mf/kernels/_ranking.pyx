"""Rankings of columns: the compiled twin of ``ranking``.

The best columns so far are a heap whose root is the worst of them, so that one look at the root
tells whether a score matters. Scores are looked at in pieces: of nearly all none does.
"""
from cython cimport floating
from cython.parallel cimport parallel, prange
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

import numpy as np

from sklearn_mf.kernels._row_system cimport (
    choose_double_system, choose_float_system, double_system, float_system
)

ctypedef fused index_t:
    int32_t
    int64_t

cdef const float_system* singles = choose_float_system()
cdef const double_system* doubles = choose_double_system()

cdef enum:
    # Scores that are compared with the root at once.
    PIECE = 64
    # Products that are summed at a time.
    BLOCK = 128
    NO_MEMORY = -2
    # Numbers that tell how good a ranking is.
    SUMS = 7


def top_columns(const floating[:, ::1] scores, int n, int n_threads):
    """See ``sklearn_mf.kernels.ranking.top_columns``."""
    cdef int64_t i, n_rows = scores.shape[0], n_columns = scores.shape[1]
    dtype = np.float32 if floating is float else np.float64
    columns = np.full((n_rows, n), -1, dtype=np.int64)
    values = np.full((n_rows, n), np.nan, dtype=dtype)
    if n_rows == 0 or n_columns == 0:
        return columns, values
    cdef int64_t[:, ::1] which = columns
    cdef floating[:, ::1] best = values
    cdef int found
    for i in prange(n_rows, nogil=True, schedule="dynamic", num_threads=n_threads):
        found = 0
        heap_of_row(n_columns, n, &scores[i, 0], 0, &best[i, 0], &which[i, 0], NULL, &found)
        sort_heap(found, &best[i, 0], &which[i, 0])
    return columns, values


def top_columns_of_products(
    const floating[:, ::1] scores, const floating[::1] slack, const floating[:, ::1] left,
    const floating[:, ::1] right, int n, int n_threads,
):
    """See ``sklearn_mf.kernels.ranking.top_columns_of_products``."""
    cdef int64_t i, n_rows = scores.shape[0], n_columns = scores.shape[1]
    cdef int k = left.shape[1]
    dtype = np.float32 if floating is float else np.float64
    columns = np.full((n_rows, n), -1, dtype=np.int64)
    values = np.full((n_rows, n), np.nan, dtype=dtype)
    if n_rows == 0 or n_columns == 0 or k == 0:
        return top_columns(scores, n, n_threads)
    cdef int64_t[:, ::1] which = columns
    cdef floating[:, ::1] best = values
    cdef int64_t* candidates = NULL
    with nogil, parallel(num_threads=n_threads):
        candidates = <int64_t*>malloc(n_columns * sizeof(int64_t))
        for i in prange(n_rows, schedule="dynamic"):
            if candidates == NULL:
                which[i, 0] = NO_MEMORY
                continue
            rank_row(
                n_columns, n, k, &scores[i, 0], slack[i], &left[i, 0], &right[0, 0], candidates,
                &best[i, 0], &which[i, 0],
            )
        free(candidates)
    if (columns[:, 0] == NO_MEMORY).any():
        raise MemoryError(f"no memory for the numbers of {n_columns} columns.")
    return columns, values


cdef void rank_row(
    int64_t n_columns, int n, int k, const floating* scores, floating slack, const floating* left,
    const floating* right, int64_t* candidates, floating* best, int64_t* which,
) noexcept nogil:
    """Find the candidates by their scores, then the best of them by their products."""
    cdef const void* pointers[BLOCK]
    cdef const floating** rows = <const floating**>pointers
    cdef floating products[BLOCK]
    cdef int found = 0, few, p
    cdef int64_t j, start = 0, n_left = 0
    cdef int64_t n_candidates = heap_of_row(
        n_columns, n, scores, slack, best, which, candidates, &found
    )
    # The limit has risen since most of them were found.
    for j in range(n_candidates):
        if found < n or not scores[candidates[j]] < best[0] - slack:
            candidates[n_left] = candidates[j]
            n_left += 1
    for p in range(found):
        which[p] = -1
    found = 0
    while start < n_left:
        few = <int>min(<int64_t>BLOCK, n_left - start)
        for p in range(few):
            rows[p] = right + candidates[start + p] * k
        if floating is float:
            singles.dots(few, k, left, rows, products)
        else:
            doubles.dots(few, k, left, rows, products)
        for p in range(few):
            offer(n, products[p], candidates[start + p], best, which, &found)
        start += few
    sort_heap(found, best, which)


cdef int64_t heap_of_row(
    int64_t n_columns, int n, const floating* scores, floating slack, floating* best,
    int64_t* which, int64_t* candidates, int* found,
) noexcept nogil:
    """Make a heap of the best; note columns that are below it by no more than slack."""
    cdef int64_t j = 0, stop, n_candidates = 0
    cdef floating limit = -INFINITY
    while j < n_columns:
        stop = min(j + <int64_t>PIECE, n_columns)
        if stop - j == PIECE and all_below(scores + j, limit):
            j = stop
            continue
        while j < stop:
            # NaN is below nothing, and is no score.
            if scores[j] == scores[j] and not scores[j] < limit:
                if candidates != NULL:
                    candidates[n_candidates] = j
                    n_candidates += 1
                offer(n, scores[j], j, best, which, found)
                if found[0] == n:
                    limit = best[0] - slack
                    if not limit == limit:  # infinity less infinity
                        limit = -INFINITY
            j += 1
    return n_candidates


cdef inline bint all_below(const floating* scores, floating limit) noexcept nogil:
    cdef int p, others = 0
    for p in range(PIECE):
        others += scores[p] >= limit
    return others == 0


cdef inline void offer(
    int n, floating value, int64_t column, floating* best, int64_t* which, int* found,
) noexcept nogil:
    """Add a column to the heap, if there is room or it is better than the root.

    Columns come in ascending order, so that none is better than an equal one before it.
    """
    cdef int at, above
    if not value == value:
        return
    if found[0] == n:
        if value > best[0]:
            sift(n, 0, value, column, best, which)
        return
    at = found[0]
    found[0] += 1
    while at > 0:
        above = (at - 1) // 2
        if not is_worse(value, column, best[above], which[above]):
            break
        best[at] = best[above]
        which[at] = which[above]
        at = above
    best[at] = value
    which[at] = column


cdef inline bint is_worse(
    floating value, int64_t column, floating other, int64_t other_column
) noexcept nogil:
    return value < other or (value == other and column > other_column)


cdef inline void sift(
    int n, int at, floating value, int64_t column, floating* best, int64_t* which
) noexcept nogil:
    """Put a column where `at` is, or as far below as there are worse ones."""
    cdef int below = 2 * at + 1
    while below < n:
        if below + 1 < n and is_worse(
            best[below + 1], which[below + 1], best[below], which[below]
        ):
            below += 1
        if not is_worse(best[below], which[below], value, column):
            break
        best[at] = best[below]
        which[at] = which[below]
        at = below
        below = 2 * at + 1
    best[at] = value
    which[at] = column


cdef inline void sort_heap(int n, floating* best, int64_t* which) noexcept nogil:
    """The best first."""
    cdef floating value
    cdef int64_t column
    while n > 1:
        n -= 1
        value = best[n]
        column = which[n]
        best[n] = best[0]
        which[n] = which[0]
        sift(n, 0, value, column, best, which)


def score_rankings(ranked, truth, cutoffs, int n_threads):
    """See ``sklearn_mf.kernels.ranking.score_rankings``."""
    return _score_rankings(ranked, *truth, cutoffs, n_threads)


def _score_rankings(
    const int64_t[:, ::1] ranked, const index_t[::1] indptr, const index_t[::1] indices,
    const double[::1] gains, const double[::1] ideal, const int64_t[::1] cutoffs, int n_threads,
):
    cdef int64_t i, start, n_rows = ranked.shape[0], m = ranked.shape[1]
    cdef int n_cutoffs = cutoffs.shape[0]
    sums = np.zeros((n_cutoffs, SUMS, n_rows))
    if n_rows == 0 or n_cutoffs == 0 or indices.shape[0] == 0:
        return sums
    cdef double[:, :, ::1] out = sums
    cdef const double[::1] discounts = 1 / np.log2(np.arange(2, m + 2))
    for i in prange(n_rows, nogil=True, schedule="dynamic", chunksize=64, num_threads=n_threads):
        start = indptr[i]
        if indptr[i + 1] > start:
            score_row(
                indptr[i + 1] - start, &ranked[i, 0], &indices[0] + start, &gains[0] + start,
                &ideal[0] + start, &discounts[0], n_cutoffs, &cutoffs[0], n_rows, &out[0, 0, i],
            )
    return sums


cdef void score_row(
    int64_t n_relevant, const int64_t* ranked, const index_t* relevant, const double* gains,
    const double* ideal, const double* discounts, int n_cutoffs, const int64_t* cutoffs,
    int64_t step, double* out,
) noexcept nogil:
    """Add up along the ranking, and write at every cutoff; numbers of a row are `step` apart."""
    cdef double now[SUMS]
    cdef int64_t place, p = 0
    cdef int c, s
    for s in range(SUMS):
        now[s] = 0
    for c in range(n_cutoffs):
        while p < cutoffs[c]:
            place = -1
            if ranked[p] >= 0:
                place = place_of(<index_t>ranked[p], relevant, n_relevant)
            if place >= 0:
                now[0] += 1
                now[1] += now[0] / (p + 1)
                if now[2] == 0:
                    now[2] = 1.0 / (p + 1)
                now[3] += gains[place] * discounts[p]
                now[5] += discounts[p]
            if p < n_relevant:
                now[4] += ideal[p] * discounts[p]
                now[6] += discounts[p]
            p += 1
        for s in range(SUMS):
            out[(c * SUMS + s) * step] = now[s]


cdef inline int64_t place_of(index_t column, const index_t* ascending, int64_t n) noexcept nogil:
    """Where a column is, -1 where it is not."""
    cdef int64_t first = 0, middle, end = n
    while first < end:
        middle = first + (end - first) // 2
        if ascending[middle] < column:
            first = middle + 1
        else:
            end = middle
    return first if first < n and ascending[first] == column else -1
