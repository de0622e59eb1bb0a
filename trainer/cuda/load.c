#include "cuda/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda/dev.h"

static void *load_from(const char *folder, const char *subfolder, const char *name)
{
    char path[PATH_MAX];
    if (!folder || snprintf(path, sizeof(path), "%s/%s/%s", folder, subfolder, name) >= PATH_MAX)
        return NULL;
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

void *gx_load_try(const char *const *names)
{
    const char *const roots[] = {getenv("CUDA_HOME"), "/usr/local/cuda"};
    static const char *const folders[] = {"lib64", "lib"};
    for (const char *const *name = names; *name; name++) {
        void *object = dlopen(*name, RTLD_NOW | RTLD_LOCAL);
        for (int i = 0; i < 4 && !object; i++)
            object = load_from(roots[i / 2], folders[i % 2], *name);
        if (object)
            return object;
    }
    return NULL;
}

void *gx_load(const char *const *names, const char *what)
{
    void *object = gx_load_try(names);
    if (!object)
        gx_dev_fail(-ENOENT,
                    "%s was not found (nor an older one): install %s, and name its folder in "
                    "LD_LIBRARY_PATH",
                    names[0], what);
    return object;
}
