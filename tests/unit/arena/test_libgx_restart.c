/* libgx and a gxd that is killed, and one that comes after it: what the trainer is told, and what libgx tells it again. */
#include "fake_gxd.h"

static void test_killed_gxd_gives_epipe_after_its_last_events(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    gx_publish(w->gx, 0, 0);
    gx_theta(w->gx, 0)[0] = 5;
    fake_event(&w->fake, GX_EVENT_MEMBER, 0, 1);
    fake_die(&w->fake);
    assert_int_equal(gx_wait(w->gx, &event, -1), 0);
    assert_int_equal(event.round, 1);
    assert_int_equal(gx_wait(w->gx, &event, -1), -EPIPE);
    assert_int_equal(gx_wait(w->gx, &event, 1000), -EPIPE);
    assert_int_equal(gx_publish(w->gx, 0, 1), -EPIPE);
    assert_true(gx_theta(w->gx, 0)[0] == 5.0f);
    assert_int_equal(gx_reattach(w->gx), -ECONNREFUSED);
    unlink(w->fake.path);
    assert_int_equal(gx_reattach(w->gx), -ENOENT);
}

static void *fake_dies_soon(void *ctx)
{
    struct timespec soon = {.tv_nsec = 30000000};

    nanosleep(&soon, NULL);
    fake_die(ctx);
    return NULL;
}

static void test_kill_wakes_a_waiting_trainer(void **state)
{
    struct world *w = *state;
    struct gx_event event;
    pthread_t thread;

    registered(w);
    assert_int_equal(pthread_create(&thread, NULL, fake_dies_soon, &w->fake), 0);
    assert_int_equal(gx_wait(w->gx, &event, -1), -EPIPE);
    pthread_join(thread, NULL);
}

static void test_kill_during_registration_is_an_error(void **state)
{
    struct world *w = *state;
    struct gx_schema schema = schema_make();

    w->fake.mute = true;
    assert_int_equal(gx_attach(w->fake.path, &w->gx), 0);
    fake_serve(&w->fake);
    assert_int_equal(gx_register(w->gx, &schema), -EPIPE);
    pthread_join(w->fake.thread, NULL);
    assert_non_null(strstr(gx_error(w->gx), "hung up"));
    assert_int_equal(gx_register(w->gx, &schema), -ECONNREFUSED);
}

static void test_kill_before_registration_is_an_error(void **state)
{
    struct world *w = *state;
    struct gx_schema schema = schema_make();
    int fd;

    assert_int_equal(gx_attach(w->fake.path, &w->gx), 0);
    fd = accept(w->fake.listen_fd, NULL, NULL);
    close(w->fake.listen_fd);
    close(fd);
    assert_int_equal(gx_register(w->gx, &schema), -ECONNREFUSED);
}

static void test_reattach_repeats_states_and_open_offers(void **state)
{
    struct world *w = *state;
    float *theta;
    struct gx_event event;

    registered(w);
    theta = gx_theta(w->gx, 0);
    gx_publish(w->gx, 0, 4);
    gx_publish(w->gx, 1, 6);
    gx_offer(w->gx, 0, 5, 11);
    gx_offer(w->gx, 1, 7, 12);
    fake_event(&w->fake, GX_EVENT_MEMBER, 1, 7); /* answered: not offered again */
    assert_int_equal(gx_wait(w->gx, &event, 0), 0);
    gx_publish(w->gx, 1, 7);
    fake_die(&w->fake);
    assert_int_equal(gx_wait(w->gx, &event, 0), -EPIPE);
    restarted(w);
    assert_int_equal(w->fake.request.again, 1);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 0, 4);
    command_is(&w->fake, GX_COMMAND_OFFER, 0, 5);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 1, 7);
    no_command(&w->fake);
    assert_ptr_equal(gx_theta(w->gx, 0), theta);
    assert_int_equal(gx_offer(w->gx, 0, 5, 11), 0); /* already repeated */
    no_command(&w->fake);
    fake_event(&w->fake, GX_EVENT_LEFT_OUT, 0, 5);
    assert_int_equal(gx_wait(w->gx, &event, 0), 0);
    assert_int_equal(event.type, GX_EVENT_LEFT_OUT);
}

static void test_what_was_said_to_a_dead_gxd_is_repeated(void **state)
{
    struct world *w = *state;

    registered(w);
    gx_publish(w->gx, 0, 0);
    fake_die(&w->fake);
    assert_int_equal(gx_publish(w->gx, 0, 1), -EPIPE);
    assert_int_equal(gx_offer(w->gx, 0, 2, 7), -EPIPE);
    restarted(w);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 0, 1);
    command_is(&w->fake, GX_COMMAND_OFFER, 0, 2);
    no_command(&w->fake);
}

static void test_refused_offer_is_not_repeated(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    gx_publish(w->gx, 0, 0);
    gx_offer(w->gx, 0, 5, 1);
    fake_event(&w->fake, GX_EVENT_REFUSED, 0, 5);
    assert_int_equal(gx_wait(w->gx, &event, 0), 0);
    fake_die(&w->fake);
    restarted(w);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 0, 0);
    no_command(&w->fake);
}

/* A gxd that died between BEHIND and STATE may have left half a state. */
static void test_half_fetched_state_comes_back_as_a_newcomers(void **state)
{
    struct world *w = *state;
    struct gx_event event;

    registered(w);
    gx_publish(w->gx, 0, 3);
    gx_offer(w->gx, 0, 4, 1);
    fake_event(&w->fake, GX_EVENT_BEHIND, 0, 3);
    assert_int_equal(gx_wait(w->gx, &event, 0), 0);
    fake_die(&w->fake);
    restarted(w);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 0, 0);
    no_command(&w->fake);
}

static void test_half_written_state_is_not_handed_over(void **state)
{
    struct world *w = *state;

    registered(w);
    gx_publish(w->gx, 0, 0);
    gx_state_begin(w->gx, 0);
    fake_die(&w->fake);
    fake_listen(&w->fake);
    assert_int_equal(gx_reattach(w->gx), -EBUSY);
    assert_int_equal(gx_publish(w->gx, 0, 1), -EPIPE);
    fake_serve(&w->fake);
    assert_int_equal(gx_reattach(w->gx), 0);
    fake_served(&w->fake);
    command_is(&w->fake, GX_COMMAND_PUBLISH, 0, 1);
}

static void test_reattach_to_a_living_gxd_does_nothing(void **state)
{
    struct world *w = *state;

    registered(w);
    assert_int_equal(gx_reattach(w->gx), 0);
    no_command(&w->fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_killed_gxd_gives_epipe_after_its_last_events),
        CASE(test_kill_wakes_a_waiting_trainer),
        CASE(test_kill_during_registration_is_an_error),
        CASE(test_kill_before_registration_is_an_error),
        CASE(test_reattach_repeats_states_and_open_offers),
        CASE(test_what_was_said_to_a_dead_gxd_is_repeated),
        CASE(test_refused_offer_is_not_repeated),
        CASE(test_half_fetched_state_comes_back_as_a_newcomers),
        CASE(test_half_written_state_is_not_handed_over),
        CASE(test_reattach_to_a_living_gxd_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
