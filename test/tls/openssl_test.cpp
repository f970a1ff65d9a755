// tls::stream against OpenSSL's own client and server, as programs of their own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "../unit/fixture.hpp"
#include "certificates.hpp"
#include "connections.hpp"

namespace {

namespace tls = weft::tls;
using weft::test::authority;
using weft::test::identity;
using weft::test::make_identity;
using weft::test::socket_conn;
using stream = tls::stream<socket_conn>;

/// `openssl ...` with pipes to its stdin and from its stdout and stderr; killed at the end.
class openssl {
public:
    explicit openssl(std::vector<std::string> words)
    {
        words.insert(words.begin(), "openssl");
        std::vector<char*> argv;
        for (std::string& w : words)
            argv.push_back(w.data());
        argv.push_back(nullptr);
        std::array<int, 2> to{};
        std::array<int, 2> from{};
        if (::pipe2(to.data(), O_CLOEXEC) != 0 || ::pipe2(from.data(), O_CLOEXEC) != 0)
            throw std::runtime_error("pipe2");
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, from[1], STDERR_FILENO);
        const int failed = ::posix_spawnp(&pid_, "openssl", &actions, nullptr, argv.data(), ::environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::close(to[0]);
        ::close(from[1]);
        in_ = to[1];
        out_ = from[0];
        if (failed != 0)
            throw std::runtime_error("no program openssl");
    }
    openssl(const openssl&) = delete;
    openssl& operator=(const openssl&) = delete;
    ~openssl() { kill(); }

