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
    size_t bytes; /* of the payload; 0: it says nothing */
    uint8_t packet[GX_HEADER_BYTES + GX_HELLO_MAX_BYTES];
};

static char names[2][GX_NAME_MAX] = {"a", "b"};
static const uint8_t right_key[GX_PSK_BYTES] = "thirty-two bytes that are shared";
static const uint8_t other_key[GX_PSK_BYTES] = "thirty-two bytes that are wrong!";
static bool secure; /* of ends made from here on */
static struct end a, b;

static void end_init(struct end *end, uint32_t self, uint64_t incarnation)
{
    struct gx_addr dial = {{(uint8_t)(2 - self)}};

    memset(end, 0, sizeof *end);
    end->local.self = self;
    end->local.site_count = 2;
    end->local.names = names;
    end->local.incarnation = incarnation;
    end->local.mtu = 1500;
    end->local.secure = secure;
    gx_psk_init(&end->local.psk, right_key);
    gx_random_init(&end->local.random, incarnation);
    gx_hello_list_digest(names, 2, end->local.list_digest);
    end->addr.b[0] = (uint8_t)(self + 1);
    gx_handshake_init(&end->handshake, 1 - self, &dial, START);
}

/* Is what one end's current session seals opened by the other's, to the same bytes? */
static bool passes(struct end *from, struct end *to)
{
    struct gx_session *of_from = gx_handshake_current(&from->handshake);
    struct gx_session *of_to = gx_handshake_current(&to->handshake);
    struct gx_header header = {.type = GX_TYPE_SHARD, .payload_bytes = 100};
    uint8_t packet[GX_HEADER_BYTES + 100], payload[100], plain[100];
    const uint8_t *sent, *got;

    for (uint8_t i = 0; i < 100; i++)
        payload[i] = (uint8_t)(i ^ 0x5a);
    sent = gx_session_seal(of_from, &header, packet, payload, packet + GX_HEADER_BYTES);
    if (sent == payload)
        memcpy(packet + GX_HEADER_BYTES, payload, sizeof payload);
    else
        assert_memory_not_equal(packet + GX_HEADER_BYTES, payload, 16);
    got = gx_session_open(of_to, header.number, packet, sizeof packet, plain);
    return header.session == of_to->local_idx && got != NULL && memcmp(got, payload, 100) == 0;
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(gx_aead_init(), 0);
    secure = false;
    end_init(&a, 0, 100);
    end_init(&b, 1, 200);
    return 0;
}

static int setup_psk(void **state)
{
    (void)state;
    assert_int_equal(gx_aead_init(), 0);
    secure = true;
    end_init(&a, 0, 100);
    end_init(&b, 1, 200);
    return 0;
}

static struct message says(struct end *end, uint64_t now)
{
    struct message message;
    struct gx_addr to;

    message.bytes = gx_handshake_tx(&end->handshake, &end->local, now, message.packet,
                                    message.packet + GX_HEADER_BYTES, &to);
    return message;
}

