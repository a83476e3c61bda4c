-- Writes the totals of v3 to Redis: as a whole, or not at all.
--
-- KEYS  1 epoch  2 total_revenue  3 drink_counts  4 drink_revenue  5 store_counts  6 store_revenue  7 total_orders
--       8 latency  9 counters  10 late orders  11 watermark
-- ARGV  1 epoch of the caller  2 orders  3 revenue (cents)  4 duplicates  5 dead letters  6 now (µs)
--       7 sum of accepted_at (µs), kept as text: it outgrows a Lua number
--       8 orders shown when the caller last looked  9 latency bucket of the orders since, or ''
--       10 watermark (ms since the epoch) or ''  11 number of drinks  12 number of stores
--       then (name, orders, cents) of each drink, of each store, and of what each store has got too late
-- Answers {1 shown | 0 older than what is shown | -1 another epoch | -2 no epoch, orders shown before}.

local epoch = redis.call('GET', KEYS[1])
if not epoch then return {-2, 0} end
if epoch ~= ARGV[1] then
    redis.call('HINCRBY', KEYS[9], 'refused', 1)
    return {-1, 0}
end

-- Lua does not roll back: everything is read and checked before the first write. What is no number was put there
-- by somebody else; it is dropped, and the difference is then the whole value.
local spoiled = {}
local function whole(text)
    return text and string.match(text, '^-?%d+$') and tonumber(text)
end
local function stored(key)
    local value = redis.pcall('GET', key)
    local number = type(value) ~= 'table' and whole(value)
    if value and not number then spoiled[#spoiled + 1] = {'DEL', key} end
    return number or 0
end
local function stored_fields(key, names)
    local found = redis.pcall('HMGET', key, unpack(names))
    if found.err then
        spoiled[#spoiled + 1] = {'DEL', key}
        found = {}
    end
    local numbers = {}
    for i, name in ipairs(names) do
        numbers[i] = whole(found[i]) or 0
        if found[i] and not whole(found[i]) then spoiled[#spoiled + 1] = {'HDEL', key, name} end
    end
    return numbers
end

local orders = tonumber(ARGV[2])
local shown = stored(KEYS[7])
-- As many orders after fewer repeats and dead letters: a row of before, from a checkpoint or from somebody's hand.
local function is_of_before()
    local known = redis.call('HMGET', KEYS[9], 'duplicates', 'dead')
    return tonumber(ARGV[4]) + tonumber(ARGV[5]) < (whole(known[1]) or 0) + (whole(known[2]) or 0)
end
if orders < shown or orders == shown and is_of_before() then
    redis.call('HINCRBY', KEYS[9], 'refused', 1)
    return {0, shown}
end

local writes = {}
local function add(command, key, field, difference)
    if difference ~= 0 then
        local amount = string.format('%.0f', difference)
        writes[#writes + 1] = field and {command, key, field, amount} or {command, key, amount}
    end
end
local function add_fields(key, place, first, count, suffix)
    local names, values = {}, {}
    for i = first, first + 3 * (count - 1), 3 do
        names[#names + 1], values[#values + 1] = ARGV[i] .. suffix, tonumber(ARGV[i + place])
    end
    local old = stored_fields(key, names)
    for i, name in ipairs(names) do add('HINCRBY', key, name, values[i] - old[i]) end
end

add('INCRBY', KEYS[2], nil, tonumber(ARGV[3]) - stored(KEYS[2]))
local drinks, stores = tonumber(ARGV[11]), tonumber(ARGV[12])
local first_store = 13 + 3 * drinks
add_fields(KEYS[3], 1, 13, drinks, '')
add_fields(KEYS[4], 2, 13, drinks, '')
add_fields(KEYS[5], 1, first_store, stores, '')
add_fields(KEYS[6], 2, first_store, stores, '')
-- One hash for both: no order is late in orders and not in cents.
add_fields(KEYS[10], 1, first_store + 3 * stores, stores, ':orders')
add_fields(KEYS[10], 2, first_store + 3 * stores, stores, ':revenue')
-- Never back: a window that was closed stays closed.
if ARGV[10] ~= '' and stored(KEYS[11]) < tonumber(ARGV[10]) then writes[#writes + 1] = {'SET', KEYS[11], ARGV[10]} end
-- A replay shows again what became visible long ago: its latency was measured then.
local history = whole(redis.call('HGET', KEYS[9], 'history_orders')) or 0
if ARGV[9] ~= '' and tonumber(ARGV[8]) == shown and shown >= history then
    add('HINCRBY', KEYS[8], ARGV[9], orders - shown)
end
-- Last: whoever subscribes to this one key finds the others written.
add('INCRBY', KEYS[7], nil, orders - shown)

for _, command in ipairs(spoiled) do redis.call(unpack(command)) end
redis.call('HSET', KEYS[9], 'duplicates', ARGV[4], 'dead', ARGV[5], 'last_update_us', ARGV[6],
    'shown_orders', ARGV[2], 'shown_accepted_us', ARGV[7])
for _, command in ipairs(writes) do redis.call(unpack(command)) end
return {1, shown}
