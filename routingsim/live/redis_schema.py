"""Names and forms of what is stored in Redis, and the scripts that store it.

Beside each channel ``C``, a stream ``{C}:history`` holds the last messages, and beside
``agent:status`` a hash ``{agent:status}:latest`` holds the last message of each agent. The
braces put channel and keys on one node of a Redis Cluster.

One script publishes and stores a batch of messages. Redis runs a script as a whole, so that
subscribers and readers of the history see one order, however many publish. The stream's entry
id (ordered by time, unique in its channel) is the message's ``id``. Subscribers get the message
with its id; the stream holds the message without, in field ``m``, and :func:`with_id` adds it,
byte for byte as subscribers got it.
"""

FIELD = b"m"
"""Field of a stream entry that holds the message."""

RESTORE_SECONDS = (0.5, 3.0)
"""Time that a server which has started anew gives bridges to hand in what it has lost: at least,
and at most, where not all that were there before have done so."""

_SETTLE = """\
-- KEYS: history; the server that stored it, since when it restores, and its bridges; messages
--       handed in; of them those that publishers may send again; bridges that have handed in, ...
local call, sub, argv, history = redis.call, string.sub, ARGV, KEYS[1]
local function is_before(a, b)
  local ams, aseq, bms, bseq = string.match(a .. ' ' .. b, '(%d+)-(%d+) (%d+)-(%d+)')
  if ams ~= bms then return tonumber(ams) < tonumber(bms) end
  return tonumber(aseq) < tonumber(bseq)
end
local restored = '{' .. argv[1] .. '}:restored'
local function notify(what) redis.pcall(argv[2], restored, what) end
local function settle(latest, has_past, publishes, is_new)
  local stored = call('GET', KEYS[2]) or ''
  local known, since, bridges = string.match(stored, '(%w+):(%d+):(%d+)')
  local function done() -- note how many bridges listen
    local count = call('PUBSUB', argv[2] == 'PUBLISH' and 'NUMSUB' or 'SHARDNUMSUB', restored)[2]
    local current = known .. ':0:' .. count
    if stored ~= current then call('SET', KEYS[2], current) end
    return 0
  end
  if not is_new and not known then return 0 end
  if not is_new and since == '0' then return done() end
  local server = string.match(call('INFO', 'server'), 'run_id:(%w+)')
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if known ~= server then
    if not (known or has_past or publishes) then return 0 end
    since, bridges = (known or has_past) and now or 0, bridges or 1
    call('DEL', KEYS[5])
    if since > 0 then notify('lost') end
  end
  local waited = now - since
  if waited < LEAST or (waited < MOST and call('SCARD', KEYS[5]) < tonumber(bridges)) then
    bridges = string.format('%.0f:%.0f', since, bridges)
    call('SET', KEYS[2], server .. ':' .. bridges)
    return math.max(LEAST - waited, math.min(100, MOST - waited))
  end
  known = server
  if call('EXISTS', KEYS[3]) == 0 then return done() end
  local given, ids, texts, any = call('HGETALL', KEYS[3]), {}, {}, false
  for i = 1, #given, 2 do
    ids[#ids + 1] = given[i]
    texts[given[i]] = given[i + 1]
  end
  table.sort(ids, is_before)
  for _, id in ipairs(ids) do
    local text = texts[id]
    if not redis.pcall('XADD', history, id, 'm', text).err then -- else there is a later one
      any = true
      call('HINCRBY', KEYS[4], redis.sha1hex(text), 1)
      local is_read, message = pcall(cjson.decode, text)
      local payload = latest and is_read and message.payload
      local agent = type(payload) == 'table' and payload.agentId
      if type(agent) == 'string' then
        call('HSET', latest, agent, sub(text, 1, -2) .. ',"id":"' .. id .. '"}')
      end
    end
  end
  call('DEL', KEYS[3])
  call('EXPIRE', KEYS[4], 86400)
  if any then notify('stored') end
  return done()
end
"""
for _word, _seconds in zip(("LEAST", "MOST"), RESTORE_SECONDS, strict=True):
    _SETTLE = _SETTLE.replace(_word, f"{1000 * _seconds:.0f}")

