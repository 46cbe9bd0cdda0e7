"""Who solves a problem, where its name or object is given or nothing is."""

from sklearn_mf.objective.problem import Problem
from sklearn_mf.solvers import ALS, LBFGS, SOLVERS, BaseSolver, GradientDescent, Spectral
from sklearn_mf.utils._validation import check_parameters


def solver_of(problem: Problem, solver, early_stopping=False):
    """The solver that is meant, which can serve the problem.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    solver : str or BaseSolver
        A name, an object, or "auto" for the one that serves best.
    early_stopping : bool, default=False
        Whether entries are hidden from it.

    Returns
    -------
    solver : BaseSolver
        Its parameters are valid.

    Raises
    ------
    ValueError
        If it cannot serve the problem.
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
    """The best of the solvers that need a start."""
    if hasattr(problem.loss, "quadratic"):
        return ALS()
    return GradientDescent(momentum="auto") if LBFGS.obstacle(problem) else LBFGS()


def default_init(problem: Problem, solver):
    """Which start ``init="auto"`` is: an outlier's singular vector could lead losses astray."""
    return solver.init if problem.loss.is_squared else "random"
