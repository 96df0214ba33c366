"""Apps that show Tollkeeper at work."""
