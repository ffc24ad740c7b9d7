"""NeAR: latent codes, feature pyramid, point MLP, dense evaluation."""
