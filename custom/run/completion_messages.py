"""Messages of a completion: the plan, the result, and what could not be drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .. import __version__
from ..completion.complete_case import helps
from ..data.plausible_size import doubts
from ..errors import InputError
from ..metrics.completion_rows import COMPLETED, CompletionRow
from ..surfaces.cloud_frame import beyond_frame, reaching
from .check_label_map import CheckedCase, reaches_mm
from .completion_request import CompletionRequest, Trained


def undrawn_cases(cases: Sequence[CheckedCase], rows: Sequence[CompletionRow]) -> list[str]:
    """A fault for each case with something to complete of which not a voxel was drawn."""
    faults = []
    for case in cases:
        own = [row for row in rows if row.case == case.name and row.source == COMPLETED]
        if own and not any(row.volume_mm3 for row in own):
            found = f"that the network draws no voxel of {', '.join(row.structure for row in own)}"
            remedy = "Train longer, or in a phase that hides structures; or see whether they lie beyond the grid."
            faults.append(str(InputError(case.path, found, "something of at least one of them", remedy)))
    return faults


def undrawn(rows: Sequence[CompletionRow]) -> str:
    """A line for each structure that is missing from completed hearts: nobody should have to find that out."""
    gone: dict[str, list[str]] = {}
    for row in rows:
        if not row.volume_mm3:
            gone.setdefault(row.structure, []).append(row.case)
    return "".join(
        f"NOT DRAWN: {name} in {len(cases)} cases, among them {', '.join(cases[:3])}; look at the report\n"
        for name, cases in gone.items()
    )


def idle(request: CompletionRequest, cases: Sequence[CheckedCase]) -> str:
    """A line if no case lacks anything that was asked for: it may be a mistake, and it is no completion."""
    if any(request.missing(case) for case in cases):
        return ""
    became = "were drawn anew" if request.smooth_given else "are copied as they are; --smooth_given draws them anew"
    wanted = "a structure" if len(request.wanted) == len(request.table) else ", ".join(request.wanted)
    return f"NOTHING TO COMPLETE: no case lacks {wanted}; the label maps {became}\n"


def beyond(trained: Trained, cases: Sequence[CheckedCase]) -> str:
    """The cases whose heart the network's frame does not hold, and what helps; empty if it holds all."""
    reaches = reaches_mm(cases, trained.centre_mm)
    over = beyond_frame(reaches, trained.scale_mm)
    if not over:
        return ""
    longest_mm = max(np.ptp(np.reshape(case.box_mm, (2, 3)), axis=0).max() for case in cases if case.name in over)
    found = f"{len(over)} of {len(reaches)} cases reach beyond the network's cube of {2 * trained.scale_mm:g} mm"
    what = helps(max(over.values()), float(longest_mm), trained.scale_mm)
    return f"{found}: {reaching(over, 3)} from its middle; nothing is drawn there. {what}"


def format_plan(
    request: CompletionRequest,
    trained: Trained,
    cases: Sequence[CheckedCase],
    due: Sequence[CheckedCase],
    faulty: int,
) -> str:
    """What will be done, for the user."""
    counts = Counter(name for case in cases for name in request.missing(case))
    asked = ", ".join(f"{name} in {counts[name]}" for name in request.table.names if counts[name])
    whole = sum(not request.missing(case) for case in cases)
    lines = {
        "cases": f"{len(cases)} good, {faulty} faulty and left out; {len(cases) - len(due)} up to date",
        "to complete": (asked or "nothing") + (f"; {whole} cases lack nothing and stay as they are" if whole else ""),
        "checkpoint": f"{request.checkpoint}: {trained.phase}, {trained.weights / 1e6:.2g} million weights",
        "device": request.asked_on,
    }
    outside = beyond(trained, cases)
    if outside:
        lines["frame"] = outside
    for number, doubt in enumerate(doubts({case.name: case.size for case in cases})):
        lines["sizes" if not number else f"sizes {number + 1}"] = doubt
    if not trained.completes:
        lines["warning"] = "this network was trained to give back what it sees; nothing was ever hidden from it"
    return "\n".join(f"{name:<12}{value}" for name, value in lines.items())


def facts_of(request: CompletionRequest, trained: Trained, cases: Sequence[CheckedCase]) -> dict[str, str]:
    """What was run, for the head of the report."""
    facts = {"checkpoint": f"{request.checkpoint.name}, {trained.phase}", "completed": ", ".join(request.wanted)}
    facts["given structures"] = "drawn anew by the network" if request.smooth_given else "kept voxel by voxel"
    if request.reference:
        facts["reference"] = str(request.reference)
    said = {"frame": beyond(trained, cases), "sizes": "; ".join(doubts({case.name: case.size for case in cases}))}
    facts |= {name: text for name, text in said.items() if text}
    return facts | {"version": __version__}


def places(request: CompletionRequest) -> str:
    """Where things lie, for the user."""
    output = request.output
    lines = {
        "completed": f"{output / 'completed'}: whole hearts on the grids they came on",
        "source": f"{output / 'source'}: 1 where the structure was given, 2 where it was completed",
        "confidence": f"{output / 'confidence'}: how deep a completed voxel lies, 0 to 1; no probability",
        "measures": output / "metrics.csv",
        "report": output / "report" / "index.html",
    }
    return "\n".join(f"{name:<14}{place}" for name, place in lines.items())
