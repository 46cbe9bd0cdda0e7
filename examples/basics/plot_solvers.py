"""
Which solver?
=============

All solvers of :class:`~sklearn_mf.MatrixFactorization` minimise the same objective, and codes
mean the same whichever found the components. What differs is the way there. Half of the
pixels of the handwritten digits are hidden; every solver starts at the same singular vectors
and is watched, against iterations and against seconds.
"""

# %%
# Half of the pixels are hidden
# -----------------------------
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

digits = load_digits().data[:1000]
hidden = np.random.RandomState(0).uniform(size=digits.shape) < 0.5
X = np.where(hidden, np.nan, digits)

# %%
# Nine ways down
# --------------
#
# Each solver may take 200 iterations, and stops before that when its iterations change little.
# A pass over all entries is one iteration of the stochastic ones.
from sklearn_mf import MatrixFactorization
from sklearn_mf.solvers import ALS, LBFGS, SGD, Adam, GradientDescent

solvers = {
    "ALS": ALS(),
    "L-BFGS, W solved out": LBFGS(),
    "L-BFGS on both factors": LBFGS(projected=False),
    "Adam": Adam(),
    "Adam, batches of 200 rows": Adam(batch_size=200),
    "gradient descent": GradientDescent(),
    "with momentum that restarts": GradientDescent(momentum="auto"),
    "preconditioned": GradientDescent(preconditioned=True),
    "SGD": SGD(schedule="adaptive"),
}

warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations are not enough for all
fitted = {}
for name, solver in solvers.items():
    model = MatrixFactorization(
        n_components=10,
        bias="features",
        alpha_W=0.1,
        solver=solver,
        init="svd",
        tol=1e-6,
        max_iter=200,
        random_state=0,
    )
    fitted[name] = model.fit(X)
    print(
        f"{name:28} {model.n_iter_:4d} iterations, {model.loss_curve_seconds_[-1]:5.2f} s, "
        f"objective {model.loss_curve_[-1]:.0f}"
    )

# %%
# The objective above the lowest
# ------------------------------
#
# The curves show by what share the objective is above the lowest that any solver found. Read
# the left chart for how much an iteration achieves, the right one for how much a second does.
# Alternating least squares and L-BFGS with W solved out need few iterations, each with an exact
# solution for every row; preconditioned steps need few too. Plain gradient descent is there for
# the textbook.
import matplotlib.pyplot as plt

from sklearn_mf.plotting import LossCurveDisplay

lowest = min(min(model.loss_curve_) for model in fitted.values())
palette = [
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "0.3",
    "0.6",
    "#b8a000",
]
figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, layout="constrained")
for number, (name, model) in enumerate(fitted.items()):
    style = {"color": palette[number], "linestyle": ("-", "--", ":")[number % 3], "lw": 1.8}
    for ax, x in zip(axes, ("iterations", "seconds"), strict=True):
        display = LossCurveDisplay.from_estimator(model, x=x, name=name, ax=ax, curve_kwargs=style)
        display.line_.set_ydata(np.array(model.loss_curve_) / lowest - 1)
        ax.set(xscale="log", yscale="log", ylim=(1e-6, 3))
        ax.set_ylabel("Objective, as a share above the lowest")
        ax.get_legend().remove()
axes[1].set_ylabel("")


def when_near(model, curve):
    """Where a curve is when the objective is within 0.1 % of the lowest; infinity if never."""
    near = np.array(model.loss_curve_) < 1.001 * lowest
    return np.array(curve)[near.argmax()] if near.any() else np.inf


times = {name: when_near(model, model.loss_curve_seconds_) for name, model in fitted.items()}
fastest = min(times, key=times.get)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")
figure.suptitle(
    f"{fastest} is within 0.1 % of the lowest objective first, after "
    f"{when_near(fitted[fastest], range(1, 201))} iterations"
)
plt.show()

# %%
# The same model, whichever solver
# --------------------------------
#
# What was hidden is predicted about equally well by all of them: the objective decides, not the
# solver. Errors are root mean squares, in levels of grey from 0 to 16.
for name, model in fitted.items():
    restored = model.inverse_transform(model.transform(X))
    error = np.sqrt(np.mean((restored - digits)[hidden] ** 2))
    print(f"{name:28} error of hidden pixels {error:.3f}")
