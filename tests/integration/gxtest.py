"""What the integration tests share: real processes on loopback, each ended by its own process id.

GX_BIN names the folder of the programs (default build/bin). A test file prints "ok NAME", "not ok NAME: why" or
"skip NAME: why" for each test, and lines that start with "#"; it exits 0, 1, or 77 when everything was skipped.

    with gxtest.Lab("a", "b", wan=["--loss", "0.01"]) as lab:
        reports = lab.perf_all("run", "--bytes", "1M", "--rounds", "4")
"""
import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BIN = os.path.abspath(os.environ.get("GX_BIN", "build/bin"))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HANG_S = 60  # nothing here takes nearly so long; a test that waits longer has found a hang

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    pass


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def remark(text):
    print("# " + text, flush=True)


def program(name):
    path = os.path.join(BIN, name)
    if not os.access(path, os.X_OK):
        raise Skip("%s is not built" % path)
    return path


def wait_until(condition, what, seconds=HANG_S, interval=0.02):
    """Returns condition()'s first true value; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < end, "no %s within %.0f s" % (what, seconds))
        time.sleep(interval)


# ---- ports ----


def is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(count=1, taken=set()):
    """The first of `count` UDP ports of 127.0.0.1 in a row that are free now and were not given out before. Below the
    range of ephemeral ports."""
    first = 20000 + os.getpid() * 61 % 9000
    for port in range(first, first + 3000):
        ports = range(port, port + count)
        if taken.isdisjoint(ports) and all(is_free(p) for p in ports):
            taken.update(ports)
            return port
    raise Skip("no free ports")


# ---- processes ----


def _child():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program in a process group of its own; stdout and stderr go to files."""

    def __init__(self, name, argv, folder, env=None):
        self.name = name
        self.out_path = os.path.join(folder, name + ".out")
        self.err_path = os.path.join(folder, name + ".err")
        environment = dict(os.environ, OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1", **(env or {}))
        with open(self.out_path, "wb") as out, open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder,
                                          env=environment, start_new_session=True, preexec_fn=_child)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def wait(self, seconds=HANG_S):
        """The exit status; below 0: the signal that ended it."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s does not end within %.0f s; it said:\n%s" %
                                 (self.name, seconds, self.tail())) from None

    def kill(self):
        """SIGKILL to the whole group, and waits for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def err(self):
        with open(self.err_path, errors="replace") as f:
            return f.read()

    def tail(self, lines=12):
        return "\n".join("  | " + line for line in self.err().splitlines()[-lines:])


def run(argv, seconds=HANG_S):
    """Runs a program to its end; returns it with returncode, stdout, stderr."""
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
                          preexec_fn=_child, check=False)


# ---- a relay that remembers ----


class Relay:
    """Forwards UDP between the sites of a lab as gx-wan does, unharmed, keeps what it saw, and sends what a test makes
    up under a site's address."""

    def __init__(self, sites):
        self.sites = sites
        self.sockets = []
        self.seen = []  # (from, to, payload): sites by index
        self.outage = False
        for site in sites:
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            s.bind(("127.0.0.1", site.dial))
            s.setblocking(False)
            self.sockets.append(s)
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        index_of = {("127.0.0.1", site.port): i for i, site in enumerate(self.sites)}
        while not self.stopping:
            for s in select.select(self.sockets, [], [], 0.1)[0]:
                with contextlib.suppress(BlockingIOError):
                    for _ in range(64):
                        payload, source = s.recvfrom(65536)
                        if source in index_of and not self.outage:
                            to = self.sockets.index(s)
                            self.seen.append((index_of[source], to, payload))
                            self.send(payload, index_of[source], to)

    def send(self, payload, source, target):
        with contextlib.suppress(OSError):
            self.sockets[source].sendto(payload, ("127.0.0.1", self.sites[target].port))

    def close(self):
        self.stopping = True
        self.thread.join()
        for s in self.sockets:
            s.close()


# ---- a lab: sites, and what lies between them ----


