"""
Spectra with inverse variances
==============================

A survey of the sky tells with every pixel of a spectrum how sure it is: an inverse variance, which
is zero where a cosmic ray hit or the sky was too bright. As weights they make a factorization the
likeliest one. What do they gain over a mask, which either trusts a pixel or does not?
"""

# %%
# Spectra, and how noisy each pixel is
# ------------------------------------
#
# The spectra are generated, so that the truth is known: a smooth continuum and lines of emission
# mix in each of them. Faint objects are noisier, the sky has bright bands, and cosmic rays hit.
import numpy as np

rng = np.random.default_rng(0)
wavelength = np.linspace(400, 900, 250)
lines = np.array([[437, 4], [486, 5], [501, 5], [656, 6], [672, 6], [850, 8]])
peaks = np.exp(-(((wavelength - lines[:, :1]) / lines[:, 1:]) ** 2))
slope = (wavelength - 650) / 250
parts = np.vstack(
    [1 + 0.3 * slope, slope**2, peaks[[1, 3]].sum(0), peaks[[0, 2, 4]].sum(0), peaks[5]]
)
truth = rng.gamma(1.5, size=(150, 5)) @ parts

sky = 1 + 6 * np.exp(-(((wavelength - 760) / 12) ** 2)) + 4 * (wavelength > 860)
sigma = 0.15 * rng.gamma(2, size=(150, 1)) * sky
spectra = truth + sigma * rng.normal(size=truth.shape)
hit = rng.random(truth.shape) < 0.02
spectra[hit] += rng.exponential(20, size=hit.sum())
inverse_variance = np.where(hit, 0, 1 / sigma**2)

# %%
# Two fits
# --------
#
# ``entry_weight`` has the shape of the data, in `fit` as in `transform`. An entry of weight zero
# is as good as missing. Both have five components and their default penalty.
from sklearn_mf import MatrixFactorization


def rebuilt(X, weight=None):
    """The spectra as a factorization describes them."""
    model = MatrixFactorization(5, random_state=0)
    return model.inverse_transform(model.fit_transform(X, entry_weight=weight))


fits = {
    "mask of cosmic rays": rebuilt(np.where(hit, np.nan, spectra)),
    "inverse variances": rebuilt(spectra, inverse_variance),
}
errors = {name: np.sqrt(np.mean((found - truth) ** 2)) for name, found in fits.items()}
for name, error in errors.items():
    print(f"{name:24} RMSE {error:.3f}")

# %%
# A noisy spectrum
# ----------------
import matplotlib.pyplot as plt

number = np.argsort(sigma[:, 0])[120]
figure, axes = plt.subplots(2, 1, figsize=(9, 6), sharex=True, height_ratios=[3, 1])
axes[0].errorbar(
    wavelength, spectra[number], sigma[number], fmt=".", color="0.75", zorder=0, label="observed"
)
axes[0].plot(wavelength, truth[number], color="k", lw=2.5, label="truth")
styles = {"mask of cosmic rays": ("#e69f00", ":"), "inverse variances": ("#0072b2", "-")}
for name, (color, style) in styles.items():
    label = f"{name}: RMSE {errors[name]:.2f}"
    axes[0].plot(wavelength, fits[name][number], style, color=color, lw=1.8, label=label)
high, low = truth[number].max(), truth[number].min()
axes[0].set(ylim=(low - 2, high + 3), ylabel="Flux")
axes[1].semilogy(wavelength, np.where(hit, np.nan, inverse_variance)[number], color="0.3")
axes[1].set(xlabel="Wavelength in nm", ylabel="Inverse variance")
figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=4, frameon=False)
figure.subplots_adjust(bottom=0.17, top=0.93, hspace=0.08)
ratio = errors["mask of cosmic rays"] / errors["inverse variances"]
figure.suptitle(
    f"Inverse variances as weights: errors {ratio:.1f} times smaller than with a mask alone"
)
plt.show()
