#!lua
-- include: shared.lua
-- Count a batch: of each partition only what follows on what was counted before, of each message id only the first.
-- KEYS  the twelve of shared.lua
-- ARGV  1 JSON {portions: [[partition, first offset, next offset, orders in it, dead letters in it,
--         mark of its last record, '' where it has none]],
--       kinds: [[drink, store]], and of each order, portion after portion: kind: [index], cents: [], accepted_at_us: []}
--       2 the message id of each order, 16 bytes each
--       3 microseconds for which an id is remembered at least
-- Returns {1 where the metrics are consistent, orders counted, repeats dropped}, then by turns each partition that
-- was refused and the offset that it goes on with.
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
local batch, ids, horizon = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
-- Whoever begins anew counts what is still on the topic, which may be less than what is stored.
local consistent = is_consistent() and found.counted_since_us
-- The clock of Redis: latency ends where and when an order becomes visible, whichever aggregator brings it.
local now = now_us()

-- The fence. Two members of the group may have the same records in hand, for a moment after a rebalance or when one
-- wakes that was taken for dead; and after a replay all begin again.
local advanced, marks, refused = {}, {}, {}
local orders, texts, place, dead = {}, {}, 0, 0
for _, portion in ipairs(batch.portions) do
    local partition, first, next_offset, count, letters = whole(portion[1]), portion[2], portion[3], portion[4], portion[5]
    local expected = redis.call('HGET', offsets, partition) or '0'
    if expected == whole(first) then
        advanced[#advanced + 1] = partition
        advanced[#advanced + 1] = whole(next_offset)
        if portion[6] ~= '' then
            marks[#marks + 1] = partition
            marks[#marks + 1] = portion[6]
        end
        dead = dead + letters
        for i = place + 1, place + count do
            orders[#orders + 1] = i
            texts[#texts + 1] = string.sub(ids, 16 * i - 15, 16 * i)
        end
    else
        refused[#refused + 1] = partition
        refused[#refused + 1] = expected
    end
    place = place + count
end
if #advanced == 0 then
    return {consistent and 1 or 0, 0, 0, unpack(refused)}
end

-- Ids are forgotten two generations at a time, here and not by an expiry: while no aggregator runs, none is.
if now - counter('ids_since_us') >= horizon then
    redis.call('UNLINK', old_ids)
    if redis.call('EXISTS', new_ids) == 1 then
        redis.call('RENAME', new_ids, old_ids)
    end
    redis.call('HSET', counters, 'ids_since_us', whole(now))
end

local AT_ONCE = 5000 -- arguments of one command: unpack has a limit
local known = {}
for _, key in ipairs({new_ids, old_ids}) do
    if #texts > 0 and redis.call('EXISTS', key) == 1 then
        for first = 1, #texts, AT_ONCE do
            local answers = redis.call('SMISMEMBER', key, unpack(texts, first, math.min(first + AT_ONCE - 1, #texts)))
            for i, answer in ipairs(answers) do
                if answer == 1 then
                    known[texts[first + i - 1]] = true
                end
            end
        end
    end
end

local counts, sums, buckets = {}, {}, {}
local counted, revenue, duplicates, fresh = 0, 0, 0, {}
local kind, cents, accepted_at = batch.kind, batch.cents, batch.accepted_at_us
local log, floor, scale = math.log, math.floor, 8 / math.log(2)
for n, i in ipairs(orders) do
    local id = texts[n]
    if known[id] then
        duplicates = duplicates + 1
    else
        known[id] = true
        fresh[#fresh + 1] = id
        local of = kind[i] + 1
        counts[of] = (counts[of] or 0) + 1
        sums[of] = (sums[of] or 0) + cents[i]
        revenue = revenue + cents[i]
        counted = counted + 1
        local late_us = now - accepted_at[i]
        local bucket = late_us <= 1 and 0 or math.min(287, floor(scale * log(late_us)))
        buckets[bucket] = (buckets[bucket] or 0) + 1
    end
end

local late = {}
for bucket in pairs(buckets) do
    late[#late + 1] = bucket
end
-- Of the histogram only what is added to: it has a hundred fields and more.
for i, value in ipairs(#late > 0 and redis.call('HMGET', latency, unpack(late)) or {}) do
    if value and not is_integer(value) then
        return redis.error_reply('ERR ' .. latency .. ' ' .. late[i] .. ' is no whole number; delete it')
    end
end

for first = 1, #fresh, AT_ONCE do
    redis.call('SADD', new_ids, unpack(fresh, first, math.min(first + AT_ONCE - 1, #fresh)))
end
redis.call('HSET', offsets, unpack(advanced))
if #marks > 0 then
    redis.call('HSET', last_records, unpack(marks))
end
-- A replay shows again what became visible long ago: its latency was measured then.
if totals[total_orders] >= counter('history_orders') then
    for bucket, count in pairs(buckets) do
        redis.call('HINCRBY', latency, bucket, whole(count))
    end
end
for of, count in pairs(counts) do
    local drink, store = unpack(batch.kinds[of])
    redis.call('HINCRBY', hashes[1], drink, whole(count))
    redis.call('HINCRBY', hashes[2], drink, whole(sums[of]))
    redis.call('HINCRBY', hashes[3], store, whole(count))
    redis.call('HINCRBY', hashes[4], store, whole(sums[of]))
end
redis.call('HINCRBY', counters, 'duplicates', whole(duplicates))
redis.call('HINCRBY', counters, 'dead', whole(dead))
-- Kept until a reconciliation takes it away: this aggregator may die before it gets round to one.
if not consistent then
    redis.call('HINCRBY', counters, 'suspect', 1)
end
redis.call('HSETNX', counters, 'counted_since_us', whole(now))
redis.call('HINCRBY', counters, 'shown_orders', whole(counted))
redis.call('HSET', counters, 'last_update_us', whole(now))
redis.call('INCRBY', total_revenue, whole(revenue))
-- Last, also by 0: whoever watches this one key sees all of the above with it.
redis.call('INCRBY', total_orders, whole(counted))
return {consistent and 1 or 0, counted, duplicates, unpack(refused)}
