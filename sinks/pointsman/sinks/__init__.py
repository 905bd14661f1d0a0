"""Where outputs go: router view, reports, histories."""

from .router_view import Routed, RouterView

__all__ = ["Routed", "RouterView"]
