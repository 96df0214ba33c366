-- The lots of credits in a user's state: read, written, summed and in the order in which they burn.
-- state.lua, which comes after this file in each script, says how they are kept.

local function read_lots(text)
  local lots = {}
  local shape = "([^,;]+),(%d+),(%d+),(%d+),(%l+),(%d+),(%d+)([^;]*)"
  for id, granted, remaining, worth, currency, expires, at, more in string.gmatch(text or "", shape) do
    local lot = {
      id = id, granted = granted, remaining = tonumber(remaining), worth = worth,
      currency = currency, expires = tonumber(expires), at = tonumber(at),
      frozen = false, fresh_until = 0, fresh = 0,
    }
    if more ~= "" then
      local frozen, till, open = string.match(more, "^,([01]),(%d+),(%d+)$")
      lot.frozen, lot.fresh_until, lot.fresh = frozen == "1", tonumber(till), tonumber(open)
    end
    lots[#lots + 1] = lot
  end
  return lots
end

local function write_lots(lots)
  local texts = {}
  for _, lot in ipairs(lots) do
    if lot.remaining > 0 then
      local text = table.concat({
        lot.id, lot.granted, int(lot.remaining), lot.worth, lot.currency, int(lot.expires), int(lot.at),
      }, ",")
      if lot.frozen or lot.fresh_until > 0 then
        text = text .. "," .. (lot.frozen and "1" or "0") .. "," .. int(lot.fresh_until) .. "," .. int(lot.fresh)
      end
      texts[#texts + 1] = text
    end
  end
  return table.concat(texts, ";")
end

local function expired(lot, now)
  return lot.remaining > 0 and lot.expires ~= 0 and lot.expires <= now
end

-- floor(whole x part / of), 0 <= part <= of < 2^42: by hand, digit by digit, for the product itself
-- is more than a Lua number holds.
local function share(whole, part, of)
  local each, rest = math.floor(whole / of), whole % of
  local quotient, remainder, unit = 0, 0, 1
  while unit * 1024 <= part do unit = unit * 1024 end
  while unit >= 1 do
    local sum = remainder * 1024 + rest * (math.floor(part / unit) % 1024)
    quotient, remainder = quotient * 1024 + math.floor(sum / of), sum % of
    unit = unit / 1024
  end
  return each * part + quotient
end

-- What may be used of a lot now. A fresh one opens in proportion to the time since it was bought.
local function usable(lot, now)
  if lot.frozen or lot.remaining == 0 or expired(lot, now) then return 0 end
  if lot.fresh_until <= now then return lot.remaining end
  local granted, age = tonumber(lot.granted), math.max(now - lot.at, 0)
  local opened = lot.fresh + share(granted - lot.fresh, age, lot.fresh_until - lot.at)
  return math.min(math.max(opened - (granted - lot.remaining), 0), lot.remaining)
end

-- What is left of the lots, as the user sees it: also what is not open yet, but nothing frozen.
local function balance(lots, now)
  local sum = 0
  for _, lot in ipairs(lots) do
    if not lot.frozen and not expired(lot, now) then sum = sum + lot.remaining end
  end
  return sum
end

-- Kept beside the lots, so that a check need not read a hundred of them to know one sum. Empty while
-- the sum changes by itself: a lot is fresh.
local function summary(lots, now)
  local total, first = 0, 0
  for _, lot in ipairs(lots) do
    if lot.remaining > 0 then
      if lot.fresh_until > now then return "" end
      if not lot.frozen then total = total + lot.remaining end
      if lot.expires ~= 0 and (first == 0 or lot.expires < first) then first = lot.expires end
    end
  end
  return int(total) .. " " .. int(first)
end

local function lots_of(state)
  state.lots = state.lots or read_lots(state.lots_text)
  return state.lots
end

-- The sum where no lot is past its expiry or fresh, else nil: then the lots have to be read.
local function sum_of_lots(state, now)
  local total, first = string.match(state.credits, "^(%d+) (%d+)$")
  if total and (first == "0" or tonumber(first) > now) then return tonumber(total) end
end

-- Burn order: what expires first, then what is oldest; what never expires comes last.
local function burns_before(x, y)
  local ex, ey = x.expires == 0 and math.huge or x.expires, y.expires == 0 and math.huge or y.expires
  if ex ~= ey then return ex < ey end
  if x.at ~= y.at then return x.at < y.at end
  return x.id < y.id
end

-- Puts the lot of a purchase (see grant.lua, its answer by name) in its place; answers the lot.
local function insert_lot(lots, purchase, remaining)
  local lot = {
    id = purchase.purchase, granted = purchase.granted, remaining = remaining, worth = purchase.worth,
    currency = purchase.currency, expires = tonumber(purchase.expires), at = tonumber(purchase.at),
    frozen = false, fresh_until = tonumber(purchase.fresh_until), fresh = tonumber(purchase.fresh),
  }
  local place = 1
  while lots[place] and burns_before(lots[place], lot) do place = place + 1 end
  table.insert(lots, place, lot)
  return lot
end
