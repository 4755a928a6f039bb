# frozen_string_literal: true

# What publishing costs from Ruby, beside the least that a call costs: nanoseconds a message in the publishing thread, the
# best and the median of rounds, with the server at work in its own threads or process meanwhile. "CPU" is the median of what
# the thread used, system calls included; on a machine that does other things too it is the steadier figure.
#
#   rake -f ext/encke/Rakefile RUBYARCHDIR=/tmp/encke
#   ENCKE_LIBRARY=…/libencke.so ENCKE_BINARY=…/encke ruby -Ilib -I/tmp/encke bench.rb

require "encke"
require "tmpdir"

DATA = ("x" * 100).freeze
CHANNEL = "/bench/01"
MESSAGES = 50_000
BATCH = 1000
ROUNDS = 15

# Each round begins with an empty mailbox, and holds fewer messages than one takes.
def row(name, per_round: MESSAGES, before: nil)
  rounds = Array.new(ROUNDS + 1) do
    before&.call
    started = clocks
    yield per_round
    clocks.zip(started).map { |now, before| (now - before).fdiv(per_round) }
  end
  times, cpu = rounds.drop(1).transpose.map(&:sort)
  puts format("| %-48s | %8.0f | %8.0f | %8.0f |", name, cpu[ROUNDS / 2], times[0], times[ROUNDS / 2])
end

def clocks
  [Process::CLOCK_MONOTONIC, Process::CLOCK_THREAD_CPUTIME_ID].map { |clock| Process.clock_gettime(clock, :nanosecond) }
end

def publishing(name, publisher)
  flush = -> { publisher.flush }
  row("#{name}: publish", before: flush) { |count| count.times { publisher.publish(CHANNEL, DATA) } }
  channel = publisher.channel(CHANNEL)
  row("#{name}: publish by a channel", before: flush) { |count| count.times { channel.publish(DATA) } }
  messages = Array.new(BATCH) { DATA.dup }
  whole = ->(taken) { taken == BATCH or raise "only #{taken} were taken" }
  row("#{name}: publish_many, #{BATCH} a call", before: flush) { |count| (count / BATCH).times { whole.(publisher.publish_many(CHANNEL, messages)) } }
  row("#{name}: publish_many with an event name", before: flush) do |count|
    (count / BATCH).times { whole.(publisher.publish_many(CHANNEL, messages, event: "tick")) }
  end
  pairs = messages.map { |data| [CHANNEL, data] }
  row("#{name}: publish_pairs", before: flush) { |count| (count / BATCH).times { whole.(publisher.publish_pairs(pairs)) } }
end

puts "| #{RUBY_ENGINE} #{RUBY_VERSION}, #{DATA.bytesize} bytes a message#{" " * 17} |  CPU, ns |     best |   median |"
puts "|---|---|---|---|"

%i[extension ffi fiddle].each do |backend|
  library = Encke::Native.load(backend: backend)
  row("#{backend}: a call that does nothing") { |count| count.times { library.abi_version } }
  Encke::Server.new(listen: "127.0.0.1:0", reactors: 1, backend: backend) { |server| publishing(backend, server) }
rescue Encke::NoLibrary, LoadError => error
  puts "| #{backend}: #{error.message}"
end

messages = Array.new(BATCH) { DATA.dup }
row("building: lines of a batch") { |count| (count / BATCH).times { Encke::Frames.lines(messages) } }
row("building: frames of a batch") { |count| (count / BATCH).times { Encke::Frames.frames(CHANNEL, messages) } }

Dir.mktmpdir do |folder|
  socket = File.join(folder, "encke.sock")
  IO.popen([ENV.fetch("ENCKE_BINARY", "encke"), "serve", "--listen", "127.0.0.1:0", "--private", "off", "--control", socket, err: %i[child out]]) do |server|
    server.gets until File.socket?(socket)
    %i[native socket].each do |via|
      publisher = Encke::Publisher.connect("unix:#{socket}", via: via)
      publishing("#{via} publisher", publisher)
      publisher.close
    end
  ensure
    Process.kill("TERM", server.pid)
  end
end
