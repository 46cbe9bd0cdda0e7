"""
The background of a video
=========================

The frames of a video of a place share its background, which is brighter at noon and darker in the
evening. As rows of a table these frames are of low rank; whoever walks by is an outlier. A loss
that outliers hardly move finds the background, and what differs from it is who walked by.
"""

# %%
# Sixty frames
# ------------
#
# A photograph that comes with scikit-learn is the place. The light falls from changing sides, and
# three bright figures walk through the picture.
import numpy as np
from sklearn.datasets import load_sample_image

place = load_sample_image("china.jpg")[:424].reshape(53, 8, 80, 8, 3).mean(axis=(1, 3, 4)) / 255
n_frames = 60
y, x = np.mgrid[:53, :80]
time = np.linspace(0, 5, n_frames)[:, None, None]
background = place * (1 + 0.25 * np.sin(time) + 0.3 * np.cos(time) * (x / 80 - 0.5))

walking = np.zeros(background.shape, dtype=bool)
for number, (height, width, speed, row) in enumerate(
    [(9, 3, 1.3, 40), (6, 4, -2.1, 44), (8, 3, 0.9, 36)]
):
    column = (20 * number + speed * np.arange(n_frames)[:, None, None]) % 80
    walking |= (np.abs(x - column) < width) & (np.abs(y - row) < height)
noise = 0.02 * np.random.default_rng(0).normal(size=background.shape)
video = np.where(walking, 0.95, background) + noise
table = video.reshape(n_frames, -1)

# %%
# Three backgrounds
# -----------------
#
# The median of each pixel, which does not know of light; the squared loss, for which those who
# walk by count most; and the absolute loss. Both factorizations have two components, since the
# light changes in two ways.
from sklearn_mf import MatrixFactorization

found = {"median": np.broadcast_to(np.median(video, axis=0), video.shape)}
for loss in ("squared", "absolute"):
    model = MatrixFactorization(2, loss=loss, alpha_W=0, random_state=0)
    frames = model.inverse_transform(model.fit_transform(table))
    found[f"{loss} loss"] = frames.reshape(video.shape)

# %%
# Who walked by?
# --------------
#
# Pixels that differ from the background by more than 0.15. The F1 score compares them with those
# that are: 1 is perfect.
from sklearn.metrics import f1_score

scores, errors = {}, {}
for name, frames in found.items():
    moving = np.abs(video - frames) > 0.15
    scores[name] = f1_score(walking.ravel(), moving.ravel())
    errors[name] = np.sqrt(np.mean((frames - background) ** 2))
    print(f"{name:14} error of the background {errors[name]:.3f}, F1 {scores[name]:.2f}")

# %%
# A frame, and what is left of it
# -------------------------------
import matplotlib.pyplot as plt

number = 12
figure, axes = plt.subplots(2, 4, figsize=(12, 4.6), layout="constrained")
axes[0, 0].imshow(video[number], cmap="gray", vmin=0, vmax=1.2)
axes[0, 0].set_title(f"Frame {number}")
axes[1, 0].imshow(walking[number], cmap="gray_r")
axes[1, 0].set_title("Who walks by")
for (above, below), (name, frames) in zip(axes.T[1:], found.items(), strict=True):
    above.imshow(frames[number], cmap="gray", vmin=0, vmax=1.2)
    above.set_title(f"{name}: RMSE {errors[name]:.3f}", fontsize="medium")
    left = below.imshow(video[number] - frames[number], cmap="RdBu_r", vmin=-0.8, vmax=0.8)
    below.set_title(f"What is left: F1 {scores[name]:.2f}", fontsize="medium")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
figure.colorbar(left, ax=axes[1], label="Difference")
figure.suptitle("The absolute loss tells who walks by from the light that changes")
plt.show()
