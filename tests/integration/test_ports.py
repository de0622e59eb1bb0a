#!/usr/bin/env python3
"""What is of one kind of port only: what each copies, others than the rest of the suite runs on, two kinds that meet, and
what a device can have of its own (an interface, a server, an address)."""
import contextlib
import mmap
import os
import socket
import statistics
import struct
import sys
import time

import gxports
import gxtest
from gxports import DevicePorts, MixedPorts, PacketPorts, SixPorts, VethPorts, namespaces
from gxtest import Lab, Skip, check


# ---- other devices ----


class OneAddressPorts(VethPorts):
    def port(self, i):
        return super().port(0)


class TapPorts(PacketPorts):
    """Both sites in one namespace, on taps."""

    def device(self, i):
        return "net_tap0,iface=gxtap%d" % i

    def command(self, i, argv):
        return super().command(0, argv)


class NoInterfacePorts(DevicePorts):
    def __init__(self, names, folder, middle, workers=1):
        super().__init__(names, middle)

    def device(self, i):
        return "net_af_xdp0,iface=gxnone"

    def command(self, i, argv):
        return argv

    def close(self):
        pass


def test_rounds_on_af_xdp():
    with Lab("a", "b", ports="af_xdp") as lab:
        lab.exchange()
        check(lab.sites[0].counter("port_copied_driver_bytes_total") > 15e6, "af_xdp copies what it sends")
        for site in lab.sites:
            check("link is down" not in site.gxd.err(), "an interface that is up was taken to be down")


def test_rounds_on_memif():
    with Lab("a", "b", ports="memif") as lab:
        lab.exchange()
        counters = lab.sites[0].show("counters")["site_counters"]
        check(counters["port_copied_driver_bytes_total"] + counters["port_copied_memory_bytes_total"] == 0,
              "memif takes payloads in place")


def test_rounds_on_af_packet():
    with Lab("a", "b", ports=PacketPorts) as lab:
        lab.exchange()
        check(lab.sites[0].counter("port_copied_driver_bytes_total") == 0, "af_packet takes payloads in place")


def test_rounds_on_ipv6():
    with Lab("a", "b", ports=SixPorts) as lab:
        lab.exchange(size="1M")


def test_af_xdp_speaks_with_kernel_udp():
    with Lab("a", "b", ports=MixedPorts) as lab:
        lab.exchange(size="1M")


# ---- what a device can have of its own ----


def test_a_memif_server_may_come_back_and_come_late():
    with Lab("a", "b", ports="memif", start=False) as lab:
        server, client = lab.sites
        client.start()
        server.start()
        lab.wait_up()
        server.gxd.kill()
        server.start()
        lab.wait_up()


def ping_times(target, count):
    """Round trips of pings of the kernel in this thread's namespace, µs; a gxd that sleeps must wake to answer."""
    out = []
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
    return out


def test_an_idle_gxd_on_af_xdp_sleeps_and_wakes():
    with Lab("a", "b", ports=MixedPorts, start=False) as lab:
        site = lab.sites[0]
        site.start()
        times = gxports.in_namespace(lab.ports.net.space("b"), lambda: ping_times(lab.ports.host(0), 100))
        check(len(times) >= 95, "%d of 100 pings answered" % len(times))
        times.sort()
        before = gxtest.cpu_seconds(site.gxd.pid)
        time.sleep(2)
        used = (gxtest.cpu_seconds(site.gxd.pid) - before) / 2
        gxtest.remark("ping of a sleeping gxd: p50 %.0f us, p90 %.0f us, p99 %.0f us; idle: %.2f%% of a core" % (
            statistics.median(times), times[int(len(times) * 0.9)], times[int(len(times) * 0.99)], 100 * used))
        check(used < 0.05, "an idle gxd used %.1f%% of a core" % (100 * used))


def test_two_hosts_with_one_address_are_told():
    with Lab("a", "b", ports=OneAddressPorts, start=False) as lab:
        for site in lab.sites:
            site.start(ready=False)
        for site in lab.sites:
            site.wait_ready()
        gxtest.wait_until(lambda: any("another host claims" in site.gxd.err() for site in lab.sites), "complaint", 20)


