"""Monitors, which observe a solver and may end it."""


class Monitor:
    """Base class of objects that are called in every iteration; its methods do nothing.

    See Also
    --------
    sklearn_mf.solvers.BaseSolver : Its method ``solve`` calls monitors with a ``State``.
    """

    def begin(self, state):
        """Called before an iteration."""

    def end(self, state):
        """Called after an iteration. If it returns True, the solve ends at the current factors."""
        return False

    def close(self, state):
        """Called after the last iteration, also after Ctrl-C."""

    def finish(self):
        """Called when the estimator is fitted."""


class Printer(Monitor):
    """Prints a line after every few iterations, and after the last one.

    Parameters
    ----------
    name : str
        Name of the solver.
    every : int
        Number of iterations between lines.
    unit : float
        The unit of the objective, by which it is multiplied.
    """

    def __init__(self, name, every, unit):
        self.name = name
        self.every = every
        self.unit = unit

    def end(self, state):
        """Print a line if it is due."""
        if state.n_iter % self.every == 0 or state.converged or state.stopped:
            print(self._line(state))
        return False

    def _line(self, state):
        change = ""
        if state.n_iter > 1:
            before = state.history[-2]
            change = f"{(state.objective - before) / abs(before or 1):+.1e}"
        parts = [f"[{self.name}] {state.n_iter:5d}  objective {state.objective * self.unit:.6e}"]
        parts.append(f"change {change:>8}")
        if state.validation_scores:
            parts.append(f"validation {state.validation_scores[-1]:8.5f}")
        parts.append(f"{state.seconds[-1]:8.2f} s")
        return "  ".join(parts)
