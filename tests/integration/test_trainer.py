#!/usr/bin/env python3
"""Trainers that are broken or hostile: an error for the trainer, and nothing for anybody else."""
import contextlib
import math
import os
import random
import socket
import struct
import sys
import tempfile
import time

import gxtest
import gxtrainer
from gxtest import Lab, check, once, remark, wait_until
from gxtrainer import REASON, Arena, Refused, Trainer, connect, finish_round, parse_reply, receive, request, round_of

FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2


class Bystanders:
    """A run of gx-perfs at the same gxds, which must not notice anything."""

    def __init__(self, lab):
        self.lab = lab
        self.perfs = [site.perf("good", "--bytes", "100K", "--rounds", "100000") for site in lab.sites]
        self.go_on()

    def go_on(self):
        for site in self.lab.sites:
            applied = (site.round("good") or {"applied_round": 0})["applied_round"]
            wait_until(lambda s=site, goal=applied + 2: not s.gxd.alive() or s.round("good")["applied_round"] >= goal
                       if s.round("good") else False, "round of the other run at %s" % site.name, 30)
            check(site.gxd.alive(), "gxd ended with %s" % site.gxd.popen.returncode)
        for perf in self.perfs:
            check(perf.alive(), "%s ended; it said:\n%s" % (perf.name, perf.tail()))


@contextlib.contextmanager
def pair(*names, params=1000, **keys):
    """Sites with bystanders and a published Trainer each."""
    with Lab(*(names or ("a", "b")), **keys) as lab:
        bystanders = Bystanders(lab)
        trainers = [Trainer(site, "hostile", params) for site in lab.sites]
        for t in trainers:
            t.publish(0)
        yield lab, trainers
        bystanders.go_on()


def test_honest_rounds():
    """What the hostile ones are compared with."""
    with pair() as (_, trainers):
        for round in range(1, 6):
            round_of(trainers, round)


def test_offsets_outside_the_arena():
    with pair() as (_, (a, b)):
        end = a.arena.bytes
        for offset in (end, end - 64, end - 4 * a.params + 64, 2**63, -64, -4 * a.params, 2**64 - 1, 1):
            a.offer(1, offset=offset)
            a.refusal("OFFSET")
        for size in (0, 4 * a.params - 4, 4 * a.params + 4, 2**63, -1):
            a.offer(1, size=size)
            a.refusal("OFFSET")
        round_of((a, b), 1)


@once
def test_wrong_rounds():
    with pair() as (_, (a, b)):
        round_of((a, b), 1)
        round_of((a, b), 2)
        for round in (4, 5, 100, 2**63, -1):
            a.offer(round)
            a.refusal("ROUND")
        for round in (2, 1, 0):  # long over
            a.offer(round)
            a.refusal("ROUND")
        for round in (1, 4, 2**63):
            a.publish(round)
            a.refusal("ROUND")
        round_of((a, b), 3)


@once
def test_wrong_weights():
    with pair() as (_, (a, b)):
        for weight in (0, 2**40 + 1, 2**64 - 1):
            a.offer(1, weight=weight)
            a.refusal("WEIGHT")
        round_of((a, b), 1)


@once
def test_wrong_fragments_and_commands():
    with pair() as (_, (a, b)):
        for fragment in (1, 64, 2**32 - 1):
            a.offer(1, fragment=fragment)
            a.refusal("FRAGMENT")
        for type in (0, 4, 2**32 - 1):
            a.command(type)
            a.refusal("COMMAND")
        round_of((a, b), 1)


@once
def test_not_finite():
    with pair() as (_, (a, b)):
        for value in (math.nan, math.inf, -math.inf):
            for at in (0, 500, 999):
                a.write(a.contribution(1), [1.0] * 1000)
                a.write(a.contribution(1) + 4 * at, [value])
                a.offer(1)
                a.refusal("NOT_FINITE")
        round_of((a, b), 1)


@once
def test_a_second_offer():
    with pair() as (_, (a, b)):
        a.begin(1)
        a.offer(1)
        a.refusal("OTHER_BYTES")
        b.begin(1)
        finish_round((a, b), 1)


def test_bytes_changed_while_they_are_sent():
    """The other sites hold bytes that are not those of the digest: the owner gets an error, they go on without it."""
    with pair("a", "b", "c", params=250_000, rate="20Mbit", deadline="4s") as (lab, trainers):
        a, b, c = trainers
        c.write(c.contribution(1), [1.0] * c.params)
        c.offer(1)
        wait_until(lambda: lab.sites[2].link("a")["transfers_open"] >= 1, "open transfer", 10)
        time.sleep(0.1)  # 1 MB to two peers takes 0.8 s and more
        c.write(c.contribution(1) + 4 * (c.params - 1000), [2.0] * 1000)
        a.begin(1)
        b.begin(1)
        c.refusal("CHANGED")
        finish_round((a, b), 1)
        event = c.finish(1, gxtrainer.LEFT_OUT)
        check(event.cohort == 3, "cohort %x" % event.cohort)
        c.publish(1)
        round_of(trainers, 2)


