#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arena/ring.h"

struct fixture {
    struct gx_ring ring;
    struct gx_command entries[GX_RING_ENTRIES];
    struct gx_ring_end producer, consumer;
};

static struct fixture *fixture_make(uint64_t position)
{
    struct fixture *f = aligned_alloc(64, sizeof(*f) + 64 - sizeof(*f) % 64);

    memset(f, 0, sizeof(*f));
    f->ring.head = f->ring.tail = position;
    assert_int_equal(gx_ring_produce(&f->producer, &f->ring, f->entries, sizeof(struct gx_command)),
                     0);
    assert_int_equal(gx_ring_consume(&f->consumer, &f->ring, f->entries, sizeof(struct gx_command)),
                     0);
    return f;
}

static void test_entries_come_out_as_they_went_in(void **state)
{
    struct fixture *f = fixture_make(0);
    struct gx_command in = {.type = 2, .round = 77, .bytes = 5}, out;

    (void)state;
    assert_int_equal(gx_ring_pop(&f->consumer, &out), 0);
    assert_int_equal(gx_ring_push(&f->producer, &in), 0);
    assert_int_equal(gx_ring_pop(&f->consumer, &out), 1);
    assert_memory_equal(&in, &out, sizeof(in));
    assert_int_equal(gx_ring_pop(&f->consumer, &out), 0);
    free(f);
}

static void test_full_ring_refuses(void **state)
{
    struct fixture *f = fixture_make(0);
    struct gx_command entry = {0};

    (void)state;
    for (uint32_t i = 0; i < GX_RING_ENTRIES; i++) {
        assert_int_equal(gx_ring_room(&f->producer), (int)(GX_RING_ENTRIES - i));
        entry.round = i;
        assert_int_equal(gx_ring_push(&f->producer, &entry), 0);
    }
    assert_int_equal(gx_ring_push(&f->producer, &entry), -ENOSPC);
    assert_int_equal(gx_ring_pop(&f->consumer, &entry), 1);
    assert_int_equal(entry.round, 0);
    assert_int_equal(gx_ring_push(&f->producer, &entry), 0);
    free(f);
}

/* Positions count for ever; near 2^64 they wrap and nothing may notice. */
static void test_positions_wrap(void **state)
{
    struct fixture *f = fixture_make(UINT64_MAX - 700);
    struct gx_command entry = {0};

    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        entry.round = i;
        assert_int_equal(gx_ring_push(&f->producer, &entry), 0);
        if (i < 500)
            continue; /* 500 entries stay in the ring */
        assert_int_equal(gx_ring_pop(&f->consumer, &entry), 1);
        assert_int_equal(entry.round, i - 500);
    }
    free(f);
}

static void test_hostile_producer_is_noticed(void **state)
{
    static const uint64_t jumps[] = {GX_RING_ENTRIES + 1, 1ull << 40, UINT64_MAX};
    struct gx_command entry;

    (void)state;
    for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        struct fixture *f = fixture_make(10);

        f->ring.head = 10 + jumps[i];
        assert_int_equal(gx_ring_pop(&f->consumer, &entry), -EBADMSG);
        free(f);
    }
}

static void test_hostile_consumer_is_noticed(void **state)
{
    struct fixture *f = fixture_make(10);
    struct gx_command entry = {0};

    (void)state;
    f->ring.tail = 11; /* has read what was never written */
    assert_int_equal(gx_ring_room(&f->producer), -EBADMSG);
    assert_int_equal(gx_ring_push(&f->producer, &entry), -EBADMSG);
    f->ring.tail = 10 - GX_RING_ENTRIES - 1;
    assert_int_equal(gx_ring_push(&f->producer, &entry), -EBADMSG);
    free(f);
}

static void test_own_position_is_not_read_back(void **state)
{
    struct fixture *f = fixture_make(0);
    struct gx_command entry = {.round = 1};

    (void)state;
    gx_ring_push(&f->producer, &entry);
    gx_ring_push(&f->producer, &entry);
    f->ring.head = 1000; /* somebody spoils ours */
    entry.round = 3;
    assert_int_equal(gx_ring_push(&f->producer, &entry), 0);
    assert_int_equal(f->ring.head, 3);
    assert_int_equal(f->entries[2].round, 3);
    free(f);
}

static void test_impossible_ring_is_not_attached(void **state)
{
    struct gx_ring ring = {.head = 5, .tail = 6};
    struct gx_command entries[1];
    struct gx_ring_end end;

    (void)state;
    assert_int_equal(gx_ring_consume(&end, &ring, entries, sizeof(entries[0])), -EBADMSG);
    assert_int_equal(gx_ring_produce(&end, &ring, entries, sizeof(entries[0])), -EBADMSG);
}

#define STRESS 300000u

static void *produce(void *ctx)
{
    struct fixture *f = ctx;
    struct gx_command entry = {0};

    for (uint64_t i = 0; i < STRESS; i++) {
        entry.round = entry.weight = entry.bytes = i;
        while (gx_ring_push(&f->producer, &entry) == -ENOSPC)
            ;
    }
    return NULL;
}

static void test_two_threads_agree(void **state)
{
    struct fixture *f = fixture_make(0);
    struct gx_command entry;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, produce, f), 0);
    for (uint64_t i = 0; i < STRESS;) {
        if (!gx_ring_pop(&f->consumer, &entry))
            continue;
        assert_int_equal(entry.round, i);
        assert_int_equal(entry.weight, i);
        assert_int_equal(entry.bytes, i);
        i++;
    }
    pthread_join(thread, NULL);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_come_out_as_they_went_in),
        cmocka_unit_test(test_full_ring_refuses),
        cmocka_unit_test(test_positions_wrap),
        cmocka_unit_test(test_hostile_producer_is_noticed),
        cmocka_unit_test(test_hostile_consumer_is_noticed),
        cmocka_unit_test(test_own_position_is_not_read_back),
        cmocka_unit_test(test_impossible_ring_is_not_attached),
        cmocka_unit_test(test_two_threads_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
