"""
From the update rule to a fit
=============================

A matrix A of four rows and three columns is to become a product of W, of four rows, and H, of
three columns. The textbook rule takes small steps downhill in both factors. This example starts
with the rule in four lines, shows what its step size does, hides an entry, and ends with the
solvers of :class:`~sklearn_mf.MatrixFactorization`.
"""

# %%
# The rule
# --------
#
# Half of the sum of squares of W H - A has the gradient (W H - A) Hᵀ in W, and
# Wᵀ (W H - A) in H. Each factor takes a step against its gradient:
#
# W ← W - η ∇W, H ← H - η ∇H.
import numpy as np

A = np.array([[5.0, 3.0, 1.0], [4.0, 2.0, 1.0], [1.0, 1.0, 5.0], [1.0, 2.0, 4.0]])
# H starts at random, W as the best one for this H.
H_start = np.random.default_rng(4).normal(size=(2, 3))
W_start = A @ np.linalg.pinv(H_start)


def descend(A, W, H, eta, n_steps):
    """Factors and the objective after every step; missing entries have no residual."""
    known, curve = ~np.isnan(A), []
    for _ in range(n_steps):
        residual = np.where(known, W @ H - A, 0)
        W, H = W - eta * residual @ H.T, H - eta * W.T @ residual
        curve.append(0.5 * np.sum((W @ H - A)[known] ** 2))
    return W, H, curve


W, H, _ = descend(A, W_start, H_start, eta=0.02, n_steps=500)
np.set_printoptions(precision=2, suppress=True)
print("A =", A, "W H =", W @ H, sep="\n")

# %%
# The step
# --------
#
# Where steps are too small, hundreds of them do not arrive; where they are too large, they
# overshoot, and the objective grows without bounds. No rank-2 product is exactly A: the best
# leaves half of the square of its third singular value.
best = 0.5 * np.linalg.svd(A, compute_uv=False)[2] ** 2
steps = {0.002: "#e69f00", 0.02: "#0072b2", 0.2: "#cc79a7"}
with np.errstate(over="ignore", invalid="ignore"):  # of steps that are too large
    rule = {eta: descend(A, W_start, H_start, eta, 300)[2] for eta in steps}
for eta, curve in rule.items():
    print(f"step {eta}: objective {curve[-1]:.2e} after 300 steps, the best is {best:.2e}")

# %%
# The solvers
# -----------
#
# ``solver=GradientDescent(learning_rate=0.02)`` takes the very steps of the rule. By default
# gradient descent finds its step by itself. Alternating least squares goes to the exact minimum
# in W, then in H, and needs no step at all.
from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import GradientDescent

solvers = {
    "GradientDescent(learning_rate=0.02)": GradientDescent(learning_rate=0.02),
    'solver="gd", which finds its step': "gd",
    'solver="als"': "als",
}
models = {
    name: MatrixFactorization(2, solver=solver, init=H_start, alpha_W=0, tol=0, max_iter=300).fit(A)
    for name, solver in solvers.items()
}
same = models["GradientDescent(learning_rate=0.02)"].loss_curve_
difference = np.max(np.abs(np.array(same) / rule[0.02] - 1))
print(f"The rule and the solver with its step differ by a share of {difference:.0e} at most.")

# %%
# All of them
# -----------
import matplotlib.pyplot as plt

within = {
    name: next(i for i, loss in enumerate(model.loss_curve_, 1) if loss < 1.01 * best)
    for name, model in models.items()
}
figure, ax = plt.subplots(figsize=(9.5, 4.5), layout="constrained")
for (eta, color), curve in zip(steps.items(), rule.values(), strict=True):
    ax.plot(range(1, 301), np.array(curve) / best, color=color, lw=2, label=f"rule, η = {eta}")
for (name, model), style in zip(models.items(), ("k:", "k--", "k-"), strict=True):
    ax.plot(range(1, model.n_iter_ + 1), np.array(model.loss_curve_) / best, style, label=name)
ax.set(xscale="log", yscale="log", ylim=(0.8, 1e3), xlabel="Iteration")
ax.set_ylabel("Objective, as a multiple of the best")
by_rule, _, by_als = within.values()
ax.set_title(f"Within 1 % of the best: ALS after {by_als} iterations,\nthe rule after {by_rule}")
figure.legend(loc="outside right upper", frameon=False)
plt.show()

# %%
# A missing entry
# ---------------
#
# Nothing else has to change where an entry of A is missing: it has no residual. At rank 1, three
# of four rows tell what the fourth lacks. Here A is of rank 1 but for noise, and one entry is
# taken away.
rng = np.random.default_rng(1)
A = np.outer([1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 1.0]) + 0.1 * rng.normal(size=(4, 3))
holed = A.copy()
holed[3, 0] = np.nan

W, H, _ = descend(holed, np.ones((4, 1)), np.ones((1, 3)), eta=0.01, n_steps=1000)
model = MatrixFactorization(1, alpha_W=0).fit(holed)
found = model.inverse_transform(model.transform(holed))[3, 0]
print(f"hidden: {A[3, 0]:.2f}, by the rule: {(W @ H)[3, 0]:.2f}, by the estimator: {found:.2f}")
