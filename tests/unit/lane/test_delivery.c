/* Rates of delivery from pairs of feedbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lane/delivery.h"

#define MS 1000000ull
#define PACKET 1500

/* 100 packets sent over 10 ms. */
static bool feed(struct gx_delivery *delivery, uint64_t number, uint64_t sent_ns,
                 uint64_t arrived_ns, uint32_t received, struct gx_delivery_sample *sample)
{
    return gx_delivery_feedback(delivery, number, sent_ns, arrived_ns, received, 5 * MS, PACKET,
                                sample);
}

static void what_arrived_over_the_time_between_arrivals(void **state)
{
    struct gx_delivery delivery = {0};
    struct gx_delivery_sample sample;

    (void)state;
    assert_false(feed(&delivery, 100, 10 * MS, 50 * MS, 100, &sample));
    assert_true(feed(&delivery, 200, 20 * MS, 70 * MS, 190, &sample));
    assert_int_equal(sample.packets, 100);
    assert_int_equal(sample.received, 90);
    assert_int_equal(sample.span_ns, 20 * MS);
    assert_int_equal(sample.delivered_bps, 90ull * PACKET * 8 * 50);
    assert_int_equal(sample.sent_bps, 100ull * PACKET * 8 * 100);
}

static void arrivals_in_a_bunch_are_no_faster_than_their_departures(void **state)
{
    struct gx_delivery delivery = {0};
    struct gx_delivery_sample sample;

    (void)state;
    feed(&delivery, 100, 10 * MS, 50 * MS, 100, &sample);
    assert_true(feed(&delivery, 200, 30 * MS, 56 * MS, 200, &sample));
    assert_int_equal(sample.span_ns, 20 * MS);
}

static void a_short_span_waits_for_more(void **state)
{
    struct gx_delivery delivery = {0};
    struct gx_delivery_sample sample;

    (void)state;
    feed(&delivery, 100, 10 * MS, 50 * MS, 100, &sample);
    assert_false(feed(&delivery, 130, 13 * MS, 53 * MS, 130, &sample));
    assert_true(feed(&delivery, 160, 16 * MS, 56 * MS, 160, &sample));
    assert_int_equal(sample.packets, 60);
}

static void late_packets_of_an_earlier_span_do_not_make_more_than_all(void **state)
{
    struct gx_delivery delivery = {0};
    struct gx_delivery_sample sample;

    (void)state;
    feed(&delivery, 100, 10 * MS, 50 * MS, 60, &sample);
    assert_true(feed(&delivery, 200, 20 * MS, 60 * MS, 195, &sample));
    assert_int_equal(sample.received, 100);
}

static void numbers_that_start_again_start_a_new_span(void **state)
{
    struct gx_delivery delivery = {0};
    struct gx_delivery_sample sample;

    (void)state;
    feed(&delivery, 100, 10 * MS, 50 * MS, 100, &sample);
    assert_false(feed(&delivery, 7, 60 * MS, 90 * MS, 7, &sample));
    assert_true(feed(&delivery, 57, 70 * MS, 100 * MS, 57, &sample));
    assert_int_equal(sample.packets, 50);
}

static void the_count_of_received_packets_wraps(void **state)
{
    struct gx_delivery delivery = {0};
    struct gx_delivery_sample sample;

    (void)state;
    feed(&delivery, 100, 10 * MS, 50 * MS, UINT32_MAX - 9, &sample);
    assert_true(feed(&delivery, 200, 20 * MS, 60 * MS, 80, &sample));
    assert_int_equal(sample.received, 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_arrived_over_the_time_between_arrivals),
        cmocka_unit_test(arrivals_in_a_bunch_are_no_faster_than_their_departures),
        cmocka_unit_test(a_short_span_waits_for_more),
        cmocka_unit_test(late_packets_of_an_earlier_span_do_not_make_more_than_all),
        cmocka_unit_test(numbers_that_start_again_start_a_new_span),
        cmocka_unit_test(the_count_of_received_packets_wraps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
