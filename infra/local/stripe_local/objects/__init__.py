"""Stripe's objects, field for field: each builder returns one object in its published shape.

A nullable field is present as null, as in Stripe's answers. Builders know nothing of the account.
"""
