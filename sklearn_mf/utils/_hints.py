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
