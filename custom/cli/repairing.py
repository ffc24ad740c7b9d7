"""Commands on a data set of label maps: make one, repair it, score it."""

from __future__ import annotations

from pathlib import Path

from ..anatomy import PUBLIC_CARDIAC_CT
from ..cohort.defects import Defects
from ..cohort.make import make_cohort, make_scans
from ..cohort.phantom_images import Appearance
from ..errors import InputError
from ..pipeline.demo import run_demo
from ..pipeline.repair import run_repair
from ..pipeline.request import FINAL, Request
from ..pipeline.score import run_score
from ..pipeline.typed import flag, listed, tables
from .saying import end_with, say


class Repairing:
    """Commands on a data set of label maps: make one, repair it, score it."""

    def phantoms(
        self,
        output: str,
        cases: int = 6,
        size: int = 96,
        seed: int = 0,
        images: bool = False,
        noise_hu: float = 20.0,
        blur_mm: float = 0.8,
        **severities: float,
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
            severities: of each kind of damage, 0 off, 1 the default: --steps, --jitter, --boundary, --crumbs, --holes,
                --cuts, --detach.
        """
        for name, severity in severities.items():
            if isinstance(severity, bool) or not isinstance(severity, (int, float)):
                raise InputError(f"--{name}", repr(severity), "a severity, a number from 0 to 10", "1 is usual.")
        with_images, look = flag("--images", images), Appearance(noise_hu, blur_mm)
        paths = make_cohort(Path(str(output)), cases, size, seed, Defects(**severities))
        if with_images:
            make_scans(Path(str(output)) / "scans", cases, size, seed, look)
        print(f"{len(paths)} cases in {output}: truth/ and labels/{' and scans/' if with_images else ''}")

    def repair(
        self,
        labels: str,
        output: str,
        reference: str = "",
        structures: str = "",
        preset: str = "standard",
        device: str = "",
        workers: int = 0,
        strict_components: bool = False,
        label_table: str = PUBLIC_CARDIAC_CT.name,
        table_changes: str = "",
        seg_nrrd: bool = False,
        skip_unified: bool = False,
        final: str = FINAL,
        seed: int = 0,
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
        """
        request = Request(
            labels=Path(str(labels)),
            output=Path(str(output)),
            reference=Path(str(reference)) if reference != "" else None,
            structures=listed(structures),
            preset=str(preset),
            device=str(device),
            workers=workers,
            strict_components=flag("--strict_components", strict_components),
            label_table=str(label_table),
            table_changes=tables(table_changes),
            seg_nrrd=flag("--seg_nrrd", seg_nrrd),
            skip_unified=flag("--skip_unified", skip_unified),
            final=str(final),
            seed=seed,
        )
        outcome = run_repair(request, say)
        say(outcome.text)
        end_with(outcome.faults)

    def score(
        self,
        prediction: str,
        reference: str,
        output: str = "",
        label_table: str = PUBLIC_CARDIAC_CT.name,
        structures: str = "",
        workers: int = 0,
        tolerance_mm: float = 1.0,
    ) -> None:
        """Score label maps against references of the same names: Dice, HD95, ASSD, surface Dice, pieces.

        A case that cannot be scored is named, the others are scored, and the exit code is 1.

        Args:
            prediction: folder of label maps, a MONAI data list (.json), or one label map.
            reference: the same of the truth, on the same grids; one label map for one.
            output: folder for scores.csv (a line per case and structure) and scores.json (means); nothing if left out.
            label_table: which number is which structure: public_cardiac_ct or totalsegmentator_heart.
            structures: names or numbers with commas between them; all if left out.
            workers: processes; as many as there are cores if left out.
            tolerance_mm: of the surface Dice.
        """
        scored = run_score(
            Path(str(prediction)),
            Path(str(reference)),
            Path(str(output)) if output != "" else None,
            str(label_table),
            listed(structures),
            workers,
            tolerance_mm,
        )
        say(scored.text)
        end_with(scored.faults)

    def demo(self, output: str = "demo", cases: int = 6, size: int = 96, seed: int = 0, workers: int = 0) -> None:
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
        outcome = run_demo(Path(str(output)), cases, size, seed, workers, say)
        say(outcome.text)
        end_with(outcome.faults)
