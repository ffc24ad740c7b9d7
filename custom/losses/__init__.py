"""Training losses of fields."""
