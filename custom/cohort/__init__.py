"""Cases on disk, phantoms with known truth, and the ways real labels are damaged."""
