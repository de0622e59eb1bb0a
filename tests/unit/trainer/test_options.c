/* trainer/options.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static struct gx_train_options options;
static struct gx_failure failure;

static int parse(const char *line)
{
    static char copy[1024];
    char *argv[64] = {"gx-train"};
    int argc = 1;
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return gx_train_options_parse(&options, argc, argv, &failure);
}

static void refuse(const char *line, const char *quoted)
{
    failure.text[0] = '\0';
    assert_int_equal(parse(line), -EINVAL);
    if (!strstr(failure.text, quoted))
        fail_msg("'%s' does not quote %s", failure.text, quoted);
}

static void the_contracts_line_is_taken(void **state)
{
    (void)state;
    assert_int_equal(
        parse("-s /tmp/a.sock --run demo --data t.bin --val v.bin --layers 2 --width 64 --heads 2 "
              "--context 32 --batch 16 --inner-steps 20 --rounds 30 --seed 5 --threads 2 "
              "--checkpoint c --json j --format bf16 --lr 0.002 --outer-lr=0.5"),
        0);
    assert_string_equal(options.socket_path, "/tmp/a.sock");
    assert_string_equal(options.run, "demo");
    assert_int_equal(options.model.layers, 2);
    assert_int_equal(options.model.context, 32);
    assert_int_equal(options.inner_steps, 20);
    assert_int_equal(options.rounds, 30);
    assert_int_equal(options.seed, 5);
    assert_int_equal(options.threads, 2);
    assert_int_equal(options.format, GX_BF16);
    assert_true(options.lr == 0.002f && options.outer_lr == 0.5f);
    assert_string_equal(options.checkpoint_path, "c");
}

static void defaults_are_the_papers(void **state)
{
    (void)state;
    assert_int_equal(parse("--data t --val v"), 0);
    assert_null(options.socket_path);
    assert_true(options.outer_lr == 0.7f && options.outer_momentum == 0.9f);
    assert_int_equal(options.format, GX_FP32);
    assert_int_equal(options.model.vocab, 256);
}

static void threads_follow_openmps_variable(void **state)
{
    (void)state;
    unsetenv("OMP_NUM_THREADS");
    assert_int_equal(parse("--data t --val v"), 0);
    assert_int_equal(options.threads, 1);
    setenv("OMP_NUM_THREADS", "3", 1);
    assert_int_equal(parse("--data t --val v"), 0);
    assert_int_equal(options.threads, 3);
    unsetenv("OMP_NUM_THREADS");
}

static void a_short_run_has_a_short_warm_up(void **state)
{
    (void)state;
    assert_int_equal(parse("--data t --val v --inner-steps 10 --rounds 2"), 0);
    assert_int_equal(options.warmup_steps, 2);
    refuse("--data t --val v --inner-steps 10 --rounds 2 --warmup 20", "--warmup 20");
}

static void errors_quote_the_value(void **state)
{
    (void)state;
    refuse("--layers x4", "x4");
    refuse("--layers 0", "0");
    refuse("--layers 4x", "4x");
    refuse("--batch -1", "-1");
    refuse("--seed 99999999999999999999", "99999999999999999999");
    refuse("--lr nan", "nan");
    refuse("--lr 1e", "1e");
    refuse("--outer-momentum 1.5", "1.5");
    refuse("--format fp16", "fp16");
    refuse("--wdith 3", "--wdith");
    refuse("--data", "--data");
    refuse("--data t --val v --width 100 --heads 3", "width 100");
    refuse("stray", "stray");
}

static void cudnns_attention_is_for_gpus_in_bf16(void **state)
{
    (void)state;
    refuse("--data x --val y --attention cudnn --device cpu", "--device cpu");
    refuse("--data x --val y --attention cudnn --deterministic", "--deterministic");
    refuse("--data x --val y --attention cudnn --precision fp32", "--precision");
    refuse("--data x --val y --attention mine", "auto, own or cudnn");
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    refuse("--val v", "--data");
    refuse("--data t", "--val");
    refuse("--data t --val v -s /tmp/a.sock", "--run");
    refuse("--data t --val v --run a123456789b123456789c123456789d123456789", "31 bytes");
}

static void help_asks_for_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(parse("--help"), 0);
    assert_true(options.help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_contracts_line_is_taken),
        cmocka_unit_test(defaults_are_the_papers),
        cmocka_unit_test(threads_follow_openmps_variable),
        cmocka_unit_test(a_short_run_has_a_short_warm_up),
        cmocka_unit_test(errors_quote_the_value),
        cmocka_unit_test(cudnns_attention_is_for_gpus_in_bf16),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(help_asks_for_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
