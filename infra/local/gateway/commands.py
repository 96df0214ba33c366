"""Which commands the Upstash REST API serves, and what it says of the others.

Sources: https://upstash.com/docs/redis/overall/rediscompatibility (the commands) and
https://upstash.com/docs/redis/features/restapi, "REST - Redis API Compatibility" (REST's limits).
Commands that Upstash serves and the Redis behind this gateway lacks get that Redis' own error.
"""

from collections.abc import Sequence


def _names(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


READS = _names("""
    GET GETRANGE MGET STRLEN
    BITCOUNT BITFIELD_RO BITPOS GETBIT
    HEXISTS HGET HGETALL HKEYS HLEN HMGET HSCAN HSTRLEN HRANDFIELD HVALS
    LINDEX LLEN LPOS LRANGE
    SCARD SDIFF SINTER SINTERCARD SISMEMBER SMEMBERS SMISMEMBER SRANDMEMBER SSCAN SUNION
    ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX
    ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION
    GEODIST GEOHASH GEOPOS GEORADIUS_RO GEORADIUSBYMEMBER_RO GEOSEARCH
    PFCOUNT
    XINFO XLEN XPENDING XRANGE XREAD XREVRANGE
    EXISTS KEYS PTTL RANDOMKEY SCAN TOUCH TTL TYPE DBSIZE
    JSON.ARRINDEX JSON.ARRLEN JSON.GET JSON.MGET JSON.OBJKEYS JSON.OBJLEN JSON.RESP JSON.STRLEN
    JSON.TYPE
""")
WRITES = _names("""
    APPEND DECR DECRBY GETDEL GETEX GETSET INCR INCRBY INCRBYFLOAT MSET MSETNX PSETEX SET SETEX
    SETNX SETRANGE
    BITFIELD BITOP SETBIT
    HDEL HINCRBY HINCRBYFLOAT HMSET HSET HSETNX
    LINSERT LMOVE LMPOP LPOP LPUSH LPUSHX LREM LSET LTRIM RPOP RPOPLPUSH RPUSH RPUSHX
    SADD SDIFFSTORE SINTERSTORE SMOVE SPOP SREM SUNIONSTORE
    ZADD ZDIFFSTORE ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX ZPOPMIN ZRANGESTORE ZREM ZREMRANGEBYLEX
    ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE
    GEOADD GEORADIUS GEORADIUSBYMEMBER GEOSEARCHSTORE
    PFADD PFMERGE
    XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XREADGROUP XTRIM
    COPY DEL EXPIRE EXPIREAT PERSIST PEXPIRE PEXPIREAT RENAME RENAMENX UNLINK
    FLUSHALL FLUSHDB
    JSON.ARRAPPEND JSON.ARRINSERT JSON.ARRPOP JSON.ARRTRIM JSON.CLEAR JSON.DEL JSON.FORGET
    JSON.NUMINCRBY JSON.NUMMULTBY JSON.SET JSON.STRAPPEND JSON.TOGGLE
""")
# What neither reads nor writes keys by itself; scripts may do either.
OTHERS = _names("ACL ECHO EVAL EVALSHA INFO PING PUBLISH PUBSUB SCRIPT TIME")
SERVED = READS | WRITES | OTHERS

# REST API, "Security and Authentication": powerful read commands such as SCAN and KEYS are
# refused to the read-only token as well.
READ_ONLY_TOKEN = READS - {b"SCAN", b"KEYS"} | {b"ECHO", b"PING", b"TIME"}

# The REST API has no session: no transaction or subscription to open, no connection to set up.
SESSION = _names("""
    AUTH CLIENT DISCARD EXEC HELLO MONITOR MULTI PSUBSCRIBE PUNSUBSCRIBE QUIT RESET SELECT
    SUBSCRIBE UNSUBSCRIBE UNWATCH WATCH
""")
BLOCKING = _names("BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN")

COMPATIBILITY_PAGE = "https://upstash.com/docs/redis/overall/rediscompatibility"


def refusal(command: Sequence[bytes], *, read_only: bool) -> str | None:
    """Why this token may not run the command over REST; None when it may."""
    name = command[0].upper()
    if name not in SERVED or (name in (b"XREAD", b"XREADGROUP") and _blocks(command)):
        return _not_served(name.decode(errors="replace"), name)
    if read_only and name not in READ_ONLY_TOKEN:
        shown = name.decode().lower()
        return f"NOPERM this user has no permissions to run the '{shown}' command or its subcommand"
    return None


def _not_served(shown: str, name: bytes) -> str:
    if name in SESSION or name in BLOCKING or name in SERVED:
        return f'ERR Command "{shown}" is not allowed in REST or it has a special context path'
    return f"ERR Command is not available: '{shown}'. See {COMPATIBILITY_PAGE} for details"


def _blocks(command: Sequence[bytes]) -> bool:
    """Whether an XREAD or XREADGROUP carries BLOCK; keys follow STREAMS, options precede it."""
    for part in command[1:]:
        option = part.upper()
        if option in (b"BLOCK", b"STREAMS"):
            return option == b"BLOCK"
    return False
