"""Pairs of objects, such as a matrix and its transpose, that refer to each other."""

import weakref


class twin:
    """A cached property whose value refers back to this object: ``one.T.T is one``.

    The reference back is weak. Two strong references would be a cycle, and the data would stay in
    memory until Python collects cycles. A pickle or copy contains one object only.

    Parameters
    ----------
    make : callable
        A function that creates the other object.
    """

    def __init__(self, make):
        self.make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner, name):
        owner.__getstate__ = _alone

    def __get__(self, one, kind=None):
        """Return the other object."""
        if one is None:
            return self
        other = vars(one).get("_twin")
        if isinstance(other, weakref.ref):
            other = other()
        if other is None:
            other = self.make(one)
            vars(other)["_twin"] = weakref.ref(one)
            vars(one)["_twin"] = other
        return other


def _alone(one):
    """Return the attributes of an object without the other one."""
    return {name: value for name, value in vars(one).items() if name != "_twin"}
