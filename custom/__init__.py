"""The rooms of CorField; a dotted path in a bundle's config is the address of a room.

==================  ==========================================================================
``anatomy``         the table of structures: index, name, fusion rank, components kept, contacts
``space``           frames and signs: voxel ijk, unit cube (x, y, z), world mm; the only axis swaps
``headers``         what a NIfTI header says of a grid: in mm, kept as it came in, written
``files``           files that are there whole or not at all
``output_record``   which files this project has written: no other is overwritten or deleted
``output_checks``   no output covers an input, checked before anything is touched
``fingerprints``    digests of file contents
``errors``          the one kind of error a user can mend: what was found, wanted, and what to do
``volumes``         label volumes on a grid: region of interest, components, morphology, vessels
``data``            label maps and scans: reading, checking, writing, lists of cases, MONAI data sets
``phantoms``        synthetic hearts of known truth, their CT images, and damage as real labels have it
``sampling``        where training points of a field are drawn, and their targets
``models``          networks, pure torch: ``near``, ``vecset``, ``sam3d``, and LoRA adapters
``losses``          training losses of fields
``metrics``         overlap, surface distance in mm, topology, and tables of them
``rules``           masks to one heart: fusion by priority, anatomical rules, bridges, the ledger of changes
``surfaces``        a label map as surfaces, exact signed distances and point clouds
``slices``          a scan and its label map as slices, each pixel with its place in world mm
``training``        what the training of every bundle shares: checkpoints, handlers, preflight, setting rules
``near``            training and inference of near_stage1 and unified_implicit
``fusion``          inference of near_fusion
``completion``      training and inference of heart_completion
``sam3d``           training, inference and evaluation of heart_sam3d_lora
``report``          pictures, the page of before and after
``doctor``          what is wrong with a config, found without running it
``export``          a bundle as one archive with the code it needs
``package``         all hearts of a data set as one folder: packed, checked, rendered
``run``             what the commands run: plan, repair, score, demonstration
``cli``             the ``corfield`` command
==================  ==========================================================================

Imports point downwards only::

    cli
    run
    report | doctor | export | package
    near : fusion : completion : sam3d
    training
    phantoms
    sampling | models | losses | rules | metrics | data | surfaces | slices
    volumes
    anatomy | space | files | output_checks
    output_record
    fingerprints | headers
    errors
"""

__version__ = "0.2.0"
