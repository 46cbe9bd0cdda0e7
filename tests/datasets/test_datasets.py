"""Data sets: files that the tests write, and planted factors that come back."""

import gzip
import hashlib
import shutil
import zipfile

import numpy as np
import pytest
from scipy import sparse, stats

from sklearn_mf import MatrixFactorization, TripletRegressor
from sklearn_mf.datasets import (
    _movielens,
    fetch_movielens,
    load_ratings,
    make_implicit,
    make_ratings,
)

pandas = pytest.importorskip("pandas")

ROWS = [(1, 10, 5, 978300760), (2, 20, 3, 978302109), (1, 20, 4, 978301968)]
FRAME = pandas.DataFrame(ROWS, columns=["user", "item", "rating", "timestamp"])


def text(separator, rows=ROWS, heading=None):
    lines = [separator.join(map(str, row)) for row in rows]
    return "\n".join([*([separator.join(heading)] if heading else []), *lines]) + "\n"


class TestLoadRatings:
    @pytest.mark.parametrize("separator", ["::", "\t", ",", ";", "|"])
    @pytest.mark.parametrize("heading", [None, ["who", "what", "stars", "when"]])
    def test_text(self, separator, heading, tmp_path):
        path = tmp_path / "ratings.txt"
        path.write_text(text(separator, heading=heading))
        expected = FRAME if heading is None else FRAME.set_axis(heading, axis=1)
        pandas.testing.assert_frame_equal(load_ratings(path), expected)
        pandas.testing.assert_frame_equal(
            load_ratings(str(path), columns="abcd"), FRAME.set_axis([*"abcd"], axis=1)
        )

    def test_strings(self, tmp_path):
        rows = [("ann", "tea", 5), ("bob", "jam", 3)]
        (tmp_path / "a.csv").write_text(text(",", rows))
        assert load_ratings(tmp_path / "a.csv")["user"].tolist() == ["ann", "bob"]
        (tmp_path / "b.csv").write_text(text(",", [r[:2] for r in rows], ["who", "what"]))
        assert load_ratings(tmp_path / "b.csv")["who"].tolist() == ["ann", "bob"]
        (tmp_path / "c.csv").write_text('"1","2","3"\n')
        assert load_ratings(tmp_path / "c.csv").columns.tolist() == ["user", "item", "rating"]

    @pytest.mark.parametrize("heading", [None, FRAME.columns.tolist()])
    @pytest.mark.parametrize("separator", [",", "::"])
    def test_lines_to_skip(self, heading, separator, tmp_path):
        path = tmp_path / "ratings.txt"
        path.write_text("18800\n92834\n" + text(separator, heading=heading))
        pandas.testing.assert_frame_equal(load_ratings(path, skiprows=2), FRAME)

    def test_compressed(self, tmp_path):
        path = tmp_path / "ratings.csv.gz"
        path.write_bytes(gzip.compress(text(",").encode()))
        pandas.testing.assert_frame_equal(load_ratings(path), FRAME)

    def test_parquet(self, tmp_path):
        pytest.importorskip("pyarrow")
        FRAME.to_parquet(tmp_path / "ratings.parquet")
        pandas.testing.assert_frame_equal(load_ratings(tmp_path / "ratings.parquet"), FRAME)

    def test_five_columns_have_numbers(self, tmp_path):
        (tmp_path / "a.csv").write_text("1,2,3,4,5\n")
        assert load_ratings(tmp_path / "a.csv").columns.tolist() == [0, 1, 2, 3, 4]

    def test_bad_files(self, tmp_path):
        (tmp_path / "a.txt").write_text("nothing to split\n")
        with pytest.raises(ValueError, match="'nothing to split', which contains none of"):
            load_ratings(tmp_path / "a.txt")
        (tmp_path / "a.csv").write_text(text(","))
        with pytest.raises(ValueError, match=r"has 4 columns, but .* contains 2 names"):
            load_ratings(tmp_path / "a.csv", columns=["a", "b"])
        with pytest.raises(FileNotFoundError):
            load_ratings(tmp_path / "none.csv")


