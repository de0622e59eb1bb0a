/* The handshake between two ends, message by message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "session/session.h"

#define MS 1000000ull
#define START (1000 * MS)

struct end {
    struct gx_local local;
    struct gx_handshake handshake;
    struct gx_addr addr;
};

struct message {
    size_t bytes;
    uint8_t payload[GX_HELLO_MAX_BYTES];
};

static char names[2][GX_NAME_MAX] = {"a", "b"};
static struct end a, b;

static void end_init(struct end *end, uint32_t self, uint64_t incarnation)
{
    struct gx_addr dial = {{(uint8_t)(2 - self)}};

    memset(end, 0, sizeof *end);
    end->local.self = self;
    end->local.site_count = 2;
    end->local.names = names;
    end->local.incarnation = incarnation;
    gx_random_init(&end->local.random, incarnation);
    gx_hello_list_digest(names, 2, end->local.list_digest);
    end->addr.b[0] = (uint8_t)(self + 1);
    gx_handshake_init(&end->handshake, 1 - self, &dial, START);
}

static int setup(void **state)
{
    (void)state;
    end_init(&a, 0, 100);
    end_init(&b, 1, 200);
    return 0;
}

static struct message says(struct end *end, uint64_t now)
{
    struct message message;
    uint8_t header[GX_HEADER_BYTES];
    struct gx_addr to;

    message.bytes =
        gx_handshake_tx(&end->handshake, &end->local, now, header, message.payload, &to);
    return message;
}

static enum gx_hello_effect hears(struct end *end, const struct end *from,
                                  const struct message *message, uint64_t now)
{
    struct gx_hello hello;

    assert_true(gx_hello_parse(&hello, message->payload, message->bytes));
    return gx_handshake_rx(&end->handshake, &end->local, &hello, &from->addr, now);
}

/* a dials, b answers, a completes, b completes. */
static void shake(uint64_t now)
{
    struct message message = says(&a, now);

    assert_int_equal(hears(&b, &a, &message, now), GX_HELLO_ANSWERED);
    message = says(&b, now);
    assert_int_equal(hears(&a, &b, &message, now), GX_HELLO_ESTABLISHED);
    message = says(&a, now);
    assert_int_equal(hears(&b, &a, &message, now), GX_HELLO_ESTABLISHED);
}

static void three_hellos_make_one_session_at_both_ends(void **state)
{
    struct gx_session *of_a, *of_b;

    (void)state;
    shake(START);
    of_a = gx_handshake_current(&a.handshake);
    of_b = gx_handshake_current(&b.handshake);
    assert_int_equal(of_a->peer_idx, of_b->local_idx);
    assert_int_equal(of_b->peer_idx, of_a->local_idx);
    assert_memory_equal(of_a->peer_key, of_b->local_key, GX_HELLO_KEY_BYTES);
    assert_int_equal(a.handshake.incarnation, 200);
    assert_int_equal(gx_session_peer(of_a->local_idx), 1);
    assert_ptr_equal(gx_handshake_find(&a.handshake, of_a->local_idx, START), of_a);
    assert_null(gx_handshake_find(&a.handshake, of_a->local_idx + 4, START));
}

static void both_dialling_at_once_agree(void **state)
{
    struct message from_a = says(&a, START), from_b = says(&b, START);

    (void)state;
    hears(&a, &b, &from_b, START);
    hears(&b, &a, &from_a, START);
    for (uint64_t now = START; now < START + 240 * MS; now += 60 * MS) {
        from_a = says(&a, now);
        from_b = says(&b, now);
        if (from_a.bytes > 0)
            hears(&b, &a, &from_a, now);
        if (from_b.bytes > 0)
            hears(&a, &b, &from_b, now);
    }
    assert_int_equal(gx_handshake_current(&a.handshake)->peer_idx,
                     gx_handshake_current(&b.handshake)->local_idx);
    assert_int_equal(a.handshake.generation, 1);
    assert_int_equal(b.handshake.generation, 1);
}

static void replayed_hellos_change_no_session(void **state)
{
    struct message dial = says(&a, START), answer, complete;

    (void)state;
    hears(&b, &a, &dial, START);
    answer = says(&b, START);
    hears(&a, &b, &answer, START);
    complete = says(&a, START);
    hears(&b, &a, &complete, START);
    for (uint64_t now = START + 100 * MS; now < START + 500 * MS; now += 60 * MS) {
        assert_int_not_equal(hears(&b, &a, &dial, now), GX_HELLO_ESTABLISHED);
        assert_int_equal(hears(&b, &a, &complete, now), GX_HELLO_NOTHING);
        assert_int_equal(hears(&a, &b, &answer, now), GX_HELLO_NOTHING);
    }
    assert_int_equal(a.handshake.generation, 1);
    assert_int_equal(b.handshake.generation, 1);
}

