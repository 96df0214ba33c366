-- Gives entries of a month's books another name: who is forgotten goes on counting.
--
-- KEYS 1 the books of a month
-- ARGV an entry's field and what it is called from now on, once for each entry
-- May break off and be done again: what has moved is not there any more. Answers 1.

for i = 1, #ARGV, 2 do
  local amount = redis.call("HGET", KEYS[1], ARGV[i])
  if amount then
    redis.call("HINCRBY", KEYS[1], ARGV[i + 1], amount)
    redis.call("HDEL", KEYS[1], ARGV[i])
  end
end
return 1
