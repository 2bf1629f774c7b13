"""Bills of materials in CycloneDX: of what is deployed, and of what it is made and tested with.

The first is read from the layers as they are built for Lambda: what lies in them, in which version,
under which licence, who needs whom, and which function runs with which layer. The second is read
from the locks. Both are the same bytes whenever they are made of the same commit.

Source: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import base64
import email
import hashlib
import json
import re
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from layers.build import (
    FUNCTION_LAYERS,
    ROOT,
    Platform,
    function_archive,
    layer_archive,
    layer_names,
    lock_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from email.message import Message
    from pathlib import Path

type Component = dict[str, Any]

SPECIFICATION = "1.6"
LICENCE = "Apache-2.0"
LOCKED_HASH = "credit-decisions:locked-sha256"
"""A property: the SHA-256 of a file that the lock allows; one of them is what was installed."""
LOCK = "credit-decisions:lock"
"""A property: the file of this repository that a version comes from."""
LAMBDA_ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
    "extra": "",
}
"""By which markers of requirements are judged: the functions', not this machine's."""

REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\\\;]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def locked(lock: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, version and SHA-256 of the allowed files of each package in a lock."""
    for entry in re.split(r"\n(?=[A-Za-z0-9])", lock):
        if found := REQUIREMENT.match(entry):
            yield canonicalize_name(found["name"]), found["version"], HASH.findall(entry)


def python_package(name: str, version: str, *, properties: Mapping[str, list[str]]) -> Component:
    """Return the component of a package of Python's index."""
    purl = f"pkg:pypi/{name}@{version}"
    listed = [{"name": key, "value": value} for key, found in properties.items() for value in found]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        **({"properties": listed} if listed else {}),
    }


def licences(metadata: Message) -> list[dict[str, Any]]:
    """Return what a package says of its licence, the more exact first: an expression, or names."""
    if expression := metadata["License-Expression"]:
        return [{"expression": expression}]
    named = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier", [])
        if text.startswith("License :: ") and not text.endswith("OSI Approved")
    ]
    stated = (metadata["License"] or "").strip().splitlines()
    return [{"license": {"name": name}} for name in named or stated[:1]]


def in_layer(archive: Path) -> Iterator[Message]:
    """Yield the metadata of each package that lies in a layer's archive."""
    with zipfile.ZipFile(archive) as layer:
        for name in sorted(layer.namelist()):
            if re.fullmatch(r"python/[^/]+\.dist-info/METADATA", name):
                yield email.message_from_bytes(layer.read(name))


def layer_components(name: str, archive: Path, version: str) -> tuple[Component, list[Component]]:
    """Return a layer and what lies in it, with who needs whom.

    Returns:
        The layer's component, its packages inside it, and the entries of the graph.
    """
    content = archive.read_bytes()
    reference = f"layer-{name}"
    hashes = (
        {found: hashed for found, _, hashed in locked(lock_file(name).read_text(encoding="utf-8"))}
        if lock_file(name).exists()
        else {}
    )
    packages, needs = [], {}
    for metadata in in_layer(archive):
        package = canonicalize_name(metadata["Name"])
        component = python_package(
            package, metadata["Version"], properties={LOCKED_HASH: hashes.get(package, [])}
        )
        if found := licences(metadata):
            component["licenses"] = found
        packages.append(component)
        needs[package] = {
            canonicalize_name(requirement.name)
            for requirement in map(Requirement, metadata.get_all("Requires-Dist", []))
            if requirement.marker is None or requirement.marker.evaluate(LAMBDA_ENVIRONMENT)
        }
    if name == "core":
        packages.append(
            {
                "type": "library",
                "bom-ref": "credit_core",
                "name": "credit_core",
                "version": version,
                "licenses": [{"license": {"id": LICENCE}}],
            }
        )
    there = {component["name"]: component["bom-ref"] for component in packages}
    graph = [
        {
            "ref": component["bom-ref"],
            "dependsOn": sorted(
                there[found] for found in needs.get(component["name"], ()) if found in there
            ),
        }
        for component in packages
    ]
    layer = {
        "type": "file",
        "bom-ref": reference,
        "name": f"{reference}.zip",
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
        "components": packages,
    }
    return layer, [{"ref": reference, "dependsOn": sorted(there.values())}, *graph]


