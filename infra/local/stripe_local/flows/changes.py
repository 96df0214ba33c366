"""Changes of a subscription: another price or quantity with proration, pauses, ends, trials.

Source: https://docs.stripe.com/billing/subscriptions/prorations. What is left of the period, to the
second, is credited at the old price and charged at the new one.
"""

from fractions import Fraction

from infra.local.stripe_local import clockwork
from infra.local.stripe_local.account import Account, Cause, Json
from infra.local.stripe_local.errors import StripeError
from infra.local.stripe_local.events import changed, emit
from infra.local.stripe_local.flows import discounts, intents, invoices, renewals, subscriptions
from infra.local.stripe_local.flows.totals import half_up
from infra.local.stripe_local.metadata import merge_metadata
from infra.local.stripe_local.objects import invoices as objects
from infra.local.stripe_local.objects.catalog import plan
from infra.local.stripe_local.objects.subscriptions import subscription_item


def update(account: Account, subscription: Json, fields: Json, cause: Cause) -> Json:
    """Apply checked parameters of an update. `items` come with their `price` object.

    Raises StripeError: 400 for one that has ended, 402 where `error_if_incomplete` cannot charge.
    """
    if subscription["status"] in subscriptions.ENDED and fields.keys() - {
        "metadata",
        "cancellation_details",
    }:
        raise StripeError(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    before = account.snapshot(subscription)
    _set_fields(account, subscription, fields)
    if "cancel_at_period_end" in fields or "cancel_at" in fields:
        _set_end(account, subscription, fields)
    anew = fields.get("billing_cycle_anchor", {}).get("type") == "now"
    restart = _change_items(account, subscription, fields, anew=anew) or anew
    if fields.get("trial_end") is not None:
        restart = _set_trial(account, subscription, fields["trial_end"]) or restart
    if restart:
        _restart(account, subscription)
    invoice = _invoice_change(account, subscription, fields, restart=restart)
    previous = changed(before, subscription)
    if previous:
        emit(account, "customer.subscription.updated", subscription, cause=cause, previous=previous)
    if invoice is not None:
        _charge_change(account, subscription, invoice, before, fields)
    return subscription


def _set_fields(account: Account, subscription: Json, fields: Json) -> None:
    if "metadata" in fields:
        subscription["metadata"] = merge_metadata(subscription["metadata"], fields["metadata"])
    if "description" in fields:
        subscription["description"] = fields["description"] or None
    if "cancellation_details" in fields:
        given = fields["cancellation_details"]
        subscription["cancellation_details"] |= {k: v or None for k, v in given.items()}
    if "default_payment_method" in fields:
        subscription["default_payment_method"] = fields["default_payment_method"] or None
    if "trial_settings" in fields:
        subscription["trial_settings"] = fields["trial_settings"]
    if "pause_collection" in fields:
        _set_pause(account, subscription, fields["pause_collection"] or None)


def _set_pause(account: Account, subscription: Json, pause: Json | None) -> None:
    subscription["pause_collection"] = pause and {
        "behavior": pause["behavior"],
        "resumes_at": pause.get("resumes_at"),
    }
    at = (pause or {}).get("resumes_at")
    if at is not None:
        name = "subscription.resume_collection"
        clockwork.schedule(account, at, name, id=subscription["id"], at=at)


def _set_end(account: Account, subscription: Json, fields: Json) -> None:
    end = subscriptions.end_of(subscription)
    at = fields.get("cancel_at") or None
    on = fields.get("cancel_at_period_end", False) or at in ("min_period_end", "max_period_end")
    if on == subscription["cancel_at_period_end"] and at == subscription["cancel_at"]:
        return
    if on or at is None:
        at = end if on else None
    elif at <= account.now():
        raise StripeError("The cancel_at date must be in the future.", param="cancel_at")
    else:
        clockwork.schedule(account, at, "subscription.end", id=subscription["id"], at=at)
    subscription |= {
        "cancel_at": at,
        "cancel_at_period_end": on,
        "canceled_at": account.now() if at else None,
    }
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if at else None


def _set_trial(account: Account, subscription: Json, end: int | str) -> bool:
    """Move the end of the trial; say whether a new period begins now."""
    now = account.now()
    if end == "now":
        was_on_trial: bool = subscription["status"] == "trialing"
        if was_on_trial:
            subscription |= {"status": "active", "trial_end": now}
        return was_on_trial
    if not isinstance(end, int) or end <= now:
        raise StripeError("Invalid timestamp: must be an integer in the future", param="trial_end")
    for item in subscription["items"]["data"]:
        item["current_period_end"] = end
    subscription |= {
        "billing_cycle_anchor": end,
        "status": "trialing",
        "trial_end": end,
        "trial_start": subscription["trial_start"] or now,
    }
    subscriptions.schedule_renewal(account, subscription)
    return False


def _change_items(account: Account, subscription: Json, fields: Json, *, anew: bool) -> bool:
    """Change, add and remove items, with their prorations; say whether a new period begins.

    `anew`: one begins in any case. Then what is left of the old is credited for every item, and
    what is new is charged whole.
    """
    items: list[Json] = subscription["items"]["data"]
    prorates = fields.get("proration_behavior", "create_prorations") != "none" and subscription[
        "status"
    ] not in ("trialing", "incomplete")
    unchanged = {item["id"] for item in items}
    at = fields.get("proration_date") or account.now()
    interval = _interval(items[0])
    for change in fields.get("items", ()):
        old = next((item for item in items if item["id"] == change.get("id")), None)
        if change.get("id") and old is None:
            raise StripeError(
                f"No such subscription item: '{change['id']}'",
                code="resource_missing",
                param="items[0][id]",
            )
        before = account.snapshot(old) if old else None
        unchanged.discard(change.get("id"))
        if old is not None and change.get("deleted"):
            items.remove(old)
            after = None
        elif old is not None:
            after = _changed_item(old, change)
        else:
            after = _new_item(account, subscription, change)
            items.append(after)
        if prorates:
            _prorate(account, subscription, before, after, at, anew=anew)
    if prorates and anew:
        for item in items:
            if item["id"] in unchanged:
                _prorate(account, subscription, item, None, at, anew=True)
    if not items:
        raise StripeError("A subscription must have at least one active item.", param="items")
    return _interval(items[0]) != interval


def _interval(item: Json) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _changed_item(item: Json, change: Json) -> Json:
    if "price" in change:
        item |= {"plan": plan(change["price"]), "price": change["price"]}
    item["quantity"] = change.get("quantity", item["quantity"])
    return item


def _new_item(account: Account, subscription: Json, change: Json) -> Json:
    first = subscription["items"]["data"][0]
    return subscription_item(
        account.new_id("subscription_item"),
        subscription=subscription["id"],
        price=change["price"],
        quantity=change.get("quantity", 1),
        created=account.now(),
        period_start=first["current_period_start"],
        period_end=first["current_period_end"],
    )


def _prorate(
    account: Account,
    subscription: Json,
    before: Json | None,
    after: Json | None,
    at: int,
    *,
    anew: bool,
) -> None:
    period = before or after
    if period is None or (_same(before, after) and not anew):
        return
    whole = period["current_period_end"] - period["current_period_start"]
    left = Fraction(period["current_period_end"] - at, whole)
    if not 0 <= left <= 1:
        raise StripeError(
            "The proration date must be within the current billing period.", param="proration_date"
        )
    if before is not None:
        _add_item(account, subscription, before, -left, "Unused time on")
    # A period that begins anew is charged whole, on its own line.
    anew = anew or (
        before is not None and after is not None and _interval(before) != _interval(after)
    )
    if after is not None and not anew:
        _add_item(account, subscription, after, left, "Remaining time on")


def _same(before: Json | None, after: Json | None) -> bool:
    if before is None or after is None:
        return False
    return (before["price"]["id"], before["quantity"]) == (after["price"]["id"], after["quantity"])


def _add_item(account: Account, subscription: Json, item: Json, share: Fraction, why: str) -> None:
    price = item["price"]
    full = Fraction(price["unit_amount"] * item["quantity"])
    found = discounts.coupon_now(account, subscription)
    if found is not None and found[1]["percent_off"] is not None:
        full *= 1 - Fraction(str(found[1]["percent_off"])) / 100
    name = account.get("product", price["product"])["name"]
    made = account.add(
        objects.invoice_item(
            account.new_id("invoiceitem"),
            customer=subscription["customer"],
            subscription=subscription["id"],
            price=price,
            quantity=item["quantity"],
            amount=half_up(full * share),
            description=f"{why} {item['quantity']} × {name}",
            date=account.now(),
            period_end=item["current_period_end"],
            test_clock=subscription["test_clock"],
        )
    )
    emit(account, "invoiceitem.created", made)


def _restart(account: Account, subscription: Json) -> None:
    now = account.now()
    subscription["billing_cycle_anchor"] = now
    for item in subscription["items"]["data"]:
        item |= {
            "current_period_start": now,
            "current_period_end": subscriptions.next_end(now, item["price"], now),
        }
    subscriptions.schedule_renewal(account, subscription)


def _invoice_change(
    account: Account, subscription: Json, fields: Json, *, restart: bool
) -> Json | None:
    """Draft the invoice of a change: at once for a new period, or where it is asked for."""
    pending = any(
        item["invoice"] is None
        and item["parent"]["subscription_details"]["subscription"] == subscription["id"]
        for item in account.each("invoiceitem")
    )
    at_once = fields.get("proration_behavior") == "always_invoice" and pending
    if not restart and not at_once:
        return None
    return subscriptions.draft_invoice(account, subscription, "subscription_update", whole=restart)


def _charge_change(
    account: Account, subscription: Json, invoice: Json, before: Json, fields: Json
) -> None:
    emit(account, "invoice.created", invoice)
    outcome = renewals.finalize_and_collect(account, invoice)
    if outcome == "failed" and fields.get("payment_behavior") == "error_if_incomplete":
        invoices.void(account, invoice)
        now = account.snapshot(subscription)
        subscription |= before
        subscriptions.schedule_renewal(account, subscription)
        previous = changed(now, subscription) and changed(now, before)
        emit(account, "customer.subscription.updated", subscription, previous=previous)
        if invoices.payment_of(account, invoice) is not None:
            raise intents.payment_error(account, invoices.intent_of(account, invoice))
