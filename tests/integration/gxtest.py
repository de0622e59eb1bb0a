"""What the integration tests share: real processes, each ended by its own process id.

GX_BIN names the folder of the programs (default build/bin), GX_TEST_PORT the kinds of ports (gxports.py; default: all). A
test file prints "ok NAME[KIND]", "not ok NAME[KIND]: why" or "skip NAME[KIND]: why" for each test, and lines that start
with "#"; it exits 0, 1, or 77 when everything was skipped.

    with gxtest.Lab("a", "b", wan=["--loss", "0.01"]) as lab:
        reports = lab.perf_all("run", "--bytes", "1M", "--rounds", "4")
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from gxports import KINDS, ROOT, Skip, namespaces

BIN = os.path.abspath(os.environ.get("GX_BIN", "build/bin"))
HANG_S = 60  # nothing here takes nearly so long; a test that waits longer has found a hang

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


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


def cpu_seconds(pid):
    """What a process has used of the CPUs, its threads together."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- a lab: sites, and what lies between them ----


class Site:
    def __init__(self, lab, name, index):
        self.lab, self.name, self.index = lab, name, index
        self.socket = lab.path("%s.sock" % name)
        self.config = lab.path("%s.yaml" % name)
        self.address = lab.ports.address(index)  # that peers dial
        self.gxd = None
        self.starts = 0

    def write_config(self, sites=None, **keys):
        """The smallest config and `keys`; sites: (name, address) pairs, if not the lab's."""
        keys = {"rate": "200Mbit", "memory": "256MiB", **self.lab.keys, **keys}
        sites = sites or [(s.name, s.address) for s in self.lab.sites]
        lines = ["site: %s" % self.name, "port: %s" % self.lab.ports.port(self.index), "socket: %s" % self.socket]
        lines += ["%s: %s" % (key, value) for key, value in keys.items()]
        lines += ["sites:"]
        lines += ['  - {name: %s, address: "%s"}' % pair for pair in sites]
        with open(self.config, "w") as f:
            f.write("\n".join(lines) + "\n")

    def start(self, wrapper=(), ready=True):
        self.starts += 1
        name = "gxd-%s" % self.name + ("-%d" % self.starts if self.starts > 1 else "")
        argv = self.lab.ports.command(self.index, [*wrapper, program("gxd"), "-c", self.config])
        self.gxd = Process(name, argv, self.lab.folder)
        self.lab.processes.append(self.gxd)
        if ready:
            self.wait_ready()
        return self.gxd

    def wait_ready(self):
        def ready():
            need_dpdk(self.gxd)
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


def need_dpdk(process):
    if not process.alive() and "libdpdk-dev" in process.err():
        raise Skip("%s is built without DPDK" % process.name)


