// A chat server with rooms. Try it with `nc localhost 7001`, twice.
//
// Every room is a goroutine that owns the list of its members; nothing is shared, so there is no lock. A member that
// does not read is not waited for: what does not fit into its queue is lost to it.
//
// usage: chat [ADDRESS]      (default: 127.0.0.1:7001)
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/stop_signal.hpp"
#include "weft/weft.hpp"

namespace {

namespace net = weft::net;

/// What is asked of a room; `to` is the queue of who asks, which the room closes when it leaves "for good".
struct request {
    enum { join, leave, say } what;
    std::string name;
    std::string text;
    weft::chan<std::string> to;
};

void room(const std::string& room_name, const weft::chan<request>& requests)
{
    std::map<std::string, weft::chan<std::string>> members;
    const auto tell_all = [&](const std::string& line)
    {
        for (auto& [name, queue] : members)
            (void)queue.try_send(std::string(line));
    };
    for (const request& r : requests) {
        switch (r.what) {
            case request::join:
                if (members.emplace(r.name, r.to).second)
                    tell_all("* " + r.name + " has come to " + room_name + "\n");
                else
                    (void)weft::chan<std::string>(r.to).try_send("* that name is taken in " + room_name + "\n");
                break;
            case request::leave:
                if (const auto found = members.find(r.name); found != members.end() && found->second == r.to) {
                    members.erase(found);
                    tell_all("* " + r.name + " has left " + room_name + "\n");
                }
                if (r.text == "for good")
                    weft::chan<std::string>(r.to).close();
                break;
            case request::say:
                tell_all(r.name + ": " + r.text + "\n");
                break;
        }
    }
}

/// The rooms there are; each is made when somebody first asks for it.
class house {
public:
    weft::chan<request> find(const std::string& name)
    {
        const std::lock_guard guard(lock_);
        const auto [found, is_new] = rooms_.try_emplace(name, 16);
        if (is_new)
            weft::go([name, requests = found->second] { room(name, requests); });
        return found->second;
    }

private:
    weft::mutex lock_;
    std::map<std::string, weft::chan<request>> rooms_;
};

/// Lines from a connection.
class lines {
public:
    explicit lines(net::tcp_conn& from) : from_(from) {}
    std::optional<std::string> next()
    {
        for (;;) {
            if (const std::size_t end = text_.find('\n'); end != std::string::npos) {
                std::string line = text_.substr(0, end);
                text_.erase(0, end + 1);
                if (!line.empty() && line.back() == '\r')
                    line.pop_back();
                return line;
            }
            std::array<char, 512> buffer{};
            std::error_code ec;
            const std::size_t n = from_.read(std::as_writable_bytes(std::span(buffer)), ec);
            if (n == 0 || text_.size() > 4'096)
                return std::nullopt;
            text_.append(buffer.data(), n);
        }
    }

private:
    net::tcp_conn& from_;
    std::string text_;
};

void guest(net::tcp_conn conn, house& rooms)
{
    const weft::chan<std::string> queue(64);
    weft::wait_group writer;
    writer.go(
        [&]
        {
            std::error_code ec;
            for (const std::string& line : queue)
                conn.write(line, ec);
        });

    lines in(conn);
    queue.send("* your name?\n");
    if (const std::optional<std::string> name = in.next()) {
        std::string where = "lobby";
        rooms.find(where).send({request::join, *name, "", queue});
        while (const std::optional<std::string> line = in.next()) {
            if (*line == "/quit")
                break;
            if (line->starts_with("/join ")) {
                rooms.find(where).send({request::leave, *name, "", queue});
                where = line->substr(6);
                rooms.find(where).send({request::join, *name, "", queue});
            } else {
                rooms.find(where).send({request::say, *name, *line, queue});
            }
        }
        // The room was the last to know the queue.
        rooms.find(where).send({request::leave, *name, "for good", queue});
    } else {
        queue.close();
    }
    writer.wait();
}

}  // namespace

int main(int argc, char** argv)
{
    const weft::context stop = until_stop_signal();
    return weft::run(
        [&]
        {
            static house rooms;
            net::tcp_listener listener = net::listen(argc > 1 ? argv[1] : "127.0.0.1:7001");
            std::printf("listening on %s\n", listener.local_address().to_string().c_str());
            std::fflush(stdout);
            weft::go(
                [&]
                {
                    weft::select(weft::on_done(stop));
                    listener.close();
                });
            std::error_code ec;
            for (;;) {
                net::tcp_conn conn = listener.accept(ec);
                if (ec)
                    return;
                weft::go([conn = std::move(conn)]() mutable { guest(std::move(conn), rooms); });
            }
        });
}
