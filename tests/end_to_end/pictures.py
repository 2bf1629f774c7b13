"""Take the pictures of the README: the loan desk on the local cloud, where the demo has run.

Run as ``make pictures``. Applications and texts are those of the examples; times and versions are
those of the day.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from credit_cli.checkout import Checkout
from credit_cli.errors import CliError
from tests.browser import DESKTOP, launched, visitor
from tests.end_to_end.conftest import Credit
from tests.end_to_end.desks import EXAMPLES, opened

if TYPE_CHECKING:
    from tests.browser import Visitor

PICTURES = Checkout().root / "docs" / "pictures"
LARGEST_BYTES = 200_000
"""Of a picture: everybody who clones this fetches it."""
MARGIN = 16
WHY = "The employer's payslips of three months show a lower income."


class Box(NamedTuple):
    """Where a part of a page is, in CSS pixels from the page's corner."""

    x: float
    y: float
    width: float
    height: float


def box_of(person: Visitor, part: str) -> Box:
    """Return where a part is."""
    found = person.page.locator(part).evaluate(
        "it => { const box = it.getBoundingClientRect();"
        " return [box.x + scrollX, box.y + scrollY, box.width, box.height]; }"
    )
    return Box(*map(float, found))


def take(folder: Path = PICTURES) -> list[Path]:
    """Take the pictures into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    example = json.loads((EXAMPLES / "03-referred.json").read_bytes())["request"]
    with (
        opened(Credit(dict(os.environ))) as desk,
        launched() as browser,
        visitor(browser, desk.base, size=DESKTOP) as person,
    ):
        person.page.goto(desk.address)
        sent(person, json.loads(Checkout().example_application.read_bytes()))
        decision = shot(person, folder / "decision.png", last="#why")
        sent(person, example | {"application_id": "example-0002"})
        person.page.get_by_label("Decline", exact=True).check()
        person.page.get_by_label("Why", exact=True).fill(WHY)
        person.page.get_by_label("Who you are").fill("ada")
        review = shot(person, folder / "review.png", first="#review", last="#review")
    return [decision, review]


def sent(person: Visitor, application: dict[str, object]) -> None:
    """Send an application through the form, and look at its decision."""
    person.visit("/")
    for name, value in application.items():
        field = person.page.locator(f"#application [name='{name}']")
        text = "" if value is None else str(value)
        if field.evaluate("it => it.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)
    person.page.get_by_role("button", name="Decide", exact=True).click()
    person.page.wait_for_url("**/decisions/*")
    # Once more, as who finds it later sees it.
    person.visit(person.path)


def shot(person: Visitor, path: Path, *, first: str = "", last: str) -> Path:
    """Take a picture of a page from its top, or from a part, to the end of a part.

    From the top it has the width of the page, else that of the part.
    """
    end = box_of(person, last)
    begin = box_of(person, first) if first else Box(0, 0, DESKTOP[0], 0)
    margin = MARGIN if first else 0
    clip = {
        "x": begin.x - margin,
        "y": begin.y - margin,
        "width": begin.width + 2 * margin,
        "height": end.y + end.height + MARGIN - (begin.y - margin),
    }
    person.page.evaluate("() => document.activeElement.blur()")
    person.page.screenshot(path=path, full_page=True, clip=clip)  # type: ignore[arg-type]
    if path.stat().st_size > LARGEST_BYTES:
        raise CliError(f"{path.name} has {path.stat().st_size:,} bytes; {LARGEST_BYTES:,} are much")
    return path


def main(*arguments: str) -> int:
    """Take them into the folder that is named, else into docs/pictures; return the exit code."""
    try:
        for taken in take(*map(Path, arguments)):
            sys.stdout.write(f"{taken}  {taken.stat().st_size:,} bytes\n")
    except CliError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
