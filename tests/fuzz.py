"""Thousands of random cases: nothing may crash, hang, change its input or be silently wrong.

    python tests/fuzz.py --seed 0 --cases 1000
    python tests/fuzz.py --seed 0 --cases 100000 --chunk 1000   # nightly: chunks in processes

Every case follows from one integer, which is printed with lines that reproduce what failed. What
is asked of each case is in the functions named ``check_...``; what may be refused, in REFUSALS.
"""

import argparse
import faulthandler
import linecache
import pickle
import re
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from fuzz_cases import make
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mf import MatrixFactorization, kernels, non_negative_factorization, select_rank
from sklearn_mf.model_selection import (
    EntryKFold,
    EntryShuffleSplit,
    MaskedEntryScorer,
    cross_val_entries,
    train_test_entry_split,
)
from sklearn_mf.solvers import SGD, Adam, GradientDescent, Spectral

SECONDS_PER_CASE = 20 if kernels.IMPLEMENTATION == "compiled" else 200
TRYING = "trying seed"

# What an estimator may refuse, of data and parameters drawn apart: each message names its reason.
# Whatever else is raised is a failure, and so is what was not raised by a statement of this
# package or of scikit-learn.
REFUSALS = [
    # Sizes and data.
    r"n_components=\d+ is too large",
    r"init='\w+' needs n_components <= min\(n_samples, n_features\)",
    r"ranks must be from 1 to min",
    r"X has no observed entry",
    r"Sample weights must contain at least one non-zero number",
    r"has (the )?shape .* must (be|have)",
    r"cannot hide any entry of X",
    r"test_size=.* is not possible: X has",
    r"return_std=True: this NMF cannot estimate standard deviations",
    r"return_std=True cannot estimate the noise",
    # Values that a loss or a start does not take.
    r"loss='logistic' .*accepts these two values only",
    r"Negative values in data",
    r"input [WH]\) is full of zeros",
    r"beta_loss <= 0 and X contains zeros",
    # Ranks that depend on the data.
    r"n_components='auto' needs what",
    r"n_components=0.7 is a share of the variance of dense",
    r"transform_columns cannot be used with several losses",
    # What a solver cannot do.
    r"solver='\w+' needs",
    r"solver='mu' does not support biases",
    r"solver='mu' multiplies non-negative coefficients",
    r"solver='lbfgs' supports l1_ratio > 0 only",
    r"needs (ridge penalties, with )?positive=False and l1_ratio=0",
    r"Input X contains NaN\b.*",
    r"early_stopping=True hides",
]


class FuzzFailure(AssertionError):
    """What should hold does not."""


