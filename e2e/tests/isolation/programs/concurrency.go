// What Go does beside running code, each on a line of output.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// goroutines runs some on threads of their own, and collects garbage meanwhile.
func goroutines() int {
	var wait sync.WaitGroup
	numbers := make(chan int, 100)
	for i := range 100 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if i%10 == 0 {
				runtime.LockOSThread()
			}
			garbage := make([]byte, 1<<16)
			runtime.Gosched()
			numbers <- i + len(garbage) - 1<<16
		}()
	}
	runtime.GC()
	wait.Wait()
	close(numbers)
	sum := 0
	for number := range numbers {
		sum += number
	}
	return sum
}

func echo(network, address string) string {
	listener := must(net.Listen(network, address))
	defer listener.Close()
	go func() {
		connection := must(listener.Accept())
		io.Copy(connection, connection)
		connection.Close()
	}()
	connection := must(net.Dial(network, listener.Addr().String()))
	must(connection.Write([]byte("over " + network)))
	if half, ok := connection.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	return string(must(io.ReadAll(connection)))
}

func child() string {
	command := exec.Command("tr", "a-z", "A-Z")
	command.Stdin = bytes.NewBufferString("through a pipe")
	return string(must(command.Output()))
}

// killed starts a child in a process group of its own and ends it.
func killed() string {
	command := exec.Command("sleep", "1000")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		panic(err)
	}
	if err := syscall.Kill(-command.Process.Pid, syscall.SIGKILL); err != nil {
		panic(err)
	}
	return command.Wait().Error()
}

// signalled sends itself a signal; the runtime also uses one to preempt goroutines.
func signalled() string {
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGUSR1)
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		panic(err)
	}
	for start := time.Now(); time.Since(start) < 30*time.Millisecond; {
	}
	return (<-received).String()
}

func main() {
	fmt.Println("goroutines", goroutines())
	fmt.Println(echo("tcp", "localhost:0"))
	fmt.Println(echo("unix", "/workspace/go.sock"))
	fmt.Println(child())
	fmt.Println(killed())
	fmt.Println(signalled())
}
