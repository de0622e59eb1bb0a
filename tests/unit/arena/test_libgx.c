/* libgx and a gxd that lives. */
#include <math.h>

#include "fake_gxd.h"

static void test_no_gxd_is_an_error_that_names_the_socket(void **state)
{
    struct world *w = *state;
    struct gx *gx;

    assert_int_equal(gx_attach("/tmp/gx-no-such.sock", &gx), -ENOENT);
    assert_non_null(strstr(gx_error(gx), "/tmp/gx-no-such.sock"));
    gx_detach(gx);
    close(w->fake.listen_fd);
    assert_int_equal(gx_attach(w->fake.path, &gx), -ECONNREFUSED);
    gx_detach(gx);
    fake_listen(&w->fake);
}

static void test_registration_hands_over_a_sealed_arena(void **state)
{
    struct world *w = *state;
    struct gx_schema schema;
    char text[GX_MAP_TEXT_MAX];

    registered(w);
    assert_int_equal(gx_map_schema(&schema, &w->fake.request, text), 0);
    assert_string_equal(schema.run, "test");
    assert_int_equal(gx_map_check(&schema, &w->fake.request, w->fake.arena_fd, text),
                     (int64_t)w->fake.request.arena_bytes);
    assert_int_equal(ftruncate(w->fake.arena_fd, 4096), -1);
    assert_int_equal(w->fake.request.again, 0);
    assert_int_equal(gx_site_index(w->gx), 1);
    assert_int_equal(gx_site_count(w->gx), 2);
    assert_string_equal(gx_site_name(w->gx, 0), "north");
    assert_string_equal(gx_site_name(w->gx, 2), "");
}

static void test_areas_are_the_ones_gxd_sees(void **state)
{
    struct world *w = *state;
    const struct gx_arena_fragment *f;

    registered(w);
    f = &w->fake.layout.fragments[1];
    gx_theta(w->gx, 1)[299] = 1.5f;
    gx_momentum(w->gx, 1)[0] = 2.5f;
    ((uint8_t *)gx_contribution(w->gx, 1, 7))[0] = 3;
    assert_true(((float *)(void *)(w->fake.base + f->state))[299] == 1.5f);
    assert_true(((float *)(void *)(w->fake.base + f->state))[300] == 2.5f);
    assert_int_equal(w->fake.base[f->contribution[1]], 3);
    w->fake.base[f->result + 3] = 0x40;
    assert_true(gx_result(w->gx, 1)[0] == 2.0f);
    assert_null(gx_theta(w->gx, 2));
    assert_null(gx_contribution(w->gx, 2, 1));
}

static void test_refused_registration_says_why_and_may_be_repeated(void **state)
{
    struct world *w = *state;
    struct gx_schema schema = schema_make();

    w->fake.reply.error = -ENOMEM;
    strcpy(w->fake.reply.text, "set `memory: 3GiB`");
    assert_int_equal(gx_attach(w->fake.path, &w->gx), 0);
    fake_serve(&w->fake);
    assert_int_equal(gx_register(w->gx, &schema), -ENOMEM);
    fake_served(&w->fake);
    assert_non_null(strstr(gx_error(w->gx), "memory: 3GiB"));
    fake_die(&w->fake);
    fake_listen(&w->fake);
    w->fake.reply.error = 0;
    fake_serve(&w->fake);
    assert_int_equal(gx_register(w->gx, &schema), 0);
    fake_served(&w->fake);
}

static void test_impossible_schema_is_refused_here(void **state)
{
    struct world *w = *state;
    struct gx_schema schema = schema_make();

    assert_int_equal(gx_attach(w->fake.path, &w->gx), 0);
    schema.run = "a b";
    assert_int_equal(gx_register(w->gx, &schema), -EINVAL);
    assert_int_equal(gx_publish(w->gx, 0, 0), -ENOTCONN);
    assert_int_equal(gx_wait(w->gx, &(struct gx_event){0}, 0), -ENOTCONN);
    close(w->fake.listen_fd);
}

static void test_publish_and_offer_arrive_with_a_kick(void **state)
{
    struct world *w = *state;
    struct gx_command command;
    eventfd_t kicks;

    registered(w);
    assert_int_equal(gx_publish(w->gx, 1, 0), 0);
    assert_int_equal(gx_offer(w->gx, 1, 1, 4096), 0);
    assert_int_equal(eventfd_read(w->fake.wake_gxd, &kicks), 0);
    assert_int_equal(kicks, 2);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 1, 0);
    assert_int_equal(gx_ring_pop(&w->fake.commands, &command), 1);
    assert_int_equal(command.type, GX_COMMAND_OFFER);
    assert_int_equal(command.weight, 4096);
    assert_int_equal(command.offset, w->fake.layout.fragments[1].contribution[1]);
    assert_int_equal(command.bytes, 1200);
    assert_true(command.time_ns > 0);
    assert_int_equal(gx_offer(w->gx, 5, 1, 1), -EINVAL);
}

