#!lua name=fraud_attempts_v1

-- Payments that were asked about a short time ago, beside each entity's history until the log brings them: records of
-- the same format. Whoever adds some learns what stood there before, so that of those who race each sees the others.
--
-- A value is a header (when its younger part was begun, ms by this server's clock; how long its older part is, bytes),
-- then records as they came. Once the younger part has lasted for a lifetime, or is full, it becomes the older one,
-- and what was older goes. So a record stays for one lifetime at least and two at most, unless more come than fit, and
-- no value is ever looked through for what is old.

local HEADER = '<i8i8'
local HEADER_BYTES = 16

-- KEYS: attempts. ARGV: lifetime_ms, part_bytes, record_bytes, records.
-- Returns: the value that stood there before. A record that is there already is not added again.
local function add(keys, args)
  local key, records = keys[1], args[4]
  local lifetime_ms, part_bytes, record_bytes = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
  if #records == 0 or #records % record_bytes ~= 0 then error('not whole records') end
  local value = redis.call('GET', key) or ''
  local new, is_new = {}, {}
  for at = 1, #records, record_bytes do
    local record = string.sub(records, at, at + record_bytes - 1)
    -- Ids are hashes of 64 bits: nothing but the record looks like it.
    if not is_new[record] and not string.find(value, record, HEADER_BYTES + 1, true) then
      new[#new + 1] = record
      is_new[record] = true
    end
  end
  if #new == 0 then return value end

  local time = redis.call('TIME')
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  local added = table.concat(new)
  local younger, is_over = '', true
  if value ~= '' then
    local begun_ms, older_bytes = struct.unpack(HEADER, value)
    is_over = now_ms - begun_ms >= lifetime_ms or #value - HEADER_BYTES - older_bytes >= part_bytes
    if is_over then younger = string.sub(value, HEADER_BYTES + older_bytes + 1) end
  end
  if is_over then
    redis.call('SET', key, struct.pack(HEADER, now_ms, #younger) .. younger .. added, 'PX', 2 * lifetime_ms)
  else
    redis.call('APPEND', key, added)
  end
  return value
end

-- The same, for those who do not ask what was there.
local function note(keys, args)
  add(keys, args)
  return 'OK'
end

redis.register_function('fraud_attempt_v1', add)
redis.register_function('fraud_note_attempt_v1', note)
