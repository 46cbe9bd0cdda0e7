"""
Spectra with masked channels
============================

Channels of a spectrometer break, or are masked where the sky glows; others are noisy. Components of
spectra are smooth, which a penalty can say: :class:`~sklearn_mf.penalties.Smoothness` takes the
squares of second differences along the channels, so that components are smoothing splines. Here the
spectra are generated, so that we know what was masked.
"""

# %%
# Noisy spectra, some channels missing
# ------------------------------------
#
# Each spectrum mixes three lines. A band of channels is masked in all spectra but a few, and each
# spectrum lacks others of its own. Masked entries are NaN, all others have the same noise.
import numpy as np

rng = np.random.default_rng(0)
wavelengths = np.linspace(400, 700, 120)
centres, widths = np.array([470.0, 540.0, 610.0]), np.array([25.0, 40.0, 30.0])
lines = np.exp(-(((wavelengths - centres[:, None]) / widths[:, None]) ** 2))
clean = rng.gamma(2.0, size=(60, 3)) @ lines
X = clean + 0.8 * rng.standard_normal(clean.shape)
band = (wavelengths > 555) & (wavelengths < 580)
X[np.ix_(np.arange(5, 60), np.flatnonzero(band))] = np.nan
X[rng.random(X.shape) < 0.3] = np.nan
print(f"{np.isnan(X).mean():.0%} of the entries are masked")

# %%
# How smooth?
# -----------
#
# The strength of the penalty has the unit of the data; hidden entries choose it, as for any other
# parameter: a grid search hides a fifth of the entries of each spectrum by itself, in ``score``.
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_mf import MatrixFactorization
from sklearn_mf.penalties import Smoothness

strengths = [0.03, 0.3, 3.0, 30.0]
search = GridSearchCV(
    MatrixFactorization(3, alpha_W=0.05, random_state=0),
    {"penalty": [Smoothness(alpha) for alpha in strengths]},
    cv=KFold(3, shuffle=True, random_state=0),
).fit(X)
plain = MatrixFactorization(3, alpha_W=0.05, random_state=0).fit(X)
smooth = search.best_estimator_


def restored(model):
    """All channels of all spectra."""
    return model.inverse_transform(model.transform(X))


missing = np.isnan(X)
errors = [np.sqrt(np.mean((restored(m) - clean)[missing] ** 2)) for m in (plain, smooth)]
print(f"strength {search.best_params_['penalty'].alpha}, errors {np.round(errors, 2)}")

# %%
# The band that hardly any spectrum shows
# ---------------------------------------
#
# A spectrum whose band is masked, as it was and as either model restores it. Without the penalty
# components follow the noise of the few spectra that show the band.
import matplotlib.pyplot as plt

number = 20
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
ax.axvspan(555, 580, color="0.92", label="masked in 55 of 60 spectra")
ax.plot(wavelengths, X[number], ".", color="0.5", label="observed")
ax.plot(wavelengths, clean[number], color="black", label="without noise")
ax.plot(wavelengths, restored(plain)[number], color="#d55e00", label="ridge")
ax.plot(wavelengths, restored(smooth)[number], color="#0072b2", lw=2, label="smooth components")
ax.set(xlabel="wavelength in nm", ylabel="intensity")
ax.set_title(f"Smooth components err by {errors[1]:.2f} in masked channels, not {errors[0]:.2f}")
fig.legend(loc="outside lower center", ncols=3, frameon=False)
plt.show()
