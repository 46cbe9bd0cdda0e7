"""
Which imputer for my table?
===========================

Nobody knows the values that are missing, so nobody can tell how well they were filled. But some of
the others can be hidden, filled, and compared with what they were. That is what
:func:`~sklearn_mf.model_selection.cross_val_entries` does, with imputers of scikit-learn as well
as with :class:`~sklearn_mf.FactorizationImputer`: every observed entry is hidden once, a fifth of
them at a time, and the same ones from all imputers.
"""

# %%
# Five lines
# ----------
#
# ``table`` is yours, with its missing entries. Here it is one of measurements of wines, of which
# a tenth is missing. Columns in different units are standardized first. Otherwise those with
# large numbers would decide, in the distances of nearest neighbours as in the comparison.
import warnings

import numpy as np
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler

from sklearn_mf import FactorizationImputer
from sklearn_mf.model_selection import cross_val_entries

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # of the iterative imputer
table = load_wine(as_frame=True).data
table = table.mask(np.random.default_rng(0).random(table.shape) < 0.1)

ours = FactorizationImputer(random_state=0)
imputers = SimpleImputer(), KNNImputer(), IterativeImputer(random_state=0), ours
X = StandardScaler().set_output(transform="pandas").fit_transform(table)
scores = {type(imputer).__name__: cross_val_entries(imputer, X) for imputer in imputers}
for name, found in scores.items():
    r2, seconds = found["test_score"], found["fit_time"] + found["score_time"]
    error = r2.std(ddof=1) / np.sqrt(len(r2))
    print(f"{name:20} R^2 {r2.mean():.3f} +- {error:.3f}, {seconds.mean():.2f} s")

# %%
# The score is the share of the variance that is explained of what was hidden: 0 is no better
# than the mean of the column, 1 is perfect. ``metric="rmse"`` or ``"mae"``, or a function of
# your own, are other measures.
#
# Is the difference more than chance?
# -----------------------------------
#
# The folds are small, and some are harder than others, for all imputers alike. So it is the
# differences within each fold that count, not how far the bars of the scores overlap.
import matplotlib.pyplot as plt

folds = {name: found["test_score"] for name, found in scores.items()}
best = max(folds, key=lambda name: folds[name].mean())
behind = {name: folds[best] - values for name, values in folds.items() if name != best}

figure, axes = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
labels = "R² of hidden entries", f"R² behind {best}, fold by fold"
for ax, values, label in zip(axes, (folds, behind), labels, strict=True):
    for place, of_folds in enumerate(values.values()):
        error = of_folds.std(ddof=1) / np.sqrt(len(of_folds))
        ax.plot(of_folds, np.full(len(of_folds), place + 0.2), "o", color="0.7", markersize=4)
        ax.errorbar(of_folds.mean(), place, xerr=error, fmt="o", color="#0072b2", capsize=5)
    ax.set_yticks(range(len(values)), values)
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.set_xlabel(label)
    ax.grid(axis="x", alpha=0.4)
nearest = min(behind, key=lambda name: behind[name].mean())
figure.suptitle(f"{best} is ahead; {nearest} comes next, {behind[nearest].mean():.2f} behind in R²")
axes[1].axvline(0, color="0.3", linewidth=1)
plt.show()

# %%
# Grey dots are folds, blue ones their means with the standard error. An imputer whose
# differences all lie on one side of zero is behind by more than chance.
#
# Two things such a comparison cannot know. Entries are hidden at random here; if yours are
# missing *because* of their value, every imputer does worse on them than it says. And the best
# imputer is not always the best first step of a classifier: that is told by the score of the
# whole pipeline.
