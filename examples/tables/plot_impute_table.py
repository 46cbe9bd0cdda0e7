"""
Filling the missing values of a table
=====================================

:class:`~sklearn_mf.FactorizationImputer` fills what is missing from a factorization of which
neither the rank nor a penalty has to be chosen. How does it compare with the imputers of
scikit-learn, in error and in seconds? And how sure can one be of a value that was filled in?
"""

# %%
# Tables and imputers
# -------------------
#
# Three real tables that come with scikit-learn; of the last one, a part to save time. 30 % of
# the entries are hidden at random, three times. All imputers have their default parameters.
# Columns are standardized, as nearest neighbours need it; the factorization would do that itself.
import itertools
import warnings
from time import perf_counter

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sklearn_mf import FactorizationImputer

tables = {
    "diabetes\n442 x 10": load_diabetes().data,
    "wine\n178 x 13": load_wine().data,
    "breast cancer\n200 x 20": load_breast_cancer().data[:200, :20],
}
imputers = {
    "mean": SimpleImputer(),
    "nearest neighbours": KNNImputer(),
    "iterative": IterativeImputer(random_state=0),
    "factorization": FactorizationImputer(random_state=0),
}
warnings.filterwarnings("ignore", category=ConvergenceWarning)  # of the iterative imputer


def hide(X, share=0.3, seed=0):
    """X in standard units, and with missing values."""
    X = StandardScaler().fit_transform(X)
    return X, np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


errors = {(name, table): [] for name in imputers for table in tables}
seconds = {(name, table): [] for name in imputers for table in tables}
with threadpool_limits(1):  # for tables this small, more threads would only wait for one another
    for table, seed in itertools.product(tables, range(3)):
        X, holed = hide(tables[table], seed=seed)
        missing = np.isnan(holed)
        for name, imputer in imputers.items():
            start = perf_counter()
            filled = imputer.fit_transform(holed)
            seconds[name, table].append(perf_counter() - start)
            errors[name, table].append(np.sqrt(np.mean((filled - X)[missing] ** 2)))

print(f"{'':20}" + "".join(f"{table.partition(chr(10))[0]:>16}" for table in tables))
for name in imputers:
    cells = (f"{np.mean(errors[name, t]):.3f} {np.mean(seconds[name, t]):6.2f} s" for t in tables)
    print(f"{name:20}" + "".join(f"{cell:>16}" for cell in cells))

# %%
# Error and seconds
# -----------------
#
# The root mean squared error of the hidden entries in units of the standard deviation of their
# column. The mean of the column gets about 1.
import matplotlib.pyplot as plt

colors = dict(zip(imputers, ["0.85", "0.65", "0.4", "#0072b2"], strict=True))
figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
places = np.arange(len(tables))
for shift, name in enumerate(imputers):
    for ax, numbers in zip(axes, (errors, seconds), strict=True):
        values = [numbers[name, table] for table in tables]
        heights, spreads = np.mean(values, axis=1), np.std(values, axis=1)
        style = {"color": colors[name], "label": name, "capsize": 3, "ecolor": "k"}
        ax.bar(places + 0.2 * (shift - 1.5), heights, 0.2, yerr=spreads, **style)
for ax in axes:
    ax.set_xticks(places, list(tables))
axes[0].set(title="Error of hidden entries", ylabel="RMSE, in standard deviations")
axes[1].set(title="Time", ylabel="Seconds, one thread", yscale="log", ylim=(3e-4, None))
lowest = [min(imputers, key=lambda name: np.mean(errors[name, table])) for table in tables]
won = lowest.count("factorization")
figure.suptitle(f"The factorization has the lowest error on {won} of {len(tables)} tables")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(imputers))
plt.show()

# %%
# Bars are means over three masks, with their standard deviation. The factorization fits a normal
# distribution of all columns, drawn to one of few components where that predicts hidden entries
# better, and asks neighbours where they know more. The iterative imputer aims at the same
# distribution by one regression a column. Means cost nothing, and neighbours little, so where
# seconds count and columns hardly depend on one another, they serve.
#
# What the rank was chosen by
# ---------------------------
#
# A tenth of what is observed is hidden once more, from the imputer itself.
for table, X in tables.items():
    imputer = FactorizationImputer(random_state=0).fit(hide(X)[1])
    steps = ", ".join(f"{rank}: {error:.2f}" for rank, error in imputer.hidden_errors_.items())
    print(f"{table.partition(chr(10))[0]:14} rank {imputer.n_components_:2}  ({steps})")

# %%
# How sure one can be
# -------------------
#
# ``return_std=True`` tells the standard deviation of each value that was filled in: it is large
# in columns that the others do not explain, and in rows of which little is known. Of the 90 %
# intervals, about 90 % should hold what was hidden.
X, holed = hide(load_diabetes().data)
missing = np.isnan(holed)
imputer = FactorizationImputer(random_state=0).fit(holed)
filled, std = imputer.transform(holed, return_std=True)
inside = np.abs(filled - X) < 1.645 * std
names = load_diabetes().feature_names
for j, name in enumerate(names):
    cells = missing[:, j]
    print(
        f"{name:4} standard deviation {std[cells, j].mean():.2f}, "
        f"90 % intervals hold {inside[cells, j].mean():.0%}"
    )
print(f"all  {inside[missing].mean():.0%}")

# %%
# Filled in against hidden, for a column that the others explain and one that they do not.
figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained", sharex=True, sharey=True)
for ax, name in zip(axes, ("s2", "bp"), strict=True):
    j = names.index(name)
    cells = missing[:, j]
    widths = 1.645 * std[cells, j]
    style = {"fmt": ".", "elinewidth": 0.5, "alpha": 0.6, "color": "#0072b2"}
    ax.errorbar(X[cells, j], filled[cells, j], widths, **style)
    ax.axline((0, 0), slope=1, color="0.5", linewidth=1)
    ax.set_title(f"{name}: {inside[cells, j].mean():.0%} inside, ± {widths.mean():.1f}")
    ax.set_xlabel("Hidden value, in standard deviations")
axes[0].set_ylabel("Filled in, with 90 % interval")
figure.suptitle("Intervals are narrow where other columns tell the value, and wide elsewhere")
plt.show()

# %%
# Whatever is done next with the table treats these values as if they had been observed. Where
# standard errors matter, draw several tables with ``sample_posterior=True``, one for each
# ``random_state``, and pool what comes of them.
