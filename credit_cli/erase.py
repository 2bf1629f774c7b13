"""`credit erase`: an applicant erased, and the certificate of it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path  # noqa: TC003 (Typer reads annotations at run time)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.deployment import deployed
from credit_cli.errors import CliError, ExitCode, UsageError
from credit_cli.invocation import invoked
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.target import require_agreement, target
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_cli.progress import Step
    from credit_core.domain.product import CreditProduct

CALL_SECONDS = 30
"""For how long one call searches the lake: less than a client waits for an answer."""
ARCHIVE_SECONDS = 60.0
"""How long the archive may take for receipts that are on their way to it."""
PAUSE_SECONDS = 1.0
STANDARD_INPUT = "-"


def erase(
    applicant: Annotated[
        list[str] | None,
        typer.Argument(
            help="The applicant's keys, as applicant_id=...; - reads them from standard input, a"
            " line each, so that they stay out of the shell's history.",
            show_default=False,
        ),
    ] = None,
    *,
    verify: Annotated[
        Path | None,
        typer.Option(
            help="Ask the deployment whether the certificate in this file, as --json printed it,"
            " is one of its own.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase without asking.")] = False,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Erase an applicant: features at once and for good; receipts when the law lets them go.

    It prints a certificate without the applicant's keys, and keeps it. Nothing brings the features
    back: no file, push or backfill. Again, it prints the same, or what was found since.

    Examples:
        credit erase applicant_id=APPLICANT
        credit erase - < keys.txt  # out of the shell's history
        credit erase --verify certificate.json

    Exit codes: 0 done, 1 failed or not genuine, 2 used wrongly, 4 not running or unreachable.
    """
    if verify is not None:
        _verify(verify, product=product, as_json=as_json)
        return
    words = applicant or []
    keys = read_keys(known_product(product), words)
    aws, deployment = deployed(product, change="erase an applicant, which can't be undone")
    if not (yes or target().yes):
        # On the local cloud, too: the features don't come back there either.
        require_agreement("Erase this applicant? It can't be undone.", hint="add --yes")
    with progress_for(as_json=as_json).step("Erasure") as step:
        done = erased(aws, deployment, keys, step)
        step.result = "done before" if done["already"] else "done"
    document = json.loads(done["certificate"])
    if as_json:
        print_json(
            {"already": done["already"], "certificate": document, "seal": done["seal"]}
            | {"text": done["certificate"]}
        )
        return
    for line in certificate_lines(document, already=done["already"], new=done["new"]):
        say(line)


def read_keys(product: CreditProduct, words: Sequence[str]) -> dict[str, str | int]:
    """Return the applicant's keys.

    Args:
        product: Whose applicant it is.
        words: ``name=value`` for each key, or ``-`` for lines of standard input.

    Raises:
        UsageError: They are not the keys of an applicant; the message repeats no value.
    """
    from credit_core.domain.product import KeyType  # noqa: PLC0415 (NumPy takes its time)
    from credit_core.errors import InvalidErasureError  # noqa: PLC0415 (as above)
    from credit_core.use_cases.erase import applicant_keys  # noqa: PLC0415 (as above)

    expected = product.applicant.key_names if product.applicant else ()
    hint = f"an applicant is named by: credit erase {' '.join(f'{name}=...' for name in expected)}"
    if not expected:
        hint = "without a key nobody's decisions can be told from others': add an entity to it"
    if list(words) == [STANDARD_INPUT]:
        words = [line.strip() for line in sys.stdin if line.strip()]
    if any("=" not in word for word in words):
        raise UsageError("expected name=value for each key", hint=hint)
    pairs = [word.split("=", 1) for word in words]
    given: dict[str, object] = {name.strip(): value.strip() for name, value in pairs}
    if len(given) < len(pairs):
        raise UsageError("a key is there twice", hint=hint)
    for key in product.entity_keys:
        value = given.get(key.name)
        if key.dtype is KeyType.INTEGER and isinstance(value, str) and value.isascii():
            given[key.name] = int(value) if value.isdigit() else value
    try:
        return applicant_keys(product, given)
    except InvalidErasureError as error:
        raise UsageError(str(error), hint=hint) from None


