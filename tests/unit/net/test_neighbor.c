#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "port/net/neighbor.h"

#define MS 1000000ull
#define S 1000000000ull
#define START (1000 * S)

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};
static struct gx_neighbors table;

static const uint8_t *ip_of(uint8_t last)
{
    static uint8_t ip[16];

    memset(ip, 0, sizeof(ip));
    ip[0] = 10;
    ip[3] = last;
    return ip;
}

static void an_unknown_address_is_asked_for_at_once_and_again(void **state)
{
    uint64_t now = START;

    (void)state;
    gx_neighbors_init(&table);
    assert_int_equal(gx_neighbors_wake(&table), UINT64_MAX);
    assert_null(gx_neighbors_lookup(&table, ip_of(1), now));
    for (int i = 0; i < 5; i++) {
        const struct gx_neighbor *due = gx_neighbors_due(&table, now);
        assert_non_null(due);
        assert_memory_equal(due->ip, ip_of(1), 16);
        assert_null(gx_neighbors_due(&table, now));
        now += 200 * MS;
        assert_int_equal(gx_neighbors_wake(&table), now);
    }
}

static void an_answer_ends_the_questions(void **state)
{
    const uint8_t *mac;

    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_lookup(&table, ip_of(1), START);
    gx_neighbors_due(&table, START);
    gx_neighbors_learn(&table, ip_of(1), mac_a, START + MS);
    mac = gx_neighbors_lookup(&table, ip_of(1), START + 2 * MS);
    assert_non_null(mac);
    assert_memory_equal(mac, mac_a, 6);
    assert_int_equal(gx_neighbors_wake(&table), UINT64_MAX);
}

static void an_answer_that_nobody_asked_for_changes_nothing(void **state)
{
    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_learn(&table, ip_of(1), mac_a, START);
    assert_null(gx_neighbors_lookup(&table, ip_of(1), START));
}

static void a_group_address_is_nobodys_mac(void **state)
{
    const uint8_t group[6] = {1, 0, 0, 0, 0, 1};

    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_lookup(&table, ip_of(1), START);
    gx_neighbors_learn(&table, ip_of(1), group, START);
    assert_null(gx_neighbors_lookup(&table, ip_of(1), START));
}

static void an_old_answer_is_asked_again_while_it_is_used(void **state)
{
    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_lookup(&table, ip_of(1), START);
    gx_neighbors_learn(&table, ip_of(1), mac_a, START);
    assert_non_null(gx_neighbors_lookup(&table, ip_of(1), START + 16 * S));
    assert_non_null(gx_neighbors_due(&table, START + 16 * S));
    assert_non_null(gx_neighbors_lookup(&table, ip_of(1), START + 16 * S));
}

static void a_silent_neighbour_is_lost_after_three_questions(void **state)
{
    uint64_t now = START + 16 * S;

    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_lookup(&table, ip_of(1), START);
    gx_neighbors_learn(&table, ip_of(1), mac_a, START);
    for (int i = 0; i < 3; i++, now += 200 * MS) {
        assert_non_null(gx_neighbors_lookup(&table, ip_of(1), now));
        assert_non_null(gx_neighbors_due(&table, now));
    }
    assert_false(gx_neighbors_silent(&table, ip_of(1), now));
    assert_non_null(gx_neighbors_due(&table, now));
    assert_null(gx_neighbors_lookup(&table, ip_of(1), now));
    assert_int_equal(table.lost, 1);
    assert_true(gx_neighbors_silent(&table, ip_of(1), now));
    assert_false(gx_neighbors_silent(&table, ip_of(2), now));
    gx_neighbors_learn(&table, ip_of(1), mac_a, now);
    assert_false(gx_neighbors_silent(&table, ip_of(1), now));
}

static void nobody_asks_for_an_address_that_is_no_longer_used(void **state)
{
    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_lookup(&table, ip_of(1), START);
    assert_non_null(gx_neighbors_due(&table, START));
    assert_null(gx_neighbors_due(&table, START + 11 * S));
    assert_int_equal(gx_neighbors_wake(&table), UINT64_MAX);
}

static void a_packet_from_another_mac_asks_soon_but_changes_nothing(void **state)
{
    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_lookup(&table, ip_of(1), START);
    gx_neighbors_learn(&table, ip_of(1), mac_a, START);
    gx_neighbors_seen(&table, ip_of(1), mac_b, START + 2 * S);
    assert_memory_equal(gx_neighbors_lookup(&table, ip_of(1), START + 2 * S), mac_a, 6);
    assert_non_null(gx_neighbors_due(&table, START + 2 * S));
    gx_neighbors_learn(&table, ip_of(1), mac_b, START + 2 * S);
    assert_memory_equal(gx_neighbors_lookup(&table, ip_of(1), START + 2 * S), mac_b, 6);
    assert_int_equal(table.changed, 1);
}

static void packets_from_another_mac_cause_one_question_a_second(void **state)
{
    uint32_t asked = 0;

    (void)state;
    gx_neighbors_init(&table);
    gx_neighbors_lookup(&table, ip_of(1), START);
    gx_neighbors_learn(&table, ip_of(1), mac_a, START);
    for (uint64_t now = START + 2 * S; now < START + 5 * S; now += MS) {
        gx_neighbors_seen(&table, ip_of(1), mac_b, now);
        gx_neighbors_lookup(&table, ip_of(1), now);
        if (gx_neighbors_due(&table, now)) {
            asked++;
            gx_neighbors_learn(&table, ip_of(1), mac_a, now);
        }
    }
    assert_in_range(asked, 2, 4);
}

static void a_full_table_forgets_who_was_used_least_recently(void **state)
{
    (void)state;
    gx_neighbors_init(&table);
    for (uint8_t i = 0; i < GX_NEIGHBORS_MAX; i++) {
        gx_neighbors_lookup(&table, ip_of(i), START + i);
        gx_neighbors_learn(&table, ip_of(i), mac_a, START + i);
    }
    assert_non_null(gx_neighbors_lookup(&table, ip_of(0), START + 100));
    assert_null(gx_neighbors_lookup(&table, ip_of(200), START + 101));
    assert_non_null(gx_neighbors_lookup(&table, ip_of(0), START + 102));
    assert_null(gx_neighbors_lookup(&table, ip_of(1), START + 103));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_address_is_asked_for_at_once_and_again),
        cmocka_unit_test(an_answer_ends_the_questions),
        cmocka_unit_test(an_answer_that_nobody_asked_for_changes_nothing),
        cmocka_unit_test(a_group_address_is_nobodys_mac),
        cmocka_unit_test(an_old_answer_is_asked_again_while_it_is_used),
        cmocka_unit_test(a_silent_neighbour_is_lost_after_three_questions),
        cmocka_unit_test(nobody_asks_for_an_address_that_is_no_longer_used),
        cmocka_unit_test(a_packet_from_another_mac_asks_soon_but_changes_nothing),
        cmocka_unit_test(packets_from_another_mac_cause_one_question_a_second),
        cmocka_unit_test(a_full_table_forgets_who_was_used_least_recently),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
