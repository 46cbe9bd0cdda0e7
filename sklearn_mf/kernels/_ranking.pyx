"""Rankings of columns: the compiled twin of ``ranking``.

The best columns so far are a heap whose root is the worst of them, so that one look at the root
tells whether a score matters. Of nearly all none does.
"""
from cython cimport floating
from cython.parallel cimport prange
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int32_t, int64_t

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
    # Scores of which the largest stands for all, and how many of them are compared side by side.
    PIECE = 16
    LANES = 8
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
        found = heap_of_row(n_columns, n, &scores[i, 0], &best[i, 0], &which[i, 0])
        sort_heap(found, &best[i, 0], &which[i, 0])
    return columns, values


def offer_products(
    const floating[:, ::1] scores, int64_t first, const floating[::1] slack,
    const floating[:, ::1] left, const floating[:, ::1] right, int64_t[:, ::1] columns,
    floating[:, ::1] values, int n_threads,
):
    """See ``sklearn_mf.kernels.ranking.offer_products``."""
    cdef int64_t i, n_rows = scores.shape[0], n_columns = scores.shape[1]
    cdef int n = columns.shape[1], k = left.shape[1]
    if n_rows == 0 or n_columns == 0 or k == 0:
        return
    for i in prange(n_rows, nogil=True, schedule="dynamic", num_threads=n_threads):
        offer_products_of_row(
            n_columns, n, k, &scores[i, 0], first, slack[i], &left[i, 0], &right[first, 0],
            &values[i, 0], &columns[i, 0],
        )


def sort_rankings(int64_t[:, ::1] columns, floating[:, ::1] values):
    """See ``sklearn_mf.kernels.ranking.sort_rankings``."""
    cdef int64_t i
    cdef int n = columns.shape[1]
    with nogil:
        for i in range(columns.shape[0]):
            sort_heap(n_found(n, &columns[i, 0]), &values[i, 0], &columns[i, 0])


cdef inline int n_found(int n, const int64_t* which) noexcept nogil:
    """How many columns are in a heap that has room for n."""
    while n > 0 and which[n - 1] < 0:
        n -= 1
    return n


cdef void offer_products_of_row(
    int64_t n_columns, int n, int k, const floating* scores, int64_t first, floating slack,
    const floating* left, const floating* right, floating* best, int64_t* which,
) noexcept nogil:
    """Let the products decide, where scores are not too low for it."""
    cdef int found = n_found(n, which)
    cdef int64_t j = 0
    cdef const floating* row
    cdef floating product, limit, least = -INFINITY
    if found == 0:
        # The products of n scores are above this less the slack, and the score of one that is
        # better than any of them is no lower than that less the slack again.
        least = exceeded_by(n, n_columns, scores, best, which) - 2 * slack
    while True:
        limit = best[0] - slack if found == n else -INFINITY
        if not limit >= least:  # also of infinity less infinity
            limit = least
        if not limit == limit:
            limit = -INFINITY
        if floating is float:
            j = singles.first_at_least(j, n_columns, scores, limit)
        else:
            j = doubles.first_at_least(j, n_columns, scores, limit)
        if j == n_columns:
            return
        row = right + j * k
        if floating is float:
            singles.dots(1, k, left, &row, &product)
        else:
            doubles.dots(1, k, left, &row, &product)
        offer(n, product, first + j, best, which, &found)
        j += 1


cdef int heap_of_row(
    int64_t n_columns, int n, const floating* scores, floating* best, int64_t* which,
) noexcept nogil:
    """Make a heap of the best; how many there are."""
    cdef int64_t j = 0
    cdef int found = 0
    cdef floating limit = exceeded_by(n, n_columns, scores, best, which)
    while True:
        if found == n:
            limit = best[0]
        if floating is float:
            j = singles.first_at_least(j, n_columns, scores, limit)
        else:
            j = doubles.first_at_least(j, n_columns, scores, limit)
        if j == n_columns:
            return found
        offer(n, scores[j], j, best, which, &found)
        j += 1


cdef floating exceeded_by(
    int n, int64_t n_columns, const floating* scores, floating* best, int64_t* which,
) noexcept nogil:
    """What n scores at least are no lower than: the n-th largest of the maxima of pieces.

    The heap, which is empty, serves to find it, and is left empty.
    """
    cdef floating limit
    cdef int found = 0, p
    cdef int64_t piece
    if n_columns // PIECE < n:
        return -INFINITY
    for piece in range(n_columns // PIECE):
        limit = largest_of_piece(scores + piece * PIECE)
        if limit > -INFINITY:
            offer(n, limit, piece, best, which, &found)
    limit = best[0] if found == n else -INFINITY
    for p in range(n):
        which[p] = -1
        best[p] = NAN
    return limit


cdef inline floating largest_of_piece(const floating* scores) noexcept nogil:
    """Minus infinity where all are NaN."""
    cdef floating largest[LANES]
    cdef int _p, q
    for q in range(LANES):
        largest[q] = -INFINITY
    for _p in range(PIECE // LANES):
        for q in range(LANES):
            largest[q] = scores[q] if scores[q] > largest[q] else largest[q]
        scores += LANES
    for q in range(1, LANES):
        if largest[q] > largest[0]:
            largest[0] = largest[q]
    return largest[0]


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
