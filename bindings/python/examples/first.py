# A server on a free port, and 100,000 messages; then it waits for Enter.
import encke

with encke.Server("127.0.0.1:0", history_messages=100_000, history_bytes="64MiB") as server:
    print(server.address, flush=True)
    messages = [str(number) for number in range(100_000)]
    while messages:
        messages = messages[server.publish_many("/news", messages) :]
        server.flush()
    input()
