"""Commands on the way from scans to hearts from one slice: the cache of slices.

What runs a command is imported in its method: the command line is read, explained and refused without torch and MONAI.
"""

from __future__ import annotations

from pathlib import Path

from ..anatomy import TOTALSEGMENTATOR_HEART
from ..output_record import overwriting
from ..run.cli_values import numbers
from .console_output import exit_with, print_line


class SliceCommands:
    """Commands on the way from scans to hearts from one slice."""

    def slices(
        self,
        dataset: Path,
        output: Path,
        window_hu: str = "-200,500",
        least_pixels: int = 16,
        size: int = 64,
        spacing_mm: float = 3.0,
        centre: str = "grid",
        no_meshes: bool = False,
        patients: Path | None = None,
        validation: float = 0.1,
        test: float = 0.1,
        label_table: str = TOTALSEGMENTATOR_HEART.name,
        workers: int = 0,
        seed: int = 0,
        overwrite: bool = False,
    ) -> None:
        """Cut every scan into slices on all three axes: OUTPUT/NAME/NAME-axA-KKK.npz, the truth and meshes beside them.

        DATASET holds NAME/NAME-image.nii.gz and NAME/NAME-label.nii.gz, on any grid: both are brought to a cube of SIZE
        voxels a side unless they are one. A slice holds the image, a mask per structure, and of each of its pixels the
        place in the world, in mm; NAME-sdf.npz holds the signed distances of the whole case, meshes/STRUCTURE.obj its
        surfaces. OUTPUT/datalist.json and .csv say who is for training, validation and test: whole patients, never
        slices. A faulty case is named and left out, and the exit code is 1. Stopped at any moment, the same command
        goes on where it stopped.

        Args:
            dataset: folder of the cases.
            output: folder to write; give the same one again to go on.
            window_hu: Hounsfield units that become 0 and 1 in the image.
            least_pixels: a slice is kept if one structure has as many.
            size: voxels a side of the cube.
            spacing_mm: edge of its voxels.
            centre: grid, the middle of the scan's grid; heart, that of the labelled structures, for scans larger than
                the cube.
            no_meshes: write no surfaces.
            patients: table (.csv) with the columns case and patient; each case is another patient if left out.
            validation: share of the patients.
            test: share of the patients.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            workers: processes; as many as there are cores if left out.
            seed: of the split.
            overwrite: replace files in the output that no run has written, or that were edited since; kept if left out.
        """
        from ..run.make_slices import SliceRequest, run_slices

        request = SliceRequest(
            dataset=dataset,
            output=output,
            label_table=label_table,
            size=size,
            spacing_mm=spacing_mm,
            centre=centre,
            window_hu=numbers("--window_hu", window_hu, "HU"),
            least_pixels=least_pixels,
            meshes=not no_meshes,
            patients=patients,
            validation=validation,
            test=test,
            workers=workers,
            seed=seed,
        )
        with overwriting(overwrite):
            made = run_slices(request)
        print_line(made.text)
        exit_with(made.faults)
