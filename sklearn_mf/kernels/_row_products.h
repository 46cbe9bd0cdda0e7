/* Products with a few rows of a tall factor, and what is made of them: a part of the template in
 * _row_system.h, which includes it once an instance. */

/* out[j0:j0+width*LANES] += sum_p scales[p] * rows[p][j0:], for a width of 1, 2 or 4 vectors, but
 * for the first `done` of them. Four sums run side by side, or each would wait for the last. */
static TARGET ALWAYS_INLINE void NAME(combine_part)(
    int n, int width, const REAL *const *rows, const REAL *scales, int j0, int done, REAL *out)
{
    const VECTOR zero = {0}, lane = *(const VECTOR *)NAME(lanes);
    const int streams = 4 / width;
    VECTOR sum[4] = {zero, zero, zero, zero};
    for (int p = 0; p < n; p += streams) {
        for (int s = 0; s < streams && p + s < n; s++) {
            const UNALIGNED *row = (const UNALIGNED *)(rows[p + s] + j0);
            if (p + s + AHEAD < n)
                for (int v = 0; v < width; v++) PREFETCH(rows[p + s + AHEAD] + j0 + v * LANES);
            for (int v = 0; v < width; v++) sum[s * width + v] += row[v] * scales[p + s];
        }
    }
    for (int s = 1; s < streams; s++)
        for (int v = 0; v < width; v++) sum[v] += sum[s * width + v];
    if (done > 0) sum[0] = SELECT(lane < (REAL)done, zero, sum[0]);
    for (int v = 0; v < width; v++) ((UNALIGNED *)(out + j0))[v] += sum[v];
}

/* The same for fewer columns than a vector has. */
static TARGET ALWAYS_INLINE void NAME(combine_few)(
    int n, int k, const REAL *const *rows, const REAL *scales, REAL *out)
{
    const int few = (int)(sizeof(QUAD) / sizeof(REAL));
    int j = 0;
    for (; j + few <= k; j += few) {
        QUAD even = {0}, odd = {0};
        int p = 0;
        for (; p + 2 <= n; p += 2) {
            even += *(const QUAD *)(rows[p] + j) * scales[p];
            odd += *(const QUAD *)(rows[p + 1] + j) * scales[p + 1];
        }
        if (p < n) even += *(const QUAD *)(rows[p] + j) * scales[p];
        *(QUAD *)(out + j) += even + odd;
    }
    for (; j < k; j++) {
        REAL sum = 0;
        for (int p = 0; p < n; p++) sum += rows[p][j] * scales[p];
        out[j] += sum;
    }
}

/* out += sum_p scales[p] * rows[p], for n rows of length k. */
static TARGET void NAME(combine)(
    int n, int k, const REAL *const *rows, const REAL *scales, REAL *out)
{
    int j0 = 0;
    if (k < LANES) {
        NAME(combine_few)(n, k, rows, scales, out);
        return;
    }
    for (; j0 + 4 * LANES <= k; j0 += 4 * LANES)
        NAME(combine_part)(n, 4, rows, scales, j0, 0, out);
    for (; j0 + 2 * LANES <= k; j0 += 2 * LANES)
        NAME(combine_part)(n, 2, rows, scales, j0, 0, out);
    for (; j0 + LANES <= k; j0 += LANES) NAME(combine_part)(n, 1, rows, scales, j0, 0, out);
    if (j0 < k) NAME(combine_part)(n, 1, rows, scales, k - LANES, LANES - (k - j0), out);
}

