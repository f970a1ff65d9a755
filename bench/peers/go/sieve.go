package main

const (
	sievePrimes = 1000
	sieveLast   = 7919
)

func sieveGenerate(out chan<- int) {
	for n := 2; n <= sieveLast; n++ {
		out <- n
	}
	close(out)
}

func sieveFilter(in <-chan int, out chan<- int, prime int) {
	for n := range in {
		if n%prime != 0 {
			out <- n
		}
	}
	close(out)
}

// sieveThousand chains a goroutine for each of the first thousand primes.
func sieveThousand() (int, metrics, string) {
	prime, found := 0, 0
	ops, m, note := fixed(sievePrimes, func() {
		last := make(chan int)
		go sieveGenerate(last)
		for {
			next, ok := <-last
			if !ok {
				break
			}
			prime = next
			found++
			rest := make(chan int)
			go sieveFilter(last, rest, prime)
			last = rest
		}
	})
	if found != sievePrimes || prime != sieveLast {
		fail("sieve/thousand: %d primes, the last one is %d", found, prime)
	}
	return ops, m, note
}

func init() {
	add("sieve/thousand", sieveThousand)
}
