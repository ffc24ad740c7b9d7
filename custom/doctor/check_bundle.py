"""The doctor: everything that can be known of a bundle's configs without building anything from them.

Nothing is trained, evaluated or written. Modules that a config names are imported, as MONAI would, to see whether what
is wanted of them is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .bundle_metadata import check_changelog, check_files, check_versions
from .bundle_properties import check_meta_properties, check_properties, is_training
from .component_targets import Targets
from .config_file import Document, read_document
from .config_lists import bases_of, config_documents, config_lists
from .config_paths import check_paths
from .declared_settings import check_overrides, check_values
from .expressions import check_expressions
from .finding import Fault, Finding
from .lookup import importing_from
from .merge_configs import merge
from .references import check_references, resolve

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Examined:
    """One list of configs, merged in order.

    Attributes:
        names: of the configs.
        ids: settings, groups, parts and elements of lists.
        components: parts with a ``_target_``.
        references: ``@`` and ``%`` together.
        expressions: values that start with ``$``.
        faults: all that is wrong.
    """

    names: tuple[str, ...]
    ids: int
    components: int
    references: int
    expressions: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Report:
    """What the doctor has found.

    Attributes:
        examined: each list of configs.
        faults: of all lists and of the files, each once.
        files: how many configs were read.
    """

    examined: tuple[Examined, ...]
    faults: tuple[Fault, ...]
    files: int


class BundleChecker:
    """Examines lists of configs of one bundle.

    Args:
        root: the bundle's folder.
        metadata: of the bundle; empty if there is none.
        documents: every config of the bundle, by name.
        bases: names of those that stand alone.
    """

    def __init__(
        self, root: Path, metadata: Mapping[str, Any], documents: Mapping[str, Document], bases: Sequence[str]
    ) -> None:
        self._root, self._metadata, self._documents = root, metadata, documents
        self._bases = [documents[name] for name in bases]
        self._targets = Targets()

    def examine(self, documents: Sequence[Document], names: Sequence[str]) -> Examined:
        """Merge configs and look at every id. The bundle's folder must be on the path, see ``importing_from``.

        Args:
            documents: all of them read, later ones over earlier ones.
            names: to show for them.
        """
        merged, faults = merge(documents, self._metadata)
        resolved = resolve(merged.config, (Path.cwd(), self._root))
        references, findings = check_references(resolved)
        expressions, imported, found = check_expressions(resolved.written)
        components, wrong = self._targets.check(resolved.written, imported)
        findings += [*found, *wrong, *check_paths(resolved.written, resolved.config, self._root)]
        training = is_training(resolved.config, documents[0].name)
        if training is not None:
            findings += check_properties(resolved.config, training)
        findings += check_values(merged.config) + list(self._overrides(documents, merged.config))
        faults += [Fault(merged.origin(finding.where), *finding) for finding in findings]
        unique = tuple(dict.fromkeys(faults))
        return Examined(tuple(names), len(resolved.ids) - 1, components, references, expressions, unique)

    def _overrides(self, documents: Sequence[Document], config: Mapping[str, Any]) -> Iterator[Finding]:
        """A config of the bundle may set what any base has: it is used with several. What a user adds may not."""
        for place, later in enumerate(documents[1:], start=1):
            shipped = any(later is document for document in self._documents.values())
            earlier = [*documents[:place], *(self._bases if shipped else [])]
            used = {document.name for document in documents}
            beside = {name: document for name, document in self._documents.items() if document.name not in used}
            yield from check_overrides(earlier, later, beside, config)


def check_bundle(root: Path) -> Report:
    """Examine every config of a bundle in every list it is run in, its metadata and its files.

    Raises:
        InputError: the folder is no bundle.
    """
    if not (root / "configs").is_dir():
        wanted, remedy = "a bundle with a folder configs, or its configs", "Give the bundle's folder."
        raise InputError(root, "no folder configs" if root.is_dir() else "no such folder", wanted, remedy)
    planned = config_lists(root)
    metadata, faults = _metadata(root / "configs")
    faults = [*_in(str(root), check_files(root)), *faults, *planned.faults]
    doctor = BundleChecker(root, metadata, planned.documents, planned.bases)
    with importing_from(root):
        examined = [doctor.examine([planned.documents[name] for name in names], names) for names in planned.lists]
    return _report(examined, faults, len(planned.documents))


def check_configs(paths: Sequence[Path], overrides: Mapping[str, Any]) -> Report:
    """Examine configs merged in order, with settings as on MONAI's command line.

    Args:
        paths: of the configs.
        overrides: settings by id.
    """
    configs = paths[0].parent
    beside = {name: one for name, one in config_documents(configs).items()} if configs.name == "configs" else {}
    known = {(configs / name).resolve(): one for name, one in beside.items()}
    documents = [known.get(path.resolve()) or read_document(path) for path in paths]
    metadata, faults = _metadata(configs)
    faults += [fault for document in documents for fault in document.faults]
    names = [path.name for path in paths]
    if overrides:
        documents.append(Document(COMMAND_LINE, dict(overrides)))
        names.append(COMMAND_LINE)
    if any(document.content is None for document in documents):
        return _report([], faults, len(paths))
    root = configs.parent if configs.name == "configs" else configs
    doctor = BundleChecker(root, metadata, beside, bases_of(beside))
    with importing_from(root):
        examined = [doctor.examine(documents, names)]
    return _report(examined, faults, len(paths))


def _metadata(configs: Path) -> tuple[dict[str, Any], list[Fault]]:
    """What metadata.json says, and what is wrong with it; nothing if there is none."""
    path = configs / "metadata.json"
    if not path.is_file():
        return {}, []
    document = read_document(path)
    content = document.content or {}
    found = [*check_meta_properties(content), *check_changelog(content), *check_versions(content)] if content else []
    return content, [*document.faults, *_in(str(path), found)]


def _in(name: str, findings: Iterable[Finding]) -> list[Fault]:
    return [Fault(name, *finding) for finding in findings]


def _report(examined: Sequence[Examined], faults: Iterable[Fault], files: int) -> Report:
    """Each fault once, though several lists have it: what is nearest may differ from list to list."""
    every = [*faults, *(fault for one in examined for fault in one.faults)]
    once = {(fault.config, fault.where, fault.cause): fault for fault in reversed(every)}
    return Report(tuple(examined), tuple(reversed(once.values())), files)
