"""Two processes that write to one database at once, and a third one that reads meanwhile."""

import sqlite3
import subprocess
import sys

PATH, ROWS = "/workspace/shared.db", 200


def connect():
    database = sqlite3.connect(PATH, timeout=60, isolation_level=None)
    assert database.execute("pragma journal_mode=wal").fetchone() == ("wal",)
    return database


def write(name):
    database = connect()
    for number in range(ROWS):
        database.execute("begin immediate")
        database.execute("insert into rows values (?, ?)", (name, number))
        database.execute("commit")
    database.close()


def main():
    reader = connect()
    reader.execute("create table rows (writer text, number integer, primary key (writer, number))")
    reader.execute("begin")
    reader.execute("select count(*) from rows").fetchone()
    writers = [subprocess.Popen([sys.executable, __file__, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    print("snapshot", reader.execute("select count(*) from rows").fetchone()[0])
    reader.execute("commit")
    print("rows", reader.execute("select writer, count(*) from rows group by writer").fetchall())
    print("check", reader.execute("pragma integrity_check").fetchone()[0])
    print("checkpoint", reader.execute("pragma wal_checkpoint(truncate)").fetchone()[0])
    reader.execute("pragma mmap_size=1048576")
    print("vacuum", reader.execute("vacuum").fetchall())


if len(sys.argv) > 1:
    write(sys.argv[1])
else:
    main()
