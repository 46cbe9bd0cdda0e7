"""What holds for one side of a problem, samples or features."""

from dataclasses import dataclass

import numpy as np

from sklearn_mf.penalties import BasePenalty
from sklearn_mf.penalties.declared import check_declared


@dataclass(frozen=True)
class Side:
    """What holds for one side, samples or features.

    Attributes
    ----------
    penalty : BasePenalty
        Of the rows of this side's factor.
    has_bias : bool
        Whether the last column of the factor is a bias.
    bias_ridge : float
        Strength of the bias's own penalty, half its square; 0.0 for a free one.
    penalty_scale : ndarray of shape (n_rows,) or None
        What the penalty of each row is multiplied with; None for a power of its number of
        entries.
    """

    penalty: BasePenalty
    has_bias: bool = False
    bias_ridge: float = 0.0
    penalty_scale: np.ndarray | None = None

    def __post_init__(self):
        check_declared(self.penalty)
