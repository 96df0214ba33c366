-- Makes a configuration the one that counts, whole or not at all.
--
-- KEYS 1 configuration
-- ARGV 1 when its source was read  2 version  3 snapshot (JSON)  4 the default tier's line
--      5 "1" to replace a configuration only, never to be the first
--      then pairs: tier name, its line ("name rank mode day week month")
-- Answers 1; 0 when a reading that began later is already published: two runs of sync_config may
-- overtake each other, and the older one must not win; -1 when there is none to replace.

local published = tonumber(redis.call("HGET", KEYS[1], "read") or -1)
if published == -1 and ARGV[5] == "1" then return -1 end
if published > tonumber(ARGV[1]) then return 0 end
local fields = { "read", ARGV[1], "version", ARGV[2], "snapshot", ARGV[3], "tier", ARGV[4] }
for i = 6, #ARGV, 2 do
  fields[#fields + 1] = "tier:" .. ARGV[i]
  fields[#fields + 1] = ARGV[i + 1]
end
redis.call("DEL", KEYS[1])
redis.call("HSET", KEYS[1], unpack(fields))
return 1
