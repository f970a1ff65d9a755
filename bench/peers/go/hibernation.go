package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// touch functions write to each page of a frame of their size.

//go:noinline
func touch0() byte { return 0 }

//go:noinline
func touch4k() byte {
	var frame [4 << 10]byte
	return write(frame[:])
}

//go:noinline
func touch8k() byte {
	var frame [8 << 10]byte
	return write(frame[:])
}

//go:noinline
func touch32k() byte {
	var frame [32 << 10]byte
	return write(frame[:])
}

//go:noinline
func touch128k() byte {
	var frame [128 << 10]byte
	return write(frame[:])
}

func write(frame []byte) byte {
	for i := 0; i < len(frame); i += 1024 {
		frame[i] = 1
	}
	return frame[0]
}

// parkedAfterDepth holds goroutines that have used so much of their stacks; instead of hibernation, a collection, which
// shrinks stacks, and all that is free back to the system.
func parkedAfterDepth(count int, touch func() byte) (int, metrics, string) {
	gate := make(chan struct{})
	var arrived atomic.Int64
	var wg sync.WaitGroup
	wg.Add(count)
	before := readMemory()
	for i := 0; i < count; i++ {
		go func() {
			defer wg.Done()
			touch()
			arrived.Add(1)
			<-gate
		}()
	}
	for arrived.Load() != int64(count) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // the last ones are between their count and the gate
	hot := readMemory()
	// A stack loses half at a time.
	for i := 0; i < 8; i++ {
		runtime.GC()
	}
	debug.FreeOSMemory()
	cold := readMemory()
	close(gate)
	wg.Wait()
	return count, metrics{
		"hot_bytes_per_op":        hot.ownTaken(before) / float64(count),
		"hibernated_bytes_per_op": cold.ownTaken(before) / float64(count),
	}, ""
}

func init() {
	for _, c := range []struct {
		name  string
		count int
		touch func() byte
	}{
		{"hibernation/depth_0", 100_000, touch0},
		{"hibernation/depth_4k", 100_000, touch4k},
		{"hibernation/depth_8k", 50_000, touch8k},
		{"hibernation/depth_32k", 20_000, touch32k},
		{"hibernation/depth_128k", 5_000, touch128k},
	} {
		add(c.name, func() (int, metrics, string) { return parkedAfterDepth(c.count, c.touch) })
	}
}
