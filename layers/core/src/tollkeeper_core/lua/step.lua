-- Counts one step of the funnel, once, by the prompt and the kind of step.
--
-- KEYS 1 the prompt's steps
--      2 kinds that this user was counted for in the day  3 in the week  4 in the month
--      5 the day's counters  6 the week's  7 the month's
--      8 who saw and bought in the experiment (any name where there is none)
-- ARGV 1 kind of step  2 its line of the record  3 its group  4 minor units that were paid
--      5 for a limit that was reached: 2, 3 or 4, the period of its window; 0 for any other
--      6 life of KEYS 1 to 4, seconds  7 life of KEYS 5 to 8
--      8 field of the experiment for this step and user, "" where it is none of an experiment's
--      9 what the field is to say: when, a bar, the variant
-- Answers "1" (no other prompt of the user's began at this limit in this period) or "0", and after
-- it the line; of a step that was counted before, the first answer.

local kept = redis.call("HGET", KEYS[1], ARGV[1])
if kept then return kept end

local kind, group, minor = ARGV[1], ARGV[3], tonumber(ARGV[4])
for i = 2, 4 do
  if redis.call("SADD", KEYS[i], kind) == 1 then
    redis.call("EXPIRE", KEYS[i], ARGV[6])
    redis.call("HINCRBY", KEYS[i + 3], "users|" .. kind, 1)
    redis.call("EXPIRE", KEYS[i + 3], ARGV[7])
  end
end
redis.call("HINCRBY", KEYS[5], "count|" .. group, 1)
if minor > 0 then redis.call("HINCRBY", KEYS[5], "minor|" .. group, ARGV[4]) end
local first = "0"
local window = tonumber(ARGV[5])
if window > 0 and redis.call("SADD", KEYS[window], "limit") == 1 then first = "1" end
if ARGV[8] ~= "" then
  -- Steps come in any order: the earliest is kept.
  local had = redis.call("HGET", KEYS[8], ARGV[8])
  if not had or tonumber(string.match(ARGV[9], "^%d+")) < tonumber(string.match(had, "^%d+")) then
    redis.call("HSET", KEYS[8], ARGV[8], ARGV[9])
    redis.call("EXPIRE", KEYS[8], ARGV[7])
  end
end
redis.call("HSET", KEYS[1], kind, first .. ARGV[2])
redis.call("EXPIRE", KEYS[1], ARGV[6])
return first .. ARGV[2]
