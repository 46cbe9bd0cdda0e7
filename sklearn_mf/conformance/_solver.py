"""The checks of a solver."""

from functools import cache

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf.conformance._base import agree, check_clone, holds
from sklearn_mf.losses import LOSSES
from sklearn_mf.objective import Problem, Side
from sklearn_mf.observations import observe
from sklearn_mf.penalties import ElasticNet, GroupLasso, Ridge, Smoothness
from sklearn_mf.solvers import SOLVERS, BaseSolver
from sklearn_mf.starts.start import start
from sklearn_mf.utils._abilities import defines
from sklearn_mf.utils._warnings import quiet

SHAPE, RANK, OFFSET = (24, 10), 2, 0.3
# Largest allowed distance from the lowest objective that other solvers reach from the same
# initialization, as a fraction of what the components can explain.
NEAR = 0.02
POSITIVE = ElasticNet(0.02, l1_ratio=0.5, positive=True)
SIDES = {
    "ridge penalties": (Ridge(0.02), Ridge(0.03)),
    "absolute values": (ElasticNet(0.02), ElasticNet(0.02)),
    "positive factors": (POSITIVE, POSITIVE),
    "smooth components": (Ridge(0.02), Smoothness(0.02)),
    "lengths of rows": (GroupLasso(0.02, "rows"), GroupLasso(0.02, "rows")),
    "lengths of components": (Ridge(0.02), GroupLasso(0.02)),
}


def check_solver(solver, max_iter=500, tol=1e-6):
    """Check a solver on every kind of small problem that it does not refuse.

    The problems include losses with and without a quadratic bound, penalties that are smooth,
    nonsmooth and not separable, missing entries, weights and biases. The solver must return factors
    of the right shapes and the objective at these factors. The objective must be lower than at the
    start and near the lowest value that the solvers of the package find. The solver must not modify
    the factors passed to it.

    Parameters
    ----------
    solver : BaseSolver
        The solver to check.
    max_iter : int, default=500
        Maximum number of iterations.
    tol : float, default=1e-6
        Tolerance of the stopping rule; see `BaseSolver.solve`.

    Returns
    -------
    served : list of str
        Names of the problems that the solver supports. It refused the others with an error.

    Raises
    ------
    AssertionError
        If a check fails, or the solver supports none of the problems.

    See Also
    --------
    check_loss : Check a loss.
    sklearn_mf.solvers.BaseSolver : The base class of solvers.

    Examples
    --------
    >>> from sklearn_mf.conformance import check_solver
    >>> from sklearn_mf.solvers import Spectral
    >>> check_solver(Spectral())
    ['squared, ridge penalties, complete']
    """
    holds(isinstance(solver, BaseSolver), solver, "it is not a BaseSolver.")
    check_clone(solver)
    is_named = isinstance(getattr(solver, "name", None), str)
    holds(is_named, solver, "it has no name: define the class attribute `name`, a string.")
    acts = defines(solver, "_step", BaseSolver) or defines(solver, "_run", BaseSolver)
    holds(acts, solver, "it defines neither _step(problem, state) nor _run.")
    served = []
    for name, problem in _problems().items():
        try:
            solver.check(problem)
        except ValueError as refusal:
            is_named = solver.name in str(refusal) or type(solver).__name__ in str(refusal)
            holds(is_named, solver, f"its refusal does not contain its name: {refusal}")
            continue
        _check_solution(solver, problem, name, max_iter, tol)
        served.append(name)
    holds(served, solver, "it supports none of the problems.")
    return served


@cache
def _problems():
    """Yield problems with their names."""
    return dict(_posed())


def _posed():
    rng = np.random.default_rng(0)
    product = rng.normal(size=(SHAPE[0], RANK)) @ rng.normal(size=(RANK, SHAPE[1]))
    X = product + 0.1 * rng.normal(size=SHAPE)
    holed = np.where(rng.random(SHAPE) < 0.2, np.nan, X)
    weight = rng.integers(1, 3, SHAPE[0]).astype(float)
    for sides, penalties in SIDES.items():
        is_plain = sides == "ridge penalties"
        for loss in ("squared", "huber", "logistic", "poisson") if is_plain else ("squared",):
            data = {"holes": observe(_data(loss, holed, sides))}
            if loss == "squared":
                data["complete"] = observe(_data(loss, X, sides))
            if loss == "squared" and is_plain:
                data["weights"] = observe(holed, sample_weight=weight)
            for kind, observations in data.items():
                plain = [Side(penalty) for penalty in penalties]
                terms = (LOSSES[loss](), *plain, RANK)
                yield f"{loss}, {sides}, {kind}", Problem(observations, *terms)
        biased = [Side(penalty, True, 0.02) for penalty in penalties]
        yield (
            f"squared, {sides}, biases",
            Problem(observe(holed), LOSSES["squared"](), *biased, RANK, offset=OFFSET),
        )


def _data(loss, X, sides):
    if loss == "logistic":
        return np.where(np.isnan(X), np.nan, X > 0).astype(float)
    if loss == "poisson":
        return np.floor(np.exp(np.clip(X, -2, 2)))
    return np.abs(X) if sides == "positive factors" else X


def _check_solution(solver, problem: Problem, name, max_iter, tol):
    W, Ht = start(problem, "svd", np.random.RandomState(0))
    first, before = problem.value(W, Ht), (W.copy(), Ht.copy())
    state = _solved(solver, problem, W, Ht, max_iter, tol)
    what = f"{name}: "
    for given, kept in zip((W, Ht), before, strict=True):
        holds(np.array_equal(given, kept), solver, what + "it modifies the initial factors.")
    holds(
        state.W.shape == W.shape and state.Ht.shape == Ht.shape,
        solver,
        what + "its factors have the wrong shapes.",
    )
    holds(len(state.history) <= max_iter, solver, what + "it makes more than max_iter iterations.")
    if solver.needs_start:
        agree(
            state.objective,
            problem.value(state.W, state.Ht),
            solver,
            what + "_step returns an objective that is not that of the factors.",
        )
    found = problem.value(problem.fold_in(state.Ht), state.Ht)
    least = _least(name)
    nothing = problem.value(np.zeros_like(W), np.zeros_like(Ht))
    holds(
        found <= least + NEAR * (max(nothing, first) - least),
        solver,
        what + f"the objective is {found:.6g}, but from the same initialization, with objective "
        f"{first:.6g}, {least:.6g} can be reached.",
    )


@cache
def _least(name):
    """Return the lowest objective that the package's solvers find from the same factors."""
    problem = _problems()[name]
    W, Ht = start(problem, "svd", np.random.RandomState(0))
    solvers = [SOLVERS[other]() for other in ("als", "gd")]
    return min(
        _solved(solver, problem, W, Ht, 200, 1e-6).objective
        for solver in solvers
        if _serves(solver, problem)
    )


def _serves(solver, problem: Problem):
    try:
        solver.check(problem)
    except ValueError:
        return False
    return True


def _solved(solver, problem: Problem, W, Ht, max_iter, tol):
    with quiet(ConvergenceWarning):
        return solver.solve(problem, W, Ht, max_iter=max_iter, tol=tol, random_state=0)
