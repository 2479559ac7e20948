"""What keeps the documents true: `python -m tools.docs`."""
