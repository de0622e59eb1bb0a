"""What lies between the sites of a lab, for each kind of port that the tests run on.

udp      sockets on loopback; in the middle a gx-wan, or a relay of ours
af_xdp   a namespace for each site; two are joined by a veth pair, more by a gx-wan, as when a test asks for one (the same
         with other drivers, or with the kernel's UDP at one end or both: classes that a test names itself)
memif    shared memory; two sites are joined directly, more by a gx-wan

Namespaces and sockets belong to this process; close() removes the former, its end the latter.
"""
import contextlib
import ctypes
import os
import select
import socket
import struct
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "demo"))
import namespaces  # noqa: E402

AF_XDP, SOL_PACKET, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 44, 263, 23, 3
UDP_PORT, UNUSED_HOST = 7440, 99
SOCKET_BYTES, SO_RCVBUFFORCE = 8 << 20, 33
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """What a test needs is not to be had here; the text says why."""


# ---- ports of loopback ----

FIRST_PORT, BLOCK, BLOCKS = 20000, 400, 30  # below the range of ephemeral ports
given = []  # the block's reservation, and the next of its ports


def reserve():
    """A block of ports that no other process of these tests uses while this one lives: whoever holds the name has it."""
    for block in range(BLOCKS):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind("\0gx-test-ports-%d" % block)
        except OSError:
            name.close()
            continue
        given[:] = [name, FIRST_PORT + block * BLOCK, FIRST_PORT + (block + 1) * BLOCK]
        return
    raise Skip("other tests use all blocks of ports")


def free_ports(count=1, host="127.0.0.1"):
    """The first of `count` UDP ports in a row that are free now and were not given out lately."""
    if not given:
        reserve()
    _, at, end = given
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(BLOCK):
        base = at if at + count <= end else end - BLOCK
        at = base + count
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, at):
                    stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)).bind((host, port))
            except OSError:
                continue
            given[1] = at
            return base
    raise Skip("no free ports of %s" % host)


# ---- relays that remember ----


class Relay:
    """Forwards between the sites of a lab as gx-wan does, unharmed, keeps what it saw, and sends what a test makes up under
    a site's address. sockets[i] is towards site i."""

    def __init__(self, sockets):
        self.sockets = sockets
        self.seen = []  # (from, to, payload): sites by index
        self.outage, self.stopping = False, False
        for s in sockets:
            s.setblocking(False)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            for s in select.select(self.sockets, [], [], 0.1)[0]:
                with contextlib.suppress(BlockingIOError):
                    for _ in range(64):
                        self.take(self.sockets.index(s), *s.recvfrom(65536))

    def close(self):
        self.stopping = True
        self.thread.join()
        for s in self.sockets:
            s.close()


class UdpRelay(Relay):
    """A packet for site i arrives at the address that i's peers dial."""

    def __init__(self, dials, binds):
        self.binds = [("127.0.0.1", port) for port in binds]
        sockets = []
        for port in dials:
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
            sockets[-1].bind(("127.0.0.1", port))
        super().__init__(sockets)

    def take(self, to, payload, sender):
        if sender in self.binds and not self.outage:
            source = self.binds.index(sender)
            self.seen.append((source, to, payload))
            self.send(payload, source, to)

    def send(self, payload, source, target):
        with contextlib.suppress(OSError):
            self.sockets[source].sendto(payload, self.binds[target])

    def send_stranger(self, payload, target):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(payload, self.binds[target])


class FrameRelay(Relay):
    """Ethernet between two namespaces. hosts: (MAC address, IPv4 address) of each site."""

    ETHERNET, IP, UDP = struct.Struct("!6s6sH"), struct.Struct("!BBHHHBBH4s4s"), struct.Struct("!HHHH")
    HEADERS = ETHERNET.size + IP.size + UDP.size

    def __init__(self, sockets, hosts):
        self.hosts = [(bytes.fromhex(mac.replace(":", "")), socket.inet_aton(ip)) for mac, ip in hosts]
        stranger = bytes([2, 0, 0, 0, 0, UNUSED_HOST]), socket.inet_aton(namespaces.PREFIX + str(UNUSED_HOST))
        self.hosts.append(stranger)
        super().__init__(sockets)

    def take(self, source, frame, _):
        if self.outage:
            return
        target = 1 - source
        if len(frame) > self.HEADERS and frame[12:14] == b"\x08\0" and frame[23] == socket.IPPROTO_UDP:
            end = self.HEADERS - self.UDP.size + struct.unpack_from("!H", frame, self.HEADERS - 4)[0]
            self.seen.append((source, target, frame[self.HEADERS:end]))
        self.put(frame, target)

    def put(self, frame, target):
        with contextlib.suppress(OSError):
            self.sockets[target].send(frame)

    def send(self, payload, source, target):
        (mac, ip), (to_mac, to_ip) = self.hosts[source], self.hosts[target]
        udp = self.UDP.pack(UDP_PORT, UDP_PORT, self.UDP.size + len(payload), 0)  # 0: without a checksum
        fields = [0x45, 0, self.IP.size + len(udp) + len(payload), 0, 0x4000, 64, socket.IPPROTO_UDP, 0, ip, to_ip]
        total = sum(struct.unpack("!10H", self.IP.pack(*fields)))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        fields[7] = ~total & 0xffff
        self.put(self.ETHERNET.pack(to_mac, mac, 0x0800) + self.IP.pack(*fields) + udp + payload, target)

    def send_stranger(self, payload, target):
        self.send(payload, len(self.hosts) - 1, target)


# ---- kinds of ports ----
# Each is made for the names of a lab's sites, with its folder; middle: whether something shall lie between the sites; workers:
# how many each gxd has.


