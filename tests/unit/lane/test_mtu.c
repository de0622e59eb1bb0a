/* The search for the size of packets that a path carries: two ends, a path between that loses what is too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lane/mtu.h"

#define MS 1000000ull
#define S (1000 * MS)
#define FULL 1408u
#define RTT (50 * MS)
#define WAIT (100 * MS)
#define LEAST 1200u

static struct gx_mtu mtu, peer;
static uint64_t now, random_state, probes;
static uint32_t passes;   /* payload bytes that the path carries */
static uint32_t lost_ppm; /* of all packets, both ways */
static bool cut, deaf;

static bool lost(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return cut || (random_state >> 33) % 1000000 < lost_ppm;
}

static int setup(void **state)
{
    (void)state;
    now = 1000 * S;
    random_state = 7;
    passes = FULL;
    lost_ppm = 0;
    probes = 0;
    cut = deaf = false;
    gx_mtu_init(&mtu, FULL);
    gx_mtu_init(&peer, FULL);
    gx_mtu_session(&mtu, now);
    return 0;
}

/* Both ends for so long; echoes come back after RTT. */
static void run(uint64_t for_ns)
{
    uint64_t end = now + for_ns, echo_ns = UINT64_MAX;

    while (now < end) {
        uint32_t token, bytes, probe;

        while ((probe = gx_mtu_probe(&mtu, WAIT, now, &token)) > 0) {
            probes++;
            if (probe > passes || deaf || lost())
                continue;
            gx_mtu_asked(&peer, token, probe);
            if (echo_ns > now + RTT)
                echo_ns = now + RTT;
        }
        if (now >= echo_ns) {
            echo_ns = UINT64_MAX;
            if (gx_mtu_echo(&peer, &token, &bytes) && !lost())
                gx_mtu_echoed(&mtu, token, bytes, now);
        }
        now += MS;
    }
}

static void a_full_packet_that_arrives_settles_it(void **state)
{
    (void)state;
    assert_int_equal(mtu.state, GX_MTU_UNKNOWN);
    assert_false(gx_mtu_short(&mtu));
    run(S);
    assert_int_equal(mtu.state, GX_MTU_FULL);
    assert_int_equal(probes, 2);
    run(8 * S);
    assert_int_equal(probes, 2);
    run(10 * S); /* asked again after 10 s */
    assert_int_equal(probes, 4);
    assert_int_equal(gx_mtu_room(&mtu, LEAST), FULL);
}

static void the_exact_size_is_found(void **state)
{
    static const uint32_t sizes[] = {FULL - 1, 1360, 1284, 1201, 500, 100, 9, GX_MTU_SMALL_BYTES};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        setup(state);
        passes = sizes[i];
        run(2 * S);
        assert_true(gx_mtu_short(&mtu));
        run(10 * S);
        assert_int_equal(mtu.state, GX_MTU_SMALL);
        assert_int_equal(mtu.low, sizes[i]);
        assert_int_equal(gx_mtu_room(&mtu, LEAST), sizes[i] > LEAST ? sizes[i] : LEAST);
    }
}

static void random_loss_is_not_taken_for_a_small_path(void **state)
{
    (void)state;
    lost_ppm = 200000;
    for (int i = 0; i < 600; i++) {
        run(S);
        assert_false(gx_mtu_short(&mtu));
    }
    assert_int_equal(mtu.state, GX_MTU_FULL);
}

static void the_size_is_found_through_random_loss(void **state)
{
    (void)state;
    lost_ppm = 100000;
    passes = 1344;
    run(60 * S);
    assert_int_equal(mtu.state, GX_MTU_SMALL);
    assert_in_range(mtu.low, 1200, 1344);
}

static void an_outage_speaks_against_nothing(void **state)
{
    (void)state;
    run(S);
    cut = true;
    run(30 * S);
    assert_int_equal(mtu.state, GX_MTU_FULL);
    assert_in_range(probes, 10, 40); /* it asks seldom once nobody answers */
}

