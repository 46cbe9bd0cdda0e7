"""Runs every case of a benchmark in a process of its own and prints Markdown tables.

A process of its own gives each case its own peak memory and its own number of threads, which
the environment sets before NumPy is imported. The data come from files in ``.cache``, made
once by yet another process, so that making them does not count.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np

CACHE = Path(__file__).parent / ".cache"
OURS = "sklearn_mf"
THREAD_VARIABLES = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR")
DISTRIBUTIONS = (
    "sklearn-mf",
    "numpy",
    "scipy",
    "scikit-learn",
    "cmfrec",
    "libmf",
    "pyspark",
    "implicit",
    "irspack",
    "scikit-surprise",
)
# What a case may take, about: slow ones are repeated less often than asked.
SECONDS_PER_CASE = 100
# A peer that waits for itself, as libmf with two threads sometimes does, is stopped.
LIMIT = 900


@dataclass(frozen=True)
class Case:
    """One line of a table; cases of the same group are compared with one another.

    ``run(setting)`` returns a dict with any of the keys seconds, per_sweep, error, peak_mb,
    runs and note. ``threads`` restricts a peer that cannot do what is asked.
    """

    group: str
    peer: str
    run: Callable
    needs: str = OURS
    dtypes: tuple = ("float32", "float64")
    threads: tuple | None = None


@dataclass(frozen=True)
class Setting:
    threads: int
    dtype: np.dtype
    repeats: int


def measure(function, repeats):
    """Last value, and median seconds, runs and the peak of the first run in megabytes."""
    # Linux can forget the peak so far; elsewhere the data alone set it.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before, seconds = _peak_mb(), []
    while len(seconds) < repeats:
        value = None
        start = time.perf_counter()
        value = function()
        seconds.append(time.perf_counter() - start)
        if len(seconds) == 1:
            peak = _peak_mb() - before
            repeats = min(repeats, max(1, int(SECONDS_PER_CASE / seconds[0])))
    return value, {"seconds": median(seconds), "runs": len(seconds), "peak_mb": peak}


def measure_sweeps(fit, repeats, few=1, many=6):
    """As `measure` for ``fit(many)``, and what each sweep beyond ``few`` takes."""
    long, sweeps = [], []

    def both():
        if not sweeps:
            fit(few)  # what happens only once would make the first difference too small
        start = time.perf_counter()
        fit(few)
        middle = time.perf_counter()
        value = fit(many)
        long.append(time.perf_counter() - middle)
        sweeps.append((long[-1] - (middle - start)) / (many - few))
        return value

    value, result = measure(both, repeats)
    return value, {**result, "seconds": median(long), "per_sweep": median(sweeps)}


def gemm_rate(dtype, size=2000):
    """Floating-point operations a second of the best of seven matrix products."""
    A = np.random.default_rng(0).standard_normal((size, size)).astype(dtype)
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        A @ A
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def cached(make, *arguments):
    """Arrays that ``make(*arguments)`` returns in a dict, from the cache where they are."""
    path = CACHE / f"{make.__name__}_{'_'.join(map(str, arguments))}.npz"
    if not path.exists():
        worker = get_context("spawn").Process(target=_save, args=(path, make, arguments))
        worker.start()
        worker.join()
    with np.load(path) as arrays:
        return dict(arrays)


def rmse(predicted, observed):
    """Root mean squared error."""
    return float(np.sqrt(np.mean((np.asarray(predicted, np.float64) - observed) ** 2)))


def main(make_cases, add_arguments=None, report=None):
    """Run the cases that ``make_cases(args)`` lists and print the tables."""
    parser = argparse.ArgumentParser(
        description=sys.modules["__main__"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--small", action="store_true", help="small data, to try the script")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="part of the name of a group or a peer")
    parser.add_argument("--results", type=Path, help="file of what is done, to go on from")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    if add_arguments is not None:
        add_arguments(parser)
    args = parser.parse_args()
    cases = make_cases(args)
    if args.child:
        index, threads, dtype, path = args.child
        setting = Setting(int(threads), np.dtype(dtype), args.repeats)
        Path(path).write_text(json.dumps(cases[int(index)].run(setting)))
        return
    print(_machine(), flush=True)
    chosen = [(i, case) for i, case in enumerate(cases) if args.only in f"{case.group} {case.peer}"]
    missing = {case.needs for _, case in chosen if importlib.util.find_spec(case.needs) is None}
    for name in sorted(missing):
        print(f"\nNot installed, skipped: {name}")
    settings = [
        (index, case, threads, dtype)
        for index, case in chosen
        if case.needs not in missing
        for threads in case.threads or args.threads
        for dtype in case.dtypes
        if dtype in args.dtypes
    ]
    rows, done = [], []
    if args.results and args.results.exists():
        done = [json.loads(line) for line in args.results.read_text().splitlines()]
    for index, case, threads, dtype in settings:
        row = {"group": case.group, "peer": case.peer, "threads": threads, "dtype": dtype}
        known = [other for other in done if row.items() <= other.items()]
        if known:
            rows += known[-1:]
            continue
        rows.append(row | _run_child(index, threads, dtype))
        if args.results:
            with args.results.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
        # What is known when a run is cut off; the tables need all.
        known = {name: value for name, value in rows[-1].items() if not isinstance(value, list)}
        print(f"{len(rows)} of {len(settings)}: {known}", file=sys.stderr, flush=True)
    (report or print_groups)(rows)


def print_groups(rows):
    """One table a group."""
    for group in dict.fromkeys(row["group"] for row in rows):
        members = [row for row in rows if row["group"] == group]
        lines = []
        for row in members:
            ours = _ours_for(row, members)
            key = "per_sweep" if "per_sweep" in row else "seconds"
            ratio = None
            if ours and not row["peer"].startswith(OURS) and key in row and key in ours:
                ratio = row[key] / ours[key]
            numbers = [row.get(name) for name in ("seconds", "per_sweep")]
            cells = [row["peer"], row["threads"], row["dtype"], *map(number, numbers)]
            cells += [number(row.get("error"), 5), number(row.get("peak_mb")), number(ratio)]
            lines.append([*cells, row.get("runs", ""), row.get("note", "")])
        header = "peer, threads, dtype, seconds (median), seconds per sweep, error, peak MB"
        print_table(group, [*header.split(", "), "ratio to ours", "runs", "note"], lines)


def note_excess(rows, tolerance=1e-4):
    """Note errors above the lowest of their group; return the rows of ours among them."""
    ours = []
    for row in rows:
        errors = [r["error"] for r in rows if r["group"] == row["group"] and "error" in r]
        excess = row["error"] / min(errors) - 1 if "error" in row else 0
        if excess > tolerance:
            notes = [row["note"]] if row.get("note") else []
            row["note"] = "; ".join([*notes, f"error {excess:.1e} above the lowest"])
            ours += [row] if row["peer"].startswith(OURS) else []
    return ours


def print_table(title, header, lines):
    """A title and a Markdown table."""
    print(f"\n### {title}\n")
    for line in (header, ["---"] * len(header), *lines):
        print("| " + " | ".join(str(cell) for cell in line) + " |")
    sys.stdout.flush()


def number(value, digits=3):
    """Text of a number with so many digits, "" for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def _ours_for(row, members):
    """Our row with the same threads, and the same dtype if there is one."""
    ours = [m for m in members if m["peer"].startswith(OURS) and m["threads"] == row["threads"]]
    same = [m for m in ours if m["dtype"] == row["dtype"]]
    return (same or ours or [None])[0]


def _run_child(index, threads, dtype):
    environment = {f"{name}_NUM_THREADS": str(threads) for name in THREAD_VARIABLES}
    environment = {**os.environ, "SKLEARN_MF_KERNELS": "compiled", **environment}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        child = ["--child", str(index), str(threads), dtype, str(path)]
        command = [sys.executable, *sys.argv, *child]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return {"note": f"stopped after {LIMIT} seconds"}
        if done.returncode == 0:
            return json.loads(path.read_text())
    print(done.stderr, file=sys.stderr)
    return {"note": f"failed, exit status {done.returncode}"}


def _save(path, make, arguments):
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".unfinished.npz")
    np.savez(unfinished, **make(*arguments))
    unfinished.replace(path)


def _peak_mb():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _machine():
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        processor = Path("/proc/cpuinfo").read_text().split("model name\t: ")[1].split("\n")[0]
    versions = [f"Python {platform.python_version()}"]
    for name in DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}; {', '.join(versions)}"
