"""Training and inference of heart_completion."""
