"""Names and forms of what is stored in Redis, and the script that stores it.

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

PUBLISH = """\
-- KEYS: history, the publisher's place, [latest message by agent]
-- ARGV: channel, PUBLISH or SPUBLISH, history's length, this batch's number, messages up to
--       its end, number of the last batch the publisher knows to have arrived, count,
--       messages, [agent ids]
local call, sub, argv, history, latest = redis.call, string.sub, ARGV, KEYS[1], KEYS[3]
local channel, publish, batch, count = argv[1], argv[2], tonumber(argv[4]), tonumber(argv[7])
local last = tonumber(string.match(call('GET', KEYS[2]) or '0', '^%d+'))
if batch <= last then return false end
if last < tonumber(argv[6]) then return redis.error_reply('BATCHLOST batches are lost') end
if batch > last + 1 then return redis.error_reply('BATCHORDER a batch before this one failed') end
if latest then call('HSET', latest, argv[8 + count], '') end -- fails here, or not at all
local first, ms, seq
for i = 8, 7 + count do
  local message, id = argv[i], '*'
  if first then id = ms .. '-' .. string.format('%.0f', seq + i - 8) end
  id = call('XADD', history, id, 'm', message)
  if not first then first, ms, seq = id, string.match(id, '(%d+)-(%d+)') end
  message = sub(message, 1, -2) .. ',"id":"' .. id .. '"}'
  call(publish, channel, message)
  if latest then call('HSET', latest, argv[i + count], message) end
end
call('XTRIM', history, 'MAXLEN', '=', argv[3])
call('SET', KEYS[2], batch .. ':' .. argv[5], 'EX', 86400)
return first
"""
"""Lua script that publishes and stores one batch, once. Returns the id of its first message.

A publisher numbers its batches from 1; the ids of a batch's messages follow each other. A batch
that is sent again, because its reply was lost, has a known number and is answered with nil; one
that arrives before a failed batch is refused, so that the order holds. Where the server knows
fewer batches than had arrived, it has lost data (:data:`RESTORE`). Where writing fails (memory
full, read-only, a key of another type), it fails before anything is published. Trimming once for
each batch is a quarter faster than in each XADD.
"""

RESTORE = """\
-- KEYS: as above
-- ARGV: channel, PUBLISH or SPUBLISH, history's length, the batch's number, messages up to its
--       end, messages lost before it, id of its first message or '', count, messages, [agent ids]
local call, argv, history, latest = redis.call, ARGV, KEYS[1], KEYS[3]
local channel, publish, batch, count = argv[1], argv[2], tonumber(argv[4]), tonumber(argv[8])
if batch <= tonumber(string.match(call('GET', KEYS[2]) or '0', '^%d+')) then
  return {0, argv[7]}
end
if latest then call('HSET', latest, argv[9 + count], '') end
local added, full = 0, call('XLEN', history) >= tonumber(argv[3])
local oldest = full and call('XRANGE', history, '-', '+', 'COUNT', 1)[1][1]
local function is_before(a, b)
  local ams, aseq, bms, bseq = string.match(a .. ' ' .. b, '(%d+)-(%d+) (%d+)-(%d+)')
  if ams ~= bms then return tonumber(ams) < tonumber(bms) end
  return tonumber(aseq) < tonumber(bseq)
end
local function add(id, message, agent)
  if id and full and is_before(id, oldest) then return end -- it was trimmed
  if id and #call('XRANGE', history, id, id) > 0 then return end -- it is still there
  local given = id and redis.pcall('XADD', history, id, 'm', message)
  if not given or given.err then given = call('XADD', history, '*', 'm', message) end
  if agent then
    call('HSET', latest, agent, string.sub(message, 1, -2) .. ',"id":"' .. given .. '"}')
  end
  added = added + 1
  return given
end
local ms, seq = string.match(argv[7], '(%d+)-(%d+)')
if tonumber(argv[6]) > 0 then
  local top = call('XREVRANGE', history, '+', '-', 'COUNT', 1)[1]
  local next = ms and '"' .. argv[7] .. '"' or 'null'
  add(ms and string.format('%.0f', ms - 1) .. '-9007199254740991', '{"type":"gap","channel":"' ..
    channel .. '","since":"' .. (top and top[1] or '0-0') .. '","oldest":' .. next ..
    ',"count":' .. argv[6] .. '}')
  added = added - 1
end
local first = argv[7]
for i = 9, 8 + count do
  local id = ms and ms .. '-' .. string.format('%.0f', seq + i - 9)
  local given = add(id, argv[i], latest and argv[i + count])
  if i == 9 and given then -- the others follow it
    first, ms, seq = given, string.match(given, '(%d+)-(%d+)')
  end
end
call('XTRIM', history, 'MAXLEN', '=', argv[3])
call('SET', KEYS[2], batch .. ':' .. argv[5], 'EX', 86400)
redis.pcall(publish, '{' .. channel .. '}:restored', batch)
return {added, first}
"""
"""Lua script that stores a batch again which the server has lost, after a return from an older
snapshot or a failover to a replica that was behind. Returns how many messages were lost, and the
id of the batch's first message.

Messages get the ids they had, or new ones where another publisher has gone on meanwhile. They are
not published again: a notice on ``{C}:restored`` has bridges read the history. What is lost before
the batch, and no longer held by its publisher, is told by a stored message of type ``gap``.
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


def restored_channel(channel: str) -> str:
    """Pub/sub channel on which a publisher tells that it has stored messages again."""
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
