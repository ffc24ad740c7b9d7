"""What `corfield export` does: a bundle and the code it needs as one archive, tried out where nothing else is."""
