"""What a release consists of, and its bills of materials."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from layers.build import FUNCTION_LAYERS, LayerError, Platform, layer_archive, layer_names
from scripts import bill_of_materials, release_files
from scripts.release_notes import project_version
from tests.infrastructure.templates import ROOT
from tests.workflow_runs import line, run, workflows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION, MADE_AT = "1.2.3", "2026-11-30T12:00:00+01:00"


@pytest.fixture(scope="module")
def gathered() -> Path:
    """What the workflow's own line gathers."""
    done = run(line("release.yml: Gather the files"), ROOT, {})
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / ".build" / "release"


@pytest.fixture(scope="module")
def deployed() -> dict[str, Any]:
    return bill_of_materials.deployed(VERSION, MADE_AT)


@pytest.fixture(scope="module")
def made_with() -> dict[str, Any]:
    return bill_of_materials.made_with(VERSION, MADE_AT)


def libraries(bill: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for component in bill["components"]:
        yield component
        yield from component.get("components", ())


def errors_of(bill: dict[str, Any]) -> object:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))


def test_bills_are_as_cyclonedx_has_them(
    deployed: dict[str, Any], made_with: dict[str, Any]
) -> None:
    assert errors_of(deployed) is None
    assert errors_of(made_with) is None


def test_a_faulty_bill_would_be_noticed(deployed: dict[str, Any]) -> None:
    assert errors_of({**deployed, "components": [{"name": "of no type"}]}) is not None
    assert errors_of({**deployed, "serialNumber": "1"}) is not None


def test_the_bill_names_every_package_of_every_layer_as_its_lock_does(
    deployed: dict[str, Any],
) -> None:
    layers = {found["name"]: found for found in deployed["components"]}
    for name in layer_names():
        if name == "core":
            continue
        text = (ROOT / "layers" / name / "requirements.txt").read_text(encoding="utf-8")
        locked = {(found, version) for found, version, _ in bill_of_materials.locked(text)}
        listed = {
            (found["name"], found["version"]) for found in layers[f"layer-{name}.zip"]["components"]
        }
        assert listed == locked
        for found in layers[f"layer-{name}.zip"]["components"]:
            assert found["licenses"], found["name"]
            hashes = [part["value"] for part in found["properties"]]
            assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes)
            assert hashes


def test_the_bill_has_the_hash_of_each_archive_that_is_deployed(deployed: dict[str, Any]) -> None:
    for name in layer_names():
        content = layer_archive(name, Platform.LAMBDA).read_bytes()
        (layer,) = (
            found for found in deployed["components"] if found["name"] == f"layer-{name}.zip"
        )
        expected = [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
        assert layer["hashes"] == expected


def test_the_graph_says_which_function_runs_with_which_layer(deployed: dict[str, Any]) -> None:
    graph = {found["ref"]: found["dependsOn"] for found in deployed["dependencies"]}

    for name, layers in FUNCTION_LAYERS.items():
        assert graph[f"function-{name}"] == sorted(f"layer-{layer}" for layer in layers)
    pydantic = next(ref for ref in graph if ref.startswith("pkg:pypi/pydantic@"))
    assert any(ref.startswith("pkg:pypi/pydantic-core@") for ref in graph[pydantic])
    references = {found["bom-ref"] for found in libraries(deployed)} | {"credit-decisions"}
    assert set(graph) == references
    assert {ref for needed in graph.values() for ref in needed} <= references


def test_the_bill_of_what_it_is_made_with_names_every_locked_package(
    made_with: dict[str, Any],
) -> None:
    listed = {(found["name"], found["version"]) for found in made_with["components"]}

    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        packages = {(name, version) for name, version, _ in bill_of_materials.locked(text)}
        # Nothing of a lock is overlooked by how it is read.
        assert len(packages) == len(re.findall(r"^[A-Za-z0-9].*==", text, re.MULTILINE))
        assert packages <= listed
    for package in ("pkg:npm/aws-cdk@", "pkg:npm/%40mermaid-js/"):
        assert any(found["purl"].startswith(package) for found in made_with["components"])
    assert {found["scope"] for found in made_with["components"]} == {"excluded"}


def test_the_same_commit_gives_the_same_bill(
    deployed: dict[str, Any], made_with: dict[str, Any]
) -> None:
    assert bill_of_materials.deployed(VERSION, MADE_AT) == deployed
    assert bill_of_materials.made_with(VERSION, MADE_AT) == made_with
    later = bill_of_materials.made_with("1.2.4", MADE_AT)
    assert later["serialNumber"] != made_with["serialNumber"]


def test_a_release_is_source_layers_bills_and_checksums(gathered: Path) -> None:
    version = project_version()

    assert {path.name for path in gathered.iterdir()} == {
        f"credit-decisions-{version}.tar.gz",
        *(f"layer-{name}.zip" for name in layer_names()),
        "bill-of-materials.cdx.json",
        "bill-of-materials-development.cdx.json",
        "SHA256SUMS",
    }


def test_the_workflow_checks_what_another_job_handed_over(gathered: Path, tmp_path: Path) -> None:
    copied = tmp_path / "release"
    shutil.copytree(gathered, copied)
    text = line("release.yml: Check what was handed over")
    assert run(text, copied, {}).returncode == 0

    with (copied / "layer-core.zip").open("ab") as file:
        file.write(b"more")

    assert run(text, copied, {}).returncode != 0


def test_the_workflow_attests_and_publishes_files_that_are_there(
    gathered: Path, tmp_path: Path
) -> None:
    """GitHub's own command is stood in for by one that notes its words."""
    shutil.copytree(gathered, tmp_path / ".build" / "release")
    steps = workflows()["release.yml"]["jobs"]["publish"]["steps"]
    for step in steps:
        for name in ("subject-path", "sbom-path"):
            if pattern := step.get("with", {}).get(name):
                assert list(tmp_path.glob(pattern)), pattern
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "gh").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > called\n')
    (binaries / "gh").chmod(0o755)

    done = run(
        line("release.yml: Publish"),
        tmp_path,
        {"GITHUB_REF_NAME": "v1.2.3", "PATH": f"{binaries}:/usr/bin:/bin"},
    )

    assert done.returncode == 0, done.stderr
    called = (tmp_path / "called").read_text().splitlines()
    assert called[:4] == ["release", "create", "v1.2.3", "--verify-tag"]
    files = sorted(f".build/release/{path.name}" for path in gathered.iterdir())
    assert set(files) <= set(called)


def test_layers_that_are_not_built_end_it_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing_built(name: str, platform: Platform) -> Path:
        raise LayerError(f"layer {name} is not built for {platform}")

    monkeypatch.setattr(release_files, "layer_archive", nothing_built)

    assert release_files.main([str(tmp_path / "release")]) == 1
    assert capsys.readouterr().err == (
        f"error: layer {layer_names()[0]} is not built for lambda; run: make layers\n"
    )
