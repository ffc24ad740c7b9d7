"""Commands on the hearts of a cohort as one file: pack them, draw them.

What runs a command is imported in its method: the command line is read, explained and refused without torch and MONAI.
"""

from __future__ import annotations

from pathlib import Path

from ..anatomy import PUBLIC_CARDIAC_CT
from ..output_record import overwriting
from .console_output import exit_with, print_line


class ModelCommands:
    """Commands on the hearts of a cohort as one file: pack them, draw them."""

    def pack(
        self,
        run: Path,
        output: Path,
        labels: Path | None = None,
        half: bool = False,
        overwrite: bool = False,
        label_table: str = PUBLIC_CARDIAC_CT.name,
    ) -> None:
        """Write the field of the whole heart and the codes of all cases to one folder to keep and to share.

        OUTPUT holds weights and codes as safetensors, and names, grids, structures and thresholds as JSON. Nothing in
        it can run code, a changed byte is refused, and the same run gives the same bytes. `corfield render` draws it.

        Args:
            run: output folder of `corfield repair` or of a run of unified_implicit, or a checkpoint of one.
            output: folder to write.
            labels: label maps to compare the size with; those that `corfield repair` has fused if left out.
            half: store codes as float16, half the size.
            overwrite: replace a package that is there.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
        """
        from ..package.pack import run_pack

        print_line(run_pack(run, output, labels, half, overwrite, label_table).text)

    def render(
        self,
        model: Path,
        case: str,
        output: Path,
        spacing_mm: float | None = None,
        format: str = "label",
        meshes: bool = False,
        device: str = "",
        overwrite: bool = False,
    ) -> None:
        """Draw cases of a package that `corfield pack` has written, on the grid of their label maps or on a finer one.

        Args:
            model: folder of the package.
            case: name of a case, or all.
            output: .nii.gz to write; or a folder, for NAME.nii.gz of every case.
            spacing_mm: of an isotropic grid over its whole field of view; the label map's own grid if left out.
            format: label, or probability: OUTPUT/STRUCTURE/probability/NAME.nii.gz for every structure.
            meshes: write meshes/NAME/STRUCTURE.ply too, in world mm (RAS).
            device: cpu or cuda; the GPU if left out and there is one.
            overwrite: replace files in the output that no run has written, or that were edited since.
        """
        from ..package.render import run_render

        with overwriting(overwrite):
            drawn = run_render(model, case, output, spacing_mm, format, meshes, device)
        print_line(drawn.text)
        exit_with(drawn.faults)
