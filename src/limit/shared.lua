-- GCRA over one or more windows of one key, in one step and by the store's own clock. Writes either all windows or, if one rejects, none.
-- KEYS: one per window. ARGV: the cost, then for each window the microseconds that one request takes, and the burst.
-- Returns {admitted, window (from 0), requests left, microseconds to wait}.
local time = redis.call('TIME')
-- Microseconds since 2023-11-14T22:13:20Z. Lua numbers are doubles, so a recent epoch leaves more precision.
local now = (time[1] - 1700000000) * 1000000 + time[2]
local cost = tonumber(ARGV[1])
local arrivals, wait, refusing, left, tightest = {}, 0, 0, nil, 0
for i = 1, #KEYS do
  local period, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local stored = tonumber(redis.call('GET', KEYS[i]) or '') or now
  -- The stored time is bounded, so that a clock that stepped back does not reject requests for as long as it stepped.
  local arrival = math.min(math.max(stored, now), now + period * burst) + period * cost
  -- Positive if the request exceeds what is left of the burst: the microseconds until it fits.
  local early = arrival - period * burst - now
  if early > wait then
    wait, refusing = early, i - 1
  end
  local free = math.floor(burst - (arrival - now) / period + 0.000001)
  if left == nil or free < left then
    left, tightest = free, i - 1
  end
  arrivals[i] = arrival
end
if wait > 0.5 then
  return {0, refusing, 0, math.ceil(wait)}
end
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], string.format('%.3f', arrivals[i]), 'PX', math.ceil((arrivals[i] - now) / 1000) + 1)
end
return {1, tightest, math.max(left, 0), 0}