@once
def test_event_ring_not_read():
    """Nonsense without end from a trainer that reads no events: it waits, or loses its place; nobody else does."""
    with pair() as (_, (a, b)):
        sent, idle_since = 0, time.monotonic()
        while sent < 20_000 and time.monotonic() - idle_since < 0.5:
            if a.arena.u64(gxtrainer.COMMANDS_HEAD) - a.arena.u64(gxtrainer.COMMANDS_TAIL) < gxtrainer.ENTRIES:
                a.offer(sent + 5)
                sent, idle_since = sent + 1, time.monotonic()
        check(gxtrainer.ENTRIES < sent < 20_000, "%d commands were taken" % sent)
        while True:
            event = a.event(0.5)
            if event is None:
                break
            check(event.type == gxtrainer.REFUSED, "%s" % event)
        round_of((a, b), 1)


@once
def test_impossible_ring_positions():
    for name, offset, value in (("commands", gxtrainer.COMMANDS_HEAD, 5000), ("commands", gxtrainer.COMMANDS_HEAD, -1),
                                ("events", gxtrainer.EVENTS_TAIL, 5000), ("events", gxtrainer.EVENTS_TAIL, -5000)):
        with pair() as (lab, (a, b)):
            round_of((a, b), 1)
            wait_until(lambda: a.arena.u64(gxtrainer.COMMANDS_TAIL) == a.arena.u64(gxtrainer.COMMANDS_HEAD),
                       "taken commands", 10)
            a.arena.set_u64(offset, a.arena.u64(offset) + value)
            a.wake()
            said = a.farewell()
            check(said and name[:-1] in said.text and "ring" in said.text, "%s: it said %s" % (name, said))
            text = lab.sites[0].gxd.err()
            check("is broken and was dropped" in text, "the log does not say so")
            # Its successor is welcome.
            a.close()
            successor = wait_until(lambda: attach_again(lab.sites[0]), "place for a successor", 15)
            successor.publish(0)
            check(successor.event() is not None, "no event for the successor")


def attach_again(site):
    with contextlib.suppress(Refused):
        return Trainer(site, "hostile")
    return None


def test_holes_in_the_arena():
    """Seals do not stop a hole from being punched: all pages of the arena vanish, rings and a contribution that is being
    sent among them."""
    with pair(params=250_000, rate="20Mbit") as (lab, (a, b)):
        a.begin(1)
        wait_until(lambda: lab.sites[0].link("b")["transfers_open"] >= 1, "open transfer", 10)
        hole = gxtest.libc.fallocate(a.arena.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, gxtest.ctypes.c_long(0),
                                     gxtest.ctypes.c_long(a.arena.bytes))
        check(hole == 0, "fallocate failed")
        a.wake()
        time.sleep(0.5)


def test_arena_larger_than_memory():
    with Lab("a", "b", memory="64MiB") as lab:
        bystanders = Bystanders(lab)
        site = lab.sites[0]
        try:
            Trainer(site, "large", params=10_000_000)
            raise AssertionError("it was taken")
        except Refused as said:
            check(said.error == -12 and said.reason == REASON["MEMORY"], "%s" % said)
            for word in ("200 MB", "`memory:", "together"):
                check(word in said.text, "%r lacks %r" % (said.text, word))
            remark(said.text)
        perf = site.perf("large", "--bytes", "40M")
        check(perf.wait() == 1 and "`memory:" in perf.err(), "gx-perf: %s" % perf.err())
        # What an absurd size asks for is never touched.
        arena = Arena([1000])
        for count in (2**40, 2**48, 2**62, 2**64 - 1):
            with connect(site) as s, tempfile.TemporaryFile() as _:
                socket.send_fds(s, [request("absurd", arena, param_counts=[count], arena_bytes=2**63)],
                                [arena.fd, os.eventfd(0), os.eventfd(0)])
                refused(s)
        bystanders.go_on()


def refused(s, *words):
    """gxd refuses on that socket, or hangs up; and hangs up."""
    try:
        parse_reply(receive(s))
        raise AssertionError("it was taken")
    except Refused as said:
        for word in words:
            check(word in said.text, "%r lacks %r" % (said.text, word))
    check(receive(s) == b"", "it did not hang up")


@once
def test_garbage_on_the_socket():
    rng = random.Random(1)
    with Lab("a", "b") as lab:
        bystanders = Bystanders(lab)
        site = lab.sites[0]
        for size in (1, 7, 40, 575, 576, 577, 4096, 60_000):
            for _ in range(3):
                with connect(site) as s:
                    s.send(rng.randbytes(size))
                    refused(s)
        for _ in range(50):  # a word and gone
            connect(site).close()
            with connect(site) as s:
                s.send(b"x")
        bystanders.go_on()


