#include "session/session.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h> /* X25519, sodium_memzero() */

#include "gx_assert.h"

#define REKEY_LAG_NS 60000000000ull

_Static_assert((GX_SITES_MAX & (GX_SITES_MAX - 1)) == 0, "a peer is some bits of an index");

void gx_handshake_init(struct gx_handshake *handshake, uint32_t peer, const struct gx_addr *dial,
                       uint64_t now)
{
    memset(handshake, 0, sizeof *handshake);
    handshake->peer = peer;
    handshake->dial = *dial;
    handshake->addr = *dial;
    handshake->current = GX_SESSION_NONE;
    handshake->pending = GX_SESSION_NONE;
    handshake->retry_ns = now;
    handshake->retry_wait_ns = GX_HELLO_RETRY_MIN_NS;
}

void gx_handshake_end(struct gx_handshake *handshake)
{
    for (uint32_t slot = 0; slot < GX_SESSION_SLOTS; slot++)
        handshake->sessions[slot].live = false;
    handshake->current = GX_SESSION_NONE;
}

void gx_handshake_dial(struct gx_handshake *handshake, bool dials, uint64_t now)
{
    handshake->retry_ns = dials ? now : UINT64_MAX;
    handshake->retry_wait_ns = GX_HELLO_RETRY_MIN_NS;
}

struct gx_session *gx_handshake_current(struct gx_handshake *handshake)
{
    return handshake->current == GX_SESSION_NONE ? NULL : &handshake->sessions[handshake->current];
}

struct gx_session *gx_handshake_find(struct gx_handshake *handshake, uint32_t index, uint64_t now)
{
    struct gx_session *session = &handshake->sessions[index % GX_SESSION_SLOTS];

    if (!session->live || session->local_idx != index || now >= session->expires_ns)
        return NULL;
    return session;
}

bool gx_handshake_was(const struct gx_handshake *handshake, uint32_t index)
{
    const struct gx_session *session = &handshake->sessions[index % GX_SESSION_SLOTS];
    bool is_pending = handshake->pending == index % GX_SESSION_SLOTS;

    return session->ended_idx == index || (session->local_idx == index && !is_pending);
}

void gx_handshake_heard(struct gx_handshake *handshake, struct gx_session *session, uint64_t now)
{
    handshake->heard_ns = now;
    handshake->refused = GX_REASON_NONE;
    handshake->strange = 0;
    session->confirmed = true;
    if (session == gx_handshake_current(handshake)) {
        handshake->retry_ns = now + GX_SILENCE_NS;
        handshake->retry_wait_ns = GX_HELLO_RETRY_MIN_NS;
    }
}

/* A slot that neither the current nor a still valid old session uses; the oldest old one if need be. */
static uint32_t free_slot(const struct gx_handshake *handshake, uint64_t now)
{
    uint32_t oldest = GX_SESSION_NONE;

    for (uint32_t slot = 0; slot < GX_SESSION_SLOTS; slot++) {
        const struct gx_session *session = &handshake->sessions[slot];

        if (slot == handshake->current || slot == handshake->pending)
            continue;
        if (!session->live || now >= session->expires_ns)
            return slot;
        if (oldest == GX_SESSION_NONE ||
            session->expires_ns < handshake->sessions[oldest].expires_ns)
            oldest = slot;
    }
    GX_ASSERT(oldest != GX_SESSION_NONE);
    return oldest;
}

/* The pair of an ephemeral exchange, or without one just a name that nobody can guess. */
static void key_draw(struct gx_session *session, struct gx_local *local)
{
    gx_random_fill(&local->random, session->local_key, sizeof session->local_key);
    if (!local->secure)
        return;
    memcpy(session->local_secret, session->local_key, sizeof session->local_secret);
    GX_ASSERT(crypto_scalarmult_base(session->local_key, session->local_secret) == 0);
}

static struct gx_session *pending_draw(struct gx_handshake *handshake, struct gx_local *local,
                                       uint64_t now)
{
    struct gx_session *session;
    uint32_t slot = handshake->pending;

    if (slot != GX_SESSION_NONE)
        return &handshake->sessions[slot];
    slot = free_slot(handshake, now);
    session = &handshake->sessions[slot];
    session->live = false;
    session->confirmed = false;
    session->ended_idx = session->local_idx;
    session->local_idx =
        (uint32_t)gx_random_u64(&local->random) / (GX_SITES_MAX * GX_SESSION_SLOTS);
    session->local_idx |= 1; /* never 0 */
    session->local_idx *= GX_SITES_MAX * GX_SESSION_SLOTS;
    session->local_idx += handshake->peer * GX_SESSION_SLOTS + slot;
    sodium_memzero(&session->tx, sizeof session->tx);
    sodium_memzero(&session->rx, sizeof session->rx);
    key_draw(session, local);
    handshake->pending = slot;
    handshake->pending_ns = 0;
    return session;
}

