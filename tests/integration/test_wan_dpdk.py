#!/usr/bin/env python3
"""gx-wan on DPDK ports: namespaces and veth pairs, and the kernel's own ping, ARP and TCP across it.

Needs root, iproute2 and a kernel with AF_XDP; what misses is said, and the test skipped. Addresses are those of namespaces
made here.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import gxtest
from gxports import namespaces
from gxtest import Process, Skip, check, remark

READY_S = 15


def need(*programs):
    why = namespaces.missing(*programs)
    if why:
        raise Skip(why)


class Bridge:
    """Namespaces of sites, and a gx-wan between them."""

    def __init__(self, names, *options, driver="net_af_xdp", checksums=False):
        need(*(["ethtool"] if checksums else []))
        try:
            self.net = namespaces.Net(list(names), checksums=checksums)
        except namespaces.Unavailable as why:
            raise Skip(str(why)) from why
        self.folder = tempfile.mkdtemp(prefix="gx-test-")
        self.processes = []
        try:
            ports = [word for name in names for word in ("--port", self.net.device(name, driver))]
            self.wan = self.start("gx-wan", "wan", [gxtest.program("gx-wan"), *ports, *options])
            gxtest.wait_until(lambda: not self.wan.alive() or "ready" in self.wan.err(), "ready gx-wan", READY_S)
            if not self.wan.alive():
                raise Skip("gx-wan does not start on %s: %s" % (driver, self.wan.err().strip()))
            check(self.wan.err() == "ready\n", "gx-wan said %r" % self.wan.err())
        except BaseException:
            self.close()
            raise

    def start(self, name, space, argv):
        process = Process(name, self.net.command(space, argv), self.folder)
        self.processes.append(process)
        return process

    def counters(self):
        """Ends gx-wan and returns what it counted."""
        self.wan.signal(signal.SIGTERM)
        check(self.wan.wait(10) == 0, "gx-wan: %s" % self.wan.err())
        return json.loads(self.wan.out())

    def ping(self, source, target, count=20, interval=0.01, extra=()):
        """(received, round-trip times in s)"""
        need("ping")
        argv = ["ping", "-n", "-c", str(count), "-i", str(interval), "-W", "2", *extra, self.net.address(target)]
        out = self.net.run(source, argv, seconds=30, check=False)
        times = [float(line.split("time=")[1].split()[0]) * 1e-3 for line in out.splitlines() if "time=" in line]
        return len(times), times

    def close(self):
        for process in self.processes:
            process.kill()
        self.left = self.net.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def path_of(counters, source, target):
    return next(p["path"] for p in counters["paths"] if (p["from"], p["to"]) == (source, target))


def test_round_trips_take_two_delays():
    with Bridge("ab", "--delay", "10ms") as bridge:
        bridge.ping("a", "b", count=1)  # ARP
        received, times = bridge.ping("a", "b")
        counters = bridge.counters()
    check(received == 20, "%d of 20 came back" % received)
    remark("round trips: %.2f to %.2f ms" % (1e3 * min(times), 1e3 * max(times)))
    check(min(times) >= 0.020, "%.6f s" % min(times))
    check(sorted(times)[10] < 0.04, "the median is %.6f s" % sorted(times)[10])
    check(counters["ports"][0]["driver"] == "net_af_xdp", "%r" % counters["ports"][0])


def test_paths_have_their_own_delay():
    with Bridge("abc", "--delay", "2ms", "--path", "a-b", "delay=12ms") as bridge:
        for target, least, most in ("b", 0.024, 0.1), ("c", 0.004, 0.02):
            bridge.ping("a", target, count=1)
            received, times = bridge.ping("a", target, count=10)
            check(received == 10, "%d of 10 came back from %s" % (received, target))
            check(least <= min(times) < most, "to %s: %.6f s" % (target, min(times)))


def test_losses_are_as_configured():
    count, p = 2000, 0.1
    with tempfile.TemporaryDirectory(prefix="gx-slots-") as folder:
        slots = os.path.join(folder, "slots")
        with Bridge("ab", "--path", "a:b", "loss=10%", "--slots", slots) as bridge:
            bridge.ping("a", "b", count=3)
            received, _ = bridge.ping("a", "b", count=count, interval=0.0005)
            path = path_of(bridge.counters(), 0, 1)
        with open(slots) as f:
            rows = [tuple(map(int, line.split())) for line in f.read().splitlines()[1:]]
    rows = [row for row in rows if row[1:3] == (0, 1)]
    check([sum(row[i] for row in rows) for i in (3, 5)] == [path["packets"], path["dropped"]["loss"]],
          "the slot log differs from %s" % path)
    sigma = (count * p * (1 - p)) ** 0.5
    remark("%d of %d pings lost" % (count - received, count))
    check(abs(count - received - count * p) < 5 * sigma, "%d of %d lost" % (count - received, count))
    check(path["packets"] - path["delivered_packets"] == path["dropped"]["loss"], "%r" % path)


def test_addresses_are_learnt():
    """The third port sees the broadcasts of ARP, and nothing of what two others say to each other."""
    with Bridge("abc") as bridge:
        received, _ = bridge.ping("a", "b", count=20)
        check(received == 20, "%d of 20 came back" % received)
        counters = bridge.counters()
    to_c = path_of(counters, 0, 2)["packets"] + path_of(counters, 1, 2)["packets"]
    check(path_of(counters, 0, 1)["packets"] >= 20, "a to b: %r" % path_of(counters, 0, 1))
    check(1 <= to_c <= 3, "%d frames went to c" % to_c)
    check(counters["flooded_packets"] == to_c, "%d flooded, %d to c" % (counters["flooded_packets"], to_c))
    check(counters["macs_learned"] == 2, "%d addresses learnt" % counters["macs_learned"])


def test_who_moves_is_found():
    """Site b takes another MAC address: after its next word frames reach it, and not the others."""
    with Bridge("abc") as bridge:
        bridge.ping("a", "b", count=2)
        bridge.net.run("b", ["ip", "link", "set", "eth0", "down"])
        bridge.net.run("b", ["ip", "link", "set", "eth0", "address", "02:00:00:00:00:77", "up"])
        bridge.net.run("a", ["ip", "neigh", "flush", "all"])
        received, _ = bridge.ping("a", "b", count=10)
        check(received == 10, "%d of 10 came back" % received)
        counters = bridge.counters()
    check(counters["macs_learned"] == 3, "%d addresses learnt" % counters["macs_learned"])


def test_large_frames_pass_whole():
    with Bridge("ab") as bridge:
        received, _ = bridge.ping("a", "b", count=10, extra=("-s", "1472", "-M", "do"))
        counters = bridge.counters()
    check(received == 10, "%d of 10 came back" % received)
    check(counters["ports"][0]["up"]["bytes"] >= 10 * 1514, "%r" % counters["ports"][0]["up"])


def test_tcp_passes_at_the_rate():
    """TCP fills most of a 50 Mbit/s link and not more."""
    need("iperf3", "ethtool")
    with Bridge("ab", "--rate", "50Mbit", "--delay", "5ms", checksums=True) as bridge:
        server = bridge.start("iperf3", "b", ["iperf3", "-s", "-1", "--forceflush"])
        gxtest.wait_until(lambda: "listening" in server.out(), "iperf3 server", 10)
        report = json.loads(bridge.net.run(
            "a", ["iperf3", "-c", bridge.net.address("b"), "-n", "6000000", "-C", "cubic", "--json"], seconds=40))
        counters = bridge.counters()
    bps = report["end"]["sum_received"]["bits_per_second"]
    remark("TCP: %.1f Mbit/s of 50" % (bps / 1e6))
    check(10e6 < bps < 50e6, "%.1f Mbit/s" % (bps / 1e6))
    check(counters["kernel_drops"] == 0, "%d frames lost before gx-wan" % counters["kernel_drops"])


def test_a_trace_is_followed():
    with tempfile.NamedTemporaryFile("w", suffix=".trace") as trace:
        trace.write("# time rate delay loss\n0 - 2ms 0\n2.5 - 20ms 0\n")
        trace.flush()
        with Bridge("ab", "--trace", trace.name) as bridge:
            started = time.monotonic()
            bridge.ping("a", "b", count=1)
            _, before = bridge.ping("a", "b", count=5)
            took = time.monotonic() - started
            time.sleep(max(0.0, 3.2 - took))
            _, after = bridge.ping("a", "b", count=5)
    if took > 2:
        raise Skip("this machine is too busy: the first pings took %.1f s" % took)
    check(0.004 <= min(before) < 0.02, "before: %r" % before)
    check(min(after) >= 0.04, "after: %r" % after)


def test_idle_costs_nothing():
    with Bridge("ab", "--delay", "1ms") as bridge:
        bridge.ping("a", "b", count=5)
        before = gxtest.cpu_seconds(bridge.wan.pid)
        time.sleep(2)
        spent = gxtest.cpu_seconds(bridge.wan.pid) - before
    check(spent <= 0.05, "%.2f s of CPU in 2 s of nothing" % spent)


def test_the_log_names_frames():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        with Bridge("ab", "--log", path) as bridge:
            bridge.ping("a", "b", count=3)
            bridge.counters()
        with open(path) as f:
            lines = [line.split() for line in f]
    kinds = {fields[4] for fields in lines}
    check({"arp", "icmp"} <= kinds, "%r" % lines)
    check(all(fields[5] == "pass" and fields[3].isdigit() for fields in lines), "%r" % lines)
    echoes = [fields for fields in lines if fields[4] == "icmp"]
    check(len(echoes) == 6 and {(f[1], f[2]) for f in echoes} == {("0", "1"), ("1", "0")}, "%r" % echoes)


def test_other_drivers():
    """af_packet carries the same."""
    with Bridge("ab", "--delay", "5ms", driver="net_af_packet") as bridge:
        bridge.ping("a", "b", count=1)
        received, times = bridge.ping("a", "b", count=10)
        counters = bridge.counters()
    check(received == 10 and min(times) >= 0.01, "%d came back, %r" % (received, times))
    check(counters["ports"][1]["driver"] == "net_af_packet", "%r" % counters["ports"][1])


def test_a_wrong_interface_is_named():
    need()
    with namespaces.Net(["a"]) as net:
        done = subprocess.run(
            net.command("wan", [gxtest.program("gx-wan"), "--port", net.device("a"), "--port", "net_af_xdp7,iface=nosuch"]),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    if "DPDK" in done.stderr and "built" in done.stderr:
        raise Skip("built without DPDK")
    check(done.returncode == 1 and "nosuch" in done.stderr, "exit %d: %r" % (done.returncode, done.stderr))


def files():
    """What DPDK keeps of processes, here and elsewhere on this machine."""
    with contextlib.suppress(FileNotFoundError):
        return set(os.listdir("/run/dpdk"))
    return set()


def test_nothing_is_left():
    links, had = os.listdir("/sys/class/net"), files()
    with Bridge("ab") as bridge:
        bridge.ping("a", "b", count=2)
        spaces = [bridge.net.space(name) for name in ("a", "b", "wan")]
        check(set(spaces) <= set(namespaces.existing()), "namespaces %r are not all there" % spaces)
    check(not bridge.left, "namespaces stay: %r" % bridge.left)
    check(not set(spaces) & set(namespaces.existing()), "of %r some stay" % spaces)
    check(not any(link.startswith("wan-") for link in set(os.listdir("/sys/class/net")) - set(links)),
          "an interface of ours lies in the first namespace")
    gxtest.wait_until(lambda: not files() - had, "end of what is new in /run/dpdk", 10)  # others may just start


def test_what_a_killed_process_left_is_removed():
    need()
    program = ("import os, signal, sys; sys.path.insert(0, %r); import namespaces; net = namespaces.Net(['a']); "
               "print(net.space('a'), flush=True); os.kill(os.getpid(), signal.SIGKILL)" % os.path.dirname(namespaces.__file__))
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=30, check=False)
    space = done.stdout.strip()
    check(space in namespaces.existing(), "%r was not left" % space)
    with namespaces.Net(["a"]):
        check(space not in namespaces.existing(), "%s stays" % space)


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
