"""
Restoring lost pixels of a photograph
=====================================

A photograph has scratches, and another copy of it has lost half of its pixels. Patches of a
photograph resemble one another, so that a table of all of them has a low rank. A factorization of
the table, with lost pixels as missing values, predicts them from all the other patches. How does
it compare with interpolation, and with the inpainting of scikit-image?
"""

# %%
# A photograph with scratches
# ---------------------------
#
# The photograph comes with scikit-learn. Lost pixels are NaN in all three colours.
import numpy as np
from sklearn.datasets import load_sample_image

photo = load_sample_image("china.jpg")[:426].reshape(213, 2, 320, 2, 3).mean(axis=(1, 3)) / 255
photo = photo[60:188, 100:260]
rng = np.random.default_rng(0)

scratched = np.zeros(photo.shape[:2], dtype=bool)
for _ in range(25):
    start, angle, length = (
        rng.uniform(0, photo.shape[:2]),
        rng.uniform(0, np.pi),
        30 + 70 * rng.random(),
    )
    places = start + np.linspace(0, length, 400)[:, None] * [np.sin(angle), np.cos(angle)]
    rows, columns = places[(places < [127, 159]).all(axis=1)].astype(int).T
    for i, j in np.ndindex(2, 2):
        scratched[rows + i, columns + j] = True
lost = {"scratches": scratched, "half of the pixels": rng.random(scratched.shape) < 0.5}

# %%
# Patches as rows of a table
# --------------------------
#
# :func:`~sklearn_mf.patches.extract_patches` cuts overlapping patches of 8 x 8 pixels out of the
# photograph, missing values included. Each patch becomes a row of 192 numbers. The mean of what
# is observed of a patch is taken away, since brightness is not what patches share. Rank 20 and
# the automatic penalty were not tuned to this photograph.
from sklearn_mf import MatrixFactorization
from sklearn_mf.patches import extract_patches, reconstruct_from_patches


def restore(holed, size=(8, 8), step=2):
    """The image with its missing pixels filled in."""
    patches = extract_patches(holed, size, step=step)
    means = np.nanmean(patches, axis=1, keepdims=True)
    model = MatrixFactorization(20, bias="features", random_state=0)
    codes = model.fit_transform(patches - means)
    smooth = reconstruct_from_patches(
        model.inverse_transform(codes) + means, holed.shape, size, step=step
    )
    return np.where(np.isnan(holed), smooth.clip(0, 1), holed)


# %%
# Two competitors
# ---------------
#
# Linear interpolation between the pixels that are left, and the smoothest surface through them
# (biharmonic inpainting). Both have nothing to tune.
from scipy.interpolate import griddata
from skimage.restoration import inpaint_biharmonic


def interpolate(holed):
    """The image with its missing pixels interpolated; at the border, the nearest pixel."""
    missing = np.isnan(holed[..., 0])
    known, wanted = np.argwhere(~missing), np.argwhere(missing)
    filled = griddata(known, holed[~missing], wanted, method="linear")
    nearest = griddata(known, holed[~missing], wanted, method="nearest")
    holed = holed.copy()
    holed[missing] = np.where(np.isnan(filled), nearest, filled)
    return holed


def inpaint(holed):
    """The image with its missing pixels painted in by scikit-image."""
    return inpaint_biharmonic(np.nan_to_num(holed), np.isnan(holed[..., 0]), channel_axis=-1)


def psnr(image):
    """Peak signal-to-noise ratio in decibels: higher is better, 6 dB halve the error."""
    return -10 * np.log10(np.mean((image.clip(0, 1) - photo) ** 2))


methods = {"interpolation": interpolate, "biharmonic inpainting": inpaint, "factorization": restore}
restored = {}
for damage, missing in lost.items():
    holed = np.where(missing[..., None], np.nan, photo)
    restored[damage] = {"damaged": holed} | {name: f(holed) for name, f in methods.items()}
    for name in methods:
        print(f"{damage:20} {name:22} {psnr(restored[damage][name]):.1f} dB")

# %%
# What comes back
# ---------------
#
# The whole photographs, the lost pixels in white, and a part of them enlarged below.
import matplotlib.pyplot as plt

gains = [
    psnr(found["factorization"]) - max(psnr(found[name]) for name in list(methods)[:2])
    for found in restored.values()
]
figure, axes = plt.subplots(4, 4, figsize=(11, 9.4), layout="constrained")
part = slice(44, 92), slice(50, 110)
for pair, (damage, images) in zip((axes[:2], axes[2:]), restored.items(), strict=True):
    for column, (name, image) in zip(pair.T, images.items(), strict=True):
        shown = np.nan_to_num(image, nan=1).clip(0, 1)
        column[0].imshow(shown)
        column[1].imshow(shown[part], interpolation="nearest")
        title = damage if name == "damaged" else f"{name}\n{psnr(image):.1f} dB"
        column[0].set_title(title, fontsize="medium")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
figure.suptitle(
    f"Other patches restore lost pixels {min(gains):.1f} to {max(gains):.1f} dB better "
    "than smoothness does",
    fontsize="x-large",
)
plt.show()
