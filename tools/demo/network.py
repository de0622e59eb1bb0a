"""What lies between the demo's sites: gx-wan, and a gxd for each site.

Ports      DPDK ports in network namespaces joined by veth pairs (the default where it works: root, AF_XDP), or the kernel's
           UDP sockets on loopback, which work everywhere.
"""

import contextlib
import json
import os
import signal
import socket
import time

import namespaces
from processes import Failed

READY_S = 20.0
UDP = "udp"
DRIVERS = {"af_xdp": "net_af_xdp", "af_packet": "net_af_packet"}
DPDK_PORT = 7440


def free_ports(count):
    """UDP ports on loopback that nobody has now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class UdpPorts:
    """Sockets on loopback; gx-wan relays between them."""

    def __init__(self, names):
        ports = free_ports(2 * len(names))
        self.names, self.listen, self.target = names, ports[:len(names)], ports[len(names):]

    def wan_options(self):
        return ["--udp"] + [f"127.0.0.1:{a}=127.0.0.1:{b}" for a, b in zip(self.listen, self.target)]

    def port(self, name):
        return f'udp: "127.0.0.1:{self.target[self.names.index(name)]}"'

    def dial(self, name):
        return f"127.0.0.1:{self.listen[self.names.index(name)]}"

    def command(self, _space, argv):
        return argv

    def close(self):
        pass


class DpdkPorts:
    """A namespace for each site, with one DPDK device, and one for gx-wan, with one for each site."""

    def __init__(self, names, driver):
        self.driver, self.net = driver, namespaces.Net(names)

    def wan_options(self):
        return [word for name in self.net.names for word in ("--port", self.net.device(name, self.driver))]

    def port(self, name):
        return (f'device: "{self.driver}0,iface={namespaces.SITE_INTERFACE}", address: {self.net.address(name)}/24, '
                f"udp_port: {DPDK_PORT}")

    def dial(self, name):
        return f"{self.net.address(name)}:{DPDK_PORT}"

    def command(self, space, argv):
        return self.net.command(space, argv)

    def close(self):
        left = self.net.close()
        if left:
            raise Failed(f"these namespaces cannot be removed: {', '.join(left)}")


class Network:
    def __init__(self, settings, stage, program):
        """program: gives a program's path."""
        self.settings, self.stage, self.program = settings, stage, program
        self.ports, self.wan, self.gxds = None, None, []
        self.why_udp = None  # why the kernel's sockets were taken where nobody asked for them
        self.wan_out = stage.path("gx-wan.json")

    # ---- start ----

    def start(self):
        """Starts everything, on the ports that the settings name; with none named, on the best that work here."""
        wanted = self.settings.port
        if wanted == UDP:
            self.start_on(UdpPorts(self.settings.names))
            return
        try:
            self.start_on(DpdkPorts(self.settings.names, DRIVERS[wanted or "af_xdp"]))
        except (Failed, namespaces.Unavailable) as error:
            self.clear()
            if wanted:
                raise Failed(f"PORT={wanted}: {error}") from error
            self.why_udp = " ".join(str(error).split())
            self.start_on(UdpPorts(self.settings.names))

    def start_on(self, ports):
        self.ports = ports
        s, stage = self.settings, self.stage
        argv = [self.program("gx-wan"), *ports.wan_options(), "--rate", s.rate, "--delay", s.delay, "--loss", s.loss]
        self.wan = stage.start("gx-wan", ports.command(namespaces.WAN, argv), out=self.wan_out)
        self.wait_wan()
        sites = "".join(f'  - {{name: {n}, address: "{ports.dial(n)}"}}\n' for n in s.names)
        for name in s.names:
            with open(stage.path(name + ".yaml"), "w") as f:
                f.write(f"site: {name}\nport: {{{ports.port(name)}}}\nsocket: {stage.path(name)}.sock\n"
                        f"rate: {s.rate}\nmemory: 1GiB\nsites:\n{sites}")
            argv = [self.program("gxd"), "-c", stage.path(name + ".yaml")]
            self.gxds.append(stage.start("gxd-" + name, ports.command(name, argv)))
        for name in s.names:
            self.wait_site(name)

    def wait_wan(self):
        deadline = time.monotonic() + READY_S
        while "ready" not in self.wan.tail():
            if self.wan.status() is not None:
                raise Failed("; ".join(self.wan.tail()[-2:]) or "gx-wan ended")
            if time.monotonic() > deadline:
                raise Failed(f"gx-wan was not ready after {READY_S:.0f} s")
            time.sleep(0.02)

    def wait_site(self, name):
        deadline = time.monotonic() + READY_S
        while True:
            self.stage.check()
            try:
                self.show(name)
                return
            except Failed as error:
                if time.monotonic() > deadline:
                    raise Failed(f"gxd of site {name} was not ready after {READY_S:.0f} s: {error}") from error
            time.sleep(0.05)

    def clear(self):
        """What a start that failed has left."""
        self.stage.end([process for process in [*self.gxds, self.wan] if process])
        self.wan, self.gxds = None, []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.wan_out)
        if self.ports:
            self.ports.close()
        self.ports = None

    # ---- what it says ----

    def show(self, name, *words):
        argv = [self.program("gxctl"), "-s", self.stage.path(name) + ".sock", "show", *words, "--json"]
        return json.loads(self.stage.run("gxctl", argv, seconds=5))

    def wan_counters(self):
        self.wan.signal(signal.SIGUSR1)
        deadline = time.monotonic() + 5
        while True:
            with open(self.wan_out) as f:
                text = f.read()
            if text.endswith("\n"):
                return json.loads(text.splitlines()[-1])
            if time.monotonic() > deadline:
                raise Failed("gx-wan did not print its counters on SIGUSR1")
            time.sleep(0.02)

    def title(self):
        if isinstance(self.ports, UdpPorts):
            return f"kernel UDP on loopback, and gx-wan relays between {len(self.gxds)} gxd"
        return (f"{len(self.gxds)} namespaces with a gxd each, and gx-wan between them, on DPDK ports "
                f"({self.ports.driver} on veth pairs)")

    # ---- the end ----

    def stop(self):
        """Returns what is to be said of programs that ended badly."""
        bad = self.stage.end([*self.gxds, self.wan])
        self.ports.close()
        return bad
