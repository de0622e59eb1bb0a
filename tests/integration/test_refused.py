#!/usr/bin/env python3
"""Sites that do not belong together: different lists of sites, different schemas of a run. The rest goes on."""
import sys
import time

import gxtest
from gxtest import Lab, check, wait_until


def test_other_site_lists():
    """b lists c as well: the link between a and b is refused at both, with the difference; a and d are not harmed."""
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        b.write_config(sites=[("a", a.address), ("b", b.address), ("c", lab.ports.unused_address())])
        for site in lab.sites:
            site.start()
        for site, peer in ((a, "b"), (b, "a")):
            link = wait_until(lambda s=site, p=peer: s.link(p)["state"] == "refused" and s.link(p),
                              "refused link at %s" % site.name, 15)
            check("list of sites" in link["refused"], "reason %r" % link["refused"])
            detail = link["refused_detail"] or ""
            check("c" in detail.split() or "'c'" in detail or "c," in detail, "%s: the detail does not name c: %r" %
                  (site.name, link["refused_detail"]))
            people = site.ctl("show", "links").stdout
            check("%s is refused: the peer's list of sites differs" % peer in people, "for people: %s" % people)
            check(site.gxd.alive(), "gxd ended")
        # The list is put right at b: the link comes up by itself.
        b.gxd.signal(15)
        b.gxd.wait(10)
        b.write_config()
        b.start()
        lab.wait_up()
        lab.perf_all("right", "--bytes", "100K", "--rounds", "2")


def test_other_order_of_sites():
    """The same names in another order: the sites would disagree on the coordinator."""
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        b.write_config(sites=[("b", b.address), ("a", a.address)])
        for site in lab.sites:
            site.start()
        for site, peer in ((a, "b"), (b, "a")):
            wait_until(lambda s=site, p=peer: s.link(p)["state"] == "refused", "refused link at %s" % site.name, 15)


def schemas_differ(options_b, *words):
    with Lab("a", "b") as lab:
        a, b = lab.sites
        good = [site.perf("good", "--bytes", "500K", "--rounds", "40") for site in lab.sites]
        bad = [a.perf("bad", "--bytes", "100K", name="bad-a")]
        wait_until(lambda: a.round("bad"), "run at a")
        bad.append(b.perf("bad", *options_b, name="bad-b"))
        row = wait_until(lambda: (b.round("bad") or {}).get("phase") == "refused" and b.round("bad"),
                         "refusal of the run at b", 15)
        check("schema" in (row["reason"] or ""), "reason %r" % row["reason"])
        for site in lab.sites:
            text = wait_until(lambda s=site: [line for line in s.gxd.err().splitlines()
                                              if "refused" in line and "run bad" in line],
                              "line in %s's log that says so" % site.name, 5)
            for word in words:
                check(word in text[0], "%s's log lacks %r: %s" % (site.name, word, text[0]))
            check(site.link("b" if site is a else "a")["state"] == "up", "the whole link was refused")
        for process in good:
            report = gxtest.report_of(process)
            check(all(r["cohort"] == ["a", "b"] for r in report["rounds"]), "the good run's cohorts: %s" % report)
        check((a.round("bad") or {"applied_round": 0})["applied_round"] == 0, "a round was decided")
        # The same run with the right schema.
        for process in bad:
            process.kill()
        for report in lab.perf_all("bad", "--bytes", "100K", "--rounds", "2"):
            check(len(report["rounds"]) == 2, "%s" % report)


def test_other_size():
    schemas_differ(["--bytes", "200K"], "parameter")


def test_other_format():
    schemas_differ(["--bytes", "100K", "--format", "bf16"], "format")


def test_a_second_trainer_of_the_same_run():
    with Lab("a", "b") as lab:
        a, b = lab.sites
        first = a.perf("one", "--bytes", "100K", "--rounds", "2")
        wait_until(lambda: a.round("one"), "run at a")
        second = a.perf("one", "--bytes", "100K", "--rounds", "2", "--timeout", "3", name="second")
        check(second.wait(15) == 1, "exit status %s" % second.popen.returncode)
        check(str(first.pid) in second.err() and "run" in second.err(), "message %r" % second.err())
        time.sleep(0.1)
        check(first.alive(), "the first one was harmed")
        gxtest.report_of(b.perf("one", "--bytes", "100K", "--rounds", "2"))
        gxtest.report_of(first)


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
