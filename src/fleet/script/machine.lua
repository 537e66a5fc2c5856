-- What is known of one upstream, and how each event changes it: the transition table
-- in `cooldown.rs`, with its names.
--
-- Pure: the time is an argument, chance has been drawn. Moments and waits are whole
-- microseconds, waits are rounded up; what is none is `false`. A state has the phase
-- `clear`, `cooling`, `probing` or `reopening`; an event is what `event.lua` reads.

local SECOND = 1000000

-- The least cooldown, where neither ladder nor hint asks for one.
local LEAST = SECOND

-- How long a probe that learned nothing keeps the next one waiting, at most.
local NEUTRAL_PAUSE = SECOND

-- The calls that a Reopening upstream admits at first.
local FIRST_PLACES = 2

-- The doublings after which a ladder climbs no further.
local MAX_DOUBLINGS = 16

-- The last moment there is: beyond it not every whole number is one.
local FOREVER = 9007199254740992

-- The last rung, place and number of a probe: what the other side's type holds.
local LAST = 4294967295

-- An upstream of which no refusal is known.
local CLEAR = {
    phase = 'clear', gate = 0, ends = 0, began = 0,
    rung = 0, status = false, hint = false, stretch = 0, by_hand = false,
    generation = 0, probe = 0, width = 0, in_flight = 0,
}

local function after(moment, wait)
    return math.min(moment + wait, FOREVER)
end

local function before(moment, wait)
    return math.max(moment - wait, 0)
end

-- The same state but for some fields.
local function with(state, changes)
    local next = {}
    for field, value in pairs(state) do
        next[field] = value
    end
    for field, value in pairs(changes) do
        next[field] = value
    end
    return next
end

-- The wait and its share on top.
local function stretched(wait, share)
    return after(wait, math.ceil(wait * share))
end

-- The hint within its ceiling; a hint of zero is none.
local function usable(policy, hint)
    local wait = hint and math.min(hint, policy.max_retry_after)
    return wait and wait > 0 and wait
end

local function ladder(policy, failures)
    if failures < 1 then
        return 0
    end
    return math.min(policy.base * 2 ^ math.min(failures - 1, MAX_DOUBLINGS), policy.cap)
end

-- How long to stay away after that many refusals, before jitter.
local function wait_for(policy, failures, hint)
    local asked = usable(policy, hint)
    if asked and policy.trust_hints then
        -- Until it proves too short: one rung less.
        failures = failures - 1
    end
    local wait = math.max(ladder(policy, failures), asked or 0)
    return wait > 0 and wait or LEAST
end

local function neutral_pause(policy)
    return policy.base > 0 and math.min(policy.base, NEUTRAL_PAUSE) or NEUTRAL_PAUSE
end

-- When the episode is forgotten.
local function forgotten_at(state, forget)
    return after(state.phase == 'reopening' and state.began or state.ends, forget)
end

-- The end of the cooldown that is in force, if one is.
local function running(state)
    return state.phase == 'cooling' and state.gate or 0
end

-- Cooling until then, with nothing new heard.
local function pause(state, gate)
    return with(state, { phase = 'cooling', gate = gate, width = 0, in_flight = 0 })
end

-- Cooling until then because of what was heard just now.
local function cool_until(state, ends, heard)
    heard.ends = ends
    return with(pause(state, ends), heard)
end

-- One rung up, and the wait of that rung; never shorter than what runs.
local function climb(state, event, now)
    local rung = math.min(state.rung + 1, LAST)
    local wait = stretched(wait_for(event.policy, rung, event.hint), event.stretch)
    return cool_until(state, math.max(running(state), after(now, wait)), {
        rung = rung, status = event.status, hint = event.hint,
        began = now, stretch = event.stretch, by_hand = false,
    }), 'outdate'
end

-- A cooldown without a rung, for an upstream that has given its last.
local function drain(state, event, now)
    local wait = math.min(event.reset, event.policy.max_retry_after)
    local ends = math.max(running(state), after(now, stretched(wait, event.stretch)))
    return cool_until(state, ends, {
        rung = 0, status = false, hint = event.reset,
        began = now, stretch = event.stretch, by_hand = false,
    }), 'outdate'
end

-- What a stale call still has to say: how long to stay away, at least.
local function overhear(state, status, hint, event, now)
    local wait = usable(event.policy, hint)
    local ends = wait and after(now, stretched(wait, state.stretch))
    if not ends or ends <= running(state) then
        return state, 'nothing'
    end
    local heard = { status = status or state.status, hint = hint, by_hand = false }
    return cool_until(state, ends, heard), 'nothing'
end

-- A cooldown by hand: the same rung, and never shorter than what runs.
local function cool(state, event, now)
    if event.wait == 0 then
        return state, 'nothing'
    end
    local ends, by_hand = after(now, event.wait), true
    if running(state) >= ends then
        ends, by_hand = running(state), state.by_hand
    end
    return cool_until(state, ends, { began = ends, by_hand = by_hand }), 'outdate'
