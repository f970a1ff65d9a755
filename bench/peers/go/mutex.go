package main

import "sync"

func mutexContended() (int, metrics, string) {
	const goroutines, each = 1000, 10_000
	var mu sync.Mutex
	var wg sync.WaitGroup
	counter := 0
	ops, m, note := fixed(goroutines*each, func() {
		wg.Add(goroutines)
		for i := 0; i < goroutines; i++ {
			go func() {
				defer wg.Done()
				for k := 0; k < each; k++ {
					mu.Lock()
					counter++
					mu.Unlock()
				}
			}()
		}
		wg.Wait()
	})
	if counter != goroutines*each {
		fail("mutex/contended: counted %d", counter)
	}
	return ops, m, note
}

func mutexUncontended() (int, metrics, string) {
	var mu sync.Mutex
	return scaled(func(n int) {
		for i := 0; i < n; i++ {
			mu.Lock()
			mu.Unlock() //nolint:staticcheck // the empty critical section is what is measured
		}
	})
}

func init() {
	add("mutex/contended", mutexContended)
	add("mutex/uncontended", mutexUncontended)
}
