"""Selection of the solver by its name, as an object, or automatically."""

from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers import ALS, LBFGS, SOLVERS, BaseSolver, GradientDescent, Spectral
from sklearn_mf.utils._validation import check_parameters


def solver_of(problem: Problem, solver, early_stopping=False):
    """Return the solver of a problem, and check that it supports the problem.

    Parameters
    ----------
    problem : Problem
        The problem to be solved.
    solver : str or BaseSolver
        A name, an object, or "auto" for an automatic choice.
    early_stopping : bool, default=False
        Whether entries are hidden from the solver.

    Returns
    -------
    solver : BaseSolver
        The solver, with valid parameters.

    Raises
    ------
    ValueError
        If the solver does not support the problem.
    """
    if isinstance(solver, BaseSolver):
        check_parameters(solver)
    elif solver != "auto":
        solver = SOLVERS.resolve(solver)
    elif not early_stopping and Spectral.obstacle(problem) is None:
        solver = Spectral()
    else:
        solver = iterative_solver(problem)
    if early_stopping and not solver.allows_missing:
        raise ValueError(
            f"early_stopping=True hides entries of X, but solver={solver.name!r} needs "
            "complete data. Use early_stopping=False, or solver='als'."
        )
    solver.check(problem)
    return solver


def iterative_solver(problem: Problem):
    """Return the default solver among those that need an initialization."""
    if hasattr(problem.loss, "quadratic"):
        return ALS()
    return GradientDescent(momentum="auto") if LBFGS.obstacle(problem) else LBFGS()


def default_init(problem: Problem, solver):
    """Return the initialization for ``init="auto"``: singular vectors are sensitive to outliers."""
    return solver.init if problem.loss.is_squared else "random"
