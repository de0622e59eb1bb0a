/* GX_SANITIZED is defined where AddressSanitizer is in the build: gcc and clang each have a way to say so. */
#ifndef GX_TESTS_SANITIZED_H
#define GX_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define GX_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GX_SANITIZED
#endif
#endif

#endif
