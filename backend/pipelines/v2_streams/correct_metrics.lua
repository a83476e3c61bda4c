#!lua
-- include: shared.lua
-- Apply the drift found from a cut, unless the ground has moved.
-- KEYS  the ten of shared.lua
-- ARGV  1 token of the cut  2 JSON {suspect, shown, orders: as cut; add_orders, add_revenue,
--       hashes: [[[field, amount, whether it is on the menu]] of four]}
-- Returns 1 where it was applied, 0 where another reconciliation or a flush came in between.
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
local token, drift = ARGV[1], cjson.decode(ARGV[2])
local claim = redis.call('HGET', counters, 'cut')
if not claim or string.match(claim, ' (.*)$') ~= token then
    return 0
end
redis.call('HDEL', counters, 'cut')
-- Both copies grow alike; where only one of them did, somebody flushed the other since the cut.
if totals[total_orders] - tonumber(drift.orders) ~= counter('shown') - tonumber(drift.shown) then
    return 0
end
for i, key in ipairs(hashes) do
    for _, change in ipairs(drift.hashes[i]) do
        local field, amount, on_menu = unpack(change)
        if redis.call('HINCRBY', key, field, whole(amount)) == 0 and not on_menu then
            redis.call('HDEL', key, field)
        end
    end
end
if redis.call('HINCRBY', counters, 'suspect', whole(-drift.suspect)) == 0 then
    redis.call('HDEL', counters, 'suspect')
end
redis.call('HSET', counters, 'shown', whole(totals[total_orders] + drift.add_orders))
redis.call('HINCRBY', counters, 'reconciled', 1)
redis.call('HSET', counters, 'last_update_us', whole(now_us()))
redis.call('INCRBY', total_revenue, whole(drift.add_revenue))
redis.call('INCRBY', total_orders, whole(drift.add_orders))
return 1
