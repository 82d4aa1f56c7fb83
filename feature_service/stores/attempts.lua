#!lua name=fraud_attempts_v2

-- Payments that were asked about a short time ago, beside each entity's history until the log brings them: records of
-- the same format. Whoever adds some learns what stood there before, so that of those who race each sees the others.
--
-- A value is a header (when its younger part was begun, ms by this server's clock; how long its older part is, bytes),
-- then records as they came. Once the younger part has lasted for a lifetime, or is full, it becomes the older one,
-- and what was older goes. So a record stays for one lifetime at least and two at most, unless more come than fit, and
-- no value is ever looked through for what is old.

local HEADER = '<i8i8'
local HEADER_BYTES = 16

-- One key. Returns the value that stood there before. A record that is there already is not added again.
local function add_to(key, records, limits)
  local value = redis.call('GET', key) or ''
  local new, is_new = {}, {}
  for at = 1, #records, limits.record_bytes do
    local record = string.sub(records, at, at + limits.record_bytes - 1)
    -- Ids are hashes of 64 bits: nothing but the record looks like it.
    if not is_new[record] and not string.find(value, record, HEADER_BYTES + 1, true) then
      new[#new + 1] = record
      is_new[record] = true
    end
  end
  if #new == 0 then return value end

  local added = table.concat(new)
  local younger, is_over = '', true
  if value ~= '' then
    local begun_ms, older_bytes = struct.unpack(HEADER, value)
    is_over = limits.now_ms - begun_ms >= limits.lifetime_ms
      or #value - HEADER_BYTES - older_bytes >= limits.part_bytes
    if is_over then younger = string.sub(value, HEADER_BYTES + older_bytes + 1) end
  end
  if is_over then
    local header = struct.pack(HEADER, limits.now_ms, #younger)
    redis.call('SET', key, header .. younger .. added, 'PX', 2 * limits.lifetime_ms)
  else
    redis.call('APPEND', key, added)
  end
  return value
end

-- KEYS: attempts, k. ARGV: lifetime_ms, part_bytes, record_bytes, then k times records.
-- Returns: k times the value that stood there before.
local function add(keys, args)
  local time = redis.call('TIME')
  local limits = {
    now_ms = time[1] * 1000 + math.floor(time[2] / 1000),
    lifetime_ms = tonumber(args[1]), part_bytes = tonumber(args[2]), record_bytes = tonumber(args[3]),
  }
  if #args ~= 3 + #keys then error('not as many records as keys') end
  for i = 1, #keys do
    if #args[3 + i] == 0 or #args[3 + i] % limits.record_bytes ~= 0 then error('not whole records') end
  end
  local found = {}
  for i, key in ipairs(keys) do found[i] = add_to(key, args[3 + i], limits) end
  return found
end

-- The same, for those who do not ask what was there.
local function note(keys, args)
  add(keys, args)
  return {}
end

redis.register_function('fraud_attempt_v2', add)
redis.register_function('fraud_note_attempt_v2', note)
