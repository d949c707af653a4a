//! C: gcc, make with several jobs, libraries of both kinds, threads.

use sandkasten_e2e::with_daemon;

use super::{has, put};

const MAKEFILE: &str = "\
NUMBERS := 1 2 3 4 5 6 7 8
OBJECTS := $(NUMBERS:%=part%.o)
CFLAGS := -O2 -fPIC -pthread
all: with-static with-shared
part%.c: ; echo 'int part$*(void) { return $*; }' > $@
libparts.a: $(OBJECTS) ; $(AR) rcs $@ $^
libparts.so: $(OBJECTS) ; $(CC) -shared -o $@ $^
with-static: main.o libparts.a ; $(CC) -static -pthread -o $@ $^
with-shared: main.o libparts.so ; $(CC) -pthread -o $@ main.o -L. -lparts -Wl,-rpath,'$$ORIGIN'
";

/// A thread for each function of the library.
const MAIN: &str = "\
#include <pthread.h>
#include <stdio.h>
int part1(void), part2(void), part3(void), part4(void), part5(void), part6(void), part7(void), part8(void);
static int (*const parts[8])(void) = {part1, part2, part3, part4, part5, part6, part7, part8};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t together;
static _Thread_local int own;
static int sum;
static void *run(void *part) {
    own = (*(int (*const *)(void))part)();
    pthread_barrier_wait(&together);
    pthread_mutex_lock(&lock);
    sum += own;
    pthread_mutex_unlock(&lock);
    return &sum;
}
int main(void) {
    pthread_t threads[8];
    pthread_barrier_init(&together, 0, 8);
    for (int i = 0; i < 8; i++) if (pthread_create(threads + i, 0, run, (void *)(parts + i))) return 1;
    for (int i = 0; i < 8; i++) if (pthread_join(threads[i], 0)) return 2;
    printf(\"%d\\n\", sum);
}
";

#[test]
fn a_program_with_libraries_is_made_by_parallel_jobs_and_runs_threads() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !has(&session, &["gcc", "make"]).await {
            return;
        }
        put(&session, "Makefile", MAKEFILE).await;
        put(&session, "main.c", MAIN).await;
        session.output("cd /workspace && make --silent --jobs=4").await;
        assert_eq!(session.output("./with-static && ./with-shared").await, "36\n36");
        assert_eq!(session.output("make --question && echo unchanged").await, "unchanged");
        assert_eq!(session.exec("rm libparts.so && ./with-shared").await.exit_code, 127);
    });
}
