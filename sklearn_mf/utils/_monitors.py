"""Who looks on while a solver works, and may end its work."""


class Monitor:
    """Base of what is told of every iteration of a solver; methods do nothing unless overridden.

    See Also
    --------
    sklearn_mf.solvers.BaseSolver : Its ``solve`` takes monitors, and hands them a ``State``.
    """

    def begin(self, state):
        """Before an iteration."""

    def end(self, state):
        """After an iteration. True ends the solve, with the factors as they are."""
        return False

    def close(self, state):
        """After the last iteration, also where the user pressed Ctrl-C."""

    def finish(self):
        """When the estimator is fitted."""


class Printer(Monitor):
    """Prints a line every so many iterations, and one for the last.

    Parameters
    ----------
    name : str
        Of the solver.
    every : int
        Iterations from line to line.
    unit : float
        Of the objective: what it is to be multiplied with.
    """

    def __init__(self, name, every, unit):
        self.name = name
        self.every = every
        self.unit = unit

    def end(self, state):
        """Print, if it is time."""
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
