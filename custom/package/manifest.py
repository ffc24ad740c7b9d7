"""The content of ``model.json`` of a package: who wrote it, its cases, its structures, how labels are decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..anatomy import Structure, StructureTable
from ..errors import InputError
from ..rules.priority_decision import FALLBACKS
from ..space import Frame

FORMAT = "corfield.heart/1"
FIELD, CODES_FILE, README, MANIFEST = "field.safetensors", "codes.safetensors", "README.md", "model.json"
FILES = (FIELD, CODES_FILE, README)

CHECKSUM = "checksum"
ZEROS = "0" * 64
"""What stands in the checksum's place while it is computed."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """A package's ``model.json``.

    Attributes:
        version: of CorField, which wrote it.
        made_with: versions of the other packages, by name.
        files: size in bytes and SHA-256 of each of :data:`FILES`, as ``{"bytes", "sha256"}``.
        network: what :class:`custom.models.near.near_field.NearField` is built from.
        label_table: the structures.
        thresholds: by the structure's name, where one was calibrated.
        fallback: see :class:`custom.rules.priority_decision.PriorityDecision`.
        stride: see :func:`custom.models.near.evaluate_label_grid.evaluate_heart`.
        amp: whether matrix products and convolutions run in bfloat16.
        cases: names, in code order.
        frames: of the cases, in the same order.
        sizes: bytes of a case and of its label map, see :mod:`custom.package.package_sizes`.
    """

    version: str
    made_with: dict[str, str]
    files: dict[str, dict[str, Any]]
    network: dict[str, Any]
    label_table: StructureTable
    thresholds: dict[str, float]
    fallback: str
    stride: int
    amp: bool
    cases: tuple[str, ...]
    frames: tuple[Frame, ...]
    sizes: dict[str, Any]


def written(manifest: Manifest) -> bytes:
    """The file's bytes; a case and a structure take one line each."""
    table = manifest.label_table
    content: dict[str, Any] = {
        "format": FORMAT,
        CHECKSUM: ZEROS,
        "corfield": manifest.version,
        "made_with": manifest.made_with,
        "files": manifest.files,
        "network": manifest.network,
        "label_table": table.name,
        "structures": [asdict(structure) for structure in table],
        "decision": {"thresholds": manifest.thresholds, "fallback": manifest.fallback},
        "drawing": {"stride": manifest.stride, "amp": manifest.amp},
        "sizes": manifest.sizes,
        "cases": [
            {"name": name, "frame": frame.to_dict()}
            for name, frame in zip(manifest.cases, manifest.frames, strict=True)
        ],
    }
    text = "{\n" + ",\n".join(f"{json.dumps(key)}: {_lines(value)}" for key, value in content.items()) + "\n}\n"
    return text.replace(ZEROS, checksum(text.encode("utf-8"), ZEROS), 1).encode("utf-8")


def _lines(value: Any) -> str:
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in value) + "\n]"
    return json.dumps(value, allow_nan=False)


def checksum(content: bytes, stated: str) -> str:
    """SHA-256 of the file with zeros in the place of the checksum that it states."""
    return hashlib.sha256(content.replace(stated.encode("utf-8"), ZEROS.encode("utf-8"), 1)).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """The content of a ``model.json``, every byte of it as it was written.

    Raises:
        InputError: no such file, no JSON, another program's or of a newer format, changed since it was written, or of
            a content that makes no package.
    """
    content, raw = _parsed(path)
    _check_format(path, content)
    stated = content.get(CHECKSUM)
    found = checksum(raw, stated) if isinstance(stated, str) and len(stated) == len(ZEROS) else "of no checksum"
    if found != stated:
        remedy = "It was edited or damaged: copy it again, or pack the run again; `corfield render` has the settings."
        raise InputError(path, f"contents with the SHA-256 {found}", f"those written, with {stated}", remedy)
    try:
        return _manifest(content)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:160]
        raise InputError(
            path, f"contents that do not fit ({reason})", "a whole package", "Pack the run again."
        ) from error


