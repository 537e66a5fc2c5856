-- Applies events to one upstream by Redis's own clock, and tells all who listen.
--
-- KEYS: the entry, the index of entries, the epoch. ARGV: the version and, if there is
-- one, the moment from which on the call is too old to be heard; the channel, the
-- upstream's name, the process, an id for a new epoch, and the events in their order.
-- Answers the line of the state and then what followed from each event.
--
-- All is read and understood before anything is written.

-- How many entries whose time is over leave the index in passing.
local TIDIED = 16

if #KEYS ~= 3 or #ARGV < 5 then
    return bad_args('too few or too many')
end
local version, too_old = string.match(ARGV[1], '^(%S+) ?(%d*)$')
if version ~= VERSION then
    return bad_args('another version')
end
local channel, name, process = ARGV[2], ARGV[3], ARGV[4]
if not is_token(process) or not is_token(ARGV[5]) then
    return bad_args('no id')
end
local events = {}
for i = 6, #ARGV do
    events[i - 5] = read_event(ARGV[i])
    if not events[i - 5] then
        return bad_args('event ' .. i - 5)
    end
end

local now = now_of(redis.call('TIME'))
-- Redis was stopped, say, and takes now what was sent long before.
if too_old ~= '' and now >= (whole(too_old) or 0) then
    return redis.error_reply('LATE what was told is too old')
end
local entry, what = load(KEYS[1], now)
if not entry then
    return bad_data(what, 'the entry')
end
local epoch
epoch, what = load_epoch(KEYS[3], ARGV[5])
if not epoch then
    return bad_data(what, 'the epoch')
end
local over = redis.pcall('ZRANGEBYSCORE', KEYS[2], '-inf', text(math.floor(now / 1000)), 'LIMIT', 0, TIDIED)
if over.err then
    return bad_data('wrong type', 'the index')
end
-- Numbers only grow, even where the epoch was lost and its entries were not.
local number = math.max(epoch.number, entry.number, entry.state.generation)
if number > FOREVER - #events then
    return bad_data('garbage', 'a number')
end

local changes, by, is_wanted = 0, '-', false

-- Whether there is anything to write: most who ask for a lease are too late for it.
local is_other = entry.is_shifted

-- Notes a change that people hear of. All of one call are told at once, by one number:
-- so nobody who hears of all misses one.
local function note(word)
    if changes == 0 then
        number = number + 1
    end
    changes, by = changes + 1, word
    entry.number = number
end

-- Whether a step is one: another state, another rung, another gate.
local function is_change(from, to, effect)
    return effect == 'outdate' or from.phase ~= to.phase or from.rung ~= to.rung
        or from.gate ~= to.gate
end

-- The word for what brought a change about.
local function word_for(event, to)
    if event.name == 'asked' then
        return 'probe'
    elseif event.name == 'exhausted' and to.phase ~= 'cooling' then
        return 'succeeded'
    end
    return event.name
end

-- Takes back the places of those who were asked a while ago, and have not been heard of
-- since. Returns whether there were any.
local function take_back()
    if entry.wanted == 0 or now - entry.wanted < SECOND then
        return false
    end
    local left, silent = 0, false
    for holder, place in pairs(entry.places) do
        if place.touched < entry.wanted then
            entry.places[holder], silent = nil, true
        else
            left = left + place.held
        end
    end
    entry.wanted, is_other = 0, true
    entry.state = with(entry.state, { in_flight = left })
    return silent
end

-- Asks all who hold places whether they use them; not too often.
local function want()
    if entry.wanted == 0 and now - entry.wanted_at >= QUESTIONS then
        entry.wanted, entry.wanted_at, is_wanted, is_other = now, now, true, true
    end
end

-- Keeps who holds places in step with how many there are.
local function count_places(from, to, effect)
    if to.phase ~= 'reopening' then
        entry.places, entry.wanted, is_wanted = {}, 0, false
    elseif from.phase == 'reopening' then
        local mine = entry.places[process] or { held = 0 }
        mine.held, mine.touched = mine.held + to.in_flight - from.in_flight, now
        entry.places[process] = mine.held > 0 and mine or nil
    end
    if effect == 'admit place' then
        entry.wanted, is_wanted = 0, false
    end
end

