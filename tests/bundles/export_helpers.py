"""How the tests run an exported bundle where nothing else of the project is.

Python is started with ``-S`` and sees one folder besides its own library: links to the published dependencies and to
what these depend on. Nothing else that is installed can be imported there, neither the clone nor any developer tool.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from custom.export.archive_layouts import LAYOUTS, laid_out
from custom.export.bundle_source import bundle_names, read_bundle
from custom.training.run_bundle import BUNDLES
from tests.folder_entries import entries

CODE = {layout: package for layout, (package, _) in LAYOUTS.items()}

each_bundle = pytest.mark.parametrize("name", bundle_names())
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def exported(name: str, layout: str) -> dict[str, bytes]:
    return laid_out(read_bundle(BUNDLES / name), layout)[1]


def links_to(lines: Sequence[str], folder: Path) -> Path:
    """A folder to import from that holds some distributions, all that they depend on, and nothing else."""
    waiting, seen = [Requirement(line).name for line in lines], set()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not top.endswith(".pth") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())
        needed = [Requirement(line) for line in distribution.requires or []]
        waiting += [need.name for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return folder


def clean_python(published: Path, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Python that knows its own library, the published dependencies and the folder it is started in."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment = inherited | {"PYTHONPATH": str(published), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-W", "ignore", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run_id(published: Path, folder: Path, run: str, *configs: str, **settings: Any) -> None:
    """``python -m monai.bundle run`` in a bundle's folder."""
    given = json.dumps([f"configs/{config}.json" for config in configs]).replace('"', "'")
    options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
    done = clean_python(published, ["-m", "monai.bundle", "run", run, "--config_file", given, *options], folder)
    assert done.returncode == 0, done.stderr[-3000:]


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    (top,) = entries(folder.iterdir())
    return top
