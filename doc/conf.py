"""Sphinx configuration; the command that builds is in CONTRIBUTING.md."""

import re

import sklearn_mf

project = "sklearn_mf"
author = "sklearn_mf developers"
copyright = f"2026, {author}"
release = sklearn_mf.__version__
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]

source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "_templates", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]
# Single backticks in docstrings are code.
default_role = "literal"
# Names of other projects are not links here: the build needs no network.
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The :doi: role of the docstrings.
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}

autosummary_generate = True
autodoc_typehints = "none"
# The class template lists the methods.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
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
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "sklearn_mf"},
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
# Pages without sections of their own need no navigation on the left.
html_sidebars = {
    page: [] for page in ("index", "getting_started", "user_guide", "design", "whats_new")
}


def escape_fitted_names(app, what, name, obj, options, lines):
    """Keep the last underscore in ``(n_components_, n_features)`` from making a link."""
    for i, line in enumerate(lines):
        if re.match(r"\s*\*\*\w+\*\* : ", line):
            lines[i] = re.sub(r"(?<![*\w])(\w+)_(?!\w)", r"\1\\_", line)


def setup(app):
    # Later than numpydoc, which has the priority 500.
    app.connect("autodoc-process-docstring", escape_fitted_names, priority=900)
