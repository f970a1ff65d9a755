package main

import (
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

func ofDelays(delays []float64) (int, metrics, string) {
	sort.Float64s(delays)
	at := func(q float64) float64 { return delays[int(q*float64(len(delays)-1))] }
	return len(delays), metrics{"p50_us": at(0.5), "p99_us": at(0.99), "max_us": delays[len(delays)-1]}, ""
}

// tickerBesideLoops measures by how much ticks come late, from one second after the loops began on.
func tickerBesideLoops(loops int) func() (int, metrics, string) {
	return func() (int, metrics, string) {
		const ticks = 500
		const period = time.Millisecond
		var stop atomic.Bool
		var wg sync.WaitGroup
		for i := 0; i < loops; i++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for x := uint(0); !stop.Load(); {
					x++
				}
			}()
		}
		time.Sleep(time.Second)
		late := make([]float64, 0, ticks)
		for i := 0; i < ticks; i++ {
			due := time.Now().Add(period)
			time.Sleep(period)
			late = append(late, float64(time.Since(due).Nanoseconds())/1e3)
		}
		stop.Store(true)
		wg.Wait()
		return ofDelays(late)
	}
}

// handOff measures how long the next goroutine waits when the running one blocks its thread.
func handOff(times int, block func()) (int, metrics, string) {
	waited := make([]float64, 0, times)
	for i := 0; i < times; i++ {
		var wg sync.WaitGroup
		wg.Add(1)
		var nextRan time.Time
		go func() {
			nextRan = time.Now()
			wg.Done()
		}()
		began := time.Now()
		block()
		wg.Wait()
		waited = append(waited, float64(nextRan.Sub(began).Nanoseconds())/1e3)
	}
	return ofDelays(waited)
}

// Every system call that package syscall makes by Syscall is announced.
func announced() {
	ts := syscall.NsecToTimespec(20e6)
	_ = syscall.Nanosleep(&ts, nil)
}

// The runtime's signal, by which it wants to take the P away, ends the call early: it goes on with what is left.
func unannounced() {
	ts := syscall.NsecToTimespec(20e6)
	for {
		at := uintptr(unsafe.Pointer(&ts))
		if _, _, errno := syscall.RawSyscall(syscall.SYS_NANOSLEEP, at, at, 0); errno != syscall.EINTR {
			return
		}
	}
}

// announcedSystemCall: over_ns is the median, over pairs of runs, of the CPU time that an announced call takes more
// than a bare one.
func announcedSystemCall() (int, metrics, string) {
	announced := func(n int) {
		for i := 0; i < n; i++ {
			_, _, _ = syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
		}
	}
	bare := func(n int) {
		for i := 0; i < n; i++ {
			_, _, _ = syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
		}
	}
	ops, m, note := scaled(announced)
	const pairs = 21
	n := ops/pairs + 1
	over := make([]float64, 0, pairs)
	for i := 0; i < pairs; i++ {
		with := timeOf(func() { announced(n) }).cpu
		without := timeOf(func() { bare(n) }).cpu
		over = append(over, float64((with-without).Nanoseconds())/float64(n))
	}
	sort.Float64s(over)
	m["over_ns"] = over[pairs/2]
	return ops, m, note
}

func init() {
	add("fairness/ticker_beside_1", tickerBesideLoops(1))
	add("fairness/ticker_beside_2", tickerBesideLoops(2))
	add("fairness/ticker_beside_4", tickerBesideLoops(4))
	add("fairness/ticker_beside_100", tickerBesideLoops(100))
	add("fairness/hand_off_announced", func() (int, metrics, string) { return handOff(300, announced) })
	add("fairness/hand_off_unannounced", func() (int, metrics, string) { return handOff(50, unannounced) })
	add("fairness/system_call", func() (int, metrics, string) {
		return scaled(func(n int) {
			for i := 0; i < n; i++ {
				_, _, _ = syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0)
			}
		})
	})
	add("fairness/announced_system_call", announcedSystemCall)
}
