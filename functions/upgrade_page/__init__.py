"""The upgrade page: packs and plans, the checkout's start, what became of it."""
