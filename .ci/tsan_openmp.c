/* Tells ThreadSanitizer what it cannot see, because libgomp is not compiled with it: a team of
 * threads begins after all that came before it and ends before all that comes after, and at
 * a barrier they wait for one another. Preloaded by .ci/sanitize. */

#define _GNU_SOURCE
#include <dlfcn.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

typedef struct {
    void (*body)(void *);
    void *data;
    char begin, end;
} team;

static void member(void *argument)
{
    team *t = argument;
    __tsan_acquire(&t->begin);
    t->body(t->data);
    __tsan_release(&t->end);
}

void GOMP_parallel(void (*body)(void *), void *data, unsigned n_threads, unsigned flags)
{
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned) =
        dlsym(RTLD_NEXT, "GOMP_parallel");
    team t = {body, data, 0, 0};
    __tsan_release(&t.begin);
    parallel(member, &t, n_threads, flags);
    __tsan_acquire(&t.end);
}

void GOMP_barrier(void)
{
    static char everyone;
    void (*barrier)(void) = dlsym(RTLD_NEXT, "GOMP_barrier");
    __tsan_release(&everyone);
    barrier();
    __tsan_acquire(&everyone);
}
