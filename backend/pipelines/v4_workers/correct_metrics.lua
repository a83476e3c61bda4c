#!lua
-- include: shared.lua
-- Add the drift found from a cut, unless the ground has moved.
-- KEYS  the twelve of shared.lua
-- ARGV  1 JSON {reconciled, suspect, shown_orders, orders: as cut; settled: the doubts that this settles; add_orders,
--       add_revenue, hashes: [[[field, amount, whether it is on the menu]] of four]}
--       2… message ids to forget, 16 bytes each
-- Returns 1 where it was applied, 0 where another reconciliation, a replay or a flush came in between.
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
local drift = cjson.decode(ARGV[1])
-- Both copies grow alike; where only one of them did, somebody flushed the other since the cut.
if counter('reconciled') ~= drift.reconciled
    or totals[total_orders] - drift.orders ~= counter('shown_orders') - drift.shown_orders then
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
for i = 2, #ARGV do
    redis.call('SREM', new_ids, ARGV[i])
    redis.call('SREM', old_ids, ARGV[i])
end
if redis.call('HINCRBY', counters, 'suspect', whole(-drift.suspect)) == 0 then
    redis.call('HDEL', counters, 'suspect')
end
redis.call('HINCRBY', counters, 'reconciled', 1)
redis.call('HSET', counters, 'settled', whole(drift.settled), 'last_update_us', whole(now_us()),
    'shown_orders', whole(totals[total_orders] + drift.add_orders))
redis.call('INCRBY', total_revenue, whole(drift.add_revenue))
redis.call('INCRBY', total_orders, whole(drift.add_orders))
return 1
