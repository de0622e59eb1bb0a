#!/usr/bin/env python3
"""kill -9 in mid-round: of a trainer, of a gxd, of the coordinator's gxd. The others go on, the killed site comes back by
itself, and every result that anybody completes is right (gx-perf --check)."""
import signal
import sys
import threading
import time

import gxtest
from gxtest import Lab, check, remark, wait_until

WAN = ["--rate", "100Mbit", "--delay", "10ms", "--loss", "0.01"]
BYTES = 10**6
ENDLESS = 100000  # rounds: a scene ends when what it is about has happened
TOGETHER = 3  # rounds of all sites that end it


class Watch(threading.Thread):
    """Notes when each site's trainer applied each round, as gxctl shows it."""

    def __init__(self, lab, run_name):
        super().__init__(daemon=True)
        self.lab, self.run_name, self.start_s = lab, run_name, time.monotonic()
        self.applied = {site.name: [] for site in lab.sites}  # (seconds, round)
        self.whole = {site.name: [] for site in lab.sites}  # of those, rounds that averaged every site
        self.stopping = False
        self.start()

    def now(self):
        return time.monotonic() - self.start_s

    def run(self):
        while not self.stopping:
            for site in self.lab.sites:
                try:
                    row = site.round(self.run_name)
                except (AssertionError, ValueError):
                    continue  # its gxd is dead
                seen = self.applied[site.name]
                if row and row["applied_round"] and (not seen or seen[-1][1] != row["applied_round"]):
                    seen.append((self.now(), row["applied_round"]))
                    if row["applied_round"] == row["decided_round"] and len(row["cohort"]) == len(self.lab.sites):
                        self.whole[site.name].append(seen[-1])
            time.sleep(0.03)

    def round(self, name):
        return self.applied[name][-1][1] if self.applied[name] else 0

    def together(self, since_s):
        return all(sum(t >= since_s for t, _ in seen) >= TOGETHER for seen in self.whole.values())

    def tell(self, killed_s, back_s):
        self.stopping = True
        self.join()
        for name, seen in self.applied.items():
            parts = [[r for t, r in seen if a <= t < b] for a, b in ((0, killed_s), (killed_s, back_s), (back_s, 1e9))]
            text = ["%d to %d" % (part[0], part[-1]) if part else "none" for part in parts]
            first = next((t for t, _ in seen if t >= back_s), None)
            remark("%s applied rounds %s before the kill, %s until the restart %.1f s later, %s afterwards (first %s)" % (
                name, text[0], text[1], back_s - killed_s, text[2],
                "%.1f s after the restart" % (first - back_s) if first else "never"))


class Scene:
    """A run of three sites, killed in mid-round after a few rounds. A round takes some 0.15 s; there are enough of them for
    who was killed to be back before the last one, on a machine that does other things as well."""

    def __init__(self, lab, rounds=ENDLESS, options=()):
        self.lab = lab
        self.options = ["--bytes", str(BYTES), "--rounds", str(rounds), *options]
        self.perfs = {site.name: site.perf("run", *self.options) for site in lab.sites}
        self.watch = Watch(lab, "run")
        self.killed_s = self.back_s = 0

    def until_mid_round(self, name):
        """Somewhere inside a round, after a few: the site's contribution is on its way."""
        site = next(s for s in self.lab.sites if s.name == name)
        wait_until(lambda: self.watch.round(name) >= 3, "round 3 at %s" % name)
        wait_until(lambda: (site.round("run") or {}).get("phase") == "offered", "offer at %s" % name, interval=0)
        self.killed_s = self.watch.now()

    def others_go_on(self, *names, rounds=2, seconds=30):
        goals = {name: self.watch.round(name) + rounds for name in names}
        wait_until(lambda: all(self.watch.round(n) >= goal for n, goal in goals.items()), "rounds %s" % goals, seconds)

    def back(self):
        self.back_s = self.watch.now()

    def end(self):
        """All sites make rounds together again; then every gx-perf ends without an error, and all agree on every
        cohort. Returns the reports by site."""
        wait_until(lambda: not self.alive() or self.watch.together(self.back_s), "rounds of all sites together")
        for perf in self.perfs.values():
            perf.signal(signal.SIGINT)
        reports = self.reports()
        check(self.watch.together(self.back_s), "gx-perf ended before its time")
        return reports

    def alive(self):
        return all(perf.alive() for perf in self.perfs.values())

    def reports(self):
        reports = {name: gxtest.report_of(perf) for name, perf in self.perfs.items()}
        self.watch.tell(self.killed_s, self.back_s)
        cohorts = {}
        for name, report in reports.items():
            for entry in report["rounds"]:
                other = cohorts.setdefault(entry["round"], (name, entry["cohort"]))
                check(entry["cohort"] == other[1], "round %d: cohort %s at %s, %s at %s" %
                      (entry["round"], entry["cohort"], name, other[1], other[0]))
        remark("cohorts: " + ", ".join("%d %s" % (r, "".join(c)) for r, (_, c) in sorted(cohorts.items())))
        return reports


def test_trainer_killed():
    """A restarted trainer knows nothing: it adopts the state of the others."""
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("b")
        scene.perfs["b"].kill()
        scene.others_go_on("a", "c")
        scene.back()
        scene.perfs["b"] = lab.sites[1].perf("run", *scene.options, name="perf-b-again")
        reports = scene.end()
        check(reports["b"]["states_adopted"] >= 1, "b adopted no state")
        check(reports["a"]["left_out_rounds"] == reports["c"]["left_out_rounds"] == 0, "a or c was left out")
        check(all(r["reattached"] == 0 for r in reports.values()), "a trainer attached again")


