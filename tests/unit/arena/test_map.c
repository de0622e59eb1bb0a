/* gxd's side of an arena: what it refuses, and a fault inside one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "arena/guard.h"
#include "arena/map.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

struct arena {
    struct gx_attach_request request;
    struct gx_schema schema;
    struct gx_arena_layout layout;
    int fd;
    char text[GX_MAP_TEXT_MAX];
};

static void arena_make(struct arena *a, int64_t wrong_bytes, int seals)
{
    char text[GX_MAP_TEXT_MAX];

    memset(a, 0, sizeof(*a));
    strcpy(a->request.run, "run");
    a->request.fragment_count = 2;
    a->request.param_counts[0] = 5000;
    a->request.param_counts[1] = 3;
    assert_int_equal(gx_map_schema(&a->schema, &a->request, text), 0);
    assert_int_equal(gx_arena_layout(&a->layout, &a->schema), 0);
    a->request.arena_bytes = a->layout.bytes + (uint64_t)wrong_bytes;
    a->fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(a->fd, (off_t)a->request.arena_bytes), 0);
    if (seals)
        assert_int_equal(fcntl(a->fd, F_ADD_SEALS, seals), 0);
}

static int64_t arena_check(struct arena *a)
{
    return gx_map_check(&a->schema, &a->request, a->fd, a->text);
}

static void header_write(struct arena *a, uint64_t magic, uint32_t version, uint32_t fragments,
                         uint64_t bytes)
{
    struct gx_arena_header *header =
        mmap(NULL, sizeof(*header), PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);

    header->magic = magic;
    header->version = version;
    header->fragment_count = fragments;
    header->bytes = bytes;
    munmap(header, sizeof(*header));
}

static void test_sealed_arena_of_the_right_size_passes(void **state)
{
    struct arena a;
    struct gx_map map;

    (void)state;
    arena_make(&a, 0, SEALS);
    assert_int_equal(arena_check(&a), (int64_t)a.layout.bytes);
    header_write(&a, GX_ARENA_MAGIC, GX_ARENA_VERSION, 2, a.layout.bytes);
    assert_int_equal(gx_map_open(&map, &a.schema, a.fd, a.layout.bytes, a.text), 0);
    while (gx_map_populate(&map) > 0)
        ;
    assert_int_equal(map.populated, a.layout.bytes);
    gx_map_close(&map);
    close(a.fd);
}

static void test_unsealed_arenas_are_refused(void **state)
{
    static const int seals[] = {0, F_SEAL_SHRINK, F_SEAL_GROW};
    struct arena a;

    (void)state;
    for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
        arena_make(&a, 0, seals[i]);
        assert_int_equal(arena_check(&a), -EINVAL);
        assert_non_null(strstr(a.text, "seal"));
        close(a.fd);
    }
}

static void test_wrong_sizes_are_refused(void **state)
{
    static const int64_t wrong[] = {-1, -4096, 2 << 20, 64 << 20};
    struct arena a;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        arena_make(&a, wrong[i], SEALS);
        assert_int_equal(arena_check(&a), -EINVAL);
        assert_non_null(strstr(a.text, "bytes"));
        close(a.fd);
    }
    arena_make(&a, 0, SEALS);
    a.request.arena_bytes += 4096; /* says more than there is */
    assert_int_equal(arena_check(&a), -EINVAL);
    close(a.fd);
}

