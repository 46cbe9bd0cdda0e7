"""Long tables as matrices with labels, and recommendations back as long tables."""

import datetime
import importlib
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_mf import MatrixFactorization, RankSearchCV
from sklearn_mf.model_selection import (
    MaskedEntryScorer,
    cross_val_entries,
    train_test_entry_split,
)
from sklearn_mf.recommending import LabeledMatrix, pivot_entries

pd = pytest.importorskip("pandas")

MAKES = ["pandas", "polars", "pyarrow"]
NAMES = {"rows": "customer", "columns": "product"}


def table(make, columns):
    """A long table of a library."""
    library = pytest.importorskip(make)
    return library.table(columns) if make == "pyarrow" else library.DataFrame(columns)


def purchases(n=200, seed=0, labels=str):
    """Customers, products, quantities; pairs come more than once."""
    rng = np.random.default_rng(seed)
    customers, products = rng.integers(5, 35, size=n), rng.integers(1, 12, size=n)
    return {
        "customer": [labels(c) for c in customers],
        "product": [labels(p) for p in products],
        "quantity": rng.integers(1, 9, size=n).astype(float),
    }


def columns_of(frame):
    """The columns of a table of any library as lists."""
    return frame.to_pydict() if hasattr(frame, "to_pydict") else frame.to_dict(**AS_LISTS(frame))


def AS_LISTS(frame):
    return {"orient": "list"} if hasattr(frame, "iloc") else {"as_series": False}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("labels", [str, int], ids=["strings", "integers"])
@pytest.mark.parametrize("aggregate", ["sum", "mean", "max", "min", "last"])
def test_as_pandas_pivots(make, labels, aggregate):
    columns = purchases(labels=labels)
    data = pivot_entries(table(make, columns), **NAMES, values="quantity", aggregate=aggregate)
    expected = pd.DataFrame(columns).pivot_table(
        index="customer", columns="product", values="quantity", aggfunc=aggregate
    )
    assert data.row_labels.tolist() == expected.index.tolist()
    assert data.column_labels.tolist() == expected.columns.tolist()
    assert data.X.nnz == expected.notna().to_numpy().sum()
    np.testing.assert_allclose(data.X.toarray(), expected.fillna(0))


@pytest.mark.parametrize("make", MAKES)
def test_without_values_interactions_are_counted(make):
    columns = purchases()
    data = pivot_entries(table(make, columns), **NAMES)
    frame = pd.DataFrame(columns)
    np.testing.assert_array_equal(
        data.X.toarray(), pd.crosstab(frame["customer"], frame["product"])
    )


def test_categories_dates_and_nullable_integers_are_labels():
    columns = pd.DataFrame(purchases(labels=int))
    plain = pivot_entries(columns, **NAMES)
    others = {
        "category": lambda values: values.astype("category"),
        "Int64": lambda values: values.astype("Int64"),
        "date": lambda values: pd.to_datetime(values, unit="D"),
        "arrow": lambda values: values.astype("int64[pyarrow]"),
    }
    for convert in others.values():
        data = pivot_entries(columns.assign(product=convert(columns["product"])), **NAMES)
        np.testing.assert_array_equal(data.X.toarray(), plain.X.toarray())


@pytest.mark.parametrize("make", MAKES)
def test_only_categories_that_occur(make):
    """Sorted as the library sorts them, whatever else there might have been."""
    frame = pd.DataFrame({"customer": ["b", "a"], "product": ["x", "y"]})
    customers = pd.Categorical(frame["customer"], categories=["c", "b", "a"])
    frame = frame.assign(customer=customers)
    if make == "polars":
        frame = pytest.importorskip("polars").from_pandas(frame)
    elif make == "pyarrow":
        frame = pytest.importorskip("pyarrow").Table.from_pandas(frame)
    data = pivot_entries(frame, **NAMES)
    assert sorted(data.row_labels) == ["a", "b"]
    assert data.X[data.row_labels.tolist().index("a")].toarray().tolist() == [0, 1]


