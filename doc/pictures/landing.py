"""Draw the picture of README.md and of the landing page: digits, with holes, and restored.

Where sklearn_mf is installed: ``python doc/pictures/landing.py``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from sklearn_mf import MatrixFactorization

X, digits = load_digits(return_X_y=True)
hidden = np.random.default_rng(0).random(X.shape) < 0.5
X_missing = np.where(hidden, np.nan, X)
model = MatrixFactorization(n_components=20, bias="features", alpha_W=0.1, random_state=0)
restored = model.inverse_transform(model.fit_transform(X_missing))

shown = [np.flatnonzero(digits == digit)[7] for digit in range(10)]
rows = {"digits": X, "half of the\npixels missing": X_missing, "restored": restored}
colors = plt.get_cmap("gray_r").copy()
colors.set_bad("#e69f00")
fig, axes = plt.subplots(3, 10, figsize=(9, 3.0), layout="constrained")
for line, (title, images) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=11)
    for ax, row in zip(line, shown, strict=True):
        ax.imshow(images[row].reshape(8, 8), cmap=colors, vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
path = Path(__file__).parents[1] / "_static" / "digits.png"
fig.savefig(path, dpi=110, pil_kwargs={"optimize": True})
