"""
Parts of digits with missing pixels
===================================

Non-negative components of images add up and never cancel, so they look like parts. Half of the
pixels of the digits are hidden. Does :class:`~sklearn_mf.NMF` find the parts that it finds in
whole digits?
"""

# %%
# Whole digits, and half of their pixels
# --------------------------------------
import numpy as np
from sklearn.datasets import load_digits

from sklearn_mf import NMF

digits, _ = load_digits(return_X_y=True)
hidden = np.random.default_rng(0).random(digits.shape) < 0.5
X = np.where(hidden, np.nan, digits)

settings = {"alpha_W": 0.1, "max_iter": 1000}
whole = NMF(12, **settings).fit(digits)
holed = NMF(12, **settings).fit(X)

# %%
# Which part is which?
# --------------------
#
# Each component of one fit gets its partner in the other. Similarities are cosines.
from sklearn_mf.components import align_components

pairs = align_components(whole.components_, holed.components_)
print("similarities:", pairs.similarities.round(2))

# %%
# The parts
# ---------
#
# Each part of whole digits stands above its partner, which has been found in half of the pixels.
import matplotlib.pyplot as plt

from sklearn_mf.plotting import ComponentsDisplay

partners = holed.components_[pairs.order]
figure, axes = plt.subplots(4, 6, figsize=(9, 7), layout="constrained")
for half, chosen in ((axes[:2], slice(0, 6)), (axes[2:], slice(6, 12))):
    for row, parts, label in zip(
        half, (whole.components_, partners), ("whole", "half hidden"), strict=True
    ):
        ComponentsDisplay(components=parts[chosen], image_shape=(8, 8)).plot(row)
        row[0].set_ylabel(label)
    for ax, similarity in zip(half[1], pairs.similarities[chosen], strict=True):
        ax.set_title(f"cosine {similarity:.2f}", fontsize="medium")
    for number, ax in enumerate(half[0], chosen.start):
        ax.set_title(f"Part {number}", fontsize="medium")
n_found = np.sum(pairs.similarities > 0.8)
figure.suptitle(f"{n_found} of 12 parts are found again in half of the pixels (cosine above 0.8)")
plt.show()

# %%
# The hidden pixels
# -----------------
#
# The model has never seen them. Errors are root mean squares, in levels of grey from 0 to 16.
restored = holed.inverse_transform(holed.transform(X))
means = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
for name, filled in {"parts": restored, "means of the pixels": means}.items():
    print(f"{name}: error {np.sqrt(np.mean((filled - digits)[hidden] ** 2)):.2f}")
