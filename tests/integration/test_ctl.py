#!/usr/bin/env python3
"""gxctl as the operator's tool: what changes a running gxd, what explains it, what looks at the host, and what is made for
distribution. The host's own settings are never touched: host init works on a made-up /proc and /sys."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import gxtest
from gxtest import ROOT, Lab, Process, Skip, check, once, program, remark, report_of, run, wait_until


def answer(done, code=0):
    check(done.returncode == code, "exit status %d, not %d: %s%s" % (done.returncode, code, done.stdout, done.stderr))
    return done


def answer_json(done, code=0):
    return json.loads(answer(done, code).stdout)


# ---- changing a running gxd ----


def test_set_site_rate():
    """The rate of a transfer follows, both ways, and the counters and the config say so."""
    with Lab("a", "b", rate="400Mbit") as lab:
        a = lab.sites[0]
        perfs = [s.perf("long", "--bytes", "4M", "--rounds", "2000") for s in lab.sites]
        wait_until(lambda: (a.round("long") or {"applied_round": 0})["applied_round"] >= 2, "two rounds")

        def sent_bps(seconds=1.5):
            line = answer(a.ctl("monitor", "--json", "--count", "1", "--interval", "%dms" % (seconds * 1000))).stdout
            return json.loads(line)["links"][0]["send_bps"]

        before = answer_json(a.ctl("set", "site.rate=16Mbit", "--json"))
        check(before == {"rate_bps": 16000000, "rate_bps_before": 400000000}, "%s" % before)
        time.sleep(0.5)
        low = sent_bps()
        check(low < 18e6, "at 16 Mbit/s it sends %.1f Mbit/s" % (low / 1e6))
        check(a.show()["rate_bps"] == 16000000, "the counters say %s" % a.show()["rate_bps"])
        answer(a.ctl("set", "site.rate=400Mbit"))
        time.sleep(0.5)
        high = sent_bps()
        check(high > 2 * low, "after raising it again: %.1f Mbit/s, before %.1f" % (high / 1e6, low / 1e6))
        remark("at 16 Mbit/s: %.1f; at 400: %.1f Mbit/s" % (low / 1e6, high / 1e6))
        check(all(p.alive() for p in perfs), "gx-perf ended: %s" % perfs[0].tail())
        shown = answer(a.ctl("config", "show")).stdout
        check("\nrate: 400Mbit\n" in shown and "recv_rate: 400Mbit  # default" in shown, shown)


def test_set_run_deadline():
    """An open round is decided at the new deadline."""
    with Lab("a", "b", "c") as lab:
        a, b, c = lab.sites
        # c's trainer stands still: it is present, and offers nothing
        waiting = [s.perf("still", "--bytes", "2M", "--rounds", "1000000", name="still-%s" % s.name)
                   for s in lab.sites]
        wait_until(lambda: (a.round("still") or {"applied_round": 0})["applied_round"] >= 1, "a round of three")
        waiting[2].signal(signal.SIGSTOP)
        wait_until(lambda: "c" not in a.round("still")["offers"] and len(a.round("still")["offers"]) == 2,
                   "a round that waits for c", 20)
        time.sleep(0.3)
        row = a.round("still")
        check(row["deadline_seconds"] > 30, "the round waits %s s" % row["deadline_seconds"])
        why = answer_json(a.ctl("why", "still", "--json"))
        found = [f for f in why["findings"] if "site c" in f["text"]]
        check(found and "has not offered" in found[0]["text"] and found[0]["todo"], "%s" % why["findings"])
        decided = row["decided_round"]
        answer(b.ctl("set", "run.deadline=2s"), 1)
        check("set it at a" in b.ctl("set", "run.deadline=2s").stderr, "b does not name the coordinator")
        done = answer_json(a.ctl("set", "run.deadline=2s", "--json"))
        check(done == {"deadline_seconds": 2.0, "deadline_seconds_before": 60.0}, "%s" % done)
        wait_until(lambda: a.round("still")["decided_round"] > decided, "decision at the new deadline", 10)
        waiting[0].signal(signal.SIGSTOP)  # c is behind now and waited for no more: 8 rounds are soon over
        round_number = decided + 1
        told = answer_json(a.ctl("why", "still", str(round_number), "--json"))["rounds"][0]
        whys = {s["site"]: s["why"] for s in told["sites"]}
        check(whys == {"a": "MEMBER", "b": "MEMBER", "c": "NO_OFFER"}, "%s" % whys)
        check(told["cohort"] == ["a", "b"], "%s" % told)
        stages = told["stages"]
        for earlier, later in (("offered_seconds", "hashed_seconds"), ("hashed_seconds", "decided_seconds"),
                               ("coordinator_opened_seconds", "coordinator_decided_seconds"),
                               ("coordinator_decided_seconds", "coordinator_durable_seconds"),
                               ("decided_seconds", "reduced_seconds")):
            check(stages[earlier] is not None and stages[earlier] <= stages[later], "%s, %s: %s" %
                  (earlier, later, stages))
        text = answer(a.ctl("why", "still", str(round_number))).stdout
        check("its trainer has not offered this round" in text and "cohort a,b" in text, text)
        elsewhere = answer(b.ctl("why", "still", str(round_number))).stdout
        check("known at the coordinator, a" in elsewhere, elsewhere)


@once
def test_set_log_level():
    with Lab("a") as lab:
        a = lab.sites[0]
        answer(a.ctl("show", "--json"))
        answer(a.ctl("set", "log.level=debug"))
        answer(a.ctl("set", "log.level=info"))
        check("debug connected" in a.gxd.err(), "no debug line: %s" % a.gxd.tail())
        lines = a.gxd.err().count("debug ")
        answer(a.ctl("config", "show"))
        check(a.gxd.err().count("debug ") == lines, "debug lines after log.level=info")
        check("sets log.level to debug" in a.gxd.err(), "the operator's command is not in the log")


@once
def test_set_refuses():
    with Lab("a") as lab:
        a = lab.sites[0]
        for word, code, texts in (("site.rate=fast", 2, ("site.rate", "fast", "200Mbit")),
                                  ("site.rate=0", 2, ("site.rate",)),
                                  ("run.deadline=25h", 2, ("run.deadline", "24h")),
                                  ("log.level=loud", 2, ("loud", "debug")),
                                  ("site.mtu=9000", 2, ("site.mtu", "site.rate", "config file")),
                                  ("site.rate", 2, ("lacks a value",))):
            done = answer(a.ctl("set", word), code)
            for text in texts:
                check(text in done.stderr, "%s: %r lacks %r" % (word, done.stderr, text))
        # nothing is sent unless all of it is right
        answer(a.ctl("set", "site.rate=1Mbit", "log.level"), 2)
        check(a.show()["rate_bps"] == 200000000, "half of a wrong command was done")
        done = answer(run([program("gxctl"), "-s", lab.path("none.sock"), "set", "log.level=info"]), 3)
        check("no gxd at" in done.stderr, done.stderr)


def test_config_show():
    """What gxd says is a config file that gxd reads, and says the same again."""
    with Lab("a", "b", deadline="90s") as lab:
        a = lab.sites[0]
        shown = answer(a.ctl("config", "show")).stdout
        check("deadline: 90s\n" in shown and "mtu: 1500  # default\n" in shown, shown)
        path = lab.path("again.yaml")
        with open(path, "w") as f:
            f.write(shown)
        answer(a.ctl("config", "check", path))
        again = answer(a.ctl("config", "show", path)).stdout
        check(again.replace("  # default", "") == shown.replace("  # default", ""), "%s\n%s" % (shown, again))
        values = answer_json(a.ctl("config", "show", "--json"))
        check(values["config"]["deadline_seconds"] == 90.0 and values["config"]["rate_bps"] == 200000000, "%s" % values)
        check("mtu" in values["defaults"] and "deadline" not in values["defaults"], "%s" % values["defaults"])
        a.gxd.kill()
        answer(a.ctl("config", "show"), 3)


def test_leave():
    """gxd ends by itself once the peers have what they need; the others go on without it."""
    with Lab("a", "b", "c") as lab:
        perfs = [s.perf("go", "--bytes", "1M", "--rounds", "10000") for s in lab.sites]
        a, b, c = lab.sites
        wait_until(lambda: (a.round("go") or {"applied_round": 0})["applied_round"] >= 2, "two rounds")
        left = answer_json(c.ctl("leave", "--json"))
        check(left["left"] is True, "%s" % left)
        check(c.gxd.wait(5) == 0, "gxd ended with %s" % c.gxd.popen.returncode)
        remark("leave took %.2f s" % left["waited_seconds"])
        decided = a.round("go")["decided_round"]
        wait_until(lambda: a.round("go")["decided_round"] > decided + 2, "rounds without c")
        check(a.round("go")["cohort"] == ["a", "b"], "%s" % a.round("go")["cohort"])
        answer(c.ctl("leave"), 3)
        check(perfs[0].alive() and perfs[1].alive(), "a trainer ended")


def test_run_rewind():
    with Lab("a", "b") as lab:
        a, b = lab.sites
        perfs = [s.perf("back", "--bytes", "100K", "--rounds", "100000") for s in lab.sites]
        wait_until(lambda: (a.round("back") or {"applied_round": 0})["applied_round"] >= 2, "two rounds")
        done = answer(b.ctl("run", "rewind", "back"), 1)
        check("not the coordinator" in done.stderr, done.stderr)
        done = answer(a.ctl("run", "rewind", "nobody"), 1)
        check("no such run" in done.stderr, done.stderr)
        epoch = a.round("back")["epoch"]
        answer(a.ctl("run", "rewind", "back"))
        wait_until(lambda: a.round("back")["epoch"] == epoch + 1, "a new epoch")
        applied = a.round("back")["applied_round"]
        wait_until(lambda: min(s.round("back")["applied_round"] for s in lab.sites) > applied + 1, "rounds after it")
        check(perfs[0].alive(), "gx-perf ended: %s" % perfs[0].tail())


# ---- explaining ----


def test_why_when_nothing_runs():
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        answer(a.ctl("why"), 3)
        a.start()
        text = answer(a.ctl("why")).stdout
        check("no trainer is registered" in text, text)
        check("link b: down: nothing was ever heard from %s" % b.address in text, text)
        perf = a.perf("alone", "--bytes", "100K", "--rounds", "2")
        wait_until(lambda: "start_sites" in answer(a.ctl("why")).stdout, "word of start_sites")
        answer(a.ctl("why", "nonesuch"), 1)
        answer(a.ctl("why", "alone", "99"), 1)
        answer(a.ctl("why", "alone", "first"), 2)
        b.start()
        b.perf("alone", "--bytes", "100K", "--rounds", "2")
        report_of(perf)
        b.gxd.kill()
        wait_until(lambda: "was last heard" in answer(a.ctl("why")).stdout, "word of b's silence", 15)


def test_why_a_site_was_left_out():
    """Killed in the middle of its transfer: at the deadline, the coordinator tells why it is not in the cohort."""
    with Lab("a", "b", "c", wan=["--rate", "40Mbit", "--delay", "5ms"], deadline="6s") as lab:
        a, b, c = lab.sites
        perfs = [s.perf("dies", "--bytes", "2M", "--rounds", "10000") for s in lab.sites]
        wait_until(lambda: (c.round("dies") or {"applied_round": 0})["applied_round"] >= 1, "a round at c")
        perfs[2].kill()
        whys = {}

        def left_out():
            for entry in answer_json(a.ctl("why", "dies", "--json"))["rounds"]:
                if entry["outcome_here"] != "open" and "c" not in entry["cohort"]:
                    whys.update({s["site"]: s for s in entry["sites"]})
                    return True
            return False

        wait_until(left_out, "a round without c", 30)
        check(whys["a"]["why"] == whys["b"]["why"] == "MEMBER", "%s" % whys)
        check(whys["c"]["why"] in ("NO_TRAINER", "NOT_HELD", "SILENT", "BEHIND", "UNKNOWN"), "%s" % whys["c"])
        check(whys["c"]["todo"], "nothing to do about %s" % whys["c"])
        remark("c was left out: %s" % whys["c"]["text"])


def test_monitor():
    with Lab("a", "b") as lab:
        a = lab.sites[0]
        perfs = [s.perf("seen", "--bytes", "2M", "--rounds", "10000") for s in lab.sites]
        wait_until(lambda: (a.round("seen") or {"applied_round": 0})["applied_round"] >= 1, "a round")
        lines = answer(a.ctl("monitor", "--json", "--count", "3", "--interval", "200ms")).stdout.splitlines()
        check(len(lines) == 3, "%d lines" % len(lines))
        samples = [json.loads(line) for line in lines]
        for s in samples:
            check(0.15 < s["interval_seconds"] < 2, "interval %s" % s["interval_seconds"])
            check(s["links"][0]["peer"] == "b" and s["links"][0]["state"] == "up", "%s" % s["links"])
        check(max(s["links"][0]["send_bps"] for s in samples) > 1e6, "nothing is sent: %s" % samples)
        check(max(s["stages"]["reduce_bytes_per_second"] for s in samples) > 0, "nothing is reduced")
        text = answer(a.ctl("monitor", "--count", "2", "--interval", "100ms")).stdout
        check(text.count("back-pressure") == 2 and "\033" not in text, "not plain lines: %r" % text[:200])
        for stage in ("send", "receive", "hash", "reduce", "journal", "worker", "rounds"):
            check(" %s " % stage in text, "no row of %s in:\n%s" % (stage, text))
        check(all(p.alive() for p in perfs), "a gx-perf ended")
        a.gxd.kill()
        answer(a.ctl("monitor", "--count", "1", "--interval", "100ms"), 3)


@once
def test_monitor_refreshes_in_place():
    with Lab("a") as lab:
        master, slave = os.openpty()
        shown = subprocess.run([program("gxctl"), "-s", lab.sites[0].socket, "monitor", "--count", "2", "--interval",
                                "100ms"], stdin=subprocess.DEVNULL, stdout=slave, timeout=20, check=True)
        os.close(slave)
        text = os.read(master, 65536).decode()
        os.close(master)
        check(shown.returncode == 0 and text.count("\033[H") == 2, "%r" % text[:200])


def test_show_memory():
    with Lab("a", "b") as lab:
        perfs = [s.perf("held", "--bytes", "1M", "--rounds", "10000") for s in lab.sites]
        a = lab.sites[0]
        wait_until(lambda: (a.round("held") or {"applied_round": 0})["applied_round"] >= 1, "a round")
        memory = a.show("memory")
        check(memory["budget_bytes"] == 256 << 20, "%s" % memory)
        held = memory["runs"][0]
        check(held["run"] == "held" and held["arena_bytes"] == memory["arena_bytes"] > 1e6, "%s" % memory)
        check(memory["free_bytes"] == memory["budget_bytes"] - memory["arena_bytes"] - memory["staging_bytes"],
              "%s" % memory)
        check(memory["process"]["resident_bytes"] > 1e6, "%s" % memory["process"])
        check(perfs[0].alive(), "gx-perf ended")


# ---- the host ----


def fake_host(lab, huge=0, buffers=212992, **files):
    """A /proc and a /sys of our own."""
    root = lab.path("host")
    shutil.rmtree(root, ignore_errors=True)
    files = {
        "proc/sys/net/core/rmem_max": buffers,
        "proc/sys/net/core/wmem_max": buffers,
        "proc/sys/kernel/random/boot_id": "boot-1",
        "proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 12000000 kB",
        "proc/net/route": "Iface\tDestination\tGateway\neth1\t00000000\t0101A8C0",
        "proc/net/protocols": "protocol  size\nXDP       1024  0",
        "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": huge,
        "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": huge,
        "sys/devices/system/cpu/online": "0-7",
        "sys/class/net/eth1/operstate": "up",
        "sys/class/net/eth1/carrier": 1,
        "sys/class/net/eth1/mtu": 1400,
        "sys/class/net/eth1/speed": 10000,
        "sys/class/net/eth2/operstate": "down",
        "sys/class/net/eth2/mtu": 9000,
        **files,
    }
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write("%s\n" % text)
    return root


def findings(root, *words, code=0):
    done = run([program("gxctl"), "host", "check", "--json", "--root", root, *words])
    return {(f["check"], f["interface"]): f for f in answer_json(done, code)["findings"]}


@once
def test_host_check_here():
    """On this very machine, as a user without rights where there is one to become."""
    argv = [program("gxctl"), "host", "check"]
    if os.getuid() == 0 and shutil.which("setpriv"):
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", *argv]
        readable = run([*argv[:-2], "--help"])
        if readable.returncode != 0:
            argv = argv[-3:]
    done = run(argv)
    check(done.returncode in (0, 1) and not done.stderr, "%d: %s" % (done.returncode, done.stderr))
    lines = done.stdout.splitlines()
    check(len(lines) > 12, done.stdout)
    for line in lines:
        check(len(line.encode()) <= 120 and line == line.rstrip(), "too long, or blanks at its end: %r" % line)
    told = answer_json(run([program("gxctl"), "host", "check", "--json"]), done.returncode)
    for f in told["findings"]:
        check(f["level"] in ("ok", "note", "warn", "fail") and f["text"], "%s" % f)
        check(f["todo"] or f["level"] in ("ok", "note"), "nothing to do about %s" % f)
    remark("%d ok, %d notes, %d warnings, %d failures here" %
           (told["ok"], told["notes"], told["warnings"], told["failures"]))


@once
def test_host_check_tells_what_to_do():
    with Lab() as lab:
        root = fake_host(lab)
        found = findings(root)
        check(found["huge pages", None]["level"] == "warn", "%s" % found["huge pages", None])
        check("gxctl host init" in found["huge pages", None]["todo"], "%s" % found["huge pages", None])
        check(found["socket buffers", None]["level"] == "warn", "%s" % found["socket buffers", None])
        check(found["core isolation", None]["level"] == "note", "%s" % found["core isolation", None])
        check(found["MTU", "eth1"]["level"] == "warn" and "mtu: 1400" in found["MTU", "eth1"]["todo"],
              "%s" % found["MTU", "eth1"])
        check(found["default route", "eth1"]["level"] == "warn", "%s" % found["default route", "eth1"])
        check(("link", "eth2") not in found, "an interface that is down was chosen")
        found = findings(root, "eth2", code=1)
        check(found["link", "eth2"]["level"] == "fail" and "ip link set dev eth2 up" in found["link", "eth2"]["todo"],
              "%s" % found["link", "eth2"])
        check(found["default route", "eth2"]["level"] == "ok", "%s" % found["default route", "eth2"])
        check(found["MTU", "eth2"]["level"] == "ok", "%s" % found["MTU", "eth2"])
        root = fake_host(lab, huge=2048, buffers=16 << 20, **{"sys/devices/system/cpu/isolated": "2-3",
                                                             "sys/class/net/eth1/mtu": 1500})
        found = findings(root)
        for title in (("huge pages", None), ("socket buffers", None), ("core isolation", None), ("MTU", "eth1")):
            check(found[title]["level"] == "ok", "%s" % found[title])
        answer(run([program("gxctl"), "host", "check", "nosuch"]), 2)


def port_config(lab, port, **keys):
    path = lab.path("port.yaml")
    lines = ["site: a", "port: %s" % port, "socket: %s" % lab.path("port.sock"), "rate: 1Gbit", "memory: 256MiB"]
    lines += ["%s: %s" % pair for pair in keys.items()]
    lines += ["sites:", '  - {name: a, address: "10.0.1.1:7440"}', '  - {name: b, address: "10.0.2.1:7440"}']
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return path


def expect(found, key, level, *texts):
    check(key in found, "nothing said of %s: %s" % (key, sorted(found, key=str)))
    words = "%s %s" % (found[key]["text"], found[key]["todo"])
    check(found[key]["level"] == level and all(t in words for t in texts), "%s: %s" % (key, found[key]))


def test_host_check_looks_at_the_configured_port():
    with Lab() as lab:
        config = port_config(lab, '{device: "net_af_xdp0,iface=eth1", address: 10.0.1.1/24, gateway: 10.0.1.254}')
        arp = "IP address HW type Flags HW address Mask Device\n10.0.1.254 0x1 0x%d 02:00:00:00:00:01 * eth1"
        files = {"sys/class/net/eth1/queues/rx-%d/x" % i: "" for i in range(4)}
        root = fake_host(lab, **files, **{"proc/net/arp": arp % 0})
        found = findings(root, "-c", config, code=1)
        expect(found, ("port", None), "ok", "net_af_xdp0,iface=eth1", "past the kernel")
        expect(found, ("default route", "eth1"), "fail", "your login", "port: {udp: …}")
        expect(found, ("MTU", "eth1"), "fail", "configured for 1500", "mtu: 1400")
        expect(found, ("queues", "eth1"), "fail", "4 to receive by, but gxd reads 1", "ethtool -L eth1 combined 1")
        expect(found, ("gateway", None), "fail", "10.0.1.254 does not answer on eth1")
        expect(found, ("AF_XDP", None), "fail", "apt-get install")
        # the same machine put right
        driver = "usr/lib/x/dpdk/pmds-23.0/librte_net_af_xdp.so.23"
        root = fake_host(lab, **{driver: "", "proc/net/arp": arp % 2, "sys/class/net/eth1/mtu": 1500,
                                 "sys/class/net/eth1/queues/rx-0/x": "", "proc/net/route": "Iface\tDestination"})
        found = findings(root, "-c", config)
        for key in (("default route", "eth1"), ("MTU", "eth1"), ("queues", "eth1"), ("gateway", None), ("AF_XDP", None)):
            expect(found, key, "ok")
        # an interface that is not there, one that is too large, none at all
        expect(findings(root, "-c", port_config(lab, '{device: "net_af_xdp0,iface=eth7", address: 10.0.1.1/24, gateway: '
                                                '10.0.1.254}'), code=1),
               ("port", None), "fail", "there is no interface eth7", "would not start")
        expect(findings(root, "-c", port_config(lab, '{device: "net_af_xdp0,iface=eth2", address: 10.0.1.1/24, gateway: '
                                                '10.0.1.254}'), code=1),
               ("port", None), "fail", "MTU 9000", "ip link set dev eth2 mtu 3502")
        # a port that shares the interface is no danger
        root = fake_host(lab, **{"sys/class/net/eth1/mtu": 1500})
        found = findings(root, "-c", port_config(lab, '{device: "net_af_packet0,iface=eth1", address: 10.0.1.1/24, gateway: '
                                                 '10.0.1.254}'))
        expect(found, ("default route", "eth1"), "ok", "nothing else away")
        expect(found, ("gateway", None), "note", "before gxd runs")


def test_host_check_looks_at_a_card():
    with Lab() as lab:
        card = '{device: "0000:01:00.0", address: 10.0.1.1/24, gateway: 10.0.1.254}'
        root = fake_host(lab)
        expect(findings(root, "-c", port_config(lab, card), code=1), ("port", None), "fail", "is not in this machine")
        root = fake_host(lab, **{"sys/bus/pci/devices/0000:01:00.0/vendor": "0x8086"})
        link = os.path.join(root, "sys/bus/pci/devices/0000:01:00.0/driver")
        os.symlink("../../../../bus/pci/drivers/ixgbe", link)
        expect(findings(root, "-c", port_config(lab, card), code=1), ("port", None), "fail", "driver ixgbe",
               "--bind=vfio-pci 0000:01:00.0")
        os.unlink(link)
        os.symlink("../../../../bus/pci/drivers/vfio-pci", link)
        expect(findings(root, "-c", port_config(lab, card)), ("port", None), "ok", "ready for DPDK")


@gxtest.once
def test_host_check_sees_the_gxd_that_runs():
    with Lab("a", "b") as lab:
        found = {(f["check"], f["interface"]): f for f in
                 json.loads(lab.sites[0].ctl("host", "check", "--json").stdout)["findings"]}
        expect(found, ("port", None), "ok", "kernel UDP")
        check(("MTU", "lo") in found, "it did not look at the interface of 127.0.0.1: %s" % sorted(found, key=str))


def values(root):
    names = ("proc/sys/net/core/rmem_max", "proc/sys/net/core/wmem_max",
             "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    out = []
    for name in names:
        with open(os.path.join(root, name)) as f:
            out.append(int(f.read()))
    return out


@once
def test_host_init_and_fini():
    """Idempotent, undone exactly, and what somebody else has changed since stays."""
    with Lab() as lab:
        root, state = fake_host(lab, huge=3), lab.path("state")
        tool = [program("gxctl"), "host"]
        options = ["--root", root, "--state", state]
        before = values(root)
        for _ in range(3):
            answer(run([*tool, "init", *options]))
            check(values(root) == [16 << 20, 16 << 20, 1024], "%s" % values(root))
        answer(run([*tool, "fini", *options]))
        check(values(root) == before, "%s, not %s" % (values(root), before))
        check(not os.path.exists(state), "the record is still there")
        check("nothing to undo" in answer(run([*tool, "fini", *options])).stdout, "a second fini did something")
        # somebody else's change
        answer(run([*tool, "init", *options]))
        with open(os.path.join(root, "proc/sys/net/core/rmem_max"), "w") as f:
            f.write("33554432\n")
        told = answer_json(run([*tool, "fini", "--json", *options]))
        check(values(root) == [33554432, before[1], before[2]], "%s" % values(root))
        check(any("somebody else" in v["result"] for v in told["values"]), "%s" % told)
        # a boot in between: the values are gone, and so is what is known of them
        root = fake_host(lab, huge=3)
        answer(run([*tool, "init", *options]))
        root = fake_host(lab, huge=5, **{"proc/sys/kernel/random/boot_id": "boot-2"})
        answer(run([*tool, "init", *options]))
        answer(run([*tool, "fini", *options]))
        check(values(root) == [212992, 212992, 5], "%s" % values(root))
        # pages in use beyond what was set are not what was set
        surplus = "sys/kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages"
        root = fake_host(lab, huge=5, **{surplus: 3})
        told = answer_json(run([*tool, "init", "--json", *options]))
        check(told["values"][-1]["before"] == 2, "%s" % told)
        os.unlink(os.path.join(state, "host.json"))
        # never more than half of what is free
        root = fake_host(lab, **{"proc/meminfo": "MemAvailable: 1048576 kB"})
        answer(run([*tool, "init", *options]))
        check(values(root)[2] == 256, "%s" % values(root))


# ---- what is made for distribution ----


def complete(script, *words):
    text = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gxctl; printf "%s\\n" "${COMPREPLY[@]-}"'
    done = run(["bash", "-c", text, "bash", script, *words])
    check(done.returncode == 0 and not done.stderr, "%d: %s" % (done.returncode, done.stderr))
    return sorted(done.stdout.split())


@once
def test_completion_in_bash():
    with Lab("a", "b") as lab:
        script = lab.path("gxctl.bash")
        with open(script, "w") as f:
            f.write(answer(run([program("gxctl"), "help", "completion"])).stdout)
        tool, a = program("gxctl"), lab.sites[0]
        for words, wanted in ((("sh",), ["show"]), (("show", "l"), ["links"]), (("show", "m"), ["memory"]),
                              (("host", ""), ["check", "fini", "init"]), (("set", "r"), ["run.deadline="]),
                              (("--inter",), ["--interval"]), (("--json", "mon"), ["monitor"]),
                              (("-s", a.socket, "run", ""), ["rewind"]), (("help", "man", "gxc"), ["gxctl"]),
                              (("config", "check", script[:-4]), [script]), (("host", "check", "l"), ["lo"])):
            got = complete(script, tool, *words)
            check(got == wanted, "%s: %s, not %s" % (words, got, wanted))
        perfs = [s.perf("named", "--bytes", "100K", "--rounds", "10000") for s in lab.sites]
        wait_until(lambda: a.round("named"), "the run")
        check(complete(script, tool, "-s", a.socket, "why", "n") == ["named"], "the run is not completed")
        check(complete(script, tool, "-s", a.socket, "run", "rewind", "") == ["named"], "the run is not completed")
        check(perfs[0].alive(), "gx-perf ended")
        # bash really takes it
        done = run(["bash", "-ic", 'source "%s"; complete -p gxctl' % script])
        check("-F _gxctl gxctl" in done.stdout, done.stdout + done.stderr)


@once
def test_man_pages():
    if not shutil.which("man") or not shutil.which("awk"):
        raise Skip("no man")
    with Lab() as lab:
        pages = [(name, answer(run([program("gxctl"), "help", "man", name])).stdout) for name in ("gxctl", "gxd")]
        for name in ("gx-train", "gx-perf", "gx-wan", "gx-tokens"):
            text = answer(run([program(name), "--help"])).stdout
            made = subprocess.run([os.path.join(ROOT, "control/dist/man.sh"), name, "a part of gx"], input=text,
                                  capture_output=True, text=True, check=True)
            pages.append((name, made.stdout))
        for name, page in pages:
            path = lab.path(name + ".1")
            with open(path, "w") as f:
                f.write(page)
            done = subprocess.run(["man", "--warnings", "-l", path], capture_output=True,
                                  text=True, env=dict(os.environ, MANWIDTH="100"), check=False)
            check(done.returncode == 0 and not done.stderr.strip(), "%s: %s" % (name, done.stderr))
            for title in ("NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS"):
                check(title in done.stdout, "%s's page lacks %s" % (name, title))
        check("config show" in dict(pages)["gxctl"] and "fetch_wait" in dict(pages)["gxd"], "the tables are not in")


@once
def test_systemd_units():
    if not shutil.which("systemd-analyze"):
        raise Skip("no systemd-analyze")
    with Lab() as lab:
        for name in ("gxd@.service", "gx-host.service"):
            with open(os.path.join(ROOT, "control/dist", name)) as f:
                text = f.read().replace("@BINDIR@", gxtest.BIN)
            with open(lab.path(name), "w") as f:
                f.write(text)
        done = run(["systemd-analyze", "verify", "--man=no", lab.path("gxd@.service"), lab.path("gx-host.service")])
        check(done.returncode == 0 and not done.stderr.strip(), "%d: %s" % (done.returncode, done.stderr))
        os.rename(lab.path("gxd@.service"), lab.path("gxd@a.service"))
        done = run(["systemd-analyze", "security", "--offline=yes", "--threshold=30", "--no-pager",
                    lab.path("gxd@a.service")])
        last = (done.stdout.strip().splitlines() or [""])[-1]
        if "Overall" not in last:
            raise Skip("systemd-analyze security does not work here: %s" % done.stderr.strip()[:200])
        remark(last)
        check(done.returncode == 0, "too exposed: %s" % last)


@once
def test_systemd_is_notified():
    """READY once it serves, signs of life, STOPPING on SIGTERM; nothing of it in a child's environment."""
    with Lab("a", start=False) as lab:
        a = lab.sites[0]
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(lab.path("notify"))
        listener.settimeout(10)
        a.gxd = Process("gxd-a", [program("gxd"), "-c", a.config], lab.folder,
                        env={"NOTIFY_SOCKET": lab.path("notify"), "WATCHDOG_USEC": "600000"})
        lab.processes.append(a.gxd)
        ready = listener.recv(4096).decode()
        check(ready.startswith("READY=1\n") and "STATUS=" in ready, "%r" % ready)
        answer(a.ctl("show"))
        started = time.monotonic()
        for _ in range(4):
            check(listener.recv(4096) == b"WATCHDOG=1", "no sign of life")
        took = time.monotonic() - started
        check(0.3 < took < 3, "four signs of life in %.2f s" % took)
        a.gxd.signal(signal.SIGTERM)
        while (text := listener.recv(4096)) == b"WATCHDOG=1":
            pass
        check(text.startswith(b"STOPPING=1"), "%r" % text)
        check(a.gxd.wait(10) == 0, "exit status %s" % a.gxd.popen.returncode)
        listener.close()


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
