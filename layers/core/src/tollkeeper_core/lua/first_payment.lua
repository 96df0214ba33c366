-- Keeps the invoice by which a plan that a prompt began was first paid, for ever: whoever comes with a
-- later one hears that it is not the first.
--
-- KEYS 1 purchases  2 configuration  3 state
-- ARGV 1 prompt id  2 invoice  3 when it was paid
-- Answers {name, value, ...}: "status" is ok, or empty (see published, then nothing was done); the
-- first one's "invoice" and "at".

if not published(KEYS[2]) then return { "status", "empty" } end
local name = "first:" .. ARGV[1]
local first = redis.call("HGET", KEYS[1], name)
if not first then
  first = ARGV[2] .. " " .. ARGV[3]
  redis.call("HSET", KEYS[1], name, first)
  redis.call("HSET", KEYS[3], "bought", "1")
  redis.call("PERSIST", KEYS[3]) -- a buyer is never forgotten for being away
end
local invoice, at = string.match(first, "^(%S+) (%d+)$")
return { "status", "ok", "invoice", invoice, "at", at }
