"""Stripe's events, applied to the ledger and recorded: a file for each kind of event."""
