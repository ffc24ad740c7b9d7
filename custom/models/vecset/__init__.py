"""Networks over sets of surface points that complete hearts, and their loss."""
