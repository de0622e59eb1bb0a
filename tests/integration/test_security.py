#!/usr/bin/env python3
"""Links with a key: what is sent cannot be read or changed, and who lacks the key stays outside while the others go on."""
import os
import random
import stat
import sys

import gxtest
from gxtest import Lab, check, once, program, remark, run, wait_until
from test_packets import HEADER_BYTES, HELLO, SHARD, Target, kind_of

CHUNK = 16


def make_key(lab, name="key"):
    done = run([program("gxctl"), "key", "generate"])
    check(done.returncode == 0 and len(done.stdout) == 65, "gxctl key generate: %s" % done)
    path = lab.path(name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
        f.write(done.stdout)
    return path


def start(lab, **keys):
    for site in lab.sites:
        site.write_config(**keys)
        site.start(ready=False)
    lab.wait_up()


def chunks(lab):
    """Pieces of 16 bytes of the payloads of shards that the relay saw, and how many shards those are."""
    shards = [p[HEADER_BYTES:] for _, _, p in list(lab.relay.seen) if kind_of(p) == SHARD]
    return {p[at:at + CHUNK] for p in shards for at in range(0, len(p) - CHUNK, CHUNK)}, len(shards)


def test_nothing_is_readable_on_the_way():
    """The same contributions with and without a key: with it no piece of them is on the way, nor of what a second pass
    of the very same bytes looks like."""
    seen = []
    for secure in (False, True, True):
        with Lab("a", "b", relay=True, start=False) as lab:
            start(lab, **({"security": "psk", "key": make_key(lab)} if secure else {}))
            lab.perf_all("same", "--bytes", "200K", "--rounds", "2")
            found, count = chunks(lab)
            check(count >= 2 * 2 * 200000 // 1408, "%d shards" % count)
            seen.append(found)
            copied = lab.sites[0].counter("copied_encrypt_bytes_total", "b")
            check((copied >= 400000) == secure and (copied > 0) == secure, "%d bytes encrypted on the way" % copied)
    check(len(seen[0]) > 10000, "only %d pieces in the clear" % len(seen[0]))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        check(not seen[one] & seen[other], "%d pieces are the same" % len(seen[one] & seen[other]))


def test_altered_and_repeated_packets():
    rng = random.Random(3)
    with Lab("a", "b", relay=True, start=False) as lab:
        start(lab, security="psk", key=make_key(lab))
        target = Target(lab)
        live = rng.sample([p for p in target.seen() if len(p) > HEADER_BYTES], 30)
        flipped = []
        for p in live:
            at = rng.choice([*range(8, HEADER_BYTES), *range(HEADER_BYTES, len(p))])
            flipped.append(p[:at] + bytes([p[at] ^ 1 << rng.randrange(8)]) + p[at + 1:])
        target.count(flipped, "drop_checksum_total")
        target.count(live, "drop_replay_total")
        hellos = target.seen(HELLO)
        # From another address, so that they do not count as another key; beside the tag, so that all can be parsed.
        target.count([h[:at] + bytes([h[at] ^ 1]) + h[at + 1:] for h in hellos for at in (28, 33, 47, HEADER_BYTES + 20)],
                     "drop_checksum_total", stranger=True)
        target.count(hellos, None)


def test_one_site_has_another_key():
    with Lab("a", "b", "c", start=False) as lab:
        a, b, c = lab.sites
        right, wrong = make_key(lab), make_key(lab, "other")
        for site in lab.sites:
            site.write_config(security="psk", key=wrong if site is c else right, start_sites=2)
            site.start()
        for site, peer in ((a, "c"), (b, "c"), (c, "a"), (c, "b")):
            link = wait_until(lambda s=site, p=peer: s.link(p)["state"] == "refused" and s.link(p),
                              "refused link from %s to %s" % (site.name, peer), 20)
            check("key" in link["refused"] and "same key file" in (link["refused_detail"] or ""), "%s" % link)
            check(link["sessions"] == 0, "a session with another key")
        check("c is refused: the peer's key or its `security:` differs" in a.ctl("show", "links").stdout,
              a.ctl("show", "links").stdout)
        check("differs" in a.ctl("why").stdout, a.ctl("why").stdout)
        for perf in [site.perf("on", "--bytes", "100K", "--rounds", "3") for site in (a, b)]:
            check(all(r["cohort"] == ["a", "b"] for r in gxtest.report_of(perf)["rounds"]), "the cohorts")
        # c gets the right key: the others let it in by themselves.
        c.gxd.signal(15)
        c.gxd.wait(10)
        c.write_config(security="psk", key=right)
        c.start()
        lab.wait_up()
        # From a new start on, so that round 1 waits for all three.
        for site in (a, b):
            site.gxd.signal(15)
            site.gxd.wait(10)
            site.write_config(security="psk", key=right)
            site.start()
        lab.wait_up()
        lab.perf_all("all", "--bytes", "100K", "--rounds", "2")


def test_one_side_without_security():
    with Lab("a", "b", start=False) as lab:
        a, b = lab.sites
        a.write_config(security="psk", key=make_key(lab))
        b.write_config()
        for site in lab.sites:
            site.start()
        for site, peer, words in ((a, "b", "none there and psk here"), (b, "a", "psk there and none here")):
            link = wait_until(lambda s=site, p=peer: s.link(p)["state"] == "refused" and s.link(p),
                              "refused link at %s" % site.name, 20)
            check(words in (link["refused_detail"] or ""), "%s" % link)
        check(any(" warn " in line and "security: none" in line for line in b.gxd.err().splitlines()), b.gxd.tail())
        check("security: none:" not in a.gxd.err(), a.gxd.tail())


def test_killed_gxd_comes_back():
    with Lab("a", "b", start=False) as lab:
        start(lab, security="psk", key=make_key(lab))
        b = lab.sites[1]
        perfs = [site.perf("on", "--bytes", "100K", "--rounds", "40") for site in lab.sites]
        wait_until(lambda: (b.round("on") or {"applied_round": 0})["applied_round"] >= 3, "round 3")
        b.gxd.kill()
        b.start()
        for perf in perfs:
            check(len(gxtest.report_of(perf)["rounds"]) > 0, "no rounds")


@once
def test_key_files_that_will_not_do():
    with Lab("a", "b", start=False) as lab:
        a = lab.sites[0]
        key = make_key(lab)
        for change, words in ((lambda: None, None),
                              (lambda: os.chmod(key, 0o644), "mode 0644 lets others at the key: chmod 600"),
                              (lambda: (os.chmod(key, 0o600), os.truncate(key, 20)), "holds no key"),
                              (lambda: os.unlink(key), "gxctl key generate makes a key")):
            change()
            a.write_config(security="psk", key=key)
            for argv in ([program("gxd"), "--check", "-c", a.config], [program("gxctl"), "config", "check", a.config]):
                done = run(argv)
                check(done.returncode == (2 if words else 0), "%s: %s" % (argv, done))
                check(not words or (words in done.stderr and key in done.stderr), "%s" % done)
        gxd = a.start(ready=False)
        check(gxd.wait(10) == 2 and key in gxd.err(), gxd.err())


@once
def test_generated_key_warns_of_an_open_file():
    with Lab("a", start=False) as lab:
        path = lab.path("open")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o644)
            done = gxtest.subprocess.run([program("gxctl"), "key", "generate"], stdout=f, stderr=gxtest.subprocess.PIPE,
                                         text=True, check=True)
        check("chmod 600" in done.stderr, done.stderr)
        check(stat.S_IMODE(os.stat(path).st_mode) == 0o644 and os.stat(path).st_size == 65, "the file")
        remark("said: %s" % done.stderr.strip())


if __name__ == "__main__":
    sys.exit(gxtest.main(globals()))
