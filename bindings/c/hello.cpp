// Greets everyone who is named on its input, on a channel that browsers and curl can listen to. Prints where.
#include "encke.hpp"
#include <iostream>
#include <memory>
#include <string>

int main()
{
    const std::string options = R"({"listen":"127.0.0.1:0"})", channel = "/hello";
    encke *started;
    if (encke_start(options.data(), options.size(), &started) != ENCKE_OK)
        return std::cerr << encke_last_error() << '\n', 1;
    const auto stop = [](encke *server) { encke_stop(server, 5000); };
    const std::unique_ptr<encke, decltype(stop)> server(started, stop);

    char address[4096];
    const auto length = encke_address(started, address, sizeof address);
    std::cout << "listening on " << std::string(address, length > 0 ? length : 0) << ", channel " << channel << std::endl;
    for (std::string name; std::getline(std::cin, name);) {
        const std::string text = "Hello, " + name + "!";
        if (encke_publish(started, channel.data(), channel.size(), text.data(), text.size()) != ENCKE_OK)
            std::cerr << encke_last_error() << '\n';
    }
}
