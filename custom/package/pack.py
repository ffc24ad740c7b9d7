"""``corfield pack``: a trained whole heart as one folder to keep and to share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..anatomy import PUBLIC_CARDIAC_CT, table
from ..errors import InputError
from ..near.field_checkpoint import field_of, frames_of
from ..near.heart_checkpoint import decision_of, load_heart_checkpoint
from ..output_checks import refuse_covering
from .atomic_folder import built, check_place
from .load_package import CODE, load, sha256
from .manifest import CODES_FILE, FIELD, FILES, MANIFEST, README, Manifest, written
from .package_readme import text_of
from .package_sizes import found_label_maps, label_map_bytes, sizes, told
from .safetensors_io import write_codes, write_weights

RUNS = ("", "unified_run")
"""Where, in the folder that a command has written, the run of unified_implicit lies."""

MADE_WITH = ("torch", "monai", "safetensors")

STRIDE, AMP = 4, True
"""As the bundle's ``inference.json`` has them: what is drawn from a package is what the bundle draws."""


@dataclass(frozen=True)
class Packed:
    """A package that was written.

    Attributes:
        folder: of it.
        sizes: see :func:`custom.package.package_sizes.sizes`.
        text: the message to the user.
    """

    folder: Path
    sizes: dict[str, Any]
    text: str


def run_pack(
    run: Path,
    output: Path,
    labels: Path | None = None,
    half: bool = False,
    overwrite: bool = False,
    label_table: str = PUBLIC_CARDIAC_CT.name,
) -> Packed:
    """Write the field of a run and the codes of all its cases as a folder that :func:`custom.package.load` opens.

    The same run gives the same bytes. The folder is built beside its place, opened once for a trial, and moved there.

    Args:
        run: what `corfield repair` or a run of unified_implicit has written, or a checkpoint.
        output: folder to write.
        labels: label maps to compare sizes with; ``None`` for those that `corfield repair` has fused beside the run, if
            it has.
        half: store codes as float16.
        overwrite: replace a package that is there.
        label_table: name of the table that the run follows.

    Raises:
        InputError: no trained whole heart there, or one of another table; no label map of a case; codes that float16
            cannot hold; ``output`` holds something else, or cannot be written.
    """
    check_place(output.resolve(), overwrite)
    refuse_covering([output], [run, labels or ""])
    checkpoint = find_checkpoint(run)
    content = load_heart_checkpoint(checkpoint, label_table)
    maps = found_label_maps(run, content["cases"]) if labels is None else label_map_bytes(content["cases"], labels)
    with built(output, overwrite) as folder:
        write_all(folder, checkpoint, content, half)
        manifest = described(folder, content, maps)
        (folder / MANIFEST).write_bytes(written(manifest))
        load(folder, "cpu")
    return Packed(output, manifest.sizes, report(output, checkpoint, content, manifest))


def find_checkpoint(run: Path) -> Path:
    """The checkpoint of a run: the best, or the latest if there is no best.

    Raises:
        InputError: there is none.
    """
    if run.is_file():
        return run
    for place in RUNS:
        for name in ("best.pt", "last.pt"):
            if (run / place / "heart" / name).is_file():
                return run / place / "heart" / name
    found = "a folder without heart/best.pt" if run.is_dir() else "no such file or folder"
    wanted = "what `corfield repair` or a run of unified_implicit has written"
    raise InputError(run, found, wanted, "Give its output folder, or a checkpoint.")


def write_all(folder: Path, checkpoint: Path, content: Mapping[str, Any], half: bool) -> None:
    """Write weights, codes and the README."""
    field = field_of(dict(content))
    weights = {name: tensor for name, tensor in field.state_dict().items() if name != CODE}
    codes = field.codes.table.weight.detach().reshape(-1, *field.codes.shape)
    if half and max(-codes.min(), codes.max()) > torch.finfo(torch.float16).max:
        found, wanted = "codes beyond what float16 holds", "numbers up to 65504"
        raise InputError(checkpoint, found, wanted, "Leave --half out.")
    write_weights(folder / FIELD, weights)
    write_codes(folder / CODES_FILE, codes, torch.float16 if half else torch.float32)
    (folder / README).write_text(text_of(content["cases"], table(content["label_table"]), half), encoding="utf-8")


def described(folder: Path, content: dict[str, Any], maps: int | None) -> Manifest:
    """The manifest of files that are written."""
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in sorted(FILES)}
    decision = decision_of(content)
    names = decision.label_table.names
    return Manifest(
        version=__version__,
        made_with={name: metadata.version(name) for name in MADE_WITH},
        files=files,
        network=dict(content["settings"]["network"]),
        label_table=decision.label_table,
        thresholds=dict(zip(names, decision.thresholds, strict=True)) if "thresholds" in content else {},
        fallback=decision.fallback,
        stride=STRIDE,
        amp=AMP,
        cases=tuple(content["cases"]),
        frames=tuple(frames_of(content)),
        sizes=sizes(files, len(content["cases"]), maps),
    )


def report(output: Path, checkpoint: Path, content: Mapping[str, Any], manifest: Manifest) -> str:
    """What was written, in words."""
    count = len(manifest.cases)
    lines = [f"{count} case{'s' * (count != 1)} of {checkpoint} in {output}", told(manifest.sizes)]
    if not manifest.thresholds:
        lines.append("thresholds: one half; run calibrate.json of unified_implicit before packing to choose them")
    return "\n".join(lines)
