//! Python: threads, processes in every way they can be started, event loops.

use sandkasten_e2e::with_daemon;

use super::put;

#[test]
fn threads_processes_and_event_loops_of_python_work() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        let program = "\
import asyncio, concurrent.futures, mmap, multiprocessing, os, select, socket, sqlite3, subprocess, tempfile, threading
results = []
threads = [threading.Thread(target=results.append, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print('threads', sorted(results))
def square(n): return n * n
with multiprocessing.Pool(2) as pool: print('pool', pool.map(square, range(4)))
with concurrent.futures.ProcessPoolExecutor(2) as pool: print('executor', list(pool.map(square, range(3))))
async def main():
    process = await asyncio.create_subprocess_exec('echo', 'sub', stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(10)))
    server = await asyncio.start_server(lambda r, w: (w.write(b'hi'), w.close()), '127.0.0.1', 0)
    reader, _ = await asyncio.open_connection(*server.sockets[0].getsockname())
    return out, await reader.read()
print('asyncio', asyncio.run(main()))
database = sqlite3.connect('/workspace/test.db')
database.execute('pragma journal_mode=wal')
database.execute('create table t (x)'); database.execute('insert into t values (7)'); database.commit()
print('sqlite', database.execute('select x from t').fetchall())
pid = os.fork()
if pid == 0: os._exit(3)
print('fork', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
left, right = socket.socketpair(); left.send(b'x'); print('socketpair', right.recv(1))
poll = select.epoll(); print('epoll', poll.poll(0))
print('memfd', os.memfd_create('x') > 2)
memory = mmap.mmap(-1, 4096); memory[0:1] = b'm'; print('mmap', memory[0:1])
shared = multiprocessing.Value('i', 5); print('shared', shared.value)
print('tempfile', tempfile.TemporaryFile().write(b'abc'))";
        let expected = "\
threads [0, 1, 2, 3, 4, 5, 6, 7]
pool [0, 1, 4, 9]
executor [0, 1, 4]
asyncio (b'sub\\n', b'hi')
sqlite [(7,)]
fork 3
socketpair b'x'
epoll []
memfd True
mmap b'm'
shared 5
tempfile 3";
        assert_eq!(session.python(program).await, expected);
    });
}

#[test]
fn every_way_to_start_processes_in_python_works() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        put(&session, "start.py", include_str!("start.py")).await;
        for method in ["fork", "spawn", "forkserver"] {
            assert_eq!(
                session.output(&format!("python3 /workspace/start.py {method}")).await,
                "queue [0, 1, 4, 9]\nmanager {'a': 1}\nshared b'written'\nbarrier 2\nterminated -15"
            );
        }
    });
}
