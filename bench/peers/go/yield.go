package main

import (
	"runtime"
	"sync"
)

// yieldAmong lets `count` goroutines yield, so that one call of body(n) is about n switches.
func yieldAmong(count int) func() (int, metrics, string) {
	return func() (int, metrics, string) {
		return scaled(func(n int) {
			each := n / count
			var wg sync.WaitGroup
			wg.Add(count)
			for i := 0; i < count; i++ {
				go func() {
					defer wg.Done()
					for k := 0; k < each; k++ {
						runtime.Gosched()
					}
				}()
			}
			wg.Wait()
		})
	}
}

func init() {
	add("yield/two", yieldAmong(2))
	add("yield/thousand", yieldAmong(1000))
}
