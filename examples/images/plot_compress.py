"""
Compressing a photograph
========================

A factorization stores a table of m rows and n columns as (m + n) k numbers. For a photograph this
pays if its table has a low rank. The textbook takes the photograph itself as the table, whose
rank is high. Patches as rows do better. How do the two compare in bytes, and what does JPEG need,
which was made for the purpose?
"""

# %%
# A photograph, and how good a copy of it is
# ------------------------------------------
#
# It comes with scikit-learn, and has three colours of one byte for each pixel.
import numpy as np
from sklearn.datasets import load_sample_image

photo = load_sample_image("china.jpg")[:424].reshape(212, 2, 320, 2, 3).mean(axis=(1, 3))
photo = np.round(photo[:208])
print(f"{photo.shape[0]} x {photo.shape[1]} pixels, {photo.size:,} bytes")


def psnr(copy):
    """Peak signal-to-noise ratio in decibels: higher is better, 6 dB halve the error."""
    return 10 * np.log10(255**2 / np.mean((copy.clip(0, 255) - photo) ** 2))


# %%
# Codes in one byte each
# ----------------------
#
# Codes are rounded to 255 levels, as many for every component. Components are stored in half
# precision.
from sklearn_mf import MatrixFactorization


def compress(table, rank):
    """A copy of the table from its compressed factors, and their size in bytes."""
    model = MatrixFactorization(rank, bias="features", alpha_W=0, random_state=0)
    codes = model.fit_transform(table)
    scale = np.abs(codes).max(axis=0) / 127
    stored = np.round(codes / scale).astype(np.int8)
    halves = [model.components_.astype(np.float16), scale.astype(np.float16)]
    size = stored.nbytes + sum(part.nbytes for part in halves) + 2 * table.shape[1]
    return model.inverse_transform(stored * scale), size


# %%
# Two tables, and JPEG
# --------------------
#
# The rows of the photograph, all colours side by side; or patches of 8 x 8 pixels that do not
# overlap.
from io import BytesIO

from PIL import Image

from sklearn_mf.patches import extract_patches, reconstruct_from_patches


def by_rows(rank):
    """Compress the photograph as a table of 208 rows."""
    table, size = compress(photo.reshape(len(photo), -1), rank)
    return table.reshape(photo.shape), size


def by_patches(rank):
    """Compress the photograph as a table of patches."""
    table, size = compress(extract_patches(photo, (8, 8), step=8), rank)
    return reconstruct_from_patches(table, photo.shape, (8, 8), step=8), size


def by_jpeg(quality):
    """Compress the photograph with Pillow."""
    file = BytesIO()
    Image.fromarray(photo.astype(np.uint8)).save(file, "jpeg", quality=quality, optimize=True)
    return np.asarray(Image.open(file), dtype=float), len(file.getvalue())


methods = {
    "factors of the rows": (by_rows, [2, 5, 10, 20, 40]),
    "factors of patches": (by_patches, [2, 5, 10, 20, 40]),
    "JPEG": (by_jpeg, [5, 10, 20, 40, 75]),
}
copies = {
    name: [method(setting) for setting in settings] for name, (method, settings) in methods.items()
}

# %%
# Size against quality
# --------------------
import matplotlib.pyplot as plt

styles = {"factors of the rows": ("#e69f00", "s"), "factors of patches": ("#0072b2", "o")}
styles["JPEG"] = ("0.4", "^")
figure, axes = plt.subplot_mosaic(
    [["chart", "original", "factors of the rows"], ["chart", "JPEG", "factors of patches"]],
    figsize=(13, 5),
    width_ratios=[1.25, 1, 1],
    layout="constrained",
)
needed = {}
for name, found in copies.items():
    sizes, decibels = [size for _, size in found], [psnr(copy) for copy, _ in found]
    color, marker = styles[name]
    axes["chart"].plot(sizes, decibels, marker=marker, color=color, label=name)
    needed[name] = np.exp(np.interp(25, decibels, np.log(sizes)))
    print(f"{name:20} {needed[name] / 1000:5.1f} kB for 25 dB")
axes["chart"].set(xscale="log", xlabel="Size in bytes", ylabel="PSNR in dB")
axes["chart"].legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False)
axes["original"].imshow(photo.astype(np.uint8))
axes["original"].set_title(f"original, {photo.size / 1000:.0f} kB")
budget = 20_000
for name, found in copies.items():
    copy, size = min(found, key=lambda pair: abs(np.log(pair[1] / budget)))
    axes[name].imshow(copy.clip(0, 255).astype(np.uint8))
    axes[name].set_title(f"{name}\n{size / 1000:.0f} kB, {psnr(copy):.1f} dB")
for name in ("original", *copies):
    axes[name].set(xticks=[], yticks=[])
saved = 1 - needed["factors of patches"] / needed["factors of the rows"]
figure.suptitle(
    f"Patches save {saved:.0%} of the bytes of rows at 25 dB; "
    f"JPEG needs {needed['JPEG'] / 1000:.0f} kB",
    fontsize="x-large",
)
plt.show()

# %%
# JPEG stays ahead: it spends bits where they are seen, and packs them. What factors have to offer
# is that any row, pixel or patch can be had alone, and that the same lines compress spectra,
# ratings or gene expression, with missing values.
