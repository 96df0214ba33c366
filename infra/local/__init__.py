"""The local cloud: everything the stack needs, on this machine, on loopback."""
