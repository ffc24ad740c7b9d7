"""Commands on a data set of label maps: make one, repair it, score it.

What runs a command is imported in its method: the command line is read, explained and refused without torch and MONAI.
"""

from __future__ import annotations

from pathlib import Path

from ..anatomy import PUBLIC_CARDIAC_CT
from ..output_record import overwriting
from ..run.cli_values import listed, tables
from .console_output import exit_with, print_line


class RepairCommands:
    """Commands on a data set of label maps: make one, repair it, score it."""

    def phantoms(
        self,
        output: Path,
        cases: int = 6,
        size: int = 96,
        seed: int = 0,
        images: bool = False,
        noise_hu: float = 20.0,
        blur_mm: float = 0.8,
        steps: float = 1.0,
        jitter: float = 1.0,
        boundary: float = 1.0,
        crumbs: float = 1.0,
        holes: float = 1.0,
        cuts: float = 1.0,
        detach: float = 1.0,
    ) -> None:
        """Write a cohort of phantom hearts with known truth: OUTPUT/truth and OUTPUT/labels, the truth damaged.

        Args:
            output: folder to write.
            cases: number of hearts.
            size: voxels a side; the field of view is 144 mm whatever the size.
            seed: the same seed gives the same bytes.
            images: write CT-like scans of the same hearts too, OUTPUT/scans/sNNNN/sNNNN-image.nii.gz and -label.nii.gz,
                the undamaged truth in five structures: what `corfield slices OUTPUT/scans` takes.
            noise_hu: standard deviation of the scans' noise.
            blur_mm: standard deviation of the scans' blur.
            steps: severity of terraces, of outlines drawn on thick slices; 0 off, 10 the worst, as of every damage.
            jitter: severity of slices off their place.
            boundary: severity of outlines that wander in and out.
            crumbs: severity of bits that float beside a structure.
            holes: severity of hollows.
            cuts: severity of gaps in coronaries and veins.
            detach: severity of appendage or veins off the left atrium.
        """
        from ..phantoms.ct_images import Appearance
        from ..phantoms.damage import Defects
        from ..phantoms.write_cohort import make_cohort, make_scans

        look = Appearance(noise_hu, blur_mm)
        defects = Defects(steps, jitter, boundary, crumbs, holes, cuts, detach)
        paths = make_cohort(output, cases, size, seed, defects)
        if images:
            make_scans(output / "scans", cases, size, seed, look)
        print_line(f"{len(paths)} cases in {output}: truth/ and labels/{' and scans/' if images else ''}", end="\n")

    def repair(
        self,
        labels: Path,
        output: Path,
        reference: Path | None = None,
        structures: str = "",
        preset: str = "standard",
        device: str = "",
        workers: int = 0,
        strict_components: bool = False,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        table_changes: str = "",
        seg_nrrd: bool = False,
        skip_unified: bool = False,
        final: str = "fused",
        seed: int = 0,
        allow_lost: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Repair a data set of label maps: OUTPUT/repaired, and beside it proof of what was changed.

        Every file is checked first; a faulty one is named and left out, the others are repaired, and the exit code
        is 1. A plan with the expected time is printed before anything costs time. Stopped at any moment, by Ctrl-C too,
        the same command goes on where it stopped and ends with the same files; what is up to date is not done again.

        Three stages: a field of each structure, trained on all cases, repairs it (stage1/); its masks become one heart
        by anatomical rules (fused/); one field of whole hearts is trained on these and draws them again (unified/,
        unified_run/). Written are repaired/NAME.nii.gz (native grid and affine), ledger.csv (each removal and addition,
        in mm3, and why), metrics.csv, report/index.html (opens offline) and logs/.

        Args:
            labels: folder of label maps (.nii, .nii.gz), one label map, or a MONAI data list (.json).
            output: folder to write; give the same one again to go on.
            reference: folder of true label maps of the same names, to score against.
            structures: names or numbers with commas between them, such as LA,LAA,Coronary: only these are trained, the
                others are taken from the label maps. All of them if left out.
            preset: quick (three quarters of the training, a first look), standard, or full (323 features, for a GPU).
            device: cpu or cuda; the GPU if left out and there is one.
            workers: processes; as many as there are cores if left out, and one for training on a GPU.
            strict_components: keep the table's numbers of pieces to the letter; else large ones in contact are spared.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            table_changes: other limits for the rules, as JSON, such as {"PV": {"components": 4}}.
            seg_nrrd: write slicer/NAME.seg.nrrd too, which 3D Slicer opens with names and colours.
            skip_unified: leave the third stage out, to save its time.
            final: fused or unified: which label maps repaired/ holds. The others lie beside it; nothing is trained
                again.
            seed: of everything random.
            allow_lost: do not count it as a fault that a structure is gone from a case altogether.
            overwrite: replace files in the output that no run has written, or that were edited since; kept if left out.
        """
        from ..run.repair_labels import run_repair
        from ..run.repair_request import RepairRequest

        request = RepairRequest(
            labels=labels,
            output=output,
            reference=reference,
            structures=listed(structures),
            preset=preset,
            device=device,
            workers=workers,
            strict_components=strict_components,
            label_table=label_table,
            table_changes=tables(table_changes),
            seg_nrrd=seg_nrrd,
            skip_unified=skip_unified,
            final=final,
            seed=seed,
            allow_lost=allow_lost,
            overwrite=overwrite,
        )
        outcome = run_repair(request, print_line)
        print_line(outcome.text)
        exit_with(outcome.faults)

    def score(
        self,
        prediction: Path,
        reference: Path,
        output: Path | None = None,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        structures: str = "",
        workers: int = 0,
        tolerance_mm: float = 1.0,
        overwrite: bool = False,
    ) -> None:
        """Score label maps against references of the same names: Dice, HD95, ASSD, surface Dice, pieces.

        A case that cannot be scored is named, the others are scored, and the exit code is 1.

        Args:
            prediction: folder of label maps, a MONAI data list (.json), or one label map.
            reference: the same of the truth, on the same grids, in any voxel order; one label map for one.
            output: folder for scores.csv (a line per case and structure) and scores.json (means); nothing if left out.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            structures: names or numbers with commas between them; all if left out.
            workers: processes; as many as there are cores if left out.
            tolerance_mm: of the surface Dice.
            overwrite: replace tables in the output that no run has written, or that were edited since.
        """
        from ..run.score_labels import run_score

        with overwriting(overwrite):
            scored = run_score(
                prediction,
                reference,
                output,
                label_table,
                listed(structures),
                workers,
                tolerance_mm,
            )
        print_line(scored.text)
        exit_with(scored.faults)

    def demo(
        self, output: Path = Path("demo"), cases: int = 6, size: int = 96, seed: int = 0, workers: int = 0
    ) -> None:
        """Make a damaged phantom cohort, repair all ten structures of it, and print the scores against the known truth.

        The same as `corfield phantoms` and `corfield repair --preset quick --reference`, all three stages. The last
        table sets the damaged, the fused and the unified label maps side by side; OUTPUT/report/index.html shows every
        case before and after.

        Args:
            output: folder to write.
            cases: number of phantom hearts.
            size: voxels a side.
            seed: of the cohort and the training.
            workers: processes; as many as there are cores if left out.
        """
        from ..run.demo import run_demo

        outcome = run_demo(output, cases, size, seed, workers, print_line)
        print_line(outcome.text)
        exit_with(outcome.faults)
