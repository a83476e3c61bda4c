#!lua
-- include: shared.lua
-- Apply a stored batch: acknowledge each entry and, only where that took effect, count it, drop it as a duplicate
-- or write it as a dead letter.
-- KEYS  the ten of shared.lua
-- ARGV  1 group  2 consumer  3 number of entries
--       4 JSON {orders: [[drink, store, [id], [cents], [accepted_at_us]]], whose row is their own;
--       duplicates: [id]; dead_letters: [[id, reason, detail]]; deleted: [id], entries that somebody deleted}
-- Returns {1 where the metrics are consistent, orders counted, orders whose acknowledgement came too late}.
local fault = find_fault()
if fault then
    return redis.error_reply(fault)
end
local group, batch = ARGV[1], cjson.decode(ARGV[4])
local was_consistent = is_consistent()
-- The clock of Redis: latency ends where and when an order becomes visible, whichever worker brings it.
local now = now_us()

-- What is pending now can be acknowledged: of these that is known beforehand, and done in one call for all of
-- them. pcall: where the group has vanished, none is.
local pending = {}
for _, entry in ipairs(redis.pcall('XPENDING', stream, group, '-', '+', ARGV[3], ARGV[2])) do
    pending[entry[1]] = true
end
local done = {}

local function acknowledge(id)
    if pending[id] or redis.call('XACK', stream, group, id) == 1 then
        done[#done + 1] = id
        return true
    end
    return false
end

local function add(totals, field, amount)
    totals[field] = (totals[field] or 0) + amount
end

local function bucket(late_us)
    if late_us <= 1 then
        return 0
    end
    return math.min(287, math.floor(8 * math.log(late_us) / math.log(2)))
end

-- How late each order is, and of the histogram only what that adds to: it has a hundred fields and more.
local lateness = {}
for _, alike in ipairs(batch.orders) do
    local accepted_at = alike[5]
    for i, accepted_us in ipairs(accepted_at) do
        accepted_at[i] = bucket(now - accepted_us)
        lateness[accepted_at[i]] = true
    end
end
local fields = {}
for field in pairs(lateness) do
    fields[#fields + 1] = field
end
for i, value in ipairs(#fields > 0 and redis.call('HMGET', latency, unpack(fields)) or {}) do
    if value and not is_integer(value) then
        return redis.error_reply('ERR ' .. latency .. ' ' .. fields[i] .. ' is no whole number; delete it')
    end
end

local orders, revenue, late = 0, 0, 0
local buckets, sums = {}, {{}, {}, {}, {}}
for _, alike in ipairs(batch.orders) do
    local drink, store, ids, cents, late_by = unpack(alike)
    local count, sum_cents = 0, 0
    for i, id in ipairs(ids) do
        if acknowledge(id) then
            count, sum_cents = count + 1, sum_cents + cents[i]
            add(buckets, late_by[i], 1)
        end
    end
    orders, revenue, late = orders + count, revenue + sum_cents, late + #ids - count
    add(sums[1], drink, count)
    add(sums[2], drink, sum_cents)
    add(sums[3], store, count)
    add(sums[4], store, sum_cents)
end

local duplicates = 0
for _, id in ipairs(batch.duplicates) do
    if acknowledge(id) then
        duplicates = duplicates + 1
    end
end

local dead = 0
for _, letter in ipairs(batch.dead_letters) do
    local id, reason, detail = unpack(letter)
    if acknowledge(id) then
        dead = dead + 1
        local entry = redis.call('XRANGE', stream, id, id)[1]
        local fields = entry and entry[2] or {}
        -- unpack has a limit; an entry with more fields than that was not made by the API.
        local kept = {unpack(fields, 1, math.min(#fields, 2000))}
        for _, text in ipairs({'reason', reason, 'detail', detail, 'origin', id}) do
            kept[#kept + 1] = text
        end
        redis.call('XADD', dead_stream, '*', unpack(kept))
    end
end

for _, id in ipairs(batch.deleted) do
    acknowledge(id)
end

for field, count in pairs(buckets) do
    redis.call('HINCRBY', latency, field, whole(count))
end
for i, key in ipairs(hashes) do
    for field, amount in pairs(sums[i]) do
        redis.call('HINCRBY', key, field, whole(amount))
    end
end
if duplicates > 0 then
    redis.call('HINCRBY', counters, 'duplicates', whole(duplicates))
end
if dead > 0 then
    redis.call('HINCRBY', counters, 'dead', whole(dead))
end
-- Kept until a reconciliation takes it away: this worker may die before it gets round to one. A late
-- acknowledgement is another worker's count, or a stream that was flushed under a row already stored; a deleted
-- entry may have become a row before somebody deleted it.
local consistent = was_consistent and late == 0 and #batch.deleted == 0
if not consistent then
    redis.call('HINCRBY', counters, 'suspect', 1)
end
redis.call('HINCRBY', counters, 'shown', whole(orders))
redis.call('HSET', counters, 'last_update_us', whole(now))
local removed = 0
for first = 1, #done, 5000 do
    local last = math.min(first + 4999, #done)
    redis.call('XACK', stream, group, unpack(done, first, last))
    removed = removed + redis.call('XDEL', stream, unpack(done, first, last))
end
-- Some had gone from the stream under the worker's hands: a reconciliation may have taken their rows for counted.
if consistent and removed < #done then
    consistent = false
    redis.call('HINCRBY', counters, 'suspect', 1)
end
redis.call('INCRBY', total_revenue, whole(revenue))
-- Last, also by 0: whoever watches this one key sees all of the above with it.
redis.call('INCRBY', total_orders, whole(orders))
return {consistent and 1 or 0, orders, late}