@pytest.mark.parametrize("make", MAKES)
def test_parts_of_tables(make):
    """Whose index has gaps, or whose columns are in chunks."""
    columns = purchases()
    whole = table(make, columns)
    if make == "pandas":
        part = whole[whole["quantity"] > 3]
    elif make == "polars":
        part = whole.filter(whole["quantity"] > 3)
    else:
        pyarrow = pytest.importorskip("pyarrow")
        part = pyarrow.concat_tables([whole.slice(0, 50), whole.slice(50)])
        part = part.filter(pyarrow.compute.greater(part["quantity"], 3))
    frame = pd.DataFrame(columns)
    expected = frame[frame["quantity"] > 3].pivot_table(
        index="customer", columns="product", values="quantity", aggfunc="last"
    )
    data = pivot_entries(part, **NAMES, values="quantity", aggregate="last")
    np.testing.assert_array_equal(data.X.toarray(), expected.fillna(0))


def test_labels_of_several_kinds():
    frame = pd.DataFrame({"customer": ["a", 1, "a"], "product": ["x", "x", 2.5]})
    data = pivot_entries(frame, **NAMES)
    cells = {
        (data.row_labels[i], data.column_labels[j]) for i, j in zip(*data.X.nonzero(), strict=True)
    }
    assert cells == {("a", "x"), (1, "x"), ("a", 2.5)}


@pytest.mark.parametrize("make", MAKES)
def test_known_columns(make):
    """A later table gets the columns of the first one, whatever occurs in it."""
    columns = purchases()
    data = pivot_entries(table(make, columns), **NAMES, values="quantity")
    some = {name: values[:7] for name, values in columns.items()}
    again = pivot_entries(
        table(make, some), **NAMES, values="quantity", column_labels=data.column_labels
    )
    whole = pd.DataFrame(data.X.toarray() * 0, data.row_labels, data.column_labels)
    for customer, product, quantity in zip(*some.values(), strict=True):
        whole.loc[customer, product] += quantity
    np.testing.assert_array_equal(again.X.toarray(), whole.loc[again.row_labels])
    assert again.shape == (len(set(some["customer"])), data.shape[1])


@pytest.mark.parametrize("make", MAKES)
def test_unknown_labels_are_refused_or_dropped(make):
    known = ["1", "2", "3"]
    frame = table(make, {"customer": ["a", "b", "b"], "product": ["3", "9", "1"]})
    with pytest.raises(
        ValueError, match=r"'product' contains labels .* column_labels: '9'\. Use unknown='"
    ):
        pivot_entries(frame, **NAMES, column_labels=known)
    data = pivot_entries(frame, **NAMES, column_labels=known, unknown="drop")
    np.testing.assert_array_equal(data.X.toarray(), [[0, 0, 1], [1, 0, 0]])


def test_known_labels_of_another_type():
    frame = pd.DataFrame({"customer": ["a"], "product": [3]})
    with pytest.raises(
        ValueError, match="have type int, but the known labels have type str: convert"
    ):
        pivot_entries(frame, **NAMES, column_labels=["3"])


@pytest.mark.parametrize(
    "known", [["b", "a"], np.array(["b", "a"]), pd.Index(["b", "a"]), [1, "a"]]
)
def test_known_labels_stay_what_they_are(known):
    frame = pd.DataFrame({"customer": ["x", "y"], "product": [known[0], known[1]]}, dtype=object)
    data = pivot_entries(frame, **NAMES, column_labels=known)
    assert data.column_labels.dtype == object
    assert data.column_labels.tolist() == list(known)
    kinds = [str if isinstance(label, str) else int for label in known]
    assert [type(label) for label in data.column_labels] == kinds
    np.testing.assert_array_equal(data.X.toarray(), np.eye(2))