static void offer_claims(struct world *w, uint64_t round, bool claimed)
{
    static const uint8_t none[GX_CLAIM_BYTES];
    struct gx_command command;

    assert_int_equal(gx_offer(w->gx, 1, round, 1), 0);
    assert_int_equal(gx_ring_pop(&w->fake.commands, &command), 1);
    assert_int_equal(memcmp(command.claim, none, sizeof(none)) != 0, claimed);
}

static void test_an_offer_claims_what_was_contributed_and_nothing_else(void **state)
{
    struct world *w = *state;
    float values[1200 / sizeof(float)] = {1, 2, 3};

    registered(w);
    offer_claims(w, 1, false);
    assert_int_equal(gx_contribute(w->gx, 1, 2, values), 0);
    assert_memory_equal(w->fake.base + w->fake.layout.fragments[1].contribution[0], values,
                        sizeof(values));
    offer_claims(w, 2, true);
    offer_claims(w, 3, false);
    /* Its buffer was asked for afterwards: other bytes may be there by now. */
    assert_int_equal(gx_contribute(w->gx, 1, 4, values), 0);
    assert_non_null(gx_contribution(w->gx, 1, 4));
    offer_claims(w, 4, false);
    values[7] = NAN;
    assert_int_equal(gx_contribute(w->gx, 1, 5, values), -EDOM);
    offer_claims(w, 5, false);
    assert_int_equal(gx_contribute(w->gx, 9, 5, values), -EINVAL);
}

static void test_events_end_a_wait(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    assert_int_equal(gx_wait(w->gx, &event, 0), -ETIMEDOUT);
    fake_event(&w->fake, GX_EVENT_MEMBER, 0, 1);
    fake_event(&w->fake, GX_EVENT_LEFT_OUT, 1, 4);
    assert_int_equal(gx_wait(w->gx, &event, -1), 0);
    assert_int_equal(event.type, GX_EVENT_MEMBER);
    assert_int_equal(event.divisor, 9);
    assert_int_equal(gx_wait(w->gx, &event, 1000), 0);
    assert_int_equal(event.type, GX_EVENT_LEFT_OUT);
    assert_int_equal(event.round, 4);
}

static void test_wait_keeps_its_time(void **state)
{
    struct world *w = *state;
    struct gx_event event;
    uint64_t start;

    registered(w);
    start = now_ms();
    /* A kick without an event must not end it early. */
    eventfd_write(w->fake.wake_trainer, 1);
    assert_int_equal(gx_wait(w->gx, &event, 60), -ETIMEDOUT);
    assert_in_range(now_ms() - start, 59, 2000);
}

static bool readable(const struct gx *gx)
{
    struct pollfd fd = {.fd = gx_fd(gx), .events = POLLIN};

    return poll(&fd, 1, 0) == 1;
}

static void test_fd_is_readable_while_events_wait(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    assert_int_equal(gx_wait(w->gx, &event, 0), -ETIMEDOUT);
    assert_false(readable(w->gx));
    for (uint64_t i = 1; i <= 3; i++)
        fake_event(&w->fake, GX_EVENT_VOID, 0, i);
    for (int i = 0; i < 3; i++) {
        assert_true(readable(w->gx));
        assert_int_equal(gx_wait(w->gx, &event, 0), 0);
    }
    assert_int_equal(gx_wait(w->gx, &event, 0), -ETIMEDOUT);
    assert_false(readable(w->gx));
    fake_die(&w->fake);
    assert_true(readable(w->gx));
}

static void test_buffer_in_use_is_kept_back(void **state)
{
    struct world *w = *state;
    struct gx_arena_header *header;

    registered(w);
    header = (struct gx_arena_header *)(void *)w->fake.base;
    header->contribution_busy[0][1] = 3;
    assert_null(gx_contribution(w->gx, 0, 1));
    assert_null(gx_contribution(w->gx, 0, 3));
    assert_non_null(gx_contribution(w->gx, 0, 2));
    header->contribution_busy[0][1] = 0;
    assert_non_null(gx_contribution(w->gx, 0, 1));
}

static void test_state_is_locked_while_it_is_written(void **state)
{
    struct world *w = *state;
    struct gx_arena_header *header;

    registered(w);
    header = (struct gx_arena_header *)(void *)w->fake.base;
    assert_int_equal(header->state_sequence[0] & 1, 0);
    gx_state_begin(w->gx, 0);
    gx_state_begin(w->gx, 0); /* twice is once */
    assert_int_equal(header->state_sequence[0] & 1, 1);
    assert_int_equal(gx_publish(w->gx, 0, 0), 0);
    assert_int_equal(header->state_sequence[0] & 1, 0);
    assert_true(header->state_sequence[0] > 0);
}

