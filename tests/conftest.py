"""One thread for each test process: small tensors gain nothing from more, and processes fight for cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
