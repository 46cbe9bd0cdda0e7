"""Ratings with holes, against cmfrec, Spark, libmf and Surprise.

The data: half stars from 0.5 to 5, some rows and columns far more popular than others, biases
plus a rank-10 structure plus noise; 10 % of the ratings are held out. Predictions are not clipped
to the scale, and computed outside of the timing, from each peer's factors, by the same code.

One exact sweep: we and cmfrec (Cholesky, no biases, no centring) minimise the same function, each
row's penalty 0.06 times its number of ratings. Seconds per sweep leave out the start and what
follows the last sweep. Our share of the speed of the machine's own matrix product, on one thread,
counts ``2 nnz k (k + 1) + (n_rows + n_columns) k^3 / 3`` operations a sweep.

Whole fits: each peer with biases if it has them, else on centred ratings, at the number of
iterations its documentation or common use suggests and at fewer, so that none pays for iterations
that no longer help. Its held-out RMSE is the target; our seconds are those of the fewest sweeps
that reach it, start included. Penalties: 0.06 per rating for us and cmfrec, Spark 0.05 per rating
(the same function, without biases), libmf the best of three, Surprise 0.05.

MovieLens 100k, if its u.data is given: five random splits, 80 % for training, a grid of penalties.

Peers get what suits them: cmfrec BLAS calls of one thread inside of its own threads, and no
preparation for later predictions; Spark a cached table in memory, libmf and Surprise data in
their own formats, all prepared before the clock starts. Surprise has one thread.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _harness import (
    CACHE,
    OURS,
    Case,
    cached,
    gemm_rate,
    main,
    measure,
    measure_sweeps,
    number,
    print_groups,
    print_table,
    rmse,
)
from scipy import sparse

from sklearn_mf import MatrixFactorization

ALPHA = 0.06
SWEEPS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
MOVIELENS_ALPHAS = (0.03, 0.06, 0.1, 0.15)
POSSIBLE = "What is possible (error: held-out RMSE)"
SWEEP = "One exact sweep, k = {} (error: objective a rating after six sweeps)"
WHOLE = "Whole fits, k = {}"
MOVIELENS = "MovieLens 100k, k = 16 (error: mean held-out RMSE of five splits)"


# Data ---------------------------------------------------------------------------------


def synthetic_ratings(n_rows, n_columns, n_ratings):
    rng = np.random.default_rng(0)
    activity = rng.lognormal(sigma=0.8, size=n_rows)
    popularity = rng.permutation((20.0 + np.arange(n_columns)) ** -0.8)
    cells = np.empty(0, dtype=np.int64)
    while len(cells) < n_ratings:
        more = 2 * (n_ratings - len(cells))
        rows = rng.choice(n_rows, more, p=activity / activity.sum())
        columns = rng.choice(n_columns, more, p=popularity / popularity.sum())
        cells = np.union1d(cells, rows * n_columns + columns)
    cells = np.sort(rng.choice(cells, n_ratings, replace=False))
    rows, columns = np.divmod(cells, n_columns)
    # Ten components whose sum has the variance 0.36.
    W = rng.normal(scale=0.6**0.5, size=(n_rows, 10))
    Ht = rng.normal(scale=(0.6 / 10) ** 0.5, size=(n_columns, 10))
    truth = 3.5 + rng.normal(scale=0.4, size=n_rows)[rows]
    truth += rng.normal(scale=0.5, size=n_columns)[columns]
    for component in range(10):
        truth += W[rows, component] * Ht[columns, component]
    values = truth + rng.normal(scale=0.7, size=n_ratings)
    values = np.clip(np.round(2 * values) / 2, 0.5, 5).astype(np.float32)
    held = rng.random(n_ratings) < 0.1
    counts = np.bincount(rows[~held], minlength=n_rows)
    return {
        "data": values[~held],
        "indices": columns[~held].astype(np.int32),
        "indptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        "held_rows": rows[held].astype(np.int32),
        "held_columns": columns[held].astype(np.int32),
        "held_values": values[held],
        "held_truth": np.clip(truth[held], 0.5, 5).astype(np.float32),
    }


def load(shape, dtype):
    """Training matrix, and the held-out (rows, columns, values)."""
    arrays = cached(synthetic_ratings, *shape)
    parts = arrays["data"].astype(dtype, copy=False), arrays["indices"], arrays["indptr"]
    held = arrays["held_rows"], arrays["held_columns"], arrays["held_values"]
    return sparse.csr_array(parts, shape=shape[:2]), held


# Models: every peer's answer is two tall arrays whose product is the prediction -----------


def model_values(factors, rows, columns):
    W, Ht = factors
    values = np.empty(len(rows))
    for start in range(0, len(rows), 500_000):
        part = slice(start, start + 500_000)
        values[part] = np.einsum("pk,pk->p", W[rows[part]], Ht[columns[part]])
    return values


def held_out_rmse(factors, held):
    rows, columns, values = held
    return rmse(model_values(factors, rows, columns), values)


def with_biases(W, Ht, row_bias, column_bias):
    W, Ht = np.asarray(W, np.float64), np.asarray(Ht, np.float64)
    row_bias = np.broadcast_to(row_bias, len(W))
    column_bias = np.broadcast_to(column_bias, len(Ht))
    left = np.column_stack([W, row_bias, np.ones(len(W))])
    return left, np.column_stack([Ht, np.ones(len(Ht)), column_bias])


def fit_ours(X, k, n_sweeps, bias="both", alpha=ALPHA):
    model = MatrixFactorization(
        k,
        solver="als",
        alpha_W=alpha,
        bias=bias,
        unstored="missing",
        max_iter=n_sweeps,
        tol=0,
        random_state=0,
    )
    return model, model.fit_transform(X)


def factors_of_ours(fitted):
    model, W = fitted
    k = model.n_components_
    row_bias = W[:, k] if W.shape[1] > k else 0
    return with_biases(W[:, :k], model.components_.T, row_bias, model.feature_bias_)


def fit_cmfrec(X, k, n_sweeps, threads, bias=True, use_cg=True, alpha=ALPHA):
    from cmfrec import CMF
    from threadpoolctl import threadpool_limits

    model = CMF(
        k=k,
        lambda_=alpha,
        scale_lam=True,
        use_cg=use_cg,
        user_bias=bias,
        item_bias=bias,
        center=bias,
        niter=n_sweeps,
        use_float=X.dtype == np.float32,
        nthreads=threads,
        precompute_for_predictions=False,
        random_state=0,
    )
    with threadpool_limits(1, "blas"):
        return model.fit(X)


def factors_of_cmfrec(model):
    if not (model.user_bias or model.item_bias):
        return np.asarray(model.A_, np.float64), np.asarray(model.B_, np.float64)
    row_bias = model.user_bias_ + model.glob_mean_
    return with_biases(model.A_, model.B_, row_bias, model.item_bias_)


# Cases --------------------------------------------------------------------------------


def possible(kind, shape, setting):
    X, (rows, columns, values) = load(shape, np.float64)
    mean = X.data.mean()
    if kind == "oracle":
        return {"error": rmse(cached(synthetic_ratings, *shape)["held_truth"], values)}
    if kind == "global mean":
        return {"error": rmse(mean, values)}
    row_of = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    row_bias, column_bias = np.zeros(X.shape[0]), np.zeros(X.shape[1])
    for _ in range(10):
        for bias, own, other, other_bias in (
            (row_bias, row_of, X.indices, column_bias),
            (column_bias, X.indices, row_of, row_bias),
        ):
            left = X.data - mean - other_bias[other]
            counts = np.bincount(own, minlength=len(bias))
            bias[:] = np.bincount(own, left, len(bias)) / (counts + 5)
    return {"error": rmse(mean + row_bias[rows] + column_bias[columns], values)}


def objective(factors, X):
    """The penalised squared error that exact sweeps minimise, per rating."""
    row_of = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    squares = np.sum((model_values(factors, row_of, X.indices) - X.data) ** 2)
    for factor, index in zip(factors, (row_of, X.indices), strict=True):
        norms = np.sum(factor**2, axis=1, dtype=np.float64)
        squares += ALPHA * np.bincount(index, minlength=len(factor)) @ norms
    return float(squares / 2 / X.nnz)


def sweep_ours(k, shape, small, setting):
    X, _ = load(shape, setting.dtype)
    fitted, result = measure_sweeps(
        lambda n_sweeps: fit_ours(X, k, n_sweeps, bias=False), setting.repeats
    )
    factors = fitted[1].astype(np.float64), fitted[0].components_.T.astype(np.float64)
    result["error"] = objective(factors, X)
    if setting.threads == 1:
        work = 2 * X.nnz * k * (k + 1) + sum(X.shape) * k**3 / 3
        rate = work / result["per_sweep"]
        machine = gemm_rate(setting.dtype, 500 if small else 2000)
        result["note"] = f"{rate / 1e9:.3g} of {machine / 1e9:.3g} GFLOP/s, {rate / machine:.0%}"
    return result


def sweep_cmfrec(k, shape, setting):
    X, _ = load(shape, setting.dtype)
    X = X.tocoo()
    X = sparse.coo_matrix((X.data, (X.row, X.col)), shape=X.shape)
    model, result = measure_sweeps(
        lambda n_sweeps: fit_cmfrec(X, k, n_sweeps, setting.threads, bias=False, use_cg=False),
        setting.repeats,
    )
    return {**result, "error": objective(factors_of_cmfrec(model), sparse.csr_array(X))}


def whole_ours(k, shape, setting):
    X, held = load(shape, setting.dtype)
    curve = []
    for n_sweeps in SWEEPS:
        fitted, result = measure(partial(fit_ours, X, k, n_sweeps), setting.repeats)
        error = held_out_rmse(factors_of_ours(fitted), held)
        curve.append({**result, "n_sweeps": n_sweeps, "error": error})
    return {"curve": curve}


def whole_cmfrec(k, shape, n_sweeps, setting):
    X, held = load(shape, setting.dtype)
    X = X.tocoo()
    X = sparse.coo_matrix((X.data, (X.row, X.col)), shape=X.shape)
    model, result = measure(lambda: fit_cmfrec(X, k, n_sweeps, setting.threads), setting.repeats)
    return {**result, "error": held_out_rmse(factors_of_cmfrec(model), held)}


def whole_libmf(k, shape, penalty, setting):
    from libmf import mf

    X, held = load(shape, np.float32)
    mean = X.data.mean()
    X = X.tocoo()
    triples = np.column_stack([X.row, X.col, X.data - mean]).astype(np.float32)

    def fit():
        engine = mf.MF(
            fun=mf.P_L2_MFR,
            k=k,
            nr_threads=setting.threads,
            nr_iters=20,
            lambda_p1=0.0,
            lambda_q1=0.0,
            lambda_p2=penalty,
            lambda_q2=penalty,
            eta=0.1,
            quiet=True,
        )
        engine.fit(triples)
        return engine

    engine, result = measure(fit, setting.repeats)
    # The wrapper's predict() takes its input for transposed. Rows without any rating are NaN,
    # and those after the last one with ratings are left out.
    padded = []
    for found, length in ((engine.p_factors(), X.shape[0]), (engine.q_factors(), X.shape[1])):
        factor = np.zeros((length, k))
        factor[: len(found)] = np.nan_to_num(found)
        padded.append(factor)
    return {**result, "error": held_out_rmse(with_biases(*padded, mean, 0), held)}


def whole_spark(k, shape, n_sweeps, setting):
    import pandas as pd
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession

    X, held = load(shape, np.float32)
    mean = X.data.mean(dtype=np.float64)
    path = CACHE / f"centred_ratings_{'_'.join(map(str, shape))}.csv"
    if not path.exists():
        X = X.tocoo()
        frame = pd.DataFrame({"user": X.row, "item": X.col, "rating": X.data - np.float32(mean)})
        unfinished = path.with_suffix(".unfinished")
        frame.to_csv(unfinished, index=False)
        unfinished.replace(path)
    with tempfile.TemporaryDirectory() as folder:
        session = (
            SparkSession.builder.master(f"local[{setting.threads}]")
            .config("spark.driver.memory", "8g")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.local.dir", folder)
            .getOrCreate()
        )
        table = session.read.csv(str(path), header=True, schema="user int, item int, rating float")
        table = table.repartition(2 * setting.threads).cache()
        table.count()
        als = ALS(
            rank=k,
            maxIter=n_sweeps,
            regParam=0.05,
            userCol="user",
            itemCol="item",
            ratingCol="rating",
            numUserBlocks=2 * setting.threads,
            numItemBlocks=2 * setting.threads,
            seed=0,
        )
        model, result = measure(lambda: als.fit(table), setting.repeats)
        result["peak_mb"] = peak_of(session.sparkContext._gateway.proc.pid)
        factors = np.zeros((shape[0], k)), np.zeros((shape[1], k))
        for factor, found in zip(factors, (model.userFactors, model.itemFactors), strict=True):
            for index, row in found.toLocalIterator():
                factor[index] = row
        session.stop()
    error = held_out_rmse(with_biases(*factors, mean, 0), held)
    return {**result, "error": error, "note": "peak: all of the Java process"}


def peak_of(process):
    """Peak memory of another process in megabytes, where the system tells."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def fit_surprise(X, k, reg, repeats):
    """The factors from a COO matrix, and the measurements."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    frame = pd.DataFrame({"user": X.row, "item": X.col, "rating": X.data})
    trainset = Dataset.load_from_df(
        frame, Reader(rating_scale=(frame.rating.min(), frame.rating.max()))
    ).build_full_trainset()
    model, result = measure(
        lambda: SVD(k, n_epochs=20, reg_all=reg, lr_all=0.01, random_state=0).fit(trainset),
        repeats,
    )
    users = [trainset.to_raw_uid(user) for user in trainset.all_users()]
    items = [trainset.to_raw_iid(item) for item in trainset.all_items()]
    W, Ht = np.zeros((X.shape[0], k)), np.zeros((X.shape[1], k))
    row_bias, column_bias = np.zeros(X.shape[0]), np.zeros(X.shape[1])
    W[users], Ht[items] = model.pu, model.qi
    row_bias[users], column_bias[items] = model.bu, model.bi  # codespell:ignore bu
    return with_biases(W, Ht, row_bias + trainset.global_mean, column_bias), result


def whole_surprise(k, shape, setting):
    X, held = load(shape, np.float64)
    factors, result = fit_surprise(X.tocoo(), k, 0.05, setting.repeats)
    return {**result, "error": held_out_rmse(factors, held)}


def movielens(fit, path, setting):
    """Mean over five splits of what ``fit(X, setting)`` gives: factors and seconds."""
    users, items, values = np.loadtxt(path, usecols=(0, 1, 2), unpack=True)
    users, items = users.astype(np.int32) - 1, items.astype(np.int32) - 1
    shape = (users.max() + 1, items.max() + 1)
    errors, seconds = [], []
    for seed in range(5):
        held = np.random.default_rng(seed).random(len(values)) < 0.2
        data = values[~held].astype(setting.dtype)
        X = sparse.coo_matrix((data, (users[~held], items[~held])), shape=shape)
        factors, taken = fit(X, setting)
        errors.append(held_out_rmse(factors, (users[held], items[held], values[held])))
        seconds.append(taken)
    return {
        "error": float(np.mean(errors)),
        "seconds": float(np.median(seconds)),
        "runs": len(seconds),
        "note": f"standard deviation of the splits {np.std(errors):.4f}",
    }


def movielens_ours(alpha, X, setting):
    X = sparse.csr_array(X)
    fitted, result = measure(lambda: fit_ours(X, 16, 20, alpha=alpha), 1)
    return factors_of_ours(fitted), result["seconds"]


def movielens_cmfrec(alpha, X, setting):
    model, result = measure(
        lambda: fit_cmfrec(X, 16, 20, setting.threads, use_cg=False, alpha=alpha), 1
    )
    return factors_of_cmfrec(model), result["seconds"]


def movielens_surprise(reg, X, setting):
    factors, result = fit_surprise(X, 16, reg, 1)
    return factors, result["seconds"]


def cases(args):
    shape = (2_000, 500, 60_000) if args.small else (50_000, 5_000, 4_900_000)
    k = 8 if args.small else 32
    single, serial = ("float32",), (1,)
    found = [
        Case(POSSIBLE, kind, partial(possible, kind, shape), dtypes=("float64",), threads=serial)
        for kind in ("oracle", "global mean", "bias only")
    ]
    for rank in (2 * k, k):
        group = SWEEP.format(rank)
        found.append(Case(group, OURS, partial(sweep_ours, rank, shape, args.small)))
        found.append(Case(group, "cmfrec", partial(sweep_cmfrec, rank, shape), "cmfrec"))
    group = WHOLE.format(k)
    found.append(Case(group, OURS, partial(whole_ours, k, shape), dtypes=single))
    for n_sweeps in (3, 5, 10):
        run = partial(whole_cmfrec, k, shape, n_sweeps)
        found.append(Case(group, f"cmfrec CG, {n_sweeps} iterations", run, "cmfrec", single))
    for n_sweeps in (5, 10):
        run = partial(whole_spark, k, shape, n_sweeps)
        found.append(Case(group, f"Spark ALS, {n_sweeps} iterations", run, "pyspark", single))
    for penalty in (0.02, 0.05, 0.1):
        run = partial(whole_libmf, k, shape, penalty)
        name = f"libmf lambda={penalty}, 20 epochs"
        found.append(Case(group, name, run, "libmf", single))
    run = partial(whole_surprise, k, shape)
    found.append(Case(group, "Surprise SVD, 20 epochs", run, "surprise", ("float64",), serial))
    if args.movielens:
        for alpha in MOVIELENS_ALPHAS:
            run = partial(movielens, partial(movielens_ours, alpha), args.movielens)
            found.append(Case(MOVIELENS, f"{OURS} alpha={alpha}", run, dtypes=single))
        for alpha in MOVIELENS_ALPHAS:
            run = partial(movielens, partial(movielens_cmfrec, alpha), args.movielens)
            found.append(Case(MOVIELENS, f"cmfrec lambda={alpha}", run, "cmfrec", single))
        for reg in (0.02, 0.05, 0.1):
            run = partial(movielens, partial(movielens_surprise, reg), args.movielens)
            name = f"Surprise reg={reg}"
            found.append(Case(MOVIELENS, name, run, "surprise", ("float64",), serial))
    return found


def report(rows):
    whole = [row for row in rows if row["group"].startswith("Whole")]
    print_groups([row for row in rows if row not in whole])
    print_threads([row for row in rows if row["group"].startswith("One exact sweep")])
    if whole:
        print_whole(whole)


def print_threads(rows):
    lines = []
    for row in rows:
        first = next(r for r in rows if all(r[n] == row[n] for n in ("group", "peer", "dtype")))
        if first is not row and "per_sweep" in row and "per_sweep" in first:
            gain = first["per_sweep"] / row["per_sweep"]
            name = row["group"].split(" (")[0]
            lines.append([name, row["peer"], row["dtype"], row["threads"], f"{gain:.2f}"])
    if lines:
        header = ["sweep", "peer", "dtype", "threads", "times as fast as on the first"]
        print_table("What threads bring", header, lines)


def print_whole(rows):
    curves = {row["threads"]: row["curve"] for row in rows if "curve" in row}
    lines = []
    for threads, curve in curves.items():
        for point in curve:
            cells = [point["n_sweeps"], threads, "float32", number(point["seconds"])]
            # What earlier fits freed lies ready for later ones: the first peak is the one.
            peak = number(point["peak_mb"]) if point is curve[0] else ""
            lines.append([*cells, number(point["error"], 5), peak, point["runs"]])
    header = "sweeps, threads, dtype, seconds (median), held-out RMSE, peak MB, runs"
    print_table(f"{rows[0]['group']}: {OURS}", header.split(", "), lines)
    lines = []
    for row in rows:
        if "curve" in row:
            continue
        target = row.get("error", -np.inf)
        reached = [p for p in curves.get(row["threads"], []) if p["error"] <= target]
        known = row["threads"] in curves and "error" in row
        ours, ratio = ("never" if known else "", ""), ""
        if reached:
            ours = number(reached[0]["seconds"]), reached[0]["n_sweeps"]
            ratio = number(row["seconds"] / reached[0]["seconds"])
        cells = [row["peer"], row["threads"], row["dtype"], number(row.get("seconds"))]
        cells += [number(row.get("error"), 5), number(row.get("peak_mb")), *ours, ratio]
        lines.append([*cells, row.get("runs", ""), row.get("note", "")])
    header = "peer, threads, dtype, seconds (median), held-out RMSE, peak MB, our seconds to it, "
    header += "our sweeps, ratio to ours, runs, note"
    if lines:
        print_table(f"{rows[0]['group']}: peers", header.split(", "), lines)


def add_arguments(parser):
    parser.add_argument("--movielens", metavar="PATH", help="u.data of MovieLens 100k")


if __name__ == "__main__":
    main(cases, add_arguments, report)
