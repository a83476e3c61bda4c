#!lua
-- include: shared.lua
-- Tell whether the metrics are consistent.
-- KEYS  the ten of shared.lua
-- Returns 1 where they are, else 0.
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
return is_consistent() and 1 or 0
