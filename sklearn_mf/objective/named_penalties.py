"""What the parameter ``penalty`` of an estimator says, beside those of elastic nets."""

from typing import NamedTuple

from sklearn_mf.penalties import BasePenalty
from sklearn_mf.penalties.declared import check_declared
from sklearn_mf.utils._validation import check_parameters


class NamedPenalties(NamedTuple):
    """Penalty objects in place of an elastic net, or None.

    Attributes
    ----------
    W, H : BasePenalty or None
        Of the rows of W, and of the columns of H.
    """

    W: BasePenalty | None = None
    H: BasePenalty | None = None


NONE = NamedPenalties()


def named_penalties(estimator):
    """The penalty objects that an estimator was given.

    Parameters
    ----------
    estimator : estimator
        With the parameters of MatrixFactorization.

    Returns
    -------
    penalties : NamedPenalties
        Two times None where it has no ``penalty``.

    Raises
    ------
    ValueError, TypeError
        If something is no penalty, or says what another parameter says, too.
    """
    given = getattr(estimator, "penalty", None)
    if given is None:
        return NONE
    named = given if isinstance(given, dict) else {"H": given}
    unknown = sorted(map(repr, set(named) - {"W", "H"}))
    if unknown or not named:
        raise ValueError(
            f"penalty={given!r} must be a penalty of H, or a dict with the keys 'W', 'H' or both"
            f"{', not ' + unknown[0] if unknown else ''}."
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
            f"{what}: {kind} compares samples with one another, but the codes of a sample depend "
            "on that sample alone. Use it for H."
        )
    if name == "H" and estimator.alpha_H != "same":
        raise ValueError(
            f"alpha_H={estimator.alpha_H!r} and penalty={penalty!r} both say how H is penalized. "
            "Use alpha_H='same': the penalty has a strength of its own."
        )
    if estimator.positive in (True, name) and not penalty.positive:
        raise ValueError(
            f"positive={estimator.positive!r}, but the penalty of {name}, {kind}, allows negative "
            f"numbers. Ask for it there, by {kind}(positive=True) if it knows such a parameter."
        )


def _check_strengths(estimator, named):
    """Of the factor, and the biases, that no penalty object names."""
    has_sample_bias = estimator.bias in ("samples", "both")
    alpha_H = estimator.alpha_W if estimator.alpha_H == "same" else estimator.alpha_H
    others = {"W": estimator.alpha_W, "H": alpha_H}
    left = {name: alpha for name, alpha in others.items() if name not in named}
    if "auto" in left.values() or (has_sample_bias and estimator.alpha_W == "auto"):
        raise ValueError(
            "alpha_W='auto' chooses among ridge penalties of both factors. Beside a penalty object "
            "alpha_W must be a number: the strength of what the object does not penalize."
        )
    if not left and estimator.l1_ratio:
        raise ValueError(
            f"l1_ratio={estimator.l1_ratio!r} has no meaning where penalty has objects for W and H."
        )
    for name, alpha in left.items():
        if alpha == 0 and not all(penalty.is_free for penalty in named.values()):
            raise ValueError(
                f"{name} has no penalty, but the other factor has: it would grow for ever, and the "
                f"other shrink to nothing. Raise {'alpha_W' if name == 'W' else 'alpha_H'}."
            )
