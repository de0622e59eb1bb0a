#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wan/impair.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MS 1000000ull
#define SECOND 1000000000ull
#define START (7 * SECOND)
#define FRAME 1498

static struct gx_impair start(struct gx_impair_config config)
{
    struct gx_impair impair;

    assert_int_equal(gx_impair_init(&impair, &config, START), 0);
    return impair;
}

static struct gx_verdict send_at(struct gx_impair *impair, uint64_t at_ns, uint32_t frame_bytes)
{
    struct gx_verdict verdict;

    gx_impair_packet(impair, at_ns, frame_bytes, &verdict);
    return verdict;
}

/* Sends `count` packets 1 us apart and returns the counters. */
static struct gx_impair_counters flood(struct gx_impair_config config, uint32_t count)
{
    struct gx_impair impair = start(config);

    for (uint32_t i = 0; i < count; i++)
        send_at(&impair, START + i * 1000, FRAME);
    return impair.counters;
}

/* Five standard deviations of a binomial share: a wrong p of a percent shows, a lucky seed does
 * not. */
static void assert_share(uint64_t hits, uint64_t count, double p)
{
    double share = (double)hits / (double)count;
    double tolerance = 5 * sqrt(p * (1 - p) / (double)count);

    if (fabs(share - p) > tolerance)
        fail_msg("%g is not %g +- %g", share, p, tolerance);
}

static void perfect_link_delivers_at_once(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){0});
    struct gx_verdict verdict = send_at(&impair, START + 5, FRAME);

    assert_int_equal(verdict.cause, GX_IMPAIR_NONE);
    assert_int_equal(verdict.copies, 1);
    assert_int_equal(verdict.deliver_ns[0], START + 5);
    assert_int_equal(verdict.corrupt_bit, -1);
}

static void rate_spaces_packets(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){.rate_bps = 200000000});

    for (uint64_t i = 1; i <= 20; i++) {
        struct gx_verdict verdict = send_at(&impair, START, 1000);
        assert_int_equal(verdict.deliver_ns[0], START + i * 40000); /* 8,000 bits at 200 Mbit/s */
    }
}

static void idle_link_saves_no_capacity(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){.rate_bps = 200000000});

    send_at(&impair, START, 1000);
    struct gx_verdict first = send_at(&impair, START + SECOND, 1000);
    struct gx_verdict second = send_at(&impair, START + SECOND, 1000);
    assert_int_equal(first.deliver_ns[0], START + SECOND + 40000);
    assert_int_equal(second.deliver_ns[0], START + SECOND + 80000);
}

static void uneven_rate_holds_over_time(void **state)
{
    (void)state;
    const uint64_t rate_bps = 7000000003;
    struct gx_impair impair =
        start((struct gx_impair_config){.rate_bps = rate_bps, .queue_bytes = 1ull << 40});
    struct gx_verdict verdict = {0};

    for (int i = 0; i < 100000; i++)
        verdict = send_at(&impair, START, 1001);
    uint64_t expected_ns = 100000ull * 1001 * 8 * SECOND / rate_bps;
    assert_in_range(verdict.left_ns, START + expected_ns - 1, START + expected_ns + 1);
}

static void delay_follows_serialisation(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.rate_bps = 200000000, .delay_ns = 25 * MS});
    struct gx_verdict verdict = send_at(&impair, START, 1000);

    assert_int_equal(verdict.left_ns, START + 40000);
    assert_int_equal(verdict.deliver_ns[0], START + 40000 + 25 * MS);
}