def test_known_numbers_are_numbers():
    frame = pd.DataFrame({"customer": ["x", "y"], "product": [3, 4]})
    assert pivot_entries(frame, **NAMES, column_labels=[4, 3]).column_labels.dtype == np.int64


def test_known_rows():
    frame = pd.DataFrame({"customer": ["a", "b"], "product": ["x", "y"]})
    data = pivot_entries(frame, **NAMES, row_labels=["c", "b", "a"])
    np.testing.assert_array_equal(data.X.toarray(), [[0, 0], [0, 1], [1, 0]])


def test_zeros_are_stored():
    frame = pd.DataFrame({"customer": ["a", "b"], "product": ["x", "y"], "stars": [0, 1]})
    assert pivot_entries(frame, **NAMES, values="stars").X.nnz == 2


def test_single_precision_stays():
    frame = pd.DataFrame(purchases()).astype({"quantity": np.float32})
    assert pivot_entries(frame, **NAMES, values="quantity").X.dtype == np.float32


def test_the_table_is_not_changed():
    frame = pd.DataFrame(purchases())
    before = frame.copy()
    pivot_entries(frame, **NAMES, values="quantity", aggregate="mean")
    pd.testing.assert_frame_equal(frame, before)


BAD = [
    ({"columns": "products"}, {}, r"columns='products': frame has no column.*'product'"),
    ({"values": "customer"}, {}, "must name different columns"),
    ({"values": "quantity"}, {"quantity": ["a", "b", "c"]}, "columns of categories.*'quantity'"),
    ({"values": "quantity"}, {"quantity": [1, np.nan, 2]}, "NaN in row 1, column 'quantity'"),
    ({"values": "quantity"}, {"quantity": [1, 2, np.inf]}, "infinity.*row 2, column 'quantity'"),
    ({}, {"product": ["x", None, "y"]}, "no label in row 1, column 'product'"),
    ({"aggregate": "error"}, {}, r"pair 'a', 'x' is repeated .* 1 rows repeat"),
    ({"aggregate": "median"}, {}, "'aggregate' parameter"),
    ({"column_labels": ["x", "x"]}, {}, "column_labels contains 'x' more than once"),
    ({"column_labels": ["q"], "unknown": "drop"}, {}, "no entry with known labels"),
]


@pytest.mark.parametrize(("arguments", "changes", "message"), BAD)
def test_bad_tables(arguments, changes, message):
    columns = {"customer": ["a", "b", "a"], "product": ["x", "y", "x"], "quantity": [1.0, 2, 3]}
    frame = pd.DataFrame(columns | changes)
    with pytest.raises(ValueError, match=message):
        pivot_entries(frame, **NAMES | arguments)


def test_columns_of_several_levels():
    columns = pd.MultiIndex.from_tuples([("who", "customer"), ("what", "product")])
    frame = pd.DataFrame([["a", "x"], ["b", "y"]], columns=columns)
    with pytest.raises(ValueError, match=r"rows='who'.*no column with this name, .*several levels"):
        pivot_entries(frame, rows="who", columns="what")
    frame.columns = frame.columns.map("_".join)  # as the message says
    data = pivot_entries(frame, rows="who_customer", columns="what_product")
    np.testing.assert_array_equal(data.X.toarray(), np.eye(2))


def test_a_name_that_comes_twice_is_not_what_was_meant():
    frame = pd.DataFrame([["a", "x", 1, 2]], columns=["customer", "product", "q", "q"])
    with pytest.raises(ValueError, match=r"values='q': frame has more than one.*Rename") as error:
        pivot_entries(frame, **NAMES, values="q")
    assert "Did you mean" not in str(error.value)
    with pytest.raises(ValueError, match="no column with this name"):
        pivot_entries(frame.set_axis([0, 1, 2, 3], axis=1), rows="p", columns="q")


