"""Early stopping on the generated ratings: does it find the best point of the path?

Ratings as in `ratings.py`, 10 % of them held out as a test that no fit sees. Early stopping hides
a tenth of the others, watches it, and ends by itself; its test error is that of the factors it
goes back to. It is compared with the best test error along two paths that do not end: that of the
same fit, and that of a fit to all the others, which has a ninth more to learn from. Small
penalties, so that there is a point to miss. Needs scikit-learn 1.9 for its callbacks.
"""

from functools import partial

import numpy as np
from _harness import OURS, Case, main, measure, number, print_table
from ratings import factors_of_ours, held_out_rmse, load

from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import GradientDescent

ITERATIONS = {"als": 30, "gd": 60}
SOLVERS = {"als": "als", "gd": GradientDescent(momentum=0.9, nesterov=True)}


class Path:
    """A callback of scikit-learn: the test error after every iteration."""

    def __init__(self, X, held):
        self.X, self.held, self.errors = X, held, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.parent is not None:
            self.errors.append(error_of(fitted_estimator, self.X, self.held))


def error_of(model, X, held):
    return held_out_rmse(factors_of_ours((model, model.transform(X))), held)


def model_for(solver, k, alpha, **parameters):
    return MatrixFactorization(
        k,
        solver=SOLVERS[solver],
        alpha_W=alpha,
        bias="both",
        unstored="missing",
        max_iter=ITERATIONS[solver],
        random_state=0,
        **parameters,
    )


def path_of(hides, solver, k, alpha, shape, setting):
    X, held = load(shape, setting.dtype)
    path = Path(X, held)
    model = model_for(solver, k, alpha, tol=0, early_stopping=hides, n_iter_no_change=1000)
    model.set_callbacks(path).fit(X)
    return {"error": min(path.errors), "best": int(np.argmin(path.errors)) + 1, "path": path.errors}


def stopped(solver, k, alpha, shape, setting):
    X, held = load(shape, setting.dtype)
    model = model_for(solver, k, alpha, early_stopping=True)
    _, result = measure(lambda: model.fit(X), 1)
    scores = model.validation_scores_
    return {
        "error": error_of(model, X, held),
        "best": int(np.argmax(scores)) + 1,
        "n_iter": model.n_iter_,
        "seconds": result["seconds"],
    }


RUNS = {
    "all ratings": partial(path_of, False),
    "same ratings": partial(path_of, True),
    "stopped": stopped,
}


def cases(args):
    shape = (2_000, 500, 60_000) if args.small else (50_000, 5_000, 4_900_000)
    k = 8 if args.small else 32
    return [
        Case(f"{solver}, alpha={alpha}", name, partial(run, solver, k, alpha, shape), OURS)
        for solver in SOLVERS
        for alpha in (0.003, 0.02, 0.06)
        for name, run in RUNS.items()
    ]


def report(rows):
    lines = []
    for row in rows:
        if row["peer"] != "stopped":
            continue
        key = [row[name] for name in ("group", "threads", "dtype")]
        cells = [*key, number(row["error"], 5), row["best"], row["n_iter"], number(row["seconds"])]
        for path in rows:
            if path["peer"] != "stopped" and key == [
                path[n] for n in ("group", "threads", "dtype")
            ]:
                excess = f"{row['error'] / path['error'] - 1:+.2%}"
                cells += [
                    number(path["error"], 5),
                    path["best"],
                    number(path["path"][-1], 5),
                    excess,
                ]
        lines.append(cells)
    header = ["solver", "threads", "dtype", "RMSE", "of iteration", "iterations", "seconds"]
    for name in ("all", "same"):
        header += [f"{name} ratings: best RMSE", "at iteration", "last RMSE", "excess"]
    print_table("Early stopping", header, lines)


if __name__ == "__main__":
    main(cases, report=report)
