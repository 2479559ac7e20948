"""Files of pictures and video: probe, read, shots, write. Knows no model."""
