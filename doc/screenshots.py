"""Take a screenshot of every page of the built documentation, at two widths.

python doc/screenshots.py FOLDER [--pages guide/*] [--widths 1280 420]

Needs Chromium; the environment variable CHROMIUM names another than /usr/bin/chromium. Pages are
served from this machine, so that scripts and fonts load as they would from a web site.
"""

import argparse
import fnmatch
import functools
import http.server
import os
import re
import subprocess
import tempfile
import threading
from pathlib import Path

BUILT = Path(__file__).parent / "_build" / "html"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=8000",
]
LEFT_OUT = ["_*", "genindex.html", "search.html", "py-modindex.html", "api/generated/*"]


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve():
    """Serve the built pages from a free port, and return their address."""
    handler = functools.partial(Silent, directory=BUILT)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def chromium(*arguments):
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", *arguments],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", nargs="*", default=["*"], help="patterns of paths")
    parser.add_argument("--widths", nargs="*", type=int, default=[1280, 420])
    parser.add_argument("--height", type=int, default=3000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    address = serve()
    for path in sorted(BUILT.rglob("*.html")):
        page = path.relative_to(BUILT).as_posix()
        if any(fnmatch.fnmatch(page, pattern) for pattern in LEFT_OUT):
            continue
        if not any(fnmatch.fnmatch(page, pattern) for pattern in options.pages):
            continue
        for width in options.widths:
            name = re.sub(r"\W+", "_", page.removesuffix(".html"))
            picture = options.folder / f"{name}_{width}.png"
            size = f"--window-size={width},{options.height}"
            chromium(f"--screenshot={picture}", size, f"{address}/{page}")
            print(picture, flush=True)


if __name__ == "__main__":
    main()
