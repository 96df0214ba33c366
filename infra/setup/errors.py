"""The one error that set-up shows to its user instead of a traceback."""


class SetupError(Exception):
    """What went wrong and what to do about it, written for the person at the keyboard."""
