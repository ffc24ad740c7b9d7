"""The rooms of CorField; a dotted path in a bundle's config is the address of a room.

==============  ==========================================================================
``anatomy``     the table of structures: index, name, fusion rank, components kept, contacts
``space``       frames and signs: voxel ijk, unit cube (x, y, z), world mm; the only axis swaps
``files``       files that are there whole or not at all
``errors``      the one kind of error a user can mend: what was found, wanted, and what to do
``volumes``     label volumes on a grid: region of interest, components, morphology
``points``      where a field is asked during training, and what it should answer
``fields``      F(z, p): codes, feature pyramid, point MLP, dense evaluation
``objectives``  what training minimises
``consistency`` masks to one heart: fusion, anatomical rules, bridging, the ledger of changes
``scoring``     overlap, surface distance in mm, topology
``cohort``      cases on disk, phantoms with known truth, the ways real labels are damaged
``surfaces``    a label map as surfaces, exact signed distances and clouds of points
``slices``      a scan and its label map as slices, each pixel with its place in world mm
``sets``        the network that completes hearts: clouds in, signed distances out; its loss
``sparse``      a shape as a coarse grid of codes: its codec, the flow that draws them, what the flow is told
``adapters``    small trainable additions to a frozen network
``engines``     the only room that knows MONAI's engines: handlers, resuming, preflight
``report``      pictures, the page of before and after
``doctor``      what is wrong with a config, found without running it
``export``      a bundle as one archive with the code it needs
``package``     all hearts of a cohort as one folder: packed, checked, drawn again
``pipeline``    what the commands run: plan, repair, score, demonstration
``cli``         the ``corfield`` command
==============  ==========================================================================

Imports point downwards only::

    cli
    pipeline
    report | doctor | export | package
    engines
    points | fields | objectives | consistency | scoring | cohort | surfaces | sets | slices | sparse | adapters
    volumes
    anatomy | space | files
    errors
"""

__version__ = "0.2.0"
