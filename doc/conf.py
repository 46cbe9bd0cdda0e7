"""Sphinx configuration; the command that builds is in CONTRIBUTING.md."""

import re
import shutil
import sys
from pathlib import Path

import mathjax
from sphinx_gallery.sorting import ExplicitOrder

import sklearn_mf

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

from other_projects import write_inventories

project = "sklearn_mf"
author = "sklearn_mf developers"
copyright = f"2026, {author}"
release = sklearn_mf.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]

source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_templates", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]
# Single backticks in docstrings are code.
default_role = "literal"
# A reference that leads nowhere is a warning, and the build fails.
nitpicky = True
# numpydoc links the properties among the attributes of a class, whose entry is in its table alone.
nitpick_ignore_regex = [("py:obj", r"[a-z_]+")]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# What MathJax reads is marked by Sphinx; looking for dollar signs would find those in code.
myst_update_mathjax = False

# The :doi: role of the docstrings.
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}
# The build needs no network: neither for links to other projects nor for formulas.
intersphinx_mapping = write_inventories(HERE / "_build" / "inventories")
mathjax_path = "mathjax/tex-chtml.js"
mathjax_options = {"loading_method": "defer"}

bibtex_bibfiles = ["references.bib"]

autosummary_generate = True
autodoc_typehints = "none"
# The class template lists the methods.
numpydoc_show_class_members = False

# Figures of pages, drawn by the scripts in doc/pictures.
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 144)]
plot_rcparams = {"figure.constrained_layout.use": True, "font.size": 10}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # In teaching order, sections as well as the examples in each.
    "subsection_order": [
        f"../examples/{section}"
        for section in ("basics", "images", "tables", "signals", "parts", "recommending")
    ],
    "within_subsection_order": ExplicitOrder(
        [
            # First steps
            "plot_toy.py",
            "plot_solvers.py",
            "plot_components.py",
            "plot_choose_rank.py",
            "plot_pipeline_grid_search.py",
            # Images
            "plot_restore_pixels.py",
            "plot_denoise.py",
            "plot_compress.py",
            "plot_faces.py",
            "plot_background.py",
            # Tables
            "plot_impute_table.py",
            "plot_compare_imputers.py",
            "plot_digits_with_holes.py",
            "plot_mixed_table.py",
            # Signals and streams
            "plot_sensor_outage.py",
            "plot_smooth_spectra.py",
            "plot_weighted_spectra.py",
            "plot_stream.py",
            # Parts and topics
            "plot_digits_parts.py",
            "plot_nmf_missing.py",
            "plot_topics.py",
            # Recommending
            "plot_recommend.py",
            "plot_implicit.py",
            "plot_ranking_metrics.py",
            "*",
        ]
    ),
    "doc_module": ("sklearn_mf",),
    "backreferences_dir": "gen_modules/backreferences",
    "reference_url": {"sklearn_mf": None},
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
}

# Prompts and output are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_mf {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "sklearn_mf"},
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
# Pages without sections of their own need no navigation on the left.
html_sidebars = {page: [] for page in ("index", "getting_started", "choosing", "whats_new")}


def escape_fitted_names(app, what, name, obj, options, lines):
    """Keep the last underscore in ``(n_components_, n_features)`` from making a link."""
    for i, line in enumerate(lines):
        if re.match(r"\s*\*\*\w+\*\* : ", line):
            lines[i] = re.sub(r"(?<![*\w])(\w+)_(?!\w)", r"\1\\_", line)


def copy_mathjax(app, error):
    """Copy from the Python package that carries MathJax what pages load: a script and fonts."""
    if error is None and app.builder.format == "html":
        source = Path(mathjax.__file__).parent / "static" / "mathjax" / "es5"
        target = Path(app.outdir) / "_static" / "mathjax"
        fonts = Path("output", "chtml", "fonts", "woff-v2")
        shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)
        shutil.copy(source / "tex-chtml.js", target)


def setup(app):
    # Later than numpydoc, which has the priority 500.
    app.connect("autodoc-process-docstring", escape_fitted_names, priority=900)
    app.connect("build-finished", copy_mathjax)