static void queue_drops_the_tail(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.rate_bps = 8000000, .queue_bytes = 10000});

    for (int i = 0; i < 10; i++)
        assert_int_equal(send_at(&impair, START, 1000).cause, GX_IMPAIR_NONE);
    struct gx_verdict dropped = send_at(&impair, START, 1000);
    assert_int_equal(dropped.cause, GX_IMPAIR_QUEUE);
    assert_int_equal(dropped.copies, 0);
    assert_int_equal(impair.counters.dropped[GX_IMPAIR_QUEUE], 1);
    /* one packet's time later there is room for one */
    assert_int_equal(send_at(&impair, START + MS, 1000).cause, GX_IMPAIR_NONE);
    assert_int_equal(send_at(&impair, START + MS, 1000).cause, GX_IMPAIR_QUEUE);
}

static void queue_drop_uses_no_capacity(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.rate_bps = 8000000, .queue_bytes = 2000});

    for (int i = 0; i < 100; i++)
        send_at(&impair, START, 1000);
    assert_int_equal(send_at(&impair, START + MS, 1000).left_ns, START + 3 * MS);
}

static void default_queue_is_one_bdp_and_slack(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.rate_bps = 200000000, .delay_ns = 25 * MS});
    uint64_t accepted = 0;

    assert_int_equal(gx_impair_queue_bytes(200000000, 25 * MS), 1250000 + 65536);
    while (accepted < 5000 && send_at(&impair, START, 1000).cause == GX_IMPAIR_NONE)
        accepted++;
    assert_int_equal(accepted, (1250000 + 65536) / 1000);
}

static void loss_has_its_frequency(void **state)
{
    (void)state;
    const double losses[] = {0.001, 0.01, 0.05, 0.1, 0.5};

    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
        struct gx_impair_counters counters =
            flood((struct gx_impair_config){.loss = losses[i], .seed = 3}, 200000);
        assert_share(counters.dropped[GX_IMPAIR_LOSS], 200000, losses[i]);
        assert_int_equal(counters.delivered_packets + counters.dropped[GX_IMPAIR_LOSS], 200000);
        assert_true(fabs(gx_impair_loss(&counters) * 200000 -
                         (double)counters.dropped[GX_IMPAIR_LOSS]) < 0.5);
    }
}

static void independent_losses_rarely_run(void **state)
{
    (void)state;
    struct gx_impair_counters counters =
        flood((struct gx_impair_config){.loss = 0.1, .seed = 4}, 200000);

    assert_true(fabs(gx_impair_mean_burst(&counters) - 1 / 0.9) < 0.02);
}

static void loss_of_one_loses_all(void **state)
{
    (void)state;
    struct gx_impair_counters counters = flood((struct gx_impair_config){.loss = 1}, 1000);

    assert_int_equal(counters.dropped[GX_IMPAIR_LOSS], 1000);
    assert_int_equal(counters.loss_runs, 1);
}

static uint64_t sum_of(const uint64_t *bins)
{
    uint64_t sum = 0;

    for (int bin = 0; bin < GX_IMPAIR_RUN_BINS; bin++)
        sum += bins[bin];
    return sum;
}

static void runs_are_counted_by_length(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {1, 2, 3, 4, 5, 16384, 16385, UINT64_MAX};
    static const uint32_t bins[] = {0, 1, 2, 2, 3, 14, 15, 15};
    /* Every bad state lasts one packet or goes on with 0.8; no other loss breaks or lengthens a run. */
    struct gx_impair_config config = {.burst = {.p_gb = 0.01, .p_bg = 0.2, .p_loss_bad = 1},
                                      .seed = 5};
    struct gx_impair_counters counters = flood(config, 400000);

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        assert_int_equal(gx_impair_run_bin(lengths[i]), bins[i]);
    assert_int_equal(sum_of(counters.runs), counters.loss_runs);
    assert_share(counters.runs[0], counters.loss_runs, 0.2);
    assert_share(counters.runs[1], counters.loss_runs, 0.8 * 0.2);
    assert_share(counters.runs[2], counters.loss_runs, 0.64 * (1 - 0.64));
}

static void the_run_under_way_counts(void **state)
{
    (void)state;
    struct gx_impair_counters counters = flood((struct gx_impair_config){.loss = 1}, 5);

    assert_int_equal(counters.runs[3], 1);
    assert_int_equal(sum_of(counters.runs), 1);
}

