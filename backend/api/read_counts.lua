#!lua flags=no-writes
-- What Redis counts, all of one moment. KEYS: the stream; then of each pipeline its total_orders and its counters.
-- Returns: entries ever added to the stream, entries in it; then of each pipeline its total_orders, duplicates, dead
-- and shown_orders, an empty string where there is none.
local added = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #info, 2 do
        if info[i] == 'entries-added' then
            added = info[i + 1]
        end
    end
end
local said = { added, redis.call('XLEN', KEYS[1]) }
for i = 2, #KEYS, 2 do
    said[#said + 1] = redis.call('GET', KEYS[i]) or ''
    for _, field in ipairs({ 'duplicates', 'dead', 'shown_orders' }) do
        said[#said + 1] = redis.call('HGET', KEYS[i + 1], field) or ''
    end
end
return said
