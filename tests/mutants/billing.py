"""Bugs in what is kept of a payer: the customer at Stripe, the billing day,
and in what Stripe is asked.
"""

from tests.mutants.mutant import ACCOUNTS, PROPERTY, Mutant

_FOLD = "tests/unit/test_fold.py"
_WEBHOOK = "tests/unit/test_stripe_event.py"
_RECONCILE = "tests/integration/test_reconcile.py"
_MONTHS = "tests/integration/test_billing_months.py"
_LOST = "tests/property/test_rebuild.py"
_REQUESTS = "tests/property/test_stripe_requests.py"
_STRIPE = "tollkeeper_core/adapters/stripe_billing.py"
_CHECK = "tests/integration/test_check_service.py"
_REBUILD = "tests/integration/test_cli_rebuild.py"

CUSTOMERS = (
    Mutant(
        name="customer-not-archived",
        harm="After a rebuild nobody can manage their plan, and each buyer has a second customer.",
        file="tollkeeper_core/services/stripe_events/books.py",
        find="            self.archive.write(postings)\n",
        replace="",
        tests=(_WEBHOOK,),
    ),
    Mutant(
        name="customer-not-restored",
        harm="The archive knows the customer, and a rebuild forgets it.",
        file="tollkeeper_core/lua/restore.lua",
        find='if ARGV[5] ~= "" then redis.call("SET", KEYS[6], ARGV[5]) end\n',
        replace="",
        tests=(_REBUILD,),
    ),
    Mutant(
        name="oldest-customer-restored",
        harm="A customer that was deleted at Stripe comes back: its portal does not open.",
        file="tollkeeper_core/domain/fold.py",
        find="self._customer = max(",
        replace="self._customer = min(",
        tests=(_FOLD,),
    ),
    Mutant(
        name="reconciliation-writes-what-is-known",
        harm="The archive grows with every plan each day, and verify finds versions that differ.",
        file="tollkeeper_core/services/reconcile.py",
        find="            if same and state.version[1] != 2:\n                return None\n",
        replace="            if same and state.version[1] != 2:\n                return False\n",
        tests=(_RECONCILE,),
    ),
)

_LUA = "tollkeeper_core/lua"
_DAYS = "tollkeeper_core/services/stripe_events/subscriptions.py"

MONTHS = (
    Mutant(
        name="billing-day-not-clamped",
        harm="Billed on the 31st, a user has no month in February.",
        file=f"{_LUA}/state.lua",
        find="  return 1, math.min(day, tonumber(before))\n",
        replace="  return 1, day\n",
        tests=(_MONTHS,),
    ),
    Mutant(
        name="newest-month-in-force",
        harm="Ending a plan and beginning another gives the whole allowance again, every day.",
        file=f"{_LUA}/state.lua",
        find="if not first or begins < first",
        replace="if not first or begins > first",
        tests=(_MONTHS, PROPERTY),
    ),
    Mutant(
        name="ended-plan-s-day-forgotten",
        harm="Ending a plan early and beginning another gives the whole allowance again.",
        file=_DAYS,
        find='{"anchor_day": day, "month_until_ms": month.resets_ms}',
        replace='{"anchor_day": day, "month_until_ms": 0}',
        tests=(_MONTHS,),
    ),
    Mutant(
        name="late-event-s-day-forgotten",
        harm="The order of Stripe's events decides whether a user has a second allowance.",
        file=f"{_LUA}/subscribe.lua",
        find='if ARGV[11] ~= "0" then',
        replace='if ARGV[11] ~= "0" and redis.call("HEXISTS", KEYS[2], ARGV[2]) == 0 then',
        tests=(_MONTHS, PROPERTY),
    ),
    Mutant(
        name="day-without-a-plan",
        harm="Whose plan has ended keeps a month of their own, and the page says another one.",
        file=f"{_LUA}/state.lua",
        find="  if #days == 0 then return 0 end\n",
        replace="",
        tests=(PROPERTY,),
    ),
    Mutant(
        name="billing-day-in-utc",
        harm="East of Greenwich the month begins a day before the payment.",
        file="tollkeeper_core/domain/periods.py",
        find="return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(calendar.time_zone)).day",
        replace="return datetime.fromtimestamp(at_ms / 1000, UTC).day",
        tests=(_MONTHS,),
    ),
    Mutant(
        name="settled-in-the-month-of-now",
        harm="A call checked before the payment uses up what the payment bought.",
        file=f"{_LUA}/settle.lua",
        find='  around, anchor = reservation.around or "", tonumber(reservation.anchor or 0)\n',
        replace="",
        tests=(_MONTHS, PROPERTY),
    ),
    Mutant(
        name="held-days-not-in-the-month",
        harm="Calls under way are not counted: together they pass the month's limit.",
        file=f"{_LUA}/state.lua",
        find="local day = state.counters[id] or kept",
        replace="local day = kept",
        tests=(PROPERTY,),
    ),
    Mutant(
        name="unpaid-plan-has-a-day",
        harm="A card that was refused takes a day from the month that is paid next.",
        file=_DAYS,
        find='text(subscription, "status") not in _NOT_BEGUN',
        replace="True",
        tests=(_MONTHS,),
    ),
    Mutant(
        name="billing-day-not-restored",
        harm="After a rebuild a second allowance is free to whoever changes plans.",
        file="tollkeeper_core/adapters/redis_texts.py",
        find='        **({"months": months} if months else {}),\n',
        replace="",
        tests=(_LOST,),
    ),
    Mutant(
        name="reset-of-the-calendar-shown",
        harm="A subscriber who is stopped is told to wait for a day on which nothing happens.",
        file="tollkeeper_core/services/check.py",
        find="reservation.now_ms, anchor_day)",
        replace="reservation.now_ms)",
        tests=(_CHECK,),
    ),
)

