/* gx_guard: a trainer that punches a hole into its arena must not end gxd. Seals do not stop holes; where the memory
 * cannot come back (huge pages, a full memory cgroup) the next touch is a SIGBUS. Its handler lays zero pages over
 * that arena, so that whoever touched it goes on, and says so.
 *
 * Threads   add and remove: main. faulted: any. The handler runs on the thread that touched.
 */
#ifndef GX_ARENA_GUARD_H
#define GX_ARENA_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define GX_GUARD_MAX 32

/* Takes SIGBUS over. `wake_fd`: an eventfd that the handler writes to after a fault; -1: none. */
int gx_guard_install(int wake_fd);

/* Guards a mapping. Returns its slot, or -ENOSPC. A SIGBUS outside all slots ends the process as ever. */
int gx_guard_add(void *base, size_t bytes);
bool gx_guard_faulted(int slot);
/* Before munmap. */
void gx_guard_remove(int slot);

#endif
