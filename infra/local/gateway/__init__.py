"""A faithful Upstash REST API in front of a Redis on loopback."""

from .app import GatewayApp, GatewaySettings
from .server import Gateway
from .stats import Stats

__all__ = ["Gateway", "GatewayApp", "GatewaySettings", "Stats"]
