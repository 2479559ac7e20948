"""Restores and upscales video and pictures with the SeedVR2 diffusion models."""

import os

__version__ = "0.1.0"

# PyTorch's threads spin for milliseconds while they wait for each other. Where anything else computes, be it
# only the encoder that writes the frames before, they spin on the cores that the others need: on 2 busy cores
# a clip then takes several times as long. OpenMP reads this once, when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
