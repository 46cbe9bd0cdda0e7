"""
Rank and penalty in one grid search
===================================

A factorization is a step of a pipeline like any other, and a grid search can choose its rank and
its penalty. But by which criterion? Three are compared here: the reconstruction of whole rows,
the prediction of hidden entries, and the accuracy of a classifier that follows.
"""

# %%
# A table with missing values
# ---------------------------
#
# Images of digits, of which half of the pixels are lost. Pixels have unequal scales, hence the
# scaler, which like the factorization sees observed entries only. All three searches try the
# same ranks and the same penalties on the same folds.
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mf import MatrixFactorization
from sklearn_mf.model_selection import MaskedEntryScorer

X, y = load_digits(return_X_y=True)
X, y = X[:500], y[:500]
X[np.random.default_rng(0).random(X.shape) < 0.5] = np.nan

ranks, penalties = [2, 4, 8, 16, 24], [0.01, 0.03, 0.1]
grid = {
    "matrixfactorization__alpha_W": penalties,
    "matrixfactorization__n_components": ranks,
}
factorization = make_pipeline(StandardScaler(), MatrixFactorization(tol=1e-3, random_state=0))

# %%
# Whole rows: not to be done
# --------------------------
#
# The code of a test row is solved on the very entries that are compared. More freedom always
# looks better, so that the largest rank wins.


def reconstruction(estimator, X, y=None):
    """R^2 of what the codes were solved on."""
    error = X - estimator.inverse_transform(estimator.transform(X))
    return 1 - np.nansum(error**2) / np.nansum((X - np.nanmean(X, axis=0)) ** 2)


naive = GridSearchCV(factorization, grid, scoring=reconstruction, cv=3).fit(X)

# %%
# Hidden entries: to predict or to denoise entries
# ------------------------------------------------
#
# :class:`~sklearn_mf.model_selection.MaskedEntryScorer` hides a fifth of the entries of the test
# rows, from the scaler too, and scores their predictions.
honest = GridSearchCV(factorization, grid, scoring=MaskedEntryScorer(), cv=3).fit(X)

# %%
# The classifier: to predict a target
# -----------------------------------
#
# Where codes are features, the score of the last step is the criterion. Nothing needs to be
# hidden: the classes of the test rows are.
classifier = make_pipeline(
    StandardScaler(),
    MatrixFactorization(tol=1e-3, random_state=0),
    StandardScaler(),
    LogisticRegression(),
)
supervised = GridSearchCV(classifier, grid, cv=3).fit(X, y)

# %%
# What each of them chooses
# -------------------------
#
# Scores below the charts are left out. With a weak penalty, hidden entries allow only a few
# components. This is a fault of the penalty, not of the larger models: where it is strong enough,
# further components still help. So tune both, or leave the penalty at its default, ``"auto"``,
# which is chosen on hidden entries within the fit.
import matplotlib.pyplot as plt

searches = {
    "Reconstruction of whole rows": (naive, "R²"),
    "Prediction of hidden entries": (honest, "R²"),
    "Classification": (supervised, "accuracy"),
}
colors = plt.get_cmap("cividis")(np.linspace(0, 0.85, len(penalties)))
figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
for ax, (name, (search, unit)) in zip(axes, searches.items(), strict=True):
    scores = search.cv_results_["mean_test_score"].reshape(len(penalties), len(ranks))
    for penalty, color, line, marker in zip(penalties, colors, scores, "osD", strict=True):
        ax.plot(ranks, line, color=color, marker=marker, label=f"alpha_W={penalty}")
    row, column = np.unravel_index(search.best_index_, scores.shape)
    ax.plot(ranks[column], scores[row, column], "o", ms=15, mfc="none", mec="#d55e00", mew=2)
    ax.set(title=name, xlabel="Number of components", ylabel=f"Mean {unit} of three folds")
    ax.set(xscale="log", ylim=(-0.15 if unit == "R²" else 0.15, 1))
    ax.set_xticks(ranks, ranks)
    ax.minorticks_off()
    print(f"{name:30} rank {ranks[column]:2}, alpha_W={penalties[row]}")
best_of_weak = ranks[honest.cv_results_["mean_test_score"][: len(ranks)].argmax()]
chosen = honest.best_params_["matrixfactorization__n_components"]
figure.suptitle(
    f"Hidden entries allow {best_of_weak} components under a weak penalty, {chosen} under the best "
    "(circles: chosen)"
)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()