static void hellos_of_a_dead_incarnation_do_not_come_back(void **state)
{
    struct message dial = says(&a, START), answer, complete;

    (void)state;
    hears(&b, &a, &dial, START);
    answer = says(&b, START);
    hears(&a, &b, &answer, START);
    complete = says(&a, START);
    hears(&b, &a, &complete, START);
    end_init(&a, 0, 101);
    shake(START + 100 * MS);
    assert_int_equal(b.handshake.incarnation, 101);
    hears(&b, &a, &dial, START + 200 * MS);
    hears(&b, &a, &complete, START + 300 * MS);
    assert_int_equal(b.handshake.incarnation, 101);
    assert_int_equal(b.handshake.generation, 2);
}

static void lost_last_hello_is_made_good(void **state)
{
    struct message message = says(&a, START);

    (void)state;
    hears(&b, &a, &message, START);
    message = says(&b, START);
    hears(&a, &b, &message, START);
    says(&a, START); /* lost */
    message = says(&a, START + 250 * MS);
    assert_true(message.bytes > 0);
    assert_int_equal(hears(&b, &a, &message, START + 260 * MS), GX_HELLO_ESTABLISHED);
    assert_int_equal(gx_handshake_current(&a.handshake)->peer_idx,
                     gx_handshake_current(&b.handshake)->local_idx);
}

static void rekey_keeps_the_old_session_for_a_second(void **state)
{
    uint32_t old;

    (void)state;
    shake(START);
    old = gx_handshake_current(&b.handshake)->local_idx;
    shake(START + 1100 * MS); /* nothing was heard for a second */
    assert_int_not_equal(gx_handshake_current(&b.handshake)->local_idx, old);
    assert_non_null(gx_handshake_find(&b.handshake, old, START + 2000 * MS));
    assert_null(gx_handshake_find(&b.handshake, old, START + 2200 * MS));
}

static void new_incarnation_ends_the_old_session_at_once(void **state)
{
    uint32_t old;

    (void)state;
    shake(START);
    old = gx_handshake_current(&b.handshake)->local_idx;
    end_init(&a, 0, 101);
    shake(START + 100 * MS);
    assert_null(gx_handshake_find(&b.handshake, old, START + 100 * MS));
    assert_true(gx_handshake_was(&b.handshake, old));
}

static void other_list_of_sites_is_refused_with_the_reason(void **state)
{
    struct message message;

    (void)state;
    a.local.list_digest[0] ^= 1;
    message = says(&a, START);
    assert_int_equal(hears(&b, &a, &message, START), GX_HELLO_REFUSED);
    assert_int_equal(b.handshake.refused, GX_REASON_SITE_LIST);
    assert_int_equal(hears(&b, &a, &message, START), GX_HELLO_NOTHING);
    a.local.list_digest[0] ^= 1;
    shake(START + 300 * MS);
    assert_int_equal(b.handshake.refused, GX_REASON_NONE);
}

static void live_session_is_proof_against_a_refusal(void **state)
{
    struct message message;

    (void)state;
    shake(START);
    end_init(&a, 0, 101);
    a.local.list_digest[0] ^= 1;
    message = says(&a, START + 500 * MS);
    assert_int_equal(hears(&b, &a, &message, START + 500 * MS), GX_HELLO_NOTHING);
    assert_int_equal(hears(&b, &a, &message, START + 1500 * MS), GX_HELLO_REFUSED);
    assert_null(gx_handshake_current(&b.handshake));
}

static void dialling_backs_off_to_a_second(void **state)
{
    uint64_t last = 0, gap = 0;

    (void)state;
    for (uint64_t now = START; now < START + 10000 * MS; now += MS)
        if (gx_handshake_wake(&a.handshake) <= now) {
            assert_true(says(&a, now).bytes > 0);
            gap = now - last;
            last = now;
        }
    assert_int_equal(gap, 1000 * MS);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(three_hellos_make_one_session_at_both_ends),
        TEST(both_dialling_at_once_agree),
        TEST(replayed_hellos_change_no_session),
        TEST(hellos_of_a_dead_incarnation_do_not_come_back),
        TEST(lost_last_hello_is_made_good),
        TEST(rekey_keeps_the_old_session_for_a_second),
        TEST(new_incarnation_ends_the_old_session_at_once),
        TEST(other_list_of_sites_is_refused_with_the_reason),
        TEST(live_session_is_proof_against_a_refusal),
        TEST(dialling_backs_off_to_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
