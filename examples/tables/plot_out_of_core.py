"""
A table that is never in memory
===============================

Rows of codes depend on their own rows of data and on the components, and components depend on the
rows through sums alone. So a fit can read a table in blocks of rows, a few at a time, and end where
a fit to the whole table would. See the page of the user guide on data
:ref:`larger than memory <larger_than_memory>`.
"""

# %%
# A file in blocks
# ----------------
#
# The table is written block by block, too. A third of it is missing.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sklearn_mf import MatrixFactorization
from sklearn_mf.blocks import from_npy

n_samples, n_features, n_components, rows_per_block = 10_000, 60, 5, 1_000
rng = np.random.default_rng(0)
H = rng.standard_normal((n_components, n_features))
folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "table.npy")
table = np.lib.format.open_memmap(path, "w+", np.float32, (n_samples, n_features))
for start in range(0, n_samples, rows_per_block):
    rows = rng.standard_normal((rows_per_block, n_components)) @ H
    rows += rng.standard_normal(rows.shape)
    rows[rng.random(rows.shape) < 1 / 3] = np.nan
    table[start : start + rows_per_block] = rows
table.flush()
X = from_npy(path, rows_per_block)
print(X)

# %%
# The fit
# -------
#
# Each sweep of alternating least squares reads the file once. A few reads more are for sums of
# rows and columns, the start, and the codes and their error.
model = MatrixFactorization(
    n_components, alpha_W=0.01, solver="als", init="random", tol=1e-6, random_state=0
).fit(X)
print(f"{model.n_iter_} sweeps, the file was read {X.n_reads / X.n_blocks:.0f} times")

# %%
# A fit to the whole table, which fits into memory here, ends at the same components.
in_memory = MatrixFactorization(**model.get_params()).fit(np.load(path))
difference = np.abs(model.components_ - in_memory.components_).max()
print(f"largest difference of a component: {difference:.1g}")

# %%
# Codes to a file
# ---------------
#
# `transform` of all blocks returns an array. Where even that is too large, the codes of one block
# after the other go to a file.
codes = np.lib.format.open_memmap(
    Path(folder.name, "codes.npy"), "w+", np.float32, (n_samples, n_components)
)
for number in range(X.n_blocks):
    codes[X.starts[number] : X.starts[number + 1]] = model.transform(X.read(number))

# %%
# The curve of the objective is that of memory, and the codes are uncorrelated.
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
sweeps = np.arange(1, model.n_iter_ + 1)
left.plot(sweeps, in_memory.loss_curve_, color="0.7", linewidth=5, label="in memory")
left.plot(sweeps, model.loss_curve_, color="#0072b2", label="in blocks")
left.set(xlabel="Sweep", ylabel="Objective", yscale="log")
left.legend()
right.plot(codes[::10, 0], codes[::10, 1], ".", color="#0072b2", markersize=3)
right.set(xlabel="First code", ylabel="Second code")
plt.show()

# %%
# The files were for this example alone.
del table, codes, X
folder.cleanup()
