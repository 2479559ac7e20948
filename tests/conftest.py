"""What every test process needs.

One thread for each: small tensors gain nothing from more, and processes fight for cores. And Ctrl-C works
although a shell that starts tests in the background turns it off, for what they start inherits that.
"""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
