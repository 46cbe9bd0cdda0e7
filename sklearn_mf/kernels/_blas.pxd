"""The four BLAS and LAPACK routines that the kernels use, for C-ordered arguments.

SciPy's integers are 32 or 64 bits wide (``blas_int``, see setup.py). They are converted
here and nowhere else. A C-ordered (n, k) array is the column-major (k, n) array of BLAS,
hence the letters.
"""
from cython cimport floating
from scipy.linalg cimport cython_blas, cython_lapack

from sklearn_mf.kernels._blas_int cimport blas_int


cdef inline void add_gram(
    int n_rows, int n_columns, floating* rows, floating* gram
) noexcept nogil:
    """gram += rows.T @ rows, one triangle only."""
    cdef blas_int n = n_rows, k = n_columns
    cdef floating one = 1
    cdef char triangle = b"L", transpose = b"N"
    if floating is float:
        cython_blas.ssyrk(&triangle, &transpose, &k, &n, &one, rows, &k, &one, gram, &k)
    else:
        cython_blas.dsyrk(&triangle, &transpose, &k, &n, &one, rows, &k, &one, gram, &k)


cdef inline void add_transposed_product(
    int n_rows, int n_columns, floating* rows, floating* vector, floating* out
) noexcept nogil:
    """out += rows.T @ vector."""
    cdef blas_int n = n_rows, k = n_columns, increment = 1
    cdef floating one = 1
    cdef char transpose = b"N"
    if floating is float:
        cython_blas.sgemv(
            &transpose, &k, &n, &one, rows, &k, vector, &increment, &one, out, &increment
        )
    else:
        cython_blas.dgemv(
            &transpose, &k, &n, &one, rows, &k, vector, &increment, &one, out, &increment
        )


cdef inline int cholesky(int n_columns, floating* gram) noexcept nogil:
    """Factor gram in place; 0 if it is positive definite."""
    cdef blas_int k = n_columns, info = 0
    cdef char triangle = b"L"
    if floating is float:
        cython_lapack.spotrf(&triangle, &k, gram, &k, &info)
    else:
        cython_lapack.dpotrf(&triangle, &k, gram, &k, &info)
    return <int>info


cdef inline void cholesky_solve(int n_columns, floating* factor, floating* out) noexcept nogil:
    """Solve in place with the factor that ``cholesky`` left."""
    cdef blas_int k = n_columns, one = 1, info = 0
    cdef char triangle = b"L"
    if floating is float:
        cython_lapack.spotrs(&triangle, &k, &one, factor, &k, out, &k, &info)
    else:
        cython_lapack.dpotrs(&triangle, &k, &one, factor, &k, out, &k, &info)