end

-- What was known before: the longer cooldown and the higher rung count.
local function remember(state, event, now)
    local ends = math.max(after(now, event.remaining), 0)
    local matters, lasts = true, true
    if state.phase == 'clear' then
        matters = now < after(ends, event.policy.forget)
    elseif state.phase == 'cooling' then
        lasts = math.max(now, state.gate) < ends
    elseif state.phase == 'probing' then
        lasts = now < ends
    else
        matters = now < ends
    end
    if not matters then
        return state, 'nothing'
    end
    local rung = math.max(state.rung, event.rung)
    if not lasts then
        return with(state, { rung = rung }), 'nothing'
    end
    local said = (event.status or event.hint) and event or state
    return cool_until(state, ends, {
        rung = rung, status = said.status, hint = said.hint,
        began = event.by_hand and ends or math.min(now, before(ends, LEAST)),
        stretch = 0, by_hand = event.by_hand,
    }), 'outdate'
end

-- One call may find out.
local function send_probe(state, event, now)
    local probe = (state.probe + 1) % (LAST + 1)
    local lease = after(now, event.policy.probe_lease)
    local probing = { phase = 'probing', gate = lease, probe = probe, width = 0, in_flight = 0 }
    return with(state, probing), string.format('admit probe %.0f', probe)
end

-- Reopening with that many places; Clear, once a success has made it wide enough.
local function widen(state, width, in_flight, policy)
    if width > policy.reopen_width then
        return CLEAR, 'nothing'
    end
    local open = { phase = 'reopening', gate = 0, width = width, in_flight = in_flight }
    return with(state, open), 'nothing'
end

-- The episode is over: the rung is forgotten, and calls come back by and by.
local function reopen(state, event, now)
    if now >= after(state.began, event.policy.forget) then
        return CLEAR, 'nothing'
    end
    return widen(with(state, { rung = 0 }), FIRST_PLACES, 0, event.policy)
end

local function ask(state, event, now)
    local phase = state.phase
    if phase == 'clear' then
        return state, 'admit free'
    elseif phase == 'reopening' then
        if state.in_flight < state.width then
            return with(state, { in_flight = state.in_flight + 1 }), 'admit place'
        end
    elseif now >= state.gate then
        return send_probe(state, event, now)
    end
    return state, 'reject ' .. phase
end

-- What each state makes of a call's verdict.
local settle = {}

function settle.clear(state, event, now)
    if event.name == 'refused' then
        return climb(state, event, now)
    elseif event.name == 'exhausted' then
        return drain(state, event, now)
    end
    return state, 'nothing'
end

function settle.cooling(state, event, now)
    if event.name == 'refused' then
        if event.stale then
            return overhear(state, event.status, event.hint, event, now)
        end
        return climb(state, event, now)
    elseif event.name == 'exhausted' then
        if event.stale or now < state.ends then
            return overhear(state, false, event.reset, event, now)
        end
        return drain(state, event, now)
    elseif event.name == 'succeeded' and not event.stale and now >= state.ends then
        return reopen(state, event, now)
    end
    return state, 'nothing'
end

function settle.probing(state, event, now)
    if event.stale then
        return state, 'nothing'
    elseif event.name == 'refused' then
        return climb(state, event, now)
    elseif event.name == 'succeeded' then
        return reopen(state, event, now)
    elseif event.name == 'exhausted' then
        return drain(state, event, now)
    elseif event.role ~= 'probe' or event.probe ~= state.probe then
        return state, 'nothing'
    elseif event.name == 'neutral' then
        return pause(state, after(now, neutral_pause(event.policy))), 'nothing'
    end
    return pause(state, now), 'nothing'
end

function settle.reopening(state, event, now)
    if event.stale then
        return state, 'nothing'
    elseif event.name == 'refused' then
        return climb(state, event, now)
    elseif event.name == 'exhausted' then
        return drain(state, event, now)
    end
    local left = math.max(state.in_flight - (event.role == 'place' and 1 or 0), 0)
    if event.name == 'succeeded' then
        return widen(state, math.min(state.width + 1, LAST), left, event.policy)
    end
    return with(state, { in_flight = left }), 'nothing'
end

-- Takes an exhausted quota for the success that it is, where no wait follows.
local function within(event)
    if event.name == 'exhausted' and not usable(event.policy, event.reset) then
        return with(event, { name = 'succeeded' })
    end
    return event
end

-- Whether the episode's time is over.
local function is_forgotten(state, event, now)
    return state.phase ~= 'clear' and now >= forgotten_at(state, event.policy.forget)
end

-- Takes in an event at `now`; returns what is known then, and what follows.
local function on(state, event, now)
    event = within(event)
    if is_forgotten(state, event, now) then
        state = CLEAR
    end
    if event.name == 'asked' then
        return ask(state, event, now)
    elseif event.name == 'cooled' then
        return cool(state, event, now)
    elseif event.name == 'restored' then
        return remember(state, event, now)
    end
    return settle[state.phase](state, event, now)
end
