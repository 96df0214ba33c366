-- What every script of a user shares: reading and writing the state hash.
--
-- The loader puts values.lua, lots.lua and this file before each script (adapters/scripts.py). Redis runs a script alone, so
-- what is read here is still true when it is written; and a script that raises does so before its
-- first write: Redis does not undo the writes of a script that fails in the middle.
--
-- State hash, one a user:
--   <period id>  "a t ha ht n": settled by the allowance, settled in all, the same held, and how many
--                calls that cost something are settled; 0 of a period that began before they were
--                counted (then it has no n)
--   periods      comma list of the period ids that the hash holds
--   lots         "id,granted,remaining,worth,currency,expires,at;..." in burn order; expires 0: never;
--                worth: what it is shown as, in minor units. Three more where they say something:
--                "frozen,fresh until,fresh": 1 while nothing of it may be used; until when it opens
--                little by little (0: it is open), and how much of it was open at once
--   credits      "total first": what may be used of the lots in all, and when the first of them
--                expires (0: never); where it is missing or empty the lots are read instead
--   held         credits held
--   expiry       no hold expires before this; "" when none is open
--   tier         the tier that the app said last
--   subs         "tier:until:day;..." tiers that subscriptions give, and their billing days (0: not known)
--   months       "day:until;..." how long a billing day counts whatever comes after (subscribe.lua)
--   owed         credits that were used and then refunded: the next purchase pays them
--   bought       "1" once anything was: such a user is never forgotten
--   topup        "threshold not-before" while an automatic top-up is on (top_up.lua)
--   unused       comma list of purchases that a prompt led to and of which no call has used anything
--   warned       what checks have told of the parts of limits (thresholds.lua)
-- Holds: a sorted set, score: expiry, member: "id a c day week month" (a by the allowance, c by credits).
-- Amounts: integer nano-USD. Instants: epoch milliseconds. All text.

local function read_counters(text)
  local a, t, ha, ht, n = string.match(text or "0 0 0 0", "^(%S+) (%S+) (%S+) (%S+) ?(%S*)$")
  return {
    a = tonumber(a), t = tonumber(t), ha = tonumber(ha), ht = tonumber(ht), n = tonumber(n) or 0,
    known = text,
  }
end

local function write_counters(c)
  return table.concat({ int(c.a), int(c.t), int(c.ha), int(c.ht), int(c.n) }, " ")
end

-- Whether all calls of a period are counted: what they cost says that there are some.
local function counts_calls(c)
  return c.n > 0 or c.t == 0
end

-- Whether there is a configuration. Without one this Redis is new, or was emptied and waits for its
-- state to come back from the archive: a purchase that was forgotten must not be granted again.
local function published(config_key)
  return redis.call("EXISTS", config_key) == 1
end

-- One HMGET for all that a decision needs. `ids`: the period ids of the call.
local function read_state(key, ids)
  local v = redis.call(
    "HMGET", key, "lots", "held", "expiry", "tier", "subs", "periods", "credits", "months", "topup",
    "unused", "warned", unpack(ids)
  )
  local state = {
    key = key, lots_text = v[1] or "", held = tonumber(v[2] or 0),
    expiry = tonumber(v[3] or "") or math.huge, tier = v[4] or "", subs = v[5] or "",
    periods = v[6] or "", credits = v[7] or "", months = v[8] or "", topup = v[9] or "",
    unused_text = v[10] or "", unused = v[10] or "", counters = {}, fresh = false, anchor = 0,
    warned_text = v[11] or "", warned = v[11] or "",
  }
  for i, id in ipairs(ids) do state.counters[id] = read_counters(v[11 + i]) end
  return state
end

local function read_months(text)
  local months = {}
  for day, till in string.gmatch(text or "", "(%d+):(%d+)") do months[day] = tonumber(till) end
  return months
end

-- Where the month that has `day` as its billing day begins: 1 for the month before, 2 for this one,
-- and the date in it. `around`: see Periods in domain/periods.py.
local function month_begins(around, day)
  local date, before, this = string.match(around, "^%d+%-%d+%-(%d+) (%d+) (%d+)")
  local here = math.min(day, tonumber(this))
  if tonumber(date) >= here then return 2, here end
  return 1, math.min(day, tonumber(before))
end

