"""A trainer that speaks to gxd without libgx, so that it can say what libgx never would.

dataplane/api/arena.h is the contract; the offsets below are of one release, checked by gxd when it attaches.
"""
import fcntl
import mmap
import os
import select
import socket
import struct
import time

import gxtest

MEMBER, LEFT_OUT, VOID, BEHIND, STATE, REFUSED = range(6)
PUBLISH, OFFER, ACCEPT = 1, 2, 3

ALIGN, ENTRIES, FRAGMENTS_MAX, SITES_MAX = 4096, 1024, 64, 16
MAGIC, VERSION, ATTACH_VERSION = 0x3130616E65726178, 1, 1
COMMANDS_HEAD, COMMANDS_TAIL, EVENTS_HEAD, EVENTS_TAIL, SEQUENCE = 64, 128, 192, 256, 320
HEADER_BYTES = 1088
COMMAND, EVENT = struct.Struct("<IIQQQQQ16x"), struct.Struct("<IIQQIIQQQQQQQ")
REQUEST, REPLY_HEAD = struct.Struct("<II32sIIIIQ64Q"), struct.Struct("<IiIII")
REPLY_BYTES = REPLY_HEAD.size + SITES_MAX * 32 + 256

F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 1, 2, 4


def reasons():
    """dataplane/api/errors.def by name."""
    with open(os.path.join(gxtest.ROOT, "dataplane/api/errors.def")) as f:
        names = [line.split("(")[1].split(",")[0] for line in f if line.startswith("GX_REASON(")]
    return {name: number for number, name in enumerate(names)}


REASON = reasons()


class Refused(Exception):
    """gxd's answer to an attach: error, reason, text. error 0: it hung up without a word."""

    def __init__(self, error, reason, text):
        super().__init__("error %d, reason %d: %s" % (error, reason, text))
        self.error, self.reason, self.text = error, reason, text


class Event:
    def __init__(self, fields):
        (self.type, self.fragment, self.round, self.divisor, self.cohort, self.reason, self.offered_last_ns,
         self.held_ns, self.completed_ns, self.sent_bytes, self.redundant_bytes, self.expected_shards,
         self.lost_shards) = fields

    def __repr__(self):
        return "event type %d, round %d, cohort %x, reason %d" % (self.type, self.round, self.cohort, self.reason)


def connect(site):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(site.socket)
    return s


def receive(s, seconds=10):
    """gxd's next message; b"": it hung up."""
    s.settimeout(seconds)
    try:
        return s.recv(65536)
    except ConnectionResetError:
        return b""


def parse_reply(data):
    if len(data) != REPLY_BYTES:
        raise Refused(0, 0, "hung up" if not data else "%d bytes" % len(data))
    _, error, reason, self_index, site_count = REPLY_HEAD.unpack_from(data)
    text = data[-256:].split(b"\0")[0].decode()
    if error:
        raise Refused(error, reason, text)
    return self_index, site_count


