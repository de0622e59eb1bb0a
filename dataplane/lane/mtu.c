#include "lane/mtu.h"

#include <string.h>

#define TRIES_FULL 8u /* at 20% loss both ways all of them miss once in 10^5 */
#define TRIES_STEP 4u
#define WAIT_MIN_NS 100000000ull
#define AGAIN_NS 10000000000ull /* after a full packet arrived, or without any echo */
#define SMALL_NS 500000000ull   /* between tries while the path is known to be too small */
#define DOUBT_NS 1000000000ull
#define NEVER UINT64_MAX

void gx_mtu_init(struct gx_mtu *mtu, uint32_t full)
{
    memset(mtu, 0, sizeof *mtu);
    mtu->full = full;
    mtu->due_ns = NEVER;
}

void gx_mtu_session(struct gx_mtu *mtu, uint64_t now)
{
    mtu->due_ns = now;
    mtu->asked = mtu->parts = 0;
    mtu->missed = mtu->unanswered = 0;
    mtu->echo_token = 0;
}

/* ---- asking ---- */

static void search(struct gx_mtu *mtu)
{
    mtu->state = GX_MTU_SEARCH;
    mtu->low = 0;
    mtu->high = mtu->full;
    mtu->missed = 0;
}

static void narrow(struct gx_mtu *mtu)
{
    mtu->missed = 0;
    if (mtu->high - mtu->low <= 1)
        mtu->state = GX_MTU_SMALL;
}

/* The try that is over: its small probe was echoed, its large one was not. */
static void missed(struct gx_mtu *mtu)
{
    mtu->missed++;
    if (mtu->state == GX_MTU_SEARCH) {
        if (mtu->missed == TRIES_STEP) {
            mtu->high = mtu->asked;
            narrow(mtu);
        }
    } else if (mtu->missed == TRIES_FULL) {
        search(mtu); /* or again: it has become smaller still */
    }
}

static uint32_t size_next(const struct gx_mtu *mtu)
{
    switch (mtu->state) {
    case GX_MTU_SEARCH:
        return mtu->low + (mtu->high - mtu->low) / 2;
    case GX_MTU_SMALL:
        return mtu->low;
    default:
        return mtu->full;
    }
}

static uint64_t wait_after(const struct gx_mtu *mtu, uint64_t wait_ns)
{
    if (mtu->unanswered >= TRIES_FULL && !gx_mtu_short(mtu))
        return AGAIN_NS;
    if (wait_ns < WAIT_MIN_NS)
        wait_ns = WAIT_MIN_NS;
    return mtu->state == GX_MTU_SMALL && wait_ns < SMALL_NS ? SMALL_NS : wait_ns;
}

static void try_next(struct gx_mtu *mtu, uint64_t wait_ns, uint64_t now)
{
    mtu->unanswered = mtu->asked != 0 && !mtu->heard ? mtu->unanswered + 1 : 0;
    if (mtu->asked != 0 && mtu->heard)
        missed(mtu);
    mtu->asked = size_next(mtu);
    mtu->parts = gx_mtu_short(mtu) ? 3 : 2;
    mtu->heard = false;
    mtu->due_ns = now + wait_after(mtu, wait_ns);
    if (++mtu->token == 0)
        mtu->token = 1;
}

uint32_t gx_mtu_probe(struct gx_mtu *mtu, uint64_t wait_ns, uint64_t now, uint32_t *token)
{
    if (mtu->parts == 0) {
        if (now < mtu->due_ns)
            return 0;
        try_next(mtu, wait_ns, now);
    }
    *token = mtu->token;
    switch (mtu->parts--) {
    case 3:
        return mtu->full;
    case 2:
        return mtu->asked;
    default:
        return GX_MTU_SMALL_BYTES;
    }
}

static void passed_full(struct gx_mtu *mtu, uint64_t now)
{
    /* Once more at once when it was short: our probes tell the peer what we know. */
    mtu->due_ns = gx_mtu_short(mtu) ? now : now + AGAIN_NS;
    mtu->state = GX_MTU_FULL;
    mtu->asked = mtu->parts = 0;
    mtu->missed = mtu->unanswered = 0;
}

void gx_mtu_echoed(struct gx_mtu *mtu, uint32_t token, uint32_t bytes, uint64_t now)
{
    bool passed = token == mtu->token && mtu->asked != 0 && bytes >= mtu->asked;

    if (bytes >= mtu->full) {
        passed_full(mtu, now);
        return;
    }
    mtu->heard |= token == mtu->token;
    if (!gx_mtu_short(mtu))
        return;
    if (passed) {
        mtu->asked = 0;
        mtu->missed = 0;
    }
    if (mtu->state == GX_MTU_SMALL || bytes <= mtu->low)
        return;
    if (bytes >= mtu->high) /* what spoke against it was loss */
        mtu->high = mtu->full;
    mtu->low = bytes;
    narrow(mtu);
    if (passed)
        mtu->due_ns = now; /* on with the search */
}

/* ---- being asked ---- */

void gx_mtu_asked(struct gx_mtu *mtu, uint32_t token, uint32_t bytes)
{
    if (mtu->echo_token != token)
        mtu->echo_bytes = 0;
    mtu->echo_token = token;
    if (bytes > mtu->echo_bytes)
        mtu->echo_bytes = bytes;
}

bool gx_mtu_echo(struct gx_mtu *mtu, uint32_t *token, uint32_t *bytes)
{
    if (mtu->echo_token == 0)
        return false;
    *token = mtu->echo_token;
    *bytes = mtu->echo_bytes;
    mtu->echo_token = mtu->echo_bytes = 0;
    return true;
}

void gx_mtu_doubt(struct gx_mtu *mtu, uint64_t now)
{
    if (mtu->state == GX_MTU_FULL && mtu->asked == 0 && now + AGAIN_NS >= mtu->due_ns + DOUBT_NS)
        mtu->due_ns = now;
}

uint64_t gx_mtu_wake(const struct gx_mtu *mtu)
{
    return mtu->parts != 0 || mtu->echo_token != 0 ? 0 : mtu->due_ns;
}
