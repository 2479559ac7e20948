"""Starts the page: `python app.py`, then open http://localhost:7860. Settings: docs/CONFIG.md."""

from seedvr_engine.server.main import main

if __name__ == "__main__":
    main()
