#!lua
-- Replace the metrics as a whole, unless another process has done so since this one looked.
-- KEYS  1 fence  2 counters  3 latency  4 total_revenue  5 drink_counts  6 drink_revenue  7 store_counts
--       8 store_revenue  9 total_orders
-- ARGV  1 the fence that it started from, '' for none  2 its own  3 JSON {orders, revenue, hashes: [{field: value}
--       of four], latency: {bucket: orders}, counters: {field: value}}
-- Returns 1 where they were written, 0 where the fence has moved.
-- The shebang makes Redis refuse the script as a whole where memory or the disk is full.
local fence, counters, latency = KEYS[1], KEYS[2], KEYS[3]
if (redis.call('GET', fence) or '') ~= ARGV[1] then
    return 0
end
for _, key in ipairs({counters, latency}) do
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= 'hash' then
        return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ', must be a hash; delete it')
    end
end

-- include: numbers.lua

local totals = cjson.decode(ARGV[3])
-- Of the histogram only what is added to: it has a hundred fields and more.
for bucket in pairs(totals.latency) do
    local value = redis.call('HGET', latency, bucket)
    if value and not is_integer(value) then
        return redis.error_reply('ERR ' .. latency .. ' ' .. bucket .. ' is no whole number; delete it')
    end
end
redis.call('SET', fence, ARGV[2])
for bucket, orders in pairs(totals.latency) do
    redis.call('HINCRBY', latency, bucket, whole(orders))
end
for field, value in pairs(totals.counters) do
    redis.call('HSET', counters, field, whole(value))
end
redis.call('SET', KEYS[4], whole(totals.revenue))
for i = 1, 4 do
    -- Deleted first, so that a field which is no longer on the menu goes, and an expiry with it.
    redis.call('DEL', KEYS[4 + i])
    local fields = {}
    for field, value in pairs(totals.hashes[i]) do
        fields[#fields + 1] = field
        fields[#fields + 1] = whole(value)
    end
    if #fields > 0 then
        redis.call('HSET', KEYS[4 + i], unpack(fields))
    end
end
-- Last: whoever watches this one key sees all of the above with it.
redis.call('SET', KEYS[9], whole(totals.orders))
return 1