def _parsed(path: Path) -> tuple[dict[str, Any], bytes]:
    wanted, remedy = "the model.json of a package", "Give a folder that `corfield pack` has written."
    try:
        raw = path.read_bytes()
        content = json.loads(raw.decode("utf-8"))
    except OSError as error:
        found = (
            "no such file" if isinstance(error, FileNotFoundError) else f"a file that cannot be read ({error.strerror})"
        )
        raise InputError(path, found, wanted, remedy) from error
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(path, f"no JSON ({reason})", wanted, "Copy the folder again, or pack it again.") from error
    if not isinstance(content, dict):
        raise InputError(path, f"a JSON {type(content).__name__}", wanted, remedy)
    return content, raw


def _check_format(path: Path, content: Mapping[str, Any]) -> None:
    form, writer = content.get("format"), content.get("corfield")
    if form == FORMAT:
        return
    if not isinstance(form, str) or not form.startswith(FORMAT.split("/")[0] + "/"):
        remedy = "Give a folder that `corfield pack` has written."
        raise InputError(path, f"the format {form!r}", repr(FORMAT), remedy)
    found = f"the format {form!r}, written by CorField {writer}"
    remedy = f"Install CorField {writer}, or pack the run again with this version."
    raise InputError(path, found, f"{FORMAT!r}, which this version reads", remedy)


def _manifest(content: dict[str, Any]) -> Manifest:
    decision, drawing = content["decision"], content["drawing"]
    table = _table(content["label_table"], content["structures"])
    files = {name: {"bytes": int(of["bytes"]), "sha256": str(of["sha256"])} for name, of in content["files"].items()}
    thresholds = {table[name].name: float(value) for name, value in decision["thresholds"].items()}
    names = tuple(_name(case["name"]) for case in content["cases"])
    _insist(sorted(files) == sorted(FILES), f"the files {', '.join(sorted(files))}")
    _insist(len(set(names)) == len(names) > 0, "cases of the same name, or none")
    _insist(decision["fallback"] in FALLBACKS, f"the fallback {decision['fallback']!r}")
    _insist(isinstance(content["network"], dict), "no settings of the network")
    stride = drawing["stride"]
    _insist(type(stride) is int and stride > 0 and not stride & (stride - 1), f"the stride {stride!r}")
    return Manifest(
        version=str(content["corfield"]),
        made_with=dict(content["made_with"]),
        files=files,
        network=content["network"],
        label_table=table,
        thresholds=thresholds,
        fallback=decision["fallback"],
        stride=stride,
        amp=bool(drawing["amp"]),
        cases=names,
        frames=tuple(_frame(case["frame"]) for case in content["cases"]),
        sizes=dict(content["sizes"]),
    )


def _insist(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _name(name: Any) -> str:
    """A name of a case or structure: a file is called by it, in the folder that was asked for and nowhere else."""
    fits = isinstance(name, str) and name and not set(name) & set("/\\\0\n") and not name.startswith(".")
    _insist(bool(fits), f"the name {name!r}")
    return str(name)


def _table(name: Any, structures: Any) -> StructureTable:
    """The structures as they were when the package was written, whatever this version's own tables hold."""
    template, built = Structure(1, "any", rank=0, components=1), []
    for given in structures:
        values: dict[str, Any] = {}
        for field in fields(Structure):
            usual = getattr(template, field.name)
            value = given[field.name] if field.default is MISSING else given.get(field.name, usual)
            value = tuple(value) if isinstance(usual, tuple) else value
            _insist(type(value) is type(usual), f"{field.name} {value!r} of a structure")
            values[field.name] = value
        built.append(Structure(**values))
    indices = [structure.index for structure in built]
    _insist(indices == sorted(set(indices)) and all(0 < index < 256 for index in indices), f"the indices {indices}")
    _insist(len({_name(structure.name).lower() for structure in built}) == len(built) > 0, "structures of one name")
    return StructureTable(str(name), tuple(built))


def _frame(given: dict[str, Any]) -> Frame:
    affine = np.asarray(given["affine"], dtype=np.float64)
    corners = [given[key] for key in ("shape", "low_ijk", "high_ijk")]
    _insist(affine.shape == (4, 4) and bool(np.isfinite(affine).all()), "no affine")
    volume = abs(float(np.linalg.det(affine[:3, :3])))
    _insist(affine[3].tolist() == [0, 0, 0, 1] and volume > 0, "an affine of no volume")
    _insist(all(len(c) == 3 and all(type(v) is int for v in c) for c in corners), f"a box of {corners}")
    _insist(min(corners[0]) > 0, f"a grid of {corners[0]}")
    return Frame.from_dict(given)