/* out[p] = vector . rows[p], for n rows of length k. */
static TARGET void NAME(dots)(
    int n, int k, const REAL *vector, const REAL *const *rows, REAL *out)
{
    const VECTOR zero = {0}, lane = *(const VECTOR *)NAME(lanes);
    const int whole = k / LANES * LANES, last = k - LANES;
    for (int p = 0; p < n && whole == 0; p++) {
        REAL sum = 0;
        for (int j = 0; j < k; j++) sum += vector[j] * rows[p][j];
        out[p] = sum;
    }
    for (int p = 0; p < n && whole > 0; p++) {
        const REAL *row = rows[p];
        VECTOR sum = zero;
        for (int j = 0; j < whole; j += LANES)
            sum += *(const UNALIGNED *)(vector + j) * *(const UNALIGNED *)(row + j);
        if (whole < k)
            sum += SELECT(
                lane < (REAL)(whole - last), zero,
                *(const UNALIGNED *)(vector + last) * *(const UNALIGNED *)(row + last));
        out[p] = NAME(total)(sum);
    }
}

/* K += V V' for n rows V, those that `rows` points to, each times its root and its coefficients times
 * `scales`. Vt gets them transposed, k rows of length `stride`, zero beyond n: then sums run over
 * rows, as those of Gram matrices. */
static TARGET void NAME(add_products)(
    int n, int k, int stride, const REAL *const *rows, const REAL *roots, const REAL *scales,
    REAL *Vt, REAL *K)
{
    for (int p0 = 0; p0 < stride; p0 += 4) {
        /* Beyond n any row will do, times zero. */
        const REAL *row[4];
        REAL root[4];
        int c = 0;
        for (int q = 0; q < 4; q++) {
            row[q] = rows[p0 + q < n ? p0 + q : 0];
            root[q] = p0 + q < n ? roots[p0 + q] : 0;
            if (p0 + q + AHEAD < n)
                for (int j = 0; j < k; j += 64 / (int)sizeof(REAL))
                    PREFETCH(rows[p0 + q + AHEAD] + j);
        }
#if SKLEARN_MF_VECTORS
        const int few = (int)(sizeof(QUAD) / sizeof(REAL));
        for (; c + few <= k; c += few) {
            QUAD part[4];
            for (int q = 0; q < 4; q++)
                part[q] = root[q] * (*(const QUAD *)(scales + c) * *(const QUAD *)(row[q] + c));
            for (int i = 0; i < few; i++) {
                const QUAD column[] = TRANSPOSED(part, i);
                QUAD *out = (QUAD *)(Vt + (long)(c + i) * stride + p0);
                for (int h = 0; h < 4 / few; h++) out[h] = column[h];
            }
        }
#endif
        for (; c < k; c++)
            for (int q = 0; q < 4; q++)
                Vt[(long)c * stride + p0 + q] = root[q] * (scales[c] * row[q][c]);
    }
    NAME(add_squares)(k, n, Vt, stride, K, 0);
}

/* out += sum_p weights[p] * (targets[p] - rows[p] . vector) * rows[p] for `m` rows of whole, aligned
 * vectors; without targets the sum of weights[p] * (rows[p] . vector) * rows[p]. */
static TARGET ALWAYS_INLINE void NAME(pull_some)(
    const int m, int k, const REAL *const *rows, const REAL *weights, const REAL *targets,
    const REAL *vector, REAL *out)
{
    const VECTOR zero = {0};
    VECTOR sum[PULLED];
    REAL value[PULLED];
    for (int q = 0; q < m; q++) sum[q] = zero;
    for (int j = 0; j < k; j += LANES)
        for (int q = 0; q < m; q++)
            sum[q] += *(const VECTOR *)(vector + j) * *(const VECTOR *)(rows[q] + j);
    for (int q = 0; q < m; q++) {
        const REAL dot = NAME(total)(sum[q]);
        value[q] = weights[q] * (targets ? targets[q] - dot : dot);
    }
    for (int j = 0; j < k; j += LANES) {
        VECTOR even = *(const VECTOR *)(out + j), odd = zero;
        for (int q = 0; q + 1 < m; q += 2) {
            even += value[q] * *(const VECTOR *)(rows[q] + j);
            odd += value[q + 1] * *(const VECTOR *)(rows[q + 1] + j);
        }
        if (m % 2) even += value[m - 1] * *(const VECTOR *)(rows[m - 1] + j);
        *(VECTOR *)(out + j) = even + odd;
    }
}

