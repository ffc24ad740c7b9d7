"""A label map as surfaces, exact signed distances and clouds of points (requirement B1)."""
