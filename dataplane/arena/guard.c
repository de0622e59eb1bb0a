#include "arena/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

struct slot {
    uintptr_t base; /* 0: free; written last, with release */
    size_t bytes;
    int faulted;
};

static struct slot slots[GX_GUARD_MAX];
static int wake_fd = -1;

static struct slot *slot_of(uintptr_t address)
{
    for (int i = 0; i < GX_GUARD_MAX; i++) {
        uintptr_t base = __atomic_load_n(&slots[i].base, __ATOMIC_ACQUIRE);

        if (base && address >= base && address - base < slots[i].bytes)
            return &slots[i];
    }
    return NULL;
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
    struct slot *slot = slot_of((uintptr_t)info->si_addr);
    const uint64_t one = 1;

    (void)context;
    if (!slot ||
        mmap((void *)slot->base, slot->bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
        /* Not ours: the instruction runs again and meets the default action. */
        signal(signal_number, SIG_DFL);
        return;
    }
    __atomic_store_n(&slot->faulted, 1, __ATOMIC_RELEASE);
    if (wake_fd >= 0 && write(wake_fd, &one, sizeof(one)) < 0)
        return; /* full: it wakes anyway */
}

int gx_guard_install(int fd)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

    wake_fd = fd;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, NULL) ? -errno : 0;
}

int gx_guard_add(void *base, size_t bytes)
{
    for (int i = 0; i < GX_GUARD_MAX; i++) {
        if (__atomic_load_n(&slots[i].base, __ATOMIC_RELAXED))
            continue;
        slots[i].bytes = bytes;
        slots[i].faulted = 0;
        __atomic_store_n(&slots[i].base, (uintptr_t)base, __ATOMIC_RELEASE);
        return i;
    }
    return -ENOSPC;
}

bool gx_guard_faulted(int slot)
{
    return __atomic_load_n(&slots[slot].faulted, __ATOMIC_ACQUIRE);
}

void gx_guard_remove(int slot)
{
    __atomic_store_n(&slots[slot].base, 0, __ATOMIC_RELEASE);
}
