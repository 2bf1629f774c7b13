"""What MkDocs asks while it builds the site; named in mkdocs.yml."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

from docs_site.links import (
    DOCUMENTS,
    FILES,
    is_elsewhere,
    led_to,
    linked_for_site,
    links_of,
    place_on_site,
)
from docs_site.reference import FOLDER, generated_pages
from docs_site.stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

NODE_MODULES = ROOT / "docs_site" / "node_modules"
MERMAID = "assets/mermaid.js"
IFRAME_WORKER = "assets/iframe-worker.js"
SCRIPTS = {
    MERMAID: NODE_MODULES / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js",
    IFRAME_WORKER: NODE_MODULES / "iframe-worker" / "shim" / "index.js",
}
STYLE = "assets/site.css"
PICTURE = re.compile(r'<pre class="mermaid"><code>(.*?)</code></pre>', re.DOTALL)
WIDE = re.compile(
    r"\A\s*(sequenceDiagram|(flowchart|graph) (LR|RL)|stateDiagram-v2\s+direction (LR|RL))"
)
"""Pictures that go from left to right: on a phone they are scrolled, not shrunk."""
NEEDS_AWS = re.compile(r"^( *```+)sh aws$", re.MULTILINE)
LANGUAGES = {".py": "python", ".json": "json", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of each folder in the contents where mkdocs.yml names the folder."""
    config.nav = _expanded(config.nav or [])
    return config


def _expanded(items: Iterable[Any]) -> list[Any]:
    return [found for item in items for found in _items(item)]


def _items(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        ((title, below),) = item.items()
        yield {title: _expanded(below) if isinstance(below, list) else below}
    elif isinstance(item, str) and item.endswith("/"):
        generated = [name for name in generated_pages() if name.startswith(item)]
        written = sorted((ROOT / DOCUMENTS / item).glob("*.md"))
        # A folder's own page is first.
        names = sorted(
            (path.name for path in written), key=lambda name: (name != "README.md", name)
        )
        yield from (*(f"{item}{name}" for name in names), *generated)
    else:
        yield item


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made from code, the files that documents lead to, and the scripts."""
    for name, text in generated_pages().items():
        files.append(File.generated(config, name, content=text))
    shown: set[str] = set()
    left = [file for file in files if file.src_uri.endswith(".md")]
    while left:
        file = left.pop()
        path = _path_in_repository(file)
        for target in links_of(file.content_string):
            there = led_to(path, target)
            if is_elsewhere(target) or there.startswith((DOCUMENTS, "..")) or there in shown:
                continue
            shown.add(there)
            if (ROOT / there).is_file():
                added = File.generated(config, place_on_site(there), content=_shown(there))
                files.append(added)
                left.append(added)
    for name, script in SCRIPTS.items():
        files.append(File.generated(config, name, abs_src_path=str(script)))
    style = ROOT / "docs_site" / "site.css"
    files.append(File.generated(config, STYLE, abs_src_path=str(style)))
    return files


def _shown(path: str) -> str:
    """Return the page of a file that is no document, or a document as it is."""
    file = ROOT / path
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    return f"# {path}\n\n````{LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n````\n"


def _path_in_repository(file: File) -> str:
    """Return which file a page shows, from the root of the repository."""
    if not file.src_uri.startswith(f"{FILES}/"):
        return f"{DOCUMENTS}{file.src_uri}"
    return file.src_uri.removeprefix(f"{FILES}/")


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make a page's links good here; the reference's own page leads to what was made."""
    del config, files
    if page.file.src_uri == f"{FOLDER}/README.md":
        for path, text in generated_pages().items():
            title = text.partition("\n")[0].removeprefix("# ")
            markdown = markdown.replace(f"| {title} |", f"| [{title}]({path.rpartition('/')[2]}) |")
    markdown = NEEDS_AWS.sub(r'\1sh title="needs an AWS account"', markdown)
    return linked_for_site(_path_in_repository(page.file), markdown)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Load what draws pictures, where there are some, before the theme would from elsewhere."""
    del config
    if not PICTURE.search(output):
        return output
    output = PICTURE.sub(_framed, output)
    address = posixpath.relpath(MERMAID, posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace("</head>", f'<script src="{address}"></script></head>', 1)


def _framed(picture: re.Match[str]) -> str:
    wide = " wide" if WIDE.match(picture[1]) else ""
    return f'<div class="picture{wide}" tabindex="0">{picture[0]}</div>'
