"""Where a field is asked during training, and what it should answer."""
