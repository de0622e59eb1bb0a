/* Stands in for libcuda.so.1 where there is no driver, so that cuDNN loads, and plans for a GPU that is not here: no device
 * answers, and code that cuDNN compiled is taken and forgotten. Nothing can be run with it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OK = 0, NO_DEVICE = 100, NOT_FOUND = 500 };

/* What is looked up but never asked, or asked for nothing but its consent. */
#define CONSENT(F)                                                                                 \
    F(cuCtxGetCurrent)                                                                             \
    F(cuCtxGetLimit)                                                                               \
    F(cuCtxPopCurrent)                                                                             \
    F(cuCtxPushCurrent)                                                                            \
    F(cuFuncSetAttribute)                                                                          \
    F(cuKernelGetAttribute)                                                                        \
    F(cuKernelSetAttribute)                                                                        \
    F(cuLaunchCooperativeKernel)                                                                   \
    F(cuLaunchKernel)                                                                              \
    F(cuLaunchKernelEx)                                                                            \
    F(cuLibraryLoadFromFile)                                                                       \
    F(cuLibraryUnload)                                                                             \
    F(cuLinkAddData)                                                                               \
    F(cuLinkComplete)                                                                              \
    F(cuLinkCreate)                                                                                \
    F(cuLinkDestroy)                                                                               \
    F(cuModuleUnload)                                                                              \
    F(cuOccupancyMaxPotentialClusterSize)                                                          \
    F(cuStreamGetCtx)                                                                              \
    F(cuTensorMapEncodeIm2col)                                                                     \
    F(cuTensorMapEncodeTiled)
/* Their first argument gets something. */
#define GIVE(F)                                                                                    \
    F(cuKernelGetFunction)                                                                         \
    F(cuLibraryGetKernel)                                                                          \
    F(cuLibraryLoadData)                                                                           \
    F(cuModuleGetFunction)                                                                         \
    F(cuModuleLoadData)
#define OWN(F)                                                                                     \
    F(cuDeviceGet)                                                                                 \
    F(cuDeviceGetCount)                                                                            \
    F(cuDriverGetVersion)                                                                          \
    F(cuGetErrorName)                                                                              \
    F(cuGetErrorString)                                                                            \
    F(cuInit)

static char something[64];

#define DEFINE(name)                                                                               \
    int name(void);                                                                                \
    int name(void)                                                                                 \
    {                                                                                              \
        return OK;                                                                                 \
    }
CONSENT(DEFINE)
#undef DEFINE

#define DEFINE(name)                                                                               \
    int name(void **out);                                                                          \
    int name(void **out)                                                                           \
    {                                                                                              \
        *out = something;                                                                          \
        return OK;                                                                                 \
    }
GIVE(DEFINE)
#undef DEFINE

int cuInit(unsigned flags);
int cuDeviceGetCount(int *count);
int cuDeviceGet(int *device, int index);
int cuDriverGetVersion(int *version);
int cuGetErrorName(int error, const char **text);
int cuGetErrorString(int error, const char **text);
int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *found);

int cuInit(unsigned flags)
{
    (void)flags;
    return NO_DEVICE;
}

int cuDeviceGetCount(int *count)
{
    *count = 0;
    return OK;
}

int cuDeviceGet(int *device, int index)
{
    *device = index;
    return NO_DEVICE;
}

int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return OK;
}

int cuGetErrorName(int error, const char **text)
{
    *text = error == OK ? "OK" : "NO_DEVICE";
    return OK;
}

int cuGetErrorString(int error, const char **text)
{
    return cuGetErrorName(error, text);
}

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *found)
{
#define ROW(name) {#name, (void *)name},
    static const struct {
        const char *name;
        void *function;
    } table[] = {CONSENT(ROW) GIVE(ROW) OWN(ROW)};
#undef ROW
    (void)version;
    (void)flags;
    *function = NULL;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].name, name) == 0)
            *function = table[i].function;
    if (found)
        *found = *function ? 0 : 1;
    return *function ? OK : NOT_FOUND;
}
