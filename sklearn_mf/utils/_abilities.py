"""What an object can do beyond its base class, asked before it is relied upon."""


def defines(thing, name, base):
    """Whether an object has a method of its own where its base has only a description.

    Parameters
    ----------
    thing : object
        Of a subclass of the base.
    name : str
        Of the method.
    base : type
        Where the method is described.

    Returns
    -------
    defines : bool
        Whether a subclass, or the object, has defined it.
    """
    found = getattr(thing, name, None)
    return found is not None and getattr(found, "__func__", found) is not vars(base).get(name)


def has_ability(thing, name, base):
    """Whether an object defines a method, or has an attribute that is true.

    Parameters
    ----------
    thing : object
        Of a subclass of the base.
    name : str
        Of the method or attribute.
    base : type
        Where it is described.

    Returns
    -------
    has_ability : bool
        False for a method that the base only describes.
    """
    found = getattr(thing, name, None)
    return defines(thing, name, base) if callable(found) else bool(found)