static void answer(struct gx_handshake *handshake, uint32_t slot, const struct gx_hello *hello,
                   const struct gx_addr *to, bool wants)
{
    handshake->answer_due = true;
    handshake->answer_slot = slot;
    handshake->answer_to = *to;
    handshake->answer_wants = wants;
    memcpy(handshake->answer_cookie, hello->key, GX_HELLO_COOKIE_BYTES);
}

/* The pending session's keys. False: the peer's key is none. */
static bool derive(struct gx_session *session, uint32_t peer, const struct gx_local *local,
                   const struct gx_hello *hello)
{
    bool is_first = local->self < peer;
    struct gx_psk_end ours = {.name = local->names[local->self],
                              .incarnation = local->incarnation,
                              .session = session->local_idx,
                              .key = session->local_key};
    struct gx_psk_end theirs = {.name = local->names[peer],
                                .incarnation = hello->incarnation,
                                .session = hello->session,
                                .key = hello->key};

    if (!gx_psk_derive(&local->psk, local->lane, local->list_digest, is_first ? &ours : &theirs,
                       is_first ? &theirs : &ours, is_first, session->local_secret, &session->tx,
                       &session->rx))
        return false;
    sodium_memzero(session->local_secret, sizeof session->local_secret);
    return true;
}

static bool establish(struct gx_handshake *handshake, const struct gx_local *local,
                      const struct gx_hello *hello, const struct gx_addr *from, uint64_t now)
{
    struct gx_session *old = gx_handshake_current(handshake);
    struct gx_session *session = &handshake->sessions[handshake->pending];

    if (local->secure && !derive(session, handshake->peer, local, hello))
        return false;
    session->sealed = local->secure;
    if (handshake->incarnation != hello->incarnation)
        for (uint32_t slot = 0; slot < GX_SESSION_SLOTS; slot++)
            handshake->sessions[slot].live = false;
    else if (old != NULL)
        old->expires_ns = now + GX_SESSION_OLD_NS;
    session->live = true;
    session->confirmed = (hello->flags & GX_HELLO_WANT_REPLY) == 0;
    session->peer_idx = hello->session;
    memcpy(session->peer_key, hello->key, sizeof session->peer_key);
    session->expires_ns = UINT64_MAX;
    session->next_number = 1;
    session->rekey_number = GX_NUMBER_MAX / 4;
    session->rekey_ns = UINT64_MAX;
    if (local->secure) {
        session->rekey_number = GX_REKEY_BLOCKS / (local->mtu / 16 + 1);
        /* One side earlier than the other, or both would dial at once. */
        session->rekey_ns = now + GX_REKEY_NS + (local->self < handshake->peer ? 0 : REKEY_LAG_NS);
    }
    session->generation = ++handshake->generation;
    gx_replay_init(&session->replay);
    if (handshake->pending_ns != 0)
        handshake->hello_rtt_ns = now - handshake->pending_ns < GX_SILENCE_NS
                                      ? now - handshake->pending_ns
                                      : GX_SILENCE_NS;
    handshake->current = handshake->pending;
    handshake->pending = GX_SESSION_NONE;
    handshake->incarnation = hello->incarnation;
    handshake->addr = *from;
    handshake->heard_ns = now;
    handshake->refused = GX_REASON_NONE;
    handshake->peer_mtu = hello->mtu;
    handshake->peer_workers = hello->workers != 0 ? hello->workers : 1;
    handshake->retry_wait_ns = GX_HELLO_RETRY_MIN_NS;
    handshake->retry_ns = now + GX_SILENCE_NS;
    if (!session->confirmed)
        handshake->retry_ns = now + GX_HELLO_RETRY_MIN_NS;
    return true;
}

static enum gx_reason mismatch(const struct gx_local *local, const struct gx_hello *hello)
{
    if (hello->version_min > GX_VERSION || hello->version_max < GX_VERSION)
        return GX_REASON_VERSION;
    if (memcmp(hello->list_digest, local->list_digest, sizeof local->list_digest) != 0)
        return GX_REASON_SITE_LIST;
    return GX_REASON_NONE;
}

