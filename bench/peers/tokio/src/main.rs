//! The servers of tools/net_bench.py: tokio_peer --serve raw|echo. They print where they listen and serve until killed.
//! One thread, as they get one core.

use std::io::{Error, ErrorKind, Result, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, World!\n";
const END: &[u8] = b"\r\n\r\n";

fn find_end(text: &[u8]) -> Option<usize> {
    text.windows(END.len()).position(|w| w == END)
}

/// Does what bench/net/http_raw.cpp does.
async fn serve_raw(mut conn: TcpStream) -> Result<()> {
    let mut buffer = [0u8; 4096];
    let mut out = Vec::new();
    let mut held = 0;
    while held < buffer.len() {
        let n = conn.read(&mut buffer[held..]).await?;
        if n == 0 {
            return Ok(());
        }
        held += n;
        let mut begin = 0;
        out.clear();
        while let Some(at) = find_end(&buffer[begin..held]) {
            begin += at + END.len();
            out.extend_from_slice(ANSWER);
        }
        buffer.copy_within(begin..held, 0);
        held -= begin;
        if !out.is_empty() {
            conn.write_all(&out).await?;
        }
    }
    Ok(())
}

async fn serve_echo(mut conn: TcpStream) -> Result<()> {
    let mut buffer = [0u8; 4096];
    loop {
        let n = conn.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        conn.write_all(&buffer[..n]).await?;
    }
}

async fn serve(kind: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (conn, _) = listener.accept().await?;
        conn.set_nodelay(true)?;
        match kind {
            "raw" => tokio::spawn(serve_raw(conn)),
            "echo" => tokio::spawn(serve_echo(conn)),
            _ => return Err(Error::new(ErrorKind::InvalidInput, "--serve: raw or echo")),
        };
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 3 || arguments[1] != "--serve" {
        let usage = "usage: tokio_peer --serve raw|echo";
        return Err(Error::new(ErrorKind::InvalidInput, usage));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(serve(&arguments[2]))
}
