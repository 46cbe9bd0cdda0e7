/* What is done for one row: weighted least squares (Gram matrix, Cholesky factor, solution),
 * and sums and products over the rows of a tall factor. For a few rows with one Gram matrix:
 * coordinate descent. And for one entry: a stochastic step of its row and its column.
 *
 * A template: _row_system_dispatch.h includes it once for every pair of REAL (float, double)
 * and instruction set. NAME(x) names the instance, TARGET is its function attribute, BYTES
 * the size of a vector register. Sums are kept in register tiles of HEIGHT rows and WIDTH
 * vectors; HEIGHT divides PANEL, the columns of a tile.
 *
 * Matrices are C-ordered and aligned to 64 bytes, with a row stride of whole panels. Of
 * symmetric ones the upper triangle counts; the factor is the upper U with U'U = A.
 */

#define LANES ((int)(BYTES / sizeof(REAL)))
#define PANEL (LANES * WIDTH)
#define VECTOR NAME(vector)

#define UNALIGNED NAME(unaligned)
#define QUAD NAME(quad)
#define MASK NAME(mask)

#if SKLEARN_MF_VECTORS
typedef REAL VECTOR __attribute__((vector_size(BYTES), may_alias));
typedef REAL UNALIGNED __attribute__((vector_size(BYTES), may_alias, aligned(sizeof(REAL))));
typedef REAL QUAD __attribute__((vector_size(16), may_alias, aligned(sizeof(REAL))));
typedef __typeof__((VECTOR){0} > (VECTOR){0}) MASK;
/* C knows no ?: of vectors. */
#define SELECT(mask, a, b) ((VECTOR)(((mask) & (MASK)(a)) | (~(mask) & (MASK)(b))))
#else
typedef REAL VECTOR;
typedef REAL UNALIGNED;
typedef REAL QUAD;
#define SELECT(mask, a, b) ((mask) ? (a) : (b))
#endif

/* Sum of the lanes of a vector, halved where registers are halved: without a detour by memory. */
static TARGET ALWAYS_INLINE REAL NAME(total)(VECTOR sum)
{
#if SKLEARN_MF_VECTORS
    const QUAD *parts = (const QUAD *)&sum;
    QUAD quad = parts[0];
    for (int i = 1; i < (int)(sizeof(sum) / sizeof(quad)); i++) quad += parts[i];
    REAL total = quad[0];
    for (int i = 1; i < (int)(sizeof(quad) / sizeof(REAL)); i++) total += quad[i];
    return total;
#else
    return sum;
#endif
}

/* Numbers of the lanes of a vector. */
static const REAL NAME(lanes)[16] ALIGNED = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* A[i0:i0+HEIGHT, j0:j0+PANEL] += or -= X[:, i0:]' X[:, j0:], summed over the n rows of X. */
static TARGET ALWAYS_INLINE void NAME(add_tile)(
    int n, const REAL *X, int stride, REAL *A, int i0, int j0, int subtract)
{
    const VECTOR zero = {0};
    VECTOR sum[HEIGHT][WIDTH];
    for (int i = 0; i < HEIGHT; i++)
        for (int v = 0; v < WIDTH; v++) sum[i][v] = zero;
    for (int p = 0; p < n; p++) {
        const REAL *left = X + (long)p * stride + i0;
        const VECTOR *right = (const VECTOR *)(X + (long)p * stride + j0);
        for (int i = 0; i < HEIGHT; i++)
            for (int v = 0; v < WIDTH; v++) sum[i][v] += right[v] * left[i];
    }
    for (int i = 0; i < HEIGHT; i++) {
        VECTOR *out = (VECTOR *)(A + (long)(i0 + i) * stride + j0);
        for (int v = 0; v < WIDTH; v++)
            out[v] = subtract ? out[v] - sum[i][v] : out[v] + sum[i][v];
    }
}

/* A += or -= X'X for n rows of X that are zero beyond k: its upper triangle, by tiles. */
static TARGET ALWAYS_INLINE void NAME(add_squares)(
    int n, int k, const REAL *X, int stride, REAL *A, int subtract)
{
    for (int j0 = 0; j0 < stride; j0 += PANEL)
        for (int i0 = 0; i0 < j0 + PANEL && i0 < k; i0 += HEIGHT)
            NAME(add_tile)(n, X, stride, A, i0, j0, subtract);
}

