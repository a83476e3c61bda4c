#!lua
-- include: shared.lua
-- Tell whether the metrics are consistent, and up to which doubt of the workers they have been reconciled.
-- KEYS  the twelve of shared.lua
-- Returns {1 where they are, else 0; settled}.
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
return {is_consistent() and 1 or 0, counter('settled')}
