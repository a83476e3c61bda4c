#!lua
-- include: shared.lua
-- Begin a replay in one step: nothing is shown and nothing remembered, and every partition goes on with offset 0. What
-- an aggregator has in hand is refused from then on, and it begins again there.
-- KEYS  the twelve of shared.lua
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
local history = math.max(counter('shown_orders'), counter('history_orders'))
redis.call('UNLINK', offsets, new_ids, old_ids, last_records, unpack(KEYS, 6, 11))
redis.call('HDEL', counters, 'shown_orders', 'duplicates', 'dead', 'suspect', 'settled', 'ids_since_us',
    'counted_since_us')
-- How many orders have been visible before: they are not counted in the latency when they are shown again.
redis.call('HSET', counters, 'history_orders', whole(history))
redis.call('HINCRBY', counters, 'reconciled', 1)
return redis.status_reply('OK')
