"""Commands on the way from label maps to whole hearts: clouds of points, their gate, and completion.

What runs a command is imported in its method: the command line is read, explained and refused without torch and MONAI.
"""

from __future__ import annotations

from pathlib import Path

from ..anatomy import PUBLIC_CARDIAC_CT
from ..output_record import overwriting
from ..run.cli_values import listed, numbers
from .console_output import exit_with, print_line


class CompletionCommands:
    """Commands on the way from label maps to whole hearts."""

    def clouds(
        self,
        labels: Path,
        output: Path,
        points: int = 100_000,
        near_points: int = 100_000,
        surface_points: int = 50_000,
        quota_share: float = 0.5,
        near_sigmas_mm: str = "0.5,5",
        scale_mm: float = 0.0,
        centre: str = "",
        validation: float = 0.1,
        test: float = 0.1,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        device: str = "cpu",
        workers: int = 0,
        seed: int = 0,
        overwrite: bool = False,
    ) -> None:
        """Make a cloud of every label map: OUTPUT/NAME.npz, with exact signed distances to each structure, in mm.

        Needs the extra `completion`. A faulty label map is named and left out, the others are done, and the exit code
        is 1. Stopped at any moment, the same command goes on where it stopped. OUTPUT/datalist.json and .csv say which
        case is for training, validation and test. `corfield check-clouds OUTPUT` comes next: training wants its word.

        Args:
            labels: folder of label maps (.nii, .nii.gz), one label map, or a MONAI data list (.json).
            output: folder to write; give the same one again to go on.
            points: all over the frame, with distances.
            near_points: round the surfaces, with distances.
            surface_points: on the surfaces, with normals.
            quota_share: of near and surface points, the share dealt out evenly to all structures; the rest by area.
            near_sigmas_mm: how far near points are scattered, standard deviations with commas between them.
            scale_mm: how many mm are 1 in the frame; the same in every case. If left out 100, or more where a labelled
                box needs it; one that does not hold some cases is refused with their names.
            centre: the frame's centre, x,y,z in world mm, for data registered to one space; that of each grid if left
                out. It never depends on which structures are there.
            validation: share of the cases.
            test: share of the cases.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            device: cpu or cuda, for the distances.
            workers: processes; as many as there are cores if left out. Each takes up to about 1 GB.
            seed: of points and splits.
            overwrite: replace files in the output that no run has written, or that were edited since; kept if left out.
        """
        from ..run.make_clouds import CloudRequest, run_clouds
        from ..surfaces.surface_sampling import Counts

        counts = Counts(
            surface=surface_points,
            volume=points,
            near=near_points,
            quota_share=quota_share,
            near_sigmas_mm=numbers("--near_sigmas_mm", near_sigmas_mm, "mm"),
        )
        request = CloudRequest(
            labels=labels,
            output=output,
            label_table=label_table,
            counts=counts,
            validation=validation,
            test=test,
            scale_mm=scale_mm,
            centre=numbers("--centre", centre, "mm"),
            device=device,
            workers=workers,
            seed=seed,
        )
        with overwriting(overwrite):
            made = run_clouds(request)
        print_line(made.text)
        exit_with(made.faults)

    def check_clouds(self, clouds: Path, labels: Path | None = None, workers: int = 0, overwrite: bool = False) -> None:
        """Check every cloud of a folder against its label map; CLOUDS/gate.json keeps what training asks for.

        Numbers, grid, presence; for each structure: bound, sign at the voxel, share of signs, zero at the surface,
        slope. A bad cloud is named with the checks it failed, and the exit code is 1: nothing may learn from it.

        Args:
            clouds: folder that `corfield clouds` has written.
            labels: folder of the label maps; where CLOUDS/datalist.json says if left out.
            workers: processes; as many as there are cores if left out.
            overwrite: replace a gate.json that no run has written, or that was edited since.
        """
        from ..run.check_clouds import run_check_clouds

        with overwriting(overwrite):
            checked = run_check_clouds(clouds, labels, workers)
        print_line(checked.text)
        exit_with(checked.faults)

    def complete(
        self,
        labels: Path,
        output: Path,
        checkpoint: Path,
        smooth_given: bool = False,
        structures: str = "",
        reference: Path | None = None,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        draws: int = 4,
        device: str = "",
        workers: int = 0,
        overwrite: bool = False,
    ) -> None:
        """Complete partial label maps to whole hearts: OUTPUT/completed/NAME.nii.gz, on the same grid and affine.

        What a label map holds is kept voxel by voxel; what it lacks is drawn by a trained network of heart_completion.
        OUTPUT/source/NAME.nii.gz says which is which: 1 given, 2 completed. OUTPUT/confidence/NAME.nii.gz says how deep
        a completed voxel lies within the borders that were drawn, 0 to 1: it is no probability, and does not tell
        whether a structure as a whole lies where it should. Beside them are metrics.csv and report/index.html (given,
        completed and true hearts, opens offline). A completed structure is a plausible one, not the patient's own.

        A label map that is faulty or holds no structure at all is named and left out, the others are completed, and the
        exit code is 1; so it is where the network draws nothing at all. Stopped at any moment, by Ctrl-C too, the same
        command goes on where it stopped; what is up to date is not done again.

        Args:
            labels: folder of label maps (.nii, .nii.gz), one label map, or a MONAI data list (.json).
            output: folder to write; give the same one again to go on.
            checkpoint: best.pt of a run of heart_completion, of phase 2 or later.
            smooth_given: have the network draw the given structures too, smoothly; their voxels change.
            structures: names or numbers with commas between them, such as Aorta,PA,PV: of what a label map lacks only
                these are completed. All of it if left out.
            reference: folder of true label maps of the same names, to score against: Dice, HD95, surface Dice, of given
                and of completed structures apart, and how often completed voxels are right by confidence.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            draws: random parts of the given surfaces that the network is shown, one after the other; its answers are
                averaged. More cost more time and are a little nearer to the truth.
            device: cpu or cuda; the GPU if left out and there is one.
            workers: processes; as many as there are cores if left out, and one for completing on a GPU.
            overwrite: replace files in the output that no run has written, or that were edited since; kept if left out.
        """
        from ..run.complete_hearts import run_complete
        from ..run.completion_request import CompletionRequest

        request = CompletionRequest(
            labels=labels,
            output=output,
            checkpoint=checkpoint,
            smooth_given=smooth_given,
            structures=listed(structures),
            reference=reference,
            label_table=label_table,
            draws=draws,
            device=device,
            workers=workers,
            overwrite=overwrite,
        )
        outcome = run_complete(request, print_line)
        print_line(outcome.text)
        exit_with(outcome.faults)
