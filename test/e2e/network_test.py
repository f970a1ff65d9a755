"""The network examples against real clients: network_test.py ECHO CHAT PROXY IDLE HTTP_SERVER HTTP_CLIENT

A client that is not installed skips its tests.
"""

import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import program

ECHO, CHAT, PROXY, IDLE, HTTP_SERVER, HTTP_CLIENT = program.programs_or_skip(6)
LIMIT_S = program.TIME_LIMIT_S
SLOW = bool(os.environ.get("WEFT_TEST_SLOW")) or program.sanitizer(ECHO) is not None


def needs(client):
    return unittest.skipUnless(shutil.which(client), f"{client} is not installed (./dev setup)")


class Server:
    """A running program that says where it listens; killed at the end unless it has ended."""

    def __init__(self, path, *arguments, descriptors=None):
        """`descriptors`: a limit that it has."""
        launcher = os.environ.get("WEFT_TEST_LAUNCHER", "").split()
        limit = descriptors and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)))
        self.process = subprocess.Popen([*launcher, path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=limit)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (.*):(\d+)\n", line)
        if found is None:
            self.process.kill()
            raise AssertionError(f"{path}: {line}{self.process.stderr.read()}")
        self.address = (found[1], int(found[2]))
        self.where = f"{found[1]}:{found[2]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def connect(self):
        conn = socket.create_connection(self.address, timeout=LIMIT_S)
        return conn

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def leaks_none(self, before):
        """Whether the descriptors come back to so many, and the few that the poller may have opened since then."""
        return eventually(lambda: self.descriptors() <= before + 3)

    def stop(self):
        """SIGTERM; the exit status and what it said."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, out, err


class Holder:
    """Another process that holds connections from `source`, each used once: a process has only so many descriptors."""

    PROGRAM = """
import socket, sys
host, port, source, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
held = []
for _ in range(count):
    conn = socket.socket()
    conn.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    conn.bind((source, 0))
    conn.connect((host, port))
    conn.sendall(b"x")
    held.append(conn)
print(sum(conn.recv(1) == b"x" for conn in held), flush=True)
sys.stdin.read()
"""

    def __init__(self, server, source, count):
        self.count = count
        self.process = subprocess.Popen([sys.executable, "-c", self.PROGRAM, *map(str, server.address), source, str(count)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def holds_all(self):
        return self.process.stdout.readline() == f"{self.count}\n"


def read_all(conn):
    data = b""
    while piece := conn.recv(65536):
        data += piece
    return data


def reset(conn):
    """Closes with RST instead of FIN."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def eventually(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Echo(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Server(ECHO, "127.0.0.1:0"))

    def enterContext(self, manager):
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def test_half_close(self):
        with self.server.connect() as conn:
            conn.sendall(b"all of this")
            conn.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(conn), b"all of this")

    @needs("nc")
    def test_nc(self):
        done = subprocess.run(["nc", "-N", *map(str, self.server.address)], input=b"by nc\n", capture_output=True,
                              timeout=LIMIT_S, check=False)
        self.assertEqual(done.stdout, b"by nc\n")

    def test_a_peer_that_does_not_read_holds_up_itself_alone(self):
        with self.server.connect() as stuck, self.server.connect() as other:
            stuck.setblocking(False)
            block = b"x" * 65536
            with contextlib.suppress(BlockingIOError):
                while True:
                    stuck.send(block)
            other.sendall(b"ping")
            self.assertEqual(other.recv(4), b"ping")

    def test_resets_and_floods_leave_nothing_behind(self):
        before = self.server.descriptors()
        for i in range(50 if SLOW else 500):
            conn = self.server.connect()
            conn.sendall(b"x" * (i % 5000 + 1))
            reset(conn) if i % 2 else conn.close()
        self.assertTrue(self.server.leaks_none(before), "descriptors leak")
        with self.server.connect() as conn:
            conn.sendall(b"still there")
            self.assertEqual(conn.recv(64), b"still there")

    def test_many_at_once(self):
        conns = [self.server.connect() for _ in range(100 if SLOW else 400)]
        for i, conn in enumerate(conns):
            conn.sendall(str(i).encode())
        for i, conn in enumerate(conns):
            self.assertEqual(conn.recv(64), str(i).encode())
        for conn in conns:
            conn.close()

    def test_idle_connections(self):
        # 20,000 where the limit of descriptors allows; a client's address has 28,000 ports, and each process its limit.
        spare = 200
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        count = min(400 if SLOW else 20_000, limit - spare)
        before = self.server.descriptors()
        with contextlib.ExitStack() as stack:
            holders = [stack.enter_context(Holder(self.server, f"127.0.0.{i + 2}", count // 4)) for i in range(4)]
            self.assertTrue(all(h.holds_all() for h in holders))
            self.assertGreaterEqual(self.server.descriptors(), count // 4 * 4)
            with self.server.connect() as another:
                another.sendall(b"served beside them")
                self.assertEqual(another.recv(64), b"served beside them")
        self.assertTrue(self.server.leaks_none(before), "descriptors leak")

    def test_a_flood_over_the_limit_of_descriptors(self):
        limit, flood = 64, 200
        with Server(ECHO, "127.0.0.1:0", descriptors=limit) as server, server.connect() as first:
            first.sendall(b"first")
            self.assertEqual(first.recv(64), b"first")
            before = server.descriptors()
            conns = [server.connect() for _ in range(flood)]
            for i, conn in enumerate(conns):
                conn.sendall(str(i).encode())
            self.assertTrue(eventually(lambda: server.descriptors() >= limit - 1))
            # Who is in is served, and those that wait get in as others leave.
            first.sendall(b"still served")
            self.assertEqual(first.recv(64), b"still served")
            for i, conn in enumerate(conns):
                self.assertEqual(conn.recv(64), str(i).encode())
                conn.close()
            self.assertTrue(server.leaks_none(before), "descriptors leak")
            status, _, err = server.stop()
            self.assertEqual(status, 0)
            self.assertRegex(err, r"accept: .*(Too many open files|descriptors)")

    def test_sigterm(self):
        self.assertEqual(self.server.stop()[0], 0)


class Chat(Echo):
    def setUp(self):
        self.server = self.enterContext(Server(CHAT, "127.0.0.1:0"))

    test_half_close = test_nc = test_a_peer_that_does_not_read_holds_up_itself_alone = None
    test_resets_and_floods_leave_nothing_behind = test_many_at_once = test_idle_connections = None
    test_a_flood_over_the_limit_of_descriptors = None

    def guest(self, name):
        conn = self.server.connect()
        self.addCleanup(conn.close)
        lines = conn.makefile("rw", newline="\n")
        self.addCleanup(lines.close)
        self.assertEqual(lines.readline(), "* your name?\n")
        self.say(lines, name)
        self.assertEqual(lines.readline(), f"* {name} has come to lobby\n")
        return lines

    @staticmethod
    def say(lines, text):
        lines.write(text + "\n")
        lines.flush()

    def test_rooms(self):
        ann = self.guest("ann")
        bob = self.guest("bob")
        self.assertEqual(ann.readline(), "* bob has come to lobby\n")
        self.say(ann, "hello")
        for lines in (ann, bob):
            self.assertEqual(lines.readline(), "ann: hello\n")
        self.say(bob, "/join cellar")
        self.assertEqual(ann.readline(), "* bob has left lobby\n")
        self.assertEqual(bob.readline(), "* bob has come to cellar\n")
        self.say(bob, "alone")
        self.assertEqual(bob.readline(), "bob: alone\n")
        self.say(bob, "/join lobby")
        self.assertEqual(ann.readline(), "* bob has come to lobby\n")
        self.say(ann, "/quit")
        self.assertEqual(ann.readline(), "")


class Proxy(unittest.TestCase):
    def test_there_and_back(self):
        with Server(ECHO, "127.0.0.1:0") as echo, Server(PROXY, "127.0.0.1:0", echo.where) as proxy:
            before = proxy.descriptors()
            data = os.urandom(3_000_000)
            with proxy.connect() as conn, concurrent.futures.ThreadPoolExecutor() as pool:
                back = pool.submit(read_all, conn)
                conn.sendall(data)
                conn.shutdown(socket.SHUT_WR)
                self.assertEqual(back.result(LIMIT_S), data)
            reset(proxy.connect())
            self.assertTrue(proxy.leaks_none(before), "descriptors leak")

    def test_no_target(self):
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        with Server(PROXY, "127.0.0.1:0", f"127.0.0.1:{port}") as proxy:
            with proxy.connect() as conn:
                self.assertEqual(conn.recv(1), b"")
            status, _, err = proxy.stop()
            self.assertEqual(status, 0)
            self.assertIn("refused", err)


class Idle(unittest.TestCase):
    def test_many(self):
        count = 200 if SLOW else 5_000
        done = program.run(IDLE, str(count))
        if "descriptors, and ulimit" in done.stderr:
            self.skipTest(done.stderr)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = re.fullmatch(rf"{count} idle connections, (\d+) bytes each\n"
                             r"(?:hibernated: (\d+) bytes each|not hibernated: .+)\nclosed\n", done.stdout)
        self.assertTrue(found, done.stdout)
        if not SLOW:
            self.assertLessEqual(int(found[1]), 5 * 1024)  # both ends: pages of stacks, control blocks, descriptors
        if found[2] and not SLOW:
            self.assertLess(int(found[2]), int(found[1]) - 3_500)  # a page of stack has gone

    def test_bad_arguments(self):
        self.assertEqual(program.run(IDLE, "none").returncode, 2)


class Http(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "page.html").write_text("<p>a page</p>")
        (self.folder / "big").write_bytes(bytes(range(256)) * 20_000)
        self.server = Server(HTTP_SERVER, "--files", folder.name, "127.0.0.1:0")
        self.addCleanup(self.server.__exit__)
        self.url = f"http://{self.server.where}"

    def client(self):
        conn = http.client.HTTPConnection(*self.server.address, timeout=LIMIT_S)
        self.addCleanup(conn.close)
        return conn

    def ask(self, conn, method, path, body=None):
        conn.request(method, path, body)
        response = conn.getresponse()
        return response.status, response.read()

    def test_routes_over_one_connection(self):
        conn = self.client()
        for _ in range(3):
            self.assertEqual(self.ask(conn, "GET", "/hello"), (200, b"Hello, World!\n"))
            self.assertEqual(self.ask(conn, "POST", "/echo", b"x" * 100_000), (200, b"x" * 100_000))
            self.assertEqual(self.ask(conn, "GET", "/files/page.html"), (200, b"<p>a page</p>"))
            self.assertEqual(self.ask(conn, "GET", "/files/big")[1], (self.folder / "big").read_bytes())
            self.assertEqual(self.ask(conn, "HEAD", "/hello"), (200, b""))
            self.assertEqual(self.ask(conn, "GET", "/nothing")[0], 404)
            self.assertEqual(self.ask(conn, "GET", "/files/none")[0], 404)
            self.assertEqual(self.ask(conn, "GET", "/files/../secret")[0], 403)
            self.assertEqual(self.ask(conn, "GET", "/files//etc/passwd")[0], 403)
            self.assertEqual(self.ask(conn, "DELETE", "/hello")[0], 405)
        self.assertEqual(self.ask(conn, "POST", "/echo", b"x" * 2_000_000)[0], 413)

    def test_pipelined_requests(self):
        with self.server.connect() as conn:
            conn.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" * 9
                         + b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(read_all(conn).count(b"Hello, World!"), 10)

    def test_nonsense(self):
        with self.server.connect() as conn:
            conn.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
            self.assertEqual(read_all(conn), b"")

    @needs("curl")
    def test_curl(self):
        done = subprocess.run(["curl", "-sS", "-d", "posted", f"{self.url}/echo", "-:", "-sS", f"{self.url}/hello"],
                              capture_output=True, text=True, timeout=LIMIT_S, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "postedHello, World!\n"), done.stderr)

    @needs("wrk")
    def test_wrk(self):
        done = subprocess.run(["wrk", "-t1", "-c50", "-d1", f"{self.url}/hello"], capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Requests/sec", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)
        self.assertNotIn("Socket errors", done.stdout)

    @needs("ab")
    def test_ab(self):
        for keep in ([], ["-k"]):
            done = subprocess.run(["ab", "-q", *keep, "-n", "100" if SLOW else "1000", "-c", "20", f"{self.url}/hello"],
                                  capture_output=True, text=True, timeout=LIMIT_S, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"Failed requests: +0\n")

    def test_our_client(self):
        done = program.run(HTTP_CLIENT, f"{self.url}/hello", f"{self.url}/nothing", f"{self.url}/files/big")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split(": ")[1] for line in done.stdout.splitlines()],
                         ["200, 14 bytes", "404, 13 bytes", "200, 5120000 bytes"])

    def test_a_slow_reader(self):
        with self.server.connect() as slow:
            slow.sendall(b"GET /files/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertEqual(self.ask(self.client(), "GET", "/hello")[0], 200)
            data = read_all(slow)
            self.assertTrue(data.endswith((self.folder / "big").read_bytes()))

    def test_resets_in_the_middle(self):
        before = self.server.descriptors()
        for i in range(20 if SLOW else 100):
            conn = self.server.connect()
            request = b"GET /files/big HTTP/1.1\r\nHost: x\r\n\r\n"
            conn.sendall(request[: i + 1] if i < len(request) else request)
            reset(conn)
        self.assertTrue(self.server.leaks_none(before), "descriptors leak")
        self.assertEqual(self.ask(self.client(), "GET", "/hello")[0], 200)

    @unittest.skipIf(SLOW, "waits for the server's deadline")
    def test_slowloris(self):
        conns = [self.server.connect() for _ in range(50)]
        for conn in conns:
            conn.sendall(b"GET /hello HTTP/1.1\r\nHo")
        self.assertEqual(self.ask(self.client(), "GET", "/hello")[0], 200)
        deadline = time.monotonic() + LIMIT_S
        # A byte now and then does not help them: the deadline is for the whole request.
        open_ones = set(conns)
        while open_ones and time.monotonic() < deadline:
            for conn in list(open_ones):
                conn.settimeout(0.02)
                try:
                    conn.sendall(b"x")
                    if conn.recv(1000) == b"":
                        open_ones.discard(conn)
                except TimeoutError:
                    pass
                except OSError:
                    open_ones.discard(conn)
        self.assertFalse(open_ones, "connections outlive the deadline")
        for conn in conns:
            conn.close()

    def test_draining(self):
        idle = self.client()
        self.assertEqual(self.ask(idle, "GET", "/hello")[0], 200)
        with self.server.connect() as busy:
            busy.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.1)
            self.server.process.send_signal(signal.SIGTERM)
            answer = read_all(busy)
            self.assertIn(b"200 OK", answer)
            self.assertIn(b"Connection: close", answer)
            self.assertIn(b"Hello, World!", answer)
        out, err = self.server.process.communicate(timeout=LIMIT_S)
        self.assertEqual((self.server.process.returncode, out), (0, "drained\n"), err)

    def test_bad_arguments(self):
        self.assertEqual(program.run(HTTP_SERVER, "--nonsense").returncode, 2)
        self.assertEqual(program.run(HTTP_CLIENT).returncode, 2)
        done = program.run(HTTP_CLIENT, "ftp://x/")
        self.assertEqual(done.returncode, 1)
        self.assertIn("neither http:// nor https://", done.stderr)
        done = program.run(HTTP_SERVER, self.server.where)
        self.assertEqual(done.returncode, 1)
        self.assertIn("in use", done.stderr)


@needs("openssl")
class Https(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.path = lambda name: os.path.join(folder.name, name)

        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=LIMIT_S)

        ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl("req", "-x509", *ec, "-subj", "/CN=authority", "-keyout", cls.path("ca.key"), "-out", cls.path("ca.pem"))
        openssl("req", "-x509", *ec, "-subj", "/CN=x", "-CA", cls.path("ca.pem"), "-CAkey", cls.path("ca.key"),
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                "-keyout", cls.path("key"), "-out", cls.path("cert"))

    def setUp(self):
        self.server = Server(HTTP_SERVER, "--tls", type(self).path("cert"), type(self).path("key"), "127.0.0.1:0")
        self.addCleanup(self.server.__exit__)
        self.url = f"https://{self.server.where}"
        self.ca = type(self).path("ca.pem")

    @needs("curl")
    def test_curl(self):
        done = subprocess.run(["curl", "-sS", "--cacert", self.ca, f"{self.url}/hello"], capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "Hello, World!\n"), done.stderr)
        done = subprocess.run(["curl", "-sS", f"{self.url}/hello"], capture_output=True, timeout=LIMIT_S, check=False)
        self.assertNotEqual(done.returncode, 0)

    def test_python(self):
        context = ssl.create_default_context(cafile=self.ca)
        conn = http.client.HTTPSConnection("localhost", self.server.address[1], context=context, timeout=LIMIT_S)
        for _ in range(3):
            conn.request("POST", "/echo", b"y" * 50_000)
            self.assertEqual(conn.getresponse().read(), b"y" * 50_000)
        conn.close()

    @needs("wrk")
    def test_wrk(self):
        done = subprocess.run(["wrk", "-t1", "-c20", "-d1", f"{self.url}/hello"], capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
        self.assertNotIn("Socket errors", done.stdout)
        self.assertNotIn("Non-2xx", done.stdout)

    def test_our_client(self):
        done = program.run(HTTP_CLIENT, "--ca", self.ca, f"{self.url}/hello")
        self.assertEqual(done.stdout, f"{self.url}/hello: 200, 14 bytes\n", done.stderr)

    def test_our_client_refuses(self):
        done = program.run(HTTP_CLIENT, f"{self.url}/hello")
        self.assertEqual(done.returncode, 1)
        self.assertIn("comes from no trusted authority", done.stderr)
        port = self.server.address[1]
        done = program.run(HTTP_CLIENT, "--ca", self.ca, f"https://127.0.0.2:{port}/")
        self.assertEqual(done.returncode, 1)

    def test_openssl(self):
        def s_client(host, *words):
            return subprocess.run(["openssl", "s_client", "-connect", self.server.where, "-CAfile", self.ca, "-quiet",
                                   "-verify_return_error", "-verify_hostname", host, *words],
                                  input=b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                                  capture_output=True, timeout=LIMIT_S, check=False)

        for version in ("-tls1_2", "-tls1_3"):
            self.assertTrue(s_client("localhost", version).stdout.endswith(b"Hello, World!\n"))
        for refused in (s_client("example.org"), s_client("localhost", "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")):
            self.assertNotEqual(refused.returncode, 0)
            self.assertEqual(refused.stdout, b"")

    def test_our_client_and_openssl(self):
        server = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", type(self).path("cert"),
                                   "-key", type(self).path("key")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  stdin=subprocess.DEVNULL, text=True)
        try:
            port = next(found[1] for line in server.stdout if (found := re.search(r"^ACCEPT .*:(\d+)$", line)))
            done = program.run(HTTP_CLIENT, "--ca", self.ca, f"https://127.0.0.1:{port}/")
            self.assertRegex(done.stdout, rf"^https://127.0.0.1:{port}/: 200, \d+ bytes\n$", done.stderr)
        finally:
            server.kill()
            server.communicate()

    def test_plain_http_is_refused(self):
        with self.server.connect() as conn:
            conn.sendall(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertNotIn(b"Hello", read_all(conn))


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the servers as well
    unittest.main()
