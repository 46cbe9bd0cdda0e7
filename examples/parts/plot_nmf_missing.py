"""
The rank of a non-negative factorization
========================================

How many components do the data have? The error of the data themselves cannot tell: it falls with
every component. Entries that are hidden from the fit can. scikit-learn's ``NMF`` takes no missing
entries; :class:`~sklearn_mf.NMF` does.
"""

# %%
# Data of rank six
# ----------------
#
# Six non-negative components, sparse as parts are, and noise.
import numpy as np

rng = np.random.default_rng(0)
true_rank = 6
W = rng.gamma(1.0, size=(100, true_rank))
H = rng.gamma(1.0, size=(true_rank, 40)) * (rng.random((true_rank, 40)) < 0.5)
X = np.maximum(W @ H + 0.5 * rng.standard_normal((100, 40)), 0)

# %%
# Hide entries, fit the others, predict those
# -------------------------------------------
#
# Every entry belongs to one of three folds, and each fold is hidden once. The slight penalty keeps
# codes of rows with few entries from growing without bounds where there are too many components.
from sklearn_mf import NMF

ranks = np.arange(1, 11)
folds = rng.integers(3, size=X.shape)
fitted, predicted = np.zeros((2, len(ranks), 3))
for fold in range(3):
    hidden = folds == fold
    X_train = np.where(hidden, np.nan, X)
    for number, rank in enumerate(ranks):
        model = NMF(rank, alpha_W=1e-3, max_iter=2000, tol=1e-2, random_state=0)
        codes = model.fit_transform(X_train)
        error = (X - model.inverse_transform(codes)) ** 2
        fitted[number, fold] = np.sqrt(error[~hidden].mean())
        predicted[number, fold] = np.sqrt(error[hidden].mean())

best = ranks[predicted.mean(axis=1).argmin()]
print(f"hidden entries are predicted best with {best} components; the truth has {true_rank}")

# %%
# The chart
# ---------
#
# The error of the fitted entries falls on and on. That of the hidden ones has a minimum.
import matplotlib.pyplot as plt

_, ax = plt.subplots(layout="constrained")
ax.plot(ranks, fitted.mean(axis=1), "s--", color="#e69f00", label="fitted entries")
ax.errorbar(
    ranks,
    predicted.mean(axis=1),
    predicted.std(axis=1),
    fmt="o-",
    color="#0072b2",
    capsize=3,
    label="hidden entries",
)
ax.axvline(true_rank, color="0.5", linestyle=":", label="truth")
ax.set(xlabel="Number of components", ylabel="Root mean squared error", ylim=0)
ax.set_title(f"Hidden entries are predicted best with {best} components")
ax.legend()
plt.show()
