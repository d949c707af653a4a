import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/** What Java does beside running bytecode, each on a line of output. */
public class Everything {
    static int threads() throws Exception {
        var count = new AtomicInteger();
        var threads = IntStream.range(0, 16).mapToObj(i -> new Thread(count::incrementAndGet)).toList();
        threads.forEach(Thread::start);
        for (var thread : threads) thread.join();
        return count.get();
    }

    static int pools() throws Exception {
        var executor = Executors.newFixedThreadPool(4);
        var square = executor.submit(() -> 6 * 6);
        var sum = ForkJoinPool.commonPool().submit(() -> IntStream.range(0, 1000).parallel().sum());
        executor.shutdown();
        return square.get() + sum.get();
    }

    static String child() throws Exception {
        var process = new ProcessBuilder("tr", "a-z", "A-Z").redirectErrorStream(true).start();
        try (var writer = process.outputWriter()) {
            writer.write("through a pipe");
        }
        var output = new String(process.getInputStream().readAllBytes());
        return output + " " + process.waitFor();
    }

    static boolean killed() throws Exception {
        var process = new ProcessBuilder("sleep", "1000").start();
        process.destroyForcibly();
        return process.waitFor(60, TimeUnit.SECONDS) && process.exitValue() != 0;
    }

    static String socket() throws Exception {
        try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            var answering = new Thread(() -> {
                try (var connection = server.accept()) {
                    connection.getInputStream().transferTo(connection.getOutputStream());
                } catch (IOException error) {
                    error.printStackTrace();
                }
            });
            answering.start();
            try (var connection = new Socket(server.getInetAddress(), server.getLocalPort())) {
                connection.getOutputStream().write("over a socket".getBytes());
                connection.shutdownOutput();
                return new String(connection.getInputStream().readAllBytes());
            }
        }
    }

    static String files() throws Exception {
        var path = Files.createTempFile(Path.of("/workspace"), "java", ".txt");
        Files.writeString(path, "text");
        var text = Files.readString(path);
        Files.delete(path);
        return text;
    }

    static String garbage() {
        long kept = 0;
        for (int i = 0; i < 2000; i++) kept += new byte[1 << 18].length;
        return kept / 2000 + " collected";
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("threads " + threads());
        System.out.println("pools " + pools());
        System.out.println(child());
        System.out.println("killed " + killed());
        System.out.println(socket());
        System.out.println(files());
        System.out.println(garbage());
    }
}
