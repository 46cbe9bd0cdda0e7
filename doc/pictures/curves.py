"""The objective of three solvers, iteration by iteration, on the same data."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_mf import MatrixFactorization

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 60))
X += 0.5 * rng.standard_normal(X.shape)
X[rng.random(X.shape) < 0.4] = np.nan

fig, ax = plt.subplots(figsize=(6.5, 3.5))
curves = {}
with warnings.catch_warnings():
    # Gradient descent is not expected to arrive.
    warnings.simplefilter("ignore", ConvergenceWarning)
    for solver, iterations in {"gd": 3000, "adam": 3000, "als": 60}.items():
        model = MatrixFactorization(
            5,
            solver=solver,
            init="random",
            alpha_W=0.01,
            max_iter=iterations,
            tol=0,
            random_state=0,
        )
        curves[solver] = np.array(model.fit(X).loss_curve_)
lowest = min(curve.min() for curve in curves.values())
names = {"gd": "gradient descent", "adam": "Adam", "als": "alternating least squares"}
for (solver, curve), style in zip(curves.items(), ["-", "--", ":"], strict=True):
    excess = curve / lowest - 1
    ax.loglog(
        np.arange(1, len(curve) + 1), np.maximum(excess, 1e-8), style, label=names[solver], lw=2
    )
ax.set(
    xlabel="iteration",
    ylabel="objective above the lowest, as a share",
    ylim=(1e-6, None),
    title="Alternating least squares needs the fewest iterations",
)
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
