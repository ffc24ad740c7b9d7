"""Try an exported bundle where nothing else is: unpacked into an empty folder, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .bundle_source import alone, configs_of
from .checkpoint_in_archive import MODEL, takers

PROBE = Path(__file__).with_name("self_test_script.py")
NOT_INHERITED = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONHOME", "PYTHONSTARTUP")
SECONDS = 900
ERROR = re.compile(r"[\w./]+: ")
"""How the last line of a traceback begins, or the first if the error's message has several."""
INFERENCE, DRY = "configs/inference.json", "check"


@dataclass(frozen=True)
class SelfTest:
    """What an exported bundle has shown.

    Attributes:
        targets: components of its configs that were found.
        modules: of its own code that were imported, all from its own folder.
        dry: configs that ``monai.bundle run check`` accepted.
        asked: configs whose network has the outputs of the metadata.
    """

    targets: int
    modules: int
    dry: tuple[str, ...]
    asked: tuple[str, ...]


def what_to_ask(files: Mapping[str, bytes]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The configs that can be run dry, and those whose network can be built: it has weights there or needs none."""
    configs = configs_of(files)
    dry = tuple(name for name in alone(files) if DRY in configs[name])
    ready = "network_def" in configs.get(INFERENCE, {}) and (MODEL in files or not takers(files))
    return dry, (INFERENCE,) if ready else ()


def clean_environment() -> dict[str, str]:
    """The environment without what would lead Python to other code; a key given twice in a config is an error."""
    kept = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    return kept | {"MONAI_FAIL_ON_DUPLICATE_CONFIG": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def try_out(archive: Path, package: str, files: Mapping[str, bytes], name: str) -> SelfTest:
    """Unpack an archive into an empty folder and run it dry there.

    Every ``_target_`` of every config is found, ``monai.bundle run check`` accepts every config that stands by itself,
    and the network gives what the metadata say, if it can be built without training it first. The package is found in
    that folder alone, whatever is installed.

    Args:
        archive: a zip that holds one folder, ``name``.
        package: what the code is called in it.
        files: what the zip holds, by path in that folder.
        name: of the bundle.

    Raises:
        InputError: it does not run; the message holds the last that it said.
    """
    dry, asked = what_to_ask(files)
    with tempfile.TemporaryDirectory(prefix="export-") as empty:
        with zipfile.ZipFile(archive) as unpacked:
            unpacked.extractall(empty)
        said = _probe(Path(empty) / name, [package, *dry, "--", *asked], name)
    return SelfTest(said["targets"], said["modules"], dry, asked)


def last_said(stderr: str) -> str:
    """The error that a process has ended with, on one line of at most 400 characters; if there is none, all it said."""
    lines = stderr.strip().splitlines()
    starts = [number for number, line in enumerate(lines) if ERROR.match(line)]
    return " ".join(line.strip() for line in lines[starts[-1] if starts else 0 :])[:400] or "nothing said"


def _probe(folder: Path, arguments: Sequence[str], name: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-c", PROBE.read_text(encoding="utf-8"), *arguments]
    wanted, remedy = "a bundle that runs by itself", "Mend that in the bundle; nothing was written."
    try:
        done = subprocess.run(
            command, cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(name, f"no end of its trial within {SECONDS} s", wanted, remedy) from error
    if done.returncode:
        raise InputError(name, f"an export that fails where nothing else is ({last_said(done.stderr)})", wanted, remedy)
    said: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return said
