"""How a sweep of alternating least squares scales; ours only.

Seconds a sweep, from fits of six sweeps and of one, against the number of entries (the matrix
grows with them: 50 a row, 200 a column), the rank, the number of rows at a fixed number of
entries, and the threads. For entries and rank the slope on log-log axes is printed; theory
says 1 for entries, and between 1 and 2 for the rank, 3 where rows have fewer entries than the
rank. Last the peak memory of one large fit, beyond the data themselves.
"""

from functools import partial

import numpy as np
from _harness import (
    OURS,
    Case,
    cached,
    main,
    measure,
    measure_sweeps,
    print_groups,
    print_table,
)
from scipy import sparse

from sklearn_mf import MatrixFactorization

ENTRIES = "Number of entries, k = 32"
RANK = "Rank"


def spread_entries(n_rows, n_columns, per_row):
    """Rows with equally many entries, spread over all columns; rank 8 plus noise."""
    rng = np.random.default_rng(0)
    # One entry in each of equally wide strips of columns: sorted, and never the same twice.
    strips = np.arange(per_row) + rng.random((n_rows, per_row))
    columns = np.minimum(strips * (n_columns / per_row), n_columns - 1).astype(np.int32)
    W = rng.standard_normal((n_rows, 8), dtype=np.float32)
    Ht = rng.standard_normal((n_columns, 8), dtype=np.float32)
    values = rng.standard_normal((n_rows, per_row), dtype=np.float32)
    for component in range(8):
        values += W[:, component, None] * Ht[columns, component]
    return {"values": values, "columns": columns}


def load(shape, dtype):
    arrays = cached(spread_entries, *shape)
    n_rows, n_columns, per_row = shape
    indptr = np.arange(n_rows + 1, dtype=np.int32) * per_row
    values = arrays["values"].ravel().astype(dtype, copy=False)
    return sparse.csr_array((values, arrays["columns"].ravel(), indptr), (n_rows, n_columns))


def estimator(k, n_sweeps):
    return MatrixFactorization(
        k, solver="als", alpha_W=0.06, unstored="missing", max_iter=n_sweeps, tol=0, random_state=0
    )


def sweep(k, shape, x, setting):
    X = load(shape, setting.dtype)
    result = measure_sweeps(lambda n_sweeps: estimator(k, n_sweeps).fit(X), setting.repeats)[1]
    return {**result, "x": x, "note": f"{shape[0]} x {shape[1]}, {X.nnz} entries, k = {k}"}


def large(k, shape, setting):
    X = load(shape, setting.dtype)
    result = measure(lambda: estimator(k, 2).fit(X), 1)[1]
    data = (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 2**20
    factors = sum(X.shape) * k * X.dtype.itemsize / 2**20
    return {**result, "note": f"two sweeps; data {data:.0f} MB, factors {factors:.0f} MB"}


def cases(args):
    scale = 100 if args.small else 1
    found = []
    for entries in (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 20_000_000):
        entries = max(entries // scale, 20_000)
        shape = (entries // 50, entries // 200, 50)
        found.append((ENTRIES, f"{entries:.0e} entries", partial(sweep, 32, shape, entries)))
    shape = (20_000, 5_000, 50)
    if args.small:
        found = [found[0], found[-1]]
        shape = (1_000, 300, 50)
    for k in (8, 16, 32, 64, 128, 256):
        group = f"{RANK}, {shape[0]} x {shape[1]}, {shape[0] * shape[2]} entries"
        found.append((group, f"k = {k}", partial(sweep, k, shape, k)))
    entries = 1_000_000 // scale
    for per_row in (1_000, 100, 10):
        n_rows = entries // per_row
        shape = (n_rows, 1_000 if args.small else 5_000, per_row)
        if n_rows >= 32:
            group = f"Number of rows, {entries} entries, k = 32"
            found.append((group, f"{n_rows} rows", partial(sweep, 32, shape, n_rows)))
    shape = (200_000 // scale, 20_000 // scale, 100)
    cases = [Case(group, f"{OURS} {name}", run) for group, name, run in found]
    peak = f"Peak memory, {shape[0]} x {shape[1]}, {shape[0] * shape[2]} entries, k = 64"
    return [*cases, Case(peak, OURS, partial(large, 64, shape), dtypes=("float32",))]


def report(rows):
    for row in rows:
        # The first number of threads is what the others are compared with.
        same = [r for r in rows if all(r[name] == row[name] for name in ("group", "peer", "dtype"))]
        key = "per_sweep" if "per_sweep" in row else "seconds"
        if same[0] is not row and key in row and key in same[0]:
            gain = same[0][key] / row[key]
            row["note"] += f"; {gain:.2f} times the speed of --threads {same[0]['threads']}"
    print_groups(rows)
    curves = {}
    for row in rows:
        if row["group"].startswith((ENTRIES, RANK)) and row.get("per_sweep", 0) > 0:
            name = f"{row['group']}, threads {row['threads']}, {row['dtype']}"
            curves.setdefault(name, []).append((row["x"], row["per_sweep"]))
    slopes = [
        [name, f"{np.polyfit(*np.log(points).T, 1)[0]:.2f}"]
        for name, points in curves.items()
        if len(points) > 1
    ]
    if slopes:
        print_table("Slopes on log-log axes", ["seconds per sweep against", "slope"], slopes)


if __name__ == "__main__":
    main(cases, report=report)
