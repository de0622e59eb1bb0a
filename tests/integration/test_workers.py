#!/usr/bin/env python3
"""Several workers per gxd: transfers in parts over lanes of their own, on UDP ports in a row, between real processes."""
import os
import shutil
import sys
import time

import gxports
import gxtest
from gxports import MixedPorts, PacketPorts, SixPorts, namespaces
from gxtest import Lab, check, remark
from test_faults import Scene

WAN = ["--rate", "200Mbit", "--delay", "10ms", "--loss", "0.01"]
LINK = ["--link-rate", "200Mbit", "--link-delay", "10ms", "--link-loss", "0.01"]


def share_of(site):
    """What each worker received, of all."""
    counts = [w["packets_received_total"] for w in site.show("counters")["worker_counters"]]
    return [count / max(1, sum(counts)) for count in counts]


def rounds(lab, size="5M", count=4):
    for report in lab.perf_all("run", "--bytes", size, "--rounds", str(count), *LINK):
        check(report["checked_rounds"] == count + 1, "%d results checked" % report["checked_rounds"])
        check(all(len(entry["cohort"]) == len(lab.sites) for entry in report["rounds"]), "somebody was left out")
        yield report


def test_two_sites_share_the_work():
    with Lab("a", "b", wan=WAN, workers=2) as lab:
        for report in rounds(lab):
            remark("at %s: transfer ratio %.3f" % (report["site"], report["transfer_ratio_p50"]))
        for site in lab.sites:
            share = share_of(site)
            remark("at %s the workers received %s" % (site.name, ", ".join("%.0f%%" % (100 * s) for s in share)))
            check(min(share) > 0.35, "shares %s" % share)
            sent = site.counter("sent_data_shards_total", "b" if site.name == "a" else "a")
            whole = 5 * 5 * 10**6 / 1408
            check(whole * 0.95 < sent < whole * 1.3, "%d data shards sent: the counters are not a sum" % sent)


def test_three_sites():
    with Lab("a", "b", "c", wan=WAN, workers=2) as lab:
        list(rounds(lab, "2M", 3))
        for site in lab.sites:
            check(min(share_of(site)) > 0.3, "shares %s" % share_of(site))


def test_sites_with_different_counts():
    """Lanes between two sites: the smaller of both counts."""
    with Lab("a", "b", "c", wan=WAN, start=False, workers=3) as lab:
        lab.sites[1].write_config(workers=1)
        lab.sites[2].write_config(workers=2)
        for site in lab.sites:
            site.start(ready=False)
        lab.wait_up()
        list(rounds(lab, "1M", 3))
        check(len(share_of(lab.sites[1])) == 1 and min(share_of(lab.sites[2])) > 0.1, "c's second worker did nothing")
        check(share_of(lab.sites[0])[2] < 0.05, "a's third worker has no twin, and got packets")


def test_a_lane_that_a_firewall_blocks():
    """gx-wan relays the first port only: the transfers are cut into fewer parts, and arrive."""
    with Lab("a", "b", wan=None, start=False, workers=2) as lab:
        lab.ports.dials = [gxports.free_ports(2) for _ in lab.sites]
        lab.ports.workers = 1
        lab.start_wan(*WAN)
        for site in lab.sites:
            site.address = lab.ports.address(site.index)
        for site in lab.sites:
            site.write_config(workers=2)
            site.start(ready=False)
        lab.wait_up()
        list(rounds(lab, "1M", 3))
        check(share_of(lab.sites[0])[1] < 0.05, "the second worker got packets")


def test_gxd_killed_for_a_moment():
    with Lab("a", "b", "c", wan=WAN, deadline="10s", workers=2) as lab:
        scene = Scene(lab)
        scene.until_mid_round("b")
        lab.sites[1].gxd.kill()
        scene.back()
        lab.sites[1].start()
        reports = scene.end()
        check(reports["b"]["reattached"] == 1, "b attached again %d times" % reports["b"]["reattached"])
        check(lab.sites[0].counter("peer_restarts_total", "b") == 1, "a counted no restart of b, or one per lane")


def test_gxd_comes_back_with_another_count():
    with Lab("a", "b", "c", wan=WAN, deadline="10s", workers=2) as lab:
        scene = Scene(lab)
        scene.until_mid_round("b")
        lab.sites[1].gxd.kill()
        lab.sites[1].write_config(deadline="10s", workers=1)
        scene.back()
        lab.sites[1].start()
        scene.end()
        check(len(lab.sites[1].show("counters")["worker_counters"]) == 1, "b has not one worker")


