"""Models as files that hold data alone: nothing in them can be run."""

from sklearn_mf.persistence._files import load_model, save_model
from sklearn_mf.persistence._types import trusted_types

__all__ = ["load_model", "save_model", "trusted_types"]
