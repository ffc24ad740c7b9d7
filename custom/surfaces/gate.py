"""The gate between clouds and training: only files that passed, and have not changed since, are learned from.

``gate.json`` lies beside the clouds it speaks of. A file is known by its size and time of change; one that was copied,
with another time, by its digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_file
from .quality import Quality

GATE = "gate.json"
FORMAT = 1

MADE_OF = "made_of"
"""Key of what a training notes of a cloud that it made: its label map and settings."""

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


def entry(path: Path, quality: Quality) -> dict[str, Any]:
    """What the gate keeps of a file."""
    stat = path.stat()
    return {
        "bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "digest": _digest(path),
        "faults": list(quality.faults),
        "inside_share": quality.inside_share,
        "slope": quality.slope,
    }


def unchanged(path: Path, known: Mapping[str, Any] | None) -> bool:
    """Whether a file is the one the gate speaks of."""
    try:
        stat = path.stat()
        if known is None or stat.st_size != known.get("bytes"):
            return False
        return stat.st_mtime_ns == known.get("mtime_ns") or _digest(path) == known.get("digest")
    except OSError:
        return False


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


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