static void lost_packets_use_capacity(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.rate_bps = 8000000, .loss = 1, .queue_bytes = 1 << 20});

    for (int i = 0; i < 9; i++)
        assert_int_equal(send_at(&impair, START, 1000).cause, GX_IMPAIR_LOSS);
    assert_int_equal(send_at(&impair, START, 1000).left_ns, START + 10 * MS);
}

static void burst_has_its_loss_and_length(void **state)
{
    (void)state;
    const uint32_t count = 2000000;
    struct gx_impair_counters counters = flood(
        (struct gx_impair_config){.burst = {.p_gb = 0.005, .p_bg = 0.1, .p_loss_bad = 1}}, count);
    double loss = (double)counters.dropped[GX_IMPAIR_BURST] / count;

    assert_true(fabs(loss - 0.005 / 0.105) < 0.003);
    assert_true(fabs(gx_impair_mean_burst(&counters) - 10) < 0.5);
    assert_int_equal(counters.dropped[GX_IMPAIR_LOSS], 0);
}

static void mild_bad_state_breaks_runs(void **state)
{
    (void)state;
    const uint32_t count = 2000000;
    struct gx_impair_counters counters = flood(
        (struct gx_impair_config){.burst = {.p_gb = 0.01, .p_bg = 0.2, .p_loss_bad = 0.5}}, count);
    double loss = (double)counters.dropped[GX_IMPAIR_BURST] / count;

    assert_true(fabs(loss - 0.5 * 0.01 / 0.21) < 0.002);
    assert_true(fabs(gx_impair_mean_burst(&counters) - 1 / (1 - 0.8 * 0.5)) < 0.05);
}

static void burst_and_loss_are_counted_apart(void **state)
{
    (void)state;
    const uint32_t count = 1000000;
    struct gx_impair_counters counters =
        flood((struct gx_impair_config){.loss = 0.02,
                                        .burst = {.p_gb = 0.01, .p_bg = 0.25, .p_loss_bad = 1}},
              count);
    uint64_t good = count - counters.dropped[GX_IMPAIR_BURST];

    assert_share(counters.dropped[GX_IMPAIR_LOSS], good, 0.02);
    assert_int_equal(counters.delivered_packets, good - counters.dropped[GX_IMPAIR_LOSS]);
}

static struct gx_impair_config everything(uint64_t seed)
{
    return (struct gx_impair_config){.rate_bps = 100000000,
                                     .delay_ns = 10 * MS,
                                     .jitter_ns = MS,
                                     .loss = 0.05,
                                     .burst = {.p_gb = 0.01, .p_bg = 0.3, .p_loss_bad = 0.9},
                                     .reorder = 0.05,
                                     .reorder_ns = 2 * MS,
                                     .dup = 0.05,
                                     .corrupt = 0.05,
                                     .header_bytes = 42,
                                     .seed = seed};
}

/* How many of 10,000 verdicts differ between two configs. */
static uint32_t differences(struct gx_impair_config left, struct gx_impair_config right)
{
    struct gx_impair a = start(left), b = start(right);
    uint32_t count = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        struct gx_verdict x = send_at(&a, START + i * 130000, FRAME);
        struct gx_verdict y = send_at(&b, START + i * 130000, FRAME);
        count += x.cause != y.cause || x.copies != y.copies || x.corrupt_bit != y.corrupt_bit ||
                 x.deliver_ns[0] != y.deliver_ns[0] || x.deliver_ns[1] != y.deliver_ns[1];
    }
    return count;
}

static void same_seed_same_verdicts(void **state)
{
    (void)state;
    assert_int_equal(differences(everything(11), everything(11)), 0);
}

static void other_seed_other_verdicts(void **state)
{
    (void)state;
    assert_in_range(differences(everything(11), everything(12)), 5000, 10000);
}