static void describe_key(struct gx_handshake *handshake, const struct gx_local *local,
                         const struct gx_hello *hello)
{
    static const char *const modes[] = {[GX_HELLO_NONE] = "none", [GX_HELLO_PSK] = "psk"};
    const char *theirs = hello->mode <= GX_HELLO_PSK ? modes[hello->mode] : "unknown here";

    if (hello->mode == local->secure)
        snprintf(handshake->difference, sizeof handshake->difference,
                 "its hellos do not fit the key here: give both sites the same key file");
    else
        snprintf(handshake->difference, sizeof handshake->difference,
                 "security is %s there and %s here: give both the same", theirs,
                 modes[local->secure]);
}

static void describe_list(struct gx_handshake *handshake, const struct gx_local *local,
                          const struct gx_hello *hello)
{
    const uint8_t *ours = local->list_digest, *theirs = hello->list_digest;
    uint32_t i = 0;

    while (i < hello->site_count && i < local->site_count &&
           strcmp(hello->names[i], local->names[i]) == 0)
        i++;
    snprintf(handshake->difference, sizeof handshake->difference,
             "site %u is %s there, %s here; digests %02x%02x%02x%02x and %02x%02x%02x%02x", i + 1,
             i < hello->site_count ? hello->names[i] : "absent",
             i < local->site_count ? local->names[i] : "absent", theirs[0], theirs[1], theirs[2],
             theirs[3], ours[0], ours[1], ours[2], ours[3]);
}

/* The first thing that differs, by name. */
static void describe(struct gx_handshake *handshake, const struct gx_local *local,
                     const struct gx_hello *hello)
{
    if (handshake->refused == GX_REASON_KEY)
        describe_key(handshake, local, hello);
    else if (handshake->refused == GX_REASON_SITE_LIST)
        describe_list(handshake, local, hello);
    else
        snprintf(handshake->difference, sizeof handshake->difference,
                 "it speaks versions %u to %u; we speak version %u", hello->version_min,
                 hello->version_max, GX_VERSION);
}

/* Only a hello from the address in the config counts here, and a session that lives is proof against it. Without keys a
 * hello ends a session that was silent, since the peer is surely another; with keys only a new session can say that. */
static enum gx_hello_effect refuse(struct gx_handshake *handshake, const struct gx_local *local,
                                   const struct gx_hello *hello, enum gx_reason reason,
                                   uint64_t now)
{
    if (handshake->current != GX_SESSION_NONE && now - handshake->heard_ns < GX_SILENCE_NS)
        return GX_HELLO_NOTHING;
    if (handshake->refused == reason)
        return GX_HELLO_NOTHING;
    handshake->refused = reason;
    describe(handshake, local, hello);
    if (local->secure || reason == GX_REASON_KEY)
        return GX_HELLO_DOUBTED;
    gx_handshake_end(handshake);
    return GX_HELLO_REFUSED;
}

bool gx_hello_plausible(const struct gx_hello *hello, const uint8_t *packet, size_t bytes)
{
    static const uint8_t zeros[GX_AEAD_TAG_BYTES - 4];

    if (hello->mode == GX_HELLO_NONE)
        return gx_header_checksum_fits(packet, packet + GX_HEADER_BYTES, bytes - GX_HEADER_BYTES);
    /* Else a hello of mode none whose mode was damaged would pass for one of psk. */
    return memcmp(packet + GX_TAG_OFFSET + 4, zeros, sizeof zeros) != 0;
}

/* Is the hello from one that has our key, or are there no keys on either side? */
static bool is_authentic(const struct gx_handshake *handshake, const struct gx_local *local,
                         const struct gx_hello *hello, const uint8_t *packet, size_t bytes)
{
    uint8_t tag[GX_AEAD_TAG_BYTES];

    if (!local->secure || hello->mode != GX_HELLO_PSK)
        return !local->secure && hello->mode == GX_HELLO_NONE;
    gx_psk_hello_tag(&local->psk, local->names[handshake->peer], local->names[local->self],
                     local->lane, packet, packet + GX_HEADER_BYTES, bytes - GX_HEADER_BYTES, tag);
    return sodium_memcmp(tag, packet + GX_TAG_OFFSET, sizeof tag) == 0;
}

/* A damaged packet looks like another key's: only several in a row are believed to be that. */
static enum gx_hello_effect forged(struct gx_handshake *handshake, const struct gx_local *local,
                                   const struct gx_hello *hello, const struct gx_addr *from,
                                   uint64_t now)
{
    if (memcmp(from, &handshake->dial, sizeof *from) != 0 ||
        ++handshake->strange < GX_HELLO_STRANGE ||
        refuse(handshake, local, hello, GX_REASON_KEY, now) == GX_HELLO_NOTHING)
        return GX_HELLO_FORGED;
    return GX_HELLO_DOUBTED;
}

