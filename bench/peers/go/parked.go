package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// parkedMillion holds a million goroutines at a gate, weighs them, and lets them go.
func parkedMillion() (int, metrics, string) {
	gate := make(chan struct{})
	var arrived atomic.Int64
	var wg sync.WaitGroup
	wg.Add(million)
	before := readMemory()
	start := time.Now()
	for i := 0; i < million; i++ {
		go func() {
			defer wg.Done()
			arrived.Add(1)
			<-gate
		}()
	}
	for arrived.Load() != million {
		time.Sleep(time.Millisecond)
	}
	parked := time.Since(start)
	time.Sleep(100 * time.Millisecond) // the last ones are between their count and the gate
	after := readMemory()
	maps := mapsLines()
	start = time.Now()
	close(gate)
	wg.Wait()
	return million, metrics{
		"bytes_per_op":     after.taken(before) / million,
		"own_bytes_per_op": after.ownTaken(before) / million,
		"maps_lines":       maps,
		"ms":               parked.Seconds() * 1e3,
		"release_ms":       time.Since(start).Seconds() * 1e3,
	}, ""
}

func init() {
	add("parked/million", parkedMillion)
}
