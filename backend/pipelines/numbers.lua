-- Numbers as scripts read and write them.

local function is_integer(text)
    return #text <= 17 and string.match(text, '^-?%d+$') ~= nil
end

local function sum(key)
    local total = 0
    for _, value in ipairs(redis.call('HVALS', key)) do
        total = total + tonumber(value)
    end
    return total
end

local function now_us()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- An integer for a command or a text: Lua and Redis may write a big or a round one as 1e+15.
local function whole(number)
    return string.format('%.0f', number + 0) -- + 0, or minus zero becomes -0
end