/* out[:k] = scale * row[:k]. The last vector overlaps the one before, so that none reaches beyond. */
static TARGET ALWAYS_INLINE void NAME(scale_row)(int k, REAL scale, const REAL *row, REAL *out)
{
    const int few = (int)(sizeof(QUAD) / sizeof(REAL));
    if (k >= LANES) {
        for (int j = 0; j < k; j += LANES) {
            const int at = j + LANES < k ? j : k - LANES;
            *(UNALIGNED *)(out + at) = scale * *(const UNALIGNED *)(row + at);
        }
    } else if (k >= few) {
        for (int j = 0; j < k; j += few) {
            const int at = j + few < k ? j : k - few;
            *(QUAD *)(out + at) = scale * *(const QUAD *)(row + at);
        }
    } else {
        for (int j = 0; j < k; j++) out[j] = scale * row[j];
    }
}

/* X gets the n rows that `rows` points to, each times its root; beyond k it keeps its zeros. */
static TARGET ALWAYS_INLINE void NAME(gather)(
    int n, int k, int stride, const REAL *const *rows, const REAL *roots, REAL *X)
{
    for (int p = 0; p < n; p++) {
        if (p + AHEAD < n)
            for (int j = 0; j < k; j += 64 / (int)sizeof(REAL)) PREFETCH(rows[p + AHEAD] + j);
        NAME(scale_row)(k, roots[p], rows[p], X + (long)p * stride);
    }
}

/* A += X'X and b += X't for the rows X of `gather`; the targets t are times their root too. */
static TARGET void NAME(add_rows)(
    int n, int k, int stride, const REAL *const *rows, const REAL *roots, const REAL *targets,
    REAL *X, REAL *A, REAL *b)
{
    NAME(gather)(n, k, stride, rows, roots, X);
    for (int j0 = 0; j0 < k; j0 += LANES) {
        VECTOR even = {0}, odd = {0};
        for (int p = 0; p < n; p++) {
            const VECTOR part = *(const VECTOR *)(X + (long)p * stride + j0) * targets[p];
            if (p % 2) odd += part;
            else even += part;
        }
        *(VECTOR *)(b + j0) += even + odd;
    }
    NAME(add_squares)(n, k, X, stride, A, 0);
}

/* A -= X'X for the rows X of `gather`. */
static TARGET void NAME(remove_rows)(
    int n, int k, int stride, const REAL *const *rows, const REAL *roots, REAL *X, REAL *A)
{
    NAME(gather)(n, k, stride, rows, roots, X);
    NAME(add_squares)(n, k, X, stride, A, 1);
}

/* Solve A x = b by U'U = A, a panel of rows at a time. A becomes U but for what is left of its
 * panels' diagonals, b is used up, `inverse` gets 1 / diag(U). 1 if it may be singular: a pivot
 * beside its diagonal, which has the same unit, may be the rounding error of the pivots before,
 * which grows as the least of them shrinks.
 *
 * One row waits for the other, so what a pivot is needed for comes first: the rows below are
 * reduced by a row that is not yet scaled. Beyond k, x is zero. */