    void kill()
    {
        // Before its input ends, which would make it say goodbye.
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
            ::close(out_);
        }
        pid_ = -1;
        close_input();
    }
    void type(std::string_view text)
    {
        EXPECT_EQ(::write(in_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    void close_input()
    {
        if (in_ >= 0)
            ::close(std::exchange(in_, -1));
    }
    /// What it says, up to `text` and the end of that line, or to its end.
    std::string says(std::string_view text)
    {
        std::string heard;
        char c = 0;
        while (::read(out_, &c, 1) == 1) {
            heard += c;
            if (c == '\n' && heard.find(text) != std::string::npos)
                break;
        }
        return heard;
    }

private:
    pid_t pid_ = -1;
    int in_ = -1;
    int out_ = -1;
};

sockaddr_in loopback(std::uint16_t port)
{
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

class openssl_test : public weft::test::fixture {
protected:
    openssl_test()
    {
        std::string name = (std::filesystem::temp_directory_path() / "weft_tls_XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
    }
    ~openssl_test() override { std::filesystem::remove_all(folder_); }

    std::string put(const char* name, const tls::pem& p) const
    {
        std::ofstream(folder_ / name) << p.text;
        return (folder_ / name).string();
    }
    std::string path(const char* name) const { return (folder_ / name).string(); }

    /// `openssl s_server` with `shown`, and its port.
    std::unique_ptr<openssl> serve(const identity& shown, std::uint16_t& port, std::vector<std::string> more = {}) const
    {
        std::vector<std::string> words = {"s_server",
                                          "-accept",
                                          "127.0.0.1:0",
                                          "-cert",
                                          put("c", shown.certificate_pem()),
                                          "-key",
                                          put("k", shown.key_pem())};
        words.insert(words.end(), more.begin(), more.end());
        auto server = std::make_unique<openssl>(words);
        const std::string line = server->says("ACCEPT");
        port = static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
        return server;
    }
    static socket_conn dial(std::uint16_t port)
    {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_in to = loopback(port);
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
        return socket_conn(fd);
    }

    authority all;

private:
    std::filesystem::path folder_;
};

/// A socket that listens.
struct listener {
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::uint16_t port = 0;
    listener()
    {
        sockaddr_in at = loopback(0);
        socklen_t size = sizeof at;
        EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
        EXPECT_EQ(::listen(fd, 16), 0);
        EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size), 0);
        port = ntohs(at.sin_port);
    }
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    ~listener() { ::close(fd); }
    [[nodiscard]] socket_conn accept() const { return socket_conn(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC)); }
};

std::string read_line(stream& s)
{
    std::string line;
    char c = 0;
    while (s.read(std::as_writable_bytes(std::span(&c, 1))) == 1 && c != '\n')
        line += c;
    return line;
}

TEST_F(openssl_test, our_client_and_their_server)
{
    for (const char* version : {"-tls1_3", "-tls1_2"}) {
        std::uint16_t port = 0;
        const auto server = serve(all.localhost, port, {version, "-rev", "-alpn", "other,http/1.1"});
        const tls::client client = all.client({"http/1.1"});
        for (int i = 0; i < 3; ++i) {
            stream s = tls::connect(dial(port), client, "localhost");
            EXPECT_EQ(s.version(), version == std::string("-tls1_3") ? "TLSv1.3" : "TLSv1.2");
            EXPECT_EQ(s.protocol(), "http/1.1");
            EXPECT_EQ(s.resumed(), i > 0) << version;
            s.write("stressed\n");
            EXPECT_EQ(read_line(s), "desserts");
            s.close();
        }
    }
}

TEST_F(openssl_test, their_server_with_a_bad_certificate)
{
    const auto error_with = [&](const identity& shown, std::vector<std::string> more = {})
    {
        std::uint16_t port = 0;
        const auto server = serve(shown, port, std::move(more));
        std::error_code ec;
        (void)tls::connect(dial(port), all.client(), "localhost", ec);
        return ec;
    };
    EXPECT_EQ(error_with(make_identity({.name = "x", .hosts = "DNS:example.org", .issuer = &all.root})),
              tls::error::wrong_host);
    EXPECT_EQ(error_with(make_identity(
                  {.name = "x", .hosts = "DNS:localhost", .issuer = &all.root, .from_s = -7'200, .to_s = -60})),
              tls::error::expired);
    EXPECT_EQ(error_with(make_identity({.name = "x", .hosts = "DNS:localhost"})), tls::error::self_signed);
    const identity other = make_identity({.name = "other", .authority = true});
    EXPECT_EQ(error_with(make_identity({.name = "x", .hosts = "DNS:localhost", .issuer = &other})),
              tls::error::untrusted_issuer);
    EXPECT_EQ(error_with(all.localhost, {"-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"}), tls::error::no_common_version);
    EXPECT_EQ(error_with(all.localhost), std::error_code());
}

TEST_F(openssl_test, their_server_that_is_killed)
{
    std::uint16_t port = 0;
    const auto server = serve(all.localhost, port, {"-rev"});
    stream s = tls::connect(dial(port), all.client(), "localhost");
    s.write("x\n");
    EXPECT_EQ(read_line(s), "x");
    server->kill();
    std::array<std::byte, 8> buffer{};
    std::error_code ec;
    EXPECT_EQ(s.read(buffer, ec), 0U);
    EXPECT_TRUE(ec == tls::error::truncated || ec == std::errc::connection_reset) << ec.message();
}

TEST_F(openssl_test, our_server_and_their_client)
{
    const listener listening;
    const tls::server server = all.server({"http/1.1"});
    const std::string root = put("root", all.root.certificate_pem());
    for (const char* version : {"-tls1_3", "-tls1_2"}) {
        for (const bool again : {false, true}) {
            std::vector<std::string> words = {"s_client",
                                              "-connect",
                                              "127.0.0.1:" + std::to_string(listening.port),
                                              "-CAfile",
                                              root,
                                              "-verify_return_error",
                                              "-verify_hostname",
                                              "localhost",
                                              "-servername",
                                              "localhost",
                                              "-alpn",
                                              "h2,http/1.1",
                                              version};
            words.insert(words.end(), {again ? "-sess_in" : "-sess_out", path(version)});
            openssl client(words);
            stream s = tls::accept(listening.accept(), server);
            EXPECT_EQ(s.protocol(), "http/1.1");
            EXPECT_EQ(s.resumed(), again) << version;
            client.type("hello\n");
            EXPECT_EQ(read_line(s), "hello");
            s.write("goodbye\n");
            EXPECT_NE(client.says("goodbye"), "");
            if (again) {
                // No end, but a killed process.
                client.kill();
                std::array<std::byte, 8> buffer{};
                std::error_code ec;
                EXPECT_EQ(s.read(buffer, ec), 0U);
                EXPECT_TRUE(ec == tls::error::truncated || ec == std::errc::connection_reset) << ec.message();
            } else {
                client.type("Q\n");
                EXPECT_EQ(read_line(s), "");  // the goodbye
                s.close();
                client.says("never said");
            }
        }
    }
}

TEST_F(openssl_test, our_server_and_their_client_that_does_not_trust_it)
{
    const listener listening;
    openssl client({"s_client", "-connect", "127.0.0.1:" + std::to_string(listening.port), "-verify_return_error",
                    "-no-CAfile", "-no-CApath"});
    std::error_code ec;
    stream s = tls::accept(listening.accept(), all.server(), ec);
    std::array<std::byte, 8> buffer{};
    if (!ec)
        s.read(buffer, ec);
    EXPECT_EQ(ec, tls::error::refused_by_peer) << ec.message();
    EXPECT_NE(s.problem().find("unknown ca"), std::string::npos) << s.problem();
}

/// One that changes its keys in the midst of it, which the answer follows.
TEST_F(openssl_test, keys_change)
{
    const listener listening;
    const std::string root = put("root", all.root.certificate_pem());
    openssl client({"s_client", "-connect", "127.0.0.1:" + std::to_string(listening.port), "-CAfile", root, "-tls1_3"});
    stream s = tls::accept(listening.accept(), all.server());
    for (int i = 0; i < 3; ++i) {
        client.type("K\n");
        client.says("KEYUPDATE");
        client.type("line\n");
        EXPECT_EQ(read_line(s), "line");
        s.write("answer\n");
        EXPECT_NE(client.says("answer").find("answer"), std::string::npos);
    }
}

}  // namespace
