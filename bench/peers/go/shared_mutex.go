package main

import "sync"

// sharedMutexMostlyRead lets a thousand goroutines lock; one lock in a hundred is for writing.
func sharedMutexMostlyRead() (int, metrics, string) {
	const goroutines, each, readsPerWrite = 1000, 10_000, 100
	var mu sync.RWMutex
	var wg sync.WaitGroup
	value := 0
	ops, m, note := fixed(goroutines*each, func() {
		wg.Add(goroutines)
		for i := 0; i < goroutines; i++ {
			go func() {
				defer wg.Done()
				last := 0
				for k := 0; k < each; k++ {
					if k%readsPerWrite == 0 {
						mu.Lock()
						value++
						mu.Unlock()
					} else {
						mu.RLock()
						if value < last {
							fail("shared_mutex/mostly_read: went back")
						}
						last = value
						mu.RUnlock()
					}
				}
			}()
		}
		wg.Wait()
	})
	if value != goroutines*(each/readsPerWrite) {
		fail("shared_mutex/mostly_read: wrote %d times", value)
	}
	return ops, m, note
}

func init() {
	add("shared_mutex/mostly_read", sharedMutexMostlyRead)
	add("shared_mutex/read_uncontended", func() (int, metrics, string) {
		var mu sync.RWMutex
		return scaled(func(n int) {
			for i := 0; i < n; i++ {
				mu.RLock()
				mu.RUnlock() //nolint:staticcheck // the empty critical section is what is measured
			}
		})
	})
	add("shared_mutex/write_uncontended", func() (int, metrics, string) {
		var mu sync.RWMutex
		return scaled(func(n int) {
			for i := 0; i < n; i++ {
				mu.Lock()
				mu.Unlock() //nolint:staticcheck // the empty critical section is what is measured
			}
		})
	})
}
