"""Network namespaces for sites and the network between them: one each for the sites, one for gx-wan.

    with Net(["a", "b"]) as net:
        net.run("a", ["ping", "-c", "1", net.address("b")])    # each site has an interface eth0
        net.command("wan", ["gx-wan", "--port", net.device("a"), "--port", net.device("b")])

Each site's eth0 is one end of a veth pair; the other, wan-a, wan-b, ..., lies in the namespace of gx-wan, where it has no
address. Names are unique to the process (gx-PID-a), so that several can run at once. Addresses are 10.201.0.1, .2, ... and
exist in these namespaces only. Everything goes with the namespaces, which close() removes; those of a process that was
killed are removed when the next one starts. Needs root and iproute2.
"""

import os
import re
import shutil
import subprocess
import time

# Ctrl-C reaches the foreground's whole process group: the commands here run in sessions of their own, so that what is being
# made or removed is finished.
PREFIX = "10.201.0."
SITE_INTERFACE = "eth0"
WAN = "wan"
TIMEOUT_S = 10


class Unavailable(Exception):
    """Namespaces cannot be used here; the text says why."""


def ip(*words):
    try:
        done = subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=TIMEOUT_S, check=False, start_new_session=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"ip {' '.join(words)}: {error}") from error
    if done.returncode != 0:
        raise Unavailable(f"ip {' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def existing():
    """Names of all namespaces that `ip netns` knows."""
    return [line.split()[0] for line in ip("netns", "list").splitlines() if line.strip()]


def missing(*programs):
    """What is not there of root's rights and the programs; None: all is."""
    if os.geteuid() != 0:
        return "not root"
    for name in ("ip", *programs):
        if not shutil.which(name):
            return f"no `{name}` command"
    return None


def remove_stale():
    """Removes what processes that no longer live have left."""
    for name in existing():
        owner = re.fullmatch(r"gx-(\d+)(-\d+)?-[a-z]+", name)
        if owner and not os.path.exists(f"/proc/{owner[1]}"):
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False,
                           start_new_session=True)


class Net:
    all = []

    def __init__(self, names, mtu=1500, checksums=False, wan=True):
        """checksums: the sites' kernels fill in checksums and send no frame larger than the MTU, without which their TCP
        does not pass a device that hands on frames as they are. Needs `ethtool`. wan=False: two sites, joined directly."""
        why = missing("ethtool") if checksums else missing()
        if why:
            raise Unavailable(why)
        self.names, self.made = list(names), []
        self.tag = f"gx-{os.getpid()}" + (f"-{len(Net.all)}" if Net.all else "")
        Net.all.append(self)
        remove_stale()
        try:
            for name in [*self.names, *([WAN] if wan else [])]:
                self.add(name)
            if wan:
                for name in self.names:
                    self.join((WAN, self.interface(name)), (name, SITE_INTERFACE), mtu)
            else:
                self.join(*((name, SITE_INTERFACE) for name in self.names), mtu)
            for name in self.names:
                self.set_up(name, checksums)
        except BaseException:
            self.close()
            raise

    def add(self, name):
        space = self.space(name)
        self.made.append(space)
        ip("netns", "add", space)
        # Whatever the kernel says by itself on a new interface is not the site's traffic.
        self.run(name, ["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; "
                                    "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"], check=False)
        ip("-n", space, "link", "set", "lo", "up")

    def join(self, one, other, mtu):
        """A veth pair between two namespaces: each end is (name, interface)."""
        (name, interface), (peer, peer_interface) = one, other
        ip("-n", self.space(name), "link", "add", interface, "mtu", str(mtu), "type", "veth",
           "peer", "name", peer_interface, "mtu", str(mtu), "netns", self.space(peer))
        ip("-n", self.space(name), "link", "set", interface, "up")

    def set_up(self, name, checksums):
        if checksums:
            self.run(name, ["ethtool", "-K", SITE_INTERFACE, "tx", "off", "tso", "off", "gso", "off", "gro", "off"])
        ip("-n", self.space(name), "address", "add", self.address(name) + "/24", "dev", SITE_INTERFACE)
        ip("-n", self.space(name), "link", "set", SITE_INTERFACE, "up")

    # ---- names ----

    def space(self, name):
        return f"{self.tag}-{name}"

    def interface(self, name):
        """Of gx-wan, towards a site."""
        return f"wan-{name}"

    def address(self, name):
        return PREFIX + str(self.names.index(name) + 1)

    def device(self, name, driver="net_af_xdp"):
        """gx-wan's DPDK device string."""
        return f"{driver}{self.names.index(name)},iface={self.interface(name)}"

    def mac(self, name):
        return ip("-n", self.space(name), "-o", "link", "show", SITE_INTERFACE).split("link/ether ")[1].split()[0]

    # ---- programs ----

    def command(self, name, argv):
        """argv of a program inside a namespace. It keeps the process id."""
        return ["ip", "netns", "exec", self.space(name), *argv]

    def run(self, name, argv, seconds=TIMEOUT_S, check=True):
        """A command that ends by itself; returns its stdout."""
        try:
            done = subprocess.run(self.command(name, argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=seconds, check=False,
                                  start_new_session=True)
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{' '.join(argv)} in {self.space(name)}: no end after {seconds} s") from error
        if check and done.returncode != 0:
            raise Unavailable(f"{' '.join(argv)} in {self.space(name)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    # ---- the end ----

    def close(self):
        """Removes every namespace. Processes inside must have been ended before. Returns the names that stayed."""
        deadline = time.monotonic() + TIMEOUT_S
        for space in reversed(self.made):
            subprocess.run(["ip", "netns", "delete", space], stderr=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False,
                           start_new_session=True)
        while True:
            left = [space for space in self.made if os.path.exists("/run/netns/" + space)]
            if not left or time.monotonic() > deadline:
                self.made = left
                return left
            time.sleep(0.05)

    @staticmethod
    def close_all():
        """Also those whose making was interrupted."""
        for net in Net.all:
            net.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
