#!/usr/bin/env python3
"""Packets of any content at gxd's port: each counted under its cause, and nothing else happens."""
import random
import struct
import sys

import gxtest
from gxtest import Lab, check, wait_until

HEADER_BYTES = 48
HELLO, SHARD, FEEDBACK, CONTROL, PROBE = range(5)

SITE_CAUSES = ["packets_stranger_total", "packets_malformed_total", "packets_version_total"]
LINK_CAUSES = ["drop_checksum_total", "drop_replay_total", "drop_session_total", "drop_message_total",
               "shards_malformed_total"]

CRC32C_TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC32C_TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def packet(kind, session, number, payload, version=1, transfer=0, block=0, shard=0, k=0):
    """A packet with a right checksum, dataplane/wire/header.h."""
    head = struct.pack("<BBHIQIIBBHI", version << 4 | kind, 0, len(payload), session, number, transfer, block, shard, k,
                       0, 0)
    return head + struct.pack("<I12x", crc32c(head + payload)) + payload


def session_of(payload):
    return struct.unpack_from("<I", payload, 4)[0]


def kind_of(payload):
    return payload[0] & 15


def causes(site, peer):
    counters = site.show("counters")
    values = {name: counters["site_counters"][name] for name in SITE_CAUSES}
    values.update({name: counters["link_counters"][peer][name] for name in LINK_CAUSES})
    return values


class Target:
    """Site b of a lab of two whose packets pass a Relay, while a run goes on."""

    def __init__(self, lab):
        self.lab, (self.a, self.b) = lab, lab.sites
        self.perfs = [site.perf("on", "--bytes", "50K", "--rounds", "100000") for site in lab.sites]
        self.wait_rounds(2)

    def applied(self):
        return (self.b.round("on") or {"applied_round": 0})["applied_round"]

    def wait_rounds(self, count):
        goal = self.applied() + count
        wait_until(lambda: self.applied() >= goal or not all(p.alive() for p in self.perfs), "round %d" % goal)
        for perf in self.perfs:
            check(perf.alive(), "%s ended; it said:\n%s" % (perf.name, perf.tail()))

    def seen(self, kind=None):
        """What the relay has forwarded from a to b in b's newest session."""
        mine = [p for source, to, p in list(self.lab.relay.seen) if (source, to) == (0, 1)]
        session = session_of([p for p in mine if kind_of(p) != HELLO][-1])
        return [p for p in mine if kind_of(p) == kind or (kind is None and kind_of(p) != HELLO and
                                                          session_of(p) == session)]

    def send(self, packets, stranger=False):
        relay = self.lab.relay
        for number, payload in enumerate(packets):
            if stranger:
                relay.send_stranger(payload, 1)
            else:
                relay.send(payload, 0, 1)
            if number % 16 == 15:
                self.applied()  # a pause, so that no buffer overflows

    def count(self, packets, cause, stranger=False):
        """Sends packets; each must be counted under `cause` and under nothing else, and rounds go on."""
        before, sessions = causes(self.b, "a"), self.b.counter("sessions_total", "a")
        self.send(packets, stranger)
        if cause:
            wait_until(lambda: causes(self.b, "a")[cause] >= before[cause] + len(packets),
                       "%d more in %s (now %s)" % (len(packets), cause, causes(self.b, "a")), 10)
        self.wait_rounds(2)
        after = causes(self.b, "a")
        grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
        check(grown == ({cause: len(packets)} if cause else {}), "%d packets for %s, counted: %s" %
              (len(packets), cause, grown))
        check(self.b.counter("sessions_total", "a") == sessions, "a new session")
        check(self.b.link("a")["state"] == "up", "the link is not up")


def test_malformed():
    rng = random.Random(1)
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        short = [bytes([0x13]) + rng.randbytes(rng.randrange(0, HEADER_BYTES - 2)) for _ in range(50)]
        for stranger in (False, True):
            target.count(short, "packets_malformed_total", stranger)
        live = rng.sample(target.seen(), 40)
        target.count([p[:rng.randrange(1, len(p))] for p in live if len(p) > HEADER_BYTES],
                     "packets_malformed_total")
        target.count([p + b"\0" for p in live], "packets_malformed_total")
        target.count([bytes([0x10 | rng.randrange(PROBE + 1, 16)]) + p[1:] for p in live], "packets_malformed_total")
        hellos = target.seen(HELLO)
        target.count([h[:-1] + bytes([h[-1] ^ 1]) for h in hellos], "packets_malformed_total")
        target.count([packet(HELLO, 0, 1, rng.randbytes(rng.randrange(64))) for _ in range(20)],
                     "packets_malformed_total", stranger=True)


def test_other_versions():
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        target.count([packet(kind, 77, 1, b"x" * 20, version) for kind in (SHARD, FEEDBACK, CONTROL, PROBE)
                      for version in (0, 2, 3, 15)], "packets_version_total")


