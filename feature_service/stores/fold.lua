#!lua name=fraud_v3

-- One shard, one micro-batch. Compares the shard's fence with what the worker planned on; if they are equal, appends the
-- records and moves the fence, else writes nothing. An error in the middle of a Function does not undo its writes: so
-- everything is read and checked before the first write, and the fence is marked as open ('!') while records go in.
--
-- The name carries a version: workers of two releases run side by side, each with the library it knows.

local TRIM_EVERY = 64 -- records of a history between two looks at its oldest
local LONG_EVERY = 256 -- records of a history past the cap between two answers that name it
local RENEWED = 49 -- '1'

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

-- Whether a history is to be compacted: it has passed the cap, or so many records since it was last said.
local function grown_long(before, after, cap, step)
  return after > cap and (before <= cap or math.floor(after / step) > math.floor(before / step))
end

-- KEYS: fence, history...
-- ARGV: layout, source, known, new, confirmed_at_ms, retention_ms, ttl_s, header, record_bytes, cap_bytes, renewed,
-- records...
-- `renewed` has a '1' for each history whose time to live begins anew, '0' for the others; a new one's begins anyway.
-- Returns: 'OK' and the places, after the fence, of histories to compact; 'MISMATCH <fence>', 'LAYOUT <layout>' or
-- 'OPEN <fence>'.
local function fold(keys, args)
  local call, byte = redis.call, string.byte -- looked up once: keys are many
  local layout, source, known, new = args[1], args[2], args[3], args[4]
  local confirmed_at_ms, retention_ms, ttl_s = args[5], tonumber(args[6]), args[7]
  local header, record_bytes, cap_bytes = args[8], tonumber(args[9]), tonumber(args[10])
  local renewed = args[11]
  local fence = keys[1]

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
  for i = 2, #keys do
    local length = call('STRLEN', keys[i])
    if length > 0 and (length - #header) % record_bytes ~= 0 then error('not a history: ' .. keys[i]) end
    local records = args[i + 10]
    if #records == 0 or #records % record_bytes ~= 0 then error('not whole records for ' .. keys[i]) end
    lengths[i] = length
  end

  if not state[1] then call('HSET', fence, 'layout', layout) end
  if #keys > 1 then call('HSET', fence, source, '!' .. known) end
  local answer = 'OK'
  for i = 2, #keys do
    local records, before = args[i + 10], lengths[i]
    if grown_long(before, before + #records, cap_bytes, LONG_EVERY * record_bytes) then
      answer = answer .. ' ' .. (i - 2)
    end
    if before == 0 then
      call('SET', keys[i], header .. records, 'EX', ttl_s)
    else
      local after = call('APPEND', keys[i], records)
      if byte(renewed, i - 1) == RENEWED then call('EXPIRE', keys[i], ttl_s) end
      if after % (TRIM_EVERY * record_bytes) < #records then
        local newest_ms = struct.unpack('<i8', records)
        for record = record_bytes + 1, #records, record_bytes do
          newest_ms = math.max(newest_ms, struct.unpack('<i8', records, record))
        end
        trim(keys[i], #header, record_bytes, newest_ms - retention_ms)
      end
    end
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

redis.register_function('fraud_fold_v3', fold)
redis.register_function('fraud_swap_v3', swap)