DATES = [datetime.date(2024, 3, 1), datetime.date(2024, 3, 2)]


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("values", [DATES, [datetime.datetime(2024, 3, 1)] * 2], ids=["days", "s"])
def test_dates_are_to_be_made_numbers(make, values):
    frame = table(make, {"customer": ["a", "b"], "product": ["x", "y"], "date": values})
    with pytest.raises(
        ValueError, match=r"dates: 'date'.*convert dates to numbers.*since the"
    ) as error:
        pivot_entries(frame, **NAMES, values="date")
    assert "ColumnTransformer" not in str(error.value)
    with pytest.raises(
        ValueError, match=r"'customer', .*ColumnTransformer.*convert dates to numbers"
    ):
        MatrixFactorization(1).fit(frame)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("labels", [[1.5, np.nan, 0.5], ["a", None, "b"]], ids=["NaN", "None"])
def test_no_label_is_an_error_in_every_library(make, labels):
    frame = table(make, {"customer": ["a", "b", "c"], "product": labels})
    with pytest.raises(ValueError, match="no label in row 1, column 'product'"):
        pivot_entries(frame, **NAMES)


def test_no_table():
    with pytest.raises(TypeError, match=r"frame must be a DataFrame .* got dict"):
        pivot_entries(purchases(), **NAMES)
    polars = pytest.importorskip("polars")
    with pytest.raises(ValueError, match=r"call \.collect\(\)"):
        pivot_entries(polars.DataFrame(purchases()).lazy(), **NAMES)


class TestToFrame:
    @pytest.mark.parametrize("make", MAKES)
    def test_labels_of_recommendations(self, make):
        frame = table(make, {"customer": ["ann", "bob", "eve"], "product": ["jam", "tea", "rum"]})
        data = pivot_entries(frame, **NAMES)  # columns jam, rum, tea
        found = data.to_frame(
            [[2, 1], [0, -1], [-1, -1]], [[3.0, 1.0], [2.0, np.nan], [np.nan] * 2]
        )
        assert type(found).__module__.partition(".")[0] == make
        assert columns_of(found) == {
            "customer": ["ann", "ann", "bob"],
            "product": ["tea", "rum", "jam"],
            "rank": [1, 2, 1],
            "score": [3.0, 1.0, 2.0],
        }

    def test_without_scores_and_of_some_rows(self):
        data = pivot_entries(pd.DataFrame(purchases()), **NAMES)
        found = data[3:5].to_frame([[1], [0]])
        assert found.columns.tolist() == ["customer", "product", "rank"]
        assert found["customer"].tolist() == data.row_labels[3:5].tolist()

    @pytest.mark.parametrize(
        ("items", "scores", "message"),
        [
            ([[0]], None, r"must have shape \(2, n\)"),
            ([[0], [2]], None, r"\[0, 2\)"),
            ([[0], [-2]], None, r"\[0, 2\)"),
            ([[0.0], [1.0]], None, "integers"),
            ([[0], [1]], [[1.0]], "must match"),
        ],
    )
    def test_bad_recommendations(self, items, scores, message):
        data = pivot_entries(pd.DataFrame({"customer": ["a", "b"], "product": ["x", "y"]}), **NAMES)
        with pytest.raises(ValueError, match=message):
            data.to_frame(items, scores)

    def test_names_that_clash(self):
        frame = pd.DataFrame({"rank": ["a"], "product": ["x"]})
        with pytest.raises(ValueError, match="rename"):
            pivot_entries(frame, rows="rank", columns="product").to_frame([[0]])


