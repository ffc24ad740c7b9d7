"""The anatomy rules (A2.2, A1.7), one function each: from a heart to its new label map and the list of changes.

All limits stand in the structure table. Every rule leaves an empty map, an absent structure and labels the table does
not know as they are, and hands over the map it was given if nothing changes. No rule asks a chamber to lie inside the
myocardium and none closes the myocardium: an open ventricle stays open.
"""

from __future__ import annotations

import math

import cc3d
import numpy as np
from jaxtyping import Bool
from scipy.ndimage import distance_transform_edt

from ..anatomy import Structure, StructureTable
from ..volumes.contacts import touches
from .ledger import Addition
from .remove_components import Done, cut_faces, encloser, grown, note, taken_away
from .rule_types import HeartUnderRepair, Piece, RuleChange, RuleSettings, Spacing

HOLE_SHARE = 0.8
"""A cavity with this share of its faces on one structure lies in it."""

WALL_MM = 2.0
"""Another cavity does only if it is somewhere deeper: walls and fat between structures are thinner."""

LARGE_SPECKS = 10
"""From this many times ``speck_mm3`` a component is no short piece (A2.2)."""


def drop_crumbs(heart: HeartUnderRepair, label_table: StructureTable, settings: RuleSettings) -> Done:
    """Remove the components below ``speck_mm3``, except the largest of each structure (A2.2).

    With ``strict_components`` those within the expected number stay. A structure of one voxel stays.
    """
    gone = {}
    for structure in label_table:
        kept = max(structure.components, 1) if settings.strict_components else 1
        for piece in heart.pieces.of.get(structure.index, ())[kept:]:
            if piece.voxels * heart.voxel_mm3 < structure.speck_mm3:
                gone[piece] = f"below {structure.speck_mm3:g} mm3"
    return taken_away(heart, label_table, gone, "drop_crumbs")


def fill_holes(heart: HeartUnderRepair, label_table: StructureTable, settings: RuleSettings) -> Done:
    """Fill the small cavities: background that is enclosed through faces (A2.2).

    It goes to the structure behind more than half of its faces, if it is at most that one's ``hole_mm3``. A larger
    cavity is anatomy, such as a ventricle nobody labelled; one that reaches the edge of the volume is open. A cavity
    with less than four fifths of its faces on one structure that is nowhere deeper than 2 mm and one voxel (from a
    voxel's centre to the nearest centre outside) is the wall or the fat between structures, and stays.
    """
    # The frame joins all that is open to one component: the one in the corner.
    background = np.pad(heart.labels == 0, 1, constant_values=True)
    numbers, count = cc3d.connected_components(background, connectivity=6, return_N=True)
    if count < 2:
        return heart.labels, []
    statistics, framed = cc3d.statistics(numbers), np.pad(heart.labels, 1)
    largest_mm3 = max(structure.hole_mm3 for structure in label_table)
    drafts: list[RuleChange] = []
    for number in range(1, count + 1):
        volume_mm3 = float(statistics["voxel_counts"][number]) * heart.voxel_mm3
        if number == numbers[0, 0, 0] or volume_mm3 > largest_mm3:
            continue
        box = grown(statistics["bounding_boxes"][number], (1, 1, 1), framed.shape)
        inside = numbers[box] == number
        index, share = encloser(framed[box], inside)
        if index not in label_table.indices or volume_mm3 > label_table[index].hole_mm3:
            continue
        if share < HOLE_SHARE and not _is_deep(inside, heart.spacing_mm):
            continue
        framed[box][inside] = index
        i, j, k = (float(place) - 1 for place in statistics["centroids"][number])
        drafts.append(_filled(label_table[index], volume_mm3, (i, j, k)))
    return (framed[1:-1, 1:-1, 1:-1], drafts) if drafts else (heart.labels, [])


def drop_detached(heart: HeartUnderRepair, label_table: StructureTable, settings: RuleSettings) -> Done:
    """Remove the components farther than ``contact_mm`` from everything their structure must touch (A2.2).

    Contact is that of :func:`custom.volumes.contacts.touches`. Spared are, with a note each:

    - all, if the case has none of what the structure must touch: without a left atrium the veins stay;
    - a component cut by a face of the volume that cuts what it must touch as well: they may meet beyond it;
    - where a distance counts as contact (``contact_mm`` above 0, the coronaries), an expected component of at least
      ten specks: a whole tree is no floating short piece.

    A structure may lose all its components so.
    """
    gone: dict[Piece, str] = {}
    notes = []
    for structure in label_table:
        present = [name for name in structure.touches if label_table[name].index in heart.pieces.of]
        pieces = heart.pieces.of.get(structure.index, ())
        detached = [piece for piece in pieces if present and not _attached(heart, piece, structure, label_table)]
        for piece in detached:
            reason = _spared_detached(heart, piece, structure, label_table)
            if reason:
                notes.append(note(heart, "drop_detached", structure, piece, reason))
            else:
                gone[piece] = f"touches no {' or '.join(present)}"
    labels, drafts = taken_away(heart, label_table, gone, "drop_detached")
    return labels, drafts + notes


