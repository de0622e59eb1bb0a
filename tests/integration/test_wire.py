#!/usr/bin/env python3
"""What goes wrong on the wire, with real gxds: each fault is a clear message or a counted, visible state, and passes when
the fault does. docs/operations.md lists them. Unit tests have what needs a device of its own (tests/unit/port)."""
import json
import shutil
import sys
import time

import gxports
import gxtest
from gxports import KernelPorts, MemifPorts, PacketPorts, VethPorts, namespaces
from gxtest import Lab, Skip, check, remark, wait_until

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


def test_a_path_too_small_one_way_on_af_xdp():
    with Lab("a", "b", ports="af_xdp", wan=["--path", "a:b", "mtu=1400"]) as lab:
        small(lab.sites[0], "b", 1400)
        check(lab.sites[1].link("a")["path_back_bytes"] == 1400, "%s" % lab.sites[1].link("a"))


def test_an_interface_whose_mtu_shrinks_and_grows_under_gxd():
    with Lab("a", "b", ports="af_xdp") as lab:
        a = lab.sites[0]
        lab.ports.link(0, "mtu", "1300")
        small(a, "b", 1300)
        check(a.counter("port_errors_total") > 0, "what did not fit was not counted")
        said(a, "Message too long")
        lab.ports.link(0, "mtu", "1500")
        whole(a, "b")
        lab.exchange(size="1M", rounds="1")


def test_an_mtu_above_that_of_the_kernels_interface():
    with Lab("a", "b", ports=KernelPorts, start=False) as lab:
        for i in range(2):
            lab.ports.link(i, "mtu", "1400")
        lab.start()
        small(lab.sites[0], "b", 1400)


# ---- links, neighbours, gateways ----


def test_a_link_goes_down_and_comes_back():
    with Lab("a", "b", ports="af_xdp") as lab:
        a = lab.sites[0]
        lab.ports.link(1, "down")
        said(a, "port: its link is down")
        check("the link of net_af_xdp " + namespaces.SITE_INTERFACE in why(a), why(a))
        wait_until(lambda: a.link("b")["state"] == "down", "down link to b", 15)
        check(a.counter("port_link_downs_total") == 1 and a.counter("port_link_up") == 0, "not counted")
        lab.ports.link(1, "up")
        said(a, "port: its link is up again")
        lab.wait_up()
        lab.exchange(size="1M", rounds="1")


def test_a_peer_comes_back_with_another_mac():
    with Lab("a", "b", ports="af_xdp") as lab:
        a, b = lab.sites
        b.gxd.kill()
        lab.ports.link(1, "down")
        lab.ports.link(1, "address", "02:00:00:00:be:ef", "up")
        b.start()
        lab.wait_up()
        lab.exchange(size="1M", rounds="1")
        check(a.counter("peer_restarts_total", "b") == 1, "a restart was not counted")


class RoutedPorts(VethPorts):
    """The second site is in another network, on UDP of the kernel that is the router to it."""

    def port(self, i):
        return '{udp: "%s"}' % self.address(i) if i else super().port(i, ", gateway: " + super().host(1))

    def host(self, i):
        return "10.202.0.2" if i else super().host(i)


def test_a_gateway_goes_and_comes_back():
    with Lab("a", "b", ports=RoutedPorts, start=False) as lab:
        lab.ports.ip(1, "addr", "add", "10.202.0.2/32", "dev", "lo")
        lab.start()
        a = lab.sites[0]
        lab.ports.link(1, "arp", "off")  # it answers nobody any more
        lab.sites[1].gxd.kill()
        # While its MAC is trusted, and sees to be wrong by silence only: 15 s, then three questions.
        said(a, "port: its gateway (port.gateway) does not answer", 40)
        check(a.counter("port_gateway_lost") == 1 and a.counter("port_unresolved_packets_total") > 0, "not counted")
        check("port.gateway does not answer" in why(a), why(a))
        lab.ports.link(1, "arp", "on")
        said(a, "port: its gateway answers again")
        lab.sites[1].start()
        lab.wait_up()
        lab.exchange(size="1M", rounds="1")


class ShortPorts(MemifPorts):
    """Rings of 16 frames."""

    def device(self, i):
        return super().device(i) + ",rsize=4"


def test_few_descriptors_are_back_pressure():
    """Bursts of 64: what does not fit waits."""
    with Lab("a", "b", ports=ShortPorts) as lab:
        lab.exchange(size="2M", rounds="2")
        check(lab.sites[0].counter("port_full_total") > 0, "nothing ever waited")


def host_check(site, *words):
    argv = [gxtest.program("gxctl"), "-s", site.socket, "host", "check", "--json", *words]
    done = gxtest.run(site.lab.ports.command(site.index, argv))
    check(done.returncode in (0, 1), "%d: %s" % (done.returncode, done.stderr))
    return {(f["check"], f["interface"]): f for f in json.loads(done.stdout)["findings"]}


def test_host_check_asks_the_gateway():
    """Through the kernel before gxd runs, and gxd itself while it does."""
    with Lab("a", "b", ports=RoutedPorts, start=False) as lab:
        a, interface = lab.sites[0], namespaces.SITE_INTERFACE
        for i in range(2):
            lab.ports.ip(i, "addr", "flush", "dev", interface)
        lab.ports.ip(0, "addr", "add", "10.201.0.9/24", "dev", interface)
        before = host_check(a, "-c", a.config)
        check(before["gateway", None]["level"] == "fail", "%s" % before["gateway", None])
        lab.ports.ip(1, "addr", "add", "10.201.0.2/24", "dev", interface)
        wait_until(lambda: host_check(a, "-c", a.config)["gateway", None]["level"] == "ok", "gateway", 15)
        a.start()
        running = host_check(a)
        check("net_af_xdp " + interface in running["port", None]["text"], "%s" % running["port", None])
        check(running["gateway", None]["level"] == "ok" and ("queues", interface) in running, "%s" % running)


