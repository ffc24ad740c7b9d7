"""The command that shows what a run has done.

What runs a command is imported in its method: the command line is read, explained and refused without torch and MONAI.
"""

from __future__ import annotations

from pathlib import Path

from ..output_record import overwriting
from .console_output import print_line


class ReportCommands:
    """The command that shows what a run has done."""

    def report(
        self,
        output: Path,
        page: Path | None = None,
        reference: Path | None = None,
        cases: int = 12,
        overwrite: bool = False,
    ) -> None:
        """Write the page of a finished run anew: OUTPUT/report/index.html, which opens offline.

        It shows the label maps as they came, as they were made and, where it is known, the truth, in slices and in 3-D,
        with the measures of OUTPUT/metrics.csv. Nothing is computed again but the pictures. Of hearts drawn from one
        slice it shows the methods side by side, and what was drawn from the worst question to the best.

        Args:
            output: folder that `corfield repair` or `corfield complete` has written to the end, or an evaluation of the
                bundle heart_sam3d_lora.
            page: another HTML file to write.
            reference: folder of true label maps of the same names to be shown too; nothing is scored against them.
                Those that the run was given if left out. Of an evaluation: the folder of slices, if it has moved.
            cases: how many are shown in pictures, the worst ones; the tables have all.
            overwrite: replace a page that no run has written, or that was edited since.
        """
        from ..run.rewrite_report import run_report

        with overwriting(overwrite):
            written = run_report(output, page, reference, cases)
        print_line(f"report        {written}")
