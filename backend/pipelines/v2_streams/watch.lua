#!lua flags=no-writes
-- include: stuck.lua
-- Tell what of v2 waits, and who reads.
-- KEYS  1 stream  2 counters  3 total_orders  4 standstill
-- ARGV  1 group  2 most entries to look at for such as are pending nowhere
-- Returns the worker's report ('' without one); entries in the stream; total_orders, duplicates, dead ('' without);
-- 1 where there is the group, else 0; its consumers; milliseconds since the last of them asked for anything, -1
-- without any; entries that are pending nowhere, of those looked at.
local stream, counters = KEYS[1], KEYS[2]
local waiting = redis.call('EXISTS', stream) == 1 and redis.call('XLEN', stream) or 0
local there, consumers, idle, stuck = 0, 0, -1, {}
local group = find_group(stream, ARGV[1])
if group then
    there = 1
    for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group.name)) do
        local consumer = as_table(flat)
        consumers = consumers + 1
        if idle < 0 or consumer.idle < idle then
            idle = consumer.idle
        end
    end
    if not (group.lag and waiting - group.pending == group.lag) then
        stuck = find_stuck(stream, group, '-', 1000, tonumber(ARGV[2]))
    end
end
local finished = redis.call('HMGET', counters, 'duplicates', 'dead')
return {
    redis.call('GET', KEYS[4]) or '', waiting, redis.call('GET', KEYS[3]) or '', finished[1] or '', finished[2] or '',
    there, consumers, idle, #stuck,
}
