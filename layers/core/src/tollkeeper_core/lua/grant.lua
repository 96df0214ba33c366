-- Adds a lot of credits, once per purchase.
--
-- KEYS 1 state  2 purchases  3 prompt (any name when there is none)
-- ARGV 1 now  2 purchase id  3 pack  4 granted  5 paid  6 currency  7 expiry, or 0
--      8 "1" when the purchase came from a prompt  9 seconds to keep the prompt's state
-- Answers {name, value, ...}: the first answer for this purchase, for ever.

local known = redis.call("HGET", KEYS[2], ARGV[2])
if known then return append(cjson.decode(known), { "replayed", "1" }) end

local lots_text = redis.call("HGET", KEYS[1], "lots") or ""
local lots = read_lots(lots_text)
local lot = {
  id = ARGV[2], granted = int(tonumber(ARGV[4])), remaining = tonumber(ARGV[4]), paid = ARGV[5],
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
  "expires", ARGV[7], "at", ARGV[1],
}
local text = write_lots(lots)
redis.call("HSET", KEYS[2], ARGV[2], cjson.encode(answer))
redis.call("HSET", KEYS[1], "lots", text, "bought", "1")
redis.call("PERSIST", KEYS[1]) -- a buyer is never forgotten for being away
if ARGV[8] == "1" then redis.call("SET", KEYS[3], "paid", "EX", ARGV[9]) end
return append(answer, { "replayed", "0" })
