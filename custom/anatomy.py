"""The table of structures: the one place that knows a label number (requirements A1.7, A2.1, A2.2).

Everything else asks a :class:`StructureTable`; another label set is another table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class Structure:
    """One labelled structure.

    Attributes:
        index: its value in a label map, at least 1 (0 is background).
        name: its name in configs, folders and tables.
        rank: its place in fusion; 0 wins over all others (A2.1).
        components: connected components expected in a whole heart (A1.7).
        touches: names of the structures of which it must touch at least one (A2.2); empty: no rule.
        contact_mm: farthest apart, between nearest voxel centres, that still counts as touching; voxels that share a
            face, an edge or a corner always touch.
        contact_bridge_mm: longest gap to what it must touch that is bridged; beyond it the contact is lost.
        bridge_mm: longest gap between its own fragments that is bridged; 0: none is.
        speck_mm3: a fragment below this volume is noise: never bridged, never spared.
        hole_mm3: largest enclosed cavity that is filled (A2.2); a larger one is anatomy.
        color: RGB, 0-255, for pictures.
        thin: whether it is a few voxels wide, so that a cut may split it and a smoother may erase it.
        barrier: whether no bridge of another structure may pass through it: chambers and great vessels.
    """

    index: int
    name: str
    rank: int
    components: int
    touches: tuple[str, ...] = ()
    contact_mm: float = 0.0
    contact_bridge_mm: float = 0.0
    bridge_mm: float = 0.0
    speck_mm3: float = 20.0
    hole_mm3: float = 2000.0
    color: tuple[int, int, int] = (128, 128, 128)
    thin: bool = False
    barrier: bool = False


@dataclass(frozen=True)
class StructureTable:
    """A label set: its structures, by index."""

    name: str
    structures: tuple[Structure, ...]

    def __iter__(self) -> Iterator[Structure]:
        return iter(self.structures)

    def __len__(self) -> int:
        return len(self.structures)

    def __getitem__(self, key: str | int) -> Structure:
        """The structure of that name (any case) or index; ``InputError`` naming the nearest otherwise."""
        for structure in self.structures:
            if str(key).lower() in (structure.name.lower(), str(structure.index)):
                return structure
        near = get_close_matches(str(key).lower(), [name.lower() for name in self.names], n=1, cutoff=0.5)
        hint = f"Did you mean {self[near[0]].name!r}?" if near else "Choose one of them."
        wanted = ", ".join(f"{s.index} {s.name}" for s in self.structures)
        raise InputError(f"structure of table {self.name!r}", repr(key), f"one of {wanted}", hint)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(structure.name for structure in self.structures)

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(structure.index for structure in self.structures)

    @property
    def chambers(self) -> tuple[Structure, ...]:
        """The atria and ventricles."""
        return tuple(structure for structure in self.structures if structure.name in CHAMBERS)

    @property
    def by_rank(self) -> tuple[Structure, ...]:
        """The structures, highest fusion priority first (A2.1)."""
        return tuple(sorted(self.structures, key=lambda structure: structure.rank))


PUBLIC_CARDIAC_CT = StructureTable(
    "public_cardiac_ct",
    (
        Structure(1, "Myocardium", rank=5, components=1, color=(196, 144, 108)),
        Structure(2, "LA", rank=3, components=1, color=(232, 120, 88), barrier=True),
        Structure(3, "LV", rank=4, components=1, color=(204, 52, 60), barrier=True),
        Structure(4, "RA", rank=7, components=1, color=(84, 140, 212), barrier=True),
        Structure(5, "RV", rank=8, components=1, color=(48, 88, 172), barrier=True),
        Structure(6, "Aorta", rank=6, components=2, color=(224, 60, 124), barrier=True),
        Structure(7, "PA", rank=9, components=1, color=(96, 188, 220), barrier=True),
        Structure(
            8,
            "LAA",
            rank=1,
            components=1,
            touches=("LA",),
            contact_bridge_mm=8.0,
            bridge_mm=8.0,
            speck_mm3=100.0,
            hole_mm3=500.0,
            color=(248, 184, 60),
            thin=True,
        ),
        Structure(
            9,
            "Coronary",
            rank=0,
            components=2,
            touches=("Myocardium", "Aorta"),
            contact_mm=10.0,
            bridge_mm=12.0,
            hole_mm3=50.0,
            color=(252, 236, 92),
            thin=True,
        ),
        Structure(
            10,
            "PV",
            rank=2,
            components=2,
            touches=("LA",),
            contact_bridge_mm=8.0,
            bridge_mm=12.0,
            speck_mm3=100.0,
            hole_mm3=200.0,
            color=(156, 108, 196),
            thin=True,
        ),
    ),
)
"""Public-Cardiac-CT-Dataset's ten structures, in its label convention."""

