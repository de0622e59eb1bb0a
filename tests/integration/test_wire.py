#!/usr/bin/env python3
"""What goes wrong on the wire, with real gxds: each fault is a clear message or a counted, visible state, and passes when
the fault does. docs/operations.md lists them. Unit tests have what needs a device of its own (tests/unit/port)."""
import contextlib
import os
import sys
import time

import gxtest
from gxtest import Lab, Skip, check, remark, wait_until
from test_ports import ADDRESSES, Wire, configure, device, exchange, ip, need_dpdk, need_xdp, two

sys.path.insert(0, os.path.join(gxtest.ROOT, "tools", "demo"))
import namespaces  # noqa: E402

FULL = 1484  # of a shard of 1,408 bytes, with IPv4


def said(site, text, seconds=20):
    """The first line of the gxd's log with that text."""
    return wait_until(lambda: next((line for line in site.gxd.err().splitlines() if text in line), None),
                      "'%s' in the log of %s" % (text, site.name), seconds)


def why(site):
    return site.ctl("why").stdout


# ---- the path's MTU ----


def small(site, peer, carries):
    """The link's state names both sizes, and so do log and gxctl."""
    link = wait_until(lambda: (lambda k: k["state"] == "mtu" and k["path_bytes"] and k)(site.link(peer)),
                      "small path at %s" % site.name, 40)
    check((link["path_bytes"], link["path_needs_bytes"]) == (carries, FULL), "%s" % link)
    said(site, "link to %s: packets of %d bytes get lost, small ones do not" % (peer, FULL))
    remark(said(site, "link to %s: the path carries %d bytes, config says 1500" % (peer, carries)))
    check("write `mtu: %d` into the config of every site" % carries in why(site), why(site))


def whole(site, peer):
    wait_until(lambda: site.link(peer)["state"] == "up", "whole path at %s" % site.name)
    said(site, "link to %s: the path carries full packets again" % peer)


def test_a_path_that_swallows_large_packets_is_named_and_used_again():
    with Lab("a", "b", wan=["--mtu", "1436"]) as lab:
        a, b = lab.sites
        small(a, "b", 1436)
        small(b, "a", 1436)
        sent = a.counter("sent_data_shards_total", "b")
        perfs = [site.perf("r", "--bytes", "1M", "--rounds", "3") for site in lab.sites]
        wait_until(lambda: (a.round("r") or {}).get("phase") == "offered", "offer")
        time.sleep(1)
        check(a.counter("sent_data_shards_total", "b") == sent, "shards were sent into a hole")
        check(a.counter("transfers_open", "b") >= 1, "nothing waits")
        lab.wan.kill()
        lab.start_wan()
        whole(a, "b")
        whole(b, "a")
        for perf in perfs:
            check(gxtest.report_of(perf)["checked_rounds"] == 4, "not all rounds were completed")


def test_the_mtu_that_is_named_is_the_remedy():
    """The config that the message asks for."""
    with Lab("a", "b", wan=["--mtu", "1436"], mtu=1436) as lab:
        for report in lab.perf_all("r", "--bytes", "1M", "--rounds", "3"):
            check(report["checked_rounds"] == 4, "%s" % report)
        time.sleep(2)
        check(all(s.link(p)["state"] == "up" for s, p in zip(lab.sites, "ba")), "a link is not up")


def test_a_third_site_helps_over_a_path_small_one_way():
    with Lab("a", "b", "c", wan=["--path", "a:b", "mtu=1300"], deadline="20s") as lab:
        a, b, _ = lab.sites
        small(a, "b", 1300)
        check(b.link("a")["state"] == "up" and b.link("a")["path_back_bytes"] == 1300, "%s" % b.link("a"))
        check("its path to here carries 1300 bytes" in why(b), why(b))
        for site in lab.sites:
            site.perf("r", "--bytes", "300K", "--rounds", "50")
        row = wait_until(lambda: (lambda r: r and r["applied_round"] >= 2 and r)(b.round("r")), "two rounds at b")
        check(row["cohort"] == ["a", "b", "c"], "%s" % row)


@contextlib.contextmanager
def bridged(*options, driver="net_af_xdp"):
    """Two gxds on a driver in namespaces of their own, gx-wan on the same driver between them."""
    need_xdp()
    why_not = namespaces.missing("ip")
    if why_not:
        raise Skip(why_not)
    with Lab("a", "b", start=False) as lab:
        net = namespaces.Net(["a", "b"], checksums=False)
        try:
            ports = [word for name in "ab" for word in ("--port", net.device(name, driver))]
            lab.wan = gxtest.Process("gx-wan", net.command("wan", [gxtest.program("gx-wan"), *ports, *options]), lab.folder)
            lab.processes.append(lab.wan)
            wait_until(lambda: not lab.wan.alive() or "ready" in lab.wan.err(), "ready gx-wan")
            if not lab.wan.alive():
                raise Skip("gx-wan does not start: %s" % lab.wan.err())
            devices = ['{device: "%s0,iface=eth0", address: %s/24}' % (driver, net.address(n)) for n in "ab"]
            configure(lab, devices, [net.address(n) for n in "ab"])
            for site in lab.sites:
                site.start(wrapper=net.command(site.name, []), ready=False)
            need_dpdk(lab)
            lab.wait_up()
            yield lab
        finally:
            for process in lab.processes:
                process.kill()
            net.close()


def test_a_path_too_small_one_way_on_af_xdp():
    with bridged("--path", "a:b", "mtu=1400") as lab:
        small(lab.sites[0], "b", 1400)
        check(lab.sites[1].link("a")["path_back_bytes"] == 1400, "%s" % lab.sites[1].link("a"))


def test_an_interface_whose_mtu_shrinks_and_grows_under_gxd():
    need_xdp()
    with Wire() as wire, two([device("net_af_xdp0,iface=gxv%d" % i, i) for i in range(2)], wire) as lab:
        a = lab.sites[0]
        ip("-n", wire.names[0], "link", "set", "gxv0", "mtu", "1300")
        small(a, "b", 1300)
        check(a.counter("port_errors_total") > 0, "what did not fit was not counted")
        said(a, "Message too long")
        ip("-n", wire.names[0], "link", "set", "gxv0", "mtu", "1500")
        whole(a, "b")
        exchange(lab, size="1M", rounds="1")


def test_an_mtu_above_that_of_the_kernels_interface():
    with Wire() as wire:
        for i, name in enumerate(wire.names):
            ip("-n", name, "addr", "add", ADDRESSES[i] + "/24", "dev", "gxv%d" % i)
            ip("-n", name, "link", "set", "gxv%d" % i, "mtu", "1400")
        with two(['{udp: "%s:7440"}' % address for address in ADDRESSES], wire) as lab:
            small(lab.sites[0], "b", 1400)


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