REQUESTS = (
    Mutant(
        name="parameter-misspelt",
        harm="Stripe refuses every checkout of an owner who switched promotion codes on.",
        file=_STRIPE,
        find='params["allow_promotion_codes"] = True',
        replace='params["allow_promotion_code"] = True',
        tests=(_REQUESTS,),
    ),
    Mutant(
        name="value-that-stripe-does-not-have",
        harm="No plan can be changed: Stripe does not know how to prorate so.",
        file=_STRIPE,
        find='"proration_behavior": "always_invoice"',
        replace='"proration_behavior": "always"',
        tests=(_REQUESTS,),
    ),
    Mutant(
        name="list-filter-of-another-type",
        harm="Reconciliation fails each day.",
        file="tollkeeper_core/adapters/stripe_lists.py",
        find='{"gte": since_s - _LATER_S[kind]}',
        replace='{"gte": str(since_s - _LATER_S[kind])}',
        tests=(_REQUESTS,),
    ),
)

_FOR_SALE = (
    'by name; none while another one is to follow theirs."""\n'
    "        if self.account.next_plans:\n            return []\n"
)
_CHANGES = "tests/integration/test_plan_changes.py"

PLANS = (
    Mutant(
        name="less-at-once",
        harm="Whoever changes to less loses what is paid, or gets money back.",
        file="tollkeeper_core/services/plan_changes.py",
        find="        self._change(replace(change, at_once=False))\n\n    def keep",
        replace="        self._change(change)\n\n    def keep",
        tests=(_CHANGES,),
    ),
    Mutant(
        name="second-change-forgets-what-is-paid",
        harm="Whoever changes their mind twice loses the tier that is paid.",
        file="tollkeeper_core/services/plan_changes.py",
        find="paid = _waiting(now) or KeptPlan(",
        replace="paid = KeptPlan(",
        tests=(_CHANGES,),
    ),
    Mutant(
        name="change-of-last-year-undone",
        harm="A click on an old page brings back the plan of before, at its old price.",
        file="tollkeeper_core/services/plan_changes.py",
        find=" and kept.until_s >= now.ends_s else",
        replace=" else",
        tests=("tests/unit/test_upgrade_service.py",),
    ),
    Mutant(
        name="paid-tier-ends-with-the-change",
        harm="Whoever changes to less loses the tier that is paid to the end of the month.",
        file=_DAYS,
        find="            terms, next_plan = kept.terms, terms.plan\n",
        replace="            next_plan = terms.plan\n",
        tests=(_WEBHOOK, _CHANGES),
    ),
    Mutant(
        name="kept-for-ever",
        harm="Whoever pays for less keeps the larger tier.",
        file=_DAYS,
        find=" and _period(event.subject)[0] < kept.until_s",
        replace="",
        tests=(_WEBHOOK,),
    ),
    Mutant(
        name="credit-of-the-old-plan-stays",
        harm="Whoever changes to a plan without credit gets the old one's each month.",
        file="tollkeeper_core/domain/offers.py",
        find='return {**dict.fromkeys(optional, ""), **self.metadata(stage), **waiting}',
        replace="return {**self.metadata(stage), **waiting}",
        tests=(_CHANGES,),
    ),
    Mutant(
        name="larger-plan-sold-beside-a-change-that-waits",
        harm="It would be credited at the smaller plan's price, which was never paid.",
        file="tollkeeper_core/services/upgrade_view.py",
        find=_FOR_SALE,
        replace='by name."""\n',
        tests=("tests/unit/test_upgrade_service.py",),
    ),
)

_CHECKOUT = "tests/integration/test_checkout.py"

CAP = (
    Mutant(
        name="told-late-counts-today",
        harm="After a day of lost webhooks nobody may buy: all of it counts as bought today.",
        file="tollkeeper_core/adapters/redis_purchases.py",
        find='return int(fields.get("paid_at", fields["at"]))',
        replace='return int(fields["at"])',
        tests=(ACCOUNTS,),
    ),
    Mutant(
        name="open-checkouts-not-closed",
        harm="Ten tabs opened before any is paid buy ten packs with a cap of one.",
        file="tollkeeper_core/adapters/stripe_billing.py",
        find="                sessions.expire(surplus)\n",
        replace="                pass\n",
        tests=(_CHECKOUT,),
    ),
    Mutant(
        name="one-checkout-too-many-stays-open",
        harm="One pack a day more than the cap.",
        file="tollkeeper_core/adapters/stripe_billing.py",
        find="others[max(most - 1, 0) :]",
        replace="others[most:]",
        tests=(_CHECKOUT,),
    ),
    Mutant(
        name="checkout-closes-itself",
        harm="With a cap the payment page says that it has expired.",
        file="tollkeeper_core/adapters/stripe_billing.py",
        find='            and one["id"] != session_id\n',
        replace="",
        tests=(_CHECKOUT,),
    ),
)

BILLING_MUTANTS = (*CUSTOMERS, *MONTHS, *REQUESTS, *PLANS, *CAP)
