package main

import (
	"sync"
	"time"
)

// timersStartStop makes a timer and stops it, long before it would fire.
func timersStartStop() (int, metrics, string) {
	return scaled(func(n int) {
		for i := 0; i < n; i++ {
			if !time.NewTimer(time.Hour).Stop() {
				fail("timers/start_stop: fired")
			}
		}
	})
}

// timersReset puts the deadline of a timer off.
func timersReset() (int, metrics, string) {
	t := time.NewTimer(time.Hour)
	return scaled(func(n int) {
		for i := 0; i < n; i++ {
			if !t.Reset(time.Hour) {
				fail("timers/reset: fired")
			}
		}
	})
}

// durationOf is from 0 to 1 s, by a hash of the sleep's number (splitmix64): weft sleeps the same times.
func durationOf(number uint64) time.Duration {
	z := number * 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return time.Duration((z ^ (z >> 31)) % 1_000_000_000)
}

// millionSleepers lets a million goroutines sleep three times. late_ms: by how much all of it took longer than the
// longest three sleeps of one goroutine.
func millionSleepers() (int, metrics, string) {
	const sleeps = 3
	longest := time.Duration(0)
	for i := uint64(0); i < million; i++ {
		sum := time.Duration(0)
		for k := uint64(0); k < sleeps; k++ {
			sum += durationOf(i*sleeps + k)
		}
		longest = max(longest, sum)
	}
	took := timeOf(func() {
		var wg sync.WaitGroup
		wg.Add(million)
		for i := uint64(0); i < million; i++ {
			go func(i uint64) {
				defer wg.Done()
				for k := uint64(0); k < sleeps; k++ {
					time.Sleep(durationOf(i*sleeps + k))
				}
			}(i)
		}
		wg.Wait()
	})
	if took.wall < longest {
		fail("timers/million_sleepers: woken early")
	}
	m := took.metrics(million * sleeps)
	m["cpu_ms"] = took.cpu.Seconds() * 1e3
	m["late_ms"] = (took.wall - longest).Seconds() * 1e3
	return million * sleeps, m, ""
}

func init() {
	add("timers/start_stop", timersStartStop)
	add("timers/reset", timersReset)
	add("timers/million_sleepers", millionSleepers)
}
