"""What a heart drawn from one slice is worth: asked about patients never seen, beside plain answers (C4, C5)."""
