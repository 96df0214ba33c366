"""Customers."""

from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.events import emit
from infra.local.stripe_local.objects.customers import customer


def create_customer(account: Account, fields: Json, cause: Cause) -> Json:
    """Create a customer; `fields` by Stripe's names."""
    created = account.add(
        customer(
            account.new_id("customer"),
            created=account.now(),
            invoice_prefix=account.mint.letters(8).upper(),
            fields=fields,
        )
    )
    emit(account, "customer.created", created, cause=cause)
    return created
