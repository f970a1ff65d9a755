package main

// fib sends the n-th Fibonacci number to out; each call is a goroutine.
func fib(out chan<- int, n int) {
	if n < 2 {
		out <- n
		return
	}
	below := make(chan int, 2)
	go fib(below, n-1)
	go fib(below, n-2)
	out <- <-below + <-below
}

func init() {
	const n, want, calls = 32, 2_178_309, 7_049_155
	add("fib/32", func() (int, metrics, string) {
		return fixed(calls, func() {
			out := make(chan int)
			go fib(out, n)
			if got := <-out; got != want {
				fail("fib/32: got %d", got)
			}
		})
	})
}
