"""The parameter ``penalty`` of an estimator, and its relation to the elastic net parameters."""

from typing import NamedTuple

from sklearn_mf.penalties import BasePenalty
from sklearn_mf.penalties.declared import check_declared
from sklearn_mf.utils._validation import check_parameters


class NamedPenalties(NamedTuple):
    """Penalty objects that replace an elastic net, or None.

    Attributes
    ----------
    W, H : BasePenalty or None
        Penalties on the rows of W, and on the columns of H.
    """

    W: BasePenalty | None = None
    H: BasePenalty | None = None


NONE = NamedPenalties()


def named_penalties(estimator):
    """Return the penalty objects of an estimator.

    Parameters
    ----------
    estimator : estimator
        An estimator with the parameters of MatrixFactorization.

    Returns
    -------
    penalties : NamedPenalties
        The penalties; both are None if the estimator has no ``penalty``.

    Raises
    ------
    ValueError, TypeError
        If an object is not a penalty, or contradicts another parameter.
    """
    given = getattr(estimator, "penalty", None)
    if given is None:
        return NONE
    named = given if isinstance(given, dict) else {"H": given}
    unknown = sorted(map(repr, set(named) - {"W", "H"}))
    if unknown or not named:
        raise ValueError(
            f"penalty={given!r} must be a penalty on H, or a dict with the keys 'W', 'H' or both"
            f"{', but contains the key ' + unknown[0] if unknown else ''}."
        )
    for name, penalty in named.items():
        _check(estimator, name, penalty, f"penalty of {name}")
    _check_strengths(estimator, named)
    return NamedPenalties(**named)


def _check(estimator, name, penalty, what):
    check_declared(penalty, what)
    check_parameters(penalty)
    kind = type(penalty).__name__
    if name == "W" and not penalty.is_rowwise:
        raise ValueError(
            f"{what}: {kind} compares samples with one another, but the codes of a sample must "
            "depend on this sample only. Use it for H."
        )
    if name == "H" and estimator.alpha_H != "same":
        raise ValueError(
            f"alpha_H={estimator.alpha_H!r} and penalty={penalty!r} both penalize H. Use "
            "alpha_H='same': the penalty has its own strength."
        )
    if estimator.positive in (True, name) and not penalty.positive:
        raise ValueError(
            f"positive={estimator.positive!r}, but the penalty on {name}, {kind}, allows negative "
            f"numbers. Use {kind}(positive=True) if it has this parameter."
        )


def _check_strengths(estimator, named):
    """Check the strengths for the factor and the biases without a penalty object."""
    has_sample_bias = estimator.bias in ("samples", "both")
    alpha_H = estimator.alpha_W if estimator.alpha_H == "same" else estimator.alpha_H
    others = {"W": estimator.alpha_W, "H": alpha_H}
    left = {name: alpha for name, alpha in others.items() if name not in named}
    if "auto" in left.values() or (has_sample_bias and estimator.alpha_W == "auto"):
        raise ValueError(
            "alpha_W='auto' chooses the strength of ridge penalties on both factors. With a "
            "penalty object, alpha_W must be a number: the strength for everything not penalized "
            "by the object."
        )
    if not left and estimator.l1_ratio:
        raise ValueError(
            f"l1_ratio={estimator.l1_ratio!r} has no effect if penalty has objects for W and H: "
            "use l1_ratio=0."
        )
    for name, alpha in left.items():
        if alpha == 0 and not all(penalty.is_free for penalty in named.values()):
            raise ValueError(
                f"{name} has no penalty, but the other factor has one: {name} would grow without "
                "bound while the other shrinks. Increase "
                f"{'alpha_W' if name == 'W' else 'alpha_H'}."
            )