class Arena:
    """A memfd with the layout that gx_arena_layout() computes for fp32 fragments."""

    def __init__(self, param_counts, seals=F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, extra_bytes=0):
        at = ALIGN

        def take(size):
            nonlocal at
            offset = at
            at = (at + size + ALIGN - 1) // ALIGN * ALIGN
            return offset

        self.param_counts = param_counts
        self.commands = take(ENTRIES * COMMAND.size)
        self.events = take(ENTRIES * EVENT.size)
        self.fragments = [([take(4 * n), take(4 * n)], take(4 * n), take(8 * n)) for n in param_counts]
        self.bytes = at
        self.fd = os.memfd_create("gx-test-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self.bytes + extra_bytes)
        if seals:
            fcntl.fcntl(self.fd, F_ADD_SEALS, seals)
        self.map = mmap.mmap(self.fd, self.bytes + extra_bytes)
        # One store each: struct.pack_into() would zero the place first, and gxd could see that.
        self.words = memoryview(self.map).cast("Q")
        self.write_header()

    def write_header(self, magic=MAGIC, version=VERSION, fragment_count=None, size=None):
        struct.pack_into("<QIIQ", self.map, 0, magic, version, fragment_count or len(self.param_counts),
                         self.bytes if size is None else size)

    def u64(self, offset):
        return self.words[offset // 8]

    def set_u64(self, offset, value):
        self.words[offset // 8] = value % 2**64

    def close(self):
        self.words.release()
        self.map.close()
        os.close(self.fd)


def request(run, arena, format=0, digest=0, again=0, arena_bytes=None, versions=(ATTACH_VERSION, ATTACH_VERSION),
            fragment_count=None, param_counts=None):
    counts = list(param_counts or arena.param_counts) + [0] * FRAGMENTS_MAX
    return REQUEST.pack(*versions, run if isinstance(run, bytes) else run.encode(), format, digest,
                        len(arena.param_counts) if fragment_count is None else fragment_count, again,
                        arena.bytes if arena_bytes is None else arena_bytes, *counts[:FRAGMENTS_MAX])


class Trainer:
    """A registered trainer of one fp32 fragment; `run` and the keywords as in request()."""

    def __init__(self, site, run, params=1000, **keywords):
        self.site, self.params = site, params
        self.arena = Arena([params])
        self.wake_gxd, self.wake_self = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
        self.socket = connect(site)
        self.weight = 1000 + site.index
        try:
            socket.send_fds(self.socket, [request(run, self.arena, **keywords)],
                            [self.arena.fd, self.wake_gxd, self.wake_self])
            self.index, self.site_count = parse_reply(receive(self.socket))
        except BaseException:
            self.close()
            raise

    # ---- areas ----

    def contribution(self, round):
        return self.arena.fragments[0][0][round & 1]

    def write(self, offset, values):
        struct.pack_into("<%df" % len(values), self.arena.map, offset, *values)

    def result(self):
        return struct.unpack_from("<%df" % self.params, self.arena.map, self.arena.fragments[0][1])

    # ---- rings ----

    def command(self, type, round=0, weight=None, offset=0, size=0, fragment=0):
        a = self.arena
        head = a.u64(COMMANDS_HEAD)
        COMMAND.pack_into(a.map, a.commands + head % ENTRIES * COMMAND.size, type, fragment, round % 2**64,
                          self.weight if weight is None else weight, offset % 2**64, size % 2**64,
                          time.monotonic_ns())
        a.set_u64(COMMANDS_HEAD, head + 1)
        self.wake()

    def wake(self):
        os.eventfd_write(self.wake_gxd, 1)

    def publish(self, round):
        self.command(PUBLISH, round, offset=self.arena.fragments[0][2], size=8 * self.params)

    def offer(self, round, **keywords):
        """keywords replace what an honest offer says."""
        self.command(OFFER, round, **{"offset": self.contribution(round), "size": 4 * self.params, **keywords})

    def event(self, seconds=20):
        """The next event; None: none within `seconds`. Fails when gxd has hung up."""
        a, end = self.arena, time.monotonic() + seconds
        while True:
            tail = a.u64(EVENTS_TAIL)
            if a.u64(EVENTS_HEAD) != tail:
                event = Event(EVENT.unpack_from(a.map, a.events + tail % ENTRIES * EVENT.size))
                a.set_u64(EVENTS_TAIL, tail + 1)
                return event
            left = end - time.monotonic()
            if left <= 0:
                return None
            ready, _, _ = select.select([self.wake_self, self.socket], [], [], left)
            if self.socket in ready:
                parse_reply(receive(self.socket))
            elif ready:
                os.eventfd_read(self.wake_self)

    def refusal(self, reason):
        """The next event must be REFUSED with that reason."""
        event = self.event()
        gxtest.check(event and event.type == REFUSED and event.reason == REASON[reason],
                     "%s instead of REFUSED with %s (%d)" % (event, reason, REASON[reason]))
        return event

    def farewell(self, seconds=10):
        """Waits until gxd hangs up; its last words, or None."""
        try:
            parse_reply(receive(self.socket, seconds))
        except Refused as said:
            return said if said.error else None
        return None

    # ---- an honest round ----

    def begin(self, round):
        """Fills the contribution of a round with values that depend on site and round, and offers it."""
        self.values = [((i * 37 + self.index * 11 + round * 5) % 1000) / 128 - 3 for i in range(self.params)]
        self.write(self.contribution(round), self.values)
        self.offer(round)

    def finish(self, round, type=MEMBER):
        event = self.event()
        gxtest.check(event and event.type == type and event.round == round,
                     "%s instead of type %d, round %d" % (event, type, round))
        return event

    def close(self):
        self.socket.close()
        os.close(self.wake_gxd)
        os.close(self.wake_self)
        self.arena.close()


def round_of(trainers, round):
    """An honest round of `trainers`, all of them members: checks results and publishes the same state everywhere."""
    for t in trainers:
        t.begin(round)
    finish_round(trainers, round)


def finish_round(trainers, round):
    total = sum(t.weight for t in trainers)
    mean = [sum(t.weight * t.values[i] for t in trainers) / total for i in range(trainers[0].params)]
    for t in trainers:
        event = t.finish(round)
        gxtest.check(event.divisor == total, "divisor %d, not %d" % (event.divisor, total))
        for got, expected in zip(t.result(), mean):
            gxtest.check(abs(got - expected) < 1e-5, "result %r, not %r" % (got, expected))
    for t in trainers:
        t.publish(round)
