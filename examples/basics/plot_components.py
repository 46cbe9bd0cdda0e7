"""
Components to read
==================

Factors are not unique: any rotation of the components, undone in the codes, gives the same
model. Fits end in one form, so that two starts give the same components. This example shows
it, puts other factors into a form, and asks which components other data would show again.
"""

# %%
# The same model, the same components
# -----------------------------------
#
# Half of the pixels of the handwritten digits are hidden. Two fits start at random.
import numpy as np
from sklearn.datasets import load_digits

from sklearn_mf import MatrixFactorization
from sklearn_mf.components import align_components, canonical_form

digits = load_digits().data
hidden = np.random.RandomState(0).uniform(size=digits.shape) < 0.5
X = np.where(hidden, np.nan, digits)

fits = [
    MatrixFactorization(
        6, bias="features", alpha_W=0.1, init="random", tol=1e-7, random_state=seed
    ).fit(X)
    for seed in (0, 1)
]
W, H = fits[0].transform(X), fits[0].components_
difference = fits[0].inverse_transform(W) - fits[1].inverse_transform(fits[1].transform(X))
print(f"reconstructions differ by {np.abs(difference).max():.3f} at most")

pairs = align_components(H, fits[1].components_)
print("similarities of the components:", pairs.similarities.round(2))

# %%
# One form for any factors
# ------------------------
#
# Factors from elsewhere may be any mixture. :func:`~sklearn_mf.components.canonical_form` makes
# their components orthonormal and orders them by the size of their codes, as singular vectors
# are. Red pixels and blue ones count against each other.
import matplotlib.pyplot as plt

from sklearn_mf.plotting import ComponentsDisplay

mix = np.random.RandomState(0).standard_normal((6, 6))
mixed = W @ np.linalg.inv(mix), mix @ H
formed = canonical_form(*mixed)[1]
print("similarities, mixed:", align_components(H, mixed[1]).similarities.round(2))
print("similarities in the canonical form:", align_components(H, formed).similarities.round(2))

figure, axes = plt.subplots(4, 6, figsize=(9, 6.6), layout="constrained")
shown = {
    "first start": H,
    "second start": fits[1].components_,
    "first, mixed": mixed[1],
    "mixed, canonical": formed,
}
for row, (name, components) in zip(axes, shown.items(), strict=True):
    ComponentsDisplay(components=components, image_shape=(8, 8)).plot(row)
    row[0].set_ylabel(name)
for ax in axes[1:].flat:
    ax.set_title("")
figure.suptitle("Two starts end in the same components, and the canonical form undoes a mixture")
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
figure, axes = plt.subplots(2, 4, figsize=(7, 4.2), layout="constrained")
ComponentsDisplay(components=H, image_shape=(8, 8)).plot(axes)
figure.suptitle("Non-negative components look like strokes")
plt.show()

# %%
# Which would be found again?
# ---------------------------
#
# Fits on different samples tell. :func:`~sklearn_mf.components.component_stability` compares
# them component by component, :func:`~sklearn_mf.components.subspace_stability` only the space
# that they span: two components of nearly the same importance may turn within it.
from sklearn_mf.components import component_stability, subspace_stability

ranks = [2, 4, 8]
single, space = [], []
for rank in ranks:
    model = MatrixFactorization(rank, bias="features", alpha_W=0.1, tol=1e-3, random_state=0)
    single.append(component_stability(model, X, form=canonical_form))
    space.append(subspace_stability(model, X))

stable = max(rank for rank, value in zip(ranks, single, strict=True) if value > 0.9)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(ranks, space, "o-", color="#0072b2", label="the space that they span")
ax.plot(ranks, single, "s--", color="#d55e00", label="single components")
ax.set(xlabel="Number of components", ylabel="Stability (1: found again exactly)", xticks=ranks)
ax.set(ylim=(0.8, 1.01))
ax.set_title(f"Up to {stable} components are found again in other samples")
figure.legend(loc="outside right center", frameon=False)
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
display = ComponentsDisplay.from_estimator(model, n_top_features=6)
for ax in display.axes_:
    ax.set_xlabel("Weight per standard deviation")
display.figure_.suptitle("Phenols, body, minerals and acid: what wines differ in")
plt.show()
