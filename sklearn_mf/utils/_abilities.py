"""Checks of optional methods and properties, which the base class only describes."""


def defines(thing, name, base):
    """Return whether an object overrides a method that its base class only describes.

    Parameters
    ----------
    thing : object
        An object of a subclass of the base.
    name : str
        Name of the method.
    base : type
        The class that describes the method.

    Returns
    -------
    defines : bool
        Whether a subclass, or the object, defines the method.
    """
    found = getattr(thing, name, None)
    return found is not None and getattr(found, "__func__", found) is not vars(base).get(name)


def has_ability(thing, name, base):
    """Return whether an object defines a method, or has an attribute that is true.

    Parameters
    ----------
    thing : object
        An object of a subclass of the base.
    name : str
        Name of the method or attribute.
    base : type
        The class that describes it.

    Returns
    -------
    has_ability : bool
        Whether it has the ability. False for a method that the base only describes.
    """
    found = getattr(thing, name, None)
    return defines(thing, name, base) if callable(found) else bool(found)
