"""Media: probing, reading, shot changes and writing. PyAV and numpy in, numpy out; knows no model."""
