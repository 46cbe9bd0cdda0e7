"""What a new user does: the program of the documentation, as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

from sklearn_mf.datasets import make_implicit

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
PAGE = Path(__file__).parents[2] / "doc" / "howto" / "long_tables.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="needs the documentation")


def programs():
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


def write_sales(path):
    """Customers and products as strings, in no order, some bought on several days."""
    X, _, _ = make_implicit(300, 80, random_state=0)
    customers, products = X.nonzero()
    days = np.random.default_rng(0).integers(90, size=len(customers))
    sales = pandas.DataFrame(
        {
            "customer": [f"customer {i:04}" for i in customers],
            "product": [f"product {j:03}" for j in products],
            "quantity": X.data.astype(int),
            "date": pandas.Timestamp("2024-01-01") + pandas.to_timedelta(days, unit="D"),
        }
    )
    again = sales[:200].assign(date=sales["date"][:200].to_numpy()[::-1])
    sales = pandas.concat([sales, again]).sample(frac=1, random_state=0)
    sales.to_csv(path, index=False)
    return sales


def test_the_program_of_the_documentation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sales = write_sales("sales.csv")
    whole, _, in_batches = programs()[:3]
    assert len(whole.strip().splitlines()) <= 12
    names = {}
    exec(whole, names)
    found = pandas.read_parquet("recommendations.parquet")
    assert found.columns.tolist() == ["customer", "product", "rank", "score"]
    assert set(found["customer"]) == set(sales["customer"])
    assert found.groupby("customer")["rank"].max().le(10).all()
    assert set(found["product"]) <= set(sales["product"])
    for _, scores in found.groupby("customer")["score"]:
        assert scores.is_monotonic_decreasing
    bought = set(zip(sales["customer"], sales["product"], strict=True))
    assert not bought & set(zip(found["customer"], found["product"], strict=True))
    exec(in_batches, names)
    batches = pandas.concat(map(pandas.read_parquet, sorted(Path().glob("recommendations-*"))))
    pandas.testing.assert_frame_equal(batches.reset_index(drop=True), found)


def test_the_evaluation_of_the_documentation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sales = write_sales("sales.csv")
    whole, evaluation, _ = programs()[:3]
    lines = evaluation.strip().splitlines()
    assert sum(not line.startswith(("import ", "from ")) for line in lines) <= 6
    names = {}
    exec(whole + evaluation, names)
    later = sales[sales["date"] >= "2024-03-01"]
    train = set(sales[sales["date"] < "2024-03-01"]["customer"])
    assert set(names["train"].row_labels) == train
    pairs = later[later["customer"].isin(train)][["customer", "product"]].drop_duplicates()
    pairs = pairs[pairs["product"].isin(names["train"].column_labels)]
    assert names["test"].X.nnz == len(pairs)
    assert "recall" in capsys.readouterr().out
    assert_only_what_is_new_is_relevant(names, sales, pairs)


def assert_only_what_is_new_is_relevant(names, sales, pairs):
    """Repeated purchases cannot be recommended, so they must not count as missed."""
    earlier = sales[sales["date"] < "2024-03-01"]
    bought = set(zip(earlier["customer"], earlier["product"], strict=True))
    later = set(zip(pairs["customer"], pairs["product"], strict=True))
    train, new = names["train"], names["new"]
    relevant = {
        (train.row_labels[i], train.column_labels[j]) for i, j in zip(*new.nonzero(), strict=True)
    }
    assert bought & later
    assert relevant == later - bought
    assert (new.data > 0).all()


def test_recommendations_are_those_of_a_table_by_hand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sales = write_sales("sales.csv")
    names = {}
    exec(programs()[0], names)
    found = pandas.read_parquet("recommendations.parquet")
    table = sales.pivot_table(
        index="customer", columns="product", values="quantity", aggfunc="sum", fill_value=0
    )
    model = names["model"]
    expected = model.inverse_transform(model.transform(names["data"]))
    expected = np.where(table.to_numpy() > 0, -np.inf, expected)
    best = table.columns.to_numpy()[expected.argmax(axis=1)]
    first = found[found["rank"] == 1].set_index("customer")["product"]
    assert first.loc[table.index].tolist() == best.tolist()
