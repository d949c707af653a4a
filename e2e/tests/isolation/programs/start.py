"""Processes that are started in the way named by the first argument, and what they share."""

import multiprocessing
import sys
import time
from multiprocessing import shared_memory


def square(numbers, results):
    for number in iter(numbers.get, None):
        results.put(number * number)


def put(dictionary, lock):
    with lock:
        dictionary["a"] = 1


def write(name):
    memory = shared_memory.SharedMemory(name)
    memory.buf[:7] = b"written"
    memory.close()


def meet(barrier, count):
    barrier.wait(30)
    with count.get_lock():
        count.value += 1


def main(method):
    context = multiprocessing.get_context(method)

    def run(target, *arguments):
        process = context.Process(target=target, args=arguments)
        process.start()
        return process

    numbers, results = context.Queue(), context.SimpleQueue()
    process = run(square, numbers, results)
    for number in [*range(4), None]:
        numbers.put(number)
    print("queue", [results.get() for _ in range(4)])
    process.join()

    with context.Manager() as manager:
        dictionary, lock = manager.dict(), context.Lock()
        run(put, dictionary, lock).join()
        print("manager", dict(dictionary))

    memory = shared_memory.SharedMemory(create=True, size=64)
    run(write, memory.name).join()
    print("shared", bytes(memory.buf[:7]))
    memory.close()
    memory.unlink()

    barrier, count = context.Barrier(2), context.Value("i", 0)
    for process in [run(meet, barrier, count) for _ in range(2)]:
        process.join()
    print("barrier", count.value)

    process = run(time.sleep, 1000)
    process.terminate()
    process.join()
    print("terminated", process.exitcode)


if __name__ == "__main__":
    main(sys.argv[1])
