"""How MONAI's engines train and ask the network that draws hearts from one slice (requirements C2-C5).

Three stages, each a run of ``bundles/heart_sam3d_lora/configs/train.json``: ``vae`` trains the codec of occupancy,
``base`` the flow that draws codes, ``lora`` adapters in it. Each writes to ``OUTPUT_DIR/STAGE``: ``best.pt`` (lowest
validation loss), ``last.pt``, ``epoch_NNNN.pt``.

One question is one structure in one slice; one answer is its occupancy in the case's cube. For asking::

    model = load_model("OUTPUT_DIR/lora/best.pt")                    # checkpoint.py; adapted=False is the untuned base
    one = Slice.read(path_of_a_slice)                                # custom.slices.slice
    conditions = conditions_of(one, "heart_myocardium", crop=False)  # seeing.py; crop as settings["network"]["crop"]
    batch = {name: values[None] for name, values in conditions.items()}
    probability = model.draw_shapes(batch, steps=25, guidance=2.0, seeds=[0])    # [1, 1, s, s, s], above 0.5 is inside
    round_trip = model.decoded(model.encoded(occupancy)).sigmoid()   # the codec's ceiling; occupancy [b, 1, s, s, s]

``load_shapes(checkpoint)["untrained"]`` is the banner, empty if all parts were trained; so is ``model.banner()``.

The items a run trains on (``cases.shape_items``, one per case and structure) become, after ``LoadShaped`` and
``RandSliced``:

===============  ==================  ====================================================================
key              shape               meaning
===============  ==================  ====================================================================
``image``        [1, h, w] float32   the scan in [0, 1]
``mask``         [1, h, w] float32   0 or 1: the one structure that is asked for
``pointmap``     [3, h, w] float32   of each of its pixels the place in the cube, -1 to 1 along i, j, k; else NaN
``occupancy``    [1, s, s, s] uint8  truth: the structure's voxels in the cube
``sdf_mm``       [1, s, s, s]        truth: signed distance in mm, only where it is asked for
``axis``         int                 across which the slice is cut, in the cube as it is then
``slice_idx``    int                 its place along that axis
``turn``         int                 which rotation the cube was given, 0 for none
===============  ==================  ====================================================================

beside ``index``, ``case``, ``patient``, ``structure``, ``channel``. With ``crop`` the first three are of the window
round the mask, and ``full_image``, ``full_mask``, ``full_pointmap`` of the whole slice.
"""
