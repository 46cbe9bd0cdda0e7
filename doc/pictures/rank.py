"""Errors of hidden entries along the ranks, of data of rank four."""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.plotting import RankSearchDisplay

rng = np.random.default_rng(0)
X = rng.standard_normal((200, 4)) @ rng.standard_normal((4, 30))
X += 0.5 * rng.standard_normal(X.shape)
X[rng.random(X.shape) < 0.3] = np.nan
search = RankSearchCV(MatrixFactorization(random_state=0), ranks=range(1, 9), random_state=0)
fig, ax = plt.subplots(figsize=(6, 3.5))
RankSearchDisplay.from_estimator(search.fit(X), ax=ax)
ax.set_title("Hidden entries are predicted best with four components")
