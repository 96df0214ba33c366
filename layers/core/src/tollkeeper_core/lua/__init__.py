"""The atomic scripts, as .lua files."""
