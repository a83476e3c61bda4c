-- Writes one window of v3 to Redis: as a whole, or not at all.
--
-- KEYS  1 epoch  2 the window  3 a window that this writer has shown  4 counters
-- ARGV  1 epoch of the caller  2 when it expires (s since the epoch)
--       then (name, orders, cents) of each store
-- Answers {1 shown | 0 older than what is shown | -1 another epoch | -2 no epoch, orders that KEYS[3] shows}.

local epoch = redis.call('GET', KEYS[1])
if not epoch then return {-2, 0} end
if epoch ~= ARGV[1] then
    redis.call('HINCRBY', KEYS[4], 'refused', 1)
    return {-1, 0}
end

local function read_orders(window)
    local found, orders = redis.pcall('HGETALL', window), 0
    if found.err then return 0, true end
    for i = 1, #found, 2 do
        if string.match(found[i], ':orders$') then orders = orders + (tonumber(found[i + 1]) or 0) end
    end
    return orders, false
end

local checked = read_orders(KEYS[3])
-- A job that continues from a checkpoint counts again what it has counted before: nothing falls back meanwhile.
local shown, is_foreign = read_orders(KEYS[2])
local orders, fields = 0, {}
for i = 3, #ARGV, 3 do
    orders = orders + tonumber(ARGV[i + 1])
    fields[#fields + 1], fields[#fields + 2] = ARGV[i] .. ':orders', ARGV[i + 1]
    fields[#fields + 1], fields[#fields + 2] = ARGV[i] .. ':revenue', ARGV[i + 2]
end
if orders < shown then return {0, checked} end

if is_foreign then redis.call('DEL', KEYS[2]) end
redis.call('HSET', KEYS[2], unpack(fields))
if redis.call('TTL', KEYS[2]) < 0 then redis.call('EXPIREAT', KEYS[2], ARGV[2]) end
return {1, checked}
