-- Keep which record was acknowledged last of a partition. Several APIs do: the last one of all stands. What began
-- below the one that is kept, and is much later, has taken the place of records that are gone: then nothing is kept
-- of the partition until somebody has compared it with the topic.
-- KEYS[1]   hash: partition → offset and time (ms since 1970) of its last acknowledged record
-- ARGV[1]   ms by which a record that lies before another may be later than it; below 0: it was compared
-- ARGV      from the second on: partition, first offset, last offset, time of the last; and so on
-- Returns the partitions that are to be compared.
local doubtful = {}
for at = 2, #ARGV, 4 do
    local partition, time = ARGV[at], tonumber(ARGV[at + 3])
    local first, last = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local offset, kept_time = string.match(redis.call('HGET', KEYS[1], partition) or '', '^(%d+) (%d+)$')
    if not offset then
        offset, kept_time = -1, time
    end
    if tonumber(ARGV[1]) >= 0 and first <= tonumber(offset) and time > kept_time + ARGV[1] then
        table.insert(doubtful, partition)
    elseif last > tonumber(offset) then
        redis.call('HSET', KEYS[1], partition, ARGV[at + 2] .. ' ' .. ARGV[at + 3])
    end
end
return doubtful
