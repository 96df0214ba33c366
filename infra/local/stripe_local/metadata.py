"""Metadata, as every object has it."""


def merge_metadata(old: dict[str, str], new: dict[str, str] | str) -> dict[str, str]:
    """Return `old` with `new` laid over it: an empty value unsets a key, "" unsets them all."""
    if isinstance(new, str):
        return {}
    return {key: value for key, value in (old | new).items() if value != ""}
