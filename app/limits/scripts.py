"""What the governor runs on the server, as Lua. Times are milliseconds; `now` is the server's."""

from app.limits.learned import FORGET_S, IDLE_MINUTES, LASTING_STRIKES, MEASURE_S, STEP_S

#: What `learned.py` does by the same numbers.
_NUMBERS = f"""
local step_ms, minute_ms, idle_minutes = {STEP_S * 1000:.0f}, {MEASURE_S * 1000:.0f}, {IDLE_MINUTES}
local forget_ms, lasting_strikes = {FORGET_S * 1000:.0f}, {LASTING_STRIKES}
"""
#: `tell` is this worker's count of a lane's calls in flight, and until when it counts.
TELL = """
local function tell(leases, counts, worker, count, lease)
  if count > 0 then
    redis.call('HSET', counts, worker, count)
    redis.call('ZADD', leases, now + lease, worker)
    redis.call('PEXPIRE', counts, 10 * lease)
    redis.call('PEXPIRE', leases, 10 * lease)
  else
    redis.call('HDEL', counts, worker)
    redis.call('ZREM', leases, worker)
  end
end
"""
#: `fitting` and `pay` are those of lanes.py, in milliseconds. A debt is what the answers since the
#: last time took more than their permits said; a negative one is paid back.
ACQUIRE = (
    TELL
    + """
local rates, leases, counts, pauses, reasons = unpack(KEYS)
local lane, worker, held, lease = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local wanted, in_flight, burst = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local prices = { requests = tonumber(ARGV[9]), tokens = tonumber(ARGV[10]) }
local debts = { requests = tonumber(ARGV[11]), tokens = tonumber(ARGV[12]) }

local paused = redis.call('ZSCORE', pauses, lane)
if paused and tonumber(paused) > now then
  local reason = redis.call('HGET', reasons, lane) or 'paused'
  return { 0, math.ceil(tonumber(paused) - now), reason }
end

local granted, wait, reason = wanted, 0, ''
if in_flight >= 0 then
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    redis.call('HDEL', counts, gone)
    redis.call('ZREM', leases, gone)
  end
  local room, told = in_flight - held, redis.call('HGETALL', counts)
  for at = 1, #told, 2 do
    if told[at] ~= worker then room = room - tonumber(told[at + 1]) end
  end
  if room < granted then
    granted, reason = math.max(room, 0), 'in_flight'
  end
end

local paid_off = {}
for rate, price in pairs(prices) do
  if price > 0 then
    local known = tonumber(redis.call('HGET', rates, rate) or '0')
    if debts[rate] > 0 then known = math.max(known, now) end
    paid_off[rate] = math.max(known + debts[rate], now)
    local ahead, capacity = paid_off[rate] - now, math.max(burst, price)
    local fits = math.max(0, math.floor((capacity - ahead) / price + 1e-6))
    granted = math.min(granted, fits)
    if fits < wanted then
      wait, reason = math.max(wait, ahead + (fits + 1) * price - capacity), 'rate_limited'
    end
  end
end
for rate, moment in pairs(paid_off) do
  moment = moment + granted * prices[rate]
  redis.call('HSET', rates, rate, string.format('%.3f', moment))
  redis.call('PEXPIRE', rates, math.ceil(math.max(moment - now + 60000, redis.call('PTTL', rates))))
end
if in_flight >= 0 then tell(leases, counts, worker, held + granted, lease) end
return { granted, math.ceil(wait), reason }
"""
)
RELEASE = """
for at = 2, #ARGV, 2 do
  local moment = redis.call('HGET', KEYS[1], ARGV[at])
  if moment then
    redis.call('HSET', KEYS[1], ARGV[at], string.format('%.3f', moment - ARGV[at + 1]))
  end
end
"""
RENEW = (
    TELL
    + """
tell(KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
"""
)
PAUSE = """
local untold, known = now + ARGV[3], redis.call('ZSCORE', KEYS[1], ARGV[2])
if not known or untold > tonumber(known) then
  redis.call('ZADD', KEYS[1], untold, ARGV[2])
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
end
"""
#: What `Learned` holds, with the ages of its moments for the moments.
_LEARNT = (
    _NUMBERS
    + """
local function learnt_of(key)
  local at = redis.call('HMGET', key, 'rpm', 'tpm', 'rate', 'rate_at', 'in_flight', 'cut_at',
                        'strikes')
  for _, moment in ipairs({ 4, 6 }) do
    if at[moment] then at[moment] = string.format('%.3f', now - at[moment]) end
  end
  for field = 1, 7 do at[field] = at[field] or '' end
  return at
end
local function learn(index, lane, key, ...)
  redis.call('HSET', key, ...)
  redis.call('PEXPIRE', key, forget_ms)
  redis.call('ZADD', index, string.format('%.3f', now), lane)
end
"""
)
#: `done` counts a lane's answers in steps, by the number of the step, as `Measured` does.
_MEASURE = """
local function count(done, answers)
  redis.call('HSETNX', done, 'since', string.format('%.3f', now))
  redis.call('HINCRBY', done, math.floor(now / step_ms), answers)
  redis.call('PEXPIRE', done, idle_minutes * minute_ms)
end
local function per_minute(done)
  local steps, total, since = redis.call('HGETALL', done), 0, now
  local oldest = math.floor(now / step_ms) - minute_ms / step_ms
  for at = 1, #steps, 2 do
    if steps[at] == 'since' then
      since = tonumber(steps[at + 1])
    elseif tonumber(steps[at]) > oldest then
      total = total + steps[at + 1]
    else
      redis.call('HDEL', done, steps[at])
    end
  end
  local age = math.min(minute_ms, math.max(1000, now - since))
  return total * minute_ms / age, math.floor(since / step_ms) > oldest, total
end
"""
#: As `Learned.struck` and `Learned.heard` do it.
STRIKE = (
    _LEARNT
    + _MEASURE
    + """
local key, done, index = unpack(KEYS)
local lane, ago, in_flight = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local is_rate, found = ARGV[5] == '1', tonumber(ARGV[6])
if now - ago > tonumber(redis.call('HGET', key, 'cut_at') or '-1') then
  local moment = string.format('%.3f', now)
  learn(index, lane, key, 'cut_at', moment)
  local strikes = 1
  if is_rate then strikes = redis.call('HINCRBY', key, 'strikes', 1) end
  if strikes == 1 then redis.call('HSET', key, 'in_flight', in_flight) end
  local rate, is_first, so_far = per_minute(done)
  if strikes > lasting_strikes then rate = so_far end
  if is_rate and rate > 0 and (strikes == 1 or is_first) then
    local mark = found
    if strikes > 1 then mark = tonumber(redis.call('HGET', key, 'rate') or '-1') end
    if mark >= 0 then rate = math.min(rate, mark) end
    redis.call('HSET', key, 'rate', string.format('%.3f', rate))
  end
  if is_rate then redis.call('HSET', key, 'rate_at', moment) end
end
return learnt_of(key)
"""
)
#: What was told and answered of some lanes since the last time.
HEAR = (
    _LEARNT
    + _MEASURE
    + """
local index = KEYS[1]
for one = 1, (#KEYS - 1) / 2 do
  local key, done, at = KEYS[2 * one], KEYS[2 * one + 1], 5 * (one - 1) + 2
  local lane, answers, ago = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if answers > 0 then
    count(done, answers)
    if tonumber(redis.call('HGET', key, 'strikes') or '0') > 0
       and now - ago > tonumber(redis.call('HGET', key, 'cut_at') or '-1') then
      learn(index, lane, key, 'strikes', 0)
    end
  end
  for limit, field in ipairs({ 'rpm', 'tpm' }) do
    if ARGV[at + 2 + limit] ~= '' then learn(index, lane, key, field, ARGV[at + 2 + limit]) end
  end
end
return 1
"""
)
#: A wiped server is told again what one of its workers still knows.
RETELL = (
    _LEARNT
    + """
local index = KEYS[1]
for one = 2, #KEYS do
  local at = 8 * (one - 2) + 2
  if redis.call('EXISTS', KEYS[one]) == 0 then
    for field, name in ipairs({ 'rpm', 'tpm', 'rate', 'rate_at', 'in_flight', 'cut_at', 'strikes' }) do
      local value = ARGV[at + field]
      if value ~= '' and (name == 'rate_at' or name == 'cut_at') then
        value = string.format('%.3f', now - value)
      end
      if value ~= '' then learn(index, ARGV[at], KEYS[one], name, value) end
    end
  end
end
return 1
"""
)
#: A lane has another key: what its former one's provider said of it is forgotten, once.
MEET = """
local key, learned, rates, done, index, pauses, reasons = unpack(KEYS)
local lane, id, is_new = ARGV[2], ARGV[3], ARGV[4] == '1'
local known = redis.call('GET', key)
redis.call('SET', key, id, 'PX', 86400000)
if known == id or not (known or is_new) then return 0 end
redis.call('DEL', learned, rates, done)
redis.call('ZADD', index, string.format('%.3f', now), lane)
redis.call('ZREM', pauses, lane)
redis.call('HDEL', reasons, lane)
return 1
"""
#: This worker lives; how many do; every pause there is; and what was learnt since it last looked.
#: Whoever finds the server wiped gives it a new name, by which all others see it too.
LOOK = (
    _LEARNT
    + """
local pauses, reasons, workers, index, generation = unpack(KEYS)
local since = tonumber(ARGV[4])
redis.call('SET', generation, string.format('%.3f', now), 'NX')
redis.call('ZREMRANGEBYSCORE', index, '-inf', now - ARGV[5])
local learnt = {}
for _, lane in ipairs(redis.call('ZRANGEBYSCORE', index, since, '+inf')) do
  table.insert(learnt, { lane, learnt_of('overnight:lane:' .. lane .. ':learned') })
end
redis.call('ZADD', workers, now + ARGV[3], ARGV[2])
redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
for _, over in ipairs(redis.call('ZRANGEBYSCORE', pauses, '-inf', now)) do
  redis.call('ZREM', pauses, over)
  redis.call('HDEL', reasons, over)
end
local seen = {}
local paused = redis.call('ZRANGE', pauses, 0, -1, 'WITHSCORES')
for at = 1, #paused, 2 do
  local reason = redis.call('HGET', reasons, paused[at]) or 'paused'
  table.insert(seen, { paused[at], math.ceil(paused[at + 1] - now), reason })
end
return {
  redis.call('ZCARD', workers), seen, string.format('%.3f', now),
  redis.call('GET', generation), learnt
}
"""
)
#: What a lane did in the last minute, how long it is paused yet, and what was learnt of it.
SURVEY = (
    _LEARNT
    + """
local rows = {}
for one = 1, #ARGV - 1 do
  local done, key, answers = redis.call('HGETALL', KEYS[2 * one]), KEYS[2 * one + 1], 0
  for at = 1, #done, 2 do
    if done[at] ~= 'since' and done[at] * step_ms > now - minute_ms then answers = answers + done[at + 1] end
  end
  local paused = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[one + 1]) or '0') - now
  local row = { tostring(answers), string.format('%.0f', math.max(0, paused)) }
  for _, field in ipairs(learnt_of(key)) do table.insert(row, field) end
  table.insert(rows, row)
end
return rows
"""
)
