"""What the snapshot of this function holds beside its imports: whoever meets it resumed waits for
none. Where no snapshot is taken a check imports what it needs, when it needs it.
"""

from importlib import import_module

#: All that an allowed, a blocked and a priced check import late, in a process that never checked.
LATE = (
    "botocore.auth",
    "botocore.session",
    "encodings.idna",  # of a host's name
    "importlib.metadata",
    "tollkeeper_core.adapters.parameter_store",
    "tollkeeper_core.adapters.prices",
    "tollkeeper_core.adapters.step_queue",
    "tollkeeper_core.services.check",
    "tollkeeper_core.services.links",
    "tollkeeper_core.services.outage",
)


def import_late() -> None:
    """For SnapStart's hook: modules alone. A secret or a connection would outlive its time."""
    for name in LATE:
        import_module(name)
