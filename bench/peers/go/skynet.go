package main

import "sync"

const (
	skynetLeaves = 1_000_000
	skynetSum    = skynetLeaves * (skynetLeaves - 1) / 2
)

// skynetFuture sends the sum of the leaves num .. num+size-1 to out; each node is a goroutine with ten below it.
func skynetFuture(out chan<- int, num, size int) {
	if size == 1 {
		out <- num
		return
	}
	below := make(chan int, 10)
	for i := 0; i < 10; i++ {
		go skynetFuture(below, num+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-below
	}
	out <- sum
}

// skynetChan does the same over unbuffered channels, as the original does.
func skynetChan(out chan<- int, num, size int) {
	if size == 1 {
		out <- num
		return
	}
	below := make(chan int)
	for i := 0; i < 10; i++ {
		go skynetChan(below, num+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-below
	}
	out <- sum
}

// skynetWaitGroup does the same with a slot for each child and a wait group.
func skynetWaitGroup(out *int, num, size int) {
	if size == 1 {
		*out = num
		return
	}
	var below [10]int
	var wg sync.WaitGroup
	wg.Add(10)
	for i := 0; i < 10; i++ {
		go func(i int) {
			defer wg.Done()
			skynetWaitGroup(&below[i], num+i*(size/10), size/10)
		}(i)
	}
	wg.Wait()
	sum := 0
	for _, s := range below {
		sum += s
	}
	*out = sum
}

func init() {
	check := func(sum int) {
		if sum != skynetSum {
			fail("skynet: sum %d", sum)
		}
	}
	add("skynet/future", func() (int, metrics, string) {
		return fixed(skynetLeaves, func() {
			out := make(chan int)
			go skynetFuture(out, 0, skynetLeaves)
			check(<-out)
		})
	})
	add("skynet/wait_group", func() (int, metrics, string) {
		return fixed(skynetLeaves, func() {
			var sum int
			var wg sync.WaitGroup
			wg.Add(1)
			go func() {
				defer wg.Done()
				skynetWaitGroup(&sum, 0, skynetLeaves)
			}()
			wg.Wait()
			check(sum)
		})
	})
	add("skynet/chan", func() (int, metrics, string) {
		return fixed(skynetLeaves, func() {
			out := make(chan int)
			go skynetChan(out, 0, skynetLeaves)
			check(<-out)
		})
	})
}