-- The billing day by which a user's month goes, 0: by the calendar. It does while a plan runs. Where
-- there are several days, or one counts on that another has replaced, the month that began first
-- goes on: nobody gets a second allowance by ending a plan and beginning another.
local function anchor_of(state, around, now)
  local days = {}
  if around == "" then return 0 end
  for till, day in string.gmatch(state.subs, "[^:;]+:(%d+):(%d+)") do
    if tonumber(till) > now and day ~= "0" then days[#days + 1] = tonumber(day) end
  end
  if #days == 0 then return 0 end
  for day, till in pairs(read_months(state.months)) do
    if till > now then days[#days + 1] = tonumber(day) end
  end
  local best, first
  for _, day in ipairs(days) do
    local month, date = month_begins(around, day)
    local begins = month * 100 + date
    if not first or begins < first or (begins == first and day < best) then best, first = day, begins end
  end
  return best
end

-- Lets the state's month be the one of a billing day (not 0): the sum of its days, which are kept one
-- by one in any case, so that whenever a user's month begins, every call is in it once.
local function use_month(state, around, day)
  if day == 0 then return end
  local year, month, lengths = string.match(around, "^(%d+)%-(%d+)%-%d+ (.+)$")
  local months = {}
  for i, length in ipairs(split(lengths, " ")) do
    local count = tonumber(year) * 12 + tonumber(month) - 1 + i - 2
    local name = string.format("d:%04d-%02d-", math.floor(count / 12), count % 12 + 1)
    months[i] = { name = name, length = tonumber(length) }
  end
  local first, date = month_begins(around, day)
  local here, following, ids = months[first], months[first + 1], {}
  for n = date, here.length do ids[#ids + 1] = here.name .. string.format("%02d", n) end
  for n = 1, math.min(day, following.length) - 1 do
    ids[#ids + 1] = following.name .. string.format("%02d", n)
  end
  state.anchor, state.days, state.month = day, {}, "m" .. string.sub(ids[1], 2)
  for i, text in ipairs(redis.call("HMGET", state.key, unpack(ids))) do
    state.days[ids[i]] = read_counters(text)
  end
end

-- What counts in window `i` (1 day, 2 week, 3 month) as things stand in this script.
local function counted(state, ids, i)
  if i < 3 or state.anchor == 0 then return state.counters[ids[i]] end
  local sum, all = { a = 0, t = 0, ha = 0, ht = 0, n = 0 }, true
  for id, kept in pairs(state.days) do
    local day = state.counters[id] or kept
    for name, value in pairs(sum) do sum[name] = value + day[name] end
    all = all and counts_calls(day)
  end
  if not all then sum.n = 0 end
  return sum
end

-- Takes what expired holds hold out of the state in hand, and says how to make that last (commit).
-- No sweeper is needed: whoever decides next gives it back first.
local function release_expired(state, holds_key, now)
  if now < state.expiry then return nil end
  local members = redis.call("ZRANGEBYSCORE", holds_key, "-inf", now)
  local holds, missing = {}, {}
  for _, member in ipairs(members) do
    local hold = split(member, " ")
    holds[#holds + 1] = hold
    for i = 4, 6 do
      if not state.counters[hold[i]] then
        state.counters[hold[i]] = read_counters(nil)
        missing[#missing + 1] = hold[i]
      end
    end
  end
  for first = 1, #missing, 500 do -- unpack has a bound
    local ids = { unpack(missing, first, math.min(first + 499, #missing)) }
    for i, text in ipairs(redis.call("HMGET", state.key, unpack(ids))) do
      state.counters[ids[i]] = read_counters(text)
    end
  end
  for _, hold in ipairs(holds) do
    local a, c = tonumber(hold[2]), tonumber(hold[3])
    for i = 4, 6 do
      local counters = state.counters[hold[i]]
      counters.ha, counters.ht = counters.ha - a, counters.ht - a - c
    end
    state.held = state.held - c
  end
  local next_hold = redis.call("ZRANGEBYSCORE", holds_key, "(" .. now, "+inf", "WITHSCORES", "LIMIT", 0, 1)
  state.expiry = tonumber(next_hold[2] or "") or math.huge
  return function() redis.call("ZREMRANGEBYSCORE", holds_key, "-inf", now) end
end

-- Takes purchases (a set of ids) out of the unused ones; answers those that were among them.
local function take_unused(state, ids)
  local taken, left = {}, {}
  for _, id in ipairs(split(state.unused, ",")) do
    local list = ids[id] and taken or left
    list[#list + 1] = id
  end
  state.unused = table.concat(left, ",")
  return taken
end

-- Everything that write_state will send, as text, before anything is written. `cutoffs`: periods
-- before these are dropped when a new one begins, so that the hash does not grow with the years.
local function prepare_state(state, cutoffs, now)
  local fields, gone = {}, {}
  local function set(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
  local index = state.periods
  for id, counters in pairs(state.counters) do
    set(id, write_counters(counters))
    if not counters.known then index = index .. (index == "" and "" or ",") .. id end
  end
  if index ~= state.periods then
    local kept = {}
    for _, id in ipairs(split(index, ",")) do
      local old = false
      for _, cutoff in ipairs(cutoffs) do
        if string.sub(id, 1, 1) == string.sub(cutoff, 1, 1) and id < cutoff then old = true end
      end
      if old then gone[#gone + 1] = id else kept[#kept + 1] = id end
    end
    set("periods", table.concat(kept, ","))
    state.fresh = true
  end
  local lots = state.lots and write_lots(state.lots) or state.lots_text
  if lots ~= state.lots_text then
    set("lots", lots)
    set("credits", summary(state.lots, now))
  end
  if state.unused ~= state.unused_text then set("unused", state.unused) end
  if state.warned ~= state.warned_text then set("warned", state.warned) end
  set("held", int(state.held))
  set("expiry", state.expiry == math.huge and "" or int(state.expiry))
  set("tier", state.tier)
  return { fields = fields, gone = gone, lots = lots }
end

-- `idle`: seconds after which a user who never bought is forgotten. Set once a period, not per call.
local function write_state(state, prepared, idle)
  redis.call("HSET", state.key, unpack(prepared.fields))
  if #prepared.gone > 0 then redis.call("HDEL", state.key, unpack(prepared.gone)) end
  if state.fresh and prepared.lots == "" and state.subs == "" and idle ~= "0" then
    if redis.call("HEXISTS", state.key, "bought") == 0 then redis.call("EXPIRE", state.key, idle) end
  end
end

local function read_tier(line)
  local p = split(line, " ")
  return { name = p[1], rank = tonumber(p[2]), mode = p[3], limits = { p[4], p[5], p[6] } }
end

-- The tier that counts: the higher rank of the app's (said now, or last, or the default) and the
-- subscriptions'. Returns nil and a reason where the configuration is another ("stale") or lacks
-- the tier that was said ("unknown_tier"). A version of "" is not compared.
local function tier_in_force(config_key, version, said, state, now)
  local names = { "version", "tier", "tier:" .. (said ~= "" and said or state.tier) }
  for tier, till in string.gmatch(state.subs, "([^:;]+):(%d+)[^;]*") do
    if tonumber(till) > now then names[#names + 1] = "tier:" .. tier end
  end
  local v = redis.call("HMGET", config_key, unpack(names))
  if not v[1] or (version ~= "" and v[1] ~= version) then return nil, "stale" end
  if said ~= "" and not v[3] then return nil, "unknown_tier" end
  local best = read_tier(v[3] or v[2])
  for i = 4, #names do
    local given = v[i] and read_tier(v[i])
    if given and given.rank > best.rank then best = given end
  end
  return best
end

-- What the limits and the lots leave at this moment: a (allowance, 0 at least), h (hard caps),
-- credits (not held). Infinite where nothing limits.
local function room(tier, state, ids, now)
  local a, h, credits = math.huge, math.huge, -state.held
  for i, limit in ipairs(tier.limits) do
    local kind, counters = string.sub(limit, 1, 1), counted(state, ids, i)
    local nano = tonumber(string.sub(limit, 2))
    if kind == "e" then
      a = math.min(a, nano - counters.a - counters.ha)
    elseif kind == "h" then
      h = math.min(h, nano - counters.t - counters.ht)
    end
  end
  local sum = sum_of_lots(state, now)
  if not sum then
    sum = 0
    for _, lot in ipairs(lots_of(state)) do sum = sum + usable(lot, now) end
  end
  credits = credits + sum
  return { a = math.max(a, 0), h = h, credits = math.max(credits, 0) }
end

-- Where the user stands, as name, value, name, value...
local function standing(tier, state, ids)
  local used = {}
  for i in ipairs(ids) do used[i] = write_counters(counted(state, ids, i)) end
  return {
    "tier", tier.name, "limits", table.concat(tier.limits, " "),
    "used", table.concat(used, ","), "held", int(state.held), "anchor", int(state.anchor),
  }
end