def deployed(version: str, made_at: str) -> dict[str, Any]:
    """Return the bill of what is deployed: functions, layers, and what lies in these.

    Args:
        version: Of the release.
        made_at: When it was committed, in ISO 8601.

    Raises:
        LayerError: A layer is not built for Lambda.
    """
    components, graph = [], []
    for name in layer_names():
        layer, entries = layer_components(name, layer_archive(name, Platform.LAMBDA), version)
        components.append(layer)
        graph += entries
    for name, layers in FUNCTION_LAYERS.items():
        content = function_archive(name).read_bytes()
        components.append(
            {
                "type": "application",
                "bom-ref": f"function-{name}",
                "name": name,
                "version": version,
                "licenses": [{"license": {"id": LICENCE}}],
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}],
            }
        )
        graph.append(
            {"ref": f"function-{name}", "dependsOn": sorted(f"layer-{layer}" for layer in layers)}
        )
    return document("credit-decisions", version, made_at, components, graph)


def made_with(version: str, made_at: str, *, root: Path = ROOT) -> dict[str, Any]:
    """Return the bill of what the service is built, deployed and tested with: each lock's packages.

    A package of two locks in one version is there once, with both.
    """
    components: dict[str, Component] = {}
    for lock in sorted((root / "requirements").glob("*.txt")):
        where = lock.relative_to(root).as_posix()
        for name, found, hashes in locked(lock.read_text(encoding="utf-8")):
            component = python_package(name, found, properties={LOCKED_HASH: hashes, LOCK: [where]})
            _add(components, component | {"scope": "excluded"}, lock=where)
    for lock in (root / "package-lock.json", root / "docs_site" / "package-lock.json"):
        where = lock.relative_to(root).as_posix()
        for path, package in json.loads(lock.read_text(encoding="utf-8"))["packages"].items():
            if path:
                component = node_package(path.rpartition("node_modules/")[2], package, where)
                _add(components, component, lock=where)
    ordered = [components[key] for key in sorted(components)]
    graph = [{"ref": component["bom-ref"], "dependsOn": []} for component in ordered]
    return document("credit-decisions-development", version, made_at, ordered, graph)


def _add(components: dict[str, Component], component: Component, *, lock: str) -> None:
    """Add a component, or to the one that is there the lock that has it, too."""
    known = components.setdefault(component["bom-ref"], component)
    named = {"name": LOCK, "value": lock}
    if named not in known["properties"]:
        known["properties"].append(named)


def node_package(name: str, package: Mapping[str, Any], lock: str) -> Component:
    """Return the component of a package of Node's index, by its entry in a lock."""
    purl = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
    algorithm, _, encoded = str(package["integrity"]).partition("-")
    component: Component = {
        "type": "library",
        "bom-ref": purl,
        "scope": "excluded",
        "name": name,
        "version": package["version"],
        "purl": purl,
        "hashes": [
            {
                "alg": algorithm.upper().replace("SHA", "SHA-"),
                "content": base64.b64decode(encoded).hex(),
            }
        ],
        "properties": [{"name": LOCK, "value": lock}],
    }
    if licence := package.get("license"):
        component["licenses"] = [{"expression": licence}]
    return component


def document(
    name: str,
    version: str,
    made_at: str,
    components: Iterable[Component],
    graph: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """Return a whole bill; its serial number is made of its contents."""
    components = list(components)
    subject = {
        "type": "application",
        "bom-ref": name,
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": LICENCE}}],
    }
    bill: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {"timestamp": made_at, "component": subject},
        "components": components,
        "dependencies": [
            {"ref": name, "dependsOn": sorted(found["bom-ref"] for found in components)},
            *graph,
        ],
    }
    digest = hashlib.sha256(json.dumps(bill, sort_keys=True).encode()).hexdigest()
    return {**bill, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}"}