@once
def test_bad_descriptors():
    with Lab("a", "b") as lab, tempfile.TemporaryFile() as plain, contextlib.ExitStack() as stack:
        bystanders = Bystanders(lab)
        site = lab.sites[0]
        arena = Arena([1000])
        unsealed, half_sealed = Arena([1000], seals=0), Arena([1000], seals=gxtrainer.F_SEAL_GROW)
        large, small = Arena([1000], extra_bytes=8 << 20), Arena([10])
        plain.truncate(arena.bytes)
        events = [os.eventfd(0), os.eventfd(0)]
        null = stack.enter_context(open("/dev/null")).fileno()
        read_only = os.open("/proc/self/fd/%d" % arena.fd, os.O_RDONLY)
        good = request("bad", arena)
        cases = [
            (good, [], ""), (good, [arena.fd], ""), (good, [arena.fd, events[0]], ""),
            (good, [arena.fd, *events, null], ""), (good, [arena.fd] * 100, ""),
            (good, [null, *events], "memfd"), (good, [plain.fileno(), *events], ""),
            (good, [unsealed.fd, *events], "sealed"), (good, [half_sealed.fd, *events], "sealed"),
            (good, [read_only, *events], "writing"), (good, [large.fd, *events], "bytes"),
            (good, [small.fd, *events], "bytes"), (good, [arena.fd, null, events[0]], "eventfd"),
            (good, [arena.fd, arena.fd, arena.fd], "eventfd"), (good, [events[0], *events], "memfd"),
            (request("bad", arena, versions=(2, 9)), [arena.fd, *events], "version"),
            (request(b"\xff" * 32, arena), [arena.fd, *events], "name"),
            (request(b"", arena), [arena.fd, *events], "name"),
            (request("a b", arena), [arena.fd, *events], "name"),
            (request("bad", arena, format=4), [arena.fd, *events], "format"),
            (request("bad", arena, digest=2), [arena.fd, *events], "digest"),
            (request("bad", arena, fragment_count=0), [arena.fd, *events], "fragments"),
            (request("bad", arena, fragment_count=65), [arena.fd, *events], "fragments"),
            (request("bad", arena, param_counts=[0]), [arena.fd, *events], "parameter"),
            (request("bad", arena, param_counts=[999_999]), [arena.fd, *events], "bytes"),
            (request("bad", arena, arena_bytes=arena.bytes + 4096), [arena.fd, *events], "bytes"),
        ]
        before = len(os.listdir("/proc/%d/fd" % site.gxd.pid))
        for data, descriptors, word in cases:
            with connect(site) as s:
                socket.send_fds(s, [data], descriptors)
                refused(s, word)
        for keywords in ({"magic": 1}, {"version": 2}, {"version": 0}, {"fragment_count": 2}, {"size": 1}):
            arena.write_header(**keywords)
            with connect(site) as s:
                socket.send_fds(s, [good], [arena.fd, *events])
                refused(s, "arena")
        wait_until(lambda: len(os.listdir("/proc/%d/fd" % site.gxd.pid)) <= before, "end of gxd's copies", 5)
        bystanders.go_on()


@once
def test_clients_that_say_nothing():
    """They are hung up on after a while, and others are served meanwhile."""
    with Lab("a", "b") as lab:
        bystanders = Bystanders(lab)
        silent = [connect(lab.sites[0]) for _ in range(8)]
        check(lab.sites[0].ctl("show").returncode == 0, "gxctl")
        t = Trainer(lab.sites[0], "beside")
        t.publish(0)
        lab.perf_all("beside2", "--bytes", "10K", "--rounds", "2")
        started = time.monotonic()
        for s in silent:
            check(receive(s, 30) == b"", "it said something")
        remark("hung up on after %.1f s more" % (time.monotonic() - started))
        bystanders.go_on()


@once
def test_unreadable_eventfd():
    """A trainer whose own eventfd is full and blocks its writer does not block gxd."""
    with pair() as (_, (a, b)):
        os.set_blocking(a.wake_self, True)
        os.eventfd_write(a.wake_self, 2**64 - 2)
        a.begin(1)
        b.begin(1)
        event = b.event()
        check(event.type == gxtrainer.MEMBER, "%s" % event)
        wait_until(lambda: a.arena.u64(gxtrainer.EVENTS_HEAD) == 1, "event at a", 10)


@once
def test_unknown_command_of_gxctl():
    with Lab("a", "b") as lab:
        for size in (8, 40, 44, 48):
            with connect(lab.sites[0]) as s:
                s.send(struct.pack("<II", 1, 99).ljust(size, b"\0"))
                data = receive(s)
                check(data != b"" or receive(s) == b"", "neither an answer nor a hang-up")
        check(lab.sites[0].gxd.alive(), "gxd ended")


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
