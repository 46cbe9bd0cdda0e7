"""
Parts of digits with holes
==========================

Non-negative components of images add up and never cancel, so they look like parts. Half of the
pixels of the digits are hidden. Does :class:`~sklearn_mf.NMF` find the parts that it finds in
whole digits?
"""

# %%
# With holes and without
# ----------------------
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
# Whole digits above, digits with holes below.
import matplotlib.pyplot as plt

from sklearn_mf.plotting import ComponentsDisplay

figure, axes = plt.subplots(4, 6, figsize=(9, 6.8), layout="constrained")
partners = holed.components_[pairs.order]
for components, panels in [(whole.components_, axes[:2]), (partners, axes[2:])]:
    ComponentsDisplay(components=components, image_shape=(8, 8)).plot(panels)
for line, label in zip(axes, ["whole", "whole", "half hidden", "half hidden"], strict=True):
    line[0].set_ylabel(label)
plt.show()

# %%
# The hidden pixels
# -----------------
#
# The model has never seen them.
restored = holed.inverse_transform(holed.transform(X))
means = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
for name, filled in {"parts": restored, "means of the pixels": means}.items():
    print(f"{name}: error {np.sqrt(np.mean((filled - digits)[hidden] ** 2)):.2f}")
