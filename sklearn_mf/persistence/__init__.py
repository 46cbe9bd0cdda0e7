"""Model files that contain data only, so that loading them cannot run any code."""

from sklearn_mf.persistence._files import load_model, save_model
from sklearn_mf.persistence._types import trusted_types

__all__ = ["load_model", "save_model", "trusted_types"]
