"""The page: `create_interface`, and `PAGE`, how it looks (arguments of `gradio.mount_gradio_app`)."""

from seedvr_engine.ui.look import PAGE
from seedvr_engine.ui.page import create_interface

__all__ = ["PAGE", "create_interface"]
