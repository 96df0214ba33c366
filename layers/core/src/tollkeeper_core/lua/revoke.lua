-- Takes back the part of a purchase that was refunded. Refunds come as running totals, in any order
-- and any number: the highest counts. What was used already is owed, and the next purchase pays it.
--
-- KEYS 1 state  2 purchases  3 configuration
-- ARGV 1 now  2 purchase id  3 refunded in all (minor units)  4 to revoke in all, or "" where the
--      caller does not know the purchase
-- Answers {name, value, ...}; "status" is ok, known (an equal or higher total counted before),
-- early (no such purchase yet: kept until it comes), terms (the purchase, for the caller to say
-- what is to be revoked), or empty (see published, then nothing was done).
--
-- The fraction is the caller's to compute: granted x refunded does not fit a Lua number.

if not published(KEYS[3]) then return { "status", "empty" } end
local id, refunded = ARGV[2], tonumber(ARGV[3])
local name = "revoked:" .. id .. ":" .. int(refunded)
local v = redis.call("HMGET", KEYS[2], id, "revoked:" .. id, "early:" .. id, name)
if not v[1] then
  if refunded > tonumber(v[3] or 0) then redis.call("HSET", KEYS[2], "early:" .. id, int(refunded)) end
  return { "status", "early" }
end
if v[4] then return append(cjson.decode(v[4]), { "replayed", "1" }) end
if ARGV[4] == "" then return append({ "status", "terms" }, cjson.decode(v[1])) end

local before, target = tonumber(v[2] or 0), tonumber(ARGV[4])
if target <= before then return { "status", "known" } end
local state = redis.call("HMGET", KEYS[1], "lots", "owed")
local lots, owed = read_lots(state[1] or ""), tonumber(state[2] or 0)
local from_lot = 0
for _, lot in ipairs(lots) do
  if lot.id == id then
    from_lot = math.min(lot.remaining, target - before)
    lot.remaining = lot.remaining - from_lot
  end
end
local used = target - before - from_lot

local purchase, list = {}, cjson.decode(v[1])
for i = 1, #list, 2 do purchase[list[i]] = list[i + 1] end
local answer = {
  "status", "ok", "purchase", id, "pack", purchase.pack, "refunded", int(refunded),
  "revoked", int(target - before), "from_lot", int(from_lot), "owed", int(used), "at", ARGV[1],
}
local text, sum, debt = write_lots(lots), summary(lots), int(owed + used)
redis.call("HSET", KEYS[2], "revoked:" .. id, int(target), name, cjson.encode(answer))
redis.call("HSET", KEYS[1], "lots", text, "credits", sum, "owed", debt)
return append(answer, { "replayed", "0" })
