-- Plays scripts of events, with the time as they say. Each argument is one: a line for
-- each step, `<now> <event>`. Answers for each a line of what followed and what is
-- known after each step.

local function shown(value)
    if value == false then
        return '-'
    elseif value == true then
        return '1'
    elseif type(value) == 'string' then
        return value
    end
    return string.format('%.17g', value)
end

local FIELDS = {
    'phase', 'gate', 'ends', 'began', 'rung', 'status', 'hint', 'by_hand', 'stretch',
    'generation', 'probe', 'width', 'in_flight',
}

local function play(script)
    local state, raised, lines = CLEAR, 0, {}
    for now, written in string.gmatch(script, '(%d+) ([^\n]+)') do
        local event, effect = read_event(written), nil
        if event.seen then
            event.stale = event.stale or event.seen < state.generation
        end
        state, effect = on(state, event, tonumber(now))
        if effect == 'outdate' then
            raised = raised + 1
            state = with(state, { generation = raised })
        end
        local line = { string.format('effect=%s', effect) }
        for _, field in ipairs(FIELDS) do
            line[#line + 1] = field .. '=' .. shown(state[field])
        end
        lines[#lines + 1] = table.concat(line, ';')
    end
    return table.concat(lines, '\n')
end

local answers = {}
for i, script in ipairs(ARGV) do
    answers[i] = play(script)
end
return answers