static TARGET int NAME(solve)(
    int k, int stride, REAL *A, REAL *b, REAL *inverse, REAL *x, REAL eps)
{
    const REAL noise = SUSPICIOUS * k * eps;
    REAL limit = noise; /* times the inverse of the least share of its diagonal that a pivot was */
    for (int p = 0; p < k; p++) inverse[p] = A[(long)p * stride + p];
    for (int first = 0; first < k; first += PANEL) {
        const int end = first + PANEL < k ? first + PANEL : k;
        for (int j0 = first; first > 0 && j0 < stride; j0 += PANEL)
            for (int i0 = first; i0 < end; i0 += HEIGHT)
                NAME(add_tile)(first, A, stride, A, i0, j0, 1);
        for (int p = first; p < end; p++) {
            REAL *row = A + (long)p * stride;
            const REAL pivot = row[p], moment = b[p], diagonal = inverse[p];
            if (!(pivot > limit * diagonal)) return 1;
            const REAL scale = 1 / pivot, next = noise * diagonal * scale;
            limit = (REAL)0.5 * (next + limit + FABS(next - limit)); /* the larger, no branch */
            for (int q = p + 1; q < end; q++) {
                REAL *below = A + (long)q * stride;
                const REAL factor = row[q] * scale;
                for (int j0 = first; j0 < stride; j0 += LANES)
                    *(VECTOR *)(below + j0) -= *(const VECTOR *)(row + j0) * factor;
            }
            inverse[p] = SQRT(scale);
            x[p] = moment * inverse[p];
            for (int j0 = first; j0 < stride; j0 += LANES) {
                VECTOR *part = (VECTOR *)(row + j0);
                *(VECTOR *)(b + j0) -= *part * (moment * scale);
                *part *= inverse[p];
            }
        }
    }
    /* Backward; the vector of x that grows stays in a register. */
    const VECTOR zero = {0}, lane = *(const VECTOR *)NAME(lanes);
    for (int first = (k - 1) / LANES * LANES; first >= 0; first -= LANES) {
        VECTOR known = zero;
        for (int p = (first + LANES < k ? first + LANES : k) - 1; p >= first; p--) {
            const REAL *row = A + (long)p * stride;
            VECTOR sum = *(const VECTOR *)(row + first) * known;
            for (int j0 = first + LANES; j0 < k; j0 += LANES)
                sum += *(const VECTOR *)(row + j0) * *(const VECTOR *)(x + j0);
            const VECTOR value = zero + (x[p] - NAME(total)(sum)) * inverse[p];
            known = SELECT(lane == (REAL)(p - first), value, known);
        }
        *(VECTOR *)(x + first) = known;
    }
    return 0;
}

#include "_row_products.h"

/* out[:height] += A[:height, :n] B for a panel B of n rows of TILE_VECTORS vectors, in registers.
 * Rows of A are `down` apart, columns `across`; those of a later tile are asked for in advance
 * where each is on a line of its own. */
static TARGET ALWAYS_INLINE void NAME(multiply_tile)(
    int height, int n, const REAL *A, int64_t down, int64_t across, const REAL *B, REAL *out,
    int64_t stride)
{
    const VECTOR zero = {0};
    VECTOR sum[TILE_ROWS][TILE_VECTORS];
    for (int i = 0; i < height; i++)
        for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] = zero;
    for (int p = 0; p < n; p++) {
        const UNALIGNED *right = (const UNALIGNED *)(B + (int64_t)p * TILE_VECTORS * LANES);
        const REAL *left = A + p * across;
        if (across != 1) PREFETCH(left + TILE_DEPTH * across);
        for (int i = 0; i < height; i++)
            for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] += right[v] * left[i * down];
    }
    for (int i = 0; i < height; i++) {
        UNALIGNED *row = (UNALIGNED *)(out + i * stride);
        for (int v = 0; v < TILE_VECTORS; v++) row[v] += sum[i][v];
    }
}

/* out += A B for n rows of A, fast where `down` or `across` is 1. B lies in panels of TILE_VECTORS
 * vectors, so is as wide as `stride`. What of A a panel meets stays in the cache for the next. */
static TARGET void NAME(multiply)(
    int64_t n, int64_t depth, int64_t stride, const REAL *A, int64_t down, int64_t across,
    const REAL *B, REAL *out)
{
    const int width = TILE_VECTORS * LANES;
    for (int64_t d = 0; d < depth; d += TILE_DEPTH) {
        const int deep = depth - d < TILE_DEPTH ? (int)(depth - d) : TILE_DEPTH;
        const REAL *part = A + d * across;
        for (int64_t j = 0; j < stride; j += width) {
            const REAL *panel = B + j * depth + d * width;
            REAL *sums = out + j;
            int64_t i = 0;
            /* Written out for the strides that the compiler may rely on. */
            for (; across == 1 && i + TILE_ROWS <= n; i += TILE_ROWS)
                NAME(multiply_tile)(
                    TILE_ROWS, deep, part + i * down, down, 1, panel, sums + i * stride, stride);
            for (; down == 1 && i + TILE_ROWS <= n; i += TILE_ROWS)
                NAME(multiply_tile)(
                    TILE_ROWS, deep, part + i, 1, across, panel, sums + i * stride, stride);
            for (; i < n; i++)
                NAME(multiply_tile)(
                    1, deep, part + i * down, down, across, panel, sums + i * stride, stride);
        }
    }
}

