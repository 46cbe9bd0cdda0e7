"""What other kernels take from ``_rows.pyx``: scratch space, and what is done for a row in it."""

from cython cimport floating
from libc.stdint cimport int32_t, int64_t

ctypedef fused index_t:
    int32_t
    int64_t

# Rows of the design gathered at a time: they stay in the first-level cache. Rows of more than
# LONG entries are summed in segments, so many of them side by side.
cdef enum:
    BLOCK = 128
    SEGMENT = 8192
    LONG = 2 * SEGMENT
    SEGMENTS_AT_A_TIME = 16


cdef struct Scratch:
    # What one thread works on; all parts are aligned to vectors.
    void* memory
    void* rows      # BLOCK pointers to rows of the design
    void* roots     # BLOCK roots of weights
    void* targets   # BLOCK
    void* gathered  # BLOCK x stride, zero beyond k
    void* gram      # stride x stride
    void* moments   # stride
    void* inverse   # stride
    void* solution  # stride


cdef int row_stride(int k, floating* kind) noexcept nogil
cdef Scratch allocate(int stride, floating* kind) noexcept nogil
cdef void clear(int stride, Scratch* scratch, floating* kind) noexcept nogil
cdef int finish_row(
    int k, int stride, Scratch* scratch, floating row_scale, const floating* ridge, floating eps,
    floating* out,
) noexcept nogil
cdef void add_entries(
    int64_t n_entries, int k, int stride, const index_t* indices, const floating* targets,
    const floating* weights, const floating* design, Scratch* scratch,
) noexcept nogil
