"""What `corfield check` does: everything that can be known of a config without building anything from it."""