static enum gx_hello_effect hears(struct end *end, const struct end *from,
                                  const struct message *message, uint64_t now)
{
    struct gx_hello hello;

    assert_true(gx_hello_parse(&hello, message->packet + GX_HEADER_BYTES, message->bytes));
    assert_true(gx_hello_plausible(&hello, message->packet, GX_HEADER_BYTES + message->bytes));
    return gx_handshake_rx(&end->handshake, &end->local, &hello, message->packet,
                           GX_HEADER_BYTES + message->bytes, &from->addr, now);
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
    assert_true(passes(&a, &b) && passes(&b, &a));
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
    assert_true(passes(&a, &b) && passes(&b, &a));
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

/* ---- security: psk ---- */

static void keys_of_the_two_directions_differ(void **state)
{
    struct gx_session *of_a, *of_b;

    (void)state;
    shake(START);
    of_a = gx_handshake_current(&a.handshake);
    of_b = gx_handshake_current(&b.handshake);
    assert_memory_equal(&of_a->tx, &of_b->rx, sizeof of_a->tx);
    assert_memory_equal(&of_a->rx, &of_b->tx, sizeof of_a->rx);
    assert_memory_not_equal(of_a->tx.schedule, of_a->rx.schedule, GX_AEAD_KEY_BYTES);
    assert_memory_not_equal(of_a->tx.iv, of_a->rx.iv, GX_AEAD_IV_BYTES);
}

static void secret_is_wiped_once_the_keys_are_derived(void **state)
{
    static const uint8_t zeros[GX_HELLO_KEY_BYTES];

    (void)state;
    shake(START);
    assert_memory_equal(gx_handshake_current(&a.handshake)->local_secret, zeros, sizeof zeros);
    assert_memory_equal(gx_handshake_current(&b.handshake)->local_secret, zeros, sizeof zeros);
}

static void every_flipped_bit_of_a_hello_is_noticed(void **state)
{
    struct message message = says(&a, START);
    uint32_t tried = 0;

    (void)state;
    for (size_t bit = 0; bit < 8 * (GX_HEADER_BYTES + message.bytes); bit++) {
        struct message copy = message;
        struct gx_hello hello;

        copy.packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (!gx_hello_parse(&hello, copy.packet + GX_HEADER_BYTES, copy.bytes) ||
            !gx_hello_plausible(&hello, copy.packet, GX_HEADER_BYTES + copy.bytes))
            continue;
        tried++;
        /* From elsewhere, so that it does not count as another key. */
        assert_int_equal(gx_handshake_rx(&b.handshake, &b.local, &hello, copy.packet,
                                         GX_HEADER_BYTES + copy.bytes, &b.addr, START),
                         GX_HELLO_FORGED);
    }
    assert_true(tried > 500);
    assert_int_equal(hears(&b, &a, &message, START), GX_HELLO_ANSWERED);
}

static void every_flipped_bit_of_a_packet_is_noticed(void **state)
{
    struct gx_header header = {.type = GX_TYPE_CONTROL, .payload_bytes = 40};
    uint8_t packet[GX_HEADER_BYTES + 40] = {0}, plain[40];
    struct gx_session *of_b;

    (void)state;
    shake(START);
    of_b = gx_handshake_current(&b.handshake);
    gx_session_seal(gx_handshake_current(&a.handshake), &header, packet, packet + GX_HEADER_BYTES,
                    packet + GX_HEADER_BYTES);
    assert_non_null(gx_session_open(of_b, header.number, packet, sizeof packet, plain));
    for (size_t bit = 0; bit < 8 * sizeof packet; bit++) {
        struct gx_header parsed;

        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        gx_header_parse(&parsed, packet, sizeof packet);
        assert_null(gx_session_open(of_b, parsed.number, packet, sizeof packet, plain));
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_null(gx_session_open(of_b, header.number + 1, packet, sizeof packet, plain));
}

static void other_key_is_refused_and_named_after_three_hellos(void **state)
{
    (void)state;
    gx_psk_init(&a.local.psk, other_key);
    for (uint32_t i = 0; i < 3; i++) {
        struct message message = says(&a, START + i * 2000 * MS);

        assert_int_equal(b.handshake.refused, GX_REASON_NONE);
        assert_int_equal(hears(&b, &a, &message, START + i * 2000 * MS),
                         i < 2 ? GX_HELLO_FORGED : GX_HELLO_DOUBTED);
    }
    assert_int_equal(b.handshake.refused, GX_REASON_KEY);
    assert_non_null(strstr(b.handshake.difference, "same key file"));
    assert_null(gx_handshake_current(&b.handshake));
    gx_psk_init(&a.local.psk, right_key);
    shake(START + 8000 * MS);
    assert_int_equal(b.handshake.refused, GX_REASON_NONE);
}

static void one_side_without_security_is_refused_at_both(void **state)
{
    (void)state;
    a.local.secure = false;
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t now = START + i * 2000 * MS;
        struct message of_a = says(&a, now), of_b = says(&b, now);

        hears(&b, &a, &of_a, now);
        hears(&a, &b, &of_b, now);
    }
    assert_int_equal(a.handshake.refused, GX_REASON_KEY);
    assert_int_equal(b.handshake.refused, GX_REASON_KEY);
    assert_string_equal(b.handshake.difference,
                        "security is none there and psk here: give both the same");
    assert_string_equal(a.handshake.difference,
                        "security is psk there and none here: give both the same");
}

/* Only one that has the key may end a session, and only by a new one. */
static void silent_session_outlives_strangers_hellos(void **state)
{
    struct gx_session *of_b;

    (void)state;
    shake(START);
    of_b = gx_handshake_current(&b.handshake);
    end_init(&a, 0, 101);
    gx_psk_init(&a.local.psk, other_key);
    for (uint32_t i = 0; i < 5; i++) {
        struct message message = says(&a, START + (2 + i) * 2000 * MS);

        hears(&b, &a, &message, START + (2 + i) * 2000 * MS);
    }
    assert_int_equal(b.handshake.refused, GX_REASON_KEY);
    assert_ptr_equal(gx_handshake_current(&b.handshake), of_b);
    gx_handshake_heard(&b.handshake, of_b, START + 20000 * MS);
    assert_int_equal(b.handshake.refused, GX_REASON_NONE);
}

static void hello_to_another_site_or_lane_is_not_for_us(void **state)
{
    struct message message;

    (void)state;
    b.local.lane = 1;
    message = says(&a, START);
    assert_int_equal(hears(&b, &a, &message, START), GX_HELLO_FORGED);
    b.local.lane = 0;
    /* The same key, list and sender, but meant for a site of another name. */
    strcpy(names[1], "c");
    assert_int_equal(hears(&b, &a, &message, START), GX_HELLO_FORGED);
    strcpy(names[1], "b");
    assert_int_equal(hears(&b, &a, &message, START), GX_HELLO_ANSWERED);
}

static void key_without_a_secret_establishes_nothing(void **state)
{
    struct message dial, answer;
    uint8_t *payload = answer.packet + GX_HEADER_BYTES;

    (void)state;
    dial = says(&a, START);
    hears(&b, &a, &dial, START);
    answer = says(&b, START);
    memset(payload + 16, 0,
           GX_HELLO_KEY_BYTES); /* a point of low order, from one that has the key */
    gx_psk_hello_tag(&b.local.psk, "b", "a", 0, answer.packet, payload, answer.bytes,
                     answer.packet + GX_TAG_OFFSET);
    assert_int_equal(hears(&a, &b, &answer, START), GX_HELLO_NOTHING);
    assert_null(gx_handshake_current(&a.handshake));
}

static void rekeys_by_number_and_never_seals_under_an_old_key(void **state)
{
    struct gx_session *old;
    struct gx_aead key;

    (void)state;
    shake(START);
    old = gx_handshake_current(&a.handshake);
    key = old->tx;
    gx_handshake_heard(&a.handshake, old, START + MS);
    assert_true(gx_handshake_wake(&a.handshake) > START + 500 * MS);
    old->next_number = GX_REKEY_BLOCKS / (1500 / 16 + 1);
    assert_true(gx_handshake_wake(&a.handshake) <= START + MS);
    shake(START + 100 * MS);
    assert_ptr_not_equal(gx_handshake_current(&a.handshake), old);
    assert_memory_not_equal(gx_handshake_current(&a.handshake)->tx.schedule, key.schedule,
                            GX_AEAD_KEY_BYTES);
    assert_int_equal(gx_handshake_current(&a.handshake)->next_number, 1);
    assert_true(passes(&a, &b) && passes(&b, &a));
    gx_handshake_heard(&a.handshake, gx_handshake_current(&a.handshake), START + 100 * MS);
    assert_true(gx_handshake_wake(&a.handshake) > START + 500 * MS);
}

static void rekeys_by_time(void **state)
{
    struct gx_session *of_a;

    (void)state;
    shake(START);
    of_a = gx_handshake_current(&a.handshake);
    gx_handshake_heard(&a.handshake, of_a, START + GX_REKEY_NS - MS);
    assert_int_equal(gx_handshake_wake(&a.handshake), START + GX_REKEY_NS);
    shake(START + GX_REKEY_NS);
    assert_int_equal(a.handshake.generation, 2);
}

static void numbers_never_run_out_under_one_key(void **state)
{
    (void)state;
    shake(START);
    gx_handshake_current(&a.handshake)->next_number = GX_NUMBER_MAX / 2;
    assert_true(says(&a, START + 100 * MS).bytes > 0);
    assert_null(gx_handshake_current(&a.handshake));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)
#define TEST_PSK(name)                                                                             \
    {                                                                                              \
#name "_psk", name, setup_psk, NULL, NULL                                                  \
    }

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
        TEST_PSK(three_hellos_make_one_session_at_both_ends),
        TEST_PSK(both_dialling_at_once_agree),
        TEST_PSK(replayed_hellos_change_no_session),
        TEST_PSK(hellos_of_a_dead_incarnation_do_not_come_back),
        TEST_PSK(lost_last_hello_is_made_good),
        TEST_PSK(rekey_keeps_the_old_session_for_a_second),
        TEST_PSK(new_incarnation_ends_the_old_session_at_once),
        TEST_PSK(dialling_backs_off_to_a_second),
        TEST_PSK(keys_of_the_two_directions_differ),
        TEST_PSK(secret_is_wiped_once_the_keys_are_derived),
        TEST_PSK(every_flipped_bit_of_a_hello_is_noticed),
        TEST_PSK(every_flipped_bit_of_a_packet_is_noticed),
        TEST_PSK(other_key_is_refused_and_named_after_three_hellos),
        TEST_PSK(one_side_without_security_is_refused_at_both),
        TEST_PSK(silent_session_outlives_strangers_hellos),
        TEST_PSK(hello_to_another_site_or_lane_is_not_for_us),
        TEST_PSK(key_without_a_secret_establishes_nothing),
        TEST_PSK(rekeys_by_number_and_never_seals_under_an_old_key),
        TEST_PSK(rekeys_by_time),
        TEST_PSK(numbers_never_run_out_under_one_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
