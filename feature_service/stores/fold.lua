#!lua name=fraud_v5

-- One shard, one micro-batch. Compares the shard's fence with what the worker planned on; if they are equal, appends
-- the records and moves the fence, else writes nothing. An error in the middle of a Function does not undo its writes:
-- so the fence is marked as open ('!') while records go in. Whether a key holds a history is told by the append, since
-- to ask beforehand takes as long again: where one does not, what was appended is taken back. So histories are renewed,
-- tightened and trimmed only when nothing can be refused any more.
--
-- The name carries a version: workers of two releases run side by side, each with the library it knows.

local TRIM_EVERY = 64 -- records of a history between two looks at its oldest
local LONG_EVERY = 256 -- records of a history past the cap between two answers that name it
local RENEWED = 49 -- '1'
local TIGHT_FROM = 32 -- records; a shorter history outgrows one step after another, and wastes little
local STRING_BYTES = 6 -- what Redis keeps beside a string's bytes

-- Whether a string of so many bytes takes up another step of Redis' allocator than before it grew: there are four to
-- each power of two.
local function outgrew(length, added)
  local last = length + STRING_BYTES - 1
  local _, exponent = math.frexp(last)
  return last % math.ldexp(1, exponent - 3) < added
end

-- Redis doubles a string that outgrows its step. Its copy takes up what it needs, and is a few bytes in the log of
-- writes, where to set it anew would be all of it.
local function tighten(key)
  local copy = key .. ':copy'
  redis.call('COPY', key, copy, 'REPLACE')
  redis.call('RENAME', copy, key)
end

local function trim(key, header_bytes, record_bytes, oldest_ms)
  local first = redis.call('GETRANGE', key, header_bytes, header_bytes + 7)
  if struct.unpack('<i8', first) >= oldest_ms then return end
  local value = redis.call('GET', key)
  local kept = { string.sub(value, 1, header_bytes) }
  for at = header_bytes + 1, #value, record_bytes do
    if struct.unpack('<i8', value, at) >= oldest_ms then
      kept[#kept + 1] = string.sub(value, at, at + record_bytes - 1)
    end
  end
  redis.call('SET', key, table.concat(kept), 'KEEPTTL')
end

-- KEYS: fence, history...
-- ARGV: layout, source, known, new, confirmed_at_ms, retention_ms, ttl_s, header, record_bytes, cap_bytes, renewed,
-- records...
-- `renewed` has a '1' for each history whose time to live begins anew, '0' for the others; a new one's begins anyway.
-- Returns: 'OK' and the places, after the fence, of histories to compact; 'MISMATCH <fence>', 'LAYOUT <layout>' or
-- 'OPEN <fence>'.
local function fold(keys, args)
  local call, pcall, byte, type = redis.call, redis.pcall, string.byte, type -- looked up once: keys are many
  local layout, source, known, new = args[1], args[2], args[3], args[4]
  local confirmed_at_ms, retention_ms, ttl_s = args[5], tonumber(args[6]), args[7]
  local header, record_bytes, cap_bytes = args[8], tonumber(args[9]), tonumber(args[10])
  local renewed = args[11]
  local fence = keys[1]
  local header_bytes, trim_bytes, long_bytes = #header, TRIM_EVERY * record_bytes, LONG_EVERY * record_bytes
  local tight_bytes = TIGHT_FROM * record_bytes

  local state = call('HMGET', fence, 'layout', source)
  if state[1] and state[1] ~= layout then return 'LAYOUT ' .. state[1] end
  local at = state[2] or '-1'
  if string.sub(at, 1, 1) == '!' then return 'OPEN ' .. at end
  if at ~= known then return 'MISMATCH ' .. at end
  if tonumber(new) < tonumber(known) then error('the fence would move back') end
  if not retention_ms or not cap_bytes or (tonumber(ttl_s) or 0) < 1 then
    error('no retention, cap or time to live')
  end
  if #args - 11 ~= #keys - 1 or #renewed ~= #keys - 1 then
    error('one run of records and one mark for each history key')
  end

  local lengths = {}
  -- Leaves nothing written: nobody saw the records, and what a history had before them is its beginning.
  local function refuse(reason)
    for i, length in pairs(lengths) do
      local before = length - #args[i + 10]
      if before == 0 then
        call('DEL', keys[i])
      else
        call('SET', keys[i], call('GETRANGE', keys[i], 0, before - 1), 'KEEPTTL')
      end
    end
    if state[2] then call('HSET', fence, source, known) else call('HDEL', fence, source) end
    if not state[1] then call('HDEL', fence, 'layout') end
    error(reason)
  end

  if not state[1] then call('HSET', fence, 'layout', layout) end
  if #keys > 1 then call('HSET', fence, source, '!' .. known) end
  local answer, to_renew, to_trim, to_tighten = 'OK', {}, {}, {}
  for i = 2, #keys do
    local key, records = keys[i], args[i + 10]
    local added = #records
    if added == 0 or added % record_bytes ~= 0 then refuse('not whole records for ' .. key) end
    local length = pcall('APPEND', key, records)
    if type(length) ~= 'number' then refuse('not a history: ' .. key) end
    lengths[i] = length
    if length == added then
      call('SET', key, header .. records, 'EX', ttl_s) -- there was none, so the header is missing
    elseif (length - header_bytes) % record_bytes ~= 0 then
      refuse('not a history: ' .. key)
    else
      if byte(renewed, i - 1) == RENEWED then to_renew[#to_renew + 1] = i end
      if length % trim_bytes < added then to_trim[#to_trim + 1] = i end
      if length > tight_bytes and outgrew(length, added) then to_tighten[#to_tighten + 1] = i end
    end
    -- A history is to be compacted that has passed the cap, or so many records since it was last said.
    if length > cap_bytes and (length - added <= cap_bytes or length % long_bytes < added) then
      answer = answer .. ' ' .. (i - 2)
    end
  end

  for _, i in ipairs(to_renew) do call('EXPIRE', keys[i], ttl_s) end
  for _, i in ipairs(to_tighten) do tighten(keys[i]) end
  for _, i in ipairs(to_trim) do
    local records = args[i + 10]
    local newest_ms = struct.unpack('<i8', records)
    for record = record_bytes + 1, #records, record_bytes do
      newest_ms = math.max(newest_ms, struct.unpack('<i8', records, record))
    end
    trim(keys[i], header_bytes, record_bytes, newest_ms - retention_ms)
  end
  if confirmed_at_ms == '0' then
    call('HSET', fence, source, new)
  else
    call('HSET', fence, source, new, source .. '@', confirmed_at_ms)
  end
  return answer
end

-- Puts a shorter form of a history in its place, with what was appended since it was read.
--
-- KEYS: history
-- ARGV: length and SHA-1 of what was read, and what it became.
-- Returns: 'OK', or 'CHANGED' where the history is another one now.
local function swap(keys, args)
  local length = tonumber(args[1])
  local value = redis.call('GET', keys[1])
  if not value or #value < length or redis.sha1hex(string.sub(value, 1, length)) ~= args[2] then return 'CHANGED' end
  redis.call('SET', keys[1], args[3] .. string.sub(value, length + 1), 'KEEPTTL')
  return 'OK'
end

redis.register_function('fraud_fold_v5', fold)
redis.register_function('fraud_swap_v5', swap)