GENRES = "0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0"
NAMES = ["userId", "movieId", "rating", "timestamp"]
FILES = {
    "100k": {
        "u.data": text("\t").encode(),
        "u.item": f"10|Café (1995)|01-Jan-1995||http://x|{GENRES}\n".encode("latin-1"),
    },
    "1m": {
        "ratings.dat": text("::").encode(),
        "movies.dat": "10::Café (1995)::Animation|Children's|Comedy\n".encode("latin-1"),
    },
    "20m": {
        "ratings.csv": text(",", heading=NAMES).encode(),
        "movies.csv": "movieId,title,genres\n10,Café (1995),Animation|Children's|Comedy\n".encode(),
    },
}
FILES["32m"] = FILES["20m"]


def write_archive(path, variant):
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in FILES[variant].items():
            archive.writestr(f"ml-{variant}/{name}", content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check(found):
    pandas.testing.assert_frame_equal(found.frame, FRAME, check_dtype=False)
    assert found.data.columns.tolist() == ["user", "item"]
    assert found.target.tolist() == [5, 3, 4]
    items = [10, "Café (1995)", "Animation|Children's|Comedy"]
    assert found.movies.to_numpy().tolist() == [items]
    assert "3 ratings of 2 films by 2 users" in found.DESCR


@pytest.mark.parametrize("variant", FILES)
class TestFetchMovieLens:
    def test_an_archive_that_is_there(self, variant, tmp_path, monkeypatch):
        path = tmp_path / "movielens" / f"ml-{variant}.zip"
        monkeypatch.setitem(_movielens.CHECKSUMS, variant, write_archive(path, variant))
        check(fetch_movielens(variant, data_home=tmp_path, download_if_missing=False))

    def test_a_download(self, variant, tmp_path, monkeypatch):
        """From a server whose address is that of a file."""
        served = tmp_path / "served" / f"ml-{variant}.zip"
        monkeypatch.setitem(_movielens.CHECKSUMS, variant, write_archive(served, variant))
        asked = []

        def retrieve(url, path):
            asked.append(url)
            shutil.copy(served, path)

        monkeypatch.setattr("sklearn.datasets._base.urlretrieve", retrieve)
        for _ in range(2):
            check(fetch_movielens(variant, data_home=tmp_path / "home"))
        assert asked == [f"https://files.grouplens.org/datasets/movielens/ml-{variant}.zip"]

    def test_an_unpacked_one(self, variant, tmp_path):
        folder = tmp_path / "movielens" / f"ml-{variant}"
        folder.mkdir(parents=True)
        for name, content in FILES[variant].items():
            (folder / name).write_bytes(content)
        check(fetch_movielens(variant, data_home=tmp_path, download_if_missing=False))

    def test_nothing_there(self, variant, tmp_path):
        with pytest.raises(OSError, match="`download_if_missing` is False"):
            fetch_movielens(variant, data_home=tmp_path, download_if_missing=False)


def test_an_archive_with_another_checksum(tmp_path, monkeypatch):
    write_archive(tmp_path / "movielens" / "ml-100k.zip", "100k")

    def offline(url, path):
        raise OSError("there is no network")

    monkeypatch.setattr("sklearn.datasets._base.urlretrieve", offline)
    with pytest.warns(UserWarning, match="SHA256"), pytest.raises(OSError, match="no network"):
        fetch_movielens("100k", data_home=tmp_path, n_retries=1, delay=0.01)


def test_unknown_variants():
    with pytest.raises(ValueError, match="'variant' parameter"):
        fetch_movielens("10k")


class TestMakeRatings:
    def test_truth_comes_back(self):
        X, W, H = make_ratings(400, 150, density=0.3, noise=0.1, scale=None, random_state=0)
        model = MatrixFactorization(
            3, bias="both", unstored="missing", alpha_W=0.01, random_state=0
        )
        found = model.inverse_transform(model.fit_transform(X))
        unseen = X.toarray() == 0
        assert np.corrcoef(found[unseen], (W @ H)[unseen])[0, 1] > 0.96

    def test_moments(self):
        X, W, H = make_ratings(
            2000,
            300,
            density=0.2,
            noise=0.5,
            scale=None,
            n_components=4,
            random_state=0,
        )
        truth = W @ H
        assert W.shape == (2000, 6)
        assert truth.std() == pytest.approx(1, abs=0.15)
        rows, columns = X.nonzero()
        residuals = X.data - truth[rows, columns]
        assert residuals.std() == pytest.approx(0.5, rel=0.05)
        assert X.nnz / truth.size == pytest.approx(0.2, rel=0.1)
        assert (np.diff(X.indptr) >= 1).all()

    @pytest.mark.parametrize("make", [make_ratings, make_implicit])
    def test_popularity(self, make):
        """Counts of columns follow Zipf's law, or are alike."""
        parameters = {"density": 0.02, "random_state": 0} | (
            {"affinity": 0.0} if make is make_implicit else {}
        )
        n = make(8000, 300, popularity_skew=1.0, **parameters)[0].count_nonzero(axis=0)
        ranks = np.arange(1, 301)
        slope = stats.linregress(np.log(ranks[5:]), np.log(np.sort(n)[::-1][5:])).slope
        assert slope == pytest.approx(-1, abs=0.1)
        alike = make(8000, 300, popularity_skew=0.0, **parameters)[0].count_nonzero(axis=0)
        assert alike.std() < 1.3 * np.sqrt(alike.mean())

    def test_scale(self):
        X, _, _ = make_ratings(scale=(-2, 2), random_state=0)
        assert set(X.data) == {-2.0, -1.0, 0.0, 1.0, 2.0}

    @pytest.mark.parametrize("make", [make_ratings, make_implicit])
    def test_seeds(self, make):
        first, again, other = (make(50, 20, random_state=seed)[0] for seed in (0, 0, 1))
        assert isinstance(first, sparse.csr_array)
        assert first.has_canonical_format
        assert (first != again).nnz == 0
        assert (first != other).nnz > 0
        state = np.random.RandomState(0)
        assert (make(50, 20, random_state=state)[0] != make(50, 20, random_state=state)[0]).nnz > 0

    def test_complete(self):
        assert make_ratings(30, 4, density=1.0, random_state=0)[0].nnz <= 120

    @pytest.mark.parametrize("scale", [(5, 1), (1,), (1, "a")])
    def test_bad_scale(self, scale):
        with pytest.raises(ValueError, match="must be a pair"):
            make_ratings(scale=scale)


class TestMakeImplicit:
    def test_tastes_decide(self):
        """Columns are drawn with the weights that the factors say."""
        X, W, H = make_implicit(
            20000,
            8,
            n_components=2,
            density=0.01,
            popularity_skew=0.5,
            random_state=0,
        )
        single = np.diff(X.indptr) == 1
        weights = np.exp(W @ H)
        expected = (weights / weights.sum(axis=1, keepdims=True))[single].sum(axis=0)
        found = (X[np.flatnonzero(single)] > 0).sum(axis=0)
        assert stats.chisquare(found, expected).pvalue > 0.01

    def test_counts(self):
        X, _, _ = make_implicit(2000, 100, mean_count=3.0, random_state=0)
        assert X.data.mean() == pytest.approx(3, rel=0.05)
        assert (make_implicit(mean_count=1.0, random_state=0)[0].data == 1).all()


def test_from_files_to_predictions(tmp_path):
    X, _, _ = make_ratings(200, 60, density=0.5, noise=0.3, random_state=0)
    rows, columns = X.nonzero()
    frame = pandas.DataFrame({"user": rows, "item": columns, "rating": X.data})
    frame.to_csv(tmp_path / "ratings.csv", index=False)
    ratings = load_ratings(tmp_path / "ratings.csv").sample(frac=1, random_state=0)
    model = MatrixFactorization(3, bias="both", unstored="missing", alpha_W=0.05, random_state=0)
    train, test = ratings[:-500], ratings[-500:]
    regressor = TripletRegressor(model, clip=(1, 5)).fit(train[["user", "item"]], train["rating"])
    assert regressor.score(test[["user", "item"]], test["rating"]) > 0.5
