"""
Digits with missing pixels
==========================

Half of the pixels of the handwritten digits are hidden, and the digits are to be
recognised all the same. :class:`~sklearn_mf.MatrixFactorization` accepts missing values;
principal component analysis needs an imputer first. Which of them, in front of the same
classifiers, recognises more digits, and how long does it take?
"""

# %%
# Half of the pixels are hidden
# -----------------------------
import numpy as np
from sklearn.datasets import load_digits

digits, labels = load_digits(return_X_y=True)
hidden = np.random.RandomState(0).uniform(size=digits.shape) < 0.5
X = np.where(hidden, np.nan, digits)
print(f"{len(X)} digits of {X.shape[1]} pixels, {hidden.mean():.0%} of them hidden")

# %%
# Four pipelines
# --------------
#
# All have the same folds, the same ranks and the same two classifiers: logistic regression
# on standardized codes, which is linear, and a support vector machine, which is not; both
# with default settings. Beyond that the factorization tunes its penalty and solver, and the
# nearest neighbours their number. `IterativeImputer` stops after five rounds, half of its
# default, to save time, and would warn each time that it could go on.
#
# The loose tolerance lets the factorization stop after a few iterations. More of them fit
# the pixels more closely, and hardly help to classify.
import warnings

from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sklearn_mf import MatrixFactorization

ranks = [20, 30, 40]
classifiers = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "SVC": SVC(),
}
factorization = MatrixFactorization(bias="features", tol=1e-2, random_state=0)
pca = PCA(random_state=0)
warnings.filterwarnings("ignore", r"\[IterativeImputer\] Early stopping")
iterative = IterativeImputer(max_iter=5, random_state=0)

competitors = {
    "MatrixFactorization": (
        [("mf", factorization)],
        {
            "mf__n_components": ranks,
            "mf__alpha_W": [0.1, 0.3],
            "mf__solver": ["als", "gd"],
        },
    ),
    "SimpleImputer + PCA": (
        [("impute", SimpleImputer()), ("pca", pca)],
        {"pca__n_components": ranks},
    ),
    "KNNImputer + PCA": (
        [("impute", KNNImputer()), ("pca", pca)],
        {"pca__n_components": ranks, "impute__n_neighbors": [10, 20]},
    ),
    "IterativeImputer + PCA": (
        [("impute", iterative), ("pca", pca)],
        {"pca__n_components": ranks},
    ),
}

# %%
# Accuracy and time
# -----------------
#
# Everything runs one after the other, on one thread. Steps that were fitted already, for
# another rank or another classifier, are not fitted again: `memory` keeps them. For either
# classifier the table has the best cross-validated accuracy, then the models that the search
# compares, and the seconds that it took.
from tempfile import TemporaryDirectory
from time import perf_counter

from threadpoolctl import threadpool_limits

folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
searches = {}

print(f"{'':24}{'logistic':>10}{'SVC':>8}{'models':>8}{'search (s)':>12}")
for name, (steps, grid) in competitors.items():
    with TemporaryDirectory() as folder, threadpool_limits(1):
        search = GridSearchCV(
            Pipeline([*steps, ("classifier", SVC())], memory=folder),
            {**grid, "classifier": list(classifiers.values())},
            cv=folds,
        )
        began = perf_counter()
        search.fit(X, labels)
        seconds = perf_counter() - began
    searches[name] = search

    results = search.cv_results_
    accuracy = results["mean_test_score"]
    is_svc = np.array([isinstance(used, SVC) for used in results["param_classifier"]])
    print(
        f"{name:24}{accuracy[~is_svc].max():10.4f}{accuracy[is_svc].max():8.4f}"
        f"{len(accuracy):8}{seconds:12.1f}"
    )

# %%
# The support vector machine is the better classifier in front of all four, and there the
# factorization is ahead, in less time than the two better imputers. For the linear
# classifier the nearest neighbours are ahead: what they fill in is not linear, so that the
# classifier need not be. One standard error of an accuracy is about 0.006 to 0.008 here, so
# small differences mean little.
#
# What the search for the factorization has found, and how accurate either solver was:
search = searches["MatrixFactorization"]
best = {name: value for name, value in search.best_params_.items() if name != "classifier"}
print(best)
results = search.cv_results_
for solver in ("als", "gd"):
    used = results["param_mf__solver"] == solver
    print(f"{solver}: accuracy {results['mean_test_score'][used].max():.4f}")

# %%
# The digits restored
# -------------------
#
# `inverse_transform` turns codes back into pixels. The model has not seen the hidden pixels.
import matplotlib.pyplot as plt

model = search.best_estimator_["mf"]
restored = model.inverse_transform(model.transform(X))


def hidden_rmse(filled):
    """Root mean squared error of the hidden pixels."""
    return np.sqrt(np.mean((filled - digits)[hidden] ** 2))


means = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
print(f"Error of the hidden pixels, which go from 0 to 16: {hidden_rmse(restored):.2f}")
print(f"With the mean of each pixel in its place: {hidden_rmse(means):.2f}")

cmap = plt.get_cmap("gray_r").with_extremes(bad="#e69f00")
rows = {"original": digits, "observed": X, "restored": restored}
fig, axes = plt.subplots(3, 10, figsize=(10, 3.6), layout="constrained")
for line, (title, images) in zip(axes, rows.items(), strict=True):
    for ax, image in zip(line, images, strict=False):
        ax.imshow(image.reshape(8, 8), cmap=cmap, vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(title)
fig.suptitle(
    f"Half of the pixels hidden (orange), and restored: error {hidden_rmse(restored):.1f} of 16, "
    f"with means {hidden_rmse(means):.1f}"
)
plt.show()
