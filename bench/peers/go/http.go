package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
)

// The servers of tools/net_bench.py: go_peer --serve raw|http. They print where they listen and serve until killed.

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

func serve(kind string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail("listen: %v", err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	switch kind {
	case "raw":
		for {
			conn, err := listener.Accept()
			if err != nil {
				fail("accept: %v", err)
			}
			go serveRaw(conn)
		}
	case "http":
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{"text/plain"}
			w.Write([]byte("Hello, World!\n"))
		})
		fail("serve: %v", http.Serve(listener, nil))
	default:
		fail("--serve %s: raw or http", kind)
	}
}
