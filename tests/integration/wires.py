"""Two gxds at the two ends of one veth pair, with ports that a test writes down itself: for what the kinds of gxports do not
vary (queues, MTUs, gateways, taps, huge pages, benches). Namespaces are named after this process and deleted by it."""
import contextlib
import os
import shutil
import socket
import subprocess
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


def configure(lab, ports, addresses=None, **keys):
    """ports: the `port:` line's value for each site; addresses: theirs, if not this file's."""
    keys = {"rate": "200Mbit", "memory": "256MiB", **keys}
    for site, port in zip(lab.sites, ports):
        lines = ["site: %s" % site.name, "port: %s" % port, "socket: %s" % site.socket]
        lines += ["%s: %s" % pair for pair in keys.items()]
        lines += ["sites:"]
        hosts = addresses or (["[%s]" % a for a in ADDRESSES_6] if "fd00:201" in port else ADDRESSES)
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


def memif_ports(folder):
    path = os.path.join(folder, "memif.sock")
    return [device("net_memif0,role=%s,socket=%s,socket-abstract=no" % (role, path), i)
            for i, role in enumerate(["server", "client"])]


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def in_huge_pages(site, wire):
    """Starts a gxd: how many bytes of huge pages it has, and whether it says that it has some."""
    site.start(wrapper=wire.wrapper(site.index), ready=False)
    gxtest.wait_until(lambda: not site.gxd.alive() or site.ctl("show", "--json").returncode == 0, "ready gxd")
    if not site.gxd.alive():
        need_dpdk(site.lab)
        raise Skip("it does not start, other programs of this machine take huge pages: %s" % site.gxd.err().splitlines()[-1])
    return site.show("memory")["process"]["huge_pages_bytes"], "huge pages" in site.show()["port"]
