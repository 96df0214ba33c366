"""Stripe's own lists of what happened, as the events that should have told of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tollkeeper_core.adapters.stripe_client import make_client, raising
from tollkeeper_core.domain.purchases import Happened, PurchaseLookupError
from tollkeeper_core.domain.transactions import CATEGORIES, Transaction

if TYPE_CHECKING:
    from stripe import StripeClient

_DAY_S = 86_400
_PAGE = 100
_TIMEOUT_S = 10.0
_RETRIES = 2

#: How long after it was made an object may still come to what matters here. A bank debit is paid up
#: to two weeks after its session, a renewal is retried for four, a refund may fail for as long; a
#: dispute is decided within some months (docs.stripe.com/disputes).
_LATER_S = {
    "sessions": 14 * _DAY_S,
    "payments": 14 * _DAY_S,
    "invoices": 30 * _DAY_S,
    "refunds": 30 * _DAY_S,
    "disputes": 150 * _DAY_S,
    "warnings": 0,
}


@dataclass(frozen=True)
class StripeLists:
    """Implements purchases.Happenings and transactions.TransactionSource.

    ``api_base``: where the local Stripe is.
    """

    secret_key: str
    api_base: str | None = None

    def since(self, since_s: int, now_s: int) -> Mapping[str, Callable[[], Iterator[Happened]]]:
        """See Happenings."""
        v1 = self._client.v1

        def made(kind: str, **more: Any) -> dict[str, Any]:
            return {"created": {"gte": since_s - _LATER_S[kind]}, "limit": _PAGE, **more}

        def sessions() -> Iterator[Happened]:
            expand = ["data.payment_intent.latest_charge"]
            params = made("sessions", status="complete", expand=expand)
            for one in _all(v1.checkout.sessions.list, params):
                yield Happened("checkout.session.completed", _paid_s(one), one)

        def payments() -> Iterator[Happened]:
            for one in _all(v1.payment_intents.list, made("payments")):
                if one["status"] == "succeeded":
                    yield Happened("payment_intent.succeeded", one["created"], one)

        def invoices() -> Iterator[Happened]:
            for one in _all(v1.invoices.list, made("invoices", status="paid")):
                paid_s = one["status_transitions"]["paid_at"] or one["created"]
                yield Happened("invoice.paid", paid_s, one)

        def subscriptions() -> Iterator[Happened]:
            # Nothing tells when one changed last: all are looked at, as they are now.
            for one in _all(v1.subscriptions.list, {"status": "all", "limit": _PAGE}):
                ended = "deleted" if one["status"] == "canceled" else "updated"
                yield Happened(f"customer.subscription.{ended}", now_s, one)

        def refunds() -> Iterator[Happened]:
            for one in _all(v1.refunds.list, made("refunds")):
                yield Happened("refund.updated", one["created"], one)

        def disputes() -> Iterator[Happened]:
            for one in _all(v1.disputes.list, made("disputes")):
                yield Happened("charge.dispute.updated", now_s, one)

        def warnings() -> Iterator[Happened]:
            for one in _all(v1.radar.early_fraud_warnings.list, made("warnings")):
                yield Happened("radar.early_fraud_warning.created", one["created"], one)

        lists = (sessions, payments, invoices, subscriptions, refunds, disputes, warnings)
        return {list_.__name__: list_ for list_ in lists}

    def transactions(self, since_s: int) -> Iterator[Transaction]:
        """See transactions.TransactionSource."""
        params = {"created": {"gte": since_s}, "expand": ["data.source"], "limit": _PAGE}
        for one in _all(self._client.v1.balance_transactions.list, params):
            source = one.get("source")
            if one["reporting_category"] in CATEGORIES and isinstance(source, Mapping):
                yield _transaction(one, source)

    @cached_property
    def _client(self) -> "StripeClient":
        return make_client(self.secret_key, self.api_base, _TIMEOUT_S, _RETRIES)


def _all(list_: Callable[[Any], Any], params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of a list, page by page. Raises PurchaseLookupError."""
    with raising(PurchaseLookupError):
        for one in list_(params).auto_paging_iter():
            yield one.to_dict()


def _transaction(one: Mapping[str, Any], source: Mapping[str, Any]) -> Transaction:
    """Of a charge, a refund or a dispute: the last two name their charge and no purchase."""
    is_charge = source["object"] == "charge"
    return Transaction(
        id=one["id"],
        category=one["reporting_category"],
        source_id=source["id"],
        amount_minor=one["amount"],
        fee_minor=one["fee"],
        currency=one["currency"],
        created_s=one["created"],
        metadata=(source.get("metadata") or {}) if is_charge else {},
        payment_intent_id=source.get("payment_intent"),
        charge_id=source["id"] if is_charge else source.get("charge"),
    )


def _paid_s(session: Mapping[str, Any]) -> int:
    """When it was paid: a pack's days count from then."""
    intent = session.get("payment_intent")
    charge = intent.get("latest_charge") if isinstance(intent, Mapping) else None
    created_s: int = (charge if isinstance(charge, Mapping) else session)["created"]
    return created_s
