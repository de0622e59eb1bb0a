#!/usr/bin/env python3
"""gx-wan's UDP relay between plain sockets on loopback: addresses, delay, losses, counters."""
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import gxtest
from gxports import Skip, free_ports
from gxtest import check, program

PAYLOAD = 1456  # a full data shard and its header


class Wan:
    """A relay between `sites` sites, and a socket for each worker of each site."""

    def __init__(self, *options, sites=2, workers=1, host="127.0.0.1"):
        base = free_ports(2 * sites * workers, host)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        text = "[%s]:%d" if family == socket.AF_INET6 else "%s:%d"
        listen = [base + 2 * s * workers for s in range(sites)]
        target = [port + workers for port in listen]
        self.listen = [[(host, port + w) for w in range(workers)] for port in listen]
        self.socket = []
        for port in target:
            self.socket.append([])
            for w in range(workers):
                s = socket.socket(family, socket.SOCK_DGRAM)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
                s.bind((host, port + w))
                s.settimeout(5)
                self.socket[-1].append(s)
        pairs = ["=".join(text % (host, p) for p in pair) for pair in zip(listen, target)]
        arguments = [program("gx-wan"), "--udp", *pairs, "--workers", str(workers), *options]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        ready = self.process.stderr.readline()
        if ready != "ready\n":
            self.process.wait(5)
            raise AssertionError("no 'ready' but %r" % (ready + self.process.stderr.read()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        for site in self.socket:
            for s in site:
                s.close()

    def stop(self):
        """Ends the relay and returns its counters."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=5)
        check(self.process.returncode == 0, "exit code %d" % self.process.returncode)
        check(err == "", "it said %r" % err)
        return json.loads(out)

    def send(self, payload, source=0, target=1):
        self.socket[source][0].sendto(payload, self.listen[target][0])

    def receive(self, site=1):
        return self.socket[site][0].recvfrom(65536)

    def silent(self, site=1, seconds=0.3):
        ready, _, _ = select.select([self.socket[site][0]], [], [], seconds)
        return not ready

    def exchange(self, count, payload_bytes=PAYLOAD, interval=100e-6, linger=0.4):
        """Sends `count` numbered packets from site 0 to site 1, `interval` seconds apart, and returns what
        arrives as (number, seconds from sent to received, payload)."""
        sent_at, got = [], []
        receiver = self.socket[1][0]
        receiver.setblocking(False)
        end = time.monotonic() + linger
        while len(sent_at) < count or time.monotonic() < end:
            now = time.monotonic()
            while len(sent_at) < count and (not sent_at or now - sent_at[0] >= interval * len(sent_at)):
                sent_at.append(time.monotonic())
                self.send(struct.pack("<I", len(sent_at) - 1).ljust(payload_bytes, b"\xa5"))
                end = time.monotonic() + linger
            ready, _, _ = select.select([receiver], [], [], interval / 2)
            while ready:
                try:
                    payload = receiver.recv(65536)
                except BlockingIOError:
                    break
                number = struct.unpack("<I", payload[:4])[0]
                took = time.monotonic() - sent_at[number] if number < count else None
                got.append((number, took, payload))
        receiver.settimeout(5)
        return got


def path_counters(counters, source=0, target=1):
    for path in counters["paths"]:
        if (path["from"], path["to"]) == (source, target):
            return path["path"]
    raise AssertionError("no path from %d to %d in the JSON" % (source, target))


def test_peers_see_what_they_dial():
    with Wan(sites=3) as wan:
        for source in range(3):
            for target in range(3):
                if source == target:
                    continue
                wan.send(b"from %d" % source, source, target)
                payload, address = wan.receive(target)
                check(payload == b"from %d" % source, "payload %r" % payload)
                check(address[:2] == wan.listen[source][0], "seen from %s" % (address,))
                wan.socket[target][0].sendto(b"back", address)
                payload, address = wan.receive(source)
                check(address[:2] == wan.listen[target][0], "answer seen from %s" % (address,))


def test_workers_keep_their_ports():
    with Wan(workers=3) as wan:
        for source in range(3):
            for target in range(3):
                wan.socket[0][source].sendto(b"x", wan.listen[1][target])
                _, address = wan.socket[1][target].recvfrom(100)
                check(address == wan.listen[0][source], "seen from %s" % (address,))


def test_ipv6():
    try:
        free_ports(1, "::1")
    except Skip as why:
        raise Skip("no IPv6 on loopback") from why
    with Wan(host="::1") as wan:
        wan.send(b"six")
        payload, address = wan.receive()
        check(payload == b"six" and address[:2] == wan.listen[0][0], "%r from %s" % (payload, address))


def test_all_sizes_arrive_intact():
    with Wan() as wan:
        for size in (0, 1, 63, 64, 65, 1408, 1472, 2048, 8896, 65507):
            wan.send(os.urandom(size)[:size] if size else b"")
            payload, _ = wan.receive()
            check(len(payload) == size, "%d bytes became %d" % (size, len(payload)))
        blob = os.urandom(60000)
        wan.send(blob)
        check(wan.receive()[0] == blob, "60000 bytes changed")


def test_delay_is_kept():
    with Wan("--delay", "40ms") as wan:
        got = wan.exchange(300, interval=1e-3)
        counters = wan.stop()
    check(len(got) == 300, "%d of 300 arrived" % len(got))
    check(min(g[1] for g in got) >= 0.040, "one took only %.6f s" % min(g[1] for g in got))
    typical = sorted(g[1] for g in got)[150]
    check(typical < 0.080, "the median took %.6f s" % typical)
    check([g[0] for g in got] == list(range(300)), "out of order")
    gxtest.remark("the median took %.2f ms; late by %.0f us" % (1e3 * typical, counters["late_mean_us"]))


def test_rate_is_kept():
    with Wan("--rate", "20Mbit", "--queue", "10M") as wan:
        begin = time.monotonic()
        for _ in range(500):
            wan.send(bytes(PAYLOAD))
        for _ in range(500):
            wan.receive()
        seconds = time.monotonic() - begin
    expected = 500 * (PAYLOAD + 42) * 8 / 20e6
    gxtest.remark("%.4f s, %.4f at the rate" % (seconds, expected))
    check(expected <= seconds < 2 * expected, "%.4f s, not %.4f" % (seconds, expected))


def test_queue_drops_its_tail():
    with Wan("--rate", "8Mbit", "--queue", "15000") as wan:
        begin = time.monotonic()
        for _ in range(100):
            wan.send(bytes(958))  # 1000 as a frame: 1 ms
        left = int((time.monotonic() - begin) * 1000)  # may have left the queue meanwhile
        got = []
        while not wan.silent():
            got.append(wan.receive())
        counters = wan.stop()
    port = counters["ports"][0]["up"]
    check(port["packets"] == 100, "%d counted" % port["packets"])
    check(15 <= len(got) <= 17 + left, "%d passed a queue of 15, in %d ms" % (len(got), left))
    check(port["dropped"]["queue"] == 100 - len(got), "%s dropped" % port["dropped"])


def test_loss_is_as_configured():
    with Wan("--loss", "0.05", "--delay", "5ms", "--rate", "200Mbit", "--seed", "7") as wan:
        got = wan.exchange(5000)
        counters = wan.stop()
    path = path_counters(counters)
    check(path["packets"] == 5000, "%d entered the path" % path["packets"])
    check(counters["kernel_drops"] == 0, "%d dropped by the kernel" % counters["kernel_drops"])
    check(len(got) == path["delivered_packets"], "%d arrived, %d delivered" %
          (len(got), path["delivered_packets"]))
    # 5000 * 0.05 = 250, standard deviation 15.4
    check(abs(path["dropped"]["loss"] - 250) < 5 * 15.4, "%d lost" % path["dropped"]["loss"])
    check(abs(path["loss"] - path["dropped"]["loss"] / 5000) < 1e-6, "loss %s" % path["loss"])


def test_same_seed_loses_the_same():
    arrived = []
    for seed in ("3", "3", "4"):
        with Wan("--loss", "0.2", "--seed", seed) as wan:
            arrived.append([g[0] for g in wan.exchange(500)])
    check(arrived[0] == arrived[1], "seed 3 twice differs")
    check(arrived[0] != arrived[2], "seeds 3 and 4 are the same")


def test_bursts():
    with Wan("--burst", "0.02,0.2,1") as wan:
        got = wan.exchange(5000)
        path = path_counters(wan.stop())
    check(path["dropped"]["burst"] == 5000 - len(got), "%s" % path["dropped"])
    check(0.05 < path["loss"] < 0.14, "loss %s, expected about 0.091" % path["loss"])
    check(3.5 < path["mean_burst_packets"] < 6.5, "mean burst %s" % path["mean_burst_packets"])
    runs = sum(path["bursts"].values())
    check(abs(path["mean_burst_packets"] * runs - path["dropped"]["burst"]) < 0.5, "histogram %s" % path["bursts"])
    check(path["bursts"]["1"] < 0.35 * runs, "runs of one packet, expected a fifth: %s" % path["bursts"])


def test_slots():
    """What the slot log says, summed, is what the counters say, and lies in the time when it was sent."""
    with tempfile.TemporaryDirectory(prefix="gx-slots-") as folder:
        path = os.path.join(folder, "slots")
        with Wan("--rate", "100Mbit", "--burst", "0.02,0.2,1", "--slots", path) as wan:
            first = time.monotonic()
            wan.exchange(2000)
            last = time.monotonic()
            counted = path_counters(wan.stop())
        with open(path) as f:
            title, *lines = f.read().splitlines()
    check(title.startswith("gx-wan slots 1:"), title)
    rows = [tuple(map(int, line.split())) for line in lines]
    check(all(row[1:3] == (0, 1) for row in rows), "another path than 0 to 1")
    check([row[0] for row in rows] == sorted(set(row[0] for row in rows)), "not one line a millisecond, in order")
    check(1e3 * first - 1 <= rows[0][0] and rows[-1][0] <= 1e3 * last, "not within %f to %f: %s, %s" % (
        first, last, rows[0], rows[-1]))
    sums = [sum(row[i] for row in rows) for i in range(3, 7)]
    check(sums == [counted["packets"], counted["bytes"], counted["dropped"]["burst"],
                   counted["bytes"] - counted["delivered_bytes"]], "%s, but %s" % (sums, counted))


def test_duplicates():
    with Wan("--dup", "0.2") as wan:
        got = wan.exchange(1000)
        path = path_counters(wan.stop())
    check(len(got) == 1000 + path["duplicated"], "%d arrived, %s" % (len(got), path))
    check(len({g[0] for g in got}) == 1000, "some are missing")
    check(130 < path["duplicated"] < 270, "%d duplicated" % path["duplicated"])


def test_corruption_flips_one_bit():
    with Wan("--corrupt", "1") as wan:
        for _ in range(200):
            wan.send(bytes(1000))
            payload, _ = wan.receive()
            bits = sum(bin(b).count("1") for b in payload)
            check(bits == 1, "%d bits flipped" % bits)
        check(path_counters(wan.stop())["corrupted"] == 200, "not counted")


def test_reordering():
    with Wan("--delay", "5ms", "--reorder", "0.1,4ms") as wan:
        got = wan.exchange(2000)
        path = path_counters(wan.stop())
    numbers = [g[0] for g in got]
    check(sorted(numbers) == list(range(2000)), "%d arrived" % len(numbers))
    check(130 < path["reordered"] < 270, "%d reordered" % path["reordered"])
    overtaken = sum(1 for a, b in zip(numbers, numbers[1:]) if b < a)
    check(overtaken > 100, "%d steps back" % overtaken)


def test_jitter_keeps_order():
    with Wan("--delay", "5ms", "--jitter", "10ms") as wan:
        got = wan.exchange(500, interval=1e-3)
    check([g[0] for g in got] == list(range(500)), "out of order or lost")
    spread = max(g[1] for g in got) - min(g[1] for g in got)
    check(spread > 0.005, "spread %.6f s" % spread)


def test_outage():
    with Wan("--outage", "1,2") as wan:
        started = time.monotonic()
        wan.send(b"before")
        check(wan.receive()[0] == b"before", "wrong packet")
        time.sleep(max(0, started + 1.3 - time.monotonic()))
        wan.send(b"within")
        if time.monotonic() - started > 1.9:
            raise Skip("this machine is too busy to send a packet within half a second")
        time.sleep(started + 2.2 - time.monotonic())
        wan.send(b"after")
        check(wan.receive()[0] == b"after", "the outage let a packet through")
        check(path_counters(wan.stop())["dropped"]["outage"] == 1, "not counted")


def test_strangers_are_dropped():
    with Wan() as wan, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        for _ in range(5):
            stranger.sendto(b"let me in", wan.listen[1][0])
        check(wan.silent(0) and wan.silent(1, 0), "a stranger's packet was forwarded")
        counters = wan.stop()
    check(counters["stranger_packets"] == 5, "%d counted" % counters["stranger_packets"])
    check(counters["ports"][0]["up"]["packets"] == 0, "a site was charged for it")


def test_counters_on_signal():
    with Wan() as wan:
        wan.send(bytes(100))
        wan.receive()
        wan.process.send_signal(signal.SIGUSR1)
        first = json.loads(wan.process.stdout.readline())
        wan.send(bytes(100))
        wan.receive()
        last = wan.stop()
    check(first["ports"][0]["up"]["packets"] == 1, "first %s" % first)
    check(last["ports"][0]["up"]["packets"] == 2, "last %s" % last)
    check(last["ports"][0]["up"]["bytes"] == 2 * 142, "bytes %s" % last)
    check(last["ports"][1]["down"]["delivered_packets"] == 2, "down %s" % last)
    check(last["sent_packets"] == 2 and last["seconds"] > 0, "%s" % last)


def test_log():
    header = struct.pack("<BBHIQ", 0x13, 0, 8, 1, 4711).ljust(48, b"\0")
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "packets")
        with Wan("--log", name) as wan:
            before = time.time()
            wan.send(header + bytes(range(16)))
            wan.receive()
            wan.send(b"not gx", 1, 0)
            wan.receive(0)
            after = time.time()
            wan.stop()
        with open(name, encoding="ascii") as log:
            lines = [line.split() for line in log]
    check(len(lines) == 2, "%s" % lines)
    check(before - 1e-5 <= float(lines[0][0]) <= float(lines[1][0]) <= after, "times %s" % lines)
    check(lines[0][1:] == ["0", "1", "64", "3", "pass", "4711", bytes(range(16)).hex()], "%s" % lines[0])
    check(lines[1][1:] == ["1", "0", "6", "14", "pass", "-"], "%s" % lines[1])


def test_idle_costs_nothing():
    with Wan("--rate", "200Mbit", "--delay", "25ms") as wan:
        wan.send(b"x")
        wan.receive()

        before = gxtest.cpu_seconds(wan.process.pid)
        time.sleep(1)
        used = gxtest.cpu_seconds(wan.process.pid) - before
    check(used <= 0.05, "%.2f s of CPU in an idle second" % used)


def test_usage_errors_name_the_culprit():
    pairs = ["127.0.0.1:7440=127.0.0.1:7441", "127.0.0.1:7450=127.0.0.1:7451"]
    cases = [
        ([], "--udp"),
        (["--udp", pairs[0]], "two"),
        (["--udp", "nonsense", pairs[0]], "'nonsense'"),
        (["--udp", pairs[0], pairs[0]], "127.0.0.1:7440"),
        (["--udp", *pairs, "--rate", "200Mbps"], "'200Mbps'"),
        (["--udp", *pairs, "--delay", "25"], "'25'"),
        (["--udp", *pairs, "--loss", "1.5"], "'1.5'"),
        (["--udp", *pairs, "--burst", "0.1,0.2"], "'0.1,0.2'"),
        (["--udp", *pairs, "--outage", "3,2"], "'3,2'"),
        (["--udp", *pairs, "--queue", "many"], "'many'"),
        (["--udp", *pairs, "--seed", "-1"], "'-1'"),
        (["--udp", *pairs, "--workers", "0"], "'0'"),
        (["--udp", *pairs, "--no-such"], "--no-such"),
    ]
    for arguments, culprit in cases:
        done = subprocess.run([program("gx-wan"), *arguments], capture_output=True, text=True, timeout=5)
        check(done.returncode == 2, "%s: exit code %d" % (arguments, done.returncode))
        check(culprit in done.stderr, "%s: %r lacks %s" % (arguments, done.stderr, culprit))
    done = subprocess.run([program("gx-wan"), "--help"], capture_output=True, text=True, timeout=5)
    check(done.returncode == 0 and "--burst" in done.stdout, "--help: %r" % done)


def test_taken_address_is_named():
    with Wan() as wan:
        other = "127.0.0.1:1=127.0.0.1:2"
        taken = "%s:%d" % wan.listen[0][0]
        done = subprocess.run([program("gx-wan"), "--udp", taken + "=127.0.0.1:3", other], capture_output=True,
                              text=True, timeout=5)
    check(done.returncode == 1 and taken in done.stderr, "%d, %r" % (done.returncode, done.stderr))


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