static void test_what_is_no_memfd_is_refused(void **state)
{
    struct arena a;
    int pipes[2];

    (void)state;
    arena_make(&a, 0, SEALS);
    close(a.fd);
    assert_int_equal(pipe(pipes), 0);
    a.fd = pipes[0];
    assert_int_equal(arena_check(&a), -EINVAL);
    a.fd = open("/etc/passwd", O_RDONLY);
    assert_int_equal(arena_check(&a), -EINVAL);
    close(a.fd);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_read_only_descriptor_is_refused(void **state)
{
    struct arena a;
    char path[64];
    int fd;

    (void)state;
    arena_make(&a, 0, SEALS);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", a.fd);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    close(a.fd);
    a.fd = fd;
    assert_int_equal(arena_check(&a), -EINVAL);
    close(fd);
}

static void test_headers_that_do_not_fit_are_refused(void **state)
{
    struct arena a;
    struct gx_map map;

    (void)state;
    arena_make(&a, 0, SEALS);
    assert_int_equal(gx_map_open(&map, &a.schema, a.fd, a.layout.bytes, a.text), -EPROTO);
    header_write(&a, GX_ARENA_MAGIC, GX_ARENA_VERSION + 1, 2, a.layout.bytes);
    assert_int_equal(gx_map_open(&map, &a.schema, a.fd, a.layout.bytes, a.text), -EPROTO);
    assert_non_null(strstr(a.text, "version 2"));
    header_write(&a, GX_ARENA_MAGIC, GX_ARENA_VERSION, 3, a.layout.bytes);
    assert_int_equal(gx_map_open(&map, &a.schema, a.fd, a.layout.bytes, a.text), -EINVAL);
    header_write(&a, GX_ARENA_MAGIC, GX_ARENA_VERSION, 2, a.layout.bytes + 1);
    assert_int_equal(gx_map_open(&map, &a.schema, a.fd, a.layout.bytes, a.text), -EINVAL);
    assert_null(map.base);
    close(a.fd);
}

/* A file that shrinks under its mapping faults as a punched hole on huge pages does. */
static void *faulty_pages(size_t bytes)
{
    int fd = memfd_create("hole", MFD_CLOEXEC);
    void *base;

    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    return base;
}

static void test_fault_in_an_arena_reads_zero_and_tells(void **state)
{
    int wake = eventfd(0, EFD_NONBLOCK);
    uint8_t *base = faulty_pages(4 << 20);
    eventfd_t count = 0;
    int slot;

    (void)state;
    assert_int_equal(gx_guard_install(wake), 0);
    slot = gx_guard_add(base, 4 << 20);
    assert_true(slot >= 0);
    assert_false(gx_guard_faulted(slot));
    assert_int_equal(*(volatile uint8_t *)(base + (3 << 20)), 0);
    assert_true(gx_guard_faulted(slot));
    *(volatile uint8_t *)base = 7; /* all of it is writable again */
    assert_int_equal(eventfd_read(wake, &count), 0);
    assert_int_equal(count, 1);
    gx_guard_remove(slot);
    munmap(base, 4 << 20);
    signal(SIGBUS, SIG_DFL);
    close(wake);
}

static void test_fault_elsewhere_ends_the_process(void **state)
{
    int status;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) {
        uint8_t *guarded = faulty_pages(4096), *other = faulty_pages(4096);

        gx_guard_install(-1);
        gx_guard_add(guarded, 4096);
        _exit(*(volatile uint8_t *)other);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void test_slots_are_bounded_and_come_back(void **state)
{
    int slots[GX_GUARD_MAX];
    char base[1];

    (void)state;
    for (int i = 0; i < GX_GUARD_MAX; i++) {
        slots[i] = gx_guard_add(base, 1);
        assert_true(slots[i] >= 0);
    }
    assert_int_equal(gx_guard_add(base, 1), -ENOSPC);
    gx_guard_remove(slots[5]);
    assert_int_equal(gx_guard_add(base, 1), slots[5]);
    for (int i = 0; i < GX_GUARD_MAX; i++)
        gx_guard_remove(slots[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sealed_arena_of_the_right_size_passes),
        cmocka_unit_test(test_unsealed_arenas_are_refused),
        cmocka_unit_test(test_wrong_sizes_are_refused),
        cmocka_unit_test(test_what_is_no_memfd_is_refused),
        cmocka_unit_test(test_read_only_descriptor_is_refused),
        cmocka_unit_test(test_headers_that_do_not_fit_are_refused),
        cmocka_unit_test(test_fault_in_an_arena_reads_zero_and_tells),
        cmocka_unit_test(test_fault_elsewhere_ends_the_process),
        cmocka_unit_test(test_slots_are_bounded_and_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
