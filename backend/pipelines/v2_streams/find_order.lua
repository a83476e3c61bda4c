-- Tell whether v2's API is known to have taken an order that may not be a row yet.
-- KEYS  1 stream  2 idempotency key of the message id
-- ARGV  1 message id  2 milliseconds since the epoch of its making, or '' where it is no UUIDv7  3 milliseconds and
--       4 entries to look through after it
-- Returns 1 where it was taken, 0 where nothing is known of it.
if redis.call('EXISTS', KEYS[2]) == 1 then
    return 1
end
local made = tonumber(ARGV[2])
if not made then
    return 0
end
-- The API makes an id right before it adds the entry, whose own id carries the time: so few need a look.
local first, last = string.format('%.0f', made - 50), string.format('%.0f', made + tonumber(ARGV[3]))
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], first, last, 'COUNT', ARGV[4])) do
    local fields = entry[2]
    for i = 1, #fields, 2 do
        if fields[i] == 'message_id' and fields[i + 1] == ARGV[1] then
            return 1
        end
    end
end
return 0
