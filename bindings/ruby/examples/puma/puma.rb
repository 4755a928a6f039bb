# frozen_string_literal: true

# Puma in cluster mode with one Encke server: the master hosts it, the workers publish over its control socket.
#
#   cd examples/puma && RUBYLIB=../../lib puma -C puma.rb
#   http://127.0.0.1:9292/ in a browser, or curl -N 'http://127.0.0.1:8080/sub/chat?transport=sse'
#   curl -d 'hello' http://127.0.0.1:9292/

require "tmpdir"

control = ENV.fetch("ENCKE_CONTROL") { File.join(Dir.tmpdir, "encke-#{Process.pid}.sock") }

bind ENV.fetch("BIND", "tcp://127.0.0.1:9292")
workers Integer(ENV.fetch("WORKERS", "2"))
threads 1, 4
preload_app!

server = nil

# In the master, once, before the first worker. A server survives no fork, but it may stand beside one.
before_fork do
  require "encke"
  server = Encke::Server.new(listen: ENV.fetch("ENCKE_LISTEN", "127.0.0.1:8080"), control: control)
  master = Process.pid
  at_exit { server.stop if Process.pid == master }
  # Where the page finds it.
  ENV["ENCKE_ADDRESS"] = server.address
  puts "* Encke on http://#{server.address}"
end

# A restart by SIGUSR2 starts the master anew in the same process, and with it the server.
on_restart { server&.stop }

# In each worker, also in one that takes the place of another.
via = ENV.fetch("ENCKE_VIA", "auto").to_sym
on_worker_boot { Chat.publisher = Encke::Publisher.connect("unix:#{control}", via: via) }

# Sends what is left.
on_worker_shutdown { Chat.publisher.close }
