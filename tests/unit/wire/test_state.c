#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/state.h"

static void fill(void *at, size_t bytes, unsigned seed)
{
    uint8_t *b = at;
    for (size_t i = 0; i < bytes; i++)
        b[i] = (uint8_t)(seed = seed * 1103515245u + 12345u, seed >> 16);
}

static struct gx_record record_of(uint32_t members, uint64_t round)
{
    struct gx_record r = {.epoch = 3, .round = round, .members = members};
    fill(&r.base, sizeof(r.base), 7);
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (members >> i & 1) {
            fill(&r.digests[i], sizeof(r.digests[i]), i + 1);
            r.weights[i] = 1000 + i;
            r.divisor += r.weights[i];
        }
    return r;
}

static struct gx_report report_of(uint32_t held)
{
    struct gx_report r;
    memset(&r, 0, sizeof(r));
    strcpy(r.run, "demo-1.x");
    r.schema = (struct gx_schema_summary){
        .format = 1, .fragment_count = 4, .shard_bytes = 1408, .param_count = 99};
    r.epoch = 3;
    r.fragment = 2;
    r.flags = GX_REPORT_TRAINER | GX_REPORT_STATE | GX_REPORT_OFFER;
    r.applied = 8;
    r.offer_round = 9;
    r.offer_weight = GX_WEIGHT_MAX;
    r.held_round = 9;
    r.held = held;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (held >> i & 1)
            fill(&r.held_digests[i], sizeof(r.held_digests[i]), i);
    return r;
}

static struct gx_status status_of(uint32_t members)
{
    struct gx_status s;
    memset(&s, 0, sizeof(s));
    s.run = gx_run_id("demo");
    s.epoch = 3;
    s.fragment = 1;
    s.decided = 9;
    s.present = s.offers = s.keepers = members;
    for (uint32_t i = 0; i < GX_SITES_MAX; i++)
        if (members >> i & 1) {
            s.offer_prefix[i] = 77 + i;
            s.kept[i] = (uint16_t)members;
        }
    s.record_count = 2;
    s.records[0] = record_of(members, 9);
    s.records[1] = record_of(members, 8);
    return s;
}

static void report_survives_the_wire_at_every_number_of_holders(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= GX_SITES_MAX; n++) {
        uint8_t bytes[GX_CONTROL_MAX_BYTES];
        struct gx_report in = report_of((1u << n) - 1), out;
        size_t size = gx_report_build(&in, bytes);
        assert_true(size <= GX_CONTROL_MAX_BYTES);
        assert_true(gx_report_parse(&out, bytes, size));
        assert_memory_equal(&in, &out, sizeof(in));
    }
}

static void status_with_two_records_survives_up_to_eight_sites(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= GX_TWO_RECORDS_SITES; n++) {
        uint8_t bytes[GX_CONTROL_MAX_BYTES];
        struct gx_status in = status_of((1u << n) - 1), out;
        size_t size = gx_status_build(&in, n, 0, bytes);
        assert_true(gx_status_parse(&out, bytes, size));
        assert_memory_equal(&in, &out, sizeof(in));
    }
}

static void status_of_sixteen_sites_carries_its_records_in_turn(void **state)
{
    (void)state;
    for (uint32_t which = 0; which < 2; which++) {
        uint8_t bytes[GX_CONTROL_MAX_BYTES];
        struct gx_status in = status_of(0xffff), out;
        size_t size = gx_status_build(&in, 16, which, bytes);
        assert_true(gx_status_parse(&out, bytes, size));
        assert_int_equal(out.record_count, 1);
        assert_memory_equal(&out.records[0], &in.records[which], sizeof(struct gx_record));
    }
}

static void truncated_and_extended_messages_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[GX_CONTROL_MAX_BYTES + 1] = {0};
    struct gx_report report = report_of(5), r;
    struct gx_status status = status_of(7), s;
    size_t size = gx_report_build(&report, bytes);
    for (size_t n = 0; n < size; n++)
        assert_false(gx_report_parse(&r, bytes, n));
    assert_false(gx_report_parse(&r, bytes, size + 1));
    size = gx_status_build(&status, 3, 0, bytes);
    for (size_t n = 0; n < size; n++)
        assert_false(gx_status_parse(&s, bytes, n));
    assert_false(gx_status_parse(&s, bytes, size + 1));
}

static void random_bytes_never_crash_the_parsers(void **state)
{
    (void)state;
    uint8_t good[GX_CONTROL_MAX_BYTES], bytes[GX_CONTROL_MAX_BYTES];
    struct gx_report report = report_of(0xf), r;
    struct gx_status status = status_of(0xf), s;
    for (unsigned seed = 1; seed < 20000; seed++) {
        size_t size =
            seed & 1 ? gx_report_build(&report, good) : gx_status_build(&status, 4, 0, good);
        memcpy(bytes, good, size);
        bytes[(seed * 2654435761u) % size] ^= (uint8_t)(1u << (seed % 8));
        (void)(seed & 1 ? gx_report_parse(&r, bytes, size) : gx_status_parse(&s, bytes, size));
    }
}

static void names_that_are_not_for_people_are_refused(void **state)
{
    (void)state;
    const char *bad[] = {"", "a b", "x\n", "\x1b[2J", "0123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t bytes[GX_CONTROL_MAX_BYTES];
        struct gx_report in = report_of(0), out;
        memset(in.run, 0, sizeof(in.run));
        memcpy(in.run, bad[i], strnlen(bad[i], GX_NAME_MAX));
        assert_false(gx_report_parse(&out, bytes, gx_report_build(&in, bytes)));
    }
}

static void a_record_whose_divisor_is_not_the_sum_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[GX_CONTROL_MAX_BYTES];
    struct gx_status in = status_of(7), out;
    in.records[1].divisor++;
    assert_false(gx_status_parse(&out, bytes, gx_status_build(&in, 3, 0, bytes)));
}

static void the_check_of_a_record_changes_with_each_part(void **state)
{
    (void)state;
    struct gx_record a = record_of(5, 9), b = a;
    assert_int_equal(gx_record_check(&a), gx_record_check(&b));
    b.digests[2].b[31] ^= 1;
    assert_int_not_equal(gx_record_check(&a), gx_record_check(&b));
    b = a;
    b.base.b[0] ^= 1;
    assert_int_not_equal(gx_record_check(&a), gx_record_check(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(report_survives_the_wire_at_every_number_of_holders),
        cmocka_unit_test(status_with_two_records_survives_up_to_eight_sites),
        cmocka_unit_test(status_of_sixteen_sites_carries_its_records_in_turn),
        cmocka_unit_test(truncated_and_extended_messages_are_refused),
        cmocka_unit_test(random_bytes_never_crash_the_parsers),
        cmocka_unit_test(names_that_are_not_for_people_are_refused),
        cmocka_unit_test(a_record_whose_divisor_is_not_the_sum_is_refused),
        cmocka_unit_test(the_check_of_a_record_changes_with_each_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
