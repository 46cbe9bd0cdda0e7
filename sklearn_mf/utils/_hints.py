"""What somebody may have meant who wrote something else: the ends of messages."""

from difflib import get_close_matches


def did_you_mean(name, known):
    """A question that names the likest of some names; nothing if none is like it.

    Parameters
    ----------
    name : object
        What was written; only strings are like anything.
    known : iterable
        What could have been.

    Returns
    -------
    hint : str
        It begins with a space, to follow a sentence.
    """
    spelled = {other.lower(): other for other in known if isinstance(other, str)}
    close = get_close_matches(name.lower(), spelled, n=1) if isinstance(name, str) else []
    return f" Did you mean {spelled[close[0]]!r}?" if close else ""


def class_for_object(value):
    """What to write where a class stands for an object of it; nothing for anything else.

    Parameters
    ----------
    value : object
        What was written.

    Returns
    -------
    hint : str
        It begins with a space, to follow a sentence.
    """
    if not isinstance(value, type):
        return ""
    return f" {value.__name__} is a class: write {value.__name__}() for an object of it."


def number_for(value):
    """The number that a string spells, or the integer that a float is equal to; None otherwise.

    Parameters
    ----------
    value : object
        What was written.

    Returns
    -------
    number : int, float or None
        What may be meant.
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
    """What to write where names of columns are not those of the fit.

    Parameters
    ----------
    given : list of str
        Names of the columns of X.
    known : list of str
        Names of the columns in `fit`.

    Returns
    -------
    hint : str
        It begins with a space, to follow a sentence.
    """
    missing = [name for name in known if name not in given]
    if not missing:
        return " X has all of them: pass X[estimator.feature_names_in_]."
    others = [name for name in given if name not in known]
    pairs = ((name, get_close_matches(name, missing, n=1, cutoff=0.5)) for name in others)
    pairs = [(name, close[0]) for name, close in pairs if close]
    if not pairs:
        return " Pass the columns of the fit; those that are not known may be all NaN."
    return f" If {pairs[0][0]!r} is {pairs[0][1]!r}, rename it."
