package main

// selectUnbuffered receives what another goroutine sends to four unbuffered channels in turn.
func selectUnbuffered() (int, metrics, string) {
	return scaled(func(n int) {
		c := [4]chan uint64{make(chan uint64), make(chan uint64), make(chan uint64), make(chan uint64)}
		go func() {
			for i := 0; i < n; i++ {
				c[i%4] <- uint64(i)
			}
		}()
		sum := uint64(0)
		for i := 0; i < n; i++ {
			select {
			case v := <-c[0]:
				sum += v
			case v := <-c[1]:
				sum += v
			case v := <-c[2]:
				sum += v
			case v := <-c[3]:
				sum += v
			}
		}
		if sum != uint64(n)*uint64(n-1)/2 {
			fail("select/unbuffered: sum %d", sum)
		}
	})
}

// selectReady finds a value in each of four channels, and puts the one that it took back where it was.
func selectReady() (int, metrics, string) {
	var c [4]chan uint64
	for i := range c {
		c[i] = make(chan uint64, 1)
		c[i] <- 1
	}
	return scaled(func(n int) {
		sum := uint64(0)
		for i := 0; i < n; i++ {
			var from int
			select {
			case v := <-c[0]:
				sum += v
				from = 0
			case v := <-c[1]:
				sum += v
				from = 1
			case v := <-c[2]:
				sum += v
				from = 2
			case v := <-c[3]:
				sum += v
				from = 3
			}
			c[from] <- 1
		}
		if sum != uint64(n) {
			fail("select/ready: sum %d", sum)
		}
	})
}

// selectDefault finds four empty channels.
func selectDefault() (int, metrics, string) {
	c := [4]chan uint64{make(chan uint64), make(chan uint64), make(chan uint64), make(chan uint64)}
	return scaled(func(n int) {
		missed := 0
		for i := 0; i < n; i++ {
			select {
			case <-c[0]:
				fail("select/default: a value")
			case <-c[1]:
				fail("select/default: a value")
			case <-c[2]:
				fail("select/default: a value")
			case <-c[3]:
				fail("select/default: a value")
			default:
				missed++
			}
		}
		if missed != n {
			fail("select/default: %d times of %d", missed, n)
		}
	})
}

func init() {
	add("select/unbuffered", selectUnbuffered)
	add("select/ready", selectReady)
	add("select/default", selectDefault)
}
