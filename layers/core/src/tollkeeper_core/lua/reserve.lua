-- Holds an amount for a call under way, or says what would fit.
--
-- KEYS 1 configuration  2 state  3 holds  4 reservation (the answer, kept for repetition)
-- ARGV 1 config version  2 now  3 amount  4 reservation id  5 hold's expiry  6 tier the app says, or ""
--      7-9 period ids: day, week, month  10-12 cutoffs of old periods
--      13 seconds to keep an admitted answer  14 seconds to keep a refusal  15 idle seconds of a user
--      16 the date and its months (Periods.around), or ""
-- Answers {name, value, ...}; "status" is ok, stale, or unknown_tier (then nothing was done). "warn"
-- ("daily=80;monthly=50") is there where it is the first admitted one to see that part of a limit used.
--
-- Commands when nothing expired and no period began: HMGET, HMGET, SET, HSET, ZADD. One
-- more HMGET where the month goes by a billing day.

local version, now, amount = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ids = { ARGV[7], ARGV[8], ARGV[9] }

local state = read_state(KEYS[2], ids)
local tier, why = tier_in_force(KEYS[1], version, ARGV[6], state, now)
if not tier then return { "status", why } end
use_month(state, ARGV[16], anchor_of(state, ARGV[16], now))
local forget_expired = release_expired(state, KEYS[3], now)

local left = room(tier, state, ids, now)
local fits = math.min(left.h, left.a + left.credits)
local admitted = amount <= fits or (tier.mode == "soft" and fits > 0)
local hold = admitted and math.min(amount, math.max(fits, 0)) or 0
local from_allowance = math.min(hold, left.a)
local from_credits = hold - from_allowance

if admitted then
  if ARGV[6] ~= "" then state.tier = ARGV[6] end
  for _, id in ipairs(ids) do
    local counters = state.counters[id]
    counters.ha, counters.ht = counters.ha + from_allowance, counters.ht + hold
  end
  state.held = state.held + from_credits
  if hold > 0 then state.expiry = math.min(state.expiry, tonumber(ARGV[5])) end
end
local warnings = admitted and take_warnings(tier, state, ids) or {}
local member = table.concat({ ARGV[4], int(from_allowance), int(from_credits), ids[1], ids[2], ids[3] }, " ")

local answer = append({
  "status", "ok", "admitted", admitted and "1" or "0", "id", ARGV[4], "amount", int(amount),
  "hold", int(hold), "affordable", int(math.min(math.max(fits, 0), 1e15)), "expires", ARGV[5],
  "now", ARGV[2], "periods", table.concat(ids, " "), "around", ARGV[16], "said", ARGV[6],
  "member", hold > 0 and member or "",
}, standing(tier, state, ids))
if #warnings > 0 then append(answer, { "warn", table.concat(warnings, ";") }) end
local prepared = prepare_state(state, { ARGV[10], ARGV[11], ARGV[12] }, now)

-- The marker comes first and only once: a repeated request (the app's, or ours after a lost answer)
-- finds it, gets the first answer, and changes nothing.
if not redis.call("SET", KEYS[4], cjson.encode(answer), "NX", "EX", admitted and ARGV[13] or ARGV[14]) then
  local first = cjson.decode(redis.call("GET", KEYS[4]))
  return append(first, { "lots", state.lots_text })
end
if forget_expired then forget_expired() end
if admitted or forget_expired then write_state(state, prepared, ARGV[15]) end
if hold > 0 then redis.call("ZADD", KEYS[3], ARGV[5], member) end
return append(answer, { "lots", state.lots_text })
