package main

import "sync"

func waitGroupUncontended() (int, metrics, string) {
	var wg sync.WaitGroup
	return scaled(func(n int) {
		for i := 0; i < n; i++ {
			wg.Add(1)
			wg.Done()
			wg.Wait()
		}
	})
}

func init() {
	add("wait_group/uncontended", waitGroupUncontended)
}