static struct gx_session *session_of_key(struct gx_handshake *handshake, const uint8_t *key,
                                         uint64_t now)
{
    for (uint32_t slot = 0; slot < GX_SESSION_SLOTS; slot++) {
        struct gx_session *session = &handshake->sessions[slot];

        if (session->live && now < session->expires_ns &&
            memcmp(session->peer_key, key, GX_HELLO_KEY_BYTES) == 0)
            return session;
    }
    return NULL;
}

enum gx_hello_effect gx_handshake_rx(struct gx_handshake *handshake, struct gx_local *local,
                                     const struct gx_hello *hello, const uint8_t *packet,
                                     size_t bytes, const struct gx_addr *from, uint64_t now)
{
    static const uint8_t zeros[GX_HELLO_COOKIE_BYTES];
    enum gx_reason reason = mismatch(local, hello);
    bool wants = hello->flags & GX_HELLO_WANT_REPLY;
    struct gx_session *session;

    if (!is_authentic(handshake, local, hello, packet, bytes))
        return forged(handshake, local, hello, from, now);
    handshake->strange = 0;
    if (reason != GX_REASON_NONE)
        return memcmp(from, &handshake->dial, sizeof *from) == 0
                   ? refuse(handshake, local, hello, reason, now)
                   : GX_HELLO_NOTHING;
    session = session_of_key(handshake, hello->key, now);
    if (session != NULL) {
        if (!wants && !session->confirmed &&
            memcmp(hello->cookie, session->local_key, sizeof hello->cookie) == 0)
            gx_handshake_heard(handshake, session, now);
        if (wants && now >= handshake->answer_next_ns)
            answer(handshake, (uint32_t)(session - handshake->sessions), hello, from, false);
        return GX_HELLO_NOTHING;
    }
    if (handshake->pending != GX_SESSION_NONE &&
        memcmp(hello->cookie, handshake->sessions[handshake->pending].local_key,
               sizeof hello->cookie) == 0) {
        if (!establish(handshake, local, hello, from, now))
            return GX_HELLO_NOTHING;
        if (wants)
            answer(handshake, handshake->current, hello, from, false);
        return GX_HELLO_ESTABLISHED;
    }
    if (memcmp(hello->cookie, zeros, sizeof zeros) != 0 || !wants ||
        now < handshake->answer_next_ns)
        return GX_HELLO_NOTHING;
    pending_draw(handshake, local, now);
    answer(handshake, handshake->pending, hello, from, true);
    return GX_HELLO_ANSWERED;
}

static size_t hello_write(struct gx_handshake *handshake, const struct gx_local *local,
                          const struct gx_session *session, const uint8_t *cookie, bool wants,
                          uint64_t now, uint8_t header[GX_HEADER_BYTES], uint8_t *payload)
{
    struct gx_hello hello = {
        .version_min = GX_VERSION,
        .version_max = GX_VERSION,
        .mode = local->secure ? GX_HELLO_PSK : GX_HELLO_NONE,
        .flags = wants ? GX_HELLO_WANT_REPLY : 0,
        .session = session->local_idx,
        .incarnation = local->incarnation,
        .site_idx = local->self,
        .site_count = local->site_count,
        .mtu = local->mtu,
        .workers = local->workers != 0 ? local->workers : 1,
        .lane = local->lane,
    };
    struct gx_header head = {.type = GX_TYPE_HELLO, .clock_us = (uint32_t)(now / 1000)};
    size_t bytes;

    if (handshake->pending_ns == 0)
        handshake->pending_ns = now;
    memcpy(hello.key, session->local_key, sizeof hello.key);
    if (cookie != NULL)
        memcpy(hello.cookie, cookie, sizeof hello.cookie);
    memcpy(hello.name, local->names[local->self], sizeof hello.name);
    memcpy(hello.names, local->names, local->site_count * sizeof hello.names[0]);
    memcpy(hello.list_digest, local->list_digest, sizeof hello.list_digest);
    bytes = gx_hello_build(&hello, payload);
    head.payload_bytes = (uint16_t)bytes;
    head.number = ++handshake->attempt;
    gx_header_build(&head, header);
    if (local->secure)
        gx_psk_hello_tag(&local->psk, local->names[local->self], local->names[handshake->peer],
                         local->lane, header, payload, bytes, header + GX_TAG_OFFSET);
    else
        gx_header_checksum(header, payload, bytes);
    return bytes;
}