def run(seed, *, scales=True):
    """Try a case; what came of it: "passed", or the refusal that it met."""
    case = make(seed, scales=scales)
    before = [_bytes(value) for value in _given(case)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            with np.errstate(all="warn", under="ignore"):
                CHECKS[case.kind](case)
        outcome = "passed"
    except Exception as error:
        outcome = _refusal(error, case)
        if outcome is None:
            raise
    for value, old in zip(_given(case), before, strict=True):
        if _bytes(value) != old:
            raise FuzzFailure("X, weights or a start were changed")
    return outcome


def _given(case):
    return [case.X, *case.weights.values(), *case.arguments.values()]


def _bytes(value):
    if sparse.issparse(value):
        parts = (value.row, value.col) if value.format == "coo" else (value.indices, value.indptr)
        return b"".join(part.tobytes() for part in (value.data, *parts))
    if isinstance(value, pd.DataFrame):
        return value.to_numpy().tobytes()
    return value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()


def _refusal(error, case):
    """The pattern that allows an error; None if there is none."""
    known = {"ValueError", "TypeError", "NotFittedError", "InvalidParameterError"}
    if type(error).__name__ not in known:
        return None
    last = traceback.extract_tb(error.__traceback__)[-1]
    package = {"sklearn_mf", "sklearn"} & set(Path(last.filename).parts)
    if not (package and linecache.getline(last.filename, last.lineno).strip().startswith("raise")):
        return None
    for pattern in REFUSALS:
        if re.search(pattern, str(error)):
            return pattern
    if "diverged" in str(error) and _may_diverge(case.estimator):
        return "diverged"
    if "partial_fit diverged" in str(error) and _has_a_free_side(case.estimator):
        return "partial_fit diverged"
    return None


def _has_a_free_side(estimator):
    """Whether one factor is penalized and the other is not, so that it grows batch by batch."""
    return estimator.alpha_W != estimator.alpha_H and 0 in (estimator.alpha_W, estimator.alpha_H)


def _may_diverge(estimator):
    """Whether steps are of a given length, or of single entries: they may be too long."""
    solver = getattr(estimator, "solver", None)
    if solver == "sgd":
        return True
    if isinstance(solver, Adam):
        return solver.schedule != "adaptive" or solver.weight_decay > 0
    if isinstance(solver, SGD):
        return solver.schedule != "adaptive"
    return isinstance(solver, GradientDescent) and solver.learning_rate != "auto"


# What is asked -----------------------------------------------------------------------------------


def check_factorization(case):
    """Of an estimator with codes: fit, what it says, and its other methods."""
    estimator, X, weights = case.estimator, case.X, {**case.weights, **case.arguments}
    fitted = clone(estimator).fit(X, **weights)
    _check_finite(fitted)
    check_objective(case, fitted)
    extra = {}
    if "entry_weight" in weights:
        extra["entry_weight"] = weights["entry_weight"]
    W = fitted.transform(X, **extra)
    _finite("transform", W)
    others = [check_fit_transform, check_rows, check_entries, check_streams, check_copies]
    if hasattr(estimator, "warm_start"):
        others.append(check_warm_start)
    if not hasattr(fitted, "partial_fit"):
        others.remove(check_streams)
    first = case.seed % len(others)
    for check in (
        others[first],
        others[(first + 1 + case.seed // 7 % (len(others) - 1)) % len(others)],
    ):
        check(case, fitted, W, extra)


def check_objective(case, fitted):
    """The objective does not rise, where a solver promises so; the error is what it is called."""
    curve = np.array(fitted.loss_curve_)
    solver = getattr(fitted, "solver_", None)
    promised = not (_may_diverge(fitted) or isinstance(solver, Spectral | SGD))
    if isinstance(solver, SGD):
        promised = solver.schedule == "adaptive"
    if isinstance(solver, Adam):
        promised = solver.schedule == "adaptive"
    if isinstance(solver, GradientDescent):
        promised = solver.learning_rate == "auto"
    if type(fitted).__name__ == "MiniBatchNMF":
        promised = False
    if promised and len(curve) > 1:
        rise = np.diff(curve)
        limit = _rounding(case, fitted, curve)
        if not (rise <= limit).all():
            worst = int(np.argmax(rise))
            raise FuzzFailure(
                f"the objective rises from {curve[worst]!r} to {curve[worst + 1]!r} in iteration "
                f"{worst + 2} of {type(solver).__name__}; rounding would explain {limit:.2g}"
            )


def _rounding(case, fitted, curve):
    X = case.dense.astype(np.float64)
    weights = 1.0
    for name, weight in case.weights.items():
        weight = weight.toarray() if sparse.issparse(weight) else weight
        weights = weights * (weight[:, None] if name == "sample_weight" else weight)
    size = np.nansum((X**2 + np.abs(X)) * weights)
    dtype = fitted.components_.dtype
    return 100 * np.finfo(dtype).eps * max(np.abs(curve).max(), size)


def check_fit_transform(case, fitted, W, extra):
    """`fit_transform` is fit, then transform; and the same fit gives the same bits."""
    again = clone(case.estimator)
    codes = again.fit_transform(case.X, **case.weights, **case.arguments)
    for name, value in vars(fitted).items():
        if name == "loss_curve_seconds_":
            continue
        if isinstance(value, np.ndarray | float | list):
            other = getattr(again, name)
            if np.asarray(value).tobytes() != np.asarray(other).tobytes() and not np.array_equal(
                value, other
            ):
                raise FuzzFailure(f"{name} differs in a second fit: {value!r} and {other!r}")
    _close(case, fitted, "fit_transform is not fit, then transform", codes, W)


def check_rows(case, fitted, W, extra):
    """A row's code depends on that row alone."""
    rows = np.flatnonzero(np.random.default_rng(case.seed).random(len(case.dense)) < 0.5)
    if len(rows) == 0:
        rows = np.array([0])
    some = _rows(case.X, rows)
    if extra:
        extra = {name: _rows(value, rows) for name, value in extra.items()}
    if not _has_one_minimum(fitted.loss_):
        return  # rounding error may choose among several
    _close(case, fitted, "codes depend on other rows", fitted.transform(some, **extra), W[rows])


def _has_one_minimum(loss):
    """Whether the cost of a row is convex, so that there is one least value."""
    return all(1 <= getattr(part, "beta", 1) <= 2 for part in loss.parts)


def _rows(X, rows):
    if sparse.issparse(X):
        return sparse.csr_array(X)[rows]
    if isinstance(X, pd.DataFrame):
        return X.iloc[rows]
    return np.asarray(X)[rows]


def check_entries(case, fitted, W, extra):
    """Entries and the score: finite, and those of the reconstruction."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = np.asarray(fitted.inverse_transform(W))
    if any(re.search(r"loss='poisson' are infinite", str(warning.message)) for warning in seen):
        return
    _finite("inverse_transform", model)
    if not extra:
        n, p = model.shape
        rows, columns = np.arange(n) % n, (np.arange(n) * 7) % p
        entries = fitted.predict_entries(case.X, rows, columns)
        expected = model[rows, columns]
        if not np.allclose(entries, expected, rtol=1e-3, atol=1e-3 * _size(case, fitted)):
            raise FuzzFailure(f"predict_entries {entries} is not the reconstruction {expected}")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        score = fitted.score(case.X)
    undefined = any(issubclass(warning.category, UndefinedMetricWarning) for warning in seen)
    foreign = [w for w in seen if issubclass(w.category, RuntimeWarning)]
    if foreign:
        raise FuzzFailure(f"score warns: {foreign[0].message}")
    if np.isnan(score) and not undefined:
        raise FuzzFailure("score is nan without a warning")
    if isinstance(fitted, MatrixFactorization) and not extra:
        H = fitted.transform_columns(case.dense[:, :1], W)
        _finite("transform_columns", H)


def check_streams(case, fitted, W, extra):
    """`partial_fit`, from nothing and from a fit, gives finite components."""
    estimator = clone(case.estimator)
    n = len(case.dense)
    for rows in (np.arange(n // 2), np.arange(n // 2, n), np.arange(n)):
        if len(rows) == 0:
            continue
        weights = {name: _rows(value, rows) for name, value in case.weights.items()}
        if "W" in case.arguments:
            weights.update(W=case.arguments["W"][rows], H=case.arguments["H"])
        some = case.X if len(rows) == n else _rows(case.X, rows)
        estimator.partial_fit(some, **weights)
        if hasattr(estimator, "components_"):
            _check_finite(estimator)
    if hasattr(estimator, "components_"):
        _finite("transform after partial_fit", estimator.transform(case.X))
    later = pickle.loads(pickle.dumps(fitted))
    _check_finite(later.partial_fit(case.X, **case.weights))


def check_copies(case, fitted, W, extra):
    """Pickles do the same, clones have the same parameters."""
    codes = pickle.loads(pickle.dumps(fitted)).transform(case.X, **extra)
    if codes.tobytes() != W.tobytes():
        raise FuzzFailure("a pickle transforms otherwise, or the same call twice")
    if repr(clone(fitted)) != repr(case.estimator):
        raise FuzzFailure("its clone has different parameters")


def check_warm_start(case, fitted, W, extra):
    """A second fit, which may go on from the first."""
    _check_finite(pickle.loads(pickle.dumps(fitted)).fit(case.X, **case.weights))


def check_function(case):
    """`non_negative_factorization` is `NMF`."""
    parameters = case.estimator.get_params(deep=False)
    W, H, n_iter = non_negative_factorization(
        case.X, **case.arguments, **parameters, **case.weights
    )
    for name, value in (("W", W), ("H", H)):
        _finite(name, value)
        if value.min(initial=0) < 0:
            raise FuzzFailure(f"{name} has negative values")
    if not 1 <= n_iter <= case.estimator.max_iter:
        raise FuzzFailure(f"n_iter={n_iter}")


def check_imputer(case):
    """Observed entries are kept, others are filled with numbers within the limits."""
    imputer = clone(case.estimator)
    filled = imputer.fit_transform(case.X)
    _finite("transform", filled)
    kept = imputer.get_feature_names_out()
    if filled.shape[1] != len(kept):
        raise FuzzFailure(f"{filled.shape[1]} columns, but the names are {kept}")
    if case.seed % 4 == 0:  # half of all time goes into imputers
        repeated = clone(case.estimator).fit(case.X).transform(case.X)
        if np.asarray(repeated).tobytes() != np.asarray(filled).tobytes():
            raise FuzzFailure("a second fit fills otherwise")
    if not case.estimator.add_indicator:
        seen = ~np.isnan(case.dense).all(axis=0) | case.estimator.keep_empty_features
        known, out = case.dense[:, seen], np.asarray(filled)
        where = ~np.isnan(known)
        if not (out[where] == known[where]).all():
            raise FuzzFailure("observed entries were changed")
        imputed = out[~where]
        empty = np.isnan(known).all(axis=0)
        imputed = out[~where & ~empty]
        low, high = case.estimator.min_value, case.estimator.max_value
        if not ((imputed >= low) & (imputed <= high)).all():
            raise FuzzFailure("imputed values are beyond the limits")


def check_search(case):
    """Every score is a number, and the best estimator works."""
    search = clone(case.estimator).fit(case.X)
    _finite("mean_test_score", search.cv_results_["mean_test_score"])
    W = search.transform(case.X)
    _finite("transform", W)
    _finite("inverse_transform", np.asarray(search.inverse_transform(W)))


def check_holdout(case):
    """The score is a number, and methods are those of the estimator."""
    holdout = clone(case.estimator).fit(case.X)
    _finite("transform", holdout.transform(case.X))
    score = holdout.score(case.X)
    if not np.isfinite(score):
        raise FuzzFailure(f"score is {score}")


def check_model_selection(case):
    """Splitters deal every entry once; scores are numbers."""
    seed = case.seed % 5
    estimator, X = case.estimator, case.X
    parts = train_test_entry_split(X, test_size=0.3, random_state=seed)
    if sparse.issparse(X):
        X = sparse.csr_array(X)
    for splitter in (EntryKFold(2, random_state=seed), EntryShuffleSplit(2, random_state=seed)):
        for train, test in splitter.split(X):
            if np.intersect1d(train, test).size:
                raise FuzzFailure(f"{splitter} has entries in train and test")
    assert len(parts) == 2
    results = cross_val_entries(estimator, X, cv=EntryKFold(2, random_state=seed), metric="rmse")
    _finite("cross_val_entries", np.asarray(results["test_score"]))
    fitted = clone(estimator).fit(X)
    MaskedEntryScorer(0.3)(fitted, X)


def check_rank(case):
    """A rank between nothing and all."""
    rank = select_rank(case.X, **case.arguments)
    if not 0 <= rank <= min(case.dense.shape):
        raise FuzzFailure(f"the rank is {rank}")


CHECKS = {
    "MatrixFactorization": check_factorization,
    "NMF": check_factorization,
    "MiniBatchNMF": check_factorization,
    "non_negative_factorization": check_function,
    "FactorizationImputer": check_imputer,
    "RankSearchCV": check_search,
    "EntryHoldout": check_holdout,
    "model_selection": check_model_selection,
    "select_rank": check_rank,
}


def _finite(name, values):
    values = np.asarray(values)
    if not np.isfinite(values).all():
        raise FuzzFailure(f"{name} has {np.count_nonzero(~np.isfinite(values))} nan or inf")


def _check_finite(fitted):
    for name, value in vars(fitted).items():
        is_public = name.endswith("_") and not name.startswith("_")
        is_number = isinstance(value, float | np.ndarray) or name == "loss_curve_"
        if is_public and is_number and np.asarray(value).dtype.kind == "f":
            _finite(name, value)


def _size(case, fitted):
    largest = np.nanmax(np.abs(case.dense), initial=0)
    return max(float(largest), float(np.abs(fitted.feature_bias_).max(initial=0)), 1e-300)


def _close(case, fitted, what, one, other):
    """Whether codes mean the same, but for rounding."""
    one, other = (np.asarray(W, dtype=np.float64) for W in (one, other))
    components = fitted.components_.astype(np.float64)
    k = len(components)
    models = [W[:, :k] @ components + W[:, k:].sum(axis=1, keepdims=True) for W in (one, other)]
    eps = np.finfo(fitted.components_.dtype).eps
    # Other losses than the squared are approached step by step.
    share = 1e-2 if eps > 1e-10 else 1e-6 if fitted.loss_.is_squared else 1e-3
    limit = share * max(_size(case, fitted), np.abs(models).max(initial=0))
    if not np.abs(models[0] - models[1]).max(initial=0) <= limit:
        raise FuzzFailure(f"{what}: models differ by {np.abs(models[0] - models[1]).max()}")


# Running -----------------------------------------------------------------------------------------


def run_many(seeds, *, scales=True, seconds=None, report=print):
    """Try cases; how often each outcome was met, and the seeds that failed with their reasons."""
    outcomes, failed, began = Counter(), [], time.monotonic()
    for seed in seeds:
        if seconds is not None and time.monotonic() - began > seconds:
            break
        _watch(SECONDS_PER_CASE)
        try:
            outcomes[run(seed, scales=scales)] += 1
        except Exception as error:
            outcomes["failed"] += 1
            failed.append((seed, _signature(error)))
            report(f"seed {seed}: {_signature(error)}")
        finally:
            _watch(0)
    return outcomes, failed


def _watch(seconds):
    """Fail what takes the processor longer, and end the process if it hangs; 0: no more."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, _too_slow)
        signal.setitimer(signal.ITIMER_PROF, seconds)
    if seconds:
        faulthandler.dump_traceback_later(20 * seconds, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def _too_slow(*_):
    raise FuzzFailure(f"took longer than {SECONDS_PER_CASE} s")


def _signature(error):
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "sklearn_mf" in f.filename]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error)[:200]}{place}"


def _in_processes(arguments):
    """Chunks of cases in processes of their own: a crash ends one, whose last seed is printed."""
    status, last = 0, arguments.seed + arguments.cases
    for first in range(arguments.seed, last, arguments.chunk):
        n_cases = min(arguments.chunk, last - first)
        command = [sys.executable, __file__, f"--seed={first}", f"--cases={n_cases}", "--trace"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        tried = [line for line in lines if line.startswith(TRYING)]
        print("\n".join(line for line in lines if not line.startswith(TRYING)), flush=True)
        if done.returncode not in (0, 1):
            print(f"process ended with {done.returncode}: {tried[-1:]}\n{done.stderr}", flush=True)
        status |= done.returncode != 0
    return status


def main():
    """Run as the command line says; 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--cases", type=int, default=1000, help="how many, one seed each")
    parser.add_argument("--seconds", type=float, help="begin no case after so many")
    parser.add_argument("--chunk", type=int, help="cases in a process")
    parser.add_argument("--no-scales", action="store_true", help="no data of 1e30 or 1e-30")
    parser.add_argument("--trace", action="store_true", help="print each seed before it is tried")
    parser.add_argument("--show", action="store_true", help="how to reproduce, and tracebacks")
    arguments = parser.parse_args()
    if arguments.chunk:
        return _in_processes(arguments)
    seeds = range(arguments.seed, arguments.seed + arguments.cases)
    began = time.monotonic()
    if arguments.trace:
        seeds = _traced(seeds)
    outcomes, failed = run_many(seeds, scales=not arguments.no_scales, seconds=arguments.seconds)
    for outcome, count in outcomes.most_common():
        print(f"{count:7d} {outcome}")
    print(f"{outcomes.total()} cases in {time.monotonic() - began:.0f} s, {len(failed)} failed")
    if arguments.show:
        for seed, _ in failed:
            show(seed, scales=not arguments.no_scales)
    return bool(failed)


def _traced(seeds):
    for seed in seeds:
        print(TRYING, seed, flush=True)
        yield seed


def show(seed, *, scales=True):
    """Print how to reproduce a case, and the traceback of its failure."""
    print(f"--- seed {seed}\n{make(seed, scales=scales).reproduction}")
    try:
        print(run(seed, scales=scales))
    except Exception:
        traceback.print_exc(file=sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
