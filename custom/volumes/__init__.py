"""Label volumes on a grid: region of interest, components, morphology."""