def test_a_wrong_interface_is_refused_by_name():
    with Lab("a", "b", ports=NoInterfacePorts, start=False) as lab:
        gxd = lab.sites[0].start(ready=False)
        status = gxd.wait()
        gxtest.need_dpdk(gxd)
        check(status in (1, 2), "exit status %s" % status)
        check("there is no interface 'gxnone'" in gxd.err(), gxd.err())


def test_large_frames_on_memif():
    with Lab("a", "b", ports="memif", mtu=9000) as lab:
        lab.exchange()
        check(lab.sites[0].show()["shard_bytes"] > 8000, "shards of %s" % lab.sites[0].show()["shard_bytes"])


def test_rounds_on_taps_and_a_bridge():
    if not os.path.exists("/dev/net/tun"):
        raise Skip("no /dev/net/tun here")
    with Lab("a", "b", ports=TapPorts, start=False) as lab:
        ip = lab.ports.ip
        try:
            ip(0, "link", "add", "br0", "type", "bridge")
        except namespaces.Unavailable as why:
            raise Skip("this kernel has no bridges: %s" % why) from why
        lab.ports.link(0, "down")  # the kernel would answer on the bridge for an address that it has elsewhere
        ip(0, "address", "flush", "dev", namespaces.SITE_INTERFACE)
        for site in lab.sites:
            site.start(ready=False)
        for i, site in enumerate(lab.sites):
            site.wait_ready()
            ip(0, "link", "set", "gxtap%d" % i, "master", "br0", "up")
        ip(0, "link", "set", "br0", "up")
        lab.wait_up()
        lab.exchange(size="2M")


def huge_pages(name):
    with open("/sys/kernel/mm/hugepages/hugepages-2048kB/%s_hugepages" % name) as f:
        return int(f.read())


@contextlib.contextmanager
def reserved(lab):
    """gxctl host init's huge pages, put back by host fini."""
    words = ["-c", lab.sites[0].config, "--state", lab.path("host")]
    try:
        before = huge_pages("nr")
    except OSError as error:
        raise Skip("no huge pages of 2 MiB here: %s" % error)
    done = gxtest.run([gxtest.program("gxctl"), "host", "init", *words])
    try:
        if done.returncode or huge_pages("free") < 128:
            raise Skip("no huge pages to be had: %s" % (done.stderr.strip() or done.stdout.strip()))
        yield
    finally:
        done = gxtest.run([gxtest.program("gxctl"), "host", "fini", *words])
        check(done.returncode == 0, "host fini: %s" % done.stderr)
    gxtest.wait_until(lambda: huge_pages("nr") <= before, "huge pages as before")  # those in use go with their user


def in_huge_pages(site):
    """Starts a gxd: how many bytes of huge pages it has, and whether it says that it has some."""
    site.start(ready=False)
    gxtest.wait_until(lambda: not site.gxd.alive() or site.ctl("show", "--json").returncode == 0, "ready gxd")
    gxtest.need_dpdk(site.gxd)
    if not site.gxd.alive():
        raise Skip("it does not start, other programs of this machine take huge pages: %s" % site.gxd.err().splitlines()[-1])
    return site.show("memory")["process"]["huge_pages_bytes"], "huge pages" in site.show()["port"]


def test_huge_pages_free_and_taken():
    """Free: taken. Taken by somebody else: ordinary pages."""
    with Lab("a", "b", ports=PacketPorts, start=False, memory="512MiB") as lab:
        with reserved(lab):
            for site in lab.sites:
                memory, told = in_huge_pages(site)
                check(memory >= 8 << 20 and told, "%s bytes in huge pages, told: %s" % (memory, told))
            gxtest.remark("a gxd has %.0f MB in huge pages" % (memory / 1e6))
            lab.wait_up()
            lab.exchange(size="1M", rounds="1")
            for site in lab.sites:
                site.gxd.kill()
            for populate in 0, 0x8000:  # promised only, and really taken
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000 | populate
                try:
                    taken = mmap.mmap(-1, (huge_pages("free") - huge_pages("resv") - 4) << 21, flags=flags)
                except (OSError, ValueError) as error:
                    raise Skip("other programs of this machine take huge pages: %s" % error)
                with taken:
                    found = in_huge_pages(lab.sites[0])
                    lab.sites[0].gxd.kill()
                    if found != (0, False) and huge_pages("free") - huge_pages("resv") > 4:
                        raise Skip("other programs of this machine give huge pages back meanwhile")
                    check(found == (0, False), "%s bytes in huge pages that nobody had left" % found[0])


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
