"""What is no table of numbers is refused by name, before any work."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mf import (
    NMF,
    FactorizationImputer,
    MatrixFactorization,
    RankSearchCV,
    select_rank,
)
from sklearn_mf.model_selection import train_test_entry_split

TABLE = np.random.default_rng(0).random((12, 4))
USERS = {
    "fit": lambda X: MatrixFactorization(2).fit(X),
    "transform": lambda X: MatrixFactorization(2).fit(TABLE).transform(X),
    "NMF": lambda X: NMF(2).fit(X),
    "imputer": lambda X: FactorizationImputer().fit(X),
    "search": lambda X: RankSearchCV(MatrixFactorization(), ranks=[1, 2]).fit(X),
    "select_rank": select_rank,
    "split": train_test_entry_split,
}


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"a": [1.0, 2.0]},
        lambda: {1.0, 2.0},
        lambda: (row for row in TABLE),
        lambda: map(list, TABLE),
    ],
)
@pytest.mark.parametrize("user", USERS)
def test_dicts_sets_and_iterators_are_refused_by_name(user, make):
    made = make()
    with pytest.raises(TypeError, match=rf"^X must be an array.* got {type(made).__name__}"):
        USERS[user](made)


def test_the_rank_of_a_query_is_not_selected():
    polars = pytest.importorskip("polars")
    with pytest.raises(ValueError, match=r"^X is a LazyFrame.*call \.collect\(\)"):
        select_rank(polars.DataFrame(TABLE).lazy())


@pytest.mark.parametrize(
    "parameters", [{"n_components": 2, "solver": "svd"}, {"n_components": 0.5}], ids=str
)
def test_what_needs_complete_data_says_where_they_are_not(parameters):
    holed = TABLE.copy()
    holed[3, 2] = np.nan
    model = MatrixFactorization(**parameters)
    with pytest.raises(ValueError, match=r"contains NaN in row 3, column 2, but .* complete data"):
        model.fit(holed)
    with pytest.raises(ValueError, match=r"contains NaN in row 3, column 'c', but"):
        model.fit(pd.DataFrame(holed, columns=list("abcd")))