/* The step of a row or column with this error along a vector of this square: by its own part of
 * the penalty shrunk, by its threshold moved towards zero. Moves the bias, and adds the squared
 * gradient to those before. */
static TARGET ALWAYS_INLINE REAL NAME(step)(
    const entry_side side, REAL rate, REAL weight, REAL error, REAL square, REAL *aside,
    REAL *shrink, REAL *threshold)
{
    const REAL root = SQRT(aside[SQUARES]), decay = rate * aside[STRENGTH];
    const REAL pull = weight * error;
    const REAL step = rate * pull / (root + rate * weight * (square + (REAL)side.has_bias));
    *shrink = root / (root + decay * (REAL)side.ridge);
    *threshold = decay * (REAL)side.l1 / root;
    aside[BIAS] = (aside[BIAS] + (REAL)side.has_bias * step) * root /
                  (root + decay * (REAL)side.bias_ridge);
    aside[SQUARES] += (REAL)side.adapt * pull * pull * square;
    return step;
}

/* v <- the proximal point of v + step * x under its penalty; its square and product with x. */
static TARGET ALWAYS_INLINE void NAME(move)(
    int stride, REAL step, const REAL *x, REAL shrink, REAL threshold, REAL lower, REAL *v,
    REAL *square, REAL *product)
{
    VECTOR vv = {0}, vx = {0};
    for (int j = 0; j < stride; j++) {
        const REAL moved = v[j] + step * x[j];
        REAL left = moved > threshold ? moved - threshold : 0;
        left = shrink * (moved < -threshold ? moved + threshold : left);
        v[j] = left > lower ? left : lower;
    }
    for (int j = 0; j < stride; j += LANES) {
        const VECTOR now = *(const VECTOR *)(v + j);
        vv += now * now;
        vx += now * *(const VECTOR *)(x + j);
    }
    *square = NAME(total)(vv);
    *product = NAME(total)(vx);
}

/* Stochastic steps of n entries, one after the other. First the row of an entry moves to the
 * proximal point of the entry's loss and of its share of the penalty, then the column does,
 * which sees the row as it is now: no step overshoots, however long.
 *
 * Where both penalties are `smooth`, without threshold and lower bound, products after the row
 * has moved follow from those before, and both move at the same time. */
static TARGET ALWAYS_INLINE void NAME(sgd_some_steps)(
    int64_t n, int stride, const entry_block entries, const entry_side left,
    const entry_side right, REAL rate, int smooth)
{
    const int32_t *rows = entries.rows, *columns = entries.columns;
    const REAL *targets = entries.targets;
    const REAL *row_weights = entries.row_weights, *column_weights = entries.column_weights;
    for (int64_t p = 0; p < n; p++) {
        REAL *w = (REAL *)left.factor + (int64_t)rows[p] * stride;
        REAL *h = (REAL *)right.factor + (int64_t)columns[p] * stride;
        REAL *w_aside = (REAL *)left.aside + ASIDE * (int64_t)rows[p];
        REAL *h_aside = (REAL *)right.aside + ASIDE * (int64_t)columns[p];
        if (p + AHEAD < n) {
            const REAL *next = (REAL *)left.factor + (int64_t)rows[p + AHEAD] * stride;
            for (int j = 0; j < stride; j += 64 / (int)sizeof(REAL)) PREFETCH(next + j);
            PREFETCH((REAL *)left.aside + ASIDE * (int64_t)rows[p + AHEAD]);
        }
        VECTOR wh = {0}, ww = {0}, hh = {0};
        for (int j = 0; j < stride; j += LANES) {
            const VECTOR a = *(const VECTOR *)(w + j), b = *(const VECTOR *)(h + j);
            wh += a * b;
            ww += a * a;
            hh += b * b;
        }
        REAL product = NAME(total)(wh), w_square = NAME(total)(ww), h_square = NAME(total)(hh);
        REAL w_shrink, h_shrink, threshold;

        REAL error = targets[p] - product - w_aside[BIAS] - h_aside[BIAS];
        const REAL w_step = NAME(step)(
            left, rate, row_weights ? row_weights[p] : 1, error, h_square, w_aside, &w_shrink,
            &threshold);
        if (smooth) {
            w_square += w_step * (2 * product + w_step * h_square);
            w_square *= w_shrink * w_shrink;
            product = w_shrink * (product + w_step * h_square);
        } else {
            NAME(move)(stride, w_step, h, w_shrink, threshold, left.lower, w, &w_square, &product);
        }
        error = targets[p] - product - w_aside[BIAS] - h_aside[BIAS];
        const REAL h_step = NAME(step)(
            right, rate, column_weights ? column_weights[p] : 1, error, w_square, h_aside,
            &h_shrink, &threshold);
        if (smooth) {
            for (int j = 0; j < stride; j += LANES) {
                VECTOR *a = (VECTOR *)(w + j), *b = (VECTOR *)(h + j);
                const VECTOR moved = w_shrink * (*a + w_step * *b);
                *b = h_shrink * (*b + h_step * moved);
                *a = moved;
            }
        } else {
            NAME(move)(
                stride, h_step, w, h_shrink, threshold, right.lower, h, &h_square, &product);
        }
    }
}

