"""What lies in an exported bundle, in either layout."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from ..errors import InputError
from .bundle_source import METADATA, PACKAGE, README, Source, alone, configs_of, parsed
from .checkpoint_in_archive import MODEL, saved, takers, with_setting
from .model_zoo import SCRIPTS, check_zoo
from .package_code import DOTTED, NAME, package_files, reached_files, targets_of

DISTRIBUTION = "corfield"
REQUIREMENTS, CITATION = "requirements.txt", "CITATION.cff"
PLACE = re.compile(r"Commands below are given from the root of the repository.*?(?=\n\n)", re.DOTALL)
"""The paragraph of a bundle's README that says where its commands are given."""
DEPENDENCIES = re.compile(r"^dependencies = (\[.*?^\])", re.DOTALL | re.MULTILINE)
"""In a ``pyproject.toml``; an array of plain strings reads the same in Python, which has no TOML reader before 3.11."""


def published_dependencies(beside: Path = PACKAGE.parent) -> list[str]:
    """What the published package requires, without its extras, as lines of a requirements file.

    A clone says so in its ``pyproject.toml``, which is newer than what was noted when it was installed; an exported
    bundle in its own requirements; for an installed package the installation does.

    Args:
        beside: the folder that the package lies in.

    Raises:
        InputError: nothing says what it requires.
    """
    project, exported = beside / "pyproject.toml", beside / REQUIREMENTS
    if project.is_file():
        listed = DEPENDENCIES.search(project.read_text(encoding="utf-8"))
        if listed is None:
            raise InputError(project, "no list of dependencies", "dependencies = [...]", "Add it to [project].")
        return sorted(ast.literal_eval(listed[1]))
    if (beside / METADATA).is_file() and exported.is_file():
        return exported.read_text(encoding="utf-8").splitlines()
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError as error:
        remedy = "Export from a clone of the project, or install it first."
        raise InputError(beside, "a package that is not installed", "what it depends on", remedy) from error
    return sorted(line for line in lines if "extra ==" not in line)


def requirements_of(source: Source, published: Sequence[str]) -> list[str]:
    """What an exported bundle requires: what the package does, and of its extras what the bundle's metadata name."""
    named = parsed(METADATA, source.files[METADATA]).get("required_packages_version", {})
    known = {requirement_name(line) for line in published}
    extra = [f"{name}>={version}" for name, version in named.items() if requirement_name(name) not in known]
    return sorted([*published, *extra])


def requirement_name(line: str) -> str:
    """The distribution that a line of requirements names, spelled as the index spells it."""
    return Requirement(line).name.lower().replace("_", "-")


def at_home(files: dict[str, bytes], name: str, needs: str) -> dict[str, bytes]:
    """Texts whose commands are given in the bundle's own folder, and the citation if they name it.

    Args:
        files: of the bundle.
        name: of the bundle.
        needs: where its README shall find the packages to install.

    Raises:
        InputError: the citation is named but does not lie beside the package.
    """
    done = dict(files)
    for path in [path for path in files if path.startswith("docs/") and path.endswith((".md", ".txt"))]:
        text = files[path].decode("utf-8").replace(f"bundles/{name}/", "").replace("tests/data/", "eval/")
        text = PLACE.sub(f"Commands below are given from the bundle's folder, {needs}.", text)
        done[path] = text.replace("in the root of the repository", "in the bundle's folder").encode("utf-8")
    if CITATION.encode() in files[README]:
        citation = PACKAGE.parent / CITATION
        if not citation.is_file():
            remedy = "Export from a clone of the project."
            raise InputError(citation, "no such file", "the citation that docs/README.md names", remedy)
        done[CITATION] = citation.read_bytes()
    return done


def vendored(source: Source) -> dict[str, bytes]:
    """The bundle with its configs as they are, the whole package beside them, and what to install.

    Raises:
        InputError: see :func:`published_dependencies` and :func:`at_home`.
    """
    needs = f"with the packages of `{REQUIREMENTS}`\ninstalled (`pip install -r {REQUIREMENTS}`)"
    files = at_home(source.files, source.name, needs)
    files |= {f"{NAME}/{path}": content for path, content in package_files().items()}
    files[REQUIREMENTS] = "".join(f"{line}\n" for line in requirements_of(source, published_dependencies())).encode(
        "utf-8"
    )
    return files


def zoo(source: Source) -> dict[str, bytes]:
    """The bundle as the MONAI model zoo wants it: the part of the package that its configs reach, called ``scripts``.

    Where a dotted path begins with the package's name, it begins with ``scripts`` instead, in configs, documents and
    code; imports in the code are relative and stay as they are. A bundle whose configs take no checkpoint has a network
    without weights; its ``models/model.pt`` is an empty state dict, so that the zoo's own checks can load it.

    Raises:
        InputError: the zoo would refuse it (see :func:`check_zoo`), or see :func:`at_home`.
    """
    check_zoo(source)
    needs = f"with the packages that\n`{METADATA}` names installed"
    files = at_home(source.files, source.name, needs)
    configs = configs_of(source.files)
    code = reached_files(targets_of(list(configs.values())), package_files())
    files |= {f"{SCRIPTS}/{path}": content for path, content in code.items()}
    for path, content in files.items():
        if path.endswith((".json", ".md", ".txt", ".py")):
            files[path] = DOTTED.sub(f"{SCRIPTS}.", content.decode("utf-8")).encode("utf-8")
    for path in alone(source.files):
        files[path] = with_setting(files[path], "bundle_root", ".")
    if not takers(source.files) and MODEL not in files:
        files[MODEL] = saved({})
    return files


LAYOUTS = {"vendored": (NAME, vendored), "zoo": (SCRIPTS, zoo)}
"""By name: what the package is called in it, and what makes it."""


def laid_out(source: Source, layout: str) -> tuple[str, dict[str, bytes]]:
    """Name of the package in the layout, and the files by path in the bundle.

    Raises:
        InputError: no such layout, or the bundle does not fit into it.
    """
    if layout not in LAYOUTS:
        raise InputError("--layout", repr(layout), f"one of {', '.join(LAYOUTS)}", "Choose one of them.")
    package, make = LAYOUTS[layout]
    return package, make(source)
