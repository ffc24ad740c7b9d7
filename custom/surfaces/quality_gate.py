"""The gate between clouds and training: only files that passed, and have not changed since, are learned from.

``gate.json`` lies beside the clouds it speaks of. A file is known by the digest of its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_file
from ..fingerprints import FileState, file_state, state_if_there
from .cloud_quality import Quality

GATE = "gate.json"

CLOUDS = "clouds"
"""Who writes clouds and gates, in the records of written files: commands and trainings alike."""
FORMAT = 1

MADE_OF = "made_of"
"""Key of what a training notes of a cloud that it made: its label map and settings."""

LABEL_DIGEST = "label_digest"
"""Key of the digest of the label map that a cloud was held against."""

_REMEDY = "Run `corfield check-clouds` on their folder; make those that fail again."


def read_gate(folder: Path) -> dict[str, dict[str, Any]]:
    """What is known of the clouds of a folder, by file name; nothing if no check was run there."""
    try:
        content = json.loads((folder / GATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = content.get("files") if isinstance(content, dict) and content.get("format") == FORMAT else None
    return known if isinstance(known, dict) else {}


def write_gate(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``gate.json``, whole or not at all.

    Raises:
        InputError: the place cannot be written.
    """
    write_file(folder / GATE, json.dumps({"format": FORMAT, "files": dict(files)}, indent=1) + "\n")


def entry(path: Path, quality: Quality, label_digest: str = "") -> dict[str, Any]:
    """What the gate keeps of a file.

    Args:
        path: of the cloud.
        quality: what was found.
        label_digest: of the bytes of the label map that it was held against; empty: of none.
    """
    return {
        **file_state(path).plain(),
        **({LABEL_DIGEST: label_digest} if label_digest else {}),
        "faults": list(quality.faults),
        "inside_share": quality.inside_share,
        "slope": quality.slope,
    }


def unchanged(path: Path, known: Mapping[str, Any] | None) -> bool:
    """Whether a file is the one the gate has checked."""
    if known is None or not known.get("digest"):
        return False
    now = state_if_there(path, FileState.of(known))
    return now is not None and now.digest == known["digest"]


def passed(path: str | Path) -> bool:
    """Whether a cloud passed the gate as it is now."""
    return _why_not(Path(path), read_gate(Path(path).parent)) == ""


def require_passed(paths: Sequence[str | Path]) -> None:
    """Refuse clouds that did not pass the gate, or changed since.

    Raises:
        InputError: naming up to five of them, and why.
    """
    gates = {folder: read_gate(folder) for folder in {Path(path).parent for path in paths}}
    reasons = [(Path(path), _why_not(Path(path), gates[Path(path).parent])) for path in paths]
    bad = [(path, reason) for path, reason in reasons if reason]
    if bad:
        named = "; ".join(f"{path.name}: {reason}" for path, reason in bad[:5])
        more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        found = f"{len(bad)} of {len(reasons)} clouds that may not be learned from [{named}{more}]"
        raise InputError(bad[0][0].parent, found, "clouds that passed the gate", _REMEDY)


def _why_not(path: Path, gate: Mapping[str, Mapping[str, Any]]) -> str:
    known = gate.get(path.name)
    if not path.is_file():
        return "no such file"
    if known is None:
        return "never checked"
    if known.get("faults") != []:
        return str((known.get("faults") or ["not judged"])[0])
    return "" if unchanged(path, known) else "changed since it was checked"
