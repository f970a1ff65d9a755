package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"time"
)

// The servers of tools/net_bench.py: go_peer --serve raw|http|echo|ping-pong. They print where they listen and serve
// until killed.

var rawAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, World!\n")

// serveRaw does what bench/net/http_raw.cpp does.
func serveRaw(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	out := make([]byte, 0, 4096)
	held := 0
	end := []byte("\r\n\r\n")
	for held < len(buffer) {
		n, err := conn.Read(buffer[held:])
		if err != nil {
			return
		}
		held += n
		text := buffer[:held]
		out = out[:0]
		for at := bytes.Index(text, end); at >= 0; at = bytes.Index(text, end) {
			text = text[at+4:]
			out = append(out, rawAnswer...)
		}
		held = copy(buffer, text)
		if len(out) > 0 {
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}
}

func serveEcho(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// pingPong does what bench/net/http_raw.cpp does beside its server.
func pingPong() {
	there, back := make(chan int), make(chan int)
	go func() {
		for v := range there {
			back <- v
		}
	}()
	for {
		trips, longest := 0, time.Duration(0)
		now := time.Now()
		for end := now.Add(time.Second); now.Before(end); trips++ {
			there <- 1
			<-back
			longest = max(longest, time.Since(now))
			now = time.Now()
		}
		fmt.Printf("ping-pong %d %d\n", trips, longest.Microseconds())
	}
}

func acceptAll(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			fail("accept: %v", err)
		}
		go serve(conn)
	}
}

func serve(kind string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("listen: %v", err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	switch kind {
	case "raw":
		acceptAll(listener, serveRaw)
	case "ping-pong":
		go pingPong()
		acceptAll(listener, serveRaw)
	case "echo":
		acceptAll(listener, serveEcho)
	case "http":
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{"text/plain"}
			w.Write([]byte("Hello, World!\n"))
		})
		fail("serve: %v", http.Serve(listener, nil))
	default:
		fail("--serve %s: raw, http, echo or ping-pong", kind)
	}
}
