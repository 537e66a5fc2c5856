-- How an upstream in trouble is kept in Redis, and how it is told.
--
-- A hash of numbers and words, one field for each of the state's; beside them who has
-- the newest probe and, in a field `p:<process>` each, who holds how many places and
-- when that process was last heard of. What is not as it should be is found here.

-- The version of all that stands here.
local VERSION = '1'

-- The least time between two questions of who uses their places.
local QUESTIONS = 100000

local PHASES = { cooling = true, probing = true, reopening = true }

local function text(number)
    return string.format('%.0f', number)
end

-- Whether it can stand between spaces.
local function is_token(value)
    return #value <= 256 and value ~= '-' and string.match(value, '^[%w%p]+$') ~= nil
end

local function empty_or(read)
    return function(value)
        if value == '' then
            return false
        end
        return read(value)
    end
end

local function token(value)
    return is_token(value) and value or nil
end

local function phase(value)
    return PHASES[value] and value or nil
end

local STATE = {
    'phase', phase, 'gate', whole, 'ends', whole, 'began', whole, 'rung', count,
    'status', empty_or(status), 'hint', empty_or(whole), 'stretch', share, 'by_hand', flag,
    'generation', whole, 'probe', count, 'width', count, 'in_flight', count,
}
local BESIDE = { 'number', whole, 'holder', empty_or(token), 'at', whole, 'wanted', whole }

-- What is not there, or has just been forgotten.
local function no_entry()
    return { state = CLEAR, number = 0, holder = false, wanted = 0, wanted_at = 0, places = {} }
end

local function read_hash(form, fields, into)
    for i = 1, #form, 2 do
        local value = fields[form[i]]
        if value then
            value = form[i + 1](value)
        end
        if value == nil then
            return false
        end
        into[form[i]] = value
    end
    return true
end

-- Who holds places, and all who are written down as doing so; nil where that cannot
-- be read.
local function read_places(fields)
    local places, written = {}, {}
    for field, value in pairs(fields) do
        local process = string.match(field, '^p:(.*)$')
        if process then
            local held, touched = string.match(value, '^(%d+) (%d+)$')
            held, touched = held and count(held), touched and whole(touched)
            if not held or not touched then
                return nil
            end
            places[process] = { held = held, touched = touched }
            written[#written + 1] = field
        end
    end
    return places, written
end

-- The clock went back: everything is as far away as it was.
local function shift(entry, now)
    local by = entry.at - now
    local state = entry.state
    entry.state = with(state, {
        gate = before(state.gate, by), ends = before(state.ends, by), began = before(state.began, by),
    })
    entry.wanted, entry.wanted_at = before(entry.wanted, by), before(entry.wanted_at, by)
    for _, place in pairs(entry.places) do
        place.touched = before(place.touched, by)
    end
end

-- Returns what stands under that key; or nil and what is wrong with it.
local function load(key, now)
    local pairs_of = redis.pcall('HGETALL', key)
    if pairs_of.err then
        return nil, 'wrong type'
    end
    local fields = {}
    for i = 1, #pairs_of, 2 do
        fields[pairs_of[i]] = pairs_of[i + 1]
    end
    local entry = no_entry()
    if #pairs_of == 0 then
        return entry
    elseif fields.v ~= VERSION then
        return nil, fields.v and 'version' or 'garbage'
    end
    local state = {}
    local places, written = read_places(fields)
    if not places or not read_hash(STATE, fields, state) or not read_hash(BESIDE, fields, entry) then
        return nil, 'garbage'
    end
    entry.state, entry.written, entry.is_known = state, written, true
    entry.wanted_at = fields.wanted_at and whole(fields.wanted_at) or 0
    if state.phase == 'reopening' then
        -- A place that is nobody's would never be given back.
        entry.places, state.in_flight = places, 0
        for _, place in pairs(places) do
            state.in_flight = math.min(state.in_flight + place.held, LAST)
        end
    end
    if now < entry.at then
        shift(entry, now)
        entry.is_shifted = true
    end
    return entry
end

-- Returns the epoch's id, its number and whether it is new; or nil and what is wrong.
local function load_epoch(key, fresh)
    local epoch = redis.pcall('HMGET', key, 'id', 'number')
    if epoch.err then
        return nil, 'wrong type'
    elseif not epoch[1] then
        return { id = fresh, number = 0, is_new = true }
    end
    local number = epoch[2] and whole(epoch[2])
    if not number or not is_token(epoch[1]) then
        return nil, 'garbage'
    end
    return { id = epoch[1], number = number, is_new = false }
end

-- Writes down an epoch that is new.
local function keep_epoch(key, epoch)
    if epoch.is_new then
        redis.call('HSET', key, 'id', epoch.id, 'number', '0')
    end
end

-- The line that tells of an upstream.
local function line(epoch, number, now, word, state, beside)
    return table.concat({
        VERSION, epoch.id, text(number), text(now), word,
        text(state.gate), text(state.ends), text(state.began), text(state.rung),
        state.status and text(state.status) or '-', state.hint and text(state.hint) or '-',
        state.by_hand and '1' or '0', text(state.generation), text(state.probe),
        text(state.width), text(state.in_flight), beside.holder or '-', text(beside.mine or 0),
        beside.by or '-', beside.from or '-', beside.name,
    }, ' ')
end

local function bad_data(what, where)
    return redis.error_reply('BADDATA ' .. what .. ' in ' .. where)
end

local function bad_args(what)
    return redis.error_reply('BADARGS ' .. what)
end

local function now_of(time)
    return tonumber(time[1]) * SECOND + tonumber(time[2])
end