class Lab:
    """Sites with a gxd each, in a folder of their own. wan: options of a gx-wan between them; relay: a gxports.Relay between
    them. start: whether the gxds are started and up. ports: a kind or a class, if not the kind that the test runs on. keys:
    of every site's config."""

    open = []

    def __init__(self, *names, wan=None, relay=False, start=True, ports=None, **keys):
        self.processes, self.keys, self.ports, self.wan, self.relay = [], keys, None, None, None
        self.sites = []
        self.folder = tempfile.mkdtemp(prefix="gx-test-")
        Lab.open.append(self)
        try:
            make = KINDS.get(ports or kind, ports)
            self.ports = make(list(names), self.folder, relay or wan is not None, int(keys.get("workers", 1)))
            self.sites += [Site(self, name, i) for i, name in enumerate(names)]
            if wan is not None or self.ports.needs_wan:
                self.start_wan(*(wan or ()))
            if relay:
                self.relay = self.ports.relay()
            for site in self.sites:
                site.write_config()
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return os.path.join(self.folder, name)

    def start_wan(self, *options):
        self.wan = Process("gx-wan", self.ports.wan_command([program("gx-wan"), *options]), self.folder)
        self.processes.append(self.wan)
        wait_until(lambda: not self.wan.alive() or "ready" in self.wan.err(), "ready gx-wan")
        need_dpdk(self.wan)
        check(self.wan.alive(), "gx-wan ended: %s" % self.wan.err())

    def wan_counters(self):
        """Ends the relay and returns what it counted."""
        self.wan.signal(signal.SIGTERM)
        status = self.wan.wait()
        check(status == 0, "gx-wan ended with %s; it said:\n%s" % (status, self.wan.tail()))
        return json.loads(self.wan.out())

    def start(self):
        for site in self.sites:
            site.start(ready=False)
        self.wait_up()

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

    def exchange(self, size="5M", rounds="3"):
        """Rounds between two sites, all of them right; remarks how their payload went."""
        for report in self.perf_all("r", "--bytes", size, "--rounds", rounds):
            check(report["errors"] == 0 and report["checked_rounds"] == int(rounds) + 1, "report %s" % report)
        for site in self.sites:
            counters = site.show("counters")["site_counters"]
            link = site.show("links")["links"][0]
            remark("%s on %s: %.1f MB sent, in place %.1f MB, copied by driver's need %.1f MB, by memory %.1f MB, on "
                   "receive %.1f MB; lost %d" % (
                       site.name, site.show()["port"], link["sent_bytes"] / 1e6,
                       counters["port_sent_in_place_bytes_total"] / 1e6, counters["port_copied_driver_bytes_total"] / 1e6,
                       counters["port_copied_memory_bytes_total"] / 1e6, counters["port_copied_receive_bytes_total"] / 1e6,
                       link["lost_packets"]))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind not in (None, Skip):
                self.tell()
        finally:
            self.close()

    def tell(self):
        for process in self.processes:
            if process.err().strip() and "perf" not in process.name:
                print("# %s ended its log with:\n%s" % (process.name, "\n".join(
                    "#" + line for line in process.tail().splitlines())), flush=True)

    def close(self):
        for process in self.processes:
            process.kill()
        if self.relay:
            self.relay.close()
        if self.ports:
            self.ports.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        Lab.open.remove(self)


def report_of(process, seconds=HANG_S, errors=0):
    """Waits for a gx-perf; its JSON."""
    status = process.wait(seconds)
    check(status == (1 if errors else 0), "%s: exit status %s; it said:\n%s" % (process.name, status, process.tail()))
    report = json.loads(process.out())
    check(report["errors"] == errors, "%s: %s errors; it said:\n%s" % (process.name, report["errors"], process.tail()))
    return report


# ---- running ----

kind = "udp"  # of the ports of the test that runs


def once(test):
    """Of a test that has nothing to do with ports."""
    test.once = True
    return test


def kinds():
    wanted = os.environ.get("GX_TEST_PORT", "").replace(",", " ").split() or list(KINDS)
    for word in wanted:
        if word not in KINDS:
            sys.exit("GX_TEST_PORT: '%s' is none of %s" % (word, ", ".join(KINDS)))
    return wanted


def stop(*_):
    """The way out by a signal is the one of a failed test; no second signal disturbs it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(1)


def run_test(name, test):
    """True: passed; False: failed; None: skipped."""
    started, passed = time.monotonic(), None
    try:
        test()
    except Skip as why:
        print("skip %s: %s" % (name, why), flush=True)
    except Exception as why:  # whatever it is, the other tests still run
        passed = False
        text = str(why).rstrip().split("\n")
        print("not ok %s: %s: %s" % (name, type(why).__name__, text[0]), flush=True)
        for line in text[1:]:
            remark(line)
    else:
        passed = True
        print("ok %s" % name, flush=True)
    remark("%s took %.1f s" % (name, time.monotonic() - started))
    return passed


def main(names, once=False):
    """Runs every test_* function of a module's globals() on each kind of port that GX_TEST_PORT names (default: on all);
    those marked once, or all of them, on udp only."""
    global kind
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    wanted, results = sys.argv[1:], []
    tests = [(name[5:], test) for name, test in names.items() if name.startswith("test_") and callable(test)]
    try:
        for kind in kinds():
            for name, test in tests:
                single = once or hasattr(test, "once")
                if (wanted and name not in wanted) or (single and kind != "udp"):
                    continue
                results.append(run_test(name if single else "%s[%s]" % (name, kind), test))
    finally:
        for lab in list(Lab.open):  # whose making or closing a signal has cut short
            lab.close()
        namespaces.Net.close_all()
    if not results:
        remark("no test of this file is for ports of the kind %s" % " ".join(kinds()))
    return 1 if False in results else 0 if True in results else 77
