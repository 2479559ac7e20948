"""Options, plan and restore: where models and media meet."""
