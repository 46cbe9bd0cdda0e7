"""Hints at the end of messages about wrong values."""

from difflib import get_close_matches


def did_you_mean(name, known):
    """Return a question that suggests the most similar name; empty if none is similar.

    Parameters
    ----------
    name : object
        The value passed by the user; only strings are compared.
    known : iterable
        The valid names.

    Returns
    -------
    hint : str
        The hint, beginning with a space.
    """
    spelled = {other.lower(): other for other in known if isinstance(other, str)}
    close = get_close_matches(name.lower(), spelled, n=1) if isinstance(name, str) else []
    return f" Did you mean {spelled[close[0]]!r}?" if close else ""


def class_for_object(value):
    """Return a hint for a class passed instead of an object; empty for other values.

    Parameters
    ----------
    value : object
        The value passed by the user.

    Returns
    -------
    hint : str
        The hint, beginning with a space.
    """
    if not isinstance(value, type):
        return ""
    return f" {value.__name__} is a class: pass an object, {value.__name__}()."


def number_for(value):
    """Return the number in a string, or the integer that equals a float; None otherwise.

    Parameters
    ----------
    value : object
        The value passed by the user.

    Returns
    -------
    number : int, float or None
        The number that was probably meant.
    """
    if not isinstance(value, str | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if number.is_integer():
        return int(number)
    return number if isinstance(value, str) else None


def names_meant(given, known):
    """Return a hint for column names that differ from those of the fit.

    Parameters
    ----------
    given : list of str
        Names of the columns of X.
    known : list of str
        Names of the columns in `fit`.

    Returns
    -------
    hint : str
        The hint, beginning with a space.
    """
    missing = [name for name in known if name not in given]
    if not missing:
        return " X has all of them: pass X[estimator.feature_names_in_]."
    others = [name for name in given if name not in known]
    pairs = ((name, get_close_matches(name, missing, n=1, cutoff=0.5)) for name in others)
    pairs = [(name, close[0]) for name, close in pairs if close]
    if not pairs:
        return " Pass the columns of the fit; unknown columns may be all NaN."
    return f" If {pairs[0][0]!r} is {pairs[0][1]!r}, rename it."
