"""Run inside an unpacked bundle, as the text of ``python -c``: does it stand by itself?

Nothing of the project is imported here: what is asked is whether the bundle brings along all it needs. Usage, in the
bundle's folder: ``python -c TEXT PACKAGE RUN ... -- NETWORK ...`` with the name the package has there, the configs to
run dry, and those whose network is to be asked. The last line of the output is JSON.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from pydoc import locate
from types import ModuleType
from typing import Any

OWN = ("custom", "scripts")
"""What a bundle's code may be called; found in the bundle's folder or not at all."""


class FromHereAlone(importlib.abc.MetaPathFinder):
    """Hides a package of the same name that is installed, or that a clone is installed as."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in OWN:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None or self.root not in Path(spec.origin).resolve().parents:
            raise ModuleNotFoundError(f"No module named {fullname!r} in the bundle", name=fullname)
        return spec


def components(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every component in a config, and its id."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield place, value
        for key, inner in value.items():
            yield from components(inner, f"{place}::{key}" if place else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from components(inner, f"{place}::{index}")


def resolve_all() -> int:
    """Find every ``_target_`` of every config; how many there are."""
    from monai.bundle.config_item import ComponentLocator, ConfigComponent

    locator, count = ComponentLocator(), 0
    for path in sorted(Path("configs").rglob("*.json")):
        for place, component in components(json.loads(path.read_text(encoding="utf-8"))):
            dotted = ConfigComponent(component, locator=locator).resolve_module_name()
            if not callable(dotted if not isinstance(dotted, str) else locate(dotted)):
                raise SystemExit(f"{path}: {place}: _target_ {component['_target_']} leads nowhere")
            count += 1
    return count


def run_dry(config: str) -> None:
    """``python -m monai.bundle run check``: parses the config and checks its settings, reads no data."""
    arguments = sys.argv
    sys.argv = ["monai.bundle", "run", "check", "--config_file", config]
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    finally:
        sys.argv = arguments


def main() -> None:
    root, package = Path.cwd().resolve(), sys.argv[1]
    between = sys.argv.index("--")
    dry, asked = sys.argv[2:between], sys.argv[between + 1 :]
    sys.meta_path.insert(0, FromHereAlone(root))
    from monai.bundle import verify_net_in_out

    targets = resolve_all()
    for config in dry:
        run_dry(config)
    for config in asked:
        verify_net_in_out("network_def", meta_file="configs/metadata.json", config_file=config, any=16, device="cpu")
    own = {name: module for name, module in sys.modules.items() if name.split(".")[0] in OWN}
    foreign = [name for name, module in own.items() if root not in Path(str(module.__file__)).resolve().parents]
    if foreign or (package in os.listdir(root) and not own):
        raise SystemExit(f"code that is not the bundle's own: {foreign}")
    sys.stdout.write(f"\n{json.dumps({'targets': targets, 'modules': len(own)})}\n")


if __name__ == "__main__":
    main()
