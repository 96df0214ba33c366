-- Where a user stands. Changes nothing.
--
-- KEYS 1 configuration  2 state  3 holds
-- ARGV 1 config version  2 now  3 tier the app says, or ""  4-6 period ids: day, week, month
--      7 the date and its months (Periods.around), or ""
-- Answers {name, value, ...} as reserve does; "status" is ok, stale or unknown_tier.

local ids = { ARGV[4], ARGV[5], ARGV[6] }
local state = read_state(KEYS[2], ids)
local tier, why = tier_in_force(KEYS[1], ARGV[1], ARGV[3], state, tonumber(ARGV[2]))
if not tier then return { "status", why } end
use_month(state, ARGV[7], anchor_of(state, ARGV[7], tonumber(ARGV[2])))
release_expired(state, KEYS[3], tonumber(ARGV[2]))
return append({ "status", "ok", "lots", state.lots_text }, standing(tier, state, ids))
