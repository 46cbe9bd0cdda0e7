"""What the kernels do for one row, as declared in ``_row_system_dispatch.h``."""

from libc.stdint cimport int32_t, int64_t

cdef extern from "_row_system_dispatch.h":
    ctypedef struct entry_block:
        const int32_t* rows
        const int32_t* columns
        const void* targets
        const void* row_weights
        const void* column_weights

    ctypedef struct entry_side:
        void* factor
        void* aside
        double has_bias, ridge, l1, lower, bias_ridge, adapt

    ctypedef struct panel_penalty:
        const void* ridge
        const void* l1
        const void* lower

    enum:
        BIAS, SQUARES, STRENGTH, ASIDE

    ctypedef struct float_system:
        int panel, abreast, wide
        void (*add_rows)(
            int n, int k, int stride, const float** rows, const float* roots,
            const float* targets, float* gathered, float* gram, float* solution,
        ) noexcept nogil
        void (*remove_rows)(
            int n, int k, int stride, const float** rows, const float* roots,
            float* gathered, float* gram,
        ) noexcept nogil
        void (*add_products)(
            int n, int k, int stride, const float** rows, const float* roots,
            const float* scales, float* transposed, float* products,
        ) noexcept nogil
        int (*solve)(
            int k, int stride, float* gram, float* moments, float* inverse, float* solution,
            float eps
        ) noexcept nogil
        void (*combine)(
            int n, int k, const float** rows, const float* scales, float* out
        ) noexcept nogil
        void (*dots)(
            int n, int k, const float* vector, const float** rows, float* out
        ) noexcept nogil
        void (*refine)(
            int64_t n, int k, const float** rows, const float* weights, const float* targets,
            const float* moments, const float* diagonal, double reduction, int steps,
            float* scratch, float* x
        ) noexcept nogil
        void (*multiply)(
            int64_t n, int64_t depth, int64_t stride, const float* A, int64_t down,
            int64_t across, const float* B, float* out
        ) noexcept nogil
        void (*sgd_steps)(
            int64_t n, int stride, const entry_block* entries, const entry_side* left,
            const entry_side* right, float rate
        ) noexcept nogil
        double (*squared_error)(
            int64_t n, int stride, const entry_block* entries, const entry_side* left,
            const entry_side* right
        ) noexcept nogil
        void (*descend_panel)(
            int k, const float* gram, const panel_penalty* penalty, const float* scale,
            const float* moments, float tol, int rounds, float* rows, float* violation
        ) noexcept nogil
        int64_t (*first_at_least)(
            int64_t start, int64_t n, const float* scores, float limit
        ) noexcept nogil

    ctypedef struct double_system:
        int panel, abreast, wide
        void (*add_rows)(
            int n, int k, int stride, const double** rows, const double* roots,
            const double* targets, double* gathered, double* gram, double* solution,
        ) noexcept nogil
        void (*remove_rows)(
            int n, int k, int stride, const double** rows, const double* roots,
            double* gathered, double* gram,
        ) noexcept nogil
        void (*add_products)(
            int n, int k, int stride, const double** rows, const double* roots,
            const double* scales, double* transposed, double* products,
        ) noexcept nogil
        int (*solve)(
            int k, int stride, double* gram, double* moments, double* inverse, double* solution,
            double eps
        ) noexcept nogil
        void (*combine)(
            int n, int k, const double** rows, const double* scales, double* out
        ) noexcept nogil
        void (*dots)(
            int n, int k, const double* vector, const double** rows, double* out
        ) noexcept nogil
        void (*refine)(
            int64_t n, int k, const double** rows, const double* weights, const double* targets,
            const double* moments, const double* diagonal, double reduction, int steps,
            double* scratch, double* x
        ) noexcept nogil
        void (*multiply)(
            int64_t n, int64_t depth, int64_t stride, const double* A, int64_t down,
            int64_t across, const double* B, double* out
        ) noexcept nogil
        void (*sgd_steps)(
            int64_t n, int stride, const entry_block* entries, const entry_side* left,
            const entry_side* right, double rate
        ) noexcept nogil
        double (*squared_error)(
            int64_t n, int stride, const entry_block* entries, const entry_side* left,
            const entry_side* right
        ) noexcept nogil
        void (*descend_panel)(
            int k, const double* gram, const panel_penalty* penalty, const double* scale,
            const double* moments, double tol, int rounds, double* rows, double* violation
        ) noexcept nogil
        int64_t (*first_at_least)(
            int64_t start, int64_t n, const double* scores, double limit
        ) noexcept nogil

    const float_system* choose_float_system()
    const double_system* choose_double_system()
