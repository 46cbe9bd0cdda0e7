"""
Gradient descent and alternating least squares on a small matrix
================================================================

A matrix of four rows and two columns is written as the product of W, of four rows, and H,
of two columns. Gradient descent with a fixed step needs hundreds of iterations for it,
alternating least squares needs one.
"""

# %%
# The matrix
# ----------
#
# At rank 2 the product can be exact, so what remains of the objective is rounding error.
import numpy as np

A = np.array([[5.0, 3.0], [3.0, 2.0], [2.0, 1.0], [1.0, 1.0]])

# %%
# Two solvers, one start
# ----------------------
#
# Solvers are chosen by name, or handed over as an object where their own parameters matter.
# Both start from the same random H, with W zero. With `tol=0` they do all their
# iterations.
from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import GradientDescent

models = {
    "gradient descent": MatrixFactorization(
        n_components=2,
        solver=GradientDescent(learning_rate=0.01),
        init="random",
        max_iter=5000,
        tol=0,
        random_state=0,
    ),
    "alternating least squares": MatrixFactorization(
        n_components=2, solver="als", init="random", max_iter=40, tol=0, random_state=0
    ),
}

np.set_printoptions(precision=3, suppress=True)
for name, model in models.items():
    W = model.fit_transform(A)
    reconstruction = model.inverse_transform(W)
    error = np.mean((A - reconstruction) ** 2)
    print(f"{name}, {model.n_iter_} iterations: mean squared error {error:.1e}")
    print(f"W =\n{W}\nH =\n{model.components_}\nW H =\n{reconstruction}\n")

# %%
# For any invertible R, W R and the inverse of R times H are as good as W and H. Every fit ends in
# one form of them, the one of singular vectors, so the factors agree as well as their product does.
#
# The objective after every iteration
# -----------------------------------
#
# `loss_curve_` begins after the first iteration. At the start W is zero, and the objective
# half the sum of the squares of A. The dashed line is where rounding errors of the entries
# put it. H has full rank and as many rows as columns, so the first least-squares problem
# is solved without remainder; gradient descent first has to learn the direction in which A
# is small.
import matplotlib.pyplot as plt

start = 0.5 * np.sum(A**2)
rounding = start * np.finfo(float).eps ** 2

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, model), marker in zip(models.items(), ("", "."), strict=True):
    curve = [start, *model.loss_curve_]
    ax.plot(range(len(curve)), np.maximum(curve, rounding), marker=marker, label=name)
ax.axhline(rounding, color="gray", linestyle="--", label="rounding error")
ax.set(
    xscale="symlog",
    yscale="log",
    xlim=(0, 5000),
    xlabel="iteration",
    ylabel="objective",
    title="Loss curves, rank 2, fixed step 0.01",
)
ax.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
ax.legend()
plt.show()
