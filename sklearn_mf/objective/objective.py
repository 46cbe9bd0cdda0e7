"""The objective, independent of the data: with observations, an `Objective` gives a `Problem`."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from sklearn_mf.losses import BaseLoss
from sklearn_mf.objective.named_penalties import NONE, NamedPenalties, named_penalties
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.penalties import ElasticNet


class Strength(NamedTuple):
    """Strengths of the penalties on components and on biases, which have different units.

    The third field is the fraction of the L1 penalty, or None for the value of `l1_ratio`.
    """

    components: float
    biases: float
    l1_ratio: float | None = None

    @classmethod
    def of_share(cls, share, unit, l1_ratio):
        """Return a relative strength, given in some unit, in the unit of the data."""
        if unit.size == 1:
            return cls(share, share)
        l1 = share * l1_ratio * unit.size ** (unit.degree - 0.5)
        ridge = share * (1 - l1_ratio) * unit.size ** (unit.degree - 1)
        return cls(l1 + ridge, share, l1 / (l1 + ridge) if share else l1_ratio)


# A placeholder for penalties whose strength has not been chosen yet.
UNKNOWN = Strength(1.0, 1.0)
NOTHING = Strength(0.0, 0.0)


@dataclass(frozen=True)
class Objective:
    """A loss, penalties and biases, as given by the parameters of estimators.

    Attributes
    ----------
    loss : BaseLoss
        Loss of an entry.
    bias : {False, "features", "samples", "both"}
        Offsets that are added to the product of the factors.
    positive : {False, True, "W", "H"}
        Factors that must be non-negative.
    strength : Strength
        Strength of the penalty on W.
    alpha_H : float or "same"
        Strength of the penalty on H.
    l1_ratio : float
        Fraction of the L1 penalty.
    alpha_scaling : float
        Exponent of the number of observed entries that multiplies the penalty of each row.
    penalties : NamedPenalties
        Penalty objects that replace the elastic nets of the parameters above.
    """

    loss: BaseLoss
    bias: bool | str = False
    positive: bool | str = False
    strength: Strength = UNKNOWN
    alpha_H: float | str = "same"
    l1_ratio: float = 0.0
    alpha_scaling: float = 1.0
    penalties: NamedPenalties = NONE

    @classmethod
    def of(cls, estimator, loss):
        """Return the objective of an estimator with the parameters of MatrixFactorization.

        Parameters
        ----------
        estimator : estimator
            An estimator with valid parameters. If ``alpha_W`` is "auto", the strength is `UNKNOWN`.
        loss : BaseLoss
            Its loss, with columns resolved.

        Returns
        -------
        objective : Objective
            The objective with this loss.
        """
        alpha = estimator.alpha_W
        return cls(
            loss,
            estimator.bias,
            estimator.positive,
            UNKNOWN if alpha == "auto" else Strength(alpha, alpha),
            estimator.alpha_H,
            estimator.l1_ratio,
            estimator.alpha_scaling,
            named_penalties(estimator),
        )

    @property
    def has_sample_bias(self):
        """Whether samples have biases."""
        return self.bias in ("samples", "both")

    def at(self, strength):
        """Return the objective with another strength, a `Strength` or a tuple like it."""
        return replace(self, strength=Strength(*strength))

    def problem(self, observations: ObservedMatrix, n_components):
        """Return the problem for these data and this rank."""
        alpha_W, bias_W, l1_ratio = self.strength
        l1_ratio = self.l1_ratio if l1_ratio is None else l1_ratio
        same = self.alpha_H == "same"
        alpha_H, bias_H = (alpha_W, bias_W) if same else (self.alpha_H, self.alpha_H)
        sides = {
            name: getattr(self.penalties, name)
            or ElasticNet(alpha, l1_ratio, positive=self.positive in (True, name))
            for name, alpha in (("W", alpha_W), ("H", alpha_H))
        }
        # A feature bias alone is not penalized. With a sample bias, both are.
        shared = self.bias == "both"
        return Problem(
            observations,
            self.loss,
            rows=Side(sides["W"], self.has_sample_bias, bias_ridge=bias_W),
            columns=Side(sides["H"], shared or self.bias == "features", bias_ridge=shared * bias_H),
            n_components=n_components,
            alpha_scaling=self.alpha_scaling,
        )
