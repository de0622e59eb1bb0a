/* A bounded queue between two threads: order, limits, and what is handed over is seen whole. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "transfer/mailbox.h"

#define COUNT 200000u

struct entry {
    uint64_t number, square;
};

static void entries_come_out_in_order_and_a_full_box_takes_no_more(void **state)
{
    struct gx_mailbox box;
    struct entry *entry;

    (void)state;
    assert_int_equal(gx_mailbox_init(&box, sizeof(struct entry), 3), 0);
    assert_null(gx_mailbox_peek(&box, 0));
    for (uint64_t i = 0; i < 3; i++) {
        entry = gx_mailbox_claim(&box);
        assert_non_null(entry);
        entry->number = i;
        gx_mailbox_commit(&box);
    }
    assert_null(gx_mailbox_claim(&box));
    assert_int_equal(gx_mailbox_used(&box), 3);
    assert_int_equal(((struct entry *)gx_mailbox_peek(&box, 2))->number, 2);
    assert_null(gx_mailbox_peek(&box, 3));
    gx_mailbox_done(&box, 2);
    assert_int_equal(((struct entry *)gx_mailbox_peek(&box, 0))->number, 2);
    assert_int_equal(gx_mailbox_used(&box), 1);
    assert_non_null(gx_mailbox_claim(&box));
    gx_mailbox_fini(&box);
}

static void *produce(void *ctx)
{
    struct gx_mailbox *box = ctx;

    for (uint64_t i = 0; i < COUNT;) {
        struct entry *entry = gx_mailbox_claim(box);

        if (!entry) {
            sched_yield();
            continue;
        }
        *entry = (struct entry){i, i * i};
        gx_mailbox_commit(box);
        i++;
    }
    return NULL;
}

static void another_thread_sees_whole_entries(void **state)
{
    struct gx_mailbox box;
    pthread_t thread;

    (void)state;
    assert_int_equal(gx_mailbox_init(&box, sizeof(struct entry), 64), 0);
    assert_int_equal(pthread_create(&thread, NULL, produce, &box), 0);
    for (uint64_t i = 0; i < COUNT;) {
        const struct entry *entry = gx_mailbox_peek(&box, 0);

        if (!entry) {
            sched_yield();
            continue;
        }
        assert_int_equal(entry->number, i);
        assert_int_equal(entry->square, i * i);
        gx_mailbox_done(&box, 1);
        i++;
    }
    pthread_join(thread, NULL);
    gx_mailbox_fini(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_out_in_order_and_a_full_box_takes_no_more),
        cmocka_unit_test(another_thread_sees_whole_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
