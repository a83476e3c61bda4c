#!lua
-- include: stuck.lua
-- Make entries that are pending nowhere the pending entries of a consumer: exactly these, each once.
-- KEYS  1 stream
-- ARGV  1 group  2 consumer, or '' for any  3 ms of idleness that an entry is given  4 where to begin, '-' for the
--       first entry  5 most entries to claim  6 most entries to look at
-- Returns where to go on, '-' at the end; 1 where the group stood beyond the stream's end, else 0; ids claimed.
-- Costs a few microseconds where the counts tell that there is none.
local stream, idle, most = KEYS[1], ARGV[3], tonumber(ARGV[5])
local group = find_group(stream, ARGV[1])
if not group then
    return redis.error_reply('NOGROUP ' .. stream .. ' has no consumer group ' .. ARGV[1])
end
-- A group that stands beyond the last id would be delivered nothing that comes from now on, either.
local last = as_table(redis.call('XINFO', 'STREAM', stream))['last-generated-id']
local beyond = is_after(group['last-delivered-id'], last) and 1 or 0
if beyond == 1 then
    redis.call('XGROUP', 'SETID', stream, group.name, last)
    group['last-delivered-id'] = last
elseif ARGV[4] == '-' and group.lag and redis.call('XLEN', stream) - group.pending == group.lag then
    return {'-', 0}
end
local stuck, go_on = find_stuck(stream, group, ARGV[4], most, tonumber(ARGV[6]))
local consumer = ARGV[2]
if consumer == '' and #stuck > 0 then
    -- Whose it is for a moment makes no difference: whoever looks for stale entries takes it. Best one that exists.
    local known = redis.call('XINFO', 'CONSUMERS', stream, group.name)[1]
    consumer = known and as_table(known).name or 'replay'
end
for first = 1, #stuck, 1000 do
    local ids = {unpack(stuck, first, math.min(first + 999, #stuck))}
    for _, option in ipairs({'IDLE', idle, 'FORCE', 'JUSTID'}) do
        ids[#ids + 1] = option
    end
    redis.call('XCLAIM', stream, group.name, consumer, 0, unpack(ids))
end
return {go_on, beyond, unpack(stuck)}
