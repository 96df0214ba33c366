-- Puts a transaction of Stripe's into the owner's books, once, by its id.
--
-- KEYS 1 configuration  2 transactions of its month  3 the books of the month in which it counts
-- ARGV 1 transaction  2 what is told of it  3 life of KEYS 2 and 3, seconds  4... field, amount, ...
-- Answers what was told of it first, "" once that is on record; -1 while there is no configuration:
-- then the books wait to come back from the archive.

if redis.call("EXISTS", KEYS[1]) == 0 then return -1 end
local kept = redis.call("HGET", KEYS[2], ARGV[1])
if kept then return kept end

for i = 4, #ARGV, 2 do redis.call("HINCRBY", KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call("EXPIRE", KEYS[3], ARGV[3])
redis.call("HSET", KEYS[2], ARGV[1], ARGV[2])
redis.call("EXPIRE", KEYS[2], ARGV[3])
return ARGV[2]
