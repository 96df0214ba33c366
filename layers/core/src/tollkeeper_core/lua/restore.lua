-- Writes a user as the archive has them, in place of whatever there is.
--
-- KEYS 1 configuration  2 state  3 holds  4 purchases  5 subscriptions  6 customer  7 top-up
-- ARGV 1 seconds until the user is forgotten, 0 never  2-4 how many pairs: state, purchases,
--      subscriptions  5 customer  6 top-up, or "" for none; then these pairs: field, value
-- Answers 1, or 0 when a configuration is published: then the state is in use, and not a rebuild's
-- to write. Holds are not in the archive: what they held is free again.

if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
redis.call("DEL", KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7])
local PAIRS = 500 -- unpack has a bound
local at = 7
for n, key in ipairs({ KEYS[2], KEYS[4], KEYS[5] }) do
  local stop = at + 2 * tonumber(ARGV[1 + n])
  while at < stop do
    local last = math.min(at + 2 * PAIRS, stop)
    redis.call("HSET", key, unpack(ARGV, at, last - 1))
    at = last
  end
end
if ARGV[5] ~= "" then redis.call("SET", KEYS[6], ARGV[5]) end
if ARGV[6] ~= "" then redis.call("SET", KEYS[7], ARGV[6]) end
if ARGV[1] ~= "0" then redis.call("EXPIRE", KEYS[2], ARGV[1]) end
return 1
