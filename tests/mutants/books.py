"""Bugs in the owner's books: profit that nobody made."""

from tests.mutants.mutant import BOOKS, PROPERTY, REBUILD, Mutant

_SETTLE = "tollkeeper_core/lua/settle.lua"

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
        find="for entry in fold.books()], now_ms)",
        replace="for entry in ()], now_ms)",
        tests=(REBUILD,),
    ),
)
