-- The parts of a limit that people are told of: what reserve.lua and settle.lua share beside state.lua.

local WINDOWS = { "daily", "weekly", "monthly" }

-- The highest part of a limit, in percent, that `used` has come to; 0 below the first, and of a limit
-- of 0, which nobody comes nearer to. Used comes to so many percent (percent in usage_view.py) where
-- it comes to that part of the limit, rounded up.
local function part_reached(nano, used)
  for _, percent in ipairs(nano > 0 and { 100, 80, 50 } or {}) do
    local mark = math.floor(nano / 100) * percent + math.ceil((nano % 100) * percent / 100)
    if used >= mark then return percent end
  end
  return 0
end

-- Of each window that the tier limits: its number, the limit, and the part that what is settled has
-- come to.
local function reached(tier, state, ids)
  local found = {}
  for i, limit in ipairs(tier.limits) do
    local nano, field = tonumber(string.sub(limit, 2)), ({ e = "a", h = "t" })[string.sub(limit, 1, 1)]
    if field then
      local part = part_reached(nano, counted(state, ids, i)[field])
      found[#found + 1] = { i = i, nano = nano, part = part }
    end
  end
  return found
end

-- The warnings that a check gives, "daily=80": each part of a window's limit once in its period, and
-- of several the highest. A larger limit is another one, of which nothing was told yet: who has come
-- to the end of a small tier and buys a big one wants to hear of that too.
-- Keeps in the state in hand what was told: "period part limit;..." of the periods of now.
local function take_warnings(tier, state, ids)
  local told, kept, news = {}, {}, {}
  for period, part, nano in string.gmatch(state.warned, "([^ ;]+) (%d+) (%d+)") do
    told[period] = { part = tonumber(part), nano = tonumber(nano) }
  end
  local here = { ids[1], ids[2], state.month or ids[3] }
  for _, one in ipairs(reached(tier, state, ids)) do
    local last = told[here[one.i]] or { part = 0, nano = 0 }
    if one.part > 0 and (one.part > last.part or one.nano > last.nano) then
      told[here[one.i]] = { part = one.part, nano = math.max(one.nano, last.nano) }
      news[#news + 1] = WINDOWS[one.i] .. "=" .. one.part
    end
  end
  for _, period in ipairs(here) do
    local one = told[period]
    if one then kept[#kept + 1] = period .. " " .. one.part .. " " .. int(one.nano) end
  end
  state.warned = table.concat(kept, ";")
  return news
end
