-- One limit that many processes share. KEYS: its state, its leases. ARGV: what to do, as JSON (see words.py).
-- It is policy/window.py and policy/meter.py over again, inside the server: keep the three alike (a test compares them).
local SLICES, HELD, STEADY, LOW, SLOWEST, EPSILON, SHORTEST = 64, 66, 0.97, 0.1, 0.05, 1e-9, 1e-6
local QUOTA, SHRINK, GROW, LEAST, FULL = 600, 0.8, 0.005, 0.05, 0.05

local words = cjson.decode(ARGV[1])
local now = words.now
if now == nil or now == cjson.null then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
local packed = redis.call('GET', KEYS[1])
local state = packed and cmsgpack.unpack(packed) or {share = 1, share_at = 0, pause = 0, shrunk = -1, gauges = {}}

local function exact(number) return string.format('%.17g', number) end
local function held(slot) return slot % HELD + 1 end
local function most(g, share) return math.max(math.min(1, g.amount), g.most * share) end
local function used(g)
  local sum = 0
  for index = 1, HELD do sum = sum + g.slots[index] end
  return sum
end
local function rate(g, share)
  local ease, low = 1, LOW * g.amount
  if g.level and g.level < low and g.amount - g.level - used(g) >= low then ease = math.max(SLOWEST, g.level / low) end
  return g.amount / g.seconds * STEADY * share * ease
end
local function roll(g, share)
  if now > g.at then
    g.room = math.min(most(g, share), g.room + rate(g, share) * (now - g.at))
    g.at = now
  end
  if now > g.level_at then
    if g.level then g.level = math.min(g.amount, g.level + g.amount / g.seconds * (now - g.level_at)) end
    g.level_at = now
  end
  local slot = math.floor(now / (g.seconds / SLICES) + EPSILON)
  for old = math.max(g.slot + 1, slot - HELD + 1), slot do g.slots[held(old)] = 0 end
  g.slot = math.max(g.slot, slot)
end
local function gauge(spec)
  local g = state.gauges[spec.key]
  local fresh = not g
  if fresh then
    g = {room = spec.most, at = now, slot = math.floor(now / (spec.seconds / SLICES)), slots = {}, level_at = now,
         seen = -1, spent = 0}
    for index = 1, HELD do g.slots[index] = 0 end
    state.gauges[spec.key] = g
  end
  g.amount, g.seconds, g.most = spec.amount, spec.seconds, spec.most
  return g, fresh
end
local function ring_wait(g, cost)
  local over = used(g) + cost - g.amount - EPSILON
  if over <= 0 then return 0 end
  local length = g.seconds / SLICES
  for slot = g.slot - HELD + 1, g.slot do
    over = over - g.slots[held(slot)]
    if over <= 0 then return (slot + HELD) * length - now end
  end
  return (g.slot + HELD) * length - now
end
local function wait(g, cost, share)
  roll(g, share)
  cost = math.min(cost, g.amount)
  local paced = (math.min(cost, most(g, share)) - g.room) / rate(g, share) + math.max(0, g.at - now)
  local known = g.level and (cost - g.level) / (g.amount / g.seconds) or 0
  local longest = math.max(paced, known, ring_wait(g, cost))
  return longest > SHORTEST and longest or 0
end
local function share()
  if now > state.share_at then
    state.share = math.min(1, state.share + GROW * (now - state.share_at))
    state.share_at = now
  end
  return state.share
end
local function save()
  local keep = math.max(words.ttl or 0, state.pause - now, 0)
  for _, g in pairs(state.gauges) do keep = math.max(keep, g.seconds) end
  redis.call('SET', KEYS[1], cmsgpack.pack(state), 'PX', math.ceil(2000 * keep) + 60000)
end

local function take()
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', exact(now))
  if redis.call('ZCARD', KEYS[2]) >= words.concurrency then return {'later', exact(FULL)} end
  if now < state.pause then return {'later', exact(state.pause - now)} end
  local part, longest = share(), 0
  for _, spec in ipairs(words.specs) do longest = math.max(longest, wait(gauge(spec), spec.cost, part)) end
  if longest > 0 then return {'later', exact(longest)} end
  local answer = {'go', exact(now)}
  for _, spec in ipairs(words.specs) do
    local g = gauge(spec)
    g.room, g.spent = g.room - spec.cost, g.spent + spec.cost
    if g.level then g.level = math.max(0, g.level - spec.cost) end
    g.slots[held(g.slot)] = g.slots[held(g.slot)] + spec.cost
    table.insert(answer, exact(g.slot))
    table.insert(answer, exact(g.spent))
  end
  redis.call('ZADD', KEYS[2], exact(now + words.ttl), words.lease)
  redis.call('PEXPIRE', KEYS[2], math.ceil(1000 * words.ttl) + 60000)
  return answer
end

local function close()
  if redis.call('ZREM', KEYS[2], words.lease) == 0 then return {'gone'} end
  local part = share()
  for _, back in ipairs(words.back) do
    local g = state.gauges[back.key]
    if g then
      g.room = g.room + back.amount
      if back.slot > g.slot - HELD then
        g.slots[held(back.slot)] = math.max(0, g.slots[held(back.slot)] - back.amount)
      end
    end
  end
  for _, seen in ipairs(words.seen) do
    local g, fresh = gauge(seen)
    roll(g, part)
    if fresh then
      local gone = math.max(0, g.amount - seen.remaining)
      for back = 0, SLICES - 1 do g.slots[held(g.slot - back)] = g.slots[held(g.slot - back)] + gone / SLICES end
      g.slots[held(g.slot)] = g.slots[held(g.slot)] + seen.flying
      g.room = math.min(g.room, seen.remaining - seen.flying)
    end
    if words.at >= g.seen then
      g.seen, g.level_at = words.at, math.max(now, g.level_at)
      local since = g.amount / g.seconds * math.max(0, now - words.at) - (g.spent - seen.spent)
      g.level = math.min(math.max(0, seen.remaining + since), g.amount)
    end
  end
  if words.pause and words.pause ~= cjson.null then
    if words.at > state.shrunk then
      state.share, state.shrunk = math.max(LEAST, state.share * SHRINK), now
    end
    state.pause = math.max(state.pause, now + words.pause)
    state.share_at = math.max(state.share_at, state.pause)
    for _, g in pairs(state.gauges) do
      if g.seconds <= QUOTA then g.room, g.at = math.min(g.room, 0), math.max(g.at, state.pause) end
    end
  end
  return {'closed'}
end

local answer
if words['do'] == 'take' then answer = take() else answer = close() end
save()
return answer
