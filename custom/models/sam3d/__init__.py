"""A shape as a coarse grid of codes: occupancy VAE, conditioner and flow transformer, and their losses."""