def keep_expected(heart: HeartUnderRepair, label_table: StructureTable, settings: RuleSettings) -> Done:
    """Keep the ``components`` largest of each structure, and what is plausible beyond them (A1.7).

    One more is spared, with a note, if it is at least ``spare_fraction`` of the largest and keeps its contact rule (a
    structure without one keeps it always), or if an outer face of the volume cuts it and it is that large or at least
    ten specks: what lies beyond the field of view may join it. On the other hand a component of a thick structure
    without contact rule that is smaller and not cut by the volume goes even where two are expected: an aorta is in
    two pieces only where the field of view cuts it.

    With ``strict_components`` the number alone decides.
    """
    gone: dict[Piece, str] = {}
    notes = []
    for structure in label_table:
        pieces = heart.pieces.of.get(structure.index, ())
        for piece in pieces[structure.components :] if settings.strict_components else pieces[1:]:
            share = piece.voxels / pieces[0].voxels
            size = f"{share:.2g} of the largest"
            if settings.strict_components:
                gone[piece] = f"beyond the {structure.components} strictly expected, {size}"
            elif piece.rank <= structure.components:
                if _is_stray(heart, piece, structure) and share < settings.spare_fraction:
                    gone[piece] = f"{size}, not cut by the field of view"
            elif reason := _spared_extra(heart, piece, structure, label_table, share >= settings.spare_fraction):
                notes.append(note(heart, "keep_expected", structure, piece, f"{size}, {reason}"))
            else:
                gone[piece] = f"beyond the {structure.components} expected, {size}"
    labels, drafts = taken_away(heart, label_table, gone, "keep_expected")
    return labels, drafts + notes


def _attached(heart: HeartUnderRepair, piece: Piece, structure: Structure, label_table: StructureTable) -> bool:
    """Whether the piece touches any of what its structure must touch."""
    reach = [max(math.ceil(structure.contact_mm / step), 1) for step in heart.spacing_mm]
    box = grown(piece.box, reach, heart.labels.shape)
    targets = [label_table[name].index for name in structure.touches]
    target = np.isin(heart.labels[box], targets)
    return touches(heart.pieces.mask(piece, box), target, heart.spacing_mm, structure.contact_mm)


def _spared_detached(heart: HeartUnderRepair, piece: Piece, structure: Structure, label_table: StructureTable) -> str:
    """Why a piece that touches nothing of what it must stays all the same; empty if it does not."""
    volume_mm3 = piece.voxels * heart.voxel_mm3
    cut = cut_faces(piece.box, heart.labels.shape)
    parents = [part for name in structure.touches for part in heart.pieces.of.get(label_table[name].index, ())]
    if volume_mm3 >= structure.speck_mm3 and any(cut & cut_faces(part.box, heart.labels.shape) for part in parents):
        return f"the field of view cuts it and {' or '.join(structure.touches)}"
    large = volume_mm3 >= LARGE_SPECKS * structure.speck_mm3 and piece.rank <= structure.components
    if structure.contact_mm > 0 and large:
        return f"no short piece, though farther than {structure.contact_mm:g} mm from {' and '.join(structure.touches)}"
    return ""


def _is_stray(heart: HeartUnderRepair, piece: Piece, structure: Structure) -> bool:
    """Whether nothing explains why a piece beside the largest is apart from it."""
    return not (structure.touches or structure.thin or cut_faces(piece.box, heart.labels.shape))


def _spared_extra(
    heart: HeartUnderRepair, piece: Piece, structure: Structure, label_table: StructureTable, large_share: bool
) -> str:
    """Why a piece beyond the expected number is plausible; empty if it is not."""
    volume_mm3 = piece.voxels * heart.voxel_mm3
    cut = bool(cut_faces(piece.box, heart.labels.shape))
    if cut and (large_share or volume_mm3 >= LARGE_SPECKS * structure.speck_mm3):
        return "cut by the field of view"
    if not large_share:
        return ""
    if not any(label_table[name].index in heart.pieces.of for name in structure.touches):
        return "large"
    if _attached(heart, piece, structure, label_table):
        return f"touches {' or '.join(structure.touches)}"
    return ""


def _is_deep(inside: Bool[np.ndarray, "i j k"], spacing_mm: Spacing) -> bool:
    """Whether a cavity is too deep to be a wall between structures."""
    return bool(distance_transform_edt(inside, sampling=spacing_mm).max() > max(WALL_MM, *spacing_mm))


def _filled(structure: Structure, volume_mm3: float, place_ijk: tuple[float, float, float]) -> RuleChange:
    return RuleChange(
        kind=Addition,
        rule="fill_holes",
        structure=structure.name,
        component=0,
        before_mm3=0.0,
        after_mm3=volume_mm3,
        distance_mm=math.nan,
        why="a hole it encloses",
        place_ijk=place_ijk,
    )
