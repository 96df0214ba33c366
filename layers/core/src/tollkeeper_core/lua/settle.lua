-- Charges an AI call's actual cost and lets its hold go, once per event.
--
-- KEYS 1 configuration  2 state  3 holds  4 event marker  5 reservation (any name when there is none)
-- ARGV 1 config version  2 now  3 event id  4 cost  5 "1" when the event names a reservation
--      6-8 period ids of the call's own time: day, week, month  9-11 cutoffs of old periods
--      12 seconds to keep the marker  13 idle seconds of a user
--      14 the date of the call's own time and its months (Periods.around), or ""
--      15 name of the books without their month  16 life of a month's books, seconds  17 user id
-- Answers {name, value, ...}; "status" is ok or stale (then nothing was done); "replayed" is 1 when
-- the event had been settled before: the rest is then the first answer, word for word. "topup" is
-- there where the user's credits fell below the threshold of their automatic top-up, "crossed"
-- ("daily=80;monthly=50") where what is settled came past a part of a limit, "begun" where it is the
-- first call to use something of purchases that a prompt led to: their ids, with a comma between.
--
-- Commands for a call with a reservation: MGET, HMGET, HMGET, ZREM, HINCRBY, HSET, SET. One more HMGET
-- where the month goes by a billing day, and no HINCRBY where the call cost nothing.

local version, now, cost = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])

local known = redis.call("MGET", KEYS[4], KEYS[5])
if known[1] then return append(cjson.decode(known[1]), { "replayed", "1" }) end

-- A reservation brings the periods and the tier of its check, and needs no look at the calendar.
local ids, said, member = { ARGV[6], ARGV[7], ARGV[8] }, "", ""
local around, anchor = ARGV[14], nil
if ARGV[5] == "1" and known[2] then
  local reservation, list = {}, cjson.decode(known[2])
  for i = 1, #list, 2 do reservation[list[i]] = list[i + 1] end
  ids, said, version = split(reservation.periods, " "), reservation.said, ""
  around, anchor = reservation.around or "", tonumber(reservation.anchor or 0)
  if tonumber(reservation.expires) > now then member = reservation.member end
end

local state = read_state(KEYS[2], ids)
local tier, why = tier_in_force(KEYS[1], version, said, state, now)
if why == "unknown_tier" then tier, why = tier_in_force(KEYS[1], version, "", state, now) end
if not tier then return { "status", why } end
use_month(state, around, anchor or anchor_of(state, around, now))
local forget_expired = release_expired(state, KEYS[3], now)

-- The one thing that could still raise is a sum past 2^53: it does so here, before the first write.
for _, id in ipairs(ids) do int(state.counters[id].t + cost) end

-- In the holds means open. One past its expiry has given its amount back above, or earlier.
if member ~= "" and redis.call("ZREM", KEYS[3], member) == 1 then
  local hold = split(member, " ")
  for _, id in ipairs(ids) do
    local counters = state.counters[id]
    counters.ha = counters.ha - tonumber(hold[2])
    counters.ht = counters.ht - tonumber(hold[2]) - tonumber(hold[3])
  end
  state.held = state.held - tonumber(hold[3])
end

-- Lots past their expiry lose what remains: nothing may use it any more, and the record shows it.
local gone, over = {}, {}
if not sum_of_lots(state, now) then
  for _, lot in ipairs(lots_of(state)) do
    if expired(lot, now) then
      gone[#gone + 1] = lot.id .. "=" .. int(lot.remaining)
      lot.remaining, over[lot.id] = 0, true
    end
  end
end

-- Allowance first, credits not held next; what neither covers is charged to the allowance.
local left = room(tier, state, ids, now)
local from_allowance = math.min(cost, left.a)
local from_credits = math.min(cost - from_allowance, left.credits)
local overrun = cost - from_allowance - from_credits
local burnt, used = {}, {}
for _, lot in ipairs(from_credits > 0 and lots_of(state) or {}) do
  local part = math.min(from_credits, usable(lot, now))
  if part > 0 then
    lot.remaining, from_credits = lot.remaining - part, from_credits - part
    burnt[#burnt + 1] = lot.id .. "=" .. int(part)
    used[lot.id] = true
  end
end
local begun = take_unused(state, used)
take_unused(state, over) -- nothing of them can be used any more
local before = reached(tier, state, ids)
for _, id in ipairs(ids) do
  local counters = state.counters[id]
  if cost > 0 and counts_calls(counters) then counters.n = counters.n + 1 end
  counters.a, counters.t = counters.a + from_allowance + overrun, counters.t + cost
end

-- Of several parts of a limit that this call came past, the highest: one that was jumped over is not told.
local crossed = {}
for n, after in ipairs(reached(tier, state, ids)) do
  if after.part > before[n].part then
    crossed[#crossed + 1] = WINDOWS[after.i] .. "=" .. after.part
  end
end

local answer = {
  "status", "ok", "event", ARGV[3], "cost", int(cost), "allowance", int(from_allowance + overrun),
  "overrun", int(overrun), "burnt", table.concat(burnt, ";"), "periods", table.concat(ids, " "),
  "tier", tier.name, "said", state.tier, "expired", table.concat(gone, ";"), "settled", ARGV[2],
}
local below, not_before = string.match(state.topup, "^(%d+) (%d+)$")
if below and now >= tonumber(not_before) and balance(lots_of(state), now) < tonumber(below) then
  append(answer, { "topup", "1" })
end
if #crossed > 0 then append(answer, { "crossed", table.concat(crossed, ";") }) end
if #begun > 0 then append(answer, { "begun", table.concat(begun, ",") }) end
local prepared = prepare_state(state, { ARGV[9], ARGV[10], ARGV[11] }, now)

-- The owner's books of the calendar month in which the call counts, by the tier that decided it. A
-- field that is new is the only time to set how long they live: the last of them sets it anew.
if cost > 0 then
  local books = ARGV[15] .. ids[3]
  if redis.call("HINCRBY", books, "cost|" .. tier.name .. "|" .. ARGV[17], ARGV[4]) == cost then
    redis.call("EXPIRE", books, ARGV[16])
  end
end
if forget_expired then forget_expired() end
write_state(state, prepared, ARGV[13])
redis.call("SET", KEYS[4], cjson.encode(answer), "EX", ARGV[12])
return append(answer, { "replayed", "0" })
