"""Jobs: store, processor, worker."""
