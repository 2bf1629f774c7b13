"""Build the site of the documents: ``python -m docs_site.build``, which is ``make docs``.

It is strict: a link that leads nowhere or a page that the contents leave out ends it. Nothing of
the built site is loaded from elsewhere; its two scripts come from npm, locked in
docs_site/package-lock.json, and only this command installs them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "docs_site"
SITE = ROOT / ".build" / "site"
BIN = Path(sys.executable).parent
STAMP = HERE / "node_modules" / ".stamp"


def install_scripts() -> None:
    """Install what the pages draw and search with, unless it is there from the same lock.

    Raises:
        subprocess.CalledProcessError: npm could not; it has said why.
    """
    state = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == state:
        return
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    subprocess.run([BIN / "npm", "ci", "--silent"], cwd=HERE, env=environment, check=True)
    STAMP.write_text(state, encoding="utf-8")


def mkdocs(*words: str) -> int:
    """Run MkDocs in this checkout and return its exit code."""
    # The theme's word on a MkDocs to come is for its maintainers.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def main(arguments: list[str] | None = None) -> int:
    """Build the site, or serve it and build it again with each change."""
    parser = argparse.ArgumentParser(prog="python -m docs_site.build", description=__doc__)
    parser.add_argument("--out", type=Path, default=SITE, help="the folder to write it to")
    parser.add_argument("--serve", action="store_true", help="serve it on 127.0.0.1:8000 instead")
    chosen = parser.parse_args(arguments)
    try:
        install_scripts()
    except subprocess.CalledProcessError as error:
        print(f"error: npm ci in docs_site ended with {error.returncode}", file=sys.stderr)  # noqa: T201
        return 1
    if chosen.serve:
        return mkdocs("serve")
    ended = mkdocs("build", "--strict", "--site-dir", str(chosen.out.resolve()))
    if not ended:
        print(f"Written to {chosen.out}; open {chosen.out / 'index.html'}")  # noqa: T201
    return ended


if __name__ == "__main__":
    sys.exit(main())
