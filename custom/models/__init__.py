"""Networks, pure torch."""