TOTALSEGMENTATOR_HEART = StructureTable(
    "totalsegmentator_heart",
    (
        Structure(1, "heart_atrium_left", rank=1, components=1, color=(232, 120, 88), barrier=True),
        Structure(2, "heart_ventricle_left", rank=2, components=1, color=(204, 52, 60), barrier=True),
        Structure(3, "heart_atrium_right", rank=3, components=1, color=(84, 140, 212), barrier=True),
        Structure(4, "heart_ventricle_right", rank=4, components=1, color=(48, 88, 172), barrier=True),
        Structure(5, "heart_myocardium", rank=0, components=1, color=(196, 144, 108)),
    ),
)
"""TotalSegmentator's five heart structures, in the order left/right atrium and ventricle, myocardium."""

CHAMBERS = (
    *("LA", "LV", "RA", "RV"),
    *(f"heart_{kind}_{side}" for kind in ("atrium", "ventricle") for side in ("left", "right")),
)
"""Names of the atria and ventricles in any table."""

TABLES = {table.name: table for table in (PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART)}


def table(name: str | StructureTable = PUBLIC_CARDIAC_CT.name) -> StructureTable:
    """The table of that name; a table is returned as it is. ``InputError`` if unknown."""
    if isinstance(name, StructureTable):
        return name
    if name not in TABLES:
        raise InputError("label_table", repr(name), f"one of {', '.join(TABLES)}", "Choose one of them.")
    return TABLES[name]


def structure_name(structure: str | int, label_table: str = PUBLIC_CARDIAC_CT.name) -> str:
    """The structure's name as the table spells it, from its name in any case or its index."""
    return table(label_table)[structure].name


def adjusted(label_table: str | StructureTable, changes: Mapping[str, Mapping[str, Any]]) -> StructureTable:
    """A table with some fields of some structures replaced, such as ``{"PV": {"components": 4}}``.

    Raises:
        InputError: an unknown table, structure or field, or a value of another type than the field's.
    """
    base = table(label_table)
    changed = {}
    for key, values in changes.items():
        structure = base[key]
        for field, value in values.items():
            _check_field(f"table_changes: {structure.name}", field, value)
        changed[structure.name] = replace(
            structure, **{field: _stored(field, value) for field, value in values.items()}
        )
    return StructureTable(base.name, tuple(changed.get(structure.name, structure) for structure in base))


ADJUSTABLE = tuple(field.name for field in fields(Structure) if field.name not in ("index", "name", "color"))
"""The fields of a structure that a config may set: all that the rules use."""


_TEMPLATE = Structure(1, "any", rank=0, components=1)


def _check_field(where: str, field: str, value: Any) -> None:
    if field not in ADJUSTABLE:
        raise InputError(where, f"the field {field!r}", f"one of {', '.join(ADJUSTABLE)}", "Correct its name.")
    default = getattr(_TEMPLATE, field)
    if isinstance(default, tuple):
        fits = isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)
        wanted = "a list of names of structures"
    elif isinstance(default, bool):
        fits, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, wanted = isinstance(value, int) and not isinstance(value, bool) and value >= 0, "a whole number from 0"
    else:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
        wanted = "a number from 0"
    if not fits:
        raise InputError(f"{where}: {field}", repr(value), wanted, "Correct its value.")


def _stored(field: str, value: Any) -> Any:
    """The value in the field's own type: a config may say 4 for a length of 4.0, or a list for a tuple."""
    return type(getattr(_TEMPLATE, field))(value)
