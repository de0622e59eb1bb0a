#!/usr/bin/env python3
"""What is of one kind of port only: what each copies, others than the rest of the suite runs on, two kinds that meet, and
what a device can have of its own (an interface, a server, an address)."""
import contextlib
import mmap
import os
import socket
import statistics
import struct
import subprocess
import sys
import time

import gxports
import gxtest
from gxports import DevicePorts, XdpPorts, namespaces
from gxtest import Lab, Skip, check
from wires import Wire, configure, device, huge_pages, in_huge_pages, ip, memif_ports, need_dpdk, reserved, two


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


# ---- other devices ----


class PacketPorts(XdpPorts):
    def device(self, i):
        return "net_af_packet0,iface=" + namespaces.SITE_INTERFACE


class SixPorts(XdpPorts):
    def port(self, i):
        return '{device: "%s", address: "%s/64"}' % (self.device(i), self.host(i))

    def host(self, i):
        return "fd00:201::%d" % (i + 1)

    def address(self, i):
        return "[%s]:%d" % (self.host(i), gxports.UDP_PORT)


class MixedPorts(XdpPorts):
    """The second site is on its kernel's UDP, at the address that its kernel has."""

    def port(self, i):
        return '{udp: "%s"}' % self.address(i) if i else super().port(i)


class OneAddressPorts(XdpPorts):
    def port(self, i):
        return super().port(0)


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
        exchange(lab)
        check(lab.sites[0].counter("port_copied_driver_bytes_total") > 15e6, "af_xdp copies what it sends")
        for site in lab.sites:
            check("link is down" not in site.gxd.err(), "an interface that is up was taken to be down")


def test_rounds_on_memif():
    with Lab("a", "b", ports="memif") as lab:
        exchange(lab)
        counters = lab.sites[0].show("counters")["site_counters"]
        check(counters["port_copied_driver_bytes_total"] + counters["port_copied_memory_bytes_total"] == 0,
              "memif takes payloads in place")


def test_rounds_on_af_packet():
    with Lab("a", "b", ports=PacketPorts) as lab:
        exchange(lab)
        check(lab.sites[0].counter("port_copied_driver_bytes_total") == 0, "af_packet takes payloads in place")


def test_rounds_on_ipv6():
    with Lab("a", "b", ports=SixPorts) as lab:
        exchange(lab, size="1M")


def test_af_xdp_speaks_with_kernel_udp():
    with Lab("a", "b", ports=MixedPorts) as lab:
        exchange(lab, size="1M")


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


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
        times = gxports.in_namespace(lab.ports.net.space("b"), lambda: ping_times(lab.ports.host(0), 200))
        check(len(times) >= 190, "%d of 200 pings answered" % len(times))
        times.sort()
        before = cpu_seconds(site.gxd.pid)
        time.sleep(4)
        used = (cpu_seconds(site.gxd.pid) - before) / 4
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
    with Lab("x", start=False) as folder, two(memif_ports(folder.folder), mtu="9000") as lab:
        exchange(lab)
        check(lab.sites[0].show()["shard_bytes"] > 8000, "shards of %s" % lab.sites[0].show()["shard_bytes"])


def test_rounds_on_taps_and_a_bridge():
    if not os.path.exists("/dev/net/tun"):
        raise Skip("no /dev/net/tun here")
    with Wire() as wire, Lab("a", "b", start=False) as lab:
        space = ["-n", wire.names[0]]
        if subprocess.run(["ip", *space, "link", "add", "br0", "type", "bridge"], capture_output=True).returncode:
            raise Skip("this kernel has no bridges")
        configure(lab, [device("net_tap0,iface=gxtap%d" % i, i) for i in range(2)])
        for site in lab.sites:
            site.start(wrapper=wire.wrapper(0), ready=False)
        time.sleep(0.3)
        need_dpdk(lab)
        for i, site in enumerate(lab.sites):
            site.wait_ready()
            ip(*space, "link", "set", "gxtap%d" % i, "master", "br0", "up")
        ip(*space, "link", "set", "br0", "up")
        lab.wait_up()
        exchange(lab, size="2M")


def test_huge_pages_free_and_taken():
    """Free: taken. Taken by somebody else: ordinary pages."""
    with Wire() as wire, Lab("a", "b", start=False) as lab:
        configure(lab, [device("net_af_packet0,iface=gxv%d" % i, i) for i in range(2)], memory="512MiB")
        with reserved(lab):
            for site in lab.sites:
                memory, told = in_huge_pages(site, wire)
                check(memory >= 8 << 20 and told, "%s bytes in huge pages, told: %s" % (memory, told))
            gxtest.remark("a gxd has %.0f MB in huge pages" % (memory / 1e6))
            lab.wait_up()
            exchange(lab, size="1M", rounds="1")
            for site in lab.sites:
                site.gxd.kill()
            for populate in 0, 0x8000:  # promised only, and really taken
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000 | populate
                try:
                    taken = mmap.mmap(-1, (huge_pages("free") - huge_pages("resv") - 4) << 21, flags=flags)
                except (OSError, ValueError) as error:
                    raise Skip("other programs of this machine take huge pages: %s" % error)
                with taken:
                    found = in_huge_pages(lab.sites[0], wire)
                    lab.sites[0].gxd.kill()
                    if found != (0, False) and huge_pages("free") - huge_pages("resv") > 4:
                        raise Skip("other programs of this machine give huge pages back meanwhile")
                    check(found == (0, False), "%s bytes in huge pages that nobody had left" % found[0])


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
