"""What the training and inference of every bundle share."""
