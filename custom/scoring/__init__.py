"""How good a mask is: overlap, surface distance in mm, topology."""
