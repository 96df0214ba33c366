"""``tollkeeper``: the owner's commands over the ledger and its record."""
