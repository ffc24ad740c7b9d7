"""Small trainable additions to a frozen network."""
