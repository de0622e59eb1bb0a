#!/usr/bin/env python3
"""gxd as a daemon: bad configs, one instance per socket, SIGTERM, and what gxctl says of a dead or busy gxd."""
import os
import signal
import stat
import sys
import time

import gxtest
from gxtest import Lab, check, once, program, run, wait_until

GOOD = """\
site: a
port: {udp: "127.0.0.1:1"}
socket: SOCKET
rate: 200Mbit
memory: 64MiB
sites:
  - {name: a, address: "127.0.0.1:1"}
  - {name: b, address: "127.0.0.1:2"}
"""


def refused_config(text, line, *words):
    """gxd and `gxctl config check` end with 2 and one message that names file, line and `words`."""
    with Lab() as lab:
        path = lab.path("gxd.yaml")
        with open(path, "w") as f:
            f.write(text.replace("SOCKET", lab.path("a.sock")))
        for argv in ([program("gxd"), "-c", path], [program("gxctl"), "config", "check", path]):
            done = run(argv, 10)
            check(done.returncode == 2, "%s: exit status %d: %s" % (argv[0], done.returncode, done.stderr))
            check(len(done.stderr.splitlines()) == 1, "not one line: %r" % done.stderr)
            for word in ("%s:%d:" % (path, line), *words):
                check(word in done.stderr, "%r lacks %r" % (done.stderr, word))
        check(os.listdir(lab.folder) == ["gxd.yaml"], "it left %s" % os.listdir(lab.folder))


@once
def test_config_unknown_key():
    refused_config(GOOD.replace("memory:", "memry:"), 5, "`memry`", "`memory`")
    refused_config(GOOD.replace("{name: b,", "{nam: b,"), 8, "`sites[].nam`", "`sites[].name`")


@once
def test_config_wrong_type():
    refused_config(GOOD.replace("200Mbit", "fast"), 4, "rate:", "fast", "Mbit")
    refused_config(GOOD.replace("rate: 200Mbit", "rate: [200Mbit]"), 4, "`rate`", "list")
    refused_config(GOOD + "mtu: large\n", 9, "mtu:", "large")
    refused_config(GOOD.replace('{udp: "127.0.0.1:1"}', '{udp: "somewhere"}'), 2, "port.udp:", "somewhere")


@once
def test_config_duplicate_site():
    refused_config(GOOD.replace("name: b", "name: a"), 8, "a", "7")
    refused_config(GOOD.replace("127.0.0.1:2", "127.0.0.1:1"), 8, "127.0.0.1:1")


@once
def test_config_absent_own_site():
    refused_config(GOOD.replace("site: a", "site: c"), 1, "site:", "'c'", "a, b")


@once
def test_config_not_there():
    done = run([program("gxd"), "-c", "/nonexistent/gxd.yaml"], 10)
    check(done.returncode == 2 and "/nonexistent/gxd.yaml" in done.stderr, "%d, %r" % (done.returncode, done.stderr))
    done = run([program("gxd")], 10)
    check(done.returncode == 2 and "-c" in done.stderr, "%d, %r" % (done.returncode, done.stderr))


def test_sigterm_ends_within_2_s():
    """Idle, with a trainer that waits for ever, and while a transfer runs."""
    with Lab("a", "b", wan=["--rate", "100Mbit", "--delay", "10ms"]) as lab:
        a, b = lab.sites
        seconds = []
        waiting = b.perf("lonely", "--bytes", "1M")
        wait_until(lambda: (b.round("lonely") or {}).get("phase") == "offered", "offer at b")
        perfs = [site.perf("busy", "--bytes", "20M", "--rounds", "100") for site in lab.sites]
        wait_until(lambda: (b.round("busy") or {"applied_round": 0})["applied_round"] >= 1, "round of the busy run")
        for site in (b, a):
            started = time.monotonic()
            site.gxd.signal(signal.SIGTERM)
            status = site.gxd.wait(10)
            seconds.append(time.monotonic() - started)
            check(status == 0, "exit status %s; it said:\n%s" % (status, site.gxd.tail()))
            check(not os.path.exists(site.socket), "the socket is still there")
            check(site.ctl("show").returncode == 3, "gxctl's exit status is not 3")
        gxtest.remark("SIGTERM to exit: %s s" % ", ".join("%.2f" % s for s in seconds))
        check(max(seconds) < 5, "it took %.2f s" % max(seconds))  # 2 s on a machine that does nothing else
        check(all(p.alive() for p in (waiting, *perfs)), "a trainer ended with its gxd")


