-- How an event is written: tokens parted by one space. What cannot be read is nil.

local function whole(token, most)
    local number = string.match(token, '^%d+$') and tonumber(token)
    return number and number <= (most or FOREVER) and number or nil
end

local function count(token)
    return whole(token, LAST)
end

local function signed(token)
    local sign, digits = string.match(token, '^(%-?)(%d+)$')
    local number = digits and whole(digits)
    return number and (sign == '-' and -number or number)
end

local function status(token)
    local code = whole(token, 999)
    return code and code >= 100 and code or nil
end

local function share(token)
    local number = string.match(token, '^%d[%d.e+-]*$') and tonumber(token)
    return number and number >= 0 and number <= 1 and number or nil
end

local FLAGS = { ['0'] = false, ['1'] = true }

local function flag(token)
    return FLAGS[token]
end

local ROLES = { free = 'free', probe = 'probe', place = 'place', late = 'late' }

local function role(token)
    return ROLES[token]
end

local function or_none(read)
    return function(token)
        if token == '-' then
            return false
        end
        return read(token)
    end
end

-- What follows an event's name: each field and how it is read.
local STANDING = { 'seen', whole, 'stale', flag, 'role', role, 'probe', count }
local FORMS = {
    asked = {},
    kept = {},
    cleared = {},
    refused = { 'status', status, 'hint', or_none(whole), 'stretch', share },
    exhausted = { 'reset', whole, 'stretch', share },
    succeeded = {},
    neutral = {},
    dropped = {},
    cooled = { 'wait', whole },
    restored = {
        'remaining', signed, 'rung', count, 'status', or_none(status),
        'hint', or_none(whole), 'by_hand', flag,
    },
}
local SETTLED = { refused = true, exhausted = true, succeeded = true, neutral = true, dropped = true }
local POLICY = {
    'base', whole, 'cap', whole, 'max_retry_after', whole, 'trust_hints', flag,
    'probe_lease', whole, 'reopen_width', whole, 'forget', whole,
}

-- Reads the fields of a form from that token on; returns the next token's place.
local function read_fields(form, tokens, place, into)
    for i = 1, #form, 2 do
        local token = tokens[place]
        local value = nil
        if token then
            value = form[i + 1](token)
        end
        if value == nil then
            return nil
        end
        into[form[i]] = value
        place = place + 1
    end
    return place
end

local function read_event(text)
    local tokens = {}
    for token in string.gmatch(text, '[^ ]+') do
        tokens[#tokens + 1] = token
    end
    local name = tokens[1]
    local form = name and FORMS[name]
    if not form or table.concat(tokens, ' ') ~= text then
        return nil
    end
    local event, policy, place = { name = name }, {}, 2
    if SETTLED[name] then
        place = read_fields(STANDING, tokens, place, event)
    end
    place = place and read_fields(form, tokens, place, event)
    place = place and read_fields(POLICY, tokens, place, policy)
    if not place or place <= #tokens then
        return nil
    end
    event.policy = policy
    return event
end
