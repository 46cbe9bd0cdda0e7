"""The row solver alone, against a loop over rows that calls BLAS and LAPACK.

Both solve the same ridge regressions, one a row: gather the rows of the design, form the
normal equations (``syrk``) and solve them by Cholesky's method (``posv``). The loop is the best
that NumPy and SciPy allow, with no copy that can be avoided; what Python adds to each row counts.
Operations a row: ``n k (k + 1) + 2 n k + k^3 / 3 + 2 k^2`` for n entries and rank k. One thread
unless ``--threads`` says otherwise for our kernel; the loop over rows is serial, its BLAS is not.
"""

from functools import partial

import numpy as np
from _harness import Case, main, measure, number, print_table
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from sklearn_mf import kernels

RANKS = (4, 8, 16, 32, 64, 128, 256, 512)
LENGTHS = (10, 100, 1000)
N_COLUMNS = 5_000


def operations(k, length):
    return length * k * (k + 1) + 2 * length * k + k**3 / 3 + 2 * k**2


def loop(indptr, indices, targets, design, ridge):
    n_rows, k = len(indptr) - 1, design.shape[1]
    syrk = get_blas_funcs("syrk", [design])
    posv = get_lapack_funcs("posv", [design])
    solution = np.empty((n_rows, k), dtype=design.dtype)
    diagonal = np.arange(k)
    for i in range(n_rows):
        entries = slice(indptr[i], indptr[i + 1])
        rows = design[indices[entries]]
        gram = syrk(1.0, rows.T)
        gram[diagonal, diagonal] += ridge[i]
        right = targets[entries] @ rows
        solution[i] = posv(gram, right, overwrite_a=True, overwrite_b=True)[1]
    return solution


def compare(k, budget, setting):
    lines = []
    for length in LENGTHS:
        n_rows = int(np.clip(budget / operations(k, length), 20, 20_000))
        rng = np.random.default_rng(0)
        design = rng.standard_normal((N_COLUMNS, k)).astype(setting.dtype)
        indptr = np.arange(n_rows + 1, dtype=np.int32) * length
        indices = rng.integers(N_COLUMNS, size=n_rows * length, dtype=np.int32)
        targets = rng.standard_normal(len(indices)).astype(setting.dtype)
        ridge = np.full(n_rows, 0.05 * length, dtype=setting.dtype)
        ours = partial(
            kernels.solve_rows,
            *((indptr, indices, targets, None), design, ridge),
            *(np.ones(k, dtype=setting.dtype), setting.threads),
        )
        (solution, status), our_result = measure(ours, setting.repeats)
        theirs, loop_result = measure(
            lambda data=(indptr, indices, targets, design, ridge): loop(*data), setting.repeats
        )
        # On short rows the tolerance is that of the conditioning, not of the kernel.
        error = np.linalg.norm(solution - theirs) / np.linalg.norm(theirs)
        if status.any() or error > 1e4 * np.finfo(setting.dtype).eps:
            raise AssertionError(f"k = {k}, {length} entries a row: difference {error:.1e}")
        seconds = our_result["seconds"] / n_rows, loop_result["seconds"] / n_rows
        lines.append([length, *seconds, operations(k, length), our_result["runs"]])
    return {"lines": lines}


def cases(args):
    budget = 5e7 if args.small else 2e9
    return [Case("Rows", f"rank {k}", partial(compare, k, budget)) for k in RANKS]


def report(rows):
    lines = []
    for row in rows:
        for length, ours, theirs, flops, runs in row.get("lines", []):
            cells = [row["peer"].removeprefix("rank "), length, row["threads"], row["dtype"]]
            for seconds in (ours, theirs):
                cells += [number(1e6 * seconds), number(flops / seconds / 1e9)]
            lines.append([*cells, number(theirs / ours), runs])
    header = "rank, entries a row, threads, dtype, ours µs a row, ours GFLOP/s, "
    header += "loop µs a row, loop GFLOP/s, loop / ours, runs"
    print_table("One ridge regression a row", header.split(", "), lines)


if __name__ == "__main__":
    main(cases, add_arguments=lambda parser: parser.set_defaults(threads=[1]), report=report)