static void a_peer_that_never_echoes_is_believed_able(void **state)
{
    (void)state;
    deaf = true;
    run(60 * S);
    assert_int_equal(mtu.state, GX_MTU_UNKNOWN);
    assert_false(gx_mtu_short(&mtu));
}

static void a_path_that_is_whole_again_is_noticed_within_a_second(void **state)
{
    (void)state;
    passes = 1300;
    run(15 * S);
    assert_int_equal(mtu.state, GX_MTU_SMALL);
    passes = FULL;
    run(S);
    assert_int_equal(mtu.state, GX_MTU_FULL);
    /* also in the middle of the search */
    setup(state);
    passes = 1300;
    run(1500 * MS);
    assert_int_equal(mtu.state, GX_MTU_SEARCH);
    passes = FULL;
    run(S);
    assert_int_equal(mtu.state, GX_MTU_FULL);
}

static void a_path_that_shrinks_again_is_measured_again(void **state)
{
    (void)state;
    passes = 1400;
    run(15 * S);
    assert_int_equal(mtu.low, 1400);
    passes = 1234;
    run(20 * S);
    assert_int_equal(mtu.state, GX_MTU_SMALL);
    assert_int_equal(mtu.low, 1234);
}

static void heavy_loss_is_reason_to_ask_at_once_but_not_always(void **state)
{
    (void)state;
    run(1100 * MS);
    gx_mtu_doubt(&mtu, now);
    run(S / 2);
    assert_int_equal(probes, 4);
    gx_mtu_doubt(&mtu, now); /* only just asked */
    run(S / 4);
    assert_int_equal(probes, 4);
    passes = 1300;
    run(S);
    gx_mtu_doubt(&mtu, now);
    run(1500 * MS);
    assert_true(gx_mtu_short(&mtu));
}

static void a_new_session_asks_at_once_and_keeps_what_was_known(void **state)
{
    (void)state;
    passes = 1300;
    run(15 * S);
    gx_mtu_session(&mtu, now);
    assert_int_equal(mtu.state, GX_MTU_SMALL);
    assert_int_equal(gx_mtu_wake(&mtu), now);
    passes = FULL;
    run(200 * MS);
    assert_int_equal(mtu.state, GX_MTU_FULL);
}

static void an_echo_tells_the_largest_of_its_try(void **state)
{
    uint32_t token, bytes;

    (void)state;
    assert_false(gx_mtu_echo(&peer, &token, &bytes));
    gx_mtu_asked(&peer, 5, FULL);
    gx_mtu_asked(&peer, 5, GX_MTU_SMALL_BYTES);
    assert_int_equal(gx_mtu_wake(&peer), 0);
    assert_true(gx_mtu_echo(&peer, &token, &bytes));
    assert_int_equal(token, 5);
    assert_int_equal(bytes, FULL);
    gx_mtu_asked(&peer, 5, FULL);
    gx_mtu_asked(&peer, 6, GX_MTU_SMALL_BYTES);
    assert_true(gx_mtu_echo(&peer, &token, &bytes));
    assert_int_equal(token, 6);
    assert_int_equal(bytes, GX_MTU_SMALL_BYTES);
    assert_false(gx_mtu_echo(&peer, &token, &bytes));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_packet_that_arrives_settles_it),
        TEST(the_exact_size_is_found),
        TEST(random_loss_is_not_taken_for_a_small_path),
        TEST(the_size_is_found_through_random_loss),
        TEST(an_outage_speaks_against_nothing),
        TEST(a_peer_that_never_echoes_is_believed_able),
        TEST(a_path_that_is_whole_again_is_noticed_within_a_second),
        TEST(a_path_that_shrinks_again_is_measured_again),
        TEST(heavy_loss_is_reason_to_ask_at_once_but_not_always),
        TEST(a_new_session_asks_at_once_and_keeps_what_was_known),
        TEST(an_echo_tells_the_largest_of_its_try),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
