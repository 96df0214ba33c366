-- Gives or takes the tier of one subscription. Events come in any order: only a newer one counts.
--
-- KEYS 1 state  2 subscriptions  3 prompt (any name when there is none)  4 configuration
-- ARGV 1 now  2 subscription id  3 tier  4 until, 0 takes it away  5-6 version: event's time, kind
--      7 plan  8 "1" when the subscription came from a prompt  9 seconds to keep the prompt's state
--      10 billing day, or 0  11 until when this day counts whatever comes after, or 0
--      12 the plan that follows this one, or "-"
-- Answers 1 when it counted, 0 when a newer event had come before, -1 when nothing was done (see
-- published).

if not published(KEYS[4]) then return -1 end
-- Of every event, also of one that comes late: of each day the largest, so that no order matters.
if ARGV[11] ~= "0" then
  local months, days = read_months(redis.call("HGET", KEYS[1], "months")), {}
  months[ARGV[10]] = math.max(months[ARGV[10]] or 0, tonumber(ARGV[11]))
  for day, till in pairs(months) do days[#days + 1] = day .. ":" .. int(till) end
  table.sort(days)
  redis.call("HSET", KEYS[1], "months", table.concat(days, ";"))
end

local known = redis.call("HGET", KEYS[2], ARGV[2])
if known then
  local last = split(known, " ")
  -- Kind 2 is the end of a subscription: Stripe never revives one, whatever comes late. Of two
  -- events of one second the later kind counts, then the later "until", then the tier and the plan
  -- that come later in the alphabet, then the later day, then the plan that follows:
  -- arbitrary, but the same in any order.
  if last[2] == "2" then return 0 end
  if ARGV[6] ~= "2" then
    local order = { { ARGV[5], last[1] }, { ARGV[6], last[2] }, { ARGV[4], last[3] } }
    local mine, theirs = ARGV[3] .. " " .. ARGV[7], last[4] .. " " .. last[5]
    local day, last_day = tonumber(ARGV[10]), tonumber(last[6] or 0)
    local newer = ARGV[12] > (last[7] or "-")
    if day ~= last_day then newer = day > last_day end
    if mine ~= theirs then newer = mine > theirs end
    for _, pair in ipairs(order) do
      local mine, theirs = tonumber(pair[1]), tonumber(pair[2])
      if mine ~= theirs then newer = mine > theirs; break end
    end
    if not newer then return 0 end
  end
end

local word = { ARGV[5], ARGV[6], ARGV[4], ARGV[3], ARGV[7], ARGV[10], ARGV[12] }
redis.call("HSET", KEYS[2], ARGV[2], table.concat(word, " "))
local subs, all = {}, redis.call("HVALS", KEYS[2])
for _, value in ipairs(all) do
  local p = split(value, " ")
  if tonumber(p[3]) > tonumber(ARGV[1]) then subs[#subs + 1] = p[4] .. ":" .. p[3] .. ":" .. (p[6] or "0") end
end
redis.call("HSET", KEYS[1], "subs", table.concat(subs, ";"), "bought", "1")
redis.call("PERSIST", KEYS[1])
if ARGV[8] == "1" and tonumber(ARGV[4]) > tonumber(ARGV[1]) then
  redis.call("SET", KEYS[3], "paid", "EX", ARGV[9])
end
return 1