static TARGET void NAME(sgd_steps)(
    int64_t n, int stride, const entry_block *entries, const entry_side *left,
    const entry_side *right, REAL rate)
{
    if (left->l1 == 0 && right->l1 == 0 && isinf(left->lower) && isinf(right->lower))
        NAME(sgd_some_steps)(n, stride, *entries, *left, *right, rate, 1);
    else
        NAME(sgd_some_steps)(n, stride, *entries, *left, *right, rate, 0);
}

/* Sum of the squared errors of n entries, by the weights that they have for their columns. */
static TARGET double NAME(squared_error)(
    int64_t n, int stride, const entry_block *entries, const entry_side *left,
    const entry_side *right)
{
    const REAL *targets = entries->targets, *weights = entries->column_weights;
    const REAL *w_aside = left->aside, *h_aside = right->aside;
    double sum = 0;
    for (int64_t p = 0; p < n; p++) {
        const int64_t i = entries->rows[p], j0 = entries->columns[p];
        const REAL *w = (const REAL *)left->factor + i * stride;
        const REAL *h = (const REAL *)right->factor + j0 * stride;
        VECTOR wh = {0};
        for (int j = 0; j < stride; j += LANES)
            wh += *(const VECTOR *)(w + j) * *(const VECTOR *)(h + j);
        const REAL error =
            targets[p] - NAME(total)(wh) - w_aside[ASIDE * i] - h_aside[ASIDE * j0];
        sum += (weights ? weights[p] : 1) * error * error;
    }
    return sum;
}

static TARGET ALWAYS_INLINE VECTOR NAME(larger)(VECTOR a, VECTOR b) { return SELECT(a > b, a, b); }

/* How steep the cost of a coefficient is on the side to which it may move: what coordinate descent
 * is to make zero. */
static TARGET ALWAYS_INLINE VECTOR NAME(steepness)(
    VECTOR v, VECTOR gradient, VECTOR threshold, int bounded)
{
    const VECTOR zero = {0};
    const VECTOR up = NAME(larger)(-gradient - threshold, zero);
    const VECTOR down = bounded ? zero : NAME(larger)(gradient - threshold, zero);
    VECTOR slope = gradient + SELECT(v > zero, threshold, -threshold);
    slope = NAME(larger)(slope, -slope);
    return SELECT(v == zero, up + down, slope);
}

/* Rounds of coordinate descent for PANEL_VECTORS vectors of rows that share a Gram matrix G: side
 * by side, where one row alone would wait for itself. V and the moments have a coefficient of all
 * rows after the other. A row that has come to rest stays, whatever the others do. `violation`
 * gets the sums of what the first round found. */
