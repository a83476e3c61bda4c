#!lua flags=no-writes
-- What Redis counts, all of one moment. KEYS: of each pipeline its total_orders, its counters and its stream, which
-- is an empty string where its log is none.
-- Returns of each pipeline: total_orders, duplicates, dead and shown_orders, an empty string where there is none;
-- entries ever added to the stream, entries in it.
local replies = {}
for i = 1, #KEYS, 3 do
    replies[#replies + 1] = redis.call('GET', KEYS[i]) or ''
    for _, field in ipairs({ 'duplicates', 'dead', 'shown_orders' }) do
        replies[#replies + 1] = redis.call('HGET', KEYS[i + 1], field) or ''
    end
    local added, waiting = 0, 0
    if KEYS[i + 2] ~= '' and redis.call('EXISTS', KEYS[i + 2]) == 1 then
        local info = redis.call('XINFO', 'STREAM', KEYS[i + 2])
        for at = 1, #info, 2 do
            if info[at] == 'entries-added' then
                added = info[at + 1]
            end
        end
        waiting = redis.call('XLEN', KEYS[i + 2])
    end
    replies[#replies + 1] = added
    replies[#replies + 1] = waiting
end
return replies
