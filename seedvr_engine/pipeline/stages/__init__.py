"""The three stages that a shot goes through. Each keeps what it finishes and goes on from what is kept."""
