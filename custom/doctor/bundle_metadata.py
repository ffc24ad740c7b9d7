"""metadata.json of a bundle against what is installed, and the files that a bundle must have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from .finding import Finding

NAMED = {"monai_version": "monai", "pytorch_version": "torch", "numpy_version": "numpy"}
PACKAGES = ("required_packages_version", "optional_packages_version")
"""The second is what the first was called once; MONAI takes both for the same."""

FILES = {
    "configs/metadata.json": "MONAI reads versions and shapes from it",
    "configs/logging.conf": "MONAI starts without a log",
    "docs/README.md": "nobody learns how to run it",
    "LICENSE": "nobody may use it",
}


def check_files(root: Path) -> list[Finding]:
    """Files that a bundle must have and does not."""
    missing = [name for name in FILES if not (root / name).is_file()]
    return [Finding(name, f"the file is missing, and {FILES[name]}", "Add it.") for name in missing]


def check_versions(metadata: Mapping[str, Any], project: str = "corfield") -> list[Finding]:
    """Packages that are not installed, that are older than the bundle was made with, or of another major version.

    An older one passes if the requirements of the installed project allow both.

    Args:
        metadata: of the bundle.
        project: the distribution whose requirements count too.
    """
    named = {key: (package, metadata[key]) for key, package in NAMED.items() if key in metadata}
    for group in PACKAGES:
        packages = metadata.get(group, {})
        named |= {f"{group}::{package}": (package, given) for package, given in packages.items()} if packages else {}
    ranges = _requirements(project)
    return [
        Finding(key, cause, f"Install {package}=={given}, or correct the metadata.")
        for key, (package, given) in named.items()
        for cause in _mismatch(package, str(given), ranges)
    ]


def check_changelog(metadata: Mapping[str, Any]) -> list[Finding]:
    """The version must be the latest one of the changelog."""
    stated, changelog = str(metadata.get("version", "")), metadata.get("changelog")
    if not isinstance(changelog, Mapping) or not changelog:
        return [Finding("changelog", "there is none", f"Say what is new in {stated or 'each version'}.")]
    findings = []
    for name, where in [(stated, "version"), *((name, f"changelog::{name}") for name in changelog)]:
        if _version(name) is None:
            findings.append(Finding(where, f"{name!r} is no version", "Write it as 0.1.0."))
    known = [name for name in changelog if _version(name) is not None]
    latest = max(known, key=Version, default=None)
    if not findings and latest is not None and Version(latest) != Version(stated):
        cause = f"it is {stated}, and the latest in the changelog is {latest}"
        findings.append(Finding("version", cause, "Make the two agree."))
    return findings


def _mismatch(package: str, given: str, ranges: Mapping[str, Requirement]) -> Iterator[str]:
    try:
        installed = version(package)
    except PackageNotFoundError:
        distributions = packages_distributions().get(package)
        if not distributions:
            yield f"the bundle needs {package} {given}, and it is not installed"
            return
        installed = version(distributions[0])
    wanted, found = _version(given), _version(installed)
    if wanted is None or found is None:
        yield f"{given!r} is no version" if wanted is None else f"{package} is installed in no known version"
    elif wanted.major != found.major:
        yield f"the bundle was made with {package} {given}, and {installed} is installed, another major version"
    elif Version(found.public) < Version(wanted.public):
        required = ranges.get(_plain(package))
        if required is None or not all(required.specifier.contains(one.public) for one in (wanted, found)):
            yield f"the bundle was made with {package} {given}, and {installed} is installed, which is older"


def _requirements(project: str) -> dict[str, Requirement]:
    try:
        found = [Requirement(line) for line in requires(project) or ()]
    except PackageNotFoundError:
        return {}
    needed = [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    return {_plain(requirement.name): requirement for requirement in needed}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