PUBLISH = (
    _SETTLE
    + """\
-- KEYS: ..., the publisher's place, [latest message by agent]
-- ARGV: channel, PUBLISH or SPUBLISH, history's length, this batch's number, messages up to
--       its end, number of the last batch the publisher knows to have arrived, messages before
--       it that are lost, 1 if it is the first on its connection, 2 if it was sent before, 3 if
--       it had arrived, count, messages, [agent ids]
local latest, channel, publish, batch, count = KEYS[7], argv[1], argv[2], tonumber(argv[4]), argv[9]
local last = tonumber(string.match(call('GET', KEYS[6]) or '0', '^%d+'))
if batch <= last then return false end
local is_new, is_again, is_public = argv[8] ~= '0', argv[8] >= '2', argv[8] ~= '3'
local wait = settle(latest, is_again or tonumber(argv[6]) > 0, true, is_new)
if wait > 0 then return redis.error_reply('RESTORING for ' .. wait .. ' ms') end
if last < tonumber(argv[6]) then return redis.error_reply('BATCHLOST batches are lost') end
local missing = tonumber(argv[7])
if batch > last + 1 and missing == 0 then
  return redis.error_reply('BATCHORDER a batch before this one failed')
end
if latest then call('HSETNX', latest, argv[10 + count], '') end -- fails here, or not at all
local first, ms, seq
local function add(message)
  local id = '*'
  if first then id = ms .. '-' .. string.format('%.0f', seq + 1) end
  id = call('XADD', history, id, 'm', message)
  first, ms, seq = first or id, string.match(id, '(%d+)-(%d+)')
  message = sub(message, 1, -2) .. ',"id":"' .. id .. '"}'
  if is_public then call(publish, channel, message) end
  return message
end
if missing > 0 then
  local top = call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
  add('{"type":"gap","channel":"' .. channel .. '","since":"' .. (top and top[1] or '0-0') ..
    '","oldest":null,"count":' .. argv[7] .. '}')
end
for i = 10, 9 + count do
  local message = argv[i]
  local digest = is_again and redis.sha1hex(message)
  if digest and tonumber(call('HGET', KEYS[4], digest) or '0') > 0 then
    call('HINCRBY', KEYS[4], digest, -1)
  else
    message = add(message)
    if latest then call('HSET', latest, argv[i + count], message) end
  end
end
call('XTRIM', history, 'MAXLEN', '=', argv[3])
call('SET', KEYS[6], batch .. ':' .. argv[5], 'EX', 86400)
if not is_public then notify('stored') end
return first
"""
)
"""Lua script that publishes and stores one batch, once. Returns the id of its first message.

A publisher numbers its batches from 1; the ids of a batch's messages follow each other. A batch
that is sent again, because its reply was lost, has a known number and is answered with nil; one
that arrives before a failed batch is refused, so that the order holds. Where the server knows
fewer batches than had arrived, it has lost data: it has started from an older snapshot, or was a
replica that was behind. It then takes no batch for :data:`RESTORE_SECONDS` (:data:`RESTORE`).
After that publishers send again what is lost. Messages that a bridge has handed in are left out
of it; the others are stored, and if they had arrived, not published again: bridges read them.

Where writing fails (memory full, read-only, a key of another type), it fails before anything is
published. Trimming once for each batch is a quarter faster than in each XADD.
"""

RESTORE = (
    _SETTLE
    + """\
-- KEYS: ..., [latest message by agent]
-- ARGV: channel, PUBLISH or SPUBLISH, name of a bridge that knows messages or '', 1 if these are
--       its last ones, ids and messages
for i = 5, #argv, 2 do call('HSET', KEYS[3], argv[i], argv[i + 1]) end
local wait = settle(KEYS[6], argv[3] ~= '', false, true)
if wait > 0 and argv[3] ~= '' and argv[4] == '1' then call('SADD', KEYS[5], argv[3]) end
return wait
"""
)
"""Lua script by which a bridge hands in messages that the server has lost. Returns for how many
milliseconds others may do so too; after that, messages that were handed in are stored, under the
ids they had, and a notice on ``{C}:restored`` has bridges read the history.

Every message that a client has seen was in a bridge, so that what clients have seen keeps its
place and its id. One that no bridge has seen gets a new id when its publisher sends it again.
"""


def history_key(channel: str) -> str:
    """Key of the stream with the last messages of a channel.

    >>> history_key("task:routing")
    '{task:routing}:history'
    """
    return f"{{{channel}}}:history"


def latest_key(channel: str) -> str:
    """Key of the hash with the last message of each agent, ids included."""
    return f"{{{channel}}}:latest"


def restore_keys(channel: str) -> list[str]:
    """Keys of the history, and of what is kept while it is restored."""
    names = ("history", "server", "handed-in", "again", "bridges")
    return [f"{{{channel}}}:{name}" for name in names]


def restored_channel(channel: str) -> str:
    """Pub/sub channel that tells bridges to read the history: messages are lost, or restored."""
    return f"{{{channel}}}:restored"


def publisher_key(channel: str, publisher: str) -> str:
    """Key of a publisher's place: ``batch:messages``, those that arrived; expires after a day."""
    return f"{{{channel}}}:publisher:{publisher}"


def with_id(message: bytes, id: bytes) -> bytes:
    """The message as subscribers got it, with its id as the last top-level field.

    >>> with_id(b'{"type":"agent_status","payload":{}}', b"1699564800000-0")
    b'{"type":"agent_status","payload":{},"id":"1699564800000-0"}'
    """
    return b'%b,"id":"%b"}' % (message[:-1], id)
