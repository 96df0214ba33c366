"""A small chat app whose every answer is checked beforehand and metered afterwards."""

from examples.chat.app import ChatConfig, create_app

__all__ = ["ChatConfig", "create_app"]