static void test_behind_is_accepted_and_locks_the_fragment(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    gx_publish(w->gx, 0, 3);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 0, 3);
    fake_event(&w->fake, GX_EVENT_BEHIND, 0, 3);
    assert_int_equal(gx_wait(w->gx, &event, 0), 0);
    assert_int_equal(event.type, GX_EVENT_BEHIND);
    command_is(&w->fake, GX_COMMAND_ACCEPT, 0, 3);
    assert_int_equal(gx_publish(w->gx, 0, 4), -EBUSY);
    assert_int_equal(gx_offer(w->gx, 0, 4, 1), -EBUSY);
    assert_int_equal(gx_publish(w->gx, 1, 0), 0); /* the other fragment goes on */
    fake_event(&w->fake, GX_EVENT_STATE, 0, 9);
    assert_int_equal(gx_wait(w->gx, &event, 0), 0);
    assert_int_equal(gx_offer(w->gx, 0, 10, 1), 0);
}

static void test_farewell_is_told(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    strcpy(w->fake.reply.text, "it does not read its events");
    w->fake.reply.error = -EPIPE;
    send(w->fake.fd, &w->fake.reply, sizeof(w->fake.reply), 0);
    fake_die(&w->fake);
    assert_int_equal(gx_wait(w->gx, &event, -1), -EPIPE);
    assert_non_null(strstr(gx_error(w->gx), "does not read its events"));
}

static void test_nonsense_from_gxd_is_an_error_not_a_crash(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    fake_event(&w->fake, GX_EVENT_MEMBER, 77, 1);
    assert_int_equal(gx_wait(w->gx, &event, 0), -EPIPE);
    fake_die(&w->fake);
    restarted(w);
    ((struct gx_arena_header *)(void *)w->fake.base)->events.head = 1ull << 50;
    assert_int_equal(gx_wait(w->gx, &event, 0), -EPIPE);
    fake_die(&w->fake);
    restarted(w);
    ((struct gx_arena_header *)(void *)w->fake.base)->commands.tail = 1ull << 50;
    assert_int_equal(gx_publish(w->gx, 0, 0), -EPIPE);
}

static void test_gxd_that_takes_no_commands_is_told_of(void **state)
{
    struct world *w = *state;

    registered(w);
    for (uint32_t i = 0; i < GX_RING_ENTRIES; i++)
        assert_int_equal(gx_publish(w->gx, 0, i), 0);
    assert_int_equal(gx_publish(w->gx, 0, 1), -EAGAIN);
    assert_int_equal(gx_offer(w->gx, 0, 2, 1), -EAGAIN);
    fake_die(&w->fake);
    restarted(w);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 0, 1);
    no_command(&w->fake); /* an offer that was not taken is not pending */
}

static void on_alarm(int number)
{
    (void)number;
}

static void test_signal_interrupts_a_wait(void **state)
{
    struct world *w = *state;
    struct sigaction action = {.sa_handler = on_alarm};
    struct gx_event event;

    registered(w);
    sigaction(SIGALRM, &action, NULL);
    ualarm(20000, 0);
    assert_int_equal(gx_wait(w->gx, &event, 5000), -EINTR);
}

static void test_detach_hangs_up(void **state)
{
    struct world *w = *state;
    struct pollfd ready = {0};
    char byte;

    registered(w);
    gx_detach(w->gx);
    w->gx = NULL;
    ready = (struct pollfd){.fd = w->fake.fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 1000), 1);
    assert_int_equal(recv(w->fake.fd, &byte, 1, 0), 0);
    gx_detach(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_no_gxd_is_an_error_that_names_the_socket),
        CASE(test_registration_hands_over_a_sealed_arena),
        CASE(test_areas_are_the_ones_gxd_sees),
        CASE(test_refused_registration_says_why_and_may_be_repeated),
        CASE(test_impossible_schema_is_refused_here),
        CASE(test_publish_and_offer_arrive_with_a_kick),
        CASE(test_an_offer_claims_what_was_contributed_and_nothing_else),
        CASE(test_events_end_a_wait),
        CASE(test_wait_keeps_its_time),
        CASE(test_fd_is_readable_while_events_wait),
        CASE(test_buffer_in_use_is_kept_back),
        CASE(test_state_is_locked_while_it_is_written),
        CASE(test_behind_is_accepted_and_locks_the_fragment),
        CASE(test_farewell_is_told),
        CASE(test_nonsense_from_gxd_is_an_error_not_a_crash),
        CASE(test_gxd_that_takes_no_commands_is_told_of),
        CASE(test_signal_interrupts_a_wait),
        CASE(test_detach_hangs_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
