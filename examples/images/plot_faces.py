"""
Restoring faces
===============

Faces resemble one another. Components learnt from some faces tell what others look like behind
dark glasses, a scarf, or a bad line. Here even the faces to learn from have missing pixels.
"""

# %%
# A hundred faces
# ---------------
#
# The faces of 25 x 25 pixels come with scikit-image. Eighty are there to learn from, each with
# 30 % of its pixels missing; the other twenty are damaged in three ways.
import numpy as np
from skimage.data import lfw_subset

faces = lfw_subset()[:100].reshape(100, -1).astype(float)  # the others are no faces
rng = np.random.default_rng(0)
known = np.where(rng.random((80, 625)) < 0.3, np.nan, faces[:80])
others = faces[80:]

glasses, scarf = np.zeros((2, 25, 25), dtype=bool)
glasses[7:13, 3:22] = True
scarf[14:] = True
damages = {
    "dark glasses": np.tile(glasses.ravel(), (20, 1)),
    "a scarf": np.tile(scarf.ravel(), (20, 1)),
    "70 % of the pixels": rng.random(others.shape) < 0.7,
}

# %%
# Learn once, restore any damage
# ------------------------------
#
# ``transform`` finds the codes of a face from the pixels that it has, and ``inverse_transform``
# gives all of its pixels. Twenty components and the automatic penalty were not tuned.
from sklearn.impute import KNNImputer, SimpleImputer

from sklearn_mf import MatrixFactorization

model = MatrixFactorization(20, bias="features", random_state=0).fit(known)
imputers = {"mean face": SimpleImputer(), "nearest faces": KNNImputer()}

errors, restored = {}, {}
for damage, hidden in damages.items():
    holed = np.where(hidden, np.nan, others)
    filled = {name: imputer.fit(known).transform(holed) for name, imputer in imputers.items()}
    expected = model.inverse_transform(model.transform(holed))
    filled["factorization"] = np.where(hidden, expected, others)
    restored[damage] = {"damaged": holed} | filled | {"original": others}
    for name, images in filled.items():
        errors[damage, name] = np.sqrt(np.mean((images - others)[hidden] ** 2))
        print(f"{damage:20} {name:15} {errors[damage, name]:.3f}")

# %%
# Behind the glasses
# ------------------
#
# Six of the twenty faces, that were not learnt from.
import matplotlib.pyplot as plt

figure, panels = plt.subplots(1, 3, figsize=(13, 4.3), layout="constrained")
for panel, (damage, rows) in zip(panels, restored.items(), strict=True):
    mosaic = np.vstack([np.hstack(images[:6].reshape(-1, 25, 25)) for images in rows.values()])
    colors = plt.get_cmap("gray").with_extremes(bad="#0072b2")
    panel.imshow(mosaic, cmap=colors, vmin=0, vmax=1)
    labels = [
        f"{name}\n{errors[damage, name]:.3f}" if (damage, name) in errors else name for name in rows
    ]
    panel.set_yticks(12 + 25 * np.arange(len(rows)), labels=labels)
    panel.set(xticks=[], title=damage)
    panel.tick_params(length=0)
fall = 1 - np.mean([errors[d, "factorization"] / errors[d, "nearest faces"] for d in damages])
figure.suptitle(
    f"Components restore hidden pixels with {fall:.0%} less error than the nearest faces "
    "(numbers: RMSE, grey from 0 to 1)"
)
plt.show()
