"""Objects that come in pairs, each the other seen from its own side."""

import weakref


class twin:
    """A cached property whose value has this object for its own: ``one.T.T is one``.

    The way back is a weak reference. Two strong ones would be a circle, and what both refer to,
    the data, would stay in memory until Python looks for circles. What is pickled or copied comes
    alone.

    Parameters
    ----------
    make : callable
        Makes the other one.
    """

    def __init__(self, make):
        self.make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner, name):
        owner.__getstate__ = _alone

    def __get__(self, one, kind=None):
        """The other one."""
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
    """All of an object but its twin."""
    return {name: value for name, value in vars(one).items() if name != "_twin"}
