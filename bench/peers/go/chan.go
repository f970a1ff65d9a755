package main

import "sync"

const buffer = 128

// chanRoundTrip passes a value to another goroutine and back, through two unbuffered channels.
func chanRoundTrip() (int, metrics, string) {
	return scaled(func(n int) {
		ping, pong := make(chan uint64), make(chan uint64)
		go func() {
			for v := range ping {
				pong <- v
			}
		}()
		for i := uint64(0); i < uint64(n); i++ {
			ping <- i
			if <-pong != i {
				fail("chan/round_trip: wrong value")
			}
		}
		close(ping)
	})
}

// chanStream lets `producers` send what `consumers` receive from one buffered channel.
func chanStream(producers, consumers uint64) func() (int, metrics, string) {
	return func() (int, metrics, string) {
		return scaled(func(count int) {
			n := uint64(count)
			items, sums := make(chan uint64, buffer), make(chan uint64, consumers)
			var sending sync.WaitGroup
			sending.Add(int(producers))
			for p := uint64(0); p < producers; p++ {
				go func(from, to uint64) {
					defer sending.Done()
					for v := from; v < to; v++ {
						items <- v
					}
				}(n*p/producers, n*(p+1)/producers)
			}
			for c := uint64(0); c < consumers; c++ {
				go func() {
					sum := uint64(0)
					for v := range items {
						sum += v
					}
					sums <- sum
				}()
			}
			sending.Wait()
			close(items)
			sum := uint64(0)
			for c := uint64(0); c < consumers; c++ {
				sum += <-sums
			}
			if sum != n*(n-1)/2 {
				fail("chan/buffered: sum %d of %d items", sum, n)
			}
		})
	}
}

func init() {
	add("chan/round_trip", chanRoundTrip)
	add("chan/buffered_1_1", chanStream(1, 1))
	add("chan/buffered_4_4", chanStream(4, 4))
	add("chan/buffered_1000_1", chanStream(1000, 1))
}
