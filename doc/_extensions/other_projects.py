"""Links to the documentation of other projects, by inventories that are written here.

``sphinx.ext.intersphinx`` reads a compressed list of all names that a project documents, and
would fetch it from the network. ``other_projects.toml`` lists by hand the names that are referred
to here, so that the documentation builds offline. A name that is missing there is a warning.
"""

import tomllib
import zlib
from pathlib import Path

NAMES = Path(__file__).with_suffix(".toml")


def write_inventories(folder):
    """Write one inventory for each project, and return the mapping that intersphinx takes."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, listed in tomllib.loads(NAMES.read_text(encoding="utf-8")).items():
        lines = [
            f"{name} py:{kind} 1 {listed['page'].format(name=name)} -"
            for kind, names in listed["names"].items()
            for name in names
        ]
        heading = (
            "# Sphinx inventory version 2\n"
            f"# Project: {project}\n"
            "# Version: \n"
            "# The remainder of this file is compressed using zlib.\n"
        )
        path = folder / f"{project}.inv"
        path.write_bytes(heading.encode() + zlib.compress("\n".join([*lines, ""]).encode()))
        mapping[project] = (listed["url"], str(path))
    return mapping
