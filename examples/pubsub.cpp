// Publish and subscribe: whoever subscribes to a topic gets what is published to it from then on. The hub's tables
// belong to one goroutine, which takes requests by channels and selects among them: no lock, and no way to forget one.
#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

namespace {

class hub {
public:
    hub()
    {
        weft::go([p = published_, s = subscribed_, e = ended_] { serve(p, s, e); });
    }
    /// Ends every subscription: the subscribers' loops end when they have seen all that was published before.
    ~hub()
    {
        published_.close();
        static_cast<void>(ended_.recv());
    }
    hub(const hub&) = delete;
    hub& operator=(const hub&) = delete;

    /// From the return of this call on, what is published to `topic` goes into the channel. Its buffer holds `backlog`
    /// messages; a subscriber that falls further behind holds up the publishers, and loses nothing.
    weft::receiver<std::string> subscribe(std::string topic, std::size_t backlog = 16)
    {
        const weft::chan<std::string> messages(backlog);
        subscribed_.send({std::move(topic), messages});
        return messages;
    }
    void publish(std::string topic, std::string text) { published_.send({std::move(topic), std::move(text)}); }

private:
    struct message {
        std::string topic;
        std::string text;
    };
    struct subscription {
        std::string topic;
        weft::sender<std::string> to;
    };

    static void serve(const weft::receiver<message>& published, const weft::receiver<subscription>& subscribed,
                      const weft::sender<bool>& ended)
    {
        std::map<std::string, std::vector<weft::sender<std::string>>> topics;
        bool open = true;
        while (open)
            weft::select(
                weft::on_recv(published,
                              [&](const std::optional<message>& m)
                              {
                                  open = m.has_value();
                                  if (open)
                                      for (const auto& to : topics[m->topic])
                                          to.send(m->text);
                              }),
                weft::on_recv(subscribed, [&](std::optional<subscription> s) { topics[s->topic].push_back(s->to); }));
        for (const auto& [topic, subscribers] : topics)
            for (const auto& to : subscribers)
                to.close();
        ended.send(true);
    }

    weft::chan<message> published_;
    weft::chan<subscription> subscribed_;
    weft::chan<bool> ended_;
};

}  // namespace

int main()
{
    return weft::run(
        []
        {
            struct subscriber {
                const char* name;
                const char* topic;
                std::vector<std::string> heard;
            };
            std::vector<subscriber> subscribers = {{"ann", "news", {}}, {"bob", "news", {}}, {"eve", "weather", {}}};
            weft::wait_group all;
            {
                hub h;
                for (subscriber& s : subscribers)
                    all.go(
                        [&heard = s.heard, messages = h.subscribe(s.topic)]
                        {
                            for (std::string text : messages)
                                heard.push_back(std::move(text));
                        });

                h.publish("news", "weft has channels");
                h.publish("weather", "sunny");
                h.publish("sports", "nobody listens");
                h.publish("news", "and select");
            }
            all.wait();

            for (const subscriber& s : subscribers)
                for (const std::string& text : s.heard)
                    std::printf("%s: %s\n", s.name, text.c_str());
        });
}
