-- Adds a lot of credits, once per purchase. What is owed is repaid from it first.
--
-- KEYS 1 state  2 purchases  3 prompt (any name when there is none)  4 configuration
-- ARGV 1 now  2 purchase id  3 pack  4 granted  5 paid  6 worth  7 currency  8 expiry, or 0
--      9 fresh until, or 0  10 fresh (see state.lua)
--      11 "1" when the purchase came from a prompt  12 seconds to keep the prompt's state
--      13 when it was paid  14-17 what led to it: prompt (or ""), trigger, tier, variant
-- Answers {name, value, ...}: "status" is ok, or empty (see published, then nothing was done); the
-- rest is the first answer for this purchase, for ever, and "claimed": 1 when there is a claim on it.
-- One that came before its purchase has yet to take effect (claim.lua): until then the lot is frozen.

if not published(KEYS[4]) then return { "status", "empty" } end
local known = redis.call("HMGET", KEYS[2], ARGV[2], "claims:" .. ARGV[2])
local claimed = known[2] and "1" or "0"
if known[1] then
  return append(cjson.decode(known[1]), { "status", "ok", "replayed", "1", "claimed", claimed })
end

local v = redis.call("HMGET", KEYS[1], "lots", "owed", "unused")
local lots, owed, granted = read_lots(v[1] or ""), tonumber(v[2] or 0), tonumber(ARGV[4])
local repaid = claimed == "1" and 0 or math.min(owed, granted)
local purchase = {
  purchase = ARGV[2], granted = int(granted), worth = ARGV[6], currency = ARGV[7], expires = ARGV[8],
  fresh_until = ARGV[9], fresh = ARGV[10], at = ARGV[1],
}
insert_lot(lots, purchase, granted - repaid).frozen = claimed == "1"

local answer = {
  "purchase", ARGV[2], "pack", ARGV[3], "granted", ARGV[4], "paid", ARGV[5], "worth", ARGV[6],
  "currency", ARGV[7], "expires", ARGV[8], "fresh_until", ARGV[9], "fresh", ARGV[10], "at", ARGV[1],
  "paid_at", ARGV[13], "repaid", int(repaid),
}
local unused = v[3] or ""
if ARGV[14] ~= "" then
  append(answer, {
    "prompt", ARGV[14], "trigger", ARGV[15], "from_tier", ARGV[16], "variant", ARGV[17],
  })
  unused = unused .. (unused == "" and "" or ",") .. ARGV[2]
end
local text, sum, left = write_lots(lots), summary(lots, tonumber(ARGV[1])), int(owed - repaid)
redis.call("HSET", KEYS[2], ARGV[2], cjson.encode(answer))
redis.call(
  "HSET", KEYS[1], "lots", text, "credits", sum, "owed", left, "bought", "1", "unused", unused
)
redis.call("PERSIST", KEYS[1]) -- a buyer is never forgotten for being away
if ARGV[11] == "1" then redis.call("SET", KEYS[3], "paid", "EX", ARGV[12]) end
return append(answer, { "status", "ok", "replayed", "0", "claimed", claimed })
