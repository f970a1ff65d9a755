package main

import "sync"

const (
	million = 1_000_000
	batch   = 1000
)

func spawnSingle() (int, metrics, string) {
	return scaled(func(n int) {
		var wg sync.WaitGroup
		for i := 0; i < n; i++ {
			wg.Add(1)
			go func() { defer wg.Done() }()
			wg.Wait()
		}
	})
}

func spawnSingleFuture() (int, metrics, string) {
	return scaled(func(n int) {
		for i := 0; i < n; i++ {
			result := make(chan int, 1)
			go func(i int) { result <- i }(i)
			if <-result != i {
				fail("spawn/single_future: wrong result")
			}
		}
	})
}

func spawnBatches() (int, metrics, string) {
	return scaled(func(n int) {
		var wg sync.WaitGroup
		for left := n; left > 0; left -= batch {
			count := batch
			if left < batch {
				count = left
			}
			wg.Add(count)
			for i := 0; i < count; i++ {
				go func() { defer wg.Done() }()
			}
			wg.Wait()
		}
	})
}

func spawnBatchesFuture() (int, metrics, string) {
	results := make([]chan int, batch)
	return scaled(func(n int) {
		for left := n; left > 0; left -= batch {
			count := batch
			if left < batch {
				count = left
			}
			for i := 0; i < count; i++ {
				result := make(chan int, 1)
				results[i] = result
				go func(i int) { result <- i }(i)
			}
			for i := 0; i < count; i++ {
				if <-results[i] != i {
					fail("spawn/batch_1000_future: wrong result")
				}
			}
		}
	})
}

// spawnMillion starts a million goroutines, then joins them. Some finish before the last one has started, so the memory
// is the peak of resident pages.
func spawnMillion() (int, metrics, string) {
	var wg sync.WaitGroup
	before := resetPeak()
	ops, m, note := fixed(million, func() {
		wg.Add(million)
		for i := 0; i < million; i++ {
			go func() { defer wg.Done() }()
		}
		wg.Wait()
	})
	m["peak_bytes_per_op"] = (peak() - before) / million
	return ops, m, note
}

func init() {
	add("spawn/single", spawnSingle)
	add("spawn/single_future", spawnSingleFuture)
	add("spawn/batch_1000", spawnBatches)
	add("spawn/batch_1000_future", spawnBatchesFuture)
	add("spawn/million", spawnMillion)
	add("spawn/million_warm", func() (int, metrics, string) {
		spawnMillion()
		return spawnMillion()
	})
}
