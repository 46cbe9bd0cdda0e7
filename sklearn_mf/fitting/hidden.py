"""Hidden entries, and the errors of their predictions."""

from dataclasses import replace

import numpy as np

from sklearn_mf.losses.squared import SquaredErrorOfMean
from sklearn_mf.objective.problem import Problem
from sklearn_mf.observations import HeldOut, ObservedMatrix
from sklearn_mf.utils._hiding import hiding_stream

# Number of hidden entries, in as few hold-outs as possible.
ENOUGH_HIDDEN = 10_000


def hold_out(observations: ObservedMatrix, share, random_state, names):
    """Hide entries, or raise an error that explains why this is impossible.

    Parameters
    ----------
    observations : ObservedMatrix
        The data.
    share : float
        Fraction of the entries to hide.
    random_state : int, RandomState instance or None
        Controls which entries are hidden.
    names : tuple of str
        For the message: the parameter that needs hidden entries, and a remedy.

    Returns
    -------
    held_out : HeldOut
        The visible and the hidden entries.
    """
    held_out = observations.hold_out(share, hiding_stream(random_state))
    if held_out.hidden.n_observed == 0:
        (name, remedy), (n_samples, n_features) = names, observations.shape
        raise ValueError(
            f"{name} cannot hide any entry of X (n_samples={n_samples}, n_features={n_features}): "
            f"each of the {observations.n_observed} entries is the only one of its row or column. "
            f"Use {remedy}."
        )
    return held_out


def n_enough(n_hidden, enough=ENOUGH_HIDDEN):
    """Return how many hold-outs are enough for a choice, if each hides this number of entries."""
    return int(np.ceil(enough / n_hidden))


def hidden_loss(held_out: HeldOut, problem: Problem, factors, loss):
    """Return the loss of the hidden entries.

    Parameters
    ----------
    held_out : HeldOut
        Hidden single entries, or a block in rows of which other columns are known.
    problem : Problem
        The problem with the visible entries.
    factors : tuple of two ndarrays
        Fitted factors; the first is None if the rows have no codes yet.
    loss : BaseLoss
        Loss of an entry.

    Returns
    -------
    loss : float
        Sum over the hidden entries.
    """
    W, Ht = factors
    if held_out.known is not None:
        W = replace(problem, observations=held_out.known).fold_in(Ht[~held_out.columns])
        Ht = Ht[held_out.columns]
    return held_out.hidden.total_loss(*problem.model_factors(W, Ht), loss)


class HiddenGroups:
    """Hidden entries of a path in groups, whose errors give a standard error.

    Parameters
    ----------
    held_out : HeldOut
        Hidden single entries, or a block in rows of which other columns are known.
    n_groups : int, default=1
        Number of groups of entries, or of rows of the block; fewer if there are fewer.

    Attributes
    ----------
    weights : ndarray of shape (n_groups,)
        Total weight of the entries in each group.
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
        """Return the mean squared error of each group, on the scale of the data.

        Parameters
        ----------
        problem : Problem
            The problem with the visible entries.
        factors : tuple of two ndarrays
            Its fitted factors.
        loss : BaseLoss
            Loss of the data, in the unit of the problem.

        Returns
        -------
        errors : ndarray of shape (n_groups,)
            The weighted errors.
        """
        # The zeros of a block are handled by Gram matrices, single entries in double precision.
        error = loss if loss.is_squared and self._is_block else SquaredErrorOfMean(loss)
        totals = [hidden_loss(group, problem, factors, error) for group in self._groups]
        return 2 * np.array(totals) / self.weights


def total_weight(observations: ObservedMatrix):
    """Return the total weight of all entries of some observations."""
    totals = observations.row_totals()
    if observations.row_weight is None:
        return float(totals.sum(dtype=np.float64))
    return float(totals @ observations.row_weight.astype(np.float64))
