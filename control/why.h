/* gx_why: what `gxctl why` finds. why.c looks at the site, its links and its runs; why_round.c at single rounds.
 *
 * A finding {about, text, todo} is a sentence; a round is an object with stage times and, at the coordinator, a word on
 * every site. Both are JSON, which people's output is printed from.
 */
#ifndef GX_CTL_WHY_H
#define GX_CTL_WHY_H

#include "snapshot.h"

struct gx_why_report {
    json_t *findings, *rounds;
};

__attribute__((format(printf, 4, 5))) void gx_why_say(struct gx_why_report *report,
                                                      const char *subject, const char *todo,
                                                      const char *format, ...);

/* The stage times of a round of the view's row; NULL: not kept (any more). */
const struct gx_trace *gx_why_trace(const struct gx_snapshot *s, unsigned row, uint64_t round);

/* What the coordinator's open rounds wait for; `run` NULL: of all runs. Nothing at other sites. */
void gx_why_open(struct gx_why_report *report, const struct gx_snapshot *s, const char *run);
/* The rounds whose stages are kept, oldest first. */
void gx_why_history(struct gx_why_report *report, const struct gx_snapshot *s, const char *run);
/* One round of all fragments. FAILED with a message when nothing is known of it. */
int gx_why_round(const struct gx_ctl *ctl, struct gx_why_report *report,
                 const struct gx_snapshot *s, const char *run, uint64_t round);
void gx_why_print_rounds(const struct gx_ctl *ctl, const struct gx_why_report *report);

#endif