# ---- who is there, and who only says so ----


def test_a_gxd_waits_for_peers_that_come_later_and_again():
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        a.start()
        check(a.link("b")["state"] == "down", "%s" % a.link("b"))
        check("down: nothing was ever heard from" in why(a), why(a))
        time.sleep(1.5)
        b.start()
        lab.wait_up()
        a.gxd.kill()
        wait_until(lambda: b.link("a")["state"] == "down", "down link to a", 15)
        check("was last heard" in why(b), why(b))
        a.start()
        lab.wait_up()
        said(b, "link to a: up, the peer restarted")
        lab.exchange(size="100K", rounds="1")


def test_two_gxds_with_one_name_are_told():
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        lab.ports.binds.append(gxports.free_ports())
        twin = gxtest.Site(lab, "b", 2)
        twin.socket, twin.config = lab.path("twin.sock"), lab.path("twin.yaml")
        twin.write_config()
        for site in lab.sites + [twin]:
            site.start()
        remark(said(a, "link to b: two gxd call themselves b", 30))
        check(a.counter("twins_total", "b") > 0, "not counted")
        check("two gxd call themselves b: they took the link from each other" in why(a), why(a))


def test_a_config_that_was_copied_with_its_name_is_told():
    """At b's address runs a gxd that calls itself a."""
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        with open(b.config) as f:
            text = f.read().replace("site: b\n", "site: a\n")
        with open(b.config, "w") as f:
            f.write(text)
        a.start()
        b.start()
        remark(said(b, "the gxd at the address of a calls itself a, and so does this one"))
        check("another gxd calls itself a, as this one does" in why(b), why(b))


def ends(site, wrapper=()):
    """What the gxd says before it ends by itself; its exit status must say that it failed."""
    gxd = site.start(wrapper=wrapper, ready=False)
    status = gxd.wait()
    gxtest.need_dpdk(gxd)
    check(status in (1, 2), "exit status %s; it said: %s" % (status, gxd.err()))
    return gxd.err()


class OneInterfacePorts(VethPorts):
    """Both sites want the first one's."""

    def command(self, i, argv):
        return super().command(0, argv)


def test_what_is_taken_already_is_told():
    """A second gxd: on the same UDP address, socket, state directory, or interface."""
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        a.start()
        for change, text in [
                ({"port": '{udp: "127.0.0.1:%d"}' % a.lab.ports.binds[0]}, "another process has this port"),
                ({"socket": a.socket}, "another gxd"), ({"state": a.socket + ".state"}, "another gxd keeps its state here")]:
            b.write_config()
            with open(b.config) as f:
                lines = f.read().splitlines()
            lines = [line for line in lines if line.split(":")[0] not in change]
            with open(b.config, "w") as f:
                f.write("\n".join(["%s: %s" % pair for pair in change.items()] + lines) + "\n")
            err = ends(b)
            check(text in err, "%s: %s" % (change, err))
    with Lab("a", "b", ports=OneInterfacePorts, start=False) as lab:
        lab.sites[0].start()
        err = ends(lab.sites[1])
        check("another program (a second gxd?) has it" in err, err)


class GivenPorts(PacketPorts):
    given = ""

    def device(self, i):
        return self.given


def test_a_wrong_device_is_told():
    with Lab("a", "b", ports=GivenPorts, start=False) as lab:
        for text, said_text, keys in [
                ("net_afxdp0,iface=eth0", "DPDK has no driver of that name", {}),
                ("eth0", "write net_af_xdp0,iface=eth0", {}),
                ("0000:99:00.0", "bound to vfio-pci?", {}),
                ("net_af_packet0,iface=eth0,nonsense=1", "cannot be opened", {}),
                ("net_af_packet0,iface=eth0", "its MTU is 1500, less than `mtu: 3000`", {"mtu": 3000}),
                ("net_af_packet0,iface=eth0", "give DPDK more with `eal: -m MiB`", {"eal": '"-m 8"'}),
                ("net_af_packet0,iface=eth0", "look at `lcores:` and `eal:`", {"lcores": '"900"'})]:
            lab.ports.given = text
            lab.sites[0].write_config(**keys)
            err = ends(lab.sites[0])
            check(said_text in err, "%s: %s" % (text, err))
            check("0000:00:" not in err, "EAL looked at other PCI devices: %s" % err)


def test_af_xdp_without_the_rights_is_told():
    if not shutil.which("setpriv"):
        raise Skip("setpriv is not installed")
    with Lab("a", "b", ports="af_xdp", start=False) as lab:
        a = lab.sites[0]
        err = ends(a, ["setpriv", "--bounding-set", "-net_raw,-net_admin,-bpf,-sys_admin"])
        check("af_xdp needs root with all capabilities" in err, err)
        err = ends(a, ["prlimit", "--memlock=65536", "setpriv", "--bounding-set", "-ipc_lock,-sys_resource"])
        check("too little memory may be locked (ulimit -l)" in err, err)


if __name__ == "__main__":
    sys.exit(gxtest.main(globals(), once=True))
