"""What is hidden from a fit, and how well its factors predict it."""

from dataclasses import replace

import numpy as np

from sklearn_mf.losses.squared import SquaredErrorOfMean
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import HeldOut, ObservedMatrix
from sklearn_mf.utils._hiding import hiding_stream

# Entries that are hidden, in as few hold-outs as have them.
ENOUGH_HIDDEN = 10_000


def hold_out(observations: ObservedMatrix, share, random_state, names):
    """Hide entries, or say why that cannot be.

    Parameters
    ----------
    observations : ObservedMatrix
        The data.
    share : float
        How much of them to hide.
    random_state : int, RandomState instance or None
        Chooses which.
    names : tuple of str
        Who asks, and what to use where that cannot be, for the message.

    Returns
    -------
    held_out : HeldOut
        What a solver may see, and what it is judged by.
    """
    held_out = observations.hold_out(share, hiding_stream(random_state))
    if held_out.hidden.n_observed == 0:
        (name, remedy), (n_samples, n_features) = names, observations.shape
        raise ValueError(
            f"{name} finds nothing to hide in X (n_samples={n_samples}, n_features={n_features}): "
            f"each of {observations.n_observed} entries is the last one of its row or column. "
            f"Use {remedy}."
        )
    return held_out


def n_enough(n_hidden, enough=ENOUGH_HIDDEN):
    """How many hold-outs are enough to choose by, if each hides so many entries."""
    return int(np.ceil(enough / n_hidden))


def hidden_loss(held_out: HeldOut, problem: Problem, factors, loss):
    """What the hidden entries cost.

    Parameters
    ----------
    held_out : HeldOut
        Single entries, or a block in rows of which other columns are known.
    problem : Problem
        Of what is visible.
    factors : tuple of two ndarrays
        Found for it; the first is None where rows have no code yet.
    loss : BaseLoss
        Cost of an entry.

    Returns
    -------
    loss : float
        Summed up over them.
    """
    W, Ht = factors
    if held_out.known is not None:
        W = replace(problem, observations=held_out.known).fold_in(Ht[~held_out.columns])
        Ht = Ht[held_out.columns]
    return held_out.hidden.total_loss(*problem.model_factors(W, Ht), loss)


class HiddenGroups:
    """What is hidden from the problems of a path, in groups whose errors tell their spread.

    Parameters
    ----------
    held_out : HeldOut
        Single entries, or a block in rows of which other columns are known.
    n_groups : int, default=1
        Of entries, or of rows of the block: fewer, where it has fewer.

    Attributes
    ----------
    weights : ndarray of shape (n_groups,)
        What the entries of each group count for.
    n_observed : int
        Number of hidden entries.
    """

    def __init__(self, held_out: HeldOut, n_groups=1):
        hidden, known = held_out.hidden, held_out.known
        self._is_block = known is not None
        if self._is_block:
            rows = np.arange(hidden.shape[0])
            parts = [rows[number::n_groups] for number in range(min(n_groups, len(rows)))]
            pairs = [(hidden.subset(part), known.subset(part)) for part in parts]
        else:
            group = np.arange(hidden.n_observed) % n_groups
            pairs = [(hidden.only(group == number), None) for number in range(n_groups)]
        self._groups = [replace(held_out, hidden=part, known=row) for part, row in pairs]
        self.weights = np.array([total_weight(part) for part, _ in pairs])
        self.n_observed = hidden.n_observed

    def errors(self, problem: Problem, factors, loss):
        """Mean squared error of each group, on the scale of the data.

        Parameters
        ----------
        problem : Problem
            Of what is visible.
        factors : tuple of two ndarrays
            Found for it.
        loss : BaseLoss
            Of the data, in the unit of the problem.

        Returns
        -------
        errors : ndarray of shape (n_groups,)
            Weighted as the entries are.
        """
        # Gram matrices stand for the zeros of a block; entries have squares in double precision.
        error = loss if loss.is_squared and self._is_block else SquaredErrorOfMean(loss)
        totals = [hidden_loss(group, problem, factors, error) for group in self._groups]
        return 2 * np.array(totals) / self.weights


def total_weight(observations: ObservedMatrix):
    """What all entries of some observations count for together."""
    totals = observations.row_totals()
    if observations.row_weight is None:
        return float(totals.sum(dtype=np.float64))
    return float(totals @ observations.row_weight.astype(np.float64))