def test_sigterm_of_an_idle_gxd():
    with Lab("a") as lab:
        started = time.monotonic()
        lab.sites[0].gxd.signal(signal.SIGTERM)
        check(lab.sites[0].gxd.wait(10) == 0, "exit status %s" % lab.sites[0].gxd.popen.returncode)
        gxtest.remark("SIGTERM to exit: %.2f s" % (time.monotonic() - started))


def test_one_instance_per_socket():
    with Lab("a", "b") as lab:
        a = lab.sites[0]
        second = run([program("gxd"), "-c", a.config], 10)
        check(second.returncode == 1, "exit status %d: %s" % (second.returncode, second.stderr))
        for word in (a.socket, "pid %d" % a.gxd.pid):
            check(word in second.stderr, "%r lacks %r" % (second.stderr, word))
        check(a.ctl("show").returncode == 0, "the first one was harmed")
        lab.perf_all("still", "--bytes", "100K", "--rounds", "2")


def test_stale_socket_is_replaced():
    with Lab("a", "b") as lab:
        a = lab.sites[0]
        a.gxd.kill()
        check(os.path.exists(a.socket), "kill -9 removed the socket, so this tests nothing")
        a.start()
        lab.wait_up()
        lab.perf_all("after", "--bytes", "100K", "--rounds", "2")
        mode = os.stat(a.socket).st_mode
        check(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, "the socket's mode is %o" % mode)


def test_show_after_death():
    with Lab("a", "b") as lab:
        a = lab.sites[0]
        lab.perf_all("last", "--bytes", "100K", "--rounds", "2")
        before = a.counter("sent_packets_total", "b")
        a.gxd.kill()
        for words in ((), ("sites",), ("links",), ("rounds",), ("counters",)):
            done = a.ctl("show", *words, "--json")
            check(done.returncode == 3, "show %s: exit status %d" % (words, done.returncode))
            check('"state": "dead"' in done.stdout, "show %s does not say dead: %s" % (words, done.stdout[:300]))
            check("dead" in done.stderr and str(a.gxd.pid) in done.stderr, "message %r" % done.stderr)
        text = a.ctl("show", "counters").stdout
        check(any("sent_packets_total" in line and int(line.split()[2]) >= before > 0 for line in text.splitlines()),
              "its last counters are not shown")


@once
def test_show_before_any_gxd():
    with Lab("a", start=False) as lab:
        done = lab.sites[0].ctl("show", "--json")
        check(done.returncode == 3 and lab.sites[0].socket in done.stderr, "%d, %r" % (done.returncode, done.stderr))


def test_show_while_saturated():
    """Both gxds at what the machine gives: gxctl reads the counters without asking them."""
    with Lab("a", "b", rate="10Gbit") as lab:
        perfs = [site.perf("full", "--bytes", "20M", "--rounds", "1000") for site in lab.sites]
        wait_until(lambda: (lab.sites[1].round("full") or {"applied_round": 0})["applied_round"] >= 2, "two rounds")
        took = []
        for i in range(30):
            words = [(), ("sites",), ("links",), ("rounds",), ("counters",)][i % 5]
            started = time.monotonic()
            done = lab.sites[i % 2].ctl("show", *words, "--json")
            took.append(time.monotonic() - started)
            check(done.returncode == 0, "exit status %d: %s" % (done.returncode, done.stderr))
        check(all(p.alive() for p in perfs), "gx-perf ended: %s" % perfs[0].tail())
        took.sort()
        gxtest.remark("gxctl show: median %.1f ms, longest of 30 %.1f ms" % (1e3 * took[15], 1e3 * took[-1]))
        check(took[-1] < 2, "gxctl took %.1f s" % took[-1])


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