def test_strangers():
    rng = random.Random(2)
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        # Sessions that nobody was given.
        target.count([packet(rng.randrange(1, 5), rng.randrange(1, 2**32), rng.randrange(2**64), rng.randbytes(30))
                      for _ in range(60)], "packets_stranger_total", stranger=True)
        # A live session's packets from another address.
        target.count(target.seen()[-60:], "packets_stranger_total", stranger=True)
        # A hello of a site that is not in the list.
        hello = target.seen(HELLO)[0][HEADER_BYTES:]
        name = b"\x01\x00\x01\x00a"
        check(name in hello, "the hello has no name where the test looks for it")
        target.count([packet(HELLO, 0, 1, hello.replace(name, b"\x01\x00\x01\x00z", 1))], "packets_stranger_total",
                     stranger=True)


def test_replayed():
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        target.wait_rounds(5)
        live = target.seen()
        check({kind_of(p) for p in live} >= {SHARD, FEEDBACK, CONTROL}, "not every kind of packet was seen")
        target.count(live[:300], "drop_replay_total")
        target.count(live[-1:] * 20, "drop_replay_total")
        # Hellos are answered at most; no session comes from them.
        hellos = target.seen(HELLO)
        for stranger in (False, True):
            target.count(hellos * 3, None, stranger)


def test_corrupted():
    rng = random.Random(3)
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        flipped = []
        for p in rng.sample([p for p in target.seen() if len(p) > HEADER_BYTES], 60):
            at = rng.randrange(8, len(p))  # version, length and session have causes of their own
            while 24 <= at < 28 or at >= 36 and at < HEADER_BYTES:  # so may have k, and what must be 0
                at = rng.randrange(8, len(p))
            flipped.append(p[:at] + bytes([p[at] ^ 1 << rng.randrange(8)]) + p[at + 1:])
        target.count(flipped, "drop_checksum_total")


def test_after_a_restart():
    """The packets that a sent to b's former self mean nothing to the new one."""
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        former = target.seen()
        target.b.gxd.kill()
        target.b.start()
        lab.wait_up()
        target.wait_rounds(2)
        before = causes(target.b, "a")
        target.send(former[:100])
        target.wait_rounds(2)
        after = causes(target.b, "a")
        counted = sum(after[name] - before[name] for name in after)
        check(counted >= 100, "100 packets, %d counted" % counted)
        check(target.b.link("a")["state"] == "up", "the link is not up")


def test_garbage_in_a_right_envelope():
    """With `security: none` anybody on the path can make a checksum: what is inside must still not matter."""
    rng = random.Random(4)
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        before, unknown = causes(target.b, "a"), target.b.counter("shards_no_transfer_total", "a")

        def sealed(kind, payload, **fields):
            last = target.seen()[-1]
            # Ahead of a's own numbers: a's packets of that number then count as replayed.
            number = struct.unpack_from("<Q", last, 8)[0] + rng.randrange(1, 30)
            target.send([packet(kind, session_of(last), number, payload, **fields)])

        for _ in range(100):
            sealed(CONTROL, bytes([rng.choice([0, 4, 77, 255])]) + rng.randbytes(rng.randrange(1000)))
            sealed(CONTROL, bytes([rng.choice([1, 2, 3])]) + rng.randbytes(rng.randrange(60)))
            sealed(FEEDBACK, rng.randbytes(rng.randrange(12)))
            sealed(SHARD, rng.randbytes(1408), transfer=rng.randrange(2**31, 2**32), block=rng.randrange(2**32),
                   shard=rng.randrange(256), k=rng.randrange(256))
        check(target.b.gxd.alive(), "gxd ended with %s" % target.b.gxd.popen.returncode)
        target.wait_rounds(3)
        after = causes(target.b, "a")
        check(after["drop_message_total"] > before["drop_message_total"], "no message was counted: %s" % after)
        check(target.b.counter("shards_no_transfer_total", "a") > unknown, "no shard was counted")


def test_noise():
    """Many random packets of every size, from a stranger and under the peer's address."""
    rng = random.Random(5)
    with Lab("a", "b", relay=True) as lab:
        target = Target(lab)
        before, received = causes(target.b, "a"), target.b.counter("packets_received_total")
        noise = [rng.randbytes(rng.randrange(1, 1472)) for _ in range(1000)]
        target.send(noise[:500])
        target.send(noise[500:], stranger=True)
        wait_until(lambda: sum(causes(target.b, "a").values()) - sum(before.values()) >= len(noise),
                   "count of %d" % len(noise), 10)
        target.wait_rounds(3)
        after = causes(target.b, "a")
        check(sum(after.values()) - sum(before.values()) == len(noise), "%s, before %s" % (after, before))
        check(target.b.counter("packets_received_total") - received > len(noise), "received packets")
        check(not [line for line in target.b.gxd.err().splitlines() if (" warn " in line or " error " in line) and "security: none" not in line],
              "the log speaks of packets:\n%s" % target.b.gxd.tail())


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