/* The same for n rows, which are read once, with the products of PULLED of them side by side. */
static TARGET ALWAYS_INLINE void NAME(pull)(
    int64_t n, int k, const REAL *const *rows, const REAL *weights, const REAL *targets,
    const REAL *vector, REAL *out)
{
    int64_t p = 0;
    for (; p + PULLED <= n; p += PULLED) {
        if (targets) /* the first to look at these rows */
            for (int q = PULLED; q < 2 * PULLED && p + q < n; q++)
                for (int j = 0; j < k; j += 64 / (int)sizeof(REAL)) PREFETCH(rows[p + q] + j);
        NAME(pull_some)
        (PULLED, k, rows + p, weights + p, targets ? targets + p : NULL, vector, out);
    }
    for (; p < n; p++)
        NAME(pull_some)(1, k, rows + p, weights + p, targets ? targets + p : NULL, vector, out);
}

/* a . b for whole, aligned vectors. */
static TARGET ALWAYS_INLINE REAL NAME(inner)(int k, const REAL *a, const REAL *b)
{
    VECTOR sum = {0};
    for (int j = 0; j < k; j += LANES) sum += *(const VECTOR *)(a + j) * *(const VECTOR *)(b + j);
    return NAME(total)(sum);
}

/* Conjugate gradients from x on for the regression of one row, after division by the diagonal that
 * is known beforehand. All of length k are whole, aligned vectors; `scratch` has room for four. */
static TARGET void NAME(refine)(
    int64_t n, int k, const REAL *const *rows, const REAL *weights, const REAL *targets,
    const REAL *moments, const REAL *diagonal, double reduction, int steps, REAL *scratch, REAL *x)
{
    const VECTOR zero = {0};
    REAL *residual = scratch, *direction = scratch + k, *image = scratch + 2 * k;
    REAL *inverse = scratch + 3 * k;
    for (int j = 0; j < k; j += LANES) {
        const VECTOR size = *(const VECTOR *)(diagonal + j);
        *(VECTOR *)(residual + j) =
            *(const VECTOR *)(moments + j) - size * *(const VECTOR *)(x + j);
        *(VECTOR *)(inverse + j) = (zero + 1) / size;
    }
    NAME(pull)(n, k, rows, weights, targets, x, residual);
    for (int j = 0; j < k; j += LANES)
        *(VECTOR *)(direction + j) =
            *(const VECTOR *)(residual + j) * *(const VECTOR *)(inverse + j);
    double square = NAME(inner)(k, residual, direction);
    const double goal = reduction * reduction * square;
    for (int step = 0; step < steps && square > goal; step++) {
        for (int j = 0; j < k; j += LANES)
            *(VECTOR *)(image + j) =
                *(const VECTOR *)(diagonal + j) * *(const VECTOR *)(direction + j);
        NAME(pull)(n, k, rows, weights, NULL, direction, image);
        const double steepness = NAME(inner)(k, image, direction);
        if (!(steepness > 0)) return;
        const REAL length = (REAL)(square / steepness);
        VECTOR sum = zero;
        for (int j = 0; j < k; j += LANES) {
            *(VECTOR *)(x + j) += length * *(const VECTOR *)(direction + j);
            const VECTOR rest =
                *(const VECTOR *)(residual + j) - length * *(const VECTOR *)(image + j);
            const VECTOR scaled = rest * *(const VECTOR *)(inverse + j);
            *(VECTOR *)(residual + j) = rest;
            *(VECTOR *)(image + j) = scaled;
            sum += rest * scaled;
        }
        const double before = square;
        square = NAME(total)(sum);
        const REAL kept = (REAL)(square / before);
        for (int j = 0; j < k; j += LANES)
            *(VECTOR *)(direction + j) =
                *(const VECTOR *)(image + j) + kept * *(const VECTOR *)(direction + j);
    }
}
