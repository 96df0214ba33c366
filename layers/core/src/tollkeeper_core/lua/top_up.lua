-- The automatic top-up that a user agreed to: one step of its life.
--
-- KEYS 1 state  2 top-up  3 purchases  4 configuration
-- ARGV 1 now  2 step, and what it needs:
--   agree  3 when it was agreed, or it does not count  4-12 purchase, prompt, pack, credit, price,
--          currency, expiry in days or "", threshold, most payments a month
--   end    nothing: the user does not want it any more
--   begin  3 month  4 when the next one begins  5 cool-down (ms)  6 failures that stop it
--          7 what will be sent  8 "1" to put it off till 9
--   close  3 attempt  4 outcome: paid, failed, lapsed  5 why it failed
-- Answers {"status", ok or empty (see published), "effect", ..., and all fields where there are any}.
--
-- One attempt is open at a time: who begins while one is gets that one. Kept as one text, with a
-- number that rises with each change (seq): of two the larger is the newer, and the record needs no
-- other order. The state's field topup, "threshold not-before", is what settlements look at.

local FIELDS = {
  "seq", "mandate", "why", "bar_ms", "purchase_id", "prompt_id", "pack", "credit_nano", "price_minor",
  "currency", "expires_days", "below_nano", "monthly_max", "claims", "month", "paid", "attempts",
  "attempt_id", "attempt_ms", "outcome", "failures", "failures_max", "wait_ms", "at_ms", "sent",
}

if not published(KEYS[4]) then return { "status", "empty" } end
local now, step = tonumber(ARGV[1]), ARGV[2]
local t, known = {}, cjson.decode(redis.call("GET", KEYS[2]) or "[]")
for i = 1, #known, 2 do t[known[i]] = known[i + 1] end

local function answer(effect)
  local list = { "status", "ok", "effect", effect }
  for _, name in ipairs(t.seq and FIELDS or {}) do append(list, { name, t[name] or "" }) end
  return list
end

local function keep(effect)
  t.seq, t.at_ms = int(tonumber(t.seq or 0) + 1), ARGV[1]
  local list = {}
  for _, name in ipairs(FIELDS) do append(list, { name, t[name] or "" }) end
  redis.call("SET", KEYS[2], cjson.encode(list))
  if t.mandate == "on" then
    redis.call("HSET", KEYS[1], "topup", t.below_nano .. " " .. t.wait_ms)
  else
    redis.call("HDEL", KEYS[1], "topup")
  end
  return answer(effect)
end

-- How many purchases somebody claims something back of.
local function claims()
  local count = 0
  for _, name in ipairs(redis.call("HKEYS", KEYS[3])) do
    if string.sub(name, 1, 7) == "claims:" then count = count + 1 end
  end
  return count
end

if step == "agree" then
  if t.seq and tonumber(ARGV[3]) <= tonumber(t.bar_ms) then return answer("known") end
  t.bar_ms, t.mandate, t.why, t.failures, t.wait_ms = ARGV[3], "on", "", "0", "0"
  t.purchase_id, t.prompt_id, t.pack, t.credit_nano = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  t.price_minor, t.currency, t.expires_days = ARGV[8], ARGV[9], ARGV[10]
  t.below_nano, t.monthly_max, t.claims = ARGV[11], ARGV[12], int(claims())
  t.attempts, t.paid, t.attempt_ms = t.attempts or "0", t.paid or "0", t.attempt_ms or "0"
  return keep("agreed")
end

if not t.seq then return answer("none") end

if step == "end" then
  if t.mandate == "off" then return answer("known") end
  -- Also what was agreed before this moment and is paid later counts no more.
  t.mandate, t.why, t.bar_ms = "off", "", int(math.max(now, tonumber(t.bar_ms)))
  return keep("ended")
end

if step == "begin" then
  local cool = tonumber(ARGV[5])
  local function wait(till, effect)
    if tonumber(t.wait_ms) >= till then return answer(effect) end
    t.wait_ms = int(till)
    return keep(effect)
  end
  if t.outcome == "open" then
    if tonumber(t.wait_ms) > now then return answer("open") end
    return wait(now + cool, "open")
  end
  if t.mandate ~= "on" then return answer("off") end
  if ARGV[8] == "1" then return wait(tonumber(ARGV[9]), "put_off") end
  if t.attempt_ms ~= "0" and now < tonumber(t.attempt_ms) + cool then
    return wait(tonumber(t.attempt_ms) + cool, "cooling")
  end
  if balance(read_lots(redis.call("HGET", KEYS[1], "lots") or ""), now) >= tonumber(t.below_nano) then
    return answer("enough")
  end
  if claims() > tonumber(t.claims) then
    t.mandate, t.why = "stopped", "claimed"
    return keep("stopped")
  end
  local paid = t.month == ARGV[3] and tonumber(t.paid) or 0
  if paid >= tonumber(t.monthly_max) then return wait(tonumber(ARGV[4]), "capped") end
  t.month, t.paid, t.attempts = ARGV[3], int(paid + 1), int(tonumber(t.attempts) + 1)
  t.attempt_id, t.attempt_ms, t.outcome = t.purchase_id .. "." .. t.attempts, ARGV[1], "open"
  t.wait_ms, t.failures_max, t.sent = int(now + cool), ARGV[6], ARGV[7]
  return keep("begun")
end

-- close: paid is the last word, whatever else is told of the attempt, before or after.
local outcome = ARGV[4]
if t.attempt_id ~= ARGV[3] then return answer("other") end
if t.outcome == "paid" or t.outcome == outcome then return answer("known") end
if outcome == "lapsed" and t.outcome ~= "open" then return answer("known") end
local was = t.outcome
t.outcome, t.sent = outcome, ""
if was == "open" and outcome ~= "paid" then t.paid = int(tonumber(t.paid) - 1) end
if outcome == "paid" then
  if was ~= "open" then t.paid = int(tonumber(t.paid) + 1) end
  if t.mandate == "stopped" and t.why ~= "claimed" then t.mandate = "on" end
  t.failures = "0"
  if t.mandate == "on" then t.why = "" end
elseif outcome == "failed" and t.mandate == "on" then
  t.failures, t.why = int(tonumber(t.failures) + 1), ARGV[5]
  if ARGV[5] == "authentication_required" or ARGV[5] == "no_card" then
    t.mandate = "stopped"
  elseif tonumber(t.failures) >= tonumber(t.failures_max) then
    t.mandate, t.why = "stopped", "failures"
  end
end
return keep("closed")