def test_site_killed_for_good():
    """Its last contribution may be held by one site only, which helps the other; both go on without it."""
    with Lab("a", "b", "c", wan=WAN, deadline="5s", workers=2) as lab:
        perfs = [site.perf("run", "--bytes", "2M", "--rounds", "10") for site in lab.sites]
        time.sleep(2)
        lab.sites[2].gxd.kill()
        perfs[2].kill()
        for perf in perfs[:2]:
            report = gxtest.report_of(perf)
            check(report["checked_rounds"] == 11, "%d results checked" % report["checked_rounds"])


def test_idle_workers_sleep():
    with Lab("a", "b", workers=2) as lab:
        time.sleep(1)
        before = [w["loops_total"] for w in lab.sites[0].show("counters")["worker_counters"]]
        time.sleep(2)
        after = [w["loops_total"] for w in lab.sites[0].show("counters")["worker_counters"]]
        passes = [(b - a) / 2 for a, b in zip(before, after)]
        remark("passes per second: %s" % passes)
        check(max(passes) < 5000, "an idle worker spins: %s passes a second" % passes)


def both_moved(lab):
    for site in lab.sites:
        share = share_of(site)
        remark("at %s the workers received %s" % (site.name, ", ".join("%.0f%%" % (100 * s) for s in share)))
        check(min(share) > 0.3, "shares %s" % share)


def test_two_queues_of_af_packet():
    """The kernel spreads frames over the queues as it likes: the workers hand them over to each other."""
    with Lab("a", "b", ports=PacketPorts, workers=2) as lab:
        lab.exchange()
        both_moved(lab)


class SixPacketPorts(SixPorts):
    driver = PacketPorts.driver


def test_two_queues_on_ipv6():
    with Lab("a", "b", ports=SixPacketPorts, workers=2) as lab:
        lab.exchange(size="1M")
        both_moved(lab)


class MixedPacketPorts(MixedPorts):
    driver = PacketPorts.driver


def test_a_device_with_workers_speaks_with_kernel_udp():
    if not shutil.which("ethtool"):
        raise gxtest.Skip("ethtool is not installed")
    with Lab("a", "b", ports=MixedPacketPorts, workers=2, start=False) as lab:
        # Else the kernel hands the other end trains of packets, which af_packet drops.
        lab.ports.net.run("b", ["ethtool", "-K", namespaces.SITE_INTERFACE, "tx-udp-segmentation", "off", "gso", "off"])
        lab.start()
        lab.exchange(size="1M")
        both_moved(lab)


def test_too_few_queues_are_named():
    with Lab("a", "b", ports="af_xdp", workers=2, start=False) as lab:
        gxd = lab.sites[0].start(ready=False)
        gxd.wait()
        gxtest.need_dpdk(gxd)
        check("workers: 1" in gxd.err() and namespaces.SITE_INTERFACE in gxd.err(), "it says: %s" % gxd.err())


def threads_of(gxd):
    """(name, policy, priority) of each thread."""
    found = []
    for task in os.listdir("/proc/%d/task" % gxd.pid):
        with open("/proc/%d/task/%s/comm" % (gxd.pid, task)) as f:
            found.append((f.read().strip(), os.sched_getscheduler(int(task)), os.sched_getparam(int(task)).sched_priority))
    return found


def test_a_priority_is_that_of_the_workers_alone():
    if gxtest.run(["chrt", "--rr", "7", "true"]).returncode != 0:
        raise gxtest.Skip("no real-time priority is permitted here")
    with Lab("a", "b", ports="udp", workers=2, priority=7) as lab:
        lab.exchange(size="1M")
        for name, policy, priority in threads_of(lab.sites[0].gxd):
            wanted = (os.SCHED_RR, 7) if name.startswith("gx-worker") else (os.SCHED_OTHER, 0)
            check((policy, priority) == wanted, "%s has policy %d, priority %d" % (name, policy, priority))


def test_a_priority_that_is_not_permitted_is_refused():
    wrapper = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", "prlimit", "--rtprio=0:0"]
    if not shutil.which("setpriv") or gxtest.run([*wrapper, "true"]).returncode != 0:
        raise gxtest.Skip("setpriv and prlimit cannot take the right away here")
    with Lab("a", "b", ports="udp", start=False, priority=7) as lab:
        gxd = lab.sites[0].start(wrapper=wrapper, ready=False)
        check(gxd.wait() == 1, "exit status %s" % gxd.wait())
        check("priority: 7 is not permitted" in gxd.err() and "LimitRTPRIO=7" in gxd.err(), "it says: %s" % gxd.err())


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
