#!/usr/bin/env python3
"""Several workers per gxd: transfers in parts over lanes of their own, on UDP ports in a row, between real processes."""
import shutil
import sys
import time

import gxports
import gxtest
from gxtest import Lab, check, remark
from test_faults import Scene
from wires import ADDRESSES_6, Wire, af_xdp_ports, configure, device, exchange, ip, need_dpdk, two

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
    with Wire() as wire, two([device("net_af_packet0,iface=gxv%d" % i, i) for i in range(2)], wire, workers=2) as lab:
        exchange(lab)
        both_moved(lab)


def test_two_queues_on_ipv6():
    ports = ['{device: "net_af_packet0,iface=gxv%d", address: "%s/64"}' % (i, ADDRESSES_6[i]) for i in range(2)]
    with Wire() as wire, two(ports, wire, workers=2) as lab:
        exchange(lab, size="1M")
        both_moved(lab)


def test_a_device_with_workers_speaks_with_kernel_udp():
    if not shutil.which("ethtool"):
        raise gxtest.Skip("ethtool is not installed")
    with Wire() as wire:
        ip("-n", wire.names[1], "addr", "add", "10.201.0.2/24", "dev", "gxv1")
        # Else the kernel hands the other end trains of packets, which af_packet drops.
        ip("netns", "exec", wire.names[1], "ethtool", "-K", "gxv1", "tx-udp-segmentation", "off", "gso", "off")
        ports = [device("net_af_packet0,iface=gxv0", 0), '{udp: "10.201.0.2:7440"}']
        with two(ports, wire, workers=2) as lab:
            exchange(lab, size="1M")
            both_moved(lab)


def test_too_few_queues_are_named():
    ports = af_xdp_ports()
    with Wire() as wire, Lab("a", "b", start=False) as lab:
        configure(lab, ports, workers=2)
        site = lab.sites[0]
        site.start(wrapper=wire.wrapper(0), ready=False)
        site.gxd.wait(20)
        need_dpdk(lab)
        check("workers: 1" in site.gxd.err() and "gxv0" in site.gxd.err(), "it says: %s" % site.gxd.err())


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
