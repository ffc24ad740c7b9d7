"""A scan and its label map as slices whose pixels know their place in the world (requirement C1)."""
