"""Two or more sites in network namespaces and a gx-wan between them on af_xdp: where everything that is compared meets the
same link."""
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path += [os.path.join(ROOT, "tests", "integration"), os.path.join(ROOT, "tools", "demo")]
import gxtest  # noqa: E402
import namespaces  # noqa: E402

QUEUE_SLACK_BYTES = 64 * 1024
GX_OVERHEAD = 90 / 1408


class Cell:
    """A transfer over a link: bytes, one-way delay, loss, and the mean length of its bursts (0: losses alone)."""

    def __init__(self, name, size, delay_s, loss, burst=0, sites=2, goal=None, slack_rtt=None, redundant=None):
        self.name, self.size, self.delay_s, self.loss, self.burst, self.sites = name, size, delay_s, loss, burst, sites
        self.goal, self.slack_rtt, self.redundant = goal, slack_rtt, redundant
        self.rate_bps = 200 * 10**6

    def text(self):
        size = "%g MB" % (self.size / 1e6) if self.size >= 10**6 else "%g KB" % (self.size / 1e3)
        return "%s, %g ms, %g%%%s%s" % (size, 2e3 * self.delay_s, 100 * self.loss,
                                        " in bursts of %d" % self.burst if self.burst else "",
                                        ", %d sites all to all" % self.sites if self.sites > 2 else "")

    def law(self):
        """gx-wan's options."""
        words = ["--rate", "%dbit" % self.rate_bps, "--delay", "%gms" % (1e3 * self.delay_s)]
        if self.burst:
            return [*words, "--burst", "%g,%g,1" % (self.loss / (1 - self.loss) / self.burst, 1 / self.burst)]
        return [*words, "--loss", "%g" % self.loss]

    def queue_bytes(self):
        """Of each port: gx-wan's default."""
        return int(self.rate_bps * 2 * self.delay_s / 8) + QUEUE_SLACK_BYTES

    def bound_s(self):
        """DESIGN's bound for a transfer, the same for all that is compared."""
        bits = 8 * (self.sites - 1) * self.size * (1 + GX_OVERHEAD)
        return bits / (self.rate_bps * (1 - self.loss)) + self.delay_s


def cpu_s(pid):
    """What a process has used so far, with its threads; 0: it has ended."""
    try:
        return gxtest.cpu_seconds(pid)
    except OSError:
        return 0.0


class CpuMeter(threading.Thread):
    """The CPU time of processes that end before they could be asked: what they had used a moment before."""

    def __init__(self, *pids):
        super().__init__(daemon=True)
        self.first = {pid: cpu_s(pid) for pid in pids}
        self.last = dict(self.first)
        self.done = threading.Event()
        self.start()

    def run(self):
        while not self.done.wait(0.05):
            self.look()

    def look(self):
        for pid in self.last:
            self.last[pid] = max(self.last[pid], cpu_s(pid))

    def stop(self):
        self.look()
        self.done.set()
        self.join()
        return sum(self.last.values()) - sum(self.first.values())


class Link:
    """Sites a, b, ... and gx-wan with `options` between them."""

    def __init__(self, *options, sites=2, checksums=True):
        self.names = "abcdefghijklmnop"[:sites]
        self.net = namespaces.Net(list(self.names), checksums=checksums)
        self.folder, self.processes = tempfile.mkdtemp(prefix="gx-bench-"), []
        try:
            ports = [word for n in self.names for word in ("--port", self.net.device(n))]
            self.wan = self.start("gx-wan", "wan", [*first(2), gxtest.program("gx-wan"), *ports, *options])
            gxtest.wait_until(lambda: not self.wan.alive() or "ready" in self.wan.err(), "ready gx-wan", 15)
            if not self.wan.alive():
                raise gxtest.Skip(self.wan.err().strip())
        except BaseException:
            self.close()
            raise

    def start(self, name, space, argv):
        process = gxtest.Process(name, self.net.command(space, argv), self.folder)
        self.processes.append(process)
        return process

    def path(self, name):
        return os.path.join(self.folder, name)

    def meet(self):
        """The sites' kernels learn each other's MAC address."""
        self.net.run("a", ["ping", "-c", "2", "-i", "0.3", "-W", "2", self.net.address("b")], check=False)

    def counters(self):
        """Ends gx-wan."""
        self.wan.signal(signal.SIGTERM)
        self.wan.wait(10)
        return json.loads(self.wan.out())

    def close(self):
        for process in self.processes:
            process.kill()
        self.net.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def realtime():
    """From now on what this process starts has the CPUs before the machine's other work; False: that is not allowed, or
    REALTIME=0."""
    try:
        if os.environ.get("REALTIME", "1") != "0":
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        pass
    return os.sched_getscheduler(0) == os.SCHED_RR


def first(priority):
    """What to write before a command that comes before even those: gx-wan without a CPU is another network."""
    return ["chrt", "--rr", str(priority)] if os.sched_getscheduler(0) == os.SCHED_RR and shutil.which("chrt") else []


def load():
    """The machine's load average over the last minute."""
    return os.getloadavg()[0]


def monotonic():
    """CLOCK_MONOTONIC, which the drivers in other processes share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
