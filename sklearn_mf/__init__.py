"""Matrix factorization with missing entries, for scikit-learn."""

from sklearn_mf import (
    components,
    datasets,
    losses,
    metrics,
    model_selection,
    patches,
    penalties,
    plotting,
    recommending,
    solvers,
)
from sklearn_mf.estimators import (
    NMF,
    FactorizationImputer,
    ImplicitFactorization,
    MatrixFactorization,
    MiniBatchNMF,
    non_negative_factorization,
)
from sklearn_mf.model_selection import RankSearchCV, select_rank
from sklearn_mf.persistence import load_model, save_model
from sklearn_mf.recommending import TripletRegressor
from sklearn_mf.utils._show_versions import show_versions

__version__ = "0.1.0.dev0"

__all__ = [
    "NMF",
    "FactorizationImputer",
    "ImplicitFactorization",
    "MatrixFactorization",
    "MiniBatchNMF",
    "RankSearchCV",
    "TripletRegressor",
    "__version__",
    "components",
    "datasets",
    "load_model",
    "losses",
    "metrics",
    "model_selection",
    "non_negative_factorization",
    "patches",
    "penalties",
    "persistence",
    "plotting",
    "recommending",
    "save_model",
    "select_rank",
    "show_versions",
    "solvers",
]