class UdpPorts:
    def __init__(self, names, folder, middle, workers=1):
        self.workers = workers  # the ports of a site are so many in a row
        self.binds = [free_ports(workers) for _ in names]
        self.dials = [free_ports(workers) for _ in names] if middle else self.binds
        self.needs_wan = False

    def port(self, i):
        """The value of `port:` in the config of site i."""
        return '{udp: "127.0.0.1:%d"}' % self.binds[i]

    def address(self, i):
        """What the peers of site i dial."""
        return "127.0.0.1:%d" % self.dials[i]

    def unused_address(self):
        return "127.0.0.1:%d" % free_ports()

    def command(self, i, argv):
        """argv of a program that uses the port of site i."""
        return argv

    def wan_command(self, argv):
        workers = ["--workers", str(self.workers)] if self.workers > 1 else []
        return [*argv, *workers, "--udp", *("127.0.0.1:%d=127.0.0.1:%d" % pair for pair in zip(self.dials, self.binds))]

    def relay(self):
        return UdpRelay(self.dials, self.binds)

    def close(self):
        pass


class DevicePorts:
    """What DPDK devices have in common: each gxd is a host of its own."""

    def __init__(self, names, middle):
        self.names, self.needs_wan = names, len(names) > 2
        self.wan = middle or self.needs_wan

    def port(self, i, more=""):
        return '{device: "%s", address: %s/24, udp_port: %d%s}' % (self.device(i), self.host(i), UDP_PORT, more)

    def host(self, i):
        return namespaces.PREFIX + str(i + 1)

    def address(self, i):
        return "%s:%d" % (self.host(i), UDP_PORT)

    def unused_address(self):
        return "%s:%d" % (self.host(UNUSED_HOST - 1), UDP_PORT)


class VethPorts(DevicePorts):
    driver = "net_af_xdp"

    def __init__(self, names, folder, middle, workers=1):
        super().__init__(names, middle)
        need_namespaces(xdp=self.driver == "net_af_xdp")
        try:
            self.net = namespaces.Net(names, wan=self.wan or len(names) != 2)
        except namespaces.Unavailable as why:
            raise Skip(str(why)) from why

    def device(self, i):
        return "%s0,iface=%s" % (self.driver, namespaces.SITE_INTERFACE)

    def command(self, i, argv):
        return self.net.command(self.names[i], argv)

    def ip(self, i, *words):
        """The `ip` command in the namespace of site i."""
        return namespaces.ip("-n", self.net.space(self.names[i]), *words)

    def link(self, i, *words):
        """Sets the interface of site i: ip link set eth0 ..."""
        self.ip(i, "link", "set", namespaces.SITE_INTERFACE, *words)

    def wan_command(self, argv):
        ports = [word for name in self.names for word in ("--port", self.net.device(name))]
        return self.net.command(namespaces.WAN, [*argv, *ports])

    def relay(self):
        sockets, hosts = [], []
        for i, name in enumerate(self.names):
            sockets.append(packet_socket(self.net.space(namespaces.WAN), self.net.interface(name)))
            hosts.append((self.net.mac(name), self.host(i)))
        return FrameRelay(sockets, hosts)

    def close(self):
        self.net.close()


class PacketPorts(VethPorts):
    driver = "net_af_packet"


class KernelPorts(VethPorts):
    """The kernels' UDP, at the addresses that they have."""

    driver = None

    def port(self, i):
        return '{udp: "%s"}' % self.address(i)


class MixedPorts(VethPorts):
    """The second site is on its kernel's UDP."""

    def port(self, i):
        return '{udp: "%s"}' % self.address(i) if i else super().port(i)


class SixPorts(VethPorts):
    def port(self, i):
        return '{device: "%s", address: "%s/64"}' % (self.device(i), self.host(i))

    def host(self, i):
        return "fd00:201::%d" % (i + 1)

    def address(self, i):
        return "[%s]:%d" % (self.host(i), UDP_PORT)


class MemifPorts(DevicePorts):
    def __init__(self, names, folder, middle, workers=1):
        super().__init__(names, middle)
        self.folder = folder

    def memif(self, number, role, name):
        return "net_memif%d,role=%s,socket=%s,socket-abstract=no" % (number, role, os.path.join(self.folder, name))

    def device(self, i):
        if self.wan:
            return self.memif(0, "client", "memif-" + self.names[i])
        return self.memif(0, "client" if i else "server", "memif")

    def command(self, i, argv):
        return argv

    def wan_command(self, argv):
        ports = [self.memif(i, "server", "memif-" + name) for i, name in enumerate(self.names)]
        return [*argv, *(word for port in ports for word in ("--port", port))]

    def relay(self):
        raise Skip("a test can read and forge packets on sockets and veth pairs, not in the shared memory of memif")

    def close(self):
        pass


KINDS = {"udp": UdpPorts, "af_xdp": VethPorts, "memif": MemifPorts}


def need_namespaces(xdp):
    """xdp: and AF_XDP."""
    why = namespaces.missing()
    if why:
        raise Skip(why)
    if not xdp:
        return
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
    except OSError as error:
        raise Skip("no AF_XDP sockets here: %s" % error) from error


def in_namespace(space, function):
    """What function() returns, called by a thread in that namespace: sockets belong to the one in which they were made."""
    result = []

    def enter():
        fd = os.open("/run/netns/" + space, os.O_RDONLY)
        if libc.setns(fd, CLONE_NEWNET) == 0:
            result.append(function())
        os.close(fd)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return result[0]


def packet_socket(space, interface):
    """A socket for whole frames that arrive at an interface."""
    s = in_namespace(space, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)
    s.bind((interface, ETH_P_ALL))
    return s