local function take(event)
    local mine = entry.places[process]
    if mine then
        mine.touched, is_other = now, true
    end
    if event.name == 'kept' then
        return 'nothing'
    end
    local is_over = is_forgotten(entry.state, event, now)
    if event.name == 'cleared' then
        if entry.state.phase ~= 'clear' then
            note(is_over and 'forgotten' or 'cleared')
        end
        count_places(entry.state, CLEAR)
        is_other = is_other or entry.state ~= CLEAR
        entry.state, entry.holder = CLEAR, false
        return 'nothing'
    end
    if event.seen then
        event.stale = event.stale or event.seen < entry.state.generation
        if event.role == 'place' and not mine then
            event.role = 'late'
        end
    end
    local next, effect = on(entry.state, event, now)
    if effect == 'reject reopening' then
        if take_back() then
            next, effect = on(entry.state, event, now)
        end
        if effect == 'reject reopening' then
            want()
        end
    end
    if is_over then
        entry.holder = false
    end
    if is_change(entry.state, next, effect) then
        note(is_over and next.phase == 'clear' and 'forgotten' or word_for(event, next))
    end
    if effect == 'outdate' then
        next = with(next, { generation = number })
    end
    count_places(entry.state, next, effect)
    if string.match(effect, '^admit probe') then
        entry.holder = process
    elseif next.phase == 'clear' then
        entry.holder = false
    end
    is_other = is_other or next ~= entry.state
    entry.state = next
    return effect
end

local effects = {}
for i, event in ipairs(events) do
    effects[i] = take(event)
end

-- Writes the entry with its places, without those that are given back.
local function save(forget)
    local state = entry.state
    local fields = {
        'v', VERSION, 'phase', state.phase,
        'gate', text(state.gate), 'ends', text(state.ends), 'began', text(state.began),
        'rung', text(state.rung), 'status', state.status and text(state.status) or '',
        'hint', state.hint and text(state.hint) or '',
        'stretch', string.format('%.17g', state.stretch), 'by_hand', state.by_hand and '1' or '0',
        'generation', text(state.generation), 'number', text(entry.number),
        'probe', text(state.probe), 'width', text(state.width),
        'in_flight', text(state.in_flight), 'holder', entry.holder or '', 'at', text(now),
        'wanted', text(entry.wanted), 'wanted_at', text(entry.wanted_at),
    }
    for holder, place in pairs(entry.places) do
        fields[#fields + 1] = 'p:' .. holder
        fields[#fields + 1] = text(place.held) .. ' ' .. text(place.touched)
    end
    for _, field in ipairs(entry.written or {}) do
        if not entry.places[string.sub(field, 3)] then
            redis.call('HDEL', KEYS[1], field)
        end
    end
    -- A few at a time: a call takes only so many arguments.
    for i = 1, #fields, 1000 do
        redis.call('HSET', KEYS[1], unpack(fields, i, math.min(i + 999, #fields)))
    end
    -- The moment itself: a wait would begin at the last whole millisecond.
    local expires = math.ceil(forgotten_at(state, forget) / 1000)
    redis.call('PEXPIREAT', KEYS[1], text(expires))
    redis.call('ZADD', KEYS[2], text(expires), name)
end

keep_epoch(KEYS[3], epoch)
for _, member in ipairs(over) do
    redis.call('ZREM', KEYS[2], member)
end
if changes > 0 then
    redis.call('HSET', KEYS[3], 'number', text(number))
end
if is_other and #events > 0 then
    if entry.state.phase == 'clear' then
        redis.call('DEL', KEYS[1])
        redis.call('ZREM', KEYS[2], name)
    else
        save(events[#events].policy.forget)
    end
end

-- The state's line, as one process hears it who holds that many places.
local function told(word, mine)
    local beside = { holder = entry.holder, mine = mine, by = by, from = process, name = name }
    local shown = entry.state.phase == 'clear' and number or entry.number
    return line(epoch, shown, now, word, entry.state, beside)
end

local word = entry.state.phase
if word == 'clear' and changes == 0 then
    word = 'none'
end
if changes > 0 then
    redis.call('PUBLISH', channel, told(word, 0))
end
if is_wanted then
    by = '-'
    redis.call('PUBLISH', channel, told('wanted', 0))
end
local mine = entry.places[process]
table.insert(effects, 1, told(word, mine and mine.held))
return effects
