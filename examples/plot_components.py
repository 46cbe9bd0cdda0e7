"""
Components to read
==================

Factors are not unique: any rotation of the components, undone in the codes, gives the same
model. Two fits from different starts may predict the same and look nothing alike. This
example puts them into one form, draws them, and asks which of them other data would show
again.
"""

# %%
# The same model, other components
# --------------------------------
#
# Half of the pixels of the handwritten digits are hidden. Two fits start at random.
import numpy as np
from sklearn.datasets import load_digits

from sklearn_mf import MatrixFactorization
from sklearn_mf.components import align_components, canonical_form

digits, _ = load_digits(return_X_y=True)
hidden = np.random.RandomState(0).uniform(size=digits.shape) < 0.5
X = np.where(hidden, np.nan, digits)

fits = [
    MatrixFactorization(
        6, bias="features", alpha_W=0.1, init="random", tol=1e-7, random_state=seed
    ).fit(X)
    for seed in (0, 1)
]
codes = [model.transform(X) for model in fits]
difference = fits[0].inverse_transform(codes[0]) - fits[1].inverse_transform(codes[1])
print(f"reconstructions differ by {np.abs(difference).max():.3f} at most")

pairs = align_components(fits[0].components_, fits[1].components_)
print("similarities of the components:", pairs.similarities.round(2))

# %%
# One form for both
# -----------------
#
# :func:`~sklearn_mf.components.canonical_form` makes components orthonormal and orders them by
# the size of their codes, as singular vectors are. Now there is only one answer. Red pixels
# and blue ones count against each other.
import matplotlib.pyplot as plt

from sklearn_mf.plotting import ComponentsDisplay

formed = [canonical_form(W, model.components_)[1] for W, model in zip(codes, fits, strict=True)]
pairs = align_components(*formed)
print("similarities in the canonical form:", pairs.similarities.round(2))

figure, axes = plt.subplots(4, 6, figsize=(9, 6.6), layout="constrained")
for seed in (0, 1):
    ComponentsDisplay.from_estimator(fits[seed], image_shape=(8, 8), axes=axes[seed])
    ComponentsDisplay(components=formed[seed], image_shape=(8, 8)).plot(axes[2 + seed])
rows = ["first start", "second start", "first, canonical", "second, canonical"]
for ax, row in zip(axes[:, 0], rows, strict=True):
    ax.set_ylabel(row)
plt.show()

# %%
# Parts of digits
# ---------------
#
# Non-negative components add up and never cancel, so they look like strokes. They must not be
# rotated; :func:`~sklearn_mf.components.sort_components` only orders and scales them.
from sklearn_mf.components import sort_components

model = MatrixFactorization(8, positive=True, alpha_W=0.1, random_state=0).fit(X)
_, H = sort_components(model.transform(X), model.components_)
ComponentsDisplay(components=H, image_shape=(8, 8)).plot()
plt.show()

# %%
# Which would be found again?
# ---------------------------
#
# Fits on different samples tell. :func:`~sklearn_mf.components.component_stability` compares
# them component by component, :func:`~sklearn_mf.components.subspace_stability` only the space
# that they span: two components of nearly the same importance may turn within it.
from sklearn_mf.components import component_stability, subspace_stability

ranks = [2, 4, 6, 8]
single, space = [], []
for rank in ranks:
    model = MatrixFactorization(rank, bias="features", alpha_W=0.1, random_state=0)
    single.append(component_stability(model, X, form=canonical_form))
    space.append(subspace_stability(model, X))

_, ax = plt.subplots(layout="constrained")
ax.plot(ranks, space, "o-", label="space")
ax.plot(ranks, single, "o-", label="single components")
ax.set(xlabel="Number of components", ylabel="Stability", xticks=ranks)
ax.legend()
plt.show()

# %%
# Features with names
# -------------------
#
# Without images there are bars: the features that count most in each component.
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

wine, _ = load_wine(return_X_y=True, as_frame=True)
wine = StandardScaler().set_output(transform="pandas").fit_transform(wine)
model = MatrixFactorization(4, random_state=0).fit(wine)
ComponentsDisplay.from_estimator(model, n_top_features=6)
plt.show()
