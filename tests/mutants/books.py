"""Bugs in the owner's books: profit that nobody made."""

from tests.mutants.mutant import (
    BOOK_MONEY,
    BOOKS,
    BOOKS_FORGET,
    PROFIT,
    PROPERTY,
    REBUILD,
    Mutant,
)

_SETTLE, _BOOK = "tollkeeper_core/lua/settle.lua", "tollkeeper_core/lua/book.lua"
_MONEY = "tollkeeper_core/services/book_money.py"
_WRITES = (
    "        self.archive.write([line for movement in told for line in money_postings(movement)])\n"
)
_NOTES = "        self.books.recorded(finished)\n"

BOOKS_MUTANTS = (
    Mutant(
        name="books-month-of-the-report",
        harm="A call of October costs in November: no month agrees with the record.",
        file=_SETTLE,
        find="local books = ARGV[15] .. ids[3]",
        replace="local books = ARGV[15] .. ARGV[8]",
        tests=(BOOKS,),
    ),
    Mutant(
        name="books-tier-that-was-said",
        harm="Cost of subscribers is read as the free tier's.",
        file=_SETTLE,
        find='"cost|" .. tier.name .. "|"',
        replace='"cost|" .. state.tier .. "|"',
        tests=(BOOKS, PROPERTY),
    ),
    Mutant(
        name="books-before-the-marker",
        harm="SQS delivers a call twice, and it costs twice.",
        file=_SETTLE,
        find='if known[1] then return append(cjson.decode(known[1]), { "replayed", "1" }) end',
        replace="if known[1] then\n"
        "  local first = cjson.decode(known[1])\n"
        '  redis.call("HINCRBY", ARGV[15] .. ARGV[8], "cost|free|" .. ARGV[17], ARGV[4])\n'
        '  return append(first, { "replayed", "1" })\n'
        "end",
        tests=(BOOKS,),
    ),
    Mutant(
        name="books-for-ever",
        harm="What users cost stays in Redis for years, with their names.",
        file=_SETTLE,
        find='    redis.call("EXPIRE", books, ARGV[16])\n',
        replace="",
        tests=(BOOKS,),
    ),
    Mutant(
        name="books-lost-in-a-rebuild",
        harm="After a rebuild everybody has cost nothing.",
        file="tollkeeper_core/services/rebuild.py",
        find="for entry in fold.books()],",
        replace="for entry in ()],",
        tests=(REBUILD,),
    ),
    Mutant(
        name="money-booked-at-every-run",
        harm="Every hour the same payments are revenue once more.",
        file=_BOOK,
        find="if kept then return kept end",
        replace='if kept == "" then return kept end',
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="money-booked-into-an-emptied-redis",
        harm="What is booked before the rebuild is lost with it, and its note with it not.",
        file=_BOOK,
        find='if redis.call("EXISTS", KEYS[1]) == 0 then return -1 end',
        replace="",
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="money-noted-before-it-is-on-record",
        harm="A run that dies in between leaves money in the counters alone, for ever.",
        file=_MONEY,
        find=_WRITES + _NOTES,
        replace=_NOTES + _WRITES,
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="money-not-on-record",
        harm="The archive knows of no revenue: a rebuild loses it.",
        file=_MONEY,
        find=_WRITES,
        replace="",
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="money-of-another-stage",
        harm="The test stage's sales are the shop's revenue.",
        file=_MONEY,
        find="return None if purchase is None else ours(purchase.metadata, self.stage)",
        replace="return None if purchase is None else purchase.metadata",
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="money-foreign-at-once",
        harm="A plan's first payment, not yet tied to its invoice, is never revenue.",
        file=_MONEY,
        find="_FOREIGN_AFTER_MS = 86_400_000",
        replace="_FOREIGN_AFTER_MS = 0",
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="money-refunds-add-up",
        harm="Who gets everything back is the best customer.",
        file="tollkeeper_core/domain/books.py",
        find='"returned": (EntryKind.REFUNDED, -1)',
        replace='"returned": (EntryKind.REFUNDED, 1)',
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="money-known-no-more-after-a-rebuild",
        harm="The run after a rebuild books the last days once more.",
        file="tollkeeper_core/services/rebuild.py",
        find="for t in f.transactions()]",
        replace="for t in ()]",
        tests=(BOOK_MONEY,),
    ),
    Mutant(
        name="books-forgotten-by-name",
        harm="A forgotten person's spend and payments stay under their name.",
        file="tollkeeper_core/services/forget.py",
        find="        self.admin.mask_in_books(who)\n",
        replace="",
        tests=(BOOKS_FORGET,),
    ),
    Mutant(
        name="books-neighbours-forgotten",
        harm="Whose name ends with a forgotten one loses their entries to the alias.",
        file="tollkeeper_core/adapters/redis_books.py",
        find='if f.split("|", 2)[2] == user_id}',
        replace="}",
        tests=(BOOKS_FORGET,),
    ),
    Mutant(
        name="books-forgotten-with-the-sum",
        harm="A forgetting makes the month's profit another one.",
        file="tollkeeper_core/lua/mask.lua",
        find='    redis.call("HINCRBY", KEYS[1], ARGV[i + 1], amount)\n',
        replace="",
        tests=(BOOKS_FORGET,),
    ),
    Mutant(
        name="books-pending-money-under-the-name",
        harm="A run of reconcile that broke off writes a forgotten person's name into the record.",
        file="tollkeeper_core/services/forget.py",
        find="            self._put_on_record(who)\n",
        replace="",
        tests=(BOOKS_FORGET,),
    ),
    Mutant(
        name="profit-without-a-rate-at-par",
        harm="A yen is read as a dollar.",
        file="tollkeeper_core/domain/profit.py",
        find="            if currency in rates\n",
        replace="",
        tests=(PROFIT,),
    ),
    Mutant(
        name="profit-before-fees",
        harm="Small packs look profitable, and Stripe keeps the profit.",
        file="tollkeeper_core/domain/profit.py",
        find=" - self.fee_minor[c] for c in currencies",
        replace=" for c in currencies",
        tests=(PROFIT,),
    ),
    Mutant(
        name="profit-top-rounded-down",
        harm="Of nineteen users nobody is the top 5%.",
        file="tollkeeper_core/services/profit.py",
        find="count = -(-len(costs_nano) * _TOP_PERCENT // 100)",
        replace="count = len(costs_nano) * _TOP_PERCENT // 100",
        tests=(PROFIT,),
    ),
    Mutant(
        name="profit-tier-by-name",
        harm="Each user's month goes to the tier that comes first in the alphabet.",
        file="tollkeeper_core/services/profit.py",
        find="key=lambda tier: (-tier[1], tier[0])",
        replace="key=lambda tier: tier[0]",
        tests=(PROFIT,),
    ),
)
