"""What a case costs in a package, beside its gzip label map."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.case_list import label_maps
from ..errors import InputError
from .manifest import CODES_FILE, FIELD

BLOCK = 1 << 20
GZIP = 16 + zlib.MAX_WBITS


def gzip_bytes(path: Path) -> int:
    """The size of a label map: its own where it is compressed, else what gzip makes of it."""
    if path.name.lower().endswith(".gz"):
        return path.stat().st_size
    packer, size = zlib.compressobj(6, zlib.DEFLATED, GZIP), 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            size += len(packer.compress(block))
    return size + len(packer.flush())


def label_map_bytes(cases: Sequence[str], labels: Path) -> int:
    """Bytes of the cases' label maps, compressed.

    Args:
        cases: names.
        labels: as :func:`custom.data.case_list.label_maps` takes them.

    Raises:
        InputError: no label maps there, none of a case, or one that cannot be read.
    """
    paths = label_maps(labels)
    lacking = [name for name in cases if name not in paths]
    if lacking:
        found = f"no label map of {', '.join(lacking[:3])}" + (f" and {len(lacking) - 3} more" * (len(lacking) > 3))
        raise InputError(labels, found, "one for every case", "Give the folder of label maps that were trained on.")
    try:
        return sum(gzip_bytes(paths[name]) for name in cases)
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror or error})"
        raise InputError(error.filename or labels, found, "a label map", "Check who may read it.") from error


def found_label_maps(run: Path, cases: Sequence[str]) -> int | None:
    """As :func:`label_map_bytes`, of those that `corfield repair` has trained it on; ``None`` without them."""
    for folder in (run / "fused", run.parent / "fused"):
        try:
            return label_map_bytes(cases, folder)
        except InputError:
            continue
    return None


def sizes(files: Mapping[str, Mapping[str, Any]], cases: int, maps: int | None) -> dict[str, Any]:
    """The figures of a package without its ``model.json``, in bytes.

    Args:
        files: as in :class:`custom.package.manifest.Manifest`.
        cases: number of them.
        maps: see :func:`label_map_bytes`; ``None`` if they are not known.

    Returns:
        ``field_bytes``; ``code_bytes`` of a case; ``case_bytes``, with its share of all else; and where label maps are
        known ``label_map_bytes`` of a case and the ``ratio``, above 1 where the package is the larger.
    """
    total = sum(int(note["bytes"]) for note in files.values())
    figures: dict[str, Any] = {
        "field_bytes": int(files[FIELD]["bytes"]),
        "code_bytes": round(int(files[CODES_FILE]["bytes"]) / cases),
        "case_bytes": round(total / cases),
    }
    if maps:
        figures |= {"label_map_bytes": round(maps / cases), "ratio": round(total / maps, 4)}
    return figures


def told(figures: Mapping[str, Any]) -> str:
    """The figures in words."""
    text = f"field {_kb(figures['field_bytes'])}, a code {_kb(figures['code_bytes'])}"
    text += f"; in all {_kb(figures['case_bytes'])} a case"
    if "ratio" not in figures:
        return text + "; label maps to compare with were not given (--labels)"
    ratio = float(figures["ratio"])
    beside = f"{ratio:.3g} times as large as" if ratio >= 1 else f"{1 / ratio:.3g} times smaller than"
    return f"{text}, {beside} its gzip label map of {_kb(figures['label_map_bytes'])}"


def _kb(size: int) -> str:
    return f"{size / 1000:.3g} kB" if size < 1e6 else f"{size / 1e6:.3g} MB"
