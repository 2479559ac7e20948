"""Restores and upscales video and pictures with the SeedVR2 diffusion models."""

__version__ = "0.1.0"
