"""Small symmetric linear systems, one for each row of a factor or one for all rows.

If the other factor is fixed, each row of a factor is a penalized regression. `RowSystems` are the
normal equations of these regressions, and the only place where such systems are solved, improved by
descent, inverted, sampled and added. If only the solution is needed, fused kernels compute it
without forming the systems.
"""

from sklearn_mf.systems.active_set import solve_active_set
from sklearn_mf.systems.blocks import descend_blocks
from sklearn_mf.systems.descent import Descent, descend
from sklearn_mf.systems.minimum_norm import solve
from sklearn_mf.systems.packed import PackedSystems
from sklearn_mf.systems.penalty import RowPenalty
from sklearn_mf.systems.prior import RowPrior, SharedBasis
from sklearn_mf.systems.proximal import descend_proximally
from sklearn_mf.systems.row_systems import RowSystems, roots
from sklearn_mf.systems.shortest import shortest_rows

__all__ = [
    "Descent",
    "PackedSystems",
    "RowPenalty",
    "RowPrior",
    "RowSystems",
    "SharedBasis",
    "descend",
    "descend_blocks",
    "descend_proximally",
    "roots",
    "shortest_rows",
    "solve",
    "solve_active_set",
]
