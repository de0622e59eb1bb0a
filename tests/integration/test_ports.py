#!/usr/bin/env python3
"""gxd on DPDK devices: af_xdp and af_packet over a veth pair between two network namespaces, memif between two
processes. Namespaces are named after this process and deleted by it; what cannot be had here is skipped with the reason."""
import contextlib
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import gxtest
from gxtest import Lab, Skip, check

ADDRESSES = ["10.201.0.1", "10.201.0.2"]
ADDRESSES_6 = ["fd00:201::1", "fd00:201::2"]


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    check(done.returncode == 0, "ip %s: %s" % (" ".join(words), done.stderr.strip()))


class Wire:
    """Two namespaces with a veth pair between them: gxv0 in the first, gxv1 in the second."""

    def __init__(self):
        self.names = ["gxt%d-%d" % (os.getpid(), i) for i in range(2)]

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("network namespaces need root")
        if not shutil.which("ip"):
            raise Skip("iproute2 is not installed")
        try:
            for name in self.names:
                ip("netns", "add", name)
            ip("-n", self.names[0], "link", "add", "gxv0", "type", "veth", "peer", "name", "gxv1", "netns", self.names[1])
            for i, name in enumerate(self.names):
                ip("-n", name, "link", "set", "gxv%d" % i, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def wrapper(self, i):
        return ["ip", "netns", "exec", self.names[i]]


def need_dpdk(lab):
    """Skips when gxd was built without DPDK."""
    site = lab.sites[0]
    if "without DPDK" in site.gxd.err():
        raise Skip("gxd is built without DPDK")


def need_xdp():
    try:
        socket.socket(44, socket.SOCK_RAW).close()
    except OSError as error:
        raise Skip("no AF_XDP sockets here: %s" % error)


def configure(lab, ports, **keys):
    """ports: the `port:` line's value for each site."""
    keys = {"rate": "200Mbit", "memory": "256MiB", **keys}
    for site, port in zip(lab.sites, ports):
        lines = ["site: %s" % site.name, "port: %s" % port, "socket: %s" % site.socket]
        lines += ["%s: %s" % pair for pair in keys.items()]
        lines += ["sites:"]
        hosts = ["[%s]" % a for a in ADDRESSES_6] if "fd00:201" in port else ADDRESSES
        lines += ['  - {name: %s, address: "%s:7440"}' % (s.name, a) for s, a in zip(lab.sites, hosts)]
        with open(site.config, "w") as f:
            f.write("\n".join(lines) + "\n")


def device(text, i, more=""):
    return '{device: "%s", address: %s/24%s}' % (text, ADDRESSES[i], more)


@contextlib.contextmanager
def two(ports, wire=None, **keys):
    with Lab("a", "b", start=False) as lab:
        configure(lab, ports, **keys)
        for i, site in enumerate(lab.sites):
            site.start(wrapper=wire.wrapper(i) if wire else (), ready=False)
        time.sleep(0.3)
        need_dpdk(lab)
        lab.wait_up()
        yield lab


def exchange(lab, name="r", size="5M", rounds="3"):
    for report in lab.perf_all(name, "--bytes", size, "--rounds", rounds):
        check(report["errors"] == 0 and report["checked_rounds"] == int(rounds) + 1, "report %s" % report)
    for site in lab.sites:
        counters = site.show("counters")["site_counters"]
        link = site.link("b" if site.name == "a" else "a")
        gxtest.remark("%s on %s: %.1f MB sent, in place %.1f MB, copied by driver's need %.1f MB, by memory %.1f MB, on "
                      "receive %.1f MB; lost %d" % (
                          site.name, site.show()["port"], link["sent_bytes"] / 1e6,
                          counters["port_sent_in_place_bytes_total"] / 1e6,
                          counters["port_copied_driver_bytes_total"] / 1e6,
                          counters["port_copied_memory_bytes_total"] / 1e6,
                          counters["port_copied_receive_bytes_total"] / 1e6, link["lost_packets"]))


def af_xdp_ports():
    need_xdp()
    return [device("net_af_xdp0,iface=gxv%d" % i, i) for i in range(2)]


def test_rounds_on_af_xdp():
    ports = af_xdp_ports()
    with Wire() as wire, two(ports, wire) as lab:
        exchange(lab)
        check(lab.sites[0].counter("port_copied_driver_bytes_total") > 15e6, "af_xdp copies what it sends")


def test_rounds_on_af_xdp_with_a_key():
    ports = af_xdp_ports()
    with tempfile.TemporaryDirectory() as folder:
        key = os.path.join(folder, "key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
            f.write(gxtest.run([gxtest.program("gxctl"), "key", "generate"]).stdout)
        with Wire() as wire, two(ports, wire, security="psk", key=key) as lab:
            exchange(lab)
            check(lab.sites[0].counter("copied_encrypt_bytes_total", "b") >= 15e6, "nothing was encrypted")


def test_rounds_on_af_packet():
    with Wire() as wire, two([device("net_af_packet0,iface=gxv%d" % i, i) for i in range(2)], wire) as lab:
        exchange(lab)
        check(lab.sites[0].counter("port_copied_driver_bytes_total") == 0, "af_packet takes payloads in place")


def test_rounds_on_ipv6():
    need_xdp()
    ports = ['{device: "net_af_xdp0,iface=gxv%d", address: "%s/64"}' % (i, ADDRESSES_6[i]) for i in range(2)]
    with Wire() as wire, two(ports, wire) as lab:
        exchange(lab)


def memif_ports(folder):
    path = os.path.join(folder, "memif.sock")
    return [device("net_memif0,role=%s,socket=%s,socket-abstract=no" % (role, path), i)
            for i, role in enumerate(["server", "client"])]


def test_rounds_on_memif():
    with Lab("x", start=False) as folder, two(memif_ports(folder.folder)) as lab:
        exchange(lab)
        counters = lab.sites[0].show("counters")["site_counters"]
        check(counters["port_copied_driver_bytes_total"] + counters["port_copied_memory_bytes_total"] == 0,
              "memif takes payloads in place")


def test_large_frames_on_memif():
    with Lab("x", start=False) as folder, two(memif_ports(folder.folder), mtu="9000") as lab:
        exchange(lab)
        check(lab.sites[0].show()["shard_bytes"] > 8000, "shards of %s" % lab.sites[0].show()["shard_bytes"])


def test_af_xdp_speaks_with_kernel_udp():
    need_xdp()
    ports = [device("net_af_xdp0,iface=gxv0", 0), '{udp: "%s:7440"}' % ADDRESSES[1]]
    with Wire() as wire:
        ip("-n", wire.names[1], "addr", "add", ADDRESSES[1] + "/24", "dev", "gxv1")
        with two(ports, wire) as lab:
            exchange(lab)


def test_a_killed_gxd_on_af_xdp_is_back_at_once():
    ports = af_xdp_ports()
    with Wire() as wire, two(ports, wire) as lab:
        site = lab.sites[1]
        site.gxd.kill()
        start = time.monotonic()
        site.start(wrapper=wire.wrapper(1))
        gxtest.remark("ready %.2f s after kill -9 and start" % (time.monotonic() - start))
        lab.wait_up()
        gxtest.remark("link up %.2f s after" % (time.monotonic() - start))
        exchange(lab, size="1M")


def test_a_memif_server_may_come_back_and_come_late():
    with Lab("x", start=False) as folder, Lab("a", "b", start=False) as lab:
        configure(lab, memif_ports(folder.folder))
        client, server = lab.sites[1], lab.sites[0]
        client.start(ready=False)
        time.sleep(0.5)
        if "without DPDK" in client.gxd.err():
            raise Skip("gxd is built without DPDK")
        client.wait_ready()
        server.start()
        lab.wait_up()
        server.gxd.kill()
        server.start()
        lab.wait_up()


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ping_times(namespace, target, count):
    """Round trips of pings of the kernel in that namespace, µs; a gxd that sleeps must wake to answer."""
    out = []

    def pinger():
        libc = gxtest.libc
        fd = os.open("/run/netns/" + namespace, os.O_RDONLY)
        check(libc.setns(fd, 0x40000000) == 0, "setns")
        os.close(fd)
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
            s.settimeout(1)
            for sequence in range(count):
                time.sleep(0.02)
                body = struct.pack("!BBHHH", 8, 0, 0, 7, sequence)
                total = sum(struct.unpack("!4H", body))
                total = (total & 0xffff) + (total >> 16)
                body = struct.pack("!BBHHH", 8, 0, ~total & 0xffff, 7, sequence)
                start = time.monotonic_ns()
                s.sendto(body, (target, 0))
                with contextlib.suppress(TimeoutError):
                    while True:
                        reply = s.recv(256)
                        if reply[20] == 0 and reply[26:28] == struct.pack("!H", sequence):
                            break
                    out.append((time.monotonic_ns() - start) / 1000)

    thread = threading.Thread(target=pinger)  # setns is of a thread
    thread.start()
    thread.join()
    return out


def test_an_idle_gxd_on_af_xdp_sleeps_and_wakes():
    need_xdp()
    with Wire() as wire, Lab("a", "b", start=False) as lab:
        configure(lab, [device("net_af_xdp0,iface=gxv0", 0), device("net_af_xdp0,iface=gxv1", 1)])
        ip("-n", wire.names[1], "addr", "add", ADDRESSES[1] + "/24", "dev", "gxv1")
        site = lab.sites[0]
        site.start(wrapper=wire.wrapper(0), ready=False)
        time.sleep(0.3)
        need_dpdk(lab)
        site.wait_ready()
        times = ping_times(wire.names[1], ADDRESSES[0], 200)
        check(len(times) >= 195, "%d of 200 pings answered" % len(times))
        times.sort()
        pid = site.gxd.popen.pid
        before = cpu_seconds(pid)
        time.sleep(4)
        used = (cpu_seconds(pid) - before) / 4
        gxtest.remark("ping of a sleeping gxd: p50 %.0f us, p90 %.0f us, p99 %.0f us; idle: %.2f%% of a core" % (
            statistics.median(times), times[int(len(times) * 0.9)], times[int(len(times) * 0.99)], 100 * used))
        check(used < 0.05, "an idle gxd used %.1f%% of a core" % (100 * used))


def test_two_hosts_with_one_address_are_told():
    need_xdp()
    with Wire() as wire, Lab("a", "b", start=False) as lab:
        configure(lab, [device("net_af_xdp0,iface=gxv%d" % i, 0) for i in range(2)])
        for i, site in enumerate(lab.sites):
            site.start(wrapper=wire.wrapper(i), ready=False)
        time.sleep(0.3)
        need_dpdk(lab)
        gxtest.wait_until(lambda: any("another host claims" in site.gxd.err() for site in lab.sites), "complaint", 10)


def test_a_wrong_interface_is_refused_by_name():
    with Lab("a", "b", start=False) as lab:
        configure(lab, [device("net_af_xdp0,iface=gxnone", 0), device("net_af_xdp0,iface=gxnone", 1)])
        gxd = lab.sites[0].start(ready=False)
        status = gxd.wait()
        if "without DPDK" in gxd.err():
            raise Skip("gxd is built without DPDK")
        check(status in (1, 2), "exit status %s" % status)
        check("there is no interface 'gxnone'" in gxd.err(), gxd.err())


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