def test_trainer_back_when_the_others_have_ended():
    """Their gxds still have the state of the last round for it; then they let the run go."""
    with Lab("a", "b", "c", wan=WAN, deadline="30s") as lab:
        scene = Scene(lab, rounds=8)
        scene.until_mid_round("b")
        scene.perfs["b"].kill()
        for name in "ac":
            check(scene.perfs[name].wait() == 0, scene.perfs[name].tail())
        scene.back()
        scene.perfs["b"] = lab.sites[1].perf("run", *scene.options, name="perf-b-again")
        reports = scene.reports()
        check(reports["b"]["states_adopted"] == 1 and not reports["b"]["rounds"], "b: %s" % reports["b"])
        for site in lab.sites:
            wait_until(lambda s=site: s.show("rounds")["rounds"] == [], "release of the run at " + site.name, 20)


def test_trainer_of_the_coordinators_site_killed():
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("a")
        scene.perfs["a"].kill()
        scene.others_go_on("b", "c")
        scene.back()
        scene.perfs["a"] = lab.sites[0].perf("run", *scene.options, name="perf-a-again")
        check(scene.end()["a"]["states_adopted"] >= 1, "a adopted no state")


def test_gxd_killed_for_a_moment():
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("b")
        lab.sites[1].gxd.kill()
        scene.back()
        lab.sites[1].start()
        reports = scene.end()
        check(reports["b"]["reattached"] == 1, "b attached again %d times" % reports["b"]["reattached"])
        check(lab.sites[0].counter("peer_restarts_total", "b") == 1, "a counted no restart of b")
        for peer in "a", "c":
            check("site %s: known from before" % peer in lab.sites[1].gxd.err(), "b knew nothing of its link to %s" % peer)


def test_gxd_killed_for_long():
    """So long that the others stop waiting for it (3 s without a sign of it)."""
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("b")
        lab.sites[1].gxd.kill()
        scene.others_go_on("a", "c", rounds=4)
        scene.back()
        lab.sites[1].start()
        reports = scene.end()
        check(reports["b"]["reattached"] == 1, "b attached again %d times" % reports["b"]["reattached"])
        check(reports["b"]["states_adopted"] >= 1, "b adopted no state")


def test_coordinators_gxd_killed():
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("a")
        lab.sites[0].gxd.kill()
        time.sleep(1)
        before = scene.watch.round("b")
        time.sleep(0.5)
        check(scene.watch.round("b") <= before + 1, "b went on without a coordinator")
        scene.back()
        lab.sites[0].start()
        reports = scene.end()
        check(reports["a"]["reattached"] == 1, "a attached again %d times" % reports["a"]["reattached"])
        replayed = [line for line in lab.sites[0].gxd.err().splitlines() if line.endswith(" records")]
        remark(replayed[0].split(": ", 1)[1] if replayed else "no journal")
        check(replayed and int(replayed[0].split()[-2]) >= 3, "the journal was not replayed: %s" % replayed)


def test_coordinators_site_killed():
    """gxd and trainer of the coordinator's site: the journal knows the records, the others have the state."""
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("a")
        lab.sites[0].gxd.kill()
        scene.perfs["a"].kill()
        time.sleep(0.5)
        scene.back()
        lab.sites[0].start()
        scene.perfs["a"] = lab.sites[0].perf("run", *scene.options, name="perf-a-again")
        check(scene.end()["a"]["states_adopted"] >= 1, "a adopted no state")


def test_all_gxds_killed():
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("c")
        for site in lab.sites:
            site.gxd.kill()
        scene.back()
        for site in reversed(lab.sites):
            site.start()
        for name, report in scene.end().items():
            check(report["reattached"] == 1, "%s attached again %d times" % (name, report["reattached"]))


def test_gxd_stopped_for_a_while():
    """Not dead but stuck (SIGSTOP): gxctl says so, the others go on, and it catches up."""
    with Lab("a", "b", "c", wan=WAN, deadline="10s") as lab:
        scene = Scene(lab)
        scene.until_mid_round("b")
        lab.sites[1].gxd.signal(signal.SIGSTOP)
        scene.others_go_on("a", "c", rounds=3)
        stuck = wait_until(lambda: [d for d in [lab.sites[1].ctl("show", "--json")] if d.returncode], "stuck b", 15)[0]
        check(stuck.returncode == 1 and "stuck" in stuck.stderr, "gxctl: %d, %s" % (stuck.returncode, stuck.stderr))
        scene.back()
        lab.sites[1].gxd.signal(signal.SIGCONT)
        reports = scene.end()
        check(reports["b"]["reattached"] == 0, "b's trainer lost its gxd")


def test_path_gone_for_a_while():
    """Nothing passes for 4 s: the coordinator's site goes on alone (min_sites 1), the other one comes back behind."""
    with Lab("a", "b", relay=True, deadline="10s", rate="100Mbit") as lab:
        scene = Scene(lab)
        scene.until_mid_round("b")
        lab.relay.outage = True
        scene.others_go_on("a", rounds=3)
        scene.back()
        lab.relay.outage = False
        reports = scene.end()
        check(any(entry["cohort"] == ["a"] for entry in reports["a"]["rounds"]), "a did not go on alone")
        check(reports["b"]["states_adopted"] >= 1, "b adopted no state")


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