def erased(
    aws: Aws, deployment: Deployment, keys: Mapping[str, str | int], step: Step
) -> dict[str, Any]:
    """Call the eraser until it is done, and return its last answer.

    Raises:
        CliError: It failed, or receipts do not come into the archive.
    """
    waited_since = time.monotonic()
    while True:
        done = invoked(
            aws,
            deployment,
            "EraserFunction",
            {"keys": dict(keys), "seconds": CALL_SECONDS},
            called="eraser",
            hint="run it again: what is done stays done",
        )
        if done["complete"]:
            return done
        step.update(f"{done['searched_files']:,} files of the lake searched")
        if not done["lake_searched"]:
            waited_since = time.monotonic()
        elif time.monotonic() - waited_since > ARCHIVE_SECONDS:
            raise CliError(
                f"{done['on_their_way']:,} receipts are not in the archive yet, so that their end"
                " could not be set; the features are erased",
                hint="run: credit archive redrive, then this again",
            )
        else:
            time.sleep(PAUSE_SECONDS)


def certificate_lines(
    document: Mapping[str, Any], *, already: bool, new: bool = True
) -> Iterator[str]:
    r"""Yield a certificate as lines of text.

    >>> kept = {"receipts": 2, "reviews": 1, "outcomes": 0, "days_each": 853,
    ...     "until": "2029-03-25T10:00:00.000Z", "by": "the law", "then": "they end"}
    >>> lake = {"searched_files": 3, "unreadable_files": 0, "pushed_rows_removed": 1,
    ...     "files_with_the_applicant": 1, "rows_in_them": 4, "files": [{"key": "a", "rows": 4}]}
    >>> print(*certificate_lines({"product": "loan", "stage": "prod", "applicant": "c0ffee",
    ...     "erased_at": "2026-11-22T10:00:00.000Z", "issued_at": "2026-11-22T10:00:01.000Z",
    ...     "features": {"bureau": "removed"}, "materialization": "nothing brings them back",
    ...     "kept": kept, "lake": lake, "not_removed": ["Backups."]}, already=True), sep="\n")
    Certificate of erasure: loan, prod, applicant c0ffee
    Erased before, at 2026-11-22T10:00:00.000Z; more was found now, at 2026-11-22T10:00:01.000Z.
    Features: bureau removed; nothing brings them back
    Kept: 2 receipts, 1 reviews, 0 outcomes, 853 days each, the last until 2029-03-25; they end
      by the law
    Lake: 3 files searched, 1 pushed rows removed; 1 files of the lender hold 4 rows:
      a: 4
    Not removed:
      Backups.
    """
    yield (
        f"Certificate of erasure: {document['product']}, {document['stage']},"
        f" applicant {document['applicant']}"
    )
    erased_at, issued_at = document["erased_at"], document["issued_at"]
    if not already:
        yield f"Erased at {erased_at}."
    elif new:
        yield f"Erased before, at {erased_at}; more was found now, at {issued_at}."
    else:
        yield f"Erased before, at {erased_at}; nothing was found since {issued_at}."
    views = ", ".join(f"{view} {found}" for view, found in document["features"].items())
    yield f"Features: {views or 'no view is by applicant'}; {document['materialization']}"
    kept, lake = document["kept"], document["lake"]
    if kept["until"]:
        yield (
            f"Kept: {kept['receipts']:,} receipts, {kept['reviews']:,} reviews,"
            f" {kept['outcomes']:,} outcomes, {kept['days_each']:,} days each, the last until"
            f" {kept['until'][:10]}; {kept['then']}"
        )
        yield f"  by {kept['by']}"
    else:
        yield "Kept: no receipt"
    found = lake["files_with_the_applicant"]
    told = f"; {found:,} files of the lender hold {lake['rows_in_them']:,} rows:" if found else ""
    yield (
        f"Lake: {lake['searched_files']:,} files searched,"
        f" {lake['pushed_rows_removed']:,} pushed rows removed{told}"
    )
    for file in lake["files"]:
        yield f"  {file['key']}: {file['rows']:,}"
    if lake["unreadable_files"]:
        yield f"  {lake['unreadable_files']:,} could not be read"
    yield "Not removed:"
    yield from (f"  {line}" for line in document["not_removed"])


def _verify(file: Path, *, product: str, as_json: bool) -> None:
    """Say whether a certificate is genuine.

    Raises:
        UsageError: The file can't be read, or holds none.
        typer.Exit: It is not genuine.
    """
    try:
        document = json.loads(file.read_bytes())
        asked = {"verify": {"text": str(document["text"]), "seal": str(document["seal"])}}
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{file} holds no certificate as --json prints it") from None
    found = invoked(*deployed(product), "EraserFunction", asked, called="eraser")
    if as_json:
        print_json(found)
    else:
        genuine = "is" if found["genuine"] else "is NOT"
        say(f"The certificate {genuine} one of this deployment.")
    if not found["genuine"]:
        raise typer.Exit(ExitCode.FAILED)
