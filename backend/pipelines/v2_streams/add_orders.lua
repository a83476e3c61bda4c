#!lua
-- Add a batch of orders to the stream, all or none: check every key, then add and remember.
-- KEYS  1 stream  2… the idempotency key of each order that has one
-- ARGV  1 milliseconds to remember  2 items of each order's entry  3… of each order its content ('' without a key)
--       and those items
-- Returns 0 where every order is there now, else the number (from 1) of the first whose key was another order's.
-- The shebang makes Redis refuse the script as a whole where memory or the disk is full.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'stream' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[1] .. ' is a ' .. kind .. ', must be a stream')
end
local items = tonumber(ARGV[2])
local orders = (#ARGV - 2) / (items + 1)
local new, key = {}, 1
for number = 1, orders do
    local at = 3 + (number - 1) * (items + 1)
    local order = {at = at}
    local seen = false
    if ARGV[at] ~= '' then
        key = key + 1
        order.key = KEYS[key]
        seen = redis.call('GET', order.key)
        if seen and seen ~= ARGV[at] then
            return number
        end
    end
    if not seen then
        new[#new + 1] = order
    end
end
for _, order in ipairs(new) do
    redis.call('XADD', KEYS[1], '*', unpack(ARGV, order.at + 1, order.at + items))
    if order.key then
        redis.call('SET', order.key, ARGV[order.at], 'PX', ARGV[1])
    end
end
return 0
