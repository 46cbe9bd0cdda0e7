"""Names of losses, penalties and solvers, which stand for default objects."""

from sklearn_mf.utils._hints import did_you_mean


class Registry(dict):
    """Classes, by their attribute ``name``.

    Parameters
    ----------
    kind : str
        Name of the parameter that accepts the names, for messages.
    """

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def register(self, cls):
        """Register a class under its ``name``; a class decorator."""
        self[cls.name] = cls
        return cls

    def resolve(self, name_or_object):
        """Return a new default object for a name; other values are returned unchanged."""
        if not isinstance(name_or_object, str):
            return name_or_object
        if name_or_object not in self:
            raise ValueError(
                f"{self.kind}={name_or_object!r} is unknown: use one of {sorted(self)}, "
                f"or an object.{did_you_mean(name_or_object, self)}"
            )
        return self[name_or_object]()