/* From when on the current session's successor is dialled. */
static uint64_t rekey_due_ns(const struct gx_handshake *handshake)
{
    const struct gx_session *session;
    uint64_t due;

    if (handshake->current == GX_SESSION_NONE)
        return UINT64_MAX;
    session = &handshake->sessions[handshake->current];
    due = session->next_number >= session->rekey_number ? 0 : session->rekey_ns;
    return due > handshake->rekey_next_ns ? due : handshake->rekey_next_ns;
}

/* The last packet that a session may number has been sent, and no handshake came of all that were tried. */
static void number_guard(struct gx_handshake *handshake, uint64_t now)
{
    struct gx_session *session = gx_handshake_current(handshake);

    if (session == NULL || session->next_number < GX_NUMBER_MAX / 2)
        return;
    session->live = false;
    handshake->current = GX_SESSION_NONE;
    handshake->retry_ns = now;
}

size_t gx_handshake_tx(struct gx_handshake *handshake, struct gx_local *local, uint64_t now,
                       uint8_t header[GX_HEADER_BYTES], uint8_t *payload, struct gx_addr *to)
{
    struct gx_session *current = gx_handshake_current(handshake);

    if (handshake->answer_due) {
        handshake->answer_due = false;
        handshake->answer_next_ns = now + GX_HELLO_ANSWER_NS;
        *to = handshake->answer_to;
        return hello_write(handshake, local, &handshake->sessions[handshake->answer_slot],
                           handshake->answer_cookie, handshake->answer_wants, now, header, payload);
    }
    number_guard(handshake, now);
    if (now >= rekey_due_ns(handshake)) {
        handshake->rekey_next_ns = now + GX_HELLO_RETRY_MIN_NS;
        *to = handshake->addr;
        return hello_write(handshake, local, pending_draw(handshake, local, now), NULL, true, now,
                           header, payload);
    }
    if (now < handshake->retry_ns)
        return 0;
    handshake->retry_ns = now + handshake->retry_wait_ns;
    handshake->retry_wait_ns *= 2;
    if (handshake->retry_wait_ns > GX_HELLO_RETRY_MAX_NS)
        handshake->retry_wait_ns = GX_HELLO_RETRY_MAX_NS;
    /* The peer may have missed the hello that completed its side: ours still names its key. */
    if (current != NULL && !current->confirmed && now - handshake->heard_ns < GX_SILENCE_NS) {
        *to = handshake->addr;
        return hello_write(handshake, local, current, current->peer_key, true, now, header,
                           payload);
    }
    /* By turns to where it was last and to where the config says. */
    handshake->redial = !handshake->redial;
    *to = handshake->redial ? handshake->dial : handshake->addr;
    return hello_write(handshake, local, pending_draw(handshake, local, now), NULL, true, now,
                       header, payload);
}

uint64_t gx_handshake_wake(const struct gx_handshake *handshake)
{
    uint64_t rekey_ns = rekey_due_ns(handshake);

    if (handshake->answer_due)
        return 0;
    return rekey_ns < handshake->retry_ns ? rekey_ns : handshake->retry_ns;
}

const uint8_t *gx_session_seal(struct gx_session *session, struct gx_header *header,
                               uint8_t out[GX_HEADER_BYTES], const uint8_t *payload, uint8_t *room)
{
    GX_ASSERT(session->next_number <= GX_NUMBER_MAX);
    header->session = session->peer_idx;
    header->number = session->next_number++;
    gx_header_build(header, out);
    if (!session->sealed) {
        gx_header_checksum(out, payload, header->payload_bytes);
        return payload;
    }
    gx_aead_seal(&session->tx, header->number, out, GX_TAG_OFFSET, payload, header->payload_bytes,
                 room, out + GX_TAG_OFFSET);
    return room;
}

const uint8_t *gx_session_open(const struct gx_session *session, uint64_t number,
                               const uint8_t *packet, size_t bytes, uint8_t *room)
{
    const uint8_t *payload = packet + GX_HEADER_BYTES;

    bytes -= GX_HEADER_BYTES;
    if (!session->sealed)
        return gx_header_checksum_fits(packet, payload, bytes) ? payload : NULL;
    return gx_aead_open(&session->rx, number, packet, GX_TAG_OFFSET, payload, bytes, room,
                        packet + GX_TAG_OFFSET)
               ? room
               : NULL;
}
