-- Adds a lot of credits, once per purchase. What is owed is repaid from it first.
--
-- KEYS 1 state  2 purchases  3 prompt (any name when there is none)  4 configuration
-- ARGV 1 now  2 purchase id  3 pack  4 granted  5 paid  6 currency  7 expiry, or 0
--      8 "1" when the purchase came from a prompt  9 seconds to keep the prompt's state
-- Answers {name, value, ...}: "status" is ok, or empty (see published, then nothing was done); the
-- rest is the first answer for this purchase, for ever, and "refunded": what was refunded of it by
-- an event that came before (see revoke.lua), or 0.

if not published(KEYS[4]) then return { "status", "empty" } end
local known = redis.call("HMGET", KEYS[2], ARGV[2], "early:" .. ARGV[2])
local refunded = known[2] or "0"
if known[1] then
  return append(cjson.decode(known[1]), { "status", "ok", "replayed", "1", "refunded", refunded })
end

local v = redis.call("HMGET", KEYS[1], "lots", "owed")
local lots, owed, granted = read_lots(v[1] or ""), tonumber(v[2] or 0), tonumber(ARGV[4])
local repaid = math.min(owed, granted)
local lot = {
  id = ARGV[2], granted = int(granted), remaining = granted - repaid, paid = ARGV[5],
  currency = ARGV[6], expires = tonumber(ARGV[7]), at = tonumber(ARGV[1]),
}

-- Burn order: what expires first, then what is oldest; what never expires comes last.
local function before(x, y)
  local ex, ey = x.expires == 0 and math.huge or x.expires, y.expires == 0 and math.huge or y.expires
  if ex ~= ey then return ex < ey end
  if x.at ~= y.at then return x.at < y.at end
  return x.id < y.id
end
local place = 1
while lots[place] and before(lots[place], lot) do place = place + 1 end
table.insert(lots, place, lot)

local answer = {
  "purchase", ARGV[2], "pack", ARGV[3], "granted", ARGV[4], "paid", ARGV[5], "currency", ARGV[6],
  "expires", ARGV[7], "at", ARGV[1], "repaid", int(repaid),
}
local text, sum, left = write_lots(lots), summary(lots), int(owed - repaid)
redis.call("HSET", KEYS[2], ARGV[2], cjson.encode(answer))
redis.call("HSET", KEYS[1], "lots", text, "credits", sum, "owed", left, "bought", "1")
redis.call("PERSIST", KEYS[1]) -- a buyer is never forgotten for being away
if ARGV[8] == "1" then redis.call("SET", KEYS[3], "paid", "EX", ARGV[9]) end
return append(answer, { "status", "ok", "replayed", "0", "refunded", refunded })
