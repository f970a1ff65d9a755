package main

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

// besideWaiting does what bench/micro/netpoll.cpp does. Go raises the limit of descriptors by itself.
func besideWaiting(wanted int) (int, metrics, string) {
	const others = 100 // descriptors of the process
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		fail("getrlimit: %v", err)
	}
	n := min(wanted, int(limit.Max)-others)
	var wg sync.WaitGroup
	events := make([]*os.File, n)
	for i := range events {
		fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		if errno != 0 {
			fail("eventfd: %v", errno)
		}
		e := os.NewFile(fd, "event")
		events[i] = e
		wg.Add(1)
		go func() {
			defer wg.Done()
			var count [8]byte
			_, _ = e.Read(count[:])
		}()
	}
	there, thereWriter, err := os.Pipe()
	if err != nil {
		fail("pipe: %v", err)
	}
	back, backWriter, err := os.Pipe()
	if err != nil {
		fail("pipe: %v", err)
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		var b [1]byte
		for {
			if k, err := there.Read(b[:]); k != 1 || err != nil {
				return
			}
			_, _ = backWriter.Write(b[:])
		}
	}()
	ops, m, note := scaled(func(n int) {
		var b [1]byte
		for i := 0; i < n; i++ {
			_, _ = thereWriter.Write(b[:])
			if k, _ := back.Read(b[:]); k != 1 {
				fail("no byte has come back")
			}
		}
	})
	if n < wanted {
		note = fmt.Sprintf("the limit of descriptors allows %d waiting ones", n)
	}
	thereWriter.Close()
	for _, e := range events {
		e.Close()
	}
	wg.Wait()
	return ops, m, note
}

func init() {
	add("netpoll/beside_100", func() (int, metrics, string) { return besideWaiting(100) })
	add("netpoll/beside_many", func() (int, metrics, string) { return besideWaiting(100_000) })
}
