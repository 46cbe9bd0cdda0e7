"""How many times as long peers take, from the stored tables of benchmarks/README.md."""

import re
from pathlib import Path

import matplotlib.pyplot as plt


def table(text):
    """Rows of the Markdown table at the beginning of a text, as lists of cells."""
    rows = []
    for line in text.splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


# The names of the rows to show, as they stand in the tables, and what to call them.
SHOWN = {
    ("`ratings.py`, exact sweep, k = 64", "cmfrec"): "ratings, an exact sweep: cmfrec",
    ("to 0.7403", "Spark ALS, 10 iterations"): "ratings, to equal error: Spark ALS",
    ("to 0.72782", "libmf, 20 epochs, best of three penalties"): "ratings, to equal error: libmf",
    (
        "`complete.py`, centred 20,000 x 1,000, k = 32, relative error 0.43958",
        "PCA auto",
    ): "complete, centred: PCA",
    ("not centred, relative error 0.43959", "TruncatedSVD randomized"): "complete: TruncatedSVD",
    ("`sparse.py`, relative error 0.84458", "TruncatedSVD randomized (0.84475)"): (
        "sparse: TruncatedSVD"
    ),
    ('5,000 x 2,000, k = 32, "random"', 'scikit-learn "cd"'): "NMF: scikit-learn",
    ("`implicit_feedback.py`, exact sweep, k = 64", "implicit"): "implicit feedback: implicit",
    ("`ranking.py`, top 10 of 50,000 x 20,000", "implicit"): "top 10 of all rows: implicit",
}

# Sphinx runs this script in its own folder.
text = Path("../../benchmarks/README.md").read_text(encoding="utf-8")
rows = []
for found in re.finditer(r"^\| work \| peer \|", text, flags=re.M):
    rows += table(text[found.start() :])
# The last column has the ratio, of which a range may be given: its lower end counts.
ratios = {(row[0], row[1]): float(re.match(r"[\d.]+", row[-1])[0]) for row in rows}
found = {name: ratios[key] for key, name in SHOWN.items() if key in ratios}
if len(found) < 5:
    raise ValueError("The tables of benchmarks/README.md have other rows than are drawn here.")
names, values = list(found), list(found.values())

fig, ax = plt.subplots(figsize=(7.5, 3.4))
bars = ax.barh(names[::-1], values[::-1], color="#0072b2")
ax.bar_label(bars, fmt="%g", padding=3)
ax.axvline(1, color="black", lw=1)
ax.set(
    xscale="log",
    xlim=(0.9, 60),
    xlabel="time of the other package, divided by ours",
    title="Other packages take longer for the same work",
)
ax.set_xticks([1, 2, 5, 10, 20, 50], labels=["1", "2", "5", "10", "20", "50"])
ax.minorticks_off()
