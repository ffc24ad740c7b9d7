"""Small JSON files that record what has been done."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ..files import write_file


def write_record(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all.

    Raises:
        InputError: the place cannot be written.
    """
    write_file(path, json.dumps(content, indent=1) + "\n", state=True)


def read_record(path: Path) -> dict[str, Any]:
    """What :func:`write_record` wrote; empty if it is not there or no record: what it said is then done again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def digest(*parts: Any) -> str:
    """Sixteen hexadecimal digits that differ when a part, plain JSON, does."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
