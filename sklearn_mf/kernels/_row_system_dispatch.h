/* The row system for float and double, once for every instruction set, chosen at run time.
 *
 * GCC and Clang on x86-64 build three instances and ask the processor; elsewhere they build
 * one for vectors of 16 bytes. Other compilers have no vector types and work on scalars.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if (defined(__GNUC__) || defined(__clang__)) && !defined(SKLEARN_MF_SCALARS)
#define SKLEARN_MF_VECTORS 1
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))
#define PREFETCH(address) __builtin_prefetch(address)
#define BASE_BYTES 16
#define BASE_WIDTH 2
#else
#define SKLEARN_MF_VECTORS 0
#define ALWAYS_INLINE inline
#define ALIGNED
#define PREFETCH(address) ((void)0)
#define BASE_BYTES sizeof(REAL)
#define BASE_WIDTH 4
#endif

/* Rows of a tall factor are met in no order: how many of them to ask for in advance. */
#define AHEAD 8

/* Of how many rows products with a vector are summed side by side. */
#define PULLED 8

#if SKLEARN_MF_VECTORS && defined(__x86_64__)
#define SKLEARN_MF_DISPATCH 1
#else
#define SKLEARN_MF_DISPATCH 0
#endif

/* Entries that take stochastic steps: their rows and columns, and of type REAL their targets and
 * what they count for their rows and columns, NULL for ones. */
typedef struct {
    const int32_t *rows, *columns;
    const void *targets, *row_weights, *column_weights;
} entry_block;

/* The factor of one side, REAL rows of whole panels, and what each row has aside of it: bias, sum
 * of squared gradients, what its penalty is times for each of its entries. `adapt` is what squared
 * gradients are added with; 0 for steps that stay as long as they are. */
typedef struct {
    void *factor, *aside;
    double has_bias, ridge, l1, lower, bias_ridge, adapt;
} entry_side;

/* Of the coefficients of a row, each of type REAL: ridge, factor of the absolute value, bound. */
typedef struct {
    const void *ridge, *l1, *lower;
} panel_penalty;

/* Vectors of rows that descend side by side. */
#define PANEL_VECTORS 8

/* A product with a dense matrix is summed up in register tiles of so many rows and vectors, over so
 * many columns before the next. */
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define TILE_DEPTH 32

/* A system may be singular if a pivot, as a share of its diagonal, is less than so many rounding
 * errors a coefficient; as in the reference. */
#define SUSPICIOUS 30

enum { BIAS, SQUARES, STRENGTH, ASIDE = 4 };

/* What the kernels call; `panel` is the number that row strides must be multiples of, `abreast`
 * that of the rows which descend_panel takes, `wide` that of the columns of a panel of multiply. */
#define DECLARE(real)                                                                       \
    typedef struct {                                                                        \
        int panel, abreast, wide;                                                              \
        void (*add_rows)(int, int, int, const real *const *, const real *, const real *,    \
                         real *, real *, real *);                                           \
        void (*remove_rows)(int, int, int, const real *const *, const real *, real *, real *); \
        void (*add_products)(int, int, int, const real *const *, const real *,              \
                             const real *, real *, real *);                                 \
        int (*solve)(int, int, real *, real *, real *, real *, real);                       \
        void (*combine)(int, int, const real *const *, const real *, real *);               \
        void (*dots)(int, int, const real *, const real *const *, real *);                  \
        void (*refine)(int64_t, int, const real *const *, const real *, const real *,       \
                       const real *, const real *, double, int, real *, real *);            \
        void (*multiply)(int64_t, int64_t, int64_t, const real *, int64_t, int64_t,         \
                         const real *, real *);                                             \
        void (*sgd_steps)(int64_t, int, const entry_block *, const entry_side *,              \
                        const entry_side *, real);                                          \
        double (*squared_error)(int64_t, int, const entry_block *, const entry_side *,      \
                                const entry_side *);                                        \
        void (*descend_panel)(int, const real *, const panel_penalty *, const real *,       \
                              const real *, real, int, real *, real *);                     \
        int64_t (*first_at_least)(int64_t, int64_t, const real *, real);                    \
    } real##_system;

DECLARE(float)
DECLARE(double)
#undef DECLARE

#define REAL float
#define SQRT sqrtf
#define FABS fabsf
#define TRANSPOSED(q, i) {(QUAD){q[0][i], q[1][i], q[2][i], q[3][i]}}
#define SYSTEM float_system

#define NAME(x) x##_float_base
#define TARGET
#define BYTES BASE_BYTES
#define HEIGHT 4
#define WIDTH BASE_WIDTH
#include "_row_system.h"

#if SKLEARN_MF_DISPATCH
#define NAME(x) x##_float_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define BYTES 32
#define HEIGHT 8
#define WIDTH 1
#include "_row_system.h"

#define NAME(x) x##_float_avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#define BYTES 64
#define HEIGHT 16
#define WIDTH 1
#include "_row_system.h"
#endif

#undef REAL
#undef SQRT
#undef FABS
#undef TRANSPOSED
#undef SYSTEM

#define REAL double
#define SQRT sqrt
#define FABS fabs
#define TRANSPOSED(q, i) {(QUAD){q[0][i], q[1][i]}, (QUAD){q[2][i], q[3][i]}}
#define SYSTEM double_system

#define NAME(x) x##_double_base
#define TARGET
#define BYTES BASE_BYTES
#define HEIGHT 4
#define WIDTH BASE_WIDTH
#include "_row_system.h"

#if SKLEARN_MF_DISPATCH
#define NAME(x) x##_double_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define BYTES 32
#define HEIGHT 4
#define WIDTH 2
#include "_row_system.h"

#define NAME(x) x##_double_avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma")))
#define BYTES 64
#define HEIGHT 8
#define WIDTH 1
#include "_row_system.h"
#endif

#undef REAL
#undef SQRT
#undef FABS
#undef TRANSPOSED
#undef SYSTEM

#if SKLEARN_MF_DISPATCH
#define CHOOSE(real)                                                                        \
    static const real##_system *choose_##real##_system(void)                                \
    {                                                                                       \
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&      \
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))       \
            return &system_##real##_avx512;                                                 \
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                \
            return &system_##real##_avx2;                                                   \
        return &system_##real##_base;                                                       \
    }
#else
#define CHOOSE(real)                                                                        \
    static const real##_system *choose_##real##_system(void) { return &system_##real##_base; }
#endif

CHOOSE(float)
CHOOSE(double)
#undef CHOOSE
