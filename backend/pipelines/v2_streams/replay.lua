-- Let go of what a consumer that reads no more has left pending, so that any worker may claim it at once.
-- KEYS  1 stream
-- ARGV  1 group  2 ms since its last read after which a consumer is dead  3 ms of idleness that an entry is given
-- Returns 1 if anything is pending that was kept, else 0; then ids and consumers of the entries let go of, by turns.
local found = {0}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = {}
    for i = 1, #flat, 2 do consumer[flat[i]] = flat[i + 1] end
    if consumer.pending > 0 and consumer.idle < tonumber(ARGV[2]) then
        found[1] = 1
    elseif consumer.pending > 0 then
        for _, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', consumer.pending, consumer.name)) do
            -- It stays its consumer's until a worker asks. JUSTID: nobody has read it, so it is no delivery.
            redis.call('XCLAIM', KEYS[1], ARGV[1], consumer.name, 0, entry[1], 'IDLE', ARGV[3], 'JUSTID')
            found[#found + 1] = entry[1]
            found[#found + 1] = consumer.name
        end
    end
end
return found
