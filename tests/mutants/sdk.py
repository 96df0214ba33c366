"""Bugs in the Python SDK: what it reports, to whom, how often, and what it hides."""

from tests.mutants.mutant import Mutant

_CALL, _REPORTER, _SPOOL = (f"tollkeeper/_{name}.py" for name in ("call", "reporter", "spool"))
_TALKS = "tests/sdk/test_conversations.py"
_ODD = "tests/sdk/test_odd_answers.py"
_OUTAGES = "tests/sdk/test_outages.py"
_DELIVERY = "tests/sdk/test_delivery_and_outage.py"
_SYNC = "tests/sdk/test_openai_sync.py"
_SPOOLED = "tests/sdk/test_spool.py"
_PRODUCT = "tests/sdk/test_against_the_product.py"
_DIRECT = "tests/sdk/test_direct.py"

SDK_MUTANTS = (
    Mutant(
        name="sdk-direct-block-overruled",
        harm="A user at the limit goes on as soon as the function is cut off from Redis.",
        file="tollkeeper/_direct.py",
        find="return answer if _blocks(answer) else None",
        replace="return answer",
        tests=(_DIRECT,),
    ),
    Mutant(
        name="sdk-direct-block-waits",
        harm="A function that hangs turns a block into an outage, and the call goes ahead.",
        file="tollkeeper/_direct.py",
        find="result(max(deadline - time.monotonic(), 0))",
        replace="result()",
        tests=(_DIRECT,),
    ),
    Mutant(
        name="sdk-direct-any-key",
        harm="A revoked API key goes on reading in direct mode.",
        file="tollkeeper_core/direct.py",
        find="            authenticate(self._rules, self._authorization, KEYS_AGE_MS)\n",
        replace="",
        tests=(_DIRECT,),
    ),
    Mutant(
        name="sdk-usage-chunk-shown",
        harm="A caller who asked for no usage gets a chunk without choices, and crashes on it.",
        file=_CALL,
        find='return b"" if value.get("choices") == [] else event',
        replace="return event",
        tests=(_TALKS,),
    ),
    Mutant(
        name="sdk-estimate-unmarked",
        harm="A guess is booked as if the provider had said it.",
        file=_CALL,
        find="model=tally.model, estimated=True)\n        elif tally.complete",
        replace="model=tally.model)\n        elif tally.complete",
        tests=(_ODD,),
    ),
    Mutant(
        name="sdk-reported-twice",
        harm="A stream that is read to its end and closed is charged twice.",
        file=_CALL,
        find="pid = self._token.pop()",
        replace="pid = self._token[0]",
        tests=(_SYNC,),
    ),
    Mutant(
        name="sdk-refusal-not-released",
        harm="A call that the provider refused keeps its reservation until it expires.",
        file=_CALL,
        find='        self.settle(status="error")\n',
        replace="        self._token.clear()\n",
        tests=(_ODD,),
    ),
    Mutant(
        name="sdk-cap-holds-the-rest",
        harm="What a capped call held beside is not given back.",
        file=_CALL,
        find="for reservation_id in self._reserved.releases:",
        replace="for reservation_id in self._reserved.releases[:1]:",
        tests=(_PRODUCT,),
    ),
    Mutant(
        name="sdk-retry-uncharged",
        harm="An attempt that the provider worked on and that timed out is free.",
        file=_CALL,
        find="if error is None or check.model is None or not self._may_be_billed(error):",
        replace="if True:",
        tests=(_ODD,),
    ),
    Mutant(
        name="sdk-spool-not-read-back",
        harm="What a killed process left stays on disk for ever.",
        file=_REPORTER,
        find="                self._spool.adopt()\n",
        replace="",
        tests=(_DELIVERY,),
    ),
    Mutant(
        name="sdk-overflow-not-read-back",
        harm="What memory had no room for is written to disk and never sent.",
        file=_SPOOL,
        find="        if not self._waiting and self._overflow is not None:\n",
        replace="        if False:\n",
        tests=(_SPOOLED,),
    ),
    Mutant(
        name="sdk-torn-line-kept",
        harm="A full disk tears a line, and the next event is joined to it and lost.",
        file=_SPOOL,
        find="                os.ftruncate(self._fd, self.size)\n            raise",
        replace="                pass\n            raise",
        tests=(_SPOOLED,),
    ),
    Mutant(
        name="sdk-memory-without-bound",
        harm="In a long outage the app's memory fills up with events.",
        file=_REPORTER,
        find="if len(self._pending) < self._max_queue:",
        replace="if True:",
        tests=(_OUTAGES,),
    ),
    Mutant(
        name="sdk-drop-uncounted",
        harm="Usage is lost and nobody can tell how much.",
        file=_REPORTER,
        find="        self._dropped += 1\n",
        replace="",
        tests=(_OUTAGES,),
    ),
    Mutant(
        name="sdk-nonsense-allows",
        harm="An answer that says nothing counts as one that allows, whatever the policy.",
        file="tollkeeper/_protocol.py",
        find='            raise NoAnswer("neither allowed nor blocked")\n',
        replace="            return Allowed()\n",
        tests=(_DELIVERY,),
    ),
    Mutant(
        name="sdk-failed-event-dropped",
        harm="The queue did not take an event, and it is not sent again.",
        file=_REPORTER,
        find='            elif status == "accepted":',
        replace='            elif status in ("accepted", "failed"):',
        tests=(_DELIVERY,),
    ),
)
