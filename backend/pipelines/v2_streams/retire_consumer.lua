#!lua
-- include: shared.lua
-- Remove a consumer that has nothing pending.
-- KEYS  the first of shared.lua: stream
-- ARGV  1 group  2 consumer
-- Returns 1 where it was removed, else 0.
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #pending > 0 then
    return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
