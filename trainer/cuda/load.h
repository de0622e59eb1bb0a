/* gx_load: shared libraries that are looked for when the trainer starts, not when it is built. */
#ifndef GX_TRAINER_CUDA_LOAD_H
#define GX_TRAINER_CUDA_LOAD_H

/* Opens the first of `names` (NULL ends them) that is there: where the system looks (LD_LIBRARY_PATH too), then in the
 * toolkit's folders ($CUDA_HOME, /usr/local/cuda). NULL: none is; gx_dev_error() then says so and that `what` is to be
 * installed. The caller may dlclose() it. */
void *gx_load(const char *const *names, const char *what);

/* The same for what can be done without: nothing is kept as a failure. */
void *gx_load_try(const char *const *names);

#endif