static void other_stream_other_verdicts(void **state)
{
    (void)state;
    struct gx_impair_config other = everything(11);

    other.stream = 1;
    assert_in_range(differences(everything(11), other), 5000, 10000);
}

static void streams_lose_independently(void **state)
{
    (void)state;
    struct gx_impair a = start((struct gx_impair_config){.loss = 0.5, .stream = 0});
    struct gx_impair b = start((struct gx_impair_config){.loss = 0.5, .stream = 1});
    uint64_t both = 0;

    for (uint64_t i = 0; i < 100000; i++) {
        if (send_at(&a, START + i, FRAME).cause == GX_IMPAIR_NONE)
            send_at(&b, START + i, FRAME);
        else
            both += send_at(&b, START + i, FRAME).cause == GX_IMPAIR_LOSS;
    }
    assert_share(both, 100000, 0.25);
}

static void jitter_is_uniform_and_bounded(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.delay_ns = 10 * MS, .jitter_ns = 4 * MS});
    double sum_ms = 0;
    uint64_t quarter = 0;

    for (uint64_t i = 0; i < 50000; i++) {
        uint64_t at_ns = START + i * 20 * MS; /* far apart: no waiting for the one before */
        uint64_t extra_ns = send_at(&impair, at_ns, FRAME).deliver_ns[0] - at_ns - 10 * MS;
        assert_true(extra_ns <= 4 * MS);
        sum_ms += 1e-6 * (double)extra_ns;
        quarter += extra_ns < MS;
    }
    assert_true(fabs(sum_ms / 50000 - 2) < 0.03);
    assert_share(quarter, 50000, 0.25);
}

static void jitter_keeps_order(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){.jitter_ns = 4 * MS});
    uint64_t last_ns = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        struct gx_verdict verdict = send_at(&impair, START + i * 10000, FRAME);
        assert_true(verdict.deliver_ns[0] >= last_ns);
        last_ns = verdict.deliver_ns[0];
    }
    assert_int_equal(impair.counters.reordered, 0);
}

static void jitter_reorders_when_told(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.jitter_ns = 4 * MS, .jitter_reorders = true});
    uint64_t last_ns = 0, back = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        struct gx_verdict verdict = send_at(&impair, START + i * 10000, FRAME);
        back += verdict.deliver_ns[0] < last_ns;
        last_ns = verdict.deliver_ns[0];
    }
    assert_true(back > 1000);
    assert_true(impair.counters.reordered >= back);
}

static void reorder_holds_a_share_back(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.delay_ns = 10 * MS, .reorder = 0.1, .reorder_ns = 3 * MS});
    uint64_t held = 0;

    for (uint64_t i = 0; i < 50000; i++) {
        uint64_t at_ns = START + i * 100000;
        uint64_t took_ns = send_at(&impair, at_ns, FRAME).deliver_ns[0] - at_ns;
        assert_true(took_ns == 10 * MS || took_ns == 13 * MS);
        held += took_ns == 13 * MS;
    }
    assert_int_equal(impair.counters.reordered, held);
    assert_share(held, 50000, 0.1);
}

static void dup_delivers_twice(void **state)
{
    (void)state;
    struct gx_impair impair =
        start((struct gx_impair_config){.rate_bps = 8000000, .delay_ns = MS, .dup = 1});
    struct gx_verdict verdict = send_at(&impair, START, 1000);

    assert_int_equal(verdict.copies, 2);
    assert_int_equal(verdict.deliver_ns[0], START + 2 * MS);
    assert_int_equal(verdict.deliver_ns[1], START + 3 * MS);
    assert_int_equal(impair.counters.delivered_packets, 1);
}

static void dup_has_its_frequency(void **state)
{
    (void)state;
    struct gx_impair_counters counters = flood((struct gx_impair_config){.dup = 0.03}, 100000);

    assert_share(counters.duplicated, 100000, 0.03);
    assert_int_equal(counters.delivered_packets, 100000);
}

