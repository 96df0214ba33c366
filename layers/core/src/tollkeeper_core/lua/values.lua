-- Amounts and lists as text: what the files after this one share.

local EXACT = 9007199254740992 -- 2^53: above it a Lua number no longer holds every integer

local function int(n)
  if not (n > -EXACT and n < EXACT) then error("TOLLKEEPER amount beyond 2^53 nano") end
  return string.format("%.0f", n + 0) -- + 0 turns -0 into 0; tostring would write 1e+15
end

local function split(text, separator)
  local parts = {}
  for part in string.gmatch(text or "", "[^" .. separator .. "]+") do parts[#parts + 1] = part end
  return parts
end

local function append(list, more)
  for _, value in ipairs(more) do list[#list + 1] = value end
  return list
end
