"""Jobs that last: the store, the processor, and the worker that restores."""
