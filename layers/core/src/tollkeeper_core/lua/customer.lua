-- Keeps the payment provider's id of a user: the first one, or one in place of what is gone.
--
-- KEYS 1 customer
-- ARGV 1 the new id  2 the id that is gone, or ""
-- Answers the id that counts.

local known = redis.call("GET", KEYS[1])
if known and known ~= ARGV[2] then return known end
redis.call("SET", KEYS[1], ARGV[1])
return ARGV[1]