static void corrupt_hits_every_bit_after_the_header(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){.corrupt = 1, .header_bytes = 42});
    uint32_t seen[80] = {0};

    for (int i = 0; i < 80000; i++) {
        struct gx_verdict verdict = send_at(&impair, START, 42 + 10);
        assert_in_range(verdict.corrupt_bit, 0, 79);
        seen[verdict.corrupt_bit]++;
    }
    for (int bit = 0; bit < 80; bit++)
        assert_share(seen[bit], 80000, 1.0 / 80);
}

static void corrupt_has_its_frequency(void **state)
{
    (void)state;
    struct gx_impair_counters counters = flood((struct gx_impair_config){.corrupt = 0.02}, 100000);

    assert_share(counters.corrupted, 100000, 0.02);
}

static void corrupt_spares_an_empty_payload(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){.corrupt = 1, .header_bytes = 42});

    assert_int_equal(send_at(&impair, START, 42).corrupt_bit, -1);
}

static void outage_drops_within_its_time(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){
        .outages = {{1 * SECOND, 2 * SECOND}, {5 * SECOND, 6 * SECOND}}, .outage_count = 2});
    const struct {
        uint64_t at_ns;
        enum gx_impair_cause cause;
    } cases[] = {
        {0, GX_IMPAIR_NONE},          {SECOND - 1, GX_IMPAIR_NONE},
        {SECOND, GX_IMPAIR_OUTAGE},   {2 * SECOND - 1, GX_IMPAIR_OUTAGE},
        {2 * SECOND, GX_IMPAIR_NONE}, {5 * SECOND + 1, GX_IMPAIR_OUTAGE},
        {6 * SECOND, GX_IMPAIR_NONE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(send_at(&impair, START + cases[i].at_ns, FRAME).cause, cases[i].cause);
    assert_int_equal(impair.counters.dropped[GX_IMPAIR_OUTAGE], 3);
    assert_true(gx_impair_loss(&impair.counters) == 0);
}

static void mtu_swallows_what_is_larger(void **state)
{
    (void)state;
    struct gx_impair impair = start((struct gx_impair_config){.mtu = 1436});

    assert_int_equal(send_at(&impair, START, 1436 + 14).cause, GX_IMPAIR_NONE);
    assert_int_equal(send_at(&impair, START + 1, 1436 + 15).cause, GX_IMPAIR_MTU);
    assert_int_equal(impair.counters.dropped[GX_IMPAIR_MTU], 1);
    assert_true(gx_impair_loss(&impair.counters) == 0);
}

static void counters_account_for_every_packet(void **state)
{
    (void)state;
    struct gx_impair_config config = everything(5);
    config.queue_bytes = 20000;
    config.outages[0] = (struct gx_impair_outage){100 * MS, 200 * MS};
    config.outage_count = 1;
    config.mtu = FRAME - 14;
    struct gx_impair impair = start(config);
    uint64_t dropped = 0;

    for (uint64_t i = 0; i < 10000; i++)
        send_at(&impair, START + i * 100000, FRAME + (i >= 9900 && i < 9910));
    for (int cause = 1; cause < GX_IMPAIR_CAUSE_COUNT; cause++) {
        assert_true(impair.counters.dropped[cause] > 0);
        dropped += impair.counters.dropped[cause];
    }
    assert_int_equal(impair.counters.packets, 10000);
    assert_int_equal(impair.counters.bytes, 10000 * FRAME + 10);
    assert_int_equal(impair.counters.delivered_packets + dropped, 10000);
    assert_int_equal(impair.counters.delivered_bytes, impair.counters.delivered_packets * FRAME);
}

static void counters_add_up(void **state)
{
    (void)state;
    struct gx_impair_counters one = flood(everything(6), 5000), sum = {0};

    gx_impair_counters_add(&sum, &one);
    gx_impair_counters_add(&sum, &one);
    for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
        assert_int_equal(((uint64_t *)&sum)[i], 2 * ((uint64_t *)&one)[i]);
}

static void bad_config_is_refused(void **state)
{
    (void)state;
    struct gx_impair impair;
    const struct gx_impair_config bad[] = {
        {.loss = 1.1},
        {.loss = -0.1},
        {.loss = NAN},
        {.reorder = 2},
        {.dup = 2},
        {.corrupt = -1},
        {.burst = {.p_gb = 1.5}},
        {.burst = {.p_bg = 1.5}},
        {.burst = {.p_loss_bad = 1.5}},
        {.outages = {{2, 1}}, .outage_count = 1},
        {.outage_count = GX_IMPAIR_OUTAGES_MAX + 1},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(gx_impair_init(&impair, &bad[i], START), -EINVAL);
}

static void serialise_rounds_up_and_saturates(void **state)
{
    (void)state;
    assert_int_equal(gx_impair_serialise_ns(200000000, 1000), 40000);
    assert_int_equal(gx_impair_serialise_ns(3000000000, 1), 3);
    assert_int_equal(gx_impair_serialise_ns(0, 1000), 0);
    assert_true(gx_impair_serialise_ns(1, UINT64_MAX) == UINT64_MAX);
}

static void causes_have_texts(void **state)
{
    (void)state;
    assert_string_equal(gx_impair_cause_text(GX_IMPAIR_QUEUE), "queue");
    assert_string_equal(gx_impair_cause_text(GX_IMPAIR_OUTAGE), "outage");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perfect_link_delivers_at_once),
        cmocka_unit_test(rate_spaces_packets),
        cmocka_unit_test(idle_link_saves_no_capacity),
        cmocka_unit_test(uneven_rate_holds_over_time),
        cmocka_unit_test(delay_follows_serialisation),
        cmocka_unit_test(queue_drops_the_tail),
        cmocka_unit_test(queue_drop_uses_no_capacity),
        cmocka_unit_test(default_queue_is_one_bdp_and_slack),
        cmocka_unit_test(loss_has_its_frequency),
        cmocka_unit_test(independent_losses_rarely_run),
        cmocka_unit_test(loss_of_one_loses_all),
        cmocka_unit_test(runs_are_counted_by_length),
        cmocka_unit_test(the_run_under_way_counts),
        cmocka_unit_test(lost_packets_use_capacity),
        cmocka_unit_test(burst_has_its_loss_and_length),
        cmocka_unit_test(mild_bad_state_breaks_runs),
        cmocka_unit_test(burst_and_loss_are_counted_apart),
        cmocka_unit_test(same_seed_same_verdicts),
        cmocka_unit_test(other_seed_other_verdicts),
        cmocka_unit_test(other_stream_other_verdicts),
        cmocka_unit_test(streams_lose_independently),
        cmocka_unit_test(jitter_is_uniform_and_bounded),
        cmocka_unit_test(jitter_keeps_order),
        cmocka_unit_test(jitter_reorders_when_told),
        cmocka_unit_test(reorder_holds_a_share_back),
        cmocka_unit_test(dup_delivers_twice),
        cmocka_unit_test(dup_has_its_frequency),
        cmocka_unit_test(corrupt_hits_every_bit_after_the_header),
        cmocka_unit_test(corrupt_has_its_frequency),
        cmocka_unit_test(corrupt_spares_an_empty_payload),
        cmocka_unit_test(outage_drops_within_its_time),
        cmocka_unit_test(mtu_swallows_what_is_larger),
        cmocka_unit_test(counters_account_for_every_packet),
        cmocka_unit_test(counters_add_up),
        cmocka_unit_test(bad_config_is_refused),
        cmocka_unit_test(serialise_rounds_up_and_saturates),
        cmocka_unit_test(causes_have_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
