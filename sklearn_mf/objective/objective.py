"""What is minimised, whatever the data: put to observations, an `Objective` is a `Problem`."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from sklearn_mf.losses import BaseLoss
from sklearn_mf.objective.named_penalties import NONE, NamedPenalties, named_penalties
from sklearn_mf.objective.problem import Problem, Side
from sklearn_mf.observations import ObservedMatrix
from sklearn_mf.penalties import ElasticNet


class Strength(NamedTuple):
    """How strong penalties are: those of components, and those of biases, which have no unit.

    With the share of the first that falls on absolute values, or None for what `l1_ratio` says.
    """

    components: float
    biases: float
    l1_ratio: float | None = None

    @classmethod
    def of_share(cls, share, unit, l1_ratio):
        """The strength that is a share in some unit, in the unit of the data."""
        if unit.size == 1:
            return cls(share, share)
        l1 = share * l1_ratio * unit.size ** (unit.degree - 0.5)
        ridge = share * (1 - l1_ratio) * unit.size ** (unit.degree - 1)
        return cls(l1 + ridge, share, l1 / (l1 + ridge) if share else l1_ratio)


# Of penalties whose strength is yet to be chosen: there are some.
UNKNOWN = Strength(1.0, 1.0)
NOTHING = Strength(0.0, 0.0)


@dataclass(frozen=True)
class Objective:
    """A loss, penalties and biases, in the words of the parameters of estimators.

    Attributes
    ----------
    loss : BaseLoss
        Cost of an entry.
    bias : {False, "features", "samples", "both"}
        Offsets beside the product.
    positive : {False, True, "W", "H"}
        Which factors may not be negative.
    strength : Strength
        Of the penalty of W.
    alpha_H : float or "same"
        Strength of the penalty of H.
    l1_ratio : float
        Share of the penalties that falls on absolute values.
    alpha_scaling : float
        Power of the number of observed entries that multiplies each row's penalty.
    penalties : NamedPenalties
        What stands in place of the elastic nets that the numbers above mean.
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
        """That of an estimator with the parameters of MatrixFactorization.

        Parameters
        ----------
        estimator : estimator
            Its parameters are valid. An ``alpha_W`` of "auto" is `UNKNOWN`.
        loss : BaseLoss
            Its loss, columns resolved.

        Returns
        -------
        objective : Objective
            Of the loss.
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
        """Whether samples have a bias of their own."""
        return self.bias in ("samples", "both")

    def at(self, strength):
        """The same under penalties of another strength, a `Strength` or a tuple like it."""
        return replace(self, strength=Strength(*strength))

    def problem(self, observations: ObservedMatrix, n_components):
        """What is to be minimised for these data, at this rank."""
        alpha_W, bias_W, l1_ratio = self.strength
        l1_ratio = self.l1_ratio if l1_ratio is None else l1_ratio
        same = self.alpha_H == "same"
        alpha_H, bias_H = (alpha_W, bias_W) if same else (self.alpha_H, self.alpha_H)
        sides = {
            name: getattr(self.penalties, name)
            or ElasticNet(alpha, l1_ratio, positive=self.positive in (True, name))
            for name, alpha in (("W", alpha_W), ("H", alpha_H))
        }
        # Alone, the feature bias is free; beside a sample bias it must share.
        shared = self.bias == "both"
        return Problem(
            observations,
            self.loss,
            rows=Side(sides["W"], self.has_sample_bias, bias_ridge=bias_W),
            columns=Side(sides["H"], shared or self.bias == "features", bias_ridge=shared * bias_H),
            n_components=n_components,
            alpha_scaling=self.alpha_scaling,
        )
