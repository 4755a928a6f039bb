require "encke"
Encke::Server.new(listen: "127.0.0.1:0", history_messages: 100_000, history_bytes: "64MiB") do |server|
  warn server.address
  100_000.times do |number|
    server.publish("/numbers", number.to_s)
  rescue Encke::Full
    server.flush && retry
  end
  $stdin.gets # Until Enter: curl -N 'http://ADDRESS/sub/numbers?transport=sse&since=earliest'
end
