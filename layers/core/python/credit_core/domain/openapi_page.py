"""A page that shows an OpenAPI document: one file of HTML, no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

from credit_core.domain.strict_body import shown_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from credit_core.domain.api_schemas import Schema

STYLE = """
:root { color-scheme: light dark; --line: #8884; --link: light-dark(#0b57c2, #8ab8ff);
  --soft: light-dark(#4c5560, #a9b3bf); --code: light-dark(#f4f6f8, #1d2127) }
* { box-sizing: border-box }
html { scroll-padding-top: 1rem }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; background: light-dark(#fff, #14171a);
  color: light-dark(#1b1f24, #e6e9ed); display: grid; grid-template-columns: 17rem minmax(0, 1fr) }
a { color: var(--link) }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 3px solid var(--link) }
.skip { position: absolute; left: -99rem } .skip:focus { left: 1rem; top: 1rem }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 1rem;
  border-right: 1px solid var(--line); font-size: .875rem }
nav h2 { font-size: .8125rem; margin: 1.25rem 0 .25rem; border: 0; padding: 0; color: var(--soft) }
nav ul { list-style: none; margin: 0; padding: 0 } nav li { padding: .15rem 0 }
nav a { text-decoration: none } nav a:hover { text-decoration: underline }
main { padding: 1.5rem clamp(1rem, 4vw, 3.5rem) 5rem; max-width: 62rem }
h1 { font-size: 2rem; line-height: 1.2; margin: .5rem 0 }
h2 { font-size: 1.4rem; margin: 3rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line) }
h3 { font-size: 1.15rem; margin: 2.5rem 0 .25rem } h4 { font-size: 1rem; margin: 1.25rem 0 .25rem }
.lead { font-size: 1.1rem; color: var(--soft) }
code, pre { font: .875em/1.5 ui-monospace, monospace }
code { background: var(--code); padding: .1em .3em; border-radius: 3px }
pre { background: var(--code); padding: .75rem 1rem; border-radius: 6px; overflow: auto;
  max-height: 32rem; margin: .5rem 0 }
pre code { padding: 0; background: none }
.scroll { overflow-x: auto; margin: .5rem 0 1rem }
table { border-collapse: collapse; width: 100%; font-size: .9375rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;
  border-bottom: 1px solid var(--line) }
th { font-weight: 600 } td:first-child { white-space: nowrap }
td:nth-child(3) { min-width: 18rem }
.route { font: 600 .95rem/1.5 ui-monospace, monospace; margin: .25rem 0 .5rem }
.method { display: inline-block; min-width: 3.25rem; padding: 0 .4rem; border-radius: 3px;
  text-align: center; color: #fff; background: #1a7f37; margin-right: .5rem }
.method.get { background: #0b57c2 }
.soft { color: var(--soft); font-size: .9375rem }
details { margin: .5rem 0 } summary { cursor: pointer; color: var(--link) }
@media (max-width: 52rem) { body { display: block }
  nav { position: static; height: auto; border: 0; border-bottom: 1px solid var(--line) } }
@media print { nav { display: none } body { display: block } pre { max-height: none } }
"""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
"""Nothing may be loaded or run, but for the very style above."""

ERRORS = "Errors"


def openapi_page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document, as ``openapi_document`` makes one."""
    return _Page(document).html()


class _Page:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas: dict[str, Schema] = document["components"]["schemas"]
        self._homes = self._described() | {"#/components/schemas/Problem": _link(ERRORS)}

    def _described(self) -> dict[str, str]:
        """Return a link to the operation that takes or answers a schema, by its reference."""
        homes: dict[str, str] = {}
        for tag in self._document["tags"]:
            for _, _, operation in self._of_tag(tag["name"]):
                link = f'<a href="#{operation["operationId"]}">{escape(operation["summary"])}</a>'
                bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
                for body in bodies:
                    for content in body.get("content", {}).values():
                        homes.setdefault(content["schema"]["$ref"], link)
        return homes

    def html(self) -> str:
        info, server = self._document["info"], self._document["servers"][0]["url"]
        title = escape(info["title"])
        at = f" at {_code(server)}" if "://" in server else ""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head><body>"
            '<a class="skip" href="#content">To the content</a>'
            f'{self._contents()}<main id="content"><h1>{title}</h1>'
            f'<p class="lead">{escape(info["summary"])}</p>'
            f"<p>Version {escape(info['version'])}{at}. The same for machines: "
            '<a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
            f"{''.join(_blocks(info['description']))}"
            f"{self._errors()}{self._scopes()}{''.join(self._operations())}</main></body></html>\n"
        )

    def _contents(self) -> str:
        guide = re.findall(r"^## (.+)$", self._document["info"]["description"], re.MULTILINE)
        links = [f"<li>{_link(title)}</li>" for title in (*guide, ERRORS, "Scopes")]
        lists = ["<h2>Guide</h2>", f"<ul>{''.join(links)}</ul>"]
        for tag in self._document["tags"]:
            links = [
                f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
                for _, _, operation in self._of_tag(tag["name"])
            ]
            lists += [f"<h2>{escape(tag['name'])}</h2>", f"<ul>{''.join(links)}</ul>"]
        return f'<nav aria-label="Contents">{"".join(lists)}</nav>'

    def _of_tag(self, tag: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                if method != "parameters" and tag in operation["tags"]:
                    yield path, method, operation

    def _errors(self) -> str:
        rows = {}
        for response in self._document["components"]["responses"].values():
            ((_, content),) = response["content"].items()
            rows[content["schema"]["properties"]["status"]["const"]] = response["description"]
        table = _table(
            ("Status", "When, and what then"),
            ([_code(status), _spans(words)] for status, words in sorted(rows.items())),
        )
        return (
            f"{_heading(ERRORS)}{table}<p>The body of each of them, as "
            f"{_code('application/problem+json')}:</p>{self._fields(self._schemas['Problem'])}"
        )

    def _scopes(self) -> str:
        flow = self._document["components"]["securitySchemes"]["client"]["flows"]
        scopes = flow["clientCredentials"]["scopes"].items()
        rows = ([_code(name), escape(words)] for name, words in scopes)
        return f"{_heading('Scopes')}{_table(('Scope', 'What it is good for'), rows)}"

    def _operations(self) -> Iterator[str]:
        for tag in self._document["tags"]:
            yield f"{_heading(tag['name'])}<p>{escape(tag['description'])}</p>"
            for path, method, operation in self._of_tag(tag["name"]):
                yield self._operation(path, method, operation)

    def _operation(self, path: str, method: str, operation: dict[str, Any]) -> str:
        scopes = " or ".join(_code(need["client"][0]) for need in operation["security"])
        parts = [
            (
                f'<section aria-labelledby="{operation["operationId"]}">'
                f'<h3 id="{operation["operationId"]}">{escape(operation["summary"])}</h3>'
                f'<p class="route"><span class="method {method}">{method.upper()}</span>'
                f"{escape(path)}</p><p>{_spans(operation['description'])}</p>"
                f'<p class="soft">Scope: {scopes or "none, and no token"}</p>'
            )
        ]
        if "parameters" in operation:
            rows = (
                [_code(asked["name"]), self._type(asked["schema"]), _spans(asked["description"])]
                for asked in operation["parameters"]
            )
            parts.append(_table(("Parameter, may be left out", "Type", "What it is"), rows))
        if "requestBody" in operation:
            body = operation["requestBody"]
            ((_, content),) = body["content"].items()
            parts.append(
                f'<h4>Request</h4><p class="soft">{_spans(body["description"])}</p>'
                f"{self._fields(content['schema'])}{_examples(content)}"
            )
        errors = []
        shown: list[Schema] = []
        for status, given in operation["responses"].items():
            response = self._resolved(given)
            ((media_type, content),) = response["content"].items()
            if media_type.endswith("problem+json"):
                errors.append((status, content))
                continue
            fields = "" if content["schema"] in shown else self._fields(content["schema"])
            shown.append(content["schema"])
            headers = [name for name in response.get("headers", {}) if name != "Cache-Control"]
            note = f" Headers: {', '.join(map(_code, headers))}." if headers else ""
            parts.append(
                f"<h4>{status}: {_spans(response['description'])}</h4>"
                f"{f'<p class="soft">{note}</p>' if note else ''}{fields}{_examples(content)}"
            )
        links = ", ".join(_code(status) for status, _ in errors)
        parts.append(f'<p class="soft">{_link(ERRORS)}: {links}</p>')
        parts += [_examples(content) for _, content in errors]
        return f"{''.join(parts)}</section>"

    def _resolved(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return what a reference points at, with what is said beside it."""
        if "$ref" not in found:
            return found
        *_, kind, name = found["$ref"].split("/")
        beside = {key: value for key, value in found.items() if key != "$ref"}
        target: dict[str, Any] = self._document["components"][kind][name]
        return target | beside if kind == "schemas" and "properties" not in beside else target

    def _fields(self, schema: Schema) -> str:
        rows = [
            [
                _code(path),
                self._type(part) + ("" if required else ", may be left out"),
                _spans(self._alternative(part).get("description", "")),
            ]
            for path, part, required in self._members("", schema)
        ]
        return _table(("Field", "Type", "What it is"), rows) if rows else ""

    def _members(self, path: str, schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
        """Yield each member of an object and of what is in it: path, schema, whether required."""
        schema = self._alternative(schema)
        if "items" in schema:
            yield from self._members(f"{path}[]", schema["items"])
        for part in schema.get("oneOf", ()):
            yield from self._members(path, part)
        for name, part in schema.get("properties", {}).items():
            inner = f"{path}.{name}" if path else name
            yield inner, part, name in schema.get("required", ())
            if not self._elsewhere(part):
                yield from self._members(inner, part)
        if isinstance(schema.get("additionalProperties"), dict):
            yield from self._members(f"{path}.<name>", schema["additionalProperties"])

    def _elsewhere(self, schema: Schema) -> str:
        """Return a link to where a schema, or that of a list's items, is shown; empty if here."""
        inner = schema.get("items", schema)
        for part in (inner, *inner.get("anyOf", ())):
            if part.get("$ref") in self._homes:
                return self._homes[part["$ref"]]
        return ""

    def _alternative(self, schema: Schema) -> Schema:
        """Return what a schema says, of null and something the something."""
        schema = self._resolved(schema)
        for part in schema.get("anyOf", ()):
            if part != {"type": "null"}:
                beside = {key: value for key, value in schema.items() if key != "anyOf"}
                return self._resolved(part) | beside
        return schema

    def _type(self, schema: Schema) -> str:
        part = self._alternative(schema)
        kinds = part.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        words = " or ".join(kind for kind in kinds if kind != "null")
        if "enum" in part:
            words = ", ".join(_code(value) for value in part["enum"])
        elif "const" in part:
            words = _code(part["const"])
        limits = [
            f"{sign} {part[key]:,}"
            for key, sign in {
                "minimum": "≥",
                "maximum": "≤",
                "exclusiveMaximum": "&lt;",
                "minLength": "length ≥",
                "maxLength": "length ≤",
                "minItems": "items ≥",
                "maxItems": "items ≤",
            }.items()
            if key in part and (key, part[key]) != ("minLength", 1)
        ]
        if self._elsewhere(schema):
            limits.append(f"see {self._elsewhere(schema)}")
        if "format" in part:
            limits.append(escape(part["format"]))
        if "pattern" in part:
            limits.append(_code(shown_pattern(part["pattern"])))
        if "null" in kinds or {"type": "null"} in self._resolved(schema).get("anyOf", ()):
            limits.append("or null")
        return ", ".join([words, *limits]) if words else ", ".join(limits)


def _code(text: object) -> str:
    return f"<code>{escape(str(text))}</code>"


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower())


def _link(title: str) -> str:
    return f'<a href="#{_slug(title)}">{escape(title)}</a>'


def _heading(title: str) -> str:
    return f'<h2 id="{_slug(title)}">{escape(title)}</h2>'


def _spans(text: str) -> str:
    """Return a line of Markdown as HTML: code spans, and everything else escaped.

    >>> _spans("`a<b` & c")
    '<code>a&lt;b</code> &amp; c'
    """
    pieces = text.split("`")
    return "".join(
        _code(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are HTML."""
    cells = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def _preformatted(text: str) -> str:
    # It scrolls, so the keyboard has to reach it.
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def _examples(content: dict[str, Any]) -> str:
    return "".join(
        f"<details><summary>Example: {_spans(example['summary'])}</summary>"
        f"{_preformatted(json.dumps(example['value'], indent=2, ensure_ascii=False))}</details>"
        for example in content.get("examples", {}).values()
    )


def _blocks(markdown: str) -> Iterator[str]:
    """Yield the blocks of a guide as HTML; see ``domain.api_guide`` for what they may be."""
    # A fence may hold empty lines, so blocks are cut where the fences are, first.
    for place, piece in enumerate(re.split(r"^```\n?", markdown, flags=re.MULTILINE)):
        if place % 2:
            yield _preformatted(piece.rstrip("\n"))
            continue
        for block in filter(None, map(str.strip, piece.split("\n\n"))):
            yield _block(block)


def _block(block: str) -> str:
    if block.startswith("## "):
        return _heading(block.removeprefix("## "))
    if block.startswith("- "):
        items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
        return f"<ul>{''.join(f'<li>{_spans(item)}</li>' for item in items)}</ul>"
    if block.startswith("| "):
        head, _, *rows = ([*map(_spans, row.strip("| ").split(" | "))] for row in block.split("\n"))
        return _table(head, rows)
    return f"<p>{_spans(block)}</p>"
