"""
Holes, a scaler, a factorization and a classifier in one grid search
====================================================================

A factorization with holes in its data is a step of a pipeline like any other, and its rank a
parameter that a grid search can choose. But by which criterion? Three are compared here: the
reconstruction of whole rows, hidden entries, and the classifier that follows.
"""

# %%
# A table with holes
# ------------------
#
# Images of digits, with half of the pixels lost. Pixels have unequal scales, hence the scaler,
# which like the factorization sees observed entries only.
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
ranks = [1, 2, 4, 6, 8, 12, 16, 24]
factorization = make_pipeline(StandardScaler(), MatrixFactorization(alpha_W=0.01, random_state=0))
grid = {"matrixfactorization__n_components": ranks}

# %%
# Whole rows: not to be done
# --------------------------
#
# The code of a test row is solved on the very entries that are compared. More components fit them
# better, so that the largest rank on offer wins.


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
# Where codes are features, the score of the last step is the criterion. Nothing need be hidden:
# the classes of the test rows are.
classifier = make_pipeline(
    StandardScaler(),
    MatrixFactorization(alpha_W=0.01, random_state=0),
    LogisticRegression(max_iter=1000),
)
supervised = GridSearchCV(classifier, grid, cv=3).fit(X, y)

# %%
# What each of them chooses
# -------------------------
#
# Only the first criterion rises for ever. The other two answer different questions, and need not
# agree: a component that helps little to predict entries may still tell two digits apart.
import matplotlib.pyplot as plt

searches = {
    "whole rows ($R^2$)": naive,
    "hidden entries ($R^2$)": honest,
    "classifier (accuracy)": supervised,
}
fig, ax = plt.subplots(layout="constrained")
for label, search in searches.items():
    scores = search.cv_results_["mean_test_score"]
    [line] = ax.plot(ranks, scores, ".-", label=label)
    ax.plot(
        ranks[search.best_index_], scores[search.best_index_], "o", ms=10, color=line.get_color()
    )
    print(f"{label:25} rank {ranks[search.best_index_]}")
ax.set(xlabel="n_components", ylabel="score of three folds", title="Chosen ranks are marked")
ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
ax.legend()
plt.show()
