"""Fetches the SeedVR2 checkpoints into SEEDVR_CKPTS; see `--help`."""

import argparse
import sys

from seedvr_engine.checkpoints.catalog import MODELS
from seedvr_engine.checkpoints.console import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, choices=(*MODELS, "all"))
    parser.add_argument("--official", action="store_true", help="the authors' float32 files (twice the size)")
    arguments = parser.parse_args()
    sys.exit(run(arguments.model, official=arguments.official))
