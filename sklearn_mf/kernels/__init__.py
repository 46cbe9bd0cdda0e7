"""The lowest layer: loops over observed entries. The implementation is chosen only here.

`IMPLEMENTATION` names the kernels in use: "compiled", or "reference" for the same functions in
NumPy. The environment variable ``SKLEARN_MF_KERNELS`` selects one of them.
"""

import os

from sklearn_mf.kernels import ranking, reference, reference_prior, reference_sums
from sklearn_mf.kernels.minimum_norm import pseudoinverses, symmetric_pseudoinverses
from sklearn_mf.kernels.reference import is_sound, least_squares_operator
from sklearn_mf.utils._warnings import warn

__all__ = [
    "IMPLEMENTATION",
    "add_equations",
    "dense_times_dense",
    "descend_prior_rows",
    "descend_rows",
    "is_sound",
    "least_squares_operator",
    "max_threads",
    "normal_equations",
    "offer_products",
    "pseudoinverses",
    "refine_prior_rows",
    "refine_rows",
    "score_rankings",
    "sgd_epoch",
    "solve_active_set_rows",
    "solve_dense_rows",
    "solve_prior_rows",
    "solve_rows",
    "solve_systems",
    "sort_rankings",
    "sparse_times_dense",
    "symmetric_pseudoinverses",
    "top_columns",
    "values_at",
]

_wanted = os.environ.get("SKLEARN_MF_KERNELS", "")
if _wanted not in ("", "compiled", "reference"):
    raise ImportError(f"SKLEARN_MF_KERNELS must be 'compiled' or 'reference', got {_wanted!r}.")

IMPLEMENTATION = "reference"
coordinates = products = refinement = rows = stochastic = reference
prior, sums = reference_prior, reference_sums
if _wanted != "reference":
    try:
        from sklearn_mf.kernels import _coordinates as coordinates
        from sklearn_mf.kernels import _prior as prior
        from sklearn_mf.kernels import _products as products
        from sklearn_mf.kernels import _ranking as compiled_ranking
        from sklearn_mf.kernels import _refinement as refinement
        from sklearn_mf.kernels import _rows as rows
        from sklearn_mf.kernels import _stochastic as stochastic
        from sklearn_mf.kernels import _sums as sums

        ranking = compiled_ranking
        IMPLEMENTATION = "compiled"
    except ImportError:
        if _wanted == "compiled":
            raise
        warn(
            "The compiled kernels of sklearn_mf are not installed, so slower ones in NumPy are "
            "used. Reinstall sklearn_mf with a C compiler.",
            RuntimeWarning,
        )
        # Compiled and reference kernels are never mixed.
        coordinates = products = refinement = rows = stochastic = reference
        prior, sums = reference_prior, reference_sums

descend_rows = coordinates.descend_rows
solve_active_set_rows = coordinates.solve_active_set_rows
normal_equations = rows.normal_equations
add_equations = sums.add_equations
solve_systems = sums.solve_systems
solve_rows = rows.solve_rows
solve_dense_rows = rows.solve_dense_rows
solve_prior_rows = prior.solve_prior_rows
refine_prior_rows = prior.refine_prior_rows
descend_prior_rows = prior.descend_prior_rows
refine_rows = refinement.refine_rows
values_at = products.values_at
sparse_times_dense = products.sparse_times_dense
dense_times_dense = products.dense_times_dense
max_threads = products.max_threads
score_rankings = ranking.score_rankings
top_columns = ranking.top_columns
offer_products = ranking.offer_products
sort_rankings = ranking.sort_rankings
sgd_epoch = stochastic.sgd_epoch
