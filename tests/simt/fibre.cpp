#include "simt/fibre.h"

#include <cstdint>
#include <cstdlib>
#include <sys/mman.h>

#include "sanitized.h"

#ifdef GX_SANITIZED
#include <sanitizer/common_interface_defs.h>
static const size_t stack_bytes = 256u << 10;
#else
static const size_t stack_bytes = 64u << 10;
static void __sanitizer_start_switch_fiber(void **, const void *, size_t)
{
}
static void __sanitizer_finish_switch_fiber(void *, const void **, size_t *)
{
}
#endif

static struct gx_fibre *previous, *running;

/* What every flow does first after a switch. */
static void arrive(void)
{
    __sanitizer_finish_switch_fiber(running->fake, &previous->stack, &previous->stack_bytes);
}

extern "C" __attribute__((used)) void gx_fibre_begin(void)
{
    arrive();
    running->entry();
    abort();
}

#if defined(__x86_64__) && !defined(GX_UCONTEXT)
/* Saves what the ABI lets a callee keep, exchanges the stacks, restores. */
extern "C" void gx_fibre_exchange(void **save, void *load);
extern "C" void gx_fibre_start(void);
__asm__(".text\n"
        ".type gx_fibre_exchange, @function\n"
        "gx_fibre_exchange:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n"
        "    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n"
        "    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size gx_fibre_exchange, . - gx_fibre_exchange\n"
        ".type gx_fibre_start, @function\n"
        "gx_fibre_start:\n"
        "    call gx_fibre_begin\n"
        "    ud2\n"
        ".size gx_fibre_start, . - gx_fibre_start\n");

static void prepare(struct gx_fibre *fibre)
{
    /* Six registers, the return address, and a stack aligned to 16 bytes where gx_fibre_start() calls. */
    uintptr_t *top = reinterpret_cast<uintptr_t *>(reinterpret_cast<uintptr_t>(fibre->stack) +
                                                   fibre->stack_bytes - 64);
    top[-1] = reinterpret_cast<uintptr_t>(gx_fibre_start);
    fibre->top = top - 7;
}
#else
#include <ucontext.h>

static void prepare(struct gx_fibre *fibre)
{
    static_assert(sizeof(ucontext_t) < 4096, "it lies at the far end of the stack");
    ucontext_t *context = static_cast<ucontext_t *>(const_cast<void *>(fibre->stack));
    getcontext(context);
    context->uc_stack.ss_sp = const_cast<void *>(fibre->stack);
    context->uc_stack.ss_size = fibre->stack_bytes;
    makecontext(context, gx_fibre_begin, 0);
    fibre->top = context;
}

static void gx_fibre_exchange(void **save, void *load)
{
    static ucontext_t own_flow;
    if (!*save)
        *save = &own_flow;
    swapcontext(static_cast<ucontext_t *>(*save), static_cast<ucontext_t *>(load));
}
#endif

void gx_fibre_create(struct gx_fibre *fibre, void (*entry)(void))
{
    const size_t guard = 4096;
    char *memory = static_cast<char *>(mmap(NULL, guard + stack_bytes, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) != 0)
        abort();
    *fibre = {NULL, NULL, memory + guard, stack_bytes, entry};
    prepare(fibre);
}

void gx_fibre_switch(struct gx_fibre *from, struct gx_fibre *to)
{
    previous = from;
    running = to;
    __sanitizer_start_switch_fiber(&from->fake, to->stack, to->stack_bytes);
    gx_fibre_exchange(&from->top, to->top);
    arrive();
}
