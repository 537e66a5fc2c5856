-- Tells of all upstreams in trouble, page by page.
--
-- KEYS: the index of entries, the epoch. ARGV: the version, a cursor, how many names to
-- look at, what stands before a name in the key of its entry, an id for a new epoch.
-- Answers the next cursor, a line of the epoch, and a line of each upstream.
--
-- Writes nothing but a new epoch.

if #KEYS ~= 2 or #ARGV ~= 5 then
    return bad_args('too few or too many')
elseif ARGV[1] ~= VERSION then
    return bad_args('another version')
elseif (whole(ARGV[3]) or 0) < 1 then
    return bad_args('no count')
elseif not is_token(ARGV[5]) then
    return bad_args('no id')
end

local now = now_of(redis.call('TIME'))
local epoch, what = load_epoch(KEYS[2], ARGV[5])
if not epoch then
    return bad_data(what, 'the epoch')
end
local page = redis.pcall('ZSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
if page.err then
    if string.find(page.err, 'WRONGTYPE', 1, true) then
        return bad_data('wrong type', 'the index')
    end
    return bad_args('no cursor')
end
keep_epoch(KEYS[2], epoch)

local lines = { page[1], epoch.id .. ' ' .. text(epoch.number) .. ' ' .. text(now) }
for i = 1, #page[2], 2 do
    local name = page[2][i]
    local entry, what = load(ARGV[4] .. name, now)
    if not entry then
        local beside = { by = string.gsub(what, ' ', '-'), name = name }
        lines[#lines + 1] = line(epoch, 0, now, 'bad', CLEAR, beside)
    elseif entry.is_known then
        local beside = { holder = entry.holder, name = name }
        lines[#lines + 1] = line(epoch, entry.number, now, entry.state.phase, entry.state, beside)
    end
end
return lines
