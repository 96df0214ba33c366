-- What is claimed back of a purchase: refunds, disputes, warnings of fraud, in any order and number.
--
-- KEYS 1 state  2 purchases  3 configuration
-- ARGV 1 now  2 purchase id  3 claim id, or "" to let claims take effect that came before the purchase
--      4-5 version of the claim  6 what it takes (minor units)  7 hold: 0 says nothing, 1 releases,
--      2 warns, 3 freezes
-- Answers {name, value, ...}; "status" is ok, known (a newer word on this claim came before, or there
-- is nothing to do), or empty (see published); then nothing was done. "replayed" is 1 when the same
-- word came before: the rest is then the first answer.
--
-- Beside each purchase: "claims:<id>" the newest word on each claim, "taken:<id>" what is in effect.

if not published(KEYS[3]) then return { "status", "empty" } end
local now, id, claim = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local word = table.concat({ claim, ARGV[4], ARGV[5], ARGV[6], ARGV[7] }, " ")
local name = "claimed:" .. id .. ":" .. (claim == "" and "granted" or string.gsub(word, " ", ":"))
local v = redis.call("HMGET", KEYS[2], id, "claims:" .. id, "taken:" .. id, name)
if v[4] then return append(cjson.decode(v[4]), { "replayed", "1" }) end
if claim == "" and not (v[1] and v[2]) then return { "status", "known" } end

-- Of two words on one claim the later version counts; of one version what takes more, then what holds
-- more: arbitrary, but the same in any order.
local words, place = split(v[2] or "", ";"), nil
for n, text in ipairs(words) do
  local theirs = split(text, " ")
  if theirs[1] == claim then
    place = n
    for i = 2, 5 do
      local mine, known = tonumber(ARGV[i + 2]), tonumber(theirs[i])
      if mine < known then return { "status", "known" } end
      if mine > known then break end
    end
  end
end
if claim ~= "" then words[place or #words + 1] = word end
table.sort(words) -- so that equal claims are equal texts

local taken, holds = 0, {}
for _, text in ipairs(words) do
  local p = split(text, " ")
  taken, holds[p[5]] = taken + tonumber(p[4]), true
end

local function answer_with(purchase, moved, owed, effect, frozen)
  return {
    "status", "ok", "purchase", id, "claim", claim, "created", ARGV[4], "rank", ARGV[5],
    "minor", ARGV[6], "hold", ARGV[7], "pack", purchase.pack or "", "currency", purchase.currency or "",
    "taken", int(effect.taken), "revoked", int(effect.revoked), "lots", table.concat(moved, ";"),
    "owed", int(owed), "frozen", frozen and "1" or "0", "at", ARGV[1],
  }
end

if not v[1] then
  local answer = answer_with({}, {}, 0, { taken = 0, revoked = 0 }, false)
  redis.call("HSET", KEYS[2], "claims:" .. id, table.concat(words, ";"), name, cjson.encode(answer))
  return append(answer, { "replayed", "0" })
end

local purchase, list = {}, cjson.decode(v[1])
for i = 1, #list, 2 do purchase[list[i]] = list[i + 1] end
local granted, paid = tonumber(purchase.granted), tonumber(purchase.paid)
taken = math.min(taken, paid)
local revoked = paid > 0 and share(granted, taken, paid) or 0
local whole = paid > 0 and taken == paid
local frozen = holds["3"] or (holds["2"] and not holds["1"] and not whole) or false
local before = split(v[3] or "0 0", " ")
local more = revoked - tonumber(before[2])

local state = redis.call("HMGET", KEYS[1], "lots", "owed")
local lots, owed_before = read_lots(state[1] or ""), tonumber(state[2] or 0)
local owed, own = owed_before, nil
for _, lot in ipairs(lots) do
  lot.before = lot.remaining
  if lot.id == id then own = lot end
end
local thawed = own and own.frozen and not frozen
if more > 0 then
  local part = own and math.min(own.remaining, more) or 0
  if own then own.remaining = own.remaining - part end
  owed = owed + more - part
elseif more < 0 then
  local back = -more - math.min(owed, -more)
  owed = owed - math.min(owed, -more)
  if back > 0 and not own then
    own = insert_lot(lots, purchase, 0)
    own.before = 0
  end
  if own then own.remaining = own.remaining + back end
end
if own then own.frozen = frozen end
-- Debts are paid by whatever may be used: nobody has credits and owes some.
for _, lot in ipairs(lots) do
  if owed > 0 and not lot.frozen and not expired(lot, now) then
    local part = math.min(owed, lot.remaining)
    lot.remaining, owed = lot.remaining - part, owed - part
  end
end

local moved = {}
for _, lot in ipairs(lots) do
  if lot.remaining ~= lot.before then moved[#moved + 1] = lot.id .. "=" .. int(lot.remaining - lot.before) end
end
local effect = { taken = taken - tonumber(before[1]), revoked = more }
if claim == "" and #moved == 0 and owed == owed_before and effect.taken == 0 and not thawed then
  return { "status", "known" }
end
local answer = answer_with(purchase, moved, owed - owed_before, effect, frozen)
local text, sum = write_lots(lots), summary(lots, now)
local in_effect = int(taken) .. " " .. int(revoked)
redis.call(
  "HSET", KEYS[2], "claims:" .. id, table.concat(words, ";"), "taken:" .. id, in_effect,
  name, cjson.encode(answer)
)
redis.call("HSET", KEYS[1], "lots", text, "credits", sum, "owed", int(owed))
return append(answer, { "replayed", "0" })