class Site:
    def __init__(self, lab, name, index):
        self.lab, self.name, self.index = lab, name, index
        self.socket = lab.path("%s.sock" % name)
        self.config = lab.path("%s.yaml" % name)
        self.workers = lab.keys.get("workers", 1)  # as far as ports and the relay are concerned
        self.port = free_port(self.workers)  # that gxd binds
        self.dial = self.port  # that peers dial: a relay's, when there is one
        self.gxd = None
        self.starts = 0

    def write_config(self, sites=None, **keys):
        """The smallest config and `keys`; sites: (name, port) pairs, if not the lab's."""
        keys = {"rate": "200Mbit", "memory": "256MiB", **self.lab.keys, **keys}
        sites = sites or [(s.name, s.dial) for s in self.lab.sites]
        lines = ["site: %s" % self.name, 'port: {udp: "127.0.0.1:%d"}' % self.port, "socket: %s" % self.socket]
        lines += ["%s: %s" % (key, value) for key, value in keys.items()]
        lines += ["sites:"]
        lines += ['  - {name: %s, address: "127.0.0.1:%d"}' % pair for pair in sites]
        with open(self.config, "w") as f:
            f.write("\n".join(lines) + "\n")

    def start(self, wrapper=(), ready=True):
        self.starts += 1
        name = "gxd-%s" % self.name + ("-%d" % self.starts if self.starts > 1 else "")
        self.gxd = Process(name, [*wrapper, program("gxd"), "-c", self.config], self.lab.folder)
        self.lab.processes.append(self.gxd)
        if ready:
            self.wait_ready()
        return self.gxd

    def wait_ready(self):
        def ready():
            check(self.gxd.alive(), "%s ended with %s; it said:\n%s" %
                  (self.gxd.name, self.gxd.popen.returncode, self.gxd.tail()))
            return self.ctl("show", "--json").returncode == 0

        wait_until(ready, "ready %s" % self.gxd.name)

    def ctl(self, *words):
        return run([program("gxctl"), "-s", self.socket, *words])

    def show(self, *words):
        """A show as JSON; the exit status must be 0."""
        done = self.ctl("show", *words, "--json")
        check(done.returncode == 0, "gxctl show %s at %s: exit status %d: %s" %
              (" ".join(words), self.name, done.returncode, done.stderr))
        return json.loads(done.stdout)

    def link(self, peer):
        return next(link for link in self.show("links")["links"] if link["peer"] == peer)

    def round(self, run_name):
        """The row of the run's first fragment; None: there is none."""
        rows = [r for r in self.show("rounds")["rounds"] if r["run"] == run_name and r["fragment"] == 0]
        return rows[0] if rows else None

    def counter(self, name, peer=None):
        counters = self.show("counters")
        return (counters["link_counters"][peer] if peer else counters["site_counters"])[name]

    def perf(self, run_name, *options, name=None):
        """Starts a gx-perf here with --check and --json."""
        name = name or "perf-%s-%s" % (self.name, run_name)
        process = Process(name, [program("gx-perf"), "-s", self.socket, "--run", run_name, "--check", "--json",
                                 "--timeout", "45", *options], self.lab.folder)
        process.site = self
        self.lab.processes.append(process)
        return process


class Lab:
    """Sites with a gxd each, in a folder of their own, and a gx-wan between them when `wan` holds its options; with
    relay=True a Relay. start: whether the gxds are started and up. keys: of every site's config."""

    def __init__(self, *names, wan=None, relay=False, start=True, **keys):
        self.folder = tempfile.mkdtemp(prefix="gx-test-")
        self.processes, self.keys, self.wan, self.relay = [], keys, None, None
        self.sites = []
        try:
            self.sites += [Site(self, name, i) for i, name in enumerate(names)]
            if relay or wan is not None:
                for site in self.sites:
                    site.dial = free_port(site.workers)
            if wan is not None:
                self.start_wan(*wan)
            if relay:
                self.relay = Relay(self.sites)
            for site in self.sites:
                site.write_config()
            if start:
                for site in self.sites:
                    site.start(ready=False)
                self.wait_up()
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def start_wan(self, *options):
        pairs = ["127.0.0.1:%d=127.0.0.1:%d" % (s.dial, s.port) for s in self.sites]
        workers = ["--workers", str(self.keys["workers"])] if "workers" in self.keys else []
        self.wan = Process("gx-wan", [program("gx-wan"), "--udp", *pairs, *workers, *options], self.folder)
        self.processes.append(self.wan)
        wait_until(lambda: not self.wan.alive() or "ready" in self.wan.err(), "ready gx-wan")
        check(self.wan.alive(), "gx-wan ended: %s" % self.wan.err())

    def wan_counters(self):
        """Ends the relay and returns what it counted."""
        self.wan.signal(signal.SIGTERM)
        check(self.wan.wait() == 0, "gx-wan: %s" % self.wan.err())
        return json.loads(self.wan.out())

    def wait_up(self):
        """Every gxd is ready and every link is up, if only for small packets."""
        for site in self.sites:
            site.wait_ready()
        for site in self.sites:
            wait_until(lambda s=site: all(link["state"] in ("up", "mtu") for link in s.show("links")["links"]),
                       "links up at %s" % site.name)

    def perf_all(self, run_name, *options):
        """A gx-perf at every site; returns their reports, which hold no error, after all have ended well."""
        return [report_of(p) for p in [site.perf(run_name, *options) for site in self.sites]]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind not in (None, Skip):
            for process in self.processes:
                if process.err().strip() and "perf" not in process.name:
                    print("# %s ended its log with:\n%s" % (process.name, "\n".join(
                        "#" + line for line in process.tail().splitlines())), flush=True)
        self.close()

    def close(self):
        for process in self.processes:
            process.kill()
        if self.relay:
            self.relay.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def report_of(process, seconds=HANG_S, errors=0):
    """Waits for a gx-perf; its JSON."""
    status = process.wait(seconds)
    check(status == (1 if errors else 0), "%s: exit status %s; it said:\n%s" % (process.name, status, process.tail()))
    report = json.loads(process.out())
    check(report["errors"] == errors, "%s: %s errors; it said:\n%s" % (process.name, report["errors"], process.tail()))
    return report


# ---- running ----


def main(names):
    """Runs every test_* function of a module's globals()."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = sys.argv[1:]
    tests = [(name[5:], test) for name, test in names.items() if name.startswith("test_") and callable(test)]
    passed = failed = 0
    for name, test in tests:
        if wanted and name not in wanted:
            continue
        started = time.monotonic()
        try:
            test()
        except Skip as why:
            print("skip %s: %s" % (name, why), flush=True)
        except Exception as why:  # whatever it is, the other tests still run
            failed += 1
            text = str(why).rstrip().split("\n")
            print("not ok %s: %s: %s" % (name, type(why).__name__, text[0]), flush=True)
            for line in text[1:]:
                remark(line)
        else:
            passed += 1
            print("ok %s" % name, flush=True)
        remark("%s took %.1f s" % (name, time.monotonic() - started))
    return 1 if failed else 0 if passed else 77
