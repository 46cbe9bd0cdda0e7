"""The properties of one side of a problem, samples or features."""

from dataclasses import dataclass

import numpy as np

from sklearn_mf.penalties import BasePenalty
from sklearn_mf.penalties.declared import check_declared


@dataclass(frozen=True)
class Side:
    """The properties of one side of a problem, samples or features.

    Attributes
    ----------
    penalty : BasePenalty
        Penalty on the rows of the factor of this side.
    has_bias : bool
        Whether the last column of the factor is a bias.
    bias_ridge : float
        Strength of the L2 penalty on the bias; 0.0 for an unpenalized one.
    penalty_scale : ndarray of shape (n_rows,) or None
        Number that multiplies the penalty of each row. None uses a power of its number of entries.
    """

    penalty: BasePenalty
    has_bias: bool = False
    bias_ridge: float = 0.0
    penalty_scale: np.ndarray | None = None

    def __post_init__(self):
        check_declared(self.penalty)