class TestInEstimators:
    @pytest.fixture
    def data(self):
        return pivot_entries(pd.DataFrame(purchases(400)), **NAMES, values="quantity")

    @pytest.fixture
    def model(self):
        return MatrixFactorization(2, unstored="missing", bias="both", alpha_W=0.1, random_state=0)

    @pytest.mark.parametrize("make", MAKES)
    def test_strings_become_names_of_features(self, make, model):
        data = pivot_entries(table(make, purchases(400)), **NAMES, values="quantity")
        codes = model.fit_transform(data)
        assert model.feature_names_in_.tolist() == data.column_labels.tolist()
        np.testing.assert_array_equal(codes, clone(model).fit_transform(data.X))

    def test_integers_do_not(self, model):
        data = pivot_entries(pd.DataFrame(purchases(400, labels=int)), **NAMES)
        assert not hasattr(model.fit(data), "feature_names_in_")

    def test_other_columns_are_refused(self, data, model):
        model.fit(data)
        later = purchases(100, seed=1)
        labels = model.feature_names_in_[::-1]
        wrong = pivot_entries(pd.DataFrame(later), **NAMES, values="quantity", column_labels=labels)
        with pytest.raises(ValueError, match="feature names should match"):
            model.transform(wrong)
        right = pivot_entries(
            pd.DataFrame(later),
            **NAMES,
            values="quantity",
            column_labels=model.feature_names_in_,
        )
        assert model.transform(right).shape == (len(right), 3)

    def test_searches_slice_it(self, data, model):
        search = GridSearchCV(model, {"n_components": [1, 2]}, cv=KFold(3)).fit(data)
        plain = GridSearchCV(model, {"n_components": [1, 2]}, cv=KFold(3)).fit(data.X)
        np.testing.assert_array_equal(
            search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
        )
        ranks = RankSearchCV(model, [1, 2], cv=2, random_state=0).fit(data)
        assert ranks.feature_names_in_.tolist() == data.column_labels.tolist()

    def test_hidden_entries_leave_the_labels(self, data, model):
        train, test = train_test_entry_split(data, random_state=0)
        parts = train_test_entry_split(data.X, random_state=0)
        for part, plain in zip((train, test), parts, strict=True):
            assert part.column_labels is data.column_labels
            np.testing.assert_array_equal(part.X.toarray(), plain.toarray())
        scorer, model = MaskedEntryScorer(), model.fit(data)
        assert scorer(model, data) == scorer(clone(model).fit(data.X), data.X)
        found = cross_val_entries(model, data, cv=3)["test_score"]
        np.testing.assert_array_equal(found, cross_val_entries(model, data.X, cv=3)["test_score"])

    def test_what_is_found_has_labels(self, data, model):
        model.fit(data)
        some = data[:4]
        frame = some.to_frame(*model.recommend(some, n=3, exclude_seen=False))
        expected = pd.DataFrame(
            model.inverse_transform(model.transform(some)), some.row_labels, data.column_labels
        )
        for customer, rows in frame.groupby("customer"):
            best = expected.loc[customer].sort_values(ascending=False)[:3]
            assert rows["product"].tolist() == best.index.tolist()
            np.testing.assert_allclose(rows["score"], best)

    def test_rows_of_every_kind(self, data):
        mask = np.arange(len(data)) % 2 == 0
        for rows in (slice(0, 3), np.array([2, 0]), mask, [1, 2]):
            part = data[rows]
            np.testing.assert_array_equal(part.X.toarray(), data.X.toarray()[rows])
            assert part.row_labels.tolist() == data.row_labels[rows].tolist()
        with pytest.raises(TypeError, match=r"Pass \[3\]"):
            data[3]
        with pytest.raises(TypeError, match="rows only"):
            data[:, 0]

    def test_it_can_be_pickled(self, data):
        again = pickle.loads(pickle.dumps(data))
        assert isinstance(again, LabeledMatrix)
        np.testing.assert_array_equal(again.X.toarray(), data.X.toarray())


def test_narwhals():
    narwhals = pytest.importorskip("narwhals")
    frame = narwhals.from_native(pd.DataFrame(purchases()))
    data = pivot_entries(frame, **NAMES)
    assert data.make == "pandas"
    assert importlib.import_module(data.make) is pd
