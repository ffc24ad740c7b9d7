"""``corfield render``: the hearts of a package as files."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.label_maps import SUFFIXES, is_label_map_name, write_label_map
from ..errors import InputError
from ..files import is_full_disk
from ..headers import header_in
from ..near.save_heart import LabelsToGridd, SaveHeartMeshesd, SaveHeartProbabilitiesd
from ..output_checks import refuse_covering
from ..output_record import refuse_foreign
from .load_package import load
from .packed_model import Rendering

LOGGER = logging.getLogger(__name__)

ALL = "all"
FORMS = ("label", "probability")


@dataclass(frozen=True)
class Rendered:
    """Cases that were drawn.

    Attributes:
        cases: their names.
        text: the message to the user.
        faults: of the cases that were not drawn, a line each.
    """

    cases: tuple[str, ...]
    text: str
    faults: tuple[str, ...] = ()


def run_render(
    model: Path,
    case: str,
    output: Path,
    spacing_mm: float | int | None = None,
    form: str = "label",
    meshes: bool = False,
    device: str = "",
) -> Rendered:
    """Draw one case of a package, or all, one after the other.

    Written is ``output`` itself where it is called .nii or .nii.gz, else, in that folder, ``CASE.nii.gz``; or
    ``STRUCTURE/probability/CASE.nii.gz``; and ``meshes/CASE/STRUCTURE.ply``, beside a file that is ``output`` itself.

    Args:
        model: the package's folder.
        case: a name, or ``all``.
        output: file or folder to write.
        spacing_mm: of an isotropic grid; ``None`` for the grid of the label map.
        form: ``label``, label maps; or ``probability``, one volume a structure, 0 to 1, two decimals.
        meshes: write every structure's surface too.
        device: see :func:`custom.package.load_package.load`.

    Raises:
        InputError: no package or a faulty one, no such case or form, a file for what needs a folder, a file of somebody
            else where one is to be written, the package's own folder, or a place that cannot be written.
    """
    if form not in FORMS:
        raise InputError("--format", repr(form), f"one of {', '.join(FORMS)}", "Choose one of them.")
    single = check_output(output, case, form)
    refuse_covering([output] if single else [], [model], flat=[] if single else [output])
    if single:
        refuse_foreign(output)
    opened = load(model, device)
    faults, names = list[str](), list[str]()
    for name in opened.cases if case == ALL else (case,):
        opened.row(name)
        drawing = opened.draw(name, spacing_mm, form == "probability" or meshes)
        folder, path = (output.parent, output) if single else (output, output / f"{name}.nii.gz")
        try:
            write(drawing, folder, path, form, meshes)
        except InputError as error:
            if case != ALL or is_full_disk(error):
                raise
            faults.append(str(error))
            continue
        names.append(name)
        LOGGER.info("%s: drawn", name)
    count = f"{len(names)} case{'s' * (len(names) != 1)}"
    grid = "the label map's own grid" if spacing_mm is None else f"a grid of {spacing_mm:g} mm"
    return Rendered(tuple(names), f"{count} on {grid}: {output}", tuple(faults))


def check_output(output: Path, case: str, form: str) -> bool:
    """Whether one file is to be written; else a folder.

    Raises:
        InputError: a file for what needs a folder, or another suffix than those of NIfTI.
    """
    suffix = output.suffix
    if is_label_map_name(output) and not output.is_dir():
        if case == ALL or form == "probability":
            what = "all cases" if case == ALL else "a volume for every structure"
            raise InputError("--output", f"the file {output} for {what}", "a folder", "Leave the suffix out.")
        return True
    if suffix and case != ALL and not output.is_dir():
        wanted = f"a name that ends in {' or '.join(SUFFIXES)}, or a folder"
        raise InputError("--output", f"the suffix {suffix!r}", wanted, "Name the output so, or make the folder first.")
    return False


def write(drawing: Rendering, folder: Path, path: Path, form: str, meshes: bool) -> None:
    """Write what was drawn of one case.

    Raises:
        InputError: the place cannot be written.
    """
    canvases, decision = drawing.canvases, drawing.decision
    if form == "probability":
        SaveHeartProbabilitiesd("pred", folder, canvases, decision)(drawing.item)
    if meshes:
        SaveHeartMeshesd("pred", folder / "meshes", canvases, decision)(drawing.item)
    if form == "label":
        item = LabelsToGridd("pred", canvases)(drawing.item)
        whole = item["pred"]
        write_label_map(path, np.asarray(whole[0]), np.asarray(whole.affine), header=header_in(item))
