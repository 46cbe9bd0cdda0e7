"""Codes for components that a penalty has all but removed."""

import numpy as np
from scipy import sparse

from sklearn_mf import NMF

X = np.array(
    [
        [11.0, 4.32e-06, 0.106, 0.0453],
        [np.nan, np.nan, np.nan, 0.0125],
        [0.00853, 7.45e-07, 0.141, 0.129],
        [np.nan, 7.33e-06, 0.0563, np.nan],
        [12.2, 8.83e-08, np.nan, 0.033],
        [4.78, 8.36e-07, 0.00171, np.nan],
        [7.92, 4.04e-07, 0.0874, 0.149],
        [13.6, 1.57e-05, 0.0735, 0.0426],
    ]
)


def test_codes_of_vanishing_components_are_zero():
    model = NMF(
        None,
        init="nndsvda",
        beta_loss=3.0,
        solver="mu",
        alpha_W=100.0,
        alpha_H=0.1,
        l1_ratio=1.0,
        tol=10.0,
        max_iter=30,
        random_state=0,
    )
    data = sparse.coo_array(X)
    model.fit(data)
    assert 0 < model.components_[:, 2:].max() < 1e-200
    codes = model.transform(data)
    assert np.isfinite(codes).all()
    # All that row 1 has is where components vanish, and codes have a price.
    assert codes[1].max() == 0
    assert codes[0, 0] > 0