static TARGET void NAME(descend_panel)(
    int k, const REAL *G, const panel_penalty *penalty, const REAL *scale, const REAL *moments,
    REAL tol, int rounds, REAL *V, REAL *violation)
{
    const REAL *ridge = penalty->ridge, *l1 = penalty->l1, *lower = penalty->lower;
    const int abreast = PANEL_VECTORS * LANES;
    const VECTOR zero = {0};
    VECTOR moving[PANEL_VECTORS];
    for (int b = 0; b < PANEL_VECTORS; b++) moving[b] = zero + 1;
    for (int round = 0; round < rounds; round++) {
        VECTOR moved[PANEL_VECTORS], largest[PANEL_VECTORS], any = zero;
        for (int b = 0; b < PANEL_VECTORS; b++) moved[b] = largest[b] = zero;
        for (int c = 0; c < k; c++) {
            const REAL *row = G + (long)c * k;
            const VECTOR *target = (const VECTOR *)(moments + (long)c * abreast);
            VECTOR *v = (VECTOR *)(V + (long)c * abreast);
            VECTOR sum[PANEL_VECTORS];
            for (int b = 0; b < PANEL_VECTORS; b++) sum[b] = -target[b];
            for (int j = 0; j < k; j++) {
                const VECTOR *other = (const VECTOR *)(V + (long)j * abreast);
                for (int b = 0; b < PANEL_VECTORS; b++) sum[b] += row[j] * other[b];
            }
            for (int b = 0; b < PANEL_VECTORS; b++) {
                const VECTOR scales = ((const VECTOR *)scale)[b], before = v[b];
                const VECTOR square = scales * ridge[c], threshold = scales * l1[c];
                const VECTOR curvature = row[c] + square, gradient = sum[b] + square * before;
                const VECTOR goal = curvature * before - gradient;
                VECTOR after = NAME(larger)(goal - threshold, zero);
                after = SELECT(goal < -threshold, goal + threshold, after);
                after /= SELECT(curvature > zero, curvature, zero + 1);
                after = NAME(larger)(after, zero + lower[c]);
                after = SELECT(curvature > zero, after, before);
                after = SELECT(moving[b] > zero, after, before);
                const VECTOR step = after - before;
                moved[b] = NAME(larger)(moved[b], NAME(larger)(step, -step));
                largest[b] = NAME(larger)(largest[b], NAME(larger)(after, -after));
                v[b] = after;
                if (round == 0)
                    ((VECTOR *)violation)[b] +=
                        NAME(steepness)(before, gradient, threshold, lower[c] == 0);
            }
        }
        for (int b = 0; b < PANEL_VECTORS; b++) {
            moving[b] = SELECT(moved[b] > tol * largest[b], moving[b], zero);
            any += moving[b];
        }
        if (NAME(total)(any) == 0) return;
    }
}

/* The first of n scores, from a start on, that is the limit or more; n where none is. NaN is not. */
static TARGET int64_t NAME(first_at_least)(
    int64_t start, int64_t n, const REAL *scores, REAL limit)
{
    const VECTOR zero = {0}, one = zero + 1;
    const int at_once = 4 * LANES;
    int64_t j = start;
    for (; j + at_once <= n; j += at_once) {
        VECTOR found = zero;
        for (int v = 0; v < 4; v++)
            found += SELECT(*(const UNALIGNED *)(scores + j + v * LANES) >= zero + limit, one, zero);
        if (NAME(total)(found) > 0) break;
    }
    while (j < n && !(scores[j] >= limit)) j++;
    return j;
}

static const SYSTEM NAME(system) = {
    PANEL,
    PANEL_VECTORS *LANES,
    TILE_VECTORS *LANES,
    NAME(add_rows),
    NAME(remove_rows),
    NAME(add_products),
    NAME(solve),
    NAME(combine),
    NAME(dots),
    NAME(refine),
    NAME(multiply),
    NAME(sgd_steps),
    NAME(squared_error),
    NAME(descend_panel),
    NAME(first_at_least)};

#undef LANES
#undef PANEL
#undef VECTOR
#undef UNALIGNED
#undef QUAD
#undef MASK
#undef SELECT
#undef NAME
#undef TARGET
#undef BYTES
#undef HEIGHT
#undef WIDTH
